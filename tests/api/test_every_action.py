"""Every action that the schema has, tried by those who may not: one that is added is tried here without being asked.

The documents are made from the schema, with good values for every field that an input must have, so that what is
refused is refused for who asks and not for what is asked.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    build_schema,
    get_named_type,
    is_leaf_type,
    is_required_argument,
    is_required_input_field,
)

from api.relay import global_id
from community.access import MemberRole
from community.comments import NewComment, create_comment
from core.clock import iso, utc_now
from core.ids import new_id
from core.processes import REPOSITORY
from tests.api.conftest import Caller, System
from tests.api.test_denials import state
from tests.api.test_way_through import local_of
from tests.community.places import add_member, make_community, make_customers, make_event
from tests.community.writings import write_post
from tests.loyalty.redeeming import reserve_one
from tests.referrals.programs import code_of, make_program

pytestmark = pytest.mark.anyio

SCHEMA = build_schema((REPOSITORY / "api" / "schema.graphql").read_text())
MUTATIONS = cast(GraphQLObjectType, SCHEMA.mutation_type).fields
QUERIES = cast(GraphQLObjectType, SCHEMA.query_type).fields

# What is not done to somebody else's thing, or is for the bank's staff and systems: there is nothing to be denied to an
# outsider of a community.
ONES_OWN = {
    "signUp",
    "createCommunity",
    "claimReferral",
    "joinReferralLeaderboard",
    "leaveReferralLeaderboard",
    "redeemReward",
    "transferPoints",
    "markNotificationsRead",
    "setNotificationPreference",
    "setMessagePreferences",
    "createCalendarFeed",
    "revokeCalendarFeed",
    "restoreRecommendation",
    "openRecommendation",
    "setDiscoverability",
    "askAdvisor",
}
STAFF_ONLY = {
    "importBatch",
    "decideIdentityReview",
    "breakGlass",
    # Tried with somebody else's id; one's own is in test_consents and test_erasure.
    "grantConsent",
    "revokeConsent",
    "eraseCustomer",
    "mergeCustomers",
    "createReferralProgram",
    "updateReferralProgram",
    "activateReferralProgram",
    "pauseReferralProgram",
    "endReferralProgram",
    "simulateReferralProgram",
    "recordFacts",
    "createReward",
    "adjustPoints",
    "approveAdjustment",
    "rejectAdjustment",
    "closeDay",
    # Tried with somebody else's id; one's own is in test_points.
    "exportStatement",
    "updateReward",
    "retireReward",
    "restockReward",
    "addCouponCodes",
    "fulfillRedemption",
    "failRedemption",
    "useVoucher",
    "createEarningRule",
    "updateEarningRule",
    "activateEarningRule",
    "pauseEarningRule",
    "retireEarningRule",
    "simulateEarningRule",
    "previewClawback",
    "clawBackReward",
    "declareHousehold",
    "endHousehold",
    "reviewReferralReward",
    "acknowledgeAlert",
    # Tried with somebody else's id; one's own is in test_care.
    "addCareDate",
    "muteCare",
    "unmuteCare",
    "createCarePolicy",
    "activateCarePolicy",
    "resolveAlert",
    "createProduct",
    "updateProduct",
    "createRiskQuestionnaire",
    "activateRiskQuestionnaire",
    "draftAdviceNote",
    "publishAdviceNote",
    "confirmNeed",
    "meetNeed",
    "putNeedKind",
    "createAlertPolicy",
    "previewAlertPolicy",
    "activateAlertPolicy",
    "createNeedPolicy",
    "previewNeedPolicy",
    "activateNeedPolicy",
    "decideFraudCase",
    "createTag",
    "mergeTags",
    "tagCustomer",
    "untagCustomer",
    "createSegment",
    "updateSegment",
    "archiveSegment",
    "createTierPolicy",
    "activateTierPolicy",
    "overrideTier",
    "approveTierOverride",
    "rejectTierOverride",
    "endTierOverride",
    "createRecommendationPolicy",
    "activateRecommendationPolicy",
    "startRecommendationExperiment",
    "endRecommendationExperiment",
    "assignComplaint",
    "pauseComplaint",
    "resumeComplaint",
    "handOff",
    "acceptHandOff",
    "declineHandOff",
    "extendComplaint",
    "decideComplaintExtension",
    "closeComplaint",
    "nameAccusedEmployee",
    "createComplaintPolicy",
    "activateComplaintPolicy",
    "createBusinessCalendar",
    "updateBusinessCalendar",
    "completeTask",
    "cancelTask",
    "logInteraction",
    "createActionPlanTemplate",
    "retireActionPlanTemplate",
    "startActionPlan",
    "cancelActionPlan",
    "createFollowUpPolicy",
    "activateFollowUpPolicy",
    "createEntitlementPolicy",
    "activateEntitlementPolicy",
    "createMessagePolicy",
    "activateMessagePolicy",
    "createWebhookEndpoint",
    "rotateWebhookSecret",
    "disableWebhookEndpoint",
    "replayDeadLetter",
    "createContent",
    "updateContent",
    "reviewContent",
    "publishContent",
    "retireContent",
    "recordRecovery",
    "createServiceBreakRule",
    "updateServiceBreakRule",
    "previewServiceBreakRule",
    "activateServiceBreakRule",
    "pauseServiceBreakRule",
    "retireServiceBreakRule",
    "createSurveyPolicy",
    "activateSurveyPolicy",
}
# Whoever reads what is public may say that it breaks the rules, a banned customer too; nor to be recommended it.
ALLOWED_TO_THE_BANNED = {"createReport", "dismissRecommendation"}

# Ids of which kind the fields of inputs take.
KINDS = {
    "communityId": "Community",
    "eventId": "Event",
    "customerId": "Customer",
    "postId": "Post",
    "commentId": "Comment",
    "targetId": "Post",
    "rewardId": "Reward",
    "programId": "ReferralProgram",
    "ruleId": "EarningRule",
    "ids": "Notification",
    "id": "Community",
    "postingId": "Posting",
    "codeId": "ReferralCode",
    "customerIds": "Customer",
    "householdId": "Household",
    "caseId": "FraudCase",
    "adjustmentId": "Adjustment",
    "reviewId": "IdentityReview",
    "survivorId": "Customer",
    "mergedId": "Customer",
    "redemptionId": "Redemption",
    "segmentId": "Segment",
    "policyId": "TierPolicy",
    "overrideId": "TierOverride",
    "alertId": "Alert",
    "careDateId": "CareDate",
    "needId": "Need",
    "recommendedId": "Community",
    "complaintId": "Complaint",
    "calendarId": "BusinessCalendar",
    "taskId": "Task",
    "templateId": "ActionPlanTemplate",
    "planId": "ActionPlan",
    "endpointId": "WebhookEndpoint",
    "deliveryId": "MessageDelivery",
    "contentId": "ContentArticle",
    "productId": "Product",
    "questionnaireId": "RiskQuestionnaire",
    "noteId": "AdviceNote",
    "breakId": "ServiceBreak",
    "surveyId": "Survey",
}
VALUES: Mapping[str, Any] = {
    "String": "words",
    "Int": 1,
    "Float": 1.0,
    "Boolean": True,
    "JSON": {},
    "Date": "2020-01-01",
    "DateTime": iso(utc_now() + timedelta(days=1)),
    "recurrenceRule": "FREQ=WEEKLY;COUNT=3",
    "rule": "FREQ=WEEKLY;COUNT=3",
    "startsAtLocal": "2031-01-01T10:00:00",
    "endsAt": iso(utc_now() + timedelta(days=1, hours=2)),
    "durationMinutes": 60,
    "rating": 5,
    "position": 1,
    "idempotencyKey": "a-key-of-ours",
}


def value_of(name: str, field: GraphQLInputField | Any, ids: Mapping[str, str]) -> Any:
    """A good value for a field of an input or an argument."""
    kind = field.type.of_type if isinstance(field.type, GraphQLNonNull) else field.type
    named = get_named_type(kind)
    if named.name == "ID":
        found: Any = ids.get(KINDS[name]) or global_id(KINDS[name], new_id())
    elif isinstance(named, GraphQLInputObjectType):
        found = filled(named, ids)
    elif isinstance(named, GraphQLEnumType):
        found = next(iter(named.values))
    else:
        found = VALUES.get(name, VALUES.get(named.name))
    return [found] if isinstance(kind, GraphQLList) else found


def filled(named: GraphQLInputObjectType, ids: Mapping[str, str]) -> dict[str, Any]:
    """The input with every field that it must have, and with somebody else's id where it may have one."""
    return {
        name: value_of(name, field, ids)
        for name, field in named.fields.items()
        if is_required_input_field(field) or name in ("reason", "customerId", "eventId")
    }


