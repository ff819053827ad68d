"""A rating or a class that changes: who holds what does not fit any more has one task, whoever dies on the way."""

import asyncio
import sys
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlmodel import col, select

from core.clock import utc_now
from core.db import Database
from core.ids import new_id
from core.outbox import owe
from core.processes import REPOSITORY, start_leashed
from core.tasks import TaskKind
from customers.profiles import Customer
from customers.records import Holding
from graph.client import GraphClient
from service.products import PRODUCT_RATING_CHANGED, product_id_of
from service.suitability import ProductRisk, RiskClass
from service.suitability_findings import Held, SuitabilityFinding, review_holdings
from service.tasks import Task, TaskStatus
from tests.conftest import Addresses
from tests.customers.insight import put
from tests.service.suiting import assess_one, holding_of, make_holders, rate
from worker import suitability
from worker.sweeps import sweep_outbox
from worker.work import Stores

pytestmark = pytest.mark.anyio


async def findings(database: Database, code: str) -> list[SuitabilityFinding]:
    async with database.read() as session:
        mine = select(SuitabilityFinding).where(SuitabilityFinding.product == code)
        return list((await session.exec(mine.order_by(col(SuitabilityFinding.customer_id)))).all())


async def reviews(database: Database, ids: list[str]) -> list[tuple[str, str]]:
    """Who has which review, with its status."""
    async with database.read() as session:
        mine = select(Task.customer_id, Task.status).where(
            col(Task.customer_id).in_(ids), Task.kind == TaskKind.SUITABILITY_REVIEW
        )
        return sorted((await session.exec(mine)).all())


async def assess_all(database: Database, ids: list[str], risk_class: RiskClass = RiskClass.C3) -> None:
    for one in ids:
        await assess_one(database, one, risk_class)


