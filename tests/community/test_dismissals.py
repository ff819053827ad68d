"""What becomes of dismissals, and of what was shown, when a customer is erased or merged."""

import pytest
from sqlmodel import select

from community.dismissals import dismiss
from community.recommendation_exposures import Exposures, RecommendationExposure, Shown
from community.recommended_people import is_discoverable, set_discoverable
from core.clock import utc_now
from core.db import Database
from graph.client import GraphClient
from tests.community.places import make_community, make_customers
from tests.community.ties import ids_of
from tests.worker.test_erasing import ask_erasure, import_person, settle_all
from tests.worker.test_merging import ask_merge

pytestmark = pytest.mark.anyio

DISMISSED = """
MATCH (c:Customer {id: $id})-[d:DISMISSED]-(x)
RETURN x.id AS id, d.key AS key
ORDER BY id
"""


async def exposures_of(database: Database, *customers: str) -> list[tuple[str, str]]:
    async with database.read() as session:
        rows = (await session.exec(select(RecommendationExposure))).all()
    return sorted((row.customer_id, row.community_id) for row in rows if row.customer_id in customers)


async def test_with_a_customer_goes_what_they_dismissed_and_were_shown(
    database: Database, graph: GraphClient, unique: str
) -> None:
    """Given dismissals of and by a customer; when they are erased; then both are gone, and others' of others stand."""
    lin = (await import_person(database, graph, unique)).customer_id
    (other, third), community = await make_customers(graph, 2), await make_community(graph)
    for one in (lin, third):
        await set_discoverable(graph, one, on=True)
    now = utc_now()
    await dismiss(graph, "Community", community, customer_id=lin, now=now)
    for one in (lin, third):
        await dismiss(graph, "Customer", one, customer_id=other, now=now)
    exposures = Exposures(database)
    exposures.show(lin, [Shown(community, "CONTROL", "POPULAR")], now=now)
    await exposures.flush()
    await ask_erasure(database, lin)
    await settle_all(database, graph)
    assert await graph.read(DISMISSED, id=lin) == []
    assert [row["id"] for row in await graph.read(DISMISSED, id=other)] == [third]
    assert not await is_discoverable(graph, lin)
    assert await exposures_of(database, lin) == []


async def test_the_survivor_of_a_merge_has_what_the_other_dismissed(
    database: Database, graph: GraphClient, unique: str
) -> None:
    """Given two profiles with dismissals, one of them the same; when merged, and again; then the survivor has all."""
    keep = (await import_person(database, graph, unique, "1", phone=None, email=None)).customer_id
    drop = (await import_person(database, graph, unique, "2", document=None)).customer_id
    both, own, theirs = [await make_community(graph) for _ in range(3)]
    now = utc_now()
    for customer, community in ((keep, both), (keep, own), (drop, both), (drop, theirs)):
        await dismiss(graph, "Community", community, customer_id=customer, now=now)
    for one in (keep, drop):
        await set_discoverable(graph, one, on=True)
    await dismiss(graph, "Customer", drop, customer_id=keep, now=now)
    exposures = Exposures(database)
    for customer, community in ((keep, both), (drop, both), (drop, theirs)):
        exposures.show(customer, [Shown(community, "CONTROL", "POPULAR")], now=now)
    await exposures.flush()
    await ask_merge(database, keep, drop)
    await settle_all(database, graph)
    rows = await graph.read(DISMISSED, id=keep)
    assert [row["id"] for row in rows] == sorted([both, own, theirs])
    assert all(row["key"] == f"{keep}:{row['id']}" for row in rows)
    assert await graph.read(DISMISSED, id=drop) == []
    assert {both, own, theirs}.isdisjoint(await ids_of(graph, keep))
    assert (await is_discoverable(graph, keep), await is_discoverable(graph, drop)) == (True, False)
    assert await exposures_of(database, keep, drop) == sorted([(keep, both), (keep, theirs)])