def document_of(name: str, field: GraphQLField, ids: Mapping[str, str], root: str) -> tuple[str, dict[str, Any]]:
    given = {key: argument for key, argument in field.args.items() if is_required_argument(argument)}
    variables = {key: value_of(key, argument, ids) for key, argument in given.items()}
    declared = ", ".join(f"${key}: {argument.type}" for key, argument in given.items())
    passed = ", ".join(f"{key}: ${key}" for key in given)
    shown = "... on CheckInBatchSuccess { results { outcome } }" if name == "checkInBatch" else ""
    asked = f"{{ __typename ... on Refusal {{ code message path }} {shown} }}"
    if is_leaf_type(get_named_type(field.type)):
        asked = ""
    if root == "query":
        asked = "" if not asked else "{ __typename }"
    head = f"{root}({declared})" if declared else root
    return f"{head} {{ {name}{f'({passed})' if passed else ''} {asked} }}", variables


async def outcome(caller: Caller, name: str, ids: Mapping[str, str]) -> tuple[str, Any]:
    """The code of what was refused, with its words and path; SUCCESS for what was done."""
    document, variables = document_of(name, MUTATIONS[name], ids, "mutation")
    answer = (await caller.post(document, variables)).json()
    if answer.get("errors"):
        error = answer["errors"][0]
        extensions = error["extensions"]
        return extensions["code"], (error["message"], extensions.get("reason"), extensions.get("inputPath"))
    data = answer["data"][name]
    if "results" in data:
        # Of a list each line has an answer of its own.
        return data["results"][0]["outcome"], (None, None)
    return data.get("code", "SUCCESS"), (data.get("message"), data.get("path"))


