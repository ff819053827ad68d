"""Settlement by real worker processes: killed anywhere, the queue emptied, everything happens exactly once."""

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from sqlmodel import col, func, select

from community.checkin import check_in
from community.registrations import register_for_event
from core.clock import utc_now
from core.db import Database
from core.facts import FACT_RECORDED
from core.outbox import Outbox
from core.processes import REPOSITORY, free_port, start_leashed, stop
from core.redis_server import redis_url as url_of_redis
from core.redis_server import start_redis, wait_for_redis
from graph.client import GraphClient
from loyalty.ledger import AccountKind, LedgerPosting, account_id, balances
from loyalty.lots import POINTS_RELEASE, LedgerLot
from loyalty.trial_balance import trial_balance
from referrals.attribution import REFERRAL_CLAIMED, refer
from referrals.rewards import REWARD_APPROVED, REWARD_MADE, ReferralReward
from tests.community.places import make_community, make_event, soon
from tests.conftest import Addresses
from tests.referrals.programs import STEPS, claim, code_of, make_people, make_program, tell
from worker.handlers import HANDLERS, settle
from worker.sweeps import sweep_graph, sweep_outbox
from worker.work import Stores, Work

pytestmark = pytest.mark.anyio

POINTS = ("before-effect", "before-commit", "after-commit")


@pytest.fixture
def own_redis(tmp_path: Path) -> Generator[str, None, None]:
    """A Redis of this test's own, because it is emptied."""
    port = free_port()
    server = start_redis(tmp_path / "redis", port=port, log=tmp_path / "redis.log")
    wait_for_redis(url := url_of_redis(tmp_path / "redis", port))
    yield url
    stop(server, patience=3)


def start_worker(stores: Addresses, url: str, log: Path, point: str | None = None) -> subprocess.Popen[bytes]:
    """The worker as the supervisor starts it, or one that kills itself at a point."""
    script = [str(REPOSITORY / "tests" / "worker" / "killed_worker.py"), point] if point else None
    command = [sys.executable, *(script or ["-m", "worker"])]
    environment = {**stores.environment(), "REDIS_URL": url, "SWEEP_INTERVAL_SECONDS": "1"}
    return start_leashed(command, log=log, env=environment)


async def owed_now(database: Database) -> int:
    due = select(func.count(col(Outbox.id))).where(col(Outbox.available_at) <= utc_now())
    async with database.read() as session:
        return (await session.exec(due)).one()


def wait_until_started(log: Path) -> None:
    deadline = time.monotonic() + 60
    while "worker_started" not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


async def empty_now_and_then(url: str) -> None:
    """Empty Redis five times at growing intervals, so that it happens before, in and after a sweep."""
    with redis.Redis.from_url(url) as queue:
        for tenths in (2, 4, 6, 8, 10):
            queue.flushall()
            await asyncio.sleep(tenths / 10)


async def wait_until_settled(database: Database, graph: GraphClient, seconds: float = 60) -> None:
    """Wait until nothing is owed any more, as the sweep finds it."""
    for _ in range(int(seconds * 5)):
        rows = await graph.read("MATCH ()-[r:REGISTERED_FOR {settled: false}]->() RETURN count(r) AS owed")
        if not rows[0]["owed"] and not await owed_now(database):
            return
        await asyncio.sleep(0.2)
    raise AssertionError("something is still owed")


