"""Segments over GraphQL: previewed, made, changed and archived, and lists of customers by them."""

from typing import Any

import pytest

from api.relay import global_id
from tests.api.conftest import System
from tests.api.test_customer_tags import SERVE, TAG, make_tags, served
from tests.api.test_way_through import local_of

pytestmark = pytest.mark.anyio

PREVIEW = "query($c: JSON!) { previewSegment(condition: $c) { count words sample { id displayName } } }"
CREATE = """
mutation($c: JSON!, $name: String! = "客群") {
  createSegment(input: {nameZh: $name, nameEn: "Circle", condition: $c}) {
    __typename ... on CreateSegmentSuccess { segment { id version words count } } ... on Refusal { code }
  }
}
"""
UPDATE = """
mutation($id: ID!, $c: JSON) {
  updateSegment(input: {segmentId: $id, condition: $c}) {
    __typename ... on UpdateSegmentSuccess { segment { version condition } } ... on Refusal { code path }
  }
}
"""
ARCHIVE = """
mutation($id: ID!) {
  archiveSegment(input: {segmentId: $id, reason: "Done"}) {
    __typename ... on ArchiveSegmentSuccess { segment { archivedAt } } ... on Refusal { code }
  }
}
"""
SEGMENT = """
query($id: ID!) {
  segment(id: $id) { name words count archivedAt customers(first: 5) { edges { node { id } } } }
}
"""
NODE = "query($id: ID!) { node(id: $id) { __typename ... on Segment { name } } }"
LIST = "query($archived: Boolean! = false) { segments(first: 100, archived: $archived) { edges { node { id } } } }"
CUSTOMERS = """
query($s: ID, $f: CustomerFilter, $first: Int, $after: String) {
  customers(segment: $s, filter: $f, first: $first, after: $after) {
    edges { node { id displayName } } pageInfo { hasNextPage endCursor }
  }
}
"""


def ids_of(connection: dict[str, Any]) -> list[str]:
    return [edge["node"]["id"] for edge in connection["edges"]]


async def test_a_segment_is_previewed_made_and_read(system: System, unique: str) -> None:
    """Given two tagged customers of whom one is served; then administrators see both, the manager their own."""
    _, customer, zhou = await served(system, unique)
    await system.customer(f"mei-{unique}")
    other = global_id("Customer", local_of(f"mei-{unique}"))
    admin = system.caller("he", "administrator")
    (tea,) = await make_tags(system, unique, "tea", family="INTEREST")
    for one in (customer, other):
        await admin.ask(TAG, id=one, tag=tea)
    condition = {"all": [{"tag": tea}, {"not": {"tier": {"in": ["VIP"]}}}]}
    seen = (await admin.ask(PREVIEW, c=condition))["previewSegment"]
    assert (seen["count"], seen["words"]) == (2, "has the tag “Tea” and not (tier is VIP)")
    assert sorted(one["id"] for one in seen["sample"]) == sorted([customer, other])
    made = (await admin.ask(CREATE, c=condition))["createSegment"]["segment"]
    assert (made["version"], made["count"]) == (1, 2)
    found = (await zhou.ask(SEGMENT, id=made["id"]))["segment"]
    assert (found["count"], ids_of(found["customers"])) == (1, [customer])
    assert (await zhou.ask(NODE, id=made["id"]))["node"] == {"__typename": "Segment", "name": "Circle"}
    assert made["id"] in ids_of((await zhou.ask(LIST))["segments"])
    everybody = (await admin.ask(SEGMENT, id=made["id"]))["segment"]
    assert sorted(ids_of(everybody["customers"])) == sorted([customer, other])


async def test_a_segment_has_versions_and_an_archived_one_changes_no_more(system: System, unique: str) -> None:
    admin = system.caller("he", "administrator")
    made = (await admin.ask(CREATE, c={"tier": {"in": ["VIP"]}}))["createSegment"]["segment"]
    condition = {"tier": {"at_least": "POTENTIAL"}}
    for version in (2, 2):
        changed = (await admin.ask(UPDATE, id=made["id"], c=condition))["updateSegment"]["segment"]
        assert changed == {"version": version, "condition": condition}
    first = (await admin.ask(ARCHIVE, id=made["id"]))["archiveSegment"]["segment"]
    assert first["archivedAt"] and (await admin.ask(ARCHIVE, id=made["id"]))["archiveSegment"]["segment"] == first
    refused = (await admin.ask(UPDATE, id=made["id"], c=condition))["updateSegment"]
    assert refused == {"__typename": "Refusal", "code": "SEGMENT_ARCHIVED", "path": ["input", "segmentId"]}
    assert made["id"] not in ids_of((await admin.ask(LIST))["segments"])
    assert made["id"] in ids_of((await admin.ask(LIST, archived=True))["segments"])
    absent = (await admin.ask(UPDATE, id=global_id("Segment", local_of("none")), c=condition))["updateSegment"]
    assert absent["code"] == "NOT_FOUND"