async def test_nobody_does_or_sees_anything(system: System) -> None:
    """Given no token, then every mutation and every query says so, whatever was asked, and nothing has changed."""
    before = await state(system)
    nobody = system.caller(None)
    for name in MUTATIONS:
        code, told = await outcome(nobody, name, {})
        assert code == "UNAUTHENTICATED", (name, told)
    for name, field in QUERIES.items():
        document, variables = document_of(name, field, {}, "query")
        error = await nobody.fail(document, **variables)
        assert error["extensions"]["code"] == "UNAUTHENTICATED", (name, error)
    assert await state(system) == before


async def test_who_has_no_profile_does_nothing_but_sign_up(system: System, unique: str) -> None:
    stranger = system.caller(f"new-{unique}", "customer")
    before = await state(system)
    for name in MUTATIONS.keys() - {"signUp"}:
        expected = "FORBIDDEN" if name in STAFF_ONLY else "NOT_SIGNED_UP"
        code, told = await outcome(stranger, name, {})
        assert code == expected, (name, told)
    assert await state(system) == before


async def furnish(system: System, visibility: str) -> dict[str, str]:
    """A community with one of everything that actions are done to; returns global ids by kind."""
    graph = system.edge.graph
    owner, member = await make_customers(graph, 2)
    community = await make_community(graph, owner_id=owner, visibility=visibility)
    await add_member(graph, community, member, MemberRole.MEMBER)
    event = await make_event(graph, community)
    post = await write_post(graph, community, member)
    comment, _ = await create_comment(
        graph, NewComment(post_id=post, text="Hi", language="en"), author_id=owner, now=utc_now()
    )
    code = await code_of(system.edge.database, await make_program(system.edge.database), member)
    found = {"Community": community, "Event": event, "Post": post, "Comment": comment, "Customer": member}
    found["ReferralCode"] = code.id
    found["Reward"], found["Redemption"] = await reserve_one(system.edge.database, member)
    return {kind: global_id(kind, local) for kind, local in found.items()}


async def test_for_an_outsider_what_is_private_is_as_if_it_were_absent(system: System, unique: str) -> None:
    """Given a private community with one of everything, then each action answers as it does for what is not there."""
    outsider = await system.customer(f"o-{unique}")
    there = await furnish(system, "PRIVATE")
    absent = {kind: global_id(kind, new_id()) for kind in there if kind != "Customer"} | {"Customer": there["Customer"]}
    before = await state(system)
    for name in MUTATIONS.keys() - ONES_OWN:
        answers = [await outcome(outsider, name, ids) for ids in (there, absent)]
        assert answers[0] == answers[1], name
        assert answers[0][0] in ("NOT_FOUND", "FORBIDDEN") or answers[0][1][1] == "NOT_FOUND", (name, answers[0])
    assert await state(system) == before


async def test_a_banned_customer_does_nothing_in_the_community(system: System, unique: str) -> None:
    """Given a ban from a public community, then every action on what is in it is refused, and nothing has changed."""
    banned = await system.customer(f"b-{unique}")
    there = await furnish(system, "PUBLIC")
    community = await system.edge.graph.read("MATCH (c:Community) RETURN c.id AS id ORDER BY c.created_at DESC LIMIT 1")
    await add_member(system.edge.graph, community[0]["id"], local_of(f"b-{unique}"), MemberRole.BANNED)
    before = await state(system)
    for name in MUTATIONS.keys() - ONES_OWN - ALLOWED_TO_THE_BANNED:
        code, told = await outcome(banned, name, there)
        assert code != "SUCCESS", (name, told)
        assert code not in ("INTERNAL_SERVER_ERROR", "GRAPHQL_VALIDATION_FAILED"), (name, told)
    assert await state(system) == before
