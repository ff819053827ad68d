"""The run of recommendations: whatever kills it, and however many are at it, each list is written once."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from community.recommendation_models import ModelFolder
from community.recommendation_runs import (
    LEARNING,
    LONGEST_RUN,
    SETTLED,
    RecommendationRange,
    RecommendationRun,
    claim,
    finish_learning,
    finish_range,
    keep_claim,
    open_run,
)
from core.clock import utc_now
from core.processes import REPOSITORY
from graph.client import GraphClient
from tests.community.ties import stored_lists
from tests.conftest import Addresses
from tests.worker.recommended import Town, count_customers, made_town, runs_of, written
from worker import recommendations
from worker.recommendations import run_recommendations
from worker.work import Stores

__all__ = ["written"]

# A run is about all customers of the stores, which other tests have filled; each learns anew.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

SCRIPT = REPOSITORY / "tests" / "worker" / "killed_recommendations.py"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recommendations, "PAUSE_SECONDS", 0.05)


def run_killed(town: Town, stores: Addresses, point: str, number: int, size: int) -> int:
    places = {"DATABASE_URL": town.stores.database.url, "DATA_DIR": str(town.folder.path.parent)}
    environment = {**os.environ, **stores.environment(), **places}
    command = [sys.executable, str(SCRIPT), point, str(number), str(size)]
    return subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, check=False).returncode


async def size_of(town: Town) -> int:
    """A third of everybody, so that there are three ranges or four."""
    return max(1, await count_customers(town.stores.graph) // 3)


async def test_several_at_once_write_each_list_once(
    stores: Addresses, graph: GraphClient, tmp_path: Path, written: Counter[str]
) -> None:
    """Given four workers at once; then one run, whose ranges they share; and the next one finds nothing to do."""
    async with made_town(stores, graph, tmp_path) as town:
        size = await size_of(town)
        others = [Stores(type(town.stores.database)(town.stores.database.url, timeout=60), graph) for _ in range(4)]
        reports = await asyncio.gather(*(run_recommendations(one, town.folder, range_size=size) for one in others))
        for one in others:
            await one.database.close()
        everybody = await count_customers(graph)
        assert set(written.values()) == {1}
        assert len(written) == everybody
        assert sum(report.lists_written for report in reports if report) == everybody
        ((run,), pieces) = await runs_of(town.stores)
        assert (run.is_complete, run.customers, run.lists) == (True, everybody, everybody)
        assert len(pieces) >= 4
        assert all(piece.done_at is not None for piece in pieces)
        lists = await stored_lists(graph, town.customers)
        assert {row["run_id"] for row in lists.values()} == {run.id}
        assert set(lists[town.viewer]["community_ids"][:3]) == set(town.wanted)

        assert await run_recommendations(town.stores, town.folder, range_size=size) is None
        assert set(written.values()) == {1}


@pytest.mark.parametrize(
    ("point", "number"),
    [("before-commit", 1), ("before-commit", 2), ("after-commit", 2), ("before-commit", 4), ("after-commit", 6)],
)
async def test_killed_anywhere_and_gone_on_with_it_ends_the_same(
    stores: Addresses, graph: GraphClient, tmp_path: Path, written: Counter[str], point: str, number: int
) -> None:
    """Given a run that dies while it learns or in a range; then old lists stay, and the next one does the rest."""
    async with made_town(stores, graph, tmp_path) as town:
        size = await size_of(town)
        assert run_killed(town, stores, point, number, size) == -signal.SIGKILL
        ((dead,), before) = await runs_of(town.stores)
        assert dead.closed_at is None
        done = {piece.number for piece in before if piece.done_at is not None}
        report = await run_recommendations(town.stores, town.folder, range_size=size)
        ((run,), pieces) = await runs_of(town.stores)

        everybody = await count_customers(graph)
        assert (run.id, run.is_complete, run.customers, run.lists) == (dead.id, True, everybody, everybody)
        missing = [piece for piece in pieces if piece.number and piece.number not in done]
        assert report is not None
        assert report.customers == sum(piece.customers for piece in missing) == len(written)
        assert set(written.values()) <= {1}
        lists = await stored_lists(graph, town.customers)
        assert {row["run_id"] for row in lists.values()} == {run.id}
        assert set(lists[town.viewer]["community_ids"][:3]) == set(town.wanted)


async def test_a_killed_run_leaves_the_old_lists(stores: Addresses, graph: GraphClient, tmp_path: Path) -> None:
    """Given lists of a run; when the next dies before its first range is done; then all lists are whole."""
    async with made_town(stores, graph, tmp_path) as town:
        await run_recommendations(town.stores, town.folder)
        before = await stored_lists(graph, town.customers)
        async with town.stores.database.write() as session:
            run = await open_run(session, now=utc_now(), again=True)
            assert run is not None
        assert run_killed(town, stores, "after-commit", 3, 2) == -signal.SIGKILL
        after = await stored_lists(graph, town.customers)

        assert after == before


async def test_a_piece_is_one_s_own_until_its_lease_is_over(
    stores: Addresses, graph: GraphClient, tmp_path: Path
) -> None:
    """Given a piece that is taken; then its lease keeps it, who renews keeps it longer, and late it is lost."""
    async with made_town(stores, graph, tmp_path) as town:
        now = utc_now()
        async with town.stores.database.write() as session:
            run = await open_run(session, now=now)
            assert run is not None
            held = await claim(session, run.id, worker="a", now=now)
            assert held is not None
        minute = timedelta(minutes=1)
        async with town.stores.database.write() as session:
            assert await claim(session, run.id, worker="b", now=now + minute / 2) is None
            assert await keep_claim(session, held, now=now + minute / 2)
            assert await claim(session, run.id, worker="b", now=now + minute) is None
            taken = await claim(session, run.id, worker="b", now=now + 2 * minute)
            assert taken is not None
        async with town.stores.database.write() as session:
            stale = RecommendationRange(run_id=held.run_id, number=held.number, worker="a")
            assert not await keep_claim(session, stale, now=now + 2 * minute)


async def test_one_run_is_open_at_a_time(stores: Addresses, graph: GraphClient, tmp_path: Path) -> None:
    """Given a run; then whoever asks gets it, after its end nobody a new one at once, and of a stale one a new one."""
    async with made_town(stores, graph, tmp_path) as town:
        now = utc_now()

        async def opened(later: timedelta, *, again: bool = False) -> RecommendationRun | None:
            async with town.stores.database.write() as session:
                return await open_run(session, now=now + later, again=again)

        first, same = await asyncio.gather(opened(timedelta(0)), opened(timedelta(0)))
        assert first is not None
        assert same is not None
        assert first.id == same.id
        later = await opened(LONGEST_RUN)
        assert later is not None
        assert later.id != first.id
        await run_recommendations(town.stores, town.folder)
        runs, pieces = await runs_of(town.stores)
        assert [(run.id, run.is_complete) for run in runs] == [(first.id, False), (later.id, True)]
        assert {piece.run_id for piece in pieces} == {later.id}
        assert await opened(LONGEST_RUN + SETTLED / 2) is None
        assert await opened(LONGEST_RUN + SETTLED / 2, again=True) is not None


async def test_a_long_run_is_not_given_up_while_it_goes_on(
    stores: Addresses, graph: GraphClient, tmp_path: Path
) -> None:
    """Given a run that takes longer than one may stand still; while pieces are done it stays, and afterwards ends."""
    async with made_town(stores, graph, tmp_path) as town:
        now, opened = utc_now(), list[str]()

        async def open_at(later: timedelta) -> None:
            async with town.stores.database.write() as session:
                run = await open_run(session, now=now + later)
                assert run is not None
                opened.append(run.id)

        async def do_one(later: timedelta) -> None:
            async with town.stores.database.write() as session:
                held = await claim(session, opened[-1], worker="a", now=now + later)
                assert held is not None
                if held.number == LEARNING:
                    await finish_learning(session, held, ["b", "c"], learnt_at=now, now=now + later)
                else:
                    await finish_range(session, held, customers=1, lists=1, now=now + later)

        await open_at(timedelta(0))
        await do_one(LONGEST_RUN / 2)
        await do_one(LONGEST_RUN - timedelta(minutes=1))
        await open_at(LONGEST_RUN * 1.5)
        assert opened[0] == opened[1]
        await open_at(LONGEST_RUN * 2)
        assert opened[0] != opened[2]


async def test_a_machine_without_the_model_makes_its_own(stores: Addresses, graph: GraphClient, tmp_path: Path) -> None:
    """Given two machines, of which one has learnt; then the other gives the same lists, and each keeps two models."""
    async with made_town(stores, graph, tmp_path) as town:
        assert run_killed(town, stores, "after-commit", 3, 2) == -signal.SIGKILL
        elsewhere = ModelFolder(tmp_path / "elsewhere")
        await run_recommendations(town.stores, elsewhere)
        lists = await stored_lists(graph, town.customers)
        assert set(lists[town.viewer]["community_ids"][:3]) == set(town.wanted)
        ids: list[str] = []
        for _ in range(3):
            await run_recommendations(town.stores, elsewhere, again=True)
            ids.append((await runs_of(town.stores))[0][-1].id)
        assert sorted(path.name for path in elsewhere.path.iterdir()) == ids[1:]
        again = await stored_lists(graph, town.customers)
        assert {key: row["community_ids"] for key, row in again.items()} == {
            key: row["community_ids"] for key, row in lists.items()
        }