async def test_killed_at_three_points_and_the_queue_emptied_every_reward_is_there_once(
    stores: Addresses, graph: GraphClient, database: Database, own_redis: str, tmp_path: Path
) -> None:
    """Given six referees with every fact, when three workers die, each at another point of its first effect, and Redis
    is emptied after each of them and five times under the fourth, then every reward is booked once.
    """
    program = await make_program(database)
    lin, *referees = await make_people(graph, 7)
    code = await code_of(database, program, lin)
    event = await make_event(graph, await make_community(graph, owner_id=lin), starts_at=soon())
    for referee in referees:
        await claim(database, graph, code, referee)
        await tell(database, referee, "IDENTITY_VERIFIED")
        await register_for_event(graph, event_id=event, customer_id=referee, now=utc_now())
        await check_in(graph, event_id=event, customer_id=referee, manager_id=lin, now=utc_now())

    for point in POINTS:
        worker = start_worker(stores, own_redis, tmp_path / f"{point}.log", point)
        code_of_end = await asyncio.to_thread(worker.wait, 60)
        assert code_of_end == -9, (tmp_path / f"{point}.log").read_text()[-2000:]
        with redis.Redis.from_url(own_redis) as queue:
            queue.flushall()

    worker = start_worker(stores, own_redis, tmp_path / "worker.log")
    try:
        await asyncio.to_thread(wait_until_started, tmp_path / "worker.log")
        await empty_now_and_then(own_redis)
        await wait_until_settled(database, graph)
    finally:
        stop(worker)
    assert worker.returncode == 0

    rewards = select(ReferralReward).where(ReferralReward.program_id == program)
    async with database.read() as session:
        made = (await session.exec(rewards)).all()
        booked = select(LedgerPosting.key).where(col(LedgerPosting.key).in_([reward.key for reward in made]))
        keys = (await session.exec(booked)).all()
        points = [await balances(session, customer) for customer in (lin, *referees)]
        proof = await trial_balance(session)
    assert Counter((reward.step, reward.side, reward.status) for reward in made) == {
        ("verified", "REFERRER", "ISSUED"): 6,
        ("verified", "REFEREE", "ISSUED"): 6,
        ("first-event", "REFERRER", "ISSUED"): 6,
    }
    assert sorted(keys) == sorted(reward.key for reward in made)
    assert [one[AccountKind.AVAILABLE] for one in points] == [6 * 500, *[100] * 6]
    assert (proof.total, proof.unbalanced_postings) == (0, [])
    mine = {account_id(AccountKind.AVAILABLE, customer) for customer in (lin, *referees)}
    assert mine.isdisjoint(proof.drifted_accounts)


async def test_a_claim_that_died_between_the_stores_gets_its_conversion(graph: GraphClient, database: Database) -> None:
    """Given an edge without conversion, when the sweep runs twice, then there is one, and it is rewarded."""
    program = await make_program(database)
    lin, wu = await make_people(graph, 2)
    code = await code_of(database, program, lin)
    now = utc_now()
    await refer(graph, code=code, version=1, referee_id=wu, click_id=None, attributed_from=now, now=now)
    await tell(database, wu, "IDENTITY_VERIFIED", at=now)
    stores = Stores(database, graph)
    for _ in range(2):
        await sweep_graph(stores)
        await sweep_outbox(stores)
    async with database.read() as session:
        assert (await balances(session, lin))[AccountKind.AVAILABLE] == STEPS[0]["referrer_points"]
        assert (await balances(session, wu))[AccountKind.AVAILABLE] == STEPS[0]["referee_points"]


SETTLED_OF = """
MATCH (:Customer)-[r:REFERRED]->(b:Customer)
WHERE b.id IN $ids
RETURN b.id AS id, r.settled AS settled
"""


async def test_an_edge_that_cannot_be_recorded_holds_up_no_other(graph: GraphClient, database: Database) -> None:
    """Given an edge of a programme that does not exist before a good one, then the good one is settled."""
    broken, wu, lin, sun = await make_people(graph, 4)
    program = await make_program(database)
    code = await code_of(database, program, lin)
    now = utc_now()
    orphan = code.model_copy(update={"program_id": "0-no-such", "customer_id": broken})
    for one, referee in ((orphan, wu), (code, sun)):
        await refer(graph, code=one, version=1, referee_id=referee, click_id=None, attributed_from=now, now=now)
    assert await sweep_graph(Stores(database, graph)) >= 1
    rows = await graph.read(SETTLED_OF, ids=[wu, sun])
    await graph.write("MATCH ()-[r:REFERRED {program_id: '0-no-such'}]->() DELETE r")
    assert {row["id"]: row["settled"] for row in rows} == {wu: False, sun: True}


