"""Tags by staff, over GraphQL: created, put on and taken off customers, merged, and read as of any instant."""

from typing import Any

import pytest

from api.relay import global_id
from tests.api.conftest import Caller, System
from tests.api.test_round_trips import cost
from tests.api.test_way_through import local_of

pytestmark = pytest.mark.anyio

CREATE_TAG = """
mutation($key: String!, $family: TagFamily!) {
  createTag(input: {key: $key, nameZh: "茶", nameEn: "Tea", family: $family}) {
    __typename ... on CreateTagSuccess { tag { key name family } } ... on Refusal { code path }
  }
}
"""
TAG = """
mutation($id: ID!, $tag: String!, $until: DateTime, $confidence: Float! = 1) {
  tagCustomer(input: {customerId: $id, tag: $tag, reason: "He told me", until: $until, confidence: $confidence}) {
    __typename ... on TagCustomerSuccess { customer { id } tags { tag { key } source } } ... on Refusal { code path }
  }
}
"""
UNTAG = """
mutation($id: ID!, $tag: String!) {
  untagCustomer(input: {customerId: $id, tag: $tag, reason: "Not any more"}) {
    __typename ... on UntagCustomerSuccess { tags { tag { key } } } ... on Refusal { code path }
  }
}
"""
MERGE = """
mutation($from: String!, $into: String!) {
  mergeTags(input: {from: $from, into: $into, reason: "The same thing"}) {
    __typename ... on MergeTagsSuccess { tag { key } } ... on Refusal { code path }
  }
}
"""
WHOLE = """
query($id: ID!, $asOf: DateTime) {
  customer360(id: $id) {
    tags(asOf: $asOf) { tag { key } confidence }
    tagHistory(first: 10) { edges { node { tag { key } since endedAt endReason setBy } } }
  }
}
"""
SERVE = "MATCH (c:Customer {id: $id}) MERGE (e:Employee {id: $manager}) MERGE (c)-[:SERVED_BY]->(e)"
EDGES = "MATCH (:Customer {id: $id})-[:TAGGED]->(t:Tag) RETURN t.key AS key ORDER BY key"


COSTS = {"tagCustomer": (2, 10), "untagCustomer": (2, 9)}


async def served(system: System, unique: str) -> tuple[str, str, Caller]:
    """A customer (local and global id) and the customer's own relationship manager."""
    await system.customer(f"lin-{unique}")
    local = local_of(f"lin-{unique}")
    await system.edge.graph.write(SERVE, id=local, manager=f"zhou-{unique}")
    return local, global_id("Customer", local), system.caller(f"zhou-{unique}", "relationship_manager")


async def make_tags(system: System, unique: str, *names: str, family: str = "LIFE_CYCLE") -> list[str]:
    admin = system.caller("he", "administrator")
    keys = [f"{name}-{unique}" for name in names]
    for key in keys:
        answer = (await admin.ask(CREATE_TAG, key=key, family=family))["createTag"]
        assert answer == {"__typename": "CreateTagSuccess", "tag": {"key": key, "name": "Tea", "family": family}}
    return keys


def keys_of(tags: list[Any]) -> list[str]:
    return sorted(one["tag"]["key"] for one in tags)


async def test_a_life_cycle_tag_ends_the_other_and_history_answers_as_of(system: System, unique: str) -> None:
    """Given a tag of the life cycle; when another is put on; then one stands, and before it the other did."""
    local, customer, zhou = await served(system, unique)
    young, retired = await make_tags(system, unique, "young", "retired")
    assert keys_of((await zhou.ask(TAG, id=customer, tag=young))["tagCustomer"]["tags"]) == [young]
    assert keys_of((await zhou.ask(TAG, id=customer, tag=young))["tagCustomer"]["tags"]) == [young]
    assert keys_of((await zhou.ask(TAG, id=customer, tag=retired))["tagCustomer"]["tags"]) == [retired]
    whole = (await zhou.ask(WHOLE, id=customer))["customer360"]
    spans = [edge["node"] for edge in whole["tagHistory"]["edges"]]
    assert [(one["tag"]["key"], one["endReason"]) for one in spans] == [(retired, None), (young, "EXCLUDED")]
    assert spans[0]["setBy"] == f"zhou-{unique}" and spans[1]["endedAt"] == spans[0]["since"]
    as_of = (await zhou.ask(WHOLE, id=customer, asOf=spans[1]["since"]))["customer360"]["tags"]
    assert keys_of(as_of) == [young] and keys_of(whole["tags"]) == [retired]
    await system.work()
    assert await system.edge.graph.read(EDGES, id=local) == [{"key": retired}]
    assert keys_of((await zhou.ask(UNTAG, id=customer, tag=retired))["untagCustomer"]["tags"]) == []
    await system.work()
    assert await system.edge.graph.read(EDGES, id=local) == []
    again = (await zhou.ask(UNTAG, id=customer, tag=retired))["untagCustomer"]
    assert again == {"__typename": "Refusal", "code": "NOT_FOUND", "path": ["input", "tag"]}


