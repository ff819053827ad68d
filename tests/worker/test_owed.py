"""What the graph owes reaches SQL exactly once: killed between the two stores, moved by several at once, due later."""

import asyncio
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import col, select

from core.audit import ACT_AUDITED, AuditEntry, act
from core.clock import utc_now
from core.db import Database
from core.notices import NOTICE_OWED
from core.outbox import Outbox, hints_for, owe, owe_all, topics_of
from core.processes import REPOSITORY, start_leashed
from graph.client import GraphClient, Transaction
from graph.owed import Effect, owe_effects, owed_effects, settle_effects
from service.notifications import Notification
from tests.conftest import Addresses
from worker import sweeps
from worker.sweeps import relay_owed, settle_hinted, sweep_outbox
from worker.work import Stores

pytestmark = pytest.mark.anyio


async def run_killed(stores: Addresses, folder: Path, step: str, point: str, number: int) -> None:
    """Run a step in a process of its own, which must die by its own hand."""
    script = str(REPOSITORY / "tests" / "worker" / "killed_step.py")
    log = folder / f"{step}-{point}-{number}.log"
    command = [sys.executable, script, step, point, str(number)]
    process = start_leashed(command, log=log, env={**stores.environment(), "REDIS_URL": "redis://127.0.0.1:1"})
    assert await asyncio.to_thread(process.wait, 60) == -9, log.read_text()[-2000:]


async def owe_notices(graph: GraphClient, name: str, count: int, *, due_at: datetime | None = None) -> None:
    """Owe that many notices to as many customers, and one entry of the audit trail, in one transaction."""
    now = utc_now()
    notices = [
        Effect(NOTICE_OWED, f"{name}:{number}", {"customer_id": f"{name}-{number}", "kind": "INVITED"}, due_at)
        for number in range(count)
    ]
    audited = act(area=f"community:{name}", actor="lin", action="test.owed", subject=name, at=now)

    async def work(tx: Transaction) -> None:
        await owe_effects(tx, [*notices, Effect(ACT_AUDITED, name, audited)], now=now)

    await graph.transact(work, contended=name)


async def still_owed(graph: GraphClient, name: str) -> int:
    rows = await owed_effects(graph, after="", limit=1_000)
    return sum(name in row["key"] for row in rows)


async def told(database: Database, name: str) -> list[str]:
    """Ids of the customers who were told, as often as they were."""
    statement = select(Notification.customer_id).where(col(Notification.customer_id).startswith(name))
    async with database.read() as session:
        return sorted((await session.exec(statement)).all())


async def entries(database: Database, name: str) -> Sequence[AuditEntry]:
    async with database.read() as session:
        return (await session.exec(select(AuditEntry).where(AuditEntry.area == f"community:{name}"))).all()


async def test_killed_between_the_stores_everything_happens_once(
    stores: Addresses, graph: GraphClient, database: Database, unique: str, tmp_path: Path
) -> None:
    """Given ten effects, when the relay dies before and after its commits, then each happens once, and none is left."""
    await owe_notices(graph, unique, 9)
    await run_killed(stores, tmp_path, "relay", "before-commit", 1)
    assert await still_owed(graph, unique) == 10
    await run_killed(stores, tmp_path, "relay", "after-commit", 1)
    assert await still_owed(graph, unique) == 10
    await sweep_outbox(Stores(database, graph))
    await run_killed(stores, tmp_path, "relay", "after-commit", 2)
    assert 0 < await still_owed(graph, unique) < 10
    for _ in range(2):
        await relay_owed(Stores(database, graph))
        await sweep_outbox(Stores(database, graph))
    assert await still_owed(graph, unique) == 0
    assert await told(database, unique) == sorted(f"{unique}-{number}" for number in range(9))
    assert len(await entries(database, unique)) == 1