async def test_a_worse_rating_opens_one_task_each_and_a_better_one_ends_them(
    graph: GraphClient, database: Database, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given ten holders of C3 in pages of three; when R2 becomes R4, twice, and then R3; then ten tasks, and none."""
    monkeypatch.setattr(suitability, "HOLDERS", 3)
    code, stores = f"F-{unique}", Stores(database, graph)
    ids = await make_holders(database, code, 10)
    await rate(database, code, ProductRisk.R2)
    await assess_all(database, ids)
    await sweep_outbox(stores)
    assert await findings(database, code) == []
    await rate(database, code, ProductRisk.R4)
    await sweep_outbox(stores)
    assert await reviews(database, ids) == [(one, TaskStatus.OPEN) for one in ids]
    found = await findings(database, code)
    assert [row.customer_id for row in found] == ids
    assert {tuple(row.checked().reasons) for row in found} == {("RISK_TOO_HIGH",)}

    # Worse still: what is open stays one.
    await rate(database, code, ProductRisk.R5)
    await sweep_outbox(stores)
    assert await reviews(database, ids) == [(one, TaskStatus.OPEN) for one in ids]
    await rate(database, code, ProductRisk.R3)
    await sweep_outbox(stores)
    assert await reviews(database, ids) == [(one, TaskStatus.DONE) for one in ids]
    assert all(row.ended_at is not None for row in await findings(database, code))

    # It does not fit again: that is a case of its own.
    await rate(database, code, ProductRisk.R4)
    await sweep_outbox(stores)
    assert sorted(status for _, status in await reviews(database, ids)) == ["DONE"] * 10 + ["OPEN"] * 10


async def test_the_same_look_twice_and_by_many_at_once_opens_one_task_each(
    stores: Addresses, database: Database, graph: GraphClient, pools: list[Database], unique: str
) -> None:
    """Given twelve holders; when eight writers look at them at once, and the effect runs again; then twelve tasks."""
    code, now = f"F-{unique}", utc_now()
    ids = await make_holders(database, code, 12)
    await rate(database, code, ProductRisk.R1)
    await assess_all(database, ids, RiskClass.C2)
    await rate(database, code, ProductRisk.R5)

    async def look(number: int) -> int:
        async with pools[number % 4].write() as session:
            held = [Held(one, code) for one in (ids if number % 2 else reversed(ids))]
            return len(await review_holdings(session, held, now=now))

    assert sum(await asyncio.gather(*(look(number) for number in range(8)))) == 12
    await sweep_outbox(Stores(database, graph))
    product_id = product_id_of(code)
    async with database.write() as session:
        payload = {"product_id": product_id, "version": 2, "after": ""}
        await owe(session, topic=PRODUCT_RATING_CHANGED, key=f"{product_id}:again", payload=payload, now=now)
    await sweep_outbox(Stores(database, graph))
    assert await reviews(database, ids) == [(one, TaskStatus.OPEN) for one in ids]
    assert len(await findings(database, code)) == 12


@pytest.mark.parametrize(("point", "number"), [("before-commit", 1), ("after-commit", 1), ("before-commit", 2)])
async def test_killed_half_way_it_goes_on_and_nobody_is_left_out_or_twice(
    stores: Addresses, graph: GraphClient, database: Database, unique: str, tmp_path: Path, point: str, number: int
) -> None:
    """Given ten holders in pages of three; when a worker dies at a page; then another one does the rest, once."""
    code = f"F-{unique}"
    ids = await make_holders(database, code, 10)
    await rate(database, code, ProductRisk.R1)
    await assess_all(database, ids, RiskClass.C1)
    await sweep_outbox(Stores(database, graph))
    await rate(database, code, ProductRisk.R4)
    script, log = str(REPOSITORY / "tests" / "worker" / "killed_suitability.py"), tmp_path / "killed.log"
    process = start_leashed(
        [sys.executable, script, point, str(number)],
        log=log,
        env={**stores.environment(), "REDIS_URL": "redis://127.0.0.1:1"},
    )
    assert await asyncio.to_thread(process.wait, 60) == -9, log.read_text()[-2000:]
    assert len(await findings(database, code)) < 10
    await sweep_outbox(Stores(database, graph))
    assert [row.customer_id for row in await findings(database, code)] == ids
    assert await reviews(database, ids) == [(one, TaskStatus.OPEN) for one in ids]


async def test_a_new_class_is_held_against_all_that_is_held(
    graph: GraphClient, database: Database, unique: str
) -> None:
    """Given R1, R3 and R4 held, and something that the bank has not told of; when C4 becomes C2; then two reviews."""
    codes, now = [f"R{number}-{unique}" for number in (1, 3, 4)], utc_now()
    (customer,) = await make_holders(database, codes[0], 1)
    unheard = f"X-{unique}"
    await put(database, Holding, *(holding_of(customer, code, now=now) for code in (*codes[1:], codes[2], unheard)))
    for code, risk in zip(codes, (ProductRisk.R1, ProductRisk.R3, ProductRisk.R4), strict=True):
        await rate(database, code, risk)
    await assess_one(database, customer, RiskClass.C4)
    await sweep_outbox(Stores(database, graph))
    assert await reviews(database, [customer]) == []
    await assess_one(database, customer, RiskClass.C2)
    for _ in range(2):
        await sweep_outbox(Stores(database, graph))
    assert await reviews(database, [customer]) == [(customer, TaskStatus.OPEN)] * 2
    assert [len(await findings(database, code)) for code in (*codes, unheard)] == [0, 1, 1, 0]


async def test_who_was_never_assessed_or_is_gone(graph: GraphClient, database: Database, unique: str) -> None:
    """Given three holders without an assessment, of whom one is erased and one merged; then one has a task."""
    code = f"F-{unique}"
    ids = await make_holders(database, code, 3)
    await rate(database, code, ProductRisk.R1)
    async with database.write() as session:
        (await session.get_one(Customer, ids[0])).erased_at = utc_now()
        (await session.get_one(Customer, ids[1])).merged_into = new_id()
    await rate(database, code, ProductRisk.R2)
    await sweep_outbox(Stores(database, graph))
    assert await reviews(database, ids) == [(ids[2], TaskStatus.OPEN)]
    (found,) = await findings(database, code)
    assert "ASSESSMENT_MISSING" in found.checked().reasons


async def test_a_rating_that_was_replaced_is_left_to_the_new_one(
    graph: GraphClient, database: Database, unique: str
) -> None:
    """Given a rating that changes to R5 and back to R1 before a worker comes; then nobody has anything to review."""
    code = f"F-{unique}"
    ids = await make_holders(database, code, 2)
    await rate(database, code, ProductRisk.R1)
    await assess_all(database, ids)
    await rate(database, code, ProductRisk.R5)
    await rate(database, code, ProductRisk.R1)
    await sweep_outbox(Stores(database, graph))
    assert (await reviews(database, ids), await findings(database, code)) == ([], [])


async def test_what_is_sold_needs_no_review(graph: GraphClient, database: Database, unique: str) -> None:
    """Given two holders of what does not fit; when an import says that one has sold it; then that review is over."""
    code, now = f"F-{unique}", utc_now()
    ids = await make_holders(database, code, 2)
    await rate(database, code, ProductRisk.R1)
    await assess_all(database, ids)
    await rate(database, code, ProductRisk.R5)
    await sweep_outbox(Stores(database, graph))
    async with database.write() as session:
        sold = update(Holding).where(col(Holding.customer_id) == ids[0]).values(amount=0)
        await session.exec(sold)
        payload = {"customer_ids": ids}
        await owe(session, topic=suitability.HOLDINGS_ENDED, key=unique, payload=payload, now=now)
    await sweep_outbox(Stores(database, graph))
    assert await reviews(database, ids) == [(ids[0], TaskStatus.DONE), (ids[1], TaskStatus.OPEN)]