async def test_only_who_looks_after_a_customer_tags_and_only_administrators_make_words(
    system: System, unique: str
) -> None:
    """Given a customer of another manager; then tagging is refused as for nobody, and nothing has changed."""
    local, customer, _ = await served(system, unique)
    (key,) = await make_tags(system, unique, "young")
    other = system.caller(f"other-{unique}", "relationship_manager")
    own = system.caller(f"lin-{unique}", "customer", "relationship_manager")
    for caller in (other, own):
        for document in (TAG, UNTAG):
            assert (await caller.fail(document, id=customer, tag=key))["extensions"]["code"] == "FORBIDDEN"
        for document, variables in ((CREATE_TAG, {"key": f"x-{unique}", "family": "NEED"}), (MERGE, {"from": key})):
            error = await caller.fail(document, **{"into": key, **variables})
            assert error["extensions"]["code"] == "FORBIDDEN"
    assert (await other.fail(WHOLE, id=customer))["extensions"]["code"] == "FORBIDDEN"
    await system.work()
    assert await system.edge.graph.read(EDGES, id=local) == []


@pytest.mark.parametrize(
    ("document", "variables", "reason"),
    [
        (CREATE_TAG, {"key": "Big", "family": "NEED"}, "TAG_INVALID"),
        (TAG, {"confidence": 1.5}, "TAGGING_INVALID"),
        (TAG, {"until": "2020-01-01T00:00:00Z"}, "TAGGING_INVALID"),
        (MERGE, {}, "TAG_MERGE_INVALID"),
    ],
)
async def test_what_cannot_be_is_refused(
    system: System, unique: str, document: str, variables: dict[str, Any], reason: str
) -> None:
    _, customer, _ = await served(system, unique)
    (key,) = await make_tags(system, unique, "young")
    given = {"id": customer, "tag": key, "from": key, "into": key, "key": key, **variables}
    names = {name for name in given if f"${name}" in document}
    error = await system.caller("he", "administrator").fail(document, **{name: given[name] for name in names})
    assert error["extensions"]["reason"] == reason


async def test_the_cost_of_each_act(system: System, unique: str) -> None:
    """Given a customer with a tag of the life cycle; when another takes its place and is taken off, it costs this."""
    _, customer, zhou = await served(system, unique)
    young, retired = await make_tags(system, unique, "young", "retired")
    await zhou.ask(TAG, id=customer, tag=young)
    found = {
        "tagCustomer": await cost(system, zhou, TAG, id=customer, tag=retired),
        "untagCustomer": await cost(system, zhou, UNTAG, id=customer, tag=retired),
    }
    assert found == COSTS


async def test_a_tag_is_made_once_and_a_merged_key_goes_on_to_mean_the_other(system: System, unique: str) -> None:
    local, customer, zhou = await served(system, unique)
    admin = system.caller("he", "administrator")
    tea, drink = await make_tags(system, unique, "tea", "drink", family="INTEREST")
    again = (await admin.ask(CREATE_TAG, key=tea, family="INTEREST"))["createTag"]
    assert again == {"__typename": "Refusal", "code": "TAG_EXISTS", "path": ["input", "key"]}
    await zhou.ask(TAG, id=customer, tag=tea)
    for _ in range(2):
        assert (await admin.ask(MERGE, **{"from": tea, "into": drink}))["mergeTags"]["tag"] == {"key": drink}
    await system.work()
    assert await system.edge.graph.read(EDGES, id=local) == [{"key": drink}]
    # Named by its old key it is the other one, which the customer carries as it is said.
    assert keys_of((await zhou.ask(TAG, id=customer, tag=tea))["tagCustomer"]["tags"]) == [drink]
    assert keys_of((await zhou.ask(UNTAG, id=customer, tag=tea))["untagCustomer"]["tags"]) == []
    missing = (await zhou.ask(TAG, id=customer, tag="no-such"))["tagCustomer"]
    assert missing == {"__typename": "Refusal", "code": "NOT_FOUND", "path": ["input", "tag"]}
