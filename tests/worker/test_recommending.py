"""Single lists between two runs: what changed is seen by the worker within the minute, once, whoever dies meanwhile."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString

import pytest
from sqlmodel import col, select

from community.charters import create_community, update_community
from community.memberships import join_community, leave_community
from community.recommendation_due import (
    COMMUNITY_CHARTED,
    PATIENCE,
    RECOMMENDATION_DUE,
    WINDOW,
    due_at,
    due_key,
    owe_recommendations,
)
from community.recommendation_order import OrderPolicy
from community.recommendation_scores import Recommendation
from community.recommendation_updates import update_lists, with_newer
from community.recommendations import list_row
from core.clock import utc_now
from core.outbox import Outbox
from core.processes import REPOSITORY
from customers.profiles import Customer
from customers.tagging import NewTag, tag_customers
from graph.client import GraphClient
from segments.tagging import Tag
from tests.community.places import make_community
from tests.community.ties import add_about, add_tag, stored_lists
from tests.conftest import Addresses
from tests.worker.recommended import Town, made_town, written
from worker import handlers, recommending, sweeps
from worker.recommendations import run_recommendations
from worker.recommending import RECOMMENDING
from worker.sweeps import relay_owed, sweep_outbox

__all__ = ["written"]

# A run is about all customers of the stores, which other tests have filled; each learns anew.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

DROP_LIST = "MATCH (l:RecommendationList {customer_id: $id}) DETACH DELETE l"
SCRIPT = REPOSITORY / "tests" / "worker" / "killed_recommending.py"


@pytest.fixture
async def town(
    stores: Addresses, graph: GraphClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Town, None]:
    """A town whose lists have just been computed, on a machine whose data folder is its own."""
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    async with made_town(stores, graph, tmp_path) as made:
        await run_recommendations(made.stores, made.folder)
        yield made


async def pass_time(town: Town, monkeypatch: pytest.MonkeyPatch, later: timedelta = WINDOW + PATIENCE) -> None:
    """Move what is owed, and settle what is due after so long a time."""
    await relay_owed(town.stores)
    with monkeypatch.context() as patch:
        for module in (handlers, sweeps):
            patch.setattr(module, "utc_now", lambda: utc_now() + later)
        # A sweep ends when nothing is left or its time is up; the clock of both is that of the machine.
        await sweep_outbox(town.stores)


async def ids_in_list(town: Town, customer: str) -> list[str]:
    found = await stored_lists(town.stores.graph, [customer])
    return found[customer]["community_ids"] if customer in found else []


async def owed_of(town: Town, topic: str) -> list[Outbox]:
    async with town.stores.database.read() as session:
        return list((await session.exec(select(Outbox).where(col(Outbox.topic) == topic))).all())


async def join(town: Town, community: str, customer: str, now: datetime | None = None) -> None:
    await join_community(town.stores.graph, community_id=community, customer_id=customer, now=now or utc_now())


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the list of each customer is computed anew from now on."""
    found: Counter[str] = Counter()
    update = recommending.update_lists

    async def counted(graph: GraphClient, population: Any, customers: Any, **given: Any) -> int:
        found.update(customers)
        return await update(graph, population, customers, **given)

    monkeypatch.setattr(recommending, "update_lists", counted)
    return found


def test_a_minute_is_enough() -> None:
    """Given a change at any instant; then its list is due within the minute, less the time between two sweeps."""
    start = datetime.fromisoformat("2026-11-29T10:00:00+00:00")
    for tenth in range(600):
        now = start + timedelta(seconds=tenth / 10)
        assert PATIENCE <= due_at(now) - now <= timedelta(seconds=60 - 15)
    assert due_key("a", start) == due_key("a", start + WINDOW - timedelta(microseconds=1))
    assert due_key("a", start) != due_key("a", start + WINDOW)


