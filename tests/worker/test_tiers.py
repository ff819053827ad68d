"""The worker's run of tiers: whatever kills it, and however many are at it, both stores end the same."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from core.days import months_before
from core.processes import REPOSITORY
from graph.client import GraphClient
from tests.conftest import Addresses
from tests.customers.monthly import LAST, decide_months, make_clients, outcome, own_stores, put_balances, tiers_in_graph
from tests.loyalty.closing import ZONE
from worker.sweeps import sweep_outbox
from worker.tiers import is_month_due, run_due_months
from worker.work import Stores

pytestmark = pytest.mark.anyio

SCRIPT = REPOSITORY / "tests" / "worker" / "killed_tiers.py"
FIRST = months_before(LAST, 1)


def run_killed(stores: Addresses, url: str, point: str, number: int) -> int:
    environment = {**os.environ, **stores.environment(), "DATABASE_URL": url, "LOYALTY_TIME_ZONE": ZONE}
    command = [sys.executable, str(SCRIPT), point, str(number), LAST.isoformat()]
    return subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, check=False).returncode


async def fill(own: Stores) -> list[str]:
    """Eight customers, three of them with tiers of the month before, of whom one falls out of 90 %."""
    ids = await make_clients(own, 8)
    rich, falling, rising = [600_000, 600_000], [600_000, 10], [10, 600_000]
    await put_balances(own.database, {id: (rich, falling, rising)[place % 3] for place, id in enumerate(ids)})
    await decide_months(own, FIRST)
    return ids


WANTED = ["VIP", "VIP", "VIP"] * 2 + ["VIP", "VIP"]


async def check(own: Stores, ids: list[str]) -> None:
    found = await outcome(own.database)
    assert [(run["customers"], run["decided"]) for run in found["TierRun"]] == [(8, 8), (8, 8)]
    assert (len(found["TierDecision"]), len(found["CustomerTier"])) == (16, 8)
    watched = {row["customer_id"] for row in found["CustomerTier"] if row["on_watch"]}
    assert watched == {ids[1], ids[4], ids[7]}
    assert sorted(row["cause"] for row in found["TierChange"]) == ["FIRST"] * 6 + ["RISE"] * 2
    assert await tiers_in_graph(own.graph, ids) == WANTED


@pytest.mark.parametrize(
    ("point", "number"),
    [("before-commit", 1), ("after-commit", 1), ("after-graph", 1), ("before-commit", 2), ("after-commit", 3)],
)
async def test_killed_anywhere_and_run_again_it_ends_the_same(
    stores: Addresses, graph: GraphClient, tmp_path: Path, point: str, number: int
) -> None:
    """Given a month in three ranges; when its run dies in one; then the next one does the rest, in both stores."""
    async with own_stores(stores, graph, tmp_path) as own:
        ids = await fill(own)
        assert run_killed(stores, own.database.url, point, number) == -signal.SIGKILL
        await decide_months(own)
        await sweep_outbox(own)
        await check(own, ids)
        before = await outcome(own.database)
        await decide_months(own)
        assert await outcome(own.database) == before
        assert not await is_month_due(own.database, zone=ZONE)


async def test_several_at_once_share_the_ranges(stores: Addresses, graph: GraphClient, tmp_path: Path) -> None:
    """Given four runs of the same month at once; then each range is decided once."""
    async with own_stores(stores, graph, tmp_path) as own:
        ids = await fill(own)
        others = [Stores(type(own.database)(own.database.url, timeout=60), graph) for _ in range(4)]
        closed = await asyncio.gather(*(run_due_months(one, zone=ZONE, month=LAST, batch=1) for one in others))
        for one in others:
            await one.database.close()
        assert sum(closed) == 1
        await check(own, ids)
