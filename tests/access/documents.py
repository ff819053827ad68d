"""A document for every field of the schema's roots, made from the schema, with good values for what it must have."""

from collections.abc import Mapping
from typing import Any, cast

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLUnionType,
    build_schema,
    get_named_type,
    is_leaf_type,
    is_required_argument,
    is_required_input_field,
)

from api.relay import global_id
from core.ids import new_id
from core.processes import REPOSITORY
from tests.api.test_every_action import KINDS, VALUES

SCHEMA = build_schema((REPOSITORY / "api" / "schema.graphql").read_text())
ROOTS: Mapping[str, Mapping[str, GraphQLField]] = {
    "query": cast(GraphQLObjectType, SCHEMA.query_type).fields,
    "mutation": cast(GraphQLObjectType, SCHEMA.mutation_type).fields,
    "subscription": cast(GraphQLObjectType, SCHEMA.subscription_type).fields,
}
OPERATIONS = {name: root for root, fields in ROOTS.items() for name in fields}
# What names somebody's own thing where it may be left out: left out, there would be nobody to be refused.
NAMED = {"customerId", "eventId", "reason", "customer"}
# Of which kind the ids are whose field says it only together with the operation.
POLICIES = {
    "activateRecommendationPolicy": "RecommendationPolicy",
    "startRecommendationExperiment": "RecommendationPolicy",
    **{
        f"{act}{kind}": kind
        for act in ("activate", "preview")
        for kind in (
            "AlertPolicy",
            "NeedPolicy",
            "CarePolicy",
            "ComplaintPolicy",
            "FollowUpPolicy",
            "EntitlementPolicy",
            "MessagePolicy",
            "SurveyPolicy",
            "TierPolicy",
        )
    },
}
IDS: Mapping[str, Mapping[str, str]] = {
    **{name: {"policyId": kind} for name, kind in POLICIES.items()},
    **{
        name: {"ruleId": "ServiceBreakRule"}
        for name in (
            "updateServiceBreakRule",
            "activateServiceBreakRule",
            "pauseServiceBreakRule",
            "retireServiceBreakRule",
        )
    },
    **{name: {"rewardId": "ReferralReward"} for name in ("reviewReferralReward", "previewClawback", "clawBackReward")},
    "customer": {"id": "Customer"},
    "customer360": {"id": "Customer"},
    "segment": {"id": "Segment"},
    "importReport": {"id": "ImportReport"},
    "customerMerge": {"id": "CustomerMerge"},
    "alert": {"id": "Alert"},
    "complaint": {"id": "Complaint"},
    "adviceThread": {"id": "AdviceThread"},
    "event": {"id": "Event"},
    "referralProgram": {"id": "ReferralProgram"},
    "fraudCase": {"id": "FraudCase"},
    "referral": {"id": "Referral"},
    "reward": {"id": "Reward"},
    "earningRule": {"id": "EarningRule"},
    "node": {"id": "Complaint"},
}


def kind_of(operation: str, field: str) -> str:
    """Of which kind the ids are that a field or argument of an operation takes."""
    kinds = {**KINDS, "customer": "Customer"}
    return IDS.get(operation, {}).get(field) or kinds[field]


def value_of(operation: str, name: str, field: Any, ids: Mapping[str, str]) -> Any:
    """A good value for an argument or a field of an input."""
    kind = field.type.of_type if isinstance(field.type, GraphQLNonNull) else field.type
    named = get_named_type(kind)
    if named.name == "ID":
        wanted = kind_of(operation, name)
        found: Any = ids.get(wanted) or global_id(wanted, new_id())
    elif isinstance(named, GraphQLInputObjectType):
        found = input_of(operation, named, ids)
    elif isinstance(named, GraphQLEnumType):
        found = next(iter(named.values))
    else:
        found = VALUES.get(name, VALUES.get(named.name))
    return [found] if isinstance(kind, GraphQLList) else found


def input_of(operation: str, named: GraphQLInputObjectType, ids: Mapping[str, str]) -> dict[str, Any]:
    """An input with every field that it must have, and with whose thing it is where it may say so."""
    return {
        name: value_of(operation, name, field, ids)
        for name, field in named.fields.items()
        if is_required_input_field(field) or name in NAMED
    }


def document_of(
    operation: str, ids: Mapping[str, str], given: Mapping[str, Any], asked: str | None = None
) -> tuple[str, dict[str, Any]]:
    """The document and its variables; what is `given` stands in place of what is made up, in the input where it is one.

    A value of None leaves the argument out. `asked` is what is asked of the answer, where not the least.
    """
    root = OPERATIONS[operation]
    field = ROOTS[root][operation]
    variables: dict[str, Any] = {}
    for name, argument in field.args.items():
        if is_required_argument(argument) or name in NAMED or name in given:
            variables[name] = value_of(operation, name, argument, ids)
    for name, value in given.items():
        target = variables if name in field.args else variables["input"]
        target[name] = value
        if value is None:
            del target[name]
    declared = ", ".join(f"${name}: {field.args[name].type}" for name in variables)
    passed = ", ".join(f"{name}: ${name}" for name in variables)
    head = f"{root}({declared})" if declared else root
    wanted = asked_of(operation, field) if asked is None else asked
    return f"{head} {{ {operation}{f'({passed})' if passed else ''} {wanted} }}", variables


def asked_of(operation: str, field: GraphQLField) -> str:
    """What is asked of the answer: codes of a mutation, ids of a list, what costs nothing of anything else."""
    named = get_named_type(field.type)
    if is_leaf_type(named):
        return ""
    if operation == "checkInBatch":
        return "{ __typename ... on CheckInBatchSuccess { results { outcome } } ... on Refusal { code message path } }"
    if isinstance(named, GraphQLUnionType):
        return "{ __typename ... on Refusal { code message path } }"
    if named.name.endswith("Connection"):
        return "{ edges { node " + node_of(named) + " } }"
    return "{ __typename }"


def node_of(connection: GraphQLNamedType) -> str:
    edge = get_named_type(cast(GraphQLObjectType, connection).fields["edges"].type)
    node = get_named_type(cast(GraphQLObjectType, edge).fields["node"].type)
    if is_leaf_type(node):
        return ""
    has_id = not isinstance(node, GraphQLUnionType) and "id" in cast(GraphQLObjectType, node).fields
    return "{ __typename id }" if has_id else "{ __typename }"


def made_of(operation: str) -> str:
    """A document that does something and asks for the id of what it made."""
    union = cast(GraphQLUnionType, get_named_type(ROOTS["mutation"][operation].type))
    success = next(one for one in union.types if one.name != "Refusal")
    named = next(
        name
        for name, field in success.fields.items()
        if isinstance(kind := get_named_type(field.type), GraphQLObjectType) and "id" in kind.fields
    )
    kind = ROOTS["mutation"][operation].args["input"].type
    return (
        f"mutation($input: {kind}) {{ {operation}(input: $input) {{ __typename ... on {success.name} "
        f"{{ {named} {{ id }} }} ... on Refusal {{ code message path }} }} }}"
    )