async def test_who_joins_has_a_new_list_and_who_leaves_too(
    town: Town, monkeypatch: pytest.MonkeyPatch, computed: Counter[str]
) -> None:
    """Given a list; when its first is joined; then it has gone from the list, and after leaving it is back."""
    first = (await ids_in_list(town, town.viewer))[0]
    assert first in town.wanted
    await join(town, first, town.viewer)
    await pass_time(town, monkeypatch)
    joined = await ids_in_list(town, town.viewer)
    assert first not in joined
    assert {first, *joined[:2]} == set(town.wanted)

    await leave_community(town.stores.graph, community_id=first, customer_id=town.viewer, now=utc_now() + WINDOW)
    await pass_time(town, monkeypatch, 2 * WINDOW + PATIENCE)
    assert set((await ids_in_list(town, town.viewer))[:3]) == set(town.wanted)
    assert computed == {town.viewer: 2}


async def test_nothing_is_computed_before_all_changes_of_the_window_are_there(
    town: Town, monkeypatch: pytest.MonkeyPatch, computed: Counter[str]
) -> None:
    """Given a change; then its list waits for the end of the window, and is owed no second time."""
    await join(town, town.wanted[0], town.viewer)
    await pass_time(town, monkeypatch, timedelta(0))
    assert computed == {}
    await pass_time(town, monkeypatch)
    await pass_time(town, monkeypatch)
    assert computed == {town.viewer: 1}


async def test_many_changes_at_once_are_one_computation_for_each_customer(
    town: Town, monkeypatch: pytest.MonkeyPatch, computed: Counter[str]
) -> None:
    """Given two customers who join eight communities at the same time; then one list for each, with all of that."""
    others = [await make_community(town.stores.graph) for _ in range(8)]
    now = utc_now()
    two = [town.viewer, town.customers[1]]
    await asyncio.gather(*(join(town, community, customer, now) for community in others for customer in two))
    await pass_time(town, monkeypatch)

    assert computed == dict.fromkeys(two, 1)
    assert len(await owed_of(town, RECOMMENDATION_DUE)) == 2
    for customer in two:
        assert set(others).isdisjoint(await ids_in_list(town, customer))


async def test_a_new_tag_changes_the_list(town: Town, monkeypatch: pytest.MonkeyPatch, unique: str) -> None:
    """Given a community about a tag; when the customer gets that tag; then it is in the list, for that reason."""
    graph, database = town.stores.graph, town.stores.database
    about = await make_community(graph)
    await add_about(graph, about, unique)
    await run_recommendations(town.stores, town.folder, again=True)
    assert about not in (await ids_in_list(town, town.viewer))[:3]
    async with database.write() as session:
        session.add(Customer(id=town.viewer, display_name="客", created_at=utc_now()))
        session.add(Tag(key=unique, name_zh="标签", name_en="Tag", family="INTEREST", created_at=utc_now()))
    async with database.write() as session:
        await tag_customers(session, [NewTag(town.viewer, unique, "INTEREST", "bank")], set_by="a", now=utc_now())
    await sweep_outbox(town.stores)
    await pass_time(town, monkeypatch)

    assert about in (await ids_in_list(town, town.viewer))[:4]


