"""Eligibility: the function says what the rule means, and the query says the same."""

import itertools
from typing import LiteralString

import pytest

from core.clock import iso, utc_now
from core.ids import new_id
from graph.client import GraphClient, Row
from graph.eligibility import ELIGIBLE, HELD_TAGS, TIERS, is_eligible

TAGS = ["a", "b"]
SETS = [[], ["a"], ["a", "b"]]
ENDED, ENDING = "2020-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"


def test_the_rule_in_plain_words() -> None:
    """Given tiers and tags; then nothing asked is met by all, a tier by it and those above, tags by all of them."""
    assert is_eligible(None, [], None, None)
    assert is_eligible(None, [], "MASS", [])
    assert not is_eligible(None, [], "POTENTIAL", [])
    assert is_eligible("VIP", [], "POTENTIAL", [])
    assert not is_eligible("POTENTIAL", [], "VIP", [])
    assert is_eligible(None, ["a", "b"], None, ["a"])
    assert not is_eligible("VIP", ["a"], None, ["a", "b"])


PUT_CUSTOMERS = """
UNWIND $rows AS row
CREATE (c:Customer {id: row.id, tier: row.tier})
WITH c, row
UNWIND row.tags AS held
MATCH (t:Tag {key: held.key})
CREATE (c)-[:TAGGED {until: held.until}]->(t)
"""
PUT_TAGS = "UNWIND $keys AS key MERGE (:Tag {key: key})"


@pytest.mark.anyio
async def test_the_query_says_what_the_function_says(graph: GraphClient, unique: str) -> None:
    """Given every tier and tags that hold, end later or have ended; when both are asked; then they agree."""
    now = iso(utc_now())
    names = {tag: f"{unique}-{tag}" for tag in TAGS}
    await graph.write(PUT_TAGS, keys=list(names.values()))
    customers: list[Row] = [
        {"id": new_id(), "tier": tier, "tags": [{"key": names[tag], "until": until} for tag in tags], "held": until}
        for tier, tags, until in itertools.product([None, *TIERS], SETS, [None, ENDED, ENDING])
    ]
    await graph.write(PUT_CUSTOMERS, rows=customers)
    asked = [
        {"minimum_tier": tier, "required_tags": None if tags is None else [names[tag] for tag in tags]}
        for tier, tags in itertools.product([None, *TIERS], [None, *SETS])
    ]
    query: LiteralString = (
        "UNWIND $asked AS x MATCH (me:Customer) WHERE me.id IN $ids RETURN x.minimum_tier AS minimum_tier, "
        "x.required_tags AS required_tags, me.id AS id, me.tier AS tier, "
        + HELD_TAGS
        + " AS tags, "
        + ELIGIBLE
        + " AS eligible"
    )
    rows = await graph.read(query, asked=asked, ids=[row["id"] for row in customers], now=now)
    assert len(rows) == len(asked) * len(customers)
    held = {row["id"]: [tag["key"] for tag in row["tags"] if row["held"] != ENDED] for row in customers}
    for row in rows:
        assert sorted(row["tags"]) == held[row["id"]]
        assert bool(row["eligible"]) == is_eligible(
            row["tier"], row["tags"], row["minimum_tier"], row["required_tags"]
        ), row


@pytest.mark.anyio
async def test_nobody_is_eligible_for_what_asks_something(graph: GraphClient) -> None:
    query: LiteralString = (
        "UNWIND $asked AS x OPTIONAL MATCH (me:Customer {id: 'nobody'}) RETURN " + ELIGIBLE + " AS eligible"
    )
    asked = [{"minimum_tier": None}, {"minimum_tier": "VIP"}, {"required_tags": ["a"]}]
    rows = await graph.read(query, asked=asked, now=iso(utc_now()))
    assert [bool(row["eligible"]) for row in rows] == [True, False, False]
