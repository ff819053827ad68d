"""The vocabulary of tags: everybody finds interests, and the bank's own words are for its staff."""

import pytest

from tests.api.conftest import System
from tests.api.test_way_through import local_of
from tests.community.places import make_community

pytestmark = pytest.mark.anyio

PUT = """
UNWIND $keys AS key
CREATE (:Tag {key: key, name_zh: '茶', name_en: 'Tea', family: $family})
"""
TAGS = """
query($family: TagFamily! = INTEREST, $after: String) {
  tags(family: $family, first: 100, after: $after) {
    edges { node { key name family } }
    pageInfo { hasNextPage endCursor }
  }
}
"""


async def all_keys(system: System, subject: str, role: str, **variables: str) -> set[str]:
    caller, after, found = system.caller(subject, role), None, set[str]()
    while True:
        page = (await caller.ask(TAGS, after=after, **variables))["tags"]
        found |= {edge["node"]["key"] for edge in page["edges"]}
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


async def test_interests_are_for_everybody_and_the_banks_own_words_for_its_staff(system: System, unique: str) -> None:
    """Given tags of two families, then a customer pages through interests, and finds no need; staff find both."""
    interests, needs = [f"i{n:03}-{unique}" for n in range(103)], [f"n{n}-{unique}" for n in range(2)]
    await system.edge.graph.write(PUT, keys=interests, family="INTEREST")
    await system.edge.graph.write(PUT, keys=needs, family="NEED")
    for role in ("customer", "relationship_manager", "administrator"):
        assert set(interests) <= await all_keys(system, unique, role)
        seen = await all_keys(system, unique, role, family="NEED")
        assert seen >= set(needs) if role != "customer" else seen == set()
    error = await system.caller(None).fail(TAGS)
    assert error["extensions"]["code"] == "UNAUTHENTICATED"


ABOUT = """
MATCH (x:Customer {id: $customer}), (c:Community {id: $community}), (t:Tag {key: $key})
CREATE (c)-[:ABOUT]->(t)
CREATE (x)-[:TAGGED {source: 'test', confidence: 0.9, since: '2026-01-01T00:00:00.000000Z'}]->(t)
"""
REASONS = """
query($tag: String!) { viewer { recommendedCommunities(tag: $tag, first: 1) {
  edges { reasons { text ... on SharedTagsReason { tags } } }
} } }
"""


@pytest.mark.parametrize(("language", "words"), [("zh", "与您的兴趣相符：茶"), ("en", "It fits your interests: Tea")])
async def test_a_reason_names_tags_as_people_do(system: System, unique: str, language: str, words: str) -> None:
    await system.customer(f"lin-{unique}")
    graph = system.edge.graph
    await graph.write(PUT, keys=[unique], family="INTEREST")
    community = await make_community(graph)
    await graph.write(ABOUT, customer=local_of(f"lin-{unique}"), community=community, key=unique)
    caller = system.caller(f"lin-{unique}", "customer", language=language)
    (edge,) = (await caller.ask(REASONS, tag=unique))["viewer"]["recommendedCommunities"]["edges"]
    assert {"text": words, "tags": [unique]} in edge["reasons"]