async def test_a_run_that_read_before_a_change_does_not_undo_it(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a list that follows from a join; when a slower run writes what it read before; then the list stays."""
    await join(town, town.wanted[0], town.viewer)
    await pass_time(town, monkeypatch)
    now = set((await ids_in_list(town, town.viewer))[:2])
    with monkeypatch.context() as patch:
        patch.setattr("worker.recommendations.utc_now", lambda: utc_now() - timedelta(minutes=1))
        await run_recommendations(town.stores, town.folder, again=True)

    assert set((await ids_in_list(town, town.viewer))[:2]) == now == set(town.wanted[1:])


async def new_community(town: Town, tags: list[str], **fields: Any) -> str:
    given = {"name_zh": "社", "name_en": "Club", "tags": tags, **fields}
    return await create_community(town.stores.graph, given, owner_id=town.customers[8], now=utc_now())


async def twice(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settle what a community owes, and then what that owes its customers."""
    await pass_time(town, monkeypatch)
    await pass_time(town, monkeypatch, 2 * (WINDOW + PATIENCE))


async def test_a_new_community_is_recommended_to_whom_it_fits(
    town: Town, monkeypatch: pytest.MonkeyPatch, unique: str, computed: Counter[str]
) -> None:
    """Given two customers with a tag; when a community about it is founded; then both have it, and nobody else."""
    for customer in town.customers[:2]:
        await add_tag(town.stores.graph, customer, unique)
    founded = await new_community(town, [unique])
    private = await new_community(town, [unique], visibility="PRIVATE")
    await twice(town, monkeypatch)

    found = await stored_lists(town.stores.graph, town.customers)
    having = [key for key, row in found.items() if founded in row["community_ids"]]
    assert having == town.customers[:2]
    assert not any(private in row["community_ids"] for row in found.values())
    place = found[town.viewer]["community_ids"].index(founded)
    assert found[town.viewer]["reasons"][place] == f'[{{"kind":"SHARED_TAGS","tags":["{unique}"]}}]'
    # It is worth the most of what the viewer has not: no score behind it is larger.
    assert place < 10
    # The owner, too, because they have become a member.
    assert computed.keys() == {*town.customers[:2], town.customers[8]}


async def test_so_many_are_told_of_a_new_community_and_no_more(
    town: Town, monkeypatch: pytest.MonkeyPatch, unique: str, computed: Counter[str]
) -> None:
    """Given five customers with a tag and a limit of two; then the two of whom it is surest."""
    monkeypatch.setattr(recommending, "MOST_FITTING", 2)
    for place, customer in enumerate(town.customers[:5]):
        await add_tag(town.stores.graph, customer, unique, confidence=0.5 + place / 10)
    await new_community(town, [unique])
    await twice(town, monkeypatch)

    assert computed.keys() == {*town.customers[3:5], town.customers[8]}


@pytest.mark.parametrize("change", ["tags", "visibility"])
async def test_a_changed_community_is_recommended_to_whom_it_fits_now(
    town: Town, monkeypatch: pytest.MonkeyPatch, unique: str, change: str
) -> None:
    """Given a community that the model knows; when its tags fit or it becomes public; then it is in the list."""
    await add_tag(town.stores.graph, town.viewer, unique)
    hidden = "PRIVATE" if change == "visibility" else "PUBLIC"
    known = await new_community(town, [unique] if change == "visibility" else [], visibility=hidden)
    await run_recommendations(town.stores, town.folder, again=True)
    assert known not in (await ids_in_list(town, town.viewer))[:3]
    changes = {"tags": [unique]} if change == "tags" else {"visibility": "PUBLIC"}
    await update_community(town.stores.graph, changes, community_id=known, manager_id=town.customers[8], now=utc_now())
    await twice(town, monkeypatch)

    assert known in (await ids_in_list(town, town.viewer))[:4]
    charted = await owed_of(town, COMMUNITY_CHARTED)
    assert [row.payload for row in charted] == [{"community_id": known}] * 2


def test_a_list_keeps_places_for_new_communities() -> None:
    """Given a full list and weaker new ones; then the best of these have three places, in the order of scores."""
    old = [Recommendation(f"k{place}", 1 - place / 10, []) for place in range(5)]
    new = [Recommendation(f"n{place}", score, []) for place, score in enumerate((0.1, 0.95, 0.3, 0.2))]

    def shown(old: list[Recommendation], new: list[Recommendation]) -> list[str]:
        return with_newer(list_row("c", old), new, 5, OrderPolicy())["community_ids"]

    assert shown(old, new) == ["k0", "n1", "k1", "n2", "n3"]
    assert shown(old, new[1:2]) == ["k0", "n1", "k1", "k2", "k3"]
    assert shown(old[:1], new) == ["k0", "n1", "n2", "n3", "n0"]
    assert with_newer(list_row("c", old), [], 5, OrderPolicy()) == list_row("c", old)


def test_of_new_communities_no_more_than_of_one_tag_come_first() -> None:
    """Given a dozen new communities that all fit better than what is known; then of the first ten some are known."""
    old = [Recommendation(f"k{place:02}", 0.5 - place / 100, []) for place in range(20)]
    new = [Recommendation(f"n{place:02}", 0.9 - place / 100, []) for place in range(12)]
    found = with_newer(list_row("c", old), new, 30, OrderPolicy())["community_ids"]

    assert found[:12] == [
        *(f"n{place:02}" for place in range(4)),
        *(f"k{place:02}" for place in range(6)),
        "n04",
        "n05",
    ]
    assert len(found) == len(set(found)) == 30


async def owe_list(town: Town, customer: str) -> None:
    async with town.stores.database.write() as session:
        await owe_recommendations(session, [customer], now=utc_now())


GONE: dict[str, LiteralString] = {
    "erased": "MATCH (c:Customer {id: $id}) SET c.erased = true",
    "merged": "MATCH (c:Customer {id: $id}) SET c.merged_into = 'somebody'",
}


@pytest.mark.parametrize("fate", list(GONE))
async def test_who_is_gone_has_no_list_and_gets_none(town: Town, monkeypatch: pytest.MonkeyPatch, fate: str) -> None:
    """Given customers who were erased or merged, one with a list that was being written; then neither has one."""
    graph, (first, second) = town.stores.graph, town.customers[2:4]
    for customer in (first, second):
        await graph.write(GONE[fate], id=customer)
    await graph.write(DROP_LIST, id=first)
    for customer in (first, second):
        await owe_list(town, customer)
    await pass_time(town, monkeypatch)
    assert (await stored_lists(graph, town.customers)).keys().isdisjoint({first, second})
    await run_recommendations(town.stores, town.folder, again=True)
    found = await stored_lists(graph, town.customers)
    assert found.keys() == {*town.customers} - {first, second}


async def latest(town: Town) -> str:
    return max(path.name for path in town.folder.path.iterdir())


async def test_two_round_trips_read_what_is_needed(town: Town) -> None:
    """Given one customer or many; then two reads and one write."""
    graph = town.stores.graph
    population = town.folder.load(await latest(town))
    for customers in (town.customers[:1], town.customers):
        before = graph.round_trips
        times = {"learnt_at": utc_now(), "now": utc_now()}
        assert await update_lists(graph, population, customers, run_id="one", **times) == len(customers)
        assert graph.round_trips - before == 3


async def test_a_machine_without_the_model_has_it_made_and_tries_again(
    town: Town, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, computed: Counter[str]
) -> None:
    """Given a machine that has no model of the last run; then it begins to learn, and the list is owed once more."""
    begun: list[None] = []
    monkeypatch.setattr(recommending, "learn_apart", lambda: begun.append(None))
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "elsewhere"))
    await join(town, town.wanted[0], town.viewer)
    await pass_time(town, monkeypatch)
    assert (len(begun), computed) == (1, {})
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    await pass_time(town, monkeypatch, 2 * (WINDOW + PATIENCE))
    assert computed == {town.viewer: 1}