async def test_every_handler_run_twice_does_its_effect_once(graph: GraphClient, database: Database) -> None:
    """Given every kind of owed effect, when each is handled again by hand, then no point is added."""
    program = await make_program(database, hold_days=1)
    lin, wu = await make_people(graph, 2)
    await claim(database, graph, await code_of(database, program, lin), wu)
    await tell(database, wu, "IDENTITY_VERIFIED")
    await sweep_outbox(Stores(database, graph))
    rewards = select(ReferralReward.id).where(ReferralReward.program_id == program)
    lots = select(LedgerLot.id).where(col(LedgerLot.customer_id).in_([lin, wu]))
    async with database.read() as session:
        mine = {wu, *(await session.exec(rewards)).all(), *(await session.exec(lots)).all()}
        everything = (await session.exec(select(Outbox))).all()
    # Payloads of other tests hold more than ids.
    rows = [row for row in everything if any(value in mine for value in row.payload.values() if isinstance(value, str))]
    assert {row.topic for row in rows} == {
        FACT_RECORDED,
        REFERRAL_CLAIMED,
        REWARD_MADE,
        REWARD_APPROVED,
        POINTS_RELEASE,
    }
    for row in rows * 2:
        async with database.write() as session:
            await HANDLERS[row.topic](Work(session, graph, row.key, row.payload, utc_now() + timedelta(days=2)))
    async with database.read() as session:
        assert await balances(session, lin) == {AccountKind.AVAILABLE: 300, AccountKind.PENDING: 0, AccountKind.DEBT: 0}
        assert await balances(session, wu) == {AccountKind.AVAILABLE: 100, AccountKind.PENDING: 0, AccountKind.DEBT: 0}


async def test_one_row_settled_by_eight_workers_at_once_is_settled_once(
    stores: Addresses, graph: GraphClient, database: Database
) -> None:
    program = await make_program(database)
    lin, wu = await make_people(graph, 2)
    await claim(database, graph, await code_of(database, program, lin), wu)
    fact = await tell(database, wu, "IDENTITY_VERIFIED")
    async with database.read() as session:
        row = (await session.exec(select(Outbox.id).where(Outbox.key == fact))).one()
    pools = [stores.database() for _ in range(8)]
    try:
        done = await asyncio.gather(*(settle(Stores(pool, graph), row) for pool in pools))
    finally:
        for pool in pools:
            await pool.close()
    assert sorted(done) == [False] * 7 + [True]


async def test_an_effect_that_fails_is_postponed_and_done_later(
    graph: GraphClient, database: Database, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a handler that fails once, then the row waits with the failure's name, and the next sweep does it."""
    calls: list[str] = []

    async def flaky(*_: object) -> None:
        calls.append("called")
        if len(calls) == 1:
            raise LookupError("away")

    monkeypatch.setitem(HANDLERS, "test.flaky", flaky)
    row = Outbox(id=unique, topic="test.flaky", key=unique, payload={}, created_at=utc_now(), available_at=utc_now())
    async with database.write() as session:
        session.add(row)
    stores = Stores(database, graph)
    assert await settle(stores, unique) is False
    async with database.read() as session:
        waiting = await session.get_one(Outbox, unique)
    assert (waiting.attempts, waiting.failure, waiting.settled_at) == (1, "LookupError", None)
    assert waiting.available_at and waiting.available_at > utc_now() - timedelta(seconds=1)
    assert await settle(stores, unique) is True
    assert len(calls) == 2


def test_the_worker_refuses_to_run_without_its_stores() -> None:
    stores = ("NEO4J", "DATABASE", "REDIS")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(stores)}
    program = "import asyncio; from worker.settings import start; asyncio.run(start({'redis': None}))"
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert "DATABASE_URL is not set" in ended.stderr