async def test_errors_name_the_leaf(system: System, unique: str) -> None:
    admin = system.caller("he", "administrator")
    condition = {"all": [{"tier": {"in": ["VIP"]}}, {"trait": {"name": "assets", "gte": "much"}}]}
    for document, variables in ((PREVIEW, {"c": condition}), (CREATE, {"c": condition})):
        error = await admin.fail(document, **variables)
        assert error["extensions"]["reason"] == "CONDITION_INVALID"
        assert error["extensions"]["inputPath"] == ["condition", "all", "1", "trait", "gte"]
    error = await admin.fail(CUSTOMERS, f={"condition": {"tag": "no-such"}})
    assert error["extensions"]["inputPath"] == ["filter", "condition", "tag"]
    assert (await admin.fail(CREATE, c={"tier": {"in": ["VIP"]}}, name=" "))["extensions"][
        "reason"
    ] == "SEGMENT_INVALID"


async def test_customers_are_listed_to_their_manager_and_to_administrators(system: System, unique: str) -> None:
    """Given three customers of one manager and one of nobody; then each lists their own, page by page, and no other."""
    manager, names = f"zhou-{unique}", [f"{unique}-{n}" for n in range(4)]
    for name in names:
        await system.customer(name)
    for name in names[:3]:
        await system.edge.graph.write(SERVE, id=local_of(name), manager=manager)
    mine = [mine_of(name) for name in sorted(names[:3], key=local_of)]
    zhou, admin = system.caller(manager, "relationship_manager"), system.caller("he", "administrator")
    page = (await zhou.ask(CUSTOMERS, first=2))["customers"]
    rest = (await zhou.ask(CUSTOMERS, first=2, after=page["pageInfo"]["endCursor"]))["customers"]
    assert ids_of(page) + ids_of(rest) == mine and not rest["pageInfo"]["hasNextPage"]
    part = names[0][-20:]
    assert ids_of((await zhou.ask(CUSTOMERS, f={"name": part}))["customers"]) == [mine_of(names[0])]
    assert ids_of((await admin.ask(CUSTOMERS, f={"name": names[3][-20:]}))["customers"]) == [mine_of(names[3])]
    assert ids_of((await zhou.ask(CUSTOMERS, f={"condition": {"tier": {"at_least": "VIP"}}}))["customers"]) == []
    error = await admin.fail(CUSTOMERS, f={"name": ""})
    assert error["extensions"]["reason"] == "CUSTOMER_FILTER_INVALID"


def mine_of(name: str) -> str:
    return global_id("Customer", local_of(name))


async def test_segments_are_the_banks_own(system: System, unique: str) -> None:
    """Given a segment; then customers find nothing of it, and managers change nothing."""
    admin = system.caller("he", "administrator")
    made = (await admin.ask(CREATE, c={"tier": {"in": ["VIP"]}}))["createSegment"]["segment"]
    customer = await system.customer(f"c-{unique}")
    for document, variables in ((SEGMENT, {"id": made["id"]}), (LIST, {}), (CUSTOMERS, {})):
        assert (await customer.fail(document, **variables))["extensions"]["code"] == "FORBIDDEN"
    assert (await customer.ask(NODE, id=made["id"]))["node"] is None
    zhou = system.caller(f"zhou-{unique}", "relationship_manager")
    condition = {"tier": {"in": ["VIP"]}}
    for caller in (customer, zhou):
        for document, variables in (
            (PREVIEW, {"c": condition}),
            (CREATE, {"c": condition}),
            (UPDATE, {"id": made["id"], "c": condition}),
            (ARCHIVE, {"id": made["id"]}),
        ):
            assert (await caller.fail(document, **variables))["extensions"]["code"] == "FORBIDDEN"