async def test_several_workers_at_once_move_each_effect_once(
    stores: Addresses, graph: GraphClient, database: Database, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given forty effects, when six workers move and settle them at once, each with its own stores, then once each."""
    monkeypatch.setattr(sweeps, "BATCH", 7)
    await owe_notices(graph, unique, 40)
    pools = [stores.database() for _ in range(6)]
    clients = [stores.graph() for _ in range(6)]
    workers = [Stores(pool, client) for pool, client in zip(pools, clients, strict=True)]

    async def run(worker: Stores) -> None:
        await relay_owed(worker)
        await sweep_outbox(worker)

    try:
        await asyncio.gather(*(run(worker) for worker in workers))
        await run(workers[0])
    finally:
        for pool, client in zip(pools, clients, strict=True):
            await pool.close()
            await client.close()
    assert await still_owed(graph, unique) == 0
    assert await told(database, unique) == sorted(f"{unique}-{number}" for number in range(40))
    assert len(await entries(database, unique)) == 1


async def test_the_same_fact_owed_again_is_not_done_again(graph: GraphClient, database: Database, unique: str) -> None:
    """Given a settled effect, when its transaction runs again from the start, then nothing is added."""
    for _ in range(2):
        await owe_notices(graph, unique, 2)
        await relay_owed(Stores(database, graph))
        await sweep_outbox(Stores(database, graph))
    assert len(await told(database, unique)) == 2
    assert len(await entries(database, unique)) == 1


async def test_what_is_due_later_waits_and_is_done_then(graph: GraphClient, database: Database, unique: str) -> None:
    """Given a notice that is due in an hour, then it is moved at once, waits in the outbox, and is stored in time."""
    due = utc_now() + timedelta(hours=1)
    await owe_notices(graph, unique, 1, due_at=due)
    worker = Stores(database, graph)
    await relay_owed(worker)
    await sweep_outbox(worker)
    assert await still_owed(graph, unique) == 0
    assert await told(database, unique) == []
    async with database.write() as session:
        row = (await session.exec(select(Outbox).where(Outbox.key == f"{unique}:0"))).one()
        assert row.available_at == due
        # The hour passes.
        row.available_at = utc_now()
    await sweep_outbox(worker)
    assert await told(database, unique) == [f"{unique}-0"]


async def test_an_effect_that_was_not_committed_is_not_owed(graph: GraphClient, unique: str) -> None:
    async def work(tx: Transaction) -> None:
        await owe_effects(tx, [Effect(NOTICE_OWED, unique, {})], now=utc_now())
        raise LookupError("the change itself fails")

    with pytest.raises(LookupError):
        await graph.transact(work, contended=unique)
    assert await still_owed(graph, unique) == 0


async def test_what_several_forget_at_once_is_forgotten(stores: Addresses, graph: GraphClient, unique: str) -> None:
    """Given effects that six workers read before any of them settles, when all settle them, then none of them fails."""
    await owe_notices(graph, unique, 30)
    keys = [row["key"] for row in await owed_effects(graph, after="", limit=1_000) if unique in row["key"]]
    clients = [stores.graph() for _ in range(6)]
    try:
        await asyncio.gather(*(settle_effects(client, keys) for client in clients))
    finally:
        for client in clients:
            await client.close()
    assert await still_owed(graph, unique) == 0


async def test_one_effect_owed_by_several_transactions_at_once_is_owed_once(
    stores: Addresses, database: Database, unique: str
) -> None:
    """Given twenty effects, when six transactions owe them all at the same time, then none of them fails."""
    pools = [stores.database() for _ in range(6)]

    async def owe_them(pool: Database) -> None:
        for number in range(20):
            async with pool.write() as session:
                await owe(session, topic=NOTICE_OWED, key=f"{unique}:{number}", payload={}, now=utc_now())

    try:
        await asyncio.gather(*(owe_them(pool) for pool in pools))
    finally:
        for pool in pools:
            await pool.close()
    statement = select(Outbox).where(col(Outbox.key).startswith(unique))
    async with database.write() as session:
        rows = (await session.exec(statement)).all()
        assert len(rows) == 20
        for row in rows:
            await session.delete(row)


async def test_one_message_tells_of_many_effects_of_which_each_is_done_once(
    graph: GraphClient, database: Database, unique: str
) -> None:
    """Given 250 notices and an act in one commit, then three messages; told twice and at once, each is done once."""
    messages: list[Sequence[str]] = []

    async def wake(row_ids: Sequence[str]) -> None:
        messages.extend(hints_for(row_ids))

    notices = {f"{unique}:{n}": {"customer_id": f"{unique}-{n}", "kind": "INVITED"} for n in range(250)}
    hinting = Database(database.url, wake=wake)
    async with hinting.write() as session:
        now = utc_now()
        await owe_all(session, topic=NOTICE_OWED, payloads=notices, now=now, hint=True)
        audited = act(area=f"community:{unique}", actor="lin", action="test.owed", subject=unique, at=now)
        await owe(session, topic=ACT_AUDITED, key=unique, payload=audited, now=now)
    await hinting.close()

    assert [len(ids) for ids in messages] == [100, 100, 51]
    stores = Stores(database, graph)
    await asyncio.gather(*(settle_hinted(stores, ids) for ids in (*messages, *messages)))
    assert await told(database, unique) == sorted(f"{unique}-{n}" for n in range(250))
    assert len(await entries(database, unique)) == 1
    async with database.read() as session:
        assert await topics_of(session, [row_id for ids in messages for row_id in ids]) == []