async def test_before_the_first_run_there_is_nothing_to_do(
    stores: Addresses, graph: GraphClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with made_town(stores, graph, tmp_path) as town:
        await join(town, town.wanted[0], town.viewer)
        await pass_time(town, monkeypatch)
        assert await ids_in_list(town, town.viewer) == []
        assert all(row.settled_at for row in await owed_of(town, RECOMMENDATION_DUE))


def run_killed(environment: dict[str, str], point: str) -> int:
    command = [sys.executable, str(SCRIPT), point]
    return subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, check=False).returncode


@pytest.mark.parametrize("point", ["before-commit", "after-commit"])
async def test_killed_between_the_stores_and_settled_again_it_ends_the_same(
    town: Town, stores: Addresses, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """Given a worker that dies when the list is written and before it is settled, or after; then the list is new."""
    await join(town, town.wanted[0], town.viewer)
    await relay_owed(town.stores)
    places = {"DATABASE_URL": town.stores.database.url, "DATA_DIR": str(town.folder.path.parent)}
    assert run_killed({**os.environ, **stores.environment(), **places}, point) == -signal.SIGKILL
    assert set((await ids_in_list(town, town.viewer))[:2]) == set(town.wanted[1:])
    (owed,) = await owed_of(town, RECOMMENDATION_DUE)
    assert (owed.settled_at is None) == (point == "before-commit")
    await pass_time(town, monkeypatch)
    (owed,) = await owed_of(town, RECOMMENDATION_DUE)
    assert owed.settled_at is not None
    assert set((await ids_in_list(town, town.viewer))[:2]) == set(town.wanted[1:])


def test_every_topic_has_its_handler() -> None:
    assert {RECOMMENDATION_DUE, COMMUNITY_CHARTED} <= RECOMMENDING.keys() <= handlers.HANDLERS.keys()
