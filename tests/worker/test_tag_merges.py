"""Merging tags: killed half-way it goes on, and whatever named the one tag names the other in the end."""

from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from core.clock import utc_now
from core.db import Database
from customers.tag_merges import TagMergeInvalid, merge_tags
from graph.client import GraphClient
from loyalty.catalogue import NewReward, RewardTag, create_reward
from segments.condition_sql import matches
from segments.conditions import load_vocabulary, parse_condition
from segments.tagging import TagFamily
from tests.community.places import make_community, make_event
from tests.conftest import Addresses
from tests.customers.tagged import edges_of, make_profiles, make_words, put_tag, rows_of
from tests.worker.test_owed import run_killed
from worker.sweeps import sweep_outbox
from worker.work import Stores

pytestmark = pytest.mark.anyio

NAME_THEM = """
MATCH (c:Community {id: $community}), (e:Event {id: $event}), (t:Tag {key: $key})
CREATE (c)-[:ABOUT]->(t), (e)-[:ABOUT]->(t)
SET c.required_tags = [$key, 'another'], e.required_tags = [$key]
"""
NAMED = """
MATCH (x)-[:ABOUT]->(t:Tag)
WHERE x.id IN $ids
RETURN x.required_tags AS required, t.key AS key
ORDER BY size(x.required_tags)
"""


async def merge(database: Database, one: str, other: str) -> None:
    async with database.write() as session:
        await merge_tags(session, one, other, reason="The same", actor="he", now=utc_now())


async def finds(database: Database, key: str, people: list[str]) -> list[bool]:
    async with database.read() as session:
        condition = parse_condition({"tag": key}, await load_vocabulary(session))
        return [await matches(session, condition, person, now=utc_now()) for person in people]


async def test_killed_half_way_a_merge_goes_on(
    stores: Addresses, graph: GraphClient, database: Database, unique: str, tmp_path: Path
) -> None:
    """Given seven customers with a tag, one of them with the other too; when the merge dies before and after the
    commit of a page; then at every moment both keys find all seven, and in the end all carry the other."""
    people = await make_profiles(database, graph, 7)
    one, other = f"one-{unique}", f"other-{unique}"
    await make_words(database, graph, [one, other], TagFamily.INTEREST)
    for person in people:
        await put_tag(database, person, one, family=TagFamily.INTEREST, confidence=0.5)
    await put_tag(database, people[0], other, family=TagFamily.INTEREST, confidence=0.9)
    await sweep_outbox(Stores(database, graph))
    community = await make_community(graph)
    event = await make_event(graph, community)
    await graph.write(NAME_THEM, community=community, event=event, key=one)
    async with database.write() as session:
        gift = await create_reward(session, NewReward("礼", "Gift", 1, required_tags=(one,)), now=utc_now())
    await merge(database, one, other)
    moved: list[int] = []
    for point in ("before-commit", "after-commit"):
        await run_killed(stores, tmp_path, "sweep", point, 1)
        assert await finds(database, one, people) == await finds(database, other, people) == [True] * 7
        rows = await rows_of(database, *people)
        moved.append(sum(row.end_reason == "MERGED" for row in rows))
    assert moved == [0, 3]
    for _ in range(2):
        await sweep_outbox(Stores(database, graph))
    rows = await rows_of(database, *people)
    standing = [(row.customer_id, row.tag_key, row.confidence) for row in rows if row.ended_at is None]
    assert sorted(standing) == [(person, other, 0.5 if number else 0.9) for number, person in enumerate(people)]
    assert sorted(await edges_of(graph, *people)) == [(person, other) for person in people]
    named = await graph.read(NAMED, ids=[community, event])
    assert [row["key"] for row in named] == [other, other]
    assert [sorted(row["required"]) for row in named] == [[other], sorted(["another", other])]
    assert await graph.read("MATCH (t:Tag {key: $key}) RETURN t.key AS key", key=one) == []
    async with database.read() as session:
        tags = (await session.exec(select(RewardTag.tag).where(RewardTag.reward_id == gift))).all()
    assert list(tags) == [other]


async def test_keys_resolve_in_one_step_however_often_they_were_merged(
    database: Database, graph: GraphClient, unique: str
) -> None:
    """Given three tags merged one into the next; then all three mean the last, and nothing merges in a circle."""
    (me,) = await make_profiles(database, graph, 1)
    a, b, c, need = (f"{name}-{unique}" for name in ("a", "b", "c", "need"))
    await make_words(database, graph, [a, b, c], TagFamily.INTEREST)
    await make_words(database, graph, [need], TagFamily.NEED)
    await put_tag(database, me, a, family=TagFamily.INTEREST)
    refused: list[Any] = []
    for one, other in ((a, b), (b, c), (c, a), (a, c), (c, c), (c, need)):
        try:
            await merge(database, one, other)
        except TagMergeInvalid as error:
            refused.append((one, other, error.path))
    assert refused == [(c, a, ("from",)), (c, c, ("from",)), (c, need, ("into",))]
    for _ in range(2):
        await sweep_outbox(Stores(database, graph))
    assert [await finds(database, key, [me]) for key in (a, b, c)] == [[True]] * 3
    assert await edges_of(graph, me) == [(me, c)]
