"""Thousands of operations in any order: after each, every lot and balance is the model's; at the end, every report."""

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlmodel import col, select

from core.days import day_of
from core.db import Database
from core.ids import derived_id, new_id
from loyalty.adjustments import NewAdjustment, adjust
from loyalty.ledger import InsufficientPoints, LedgerEntry
from loyalty.liability import OVERDUE, liability_report
from loyalty.lots import ExpiredPolicy, LedgerLot, lot_id, release
from loyalty.shortfall import ShortfallPolicy
from loyalty.transfers import Gift, TransferLimits, transfer
from loyalty.trial_balance import trial_balance
from tests.conftest import Addresses
from tests.databases import own_database
from tests.loyalty.accounts import demand, give, spend, take_back, unspend
from tests.loyalty.closing import DAY, FIRST, NOON, ZONE, close_whole
from tests.loyalty.points_model import Lot, Model

pytestmark = pytest.mark.anyio

PEOPLE = 3
GRACE = 4
NO_LIMITS = TransferLimits(smallest=1, largest=10**6, per_day=10**9)

who = st.integers(0, PEOPLE - 1)
steps = st.one_of(
    st.tuples(st.just("earn"), who, st.integers(1, 40), st.sampled_from([0, 0, 0, 1, 3]), st.integers(1, 9)),
    st.tuples(st.just("earn"), who, st.integers(1, 40), st.just(0), st.integers(1, 9)),
    st.tuples(st.just("spend"), who, st.integers(1, 50)),
    st.tuples(st.just("refund"), st.integers(0, 20), st.sampled_from([0, GRACE])),
    st.tuples(st.just("transfer"), who, who, st.integers(1, 40)),
    st.tuples(st.just("adjust"), who, st.integers(-30, 30).filter(bool)),
    st.tuples(st.just("claw"), st.integers(0, 20), st.sampled_from(list(ShortfallPolicy))),
    st.tuples(st.just("wait"), st.integers(1, 3)),
    st.tuples(st.just("close")),
    st.tuples(st.just("release")),
)


class Run:
    """One history, played on the model and on a database of its own."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.model = Model()
        self.people = [f"{name}-{new_id()}" for name in "abc"]
        self.earned: dict[str, Lot] = {}
        self.clawed: set[str] = set()
        self.postings: list[str] = []
        self.closed = -1

    @property
    def now(self) -> Any:
        return NOON + self.model.today * DAY

    async def step(self, name: str, *rest: Any) -> None:
        await getattr(self, name)(*rest)

    async def earn(self, owner: int, points: int, wait: int, life: int) -> None:
        key = f"{self.people[owner]}:{len(self.model.lots):03}"
        await give(
            self.database,
            self.people[owner],
            points,
            key=key,
            available_in=wait * DAY,
            expires_in=life * DAY,
            now=self.now,
        )
        self.model.earn(lot_id(key), owner, points, wait, life)
        self.earned[key] = self.model.lots[-1]

    async def spend(self, owner: int, points: int) -> None:
        if not self.model.can_spend(owner, points):
            with pytest.raises(InsufficientPoints):
                await spend(self.database, self.people[owner], points, now=self.now)
            return
        self.postings.append(await spend(self.database, self.people[owner], points, now=self.now))
        self.model.spend(owner, points)

    async def refund(self, number: int, grace: int) -> None:
        if number >= len(self.postings) or not self.model.spent[number][1]:
            return
        owner, back = self.model.spent[number]
        points = sum(part for _, part in back)
        policy = ExpiredPolicy.REINSTATE if grace else ExpiredPolicy.FORFEIT
        posting = await unspend(
            self.database,
            self.people[owner],
            self.postings[number],
            points,
            now=self.now,
            expired=policy,
            grace_days=grace,
        )
        names = {lot.id: lot_id(f"reinstate:{posting}:{lot.id}") for lot, _ in back}
        assert self.model.refund(number, grace, names) == points

    async def transfer(self, sender: int, receiver: int, points: int) -> None:
        if sender == receiver:
            return
        gift = Gift(self.people[sender], self.people[receiver], points, new_id())

        async def hand() -> None:
            async with self.database.write() as session:
                await transfer(session, gift, zone=ZONE, now=self.now, limits=NO_LIMITS)

        if not self.model.can_spend(sender, points):
            with pytest.raises(InsufficientPoints):
                await hand()
            return
        await hand()
        id = derived_id("transfer", gift.sender_id, gift.idempotency_key)
        names = {lot.id: lot_id(f"transfer:{id}:{lot.id}") for lot in self.model.lots}
        self.model.transfer(sender, receiver, points, names)

    async def adjust(self, owner: int, points: int) -> None:
        new = NewAdjustment(self.people[owner], points, "A test", new_id(), life_days=5)

        async def ask() -> None:
            async with self.database.write() as session:
                await adjust(session, new, actor="ann", limit=1_000_000, now=self.now)

        if points < 0 and not self.model.can_spend(owner, -points):
            with pytest.raises(InsufficientPoints):
                await ask()
            return
        await ask()
        id = derived_id("adjustment", "ann", new.idempotency_key)
        self.model.adjust(lot_id(f"adjustment:{id}"), owner, points, 5)

    async def claw(self, number: int, policy: ShortfallPolicy) -> None:
        keys = sorted(self.earned.keys() - self.clawed)
        if number >= len(keys):
            return
        key, lot = keys[number], self.earned[keys[number]]
        self.clawed.add(key)
        await take_back(self.database, demand(self.people[lot.owner], key, lot.points, policy), now=self.now)
        self.model.claw_back(lot, policy)

    async def wait(self, days: int) -> None:
        self.model.today += days

    async def close(self) -> None:
        """Close the days that are over and not closed yet, the earliest first."""
        for day in range(self.closed + 1, self.model.today):
            row = await close_whole(self.database, FIRST + day * DAY, now=self.now)
            assert (row.holds, row.findings) == (True, {})
            self.model.close(day)
        self.closed = max(self.closed, self.model.today - 1)

    async def release(self) -> None:
        for lot in self.model.due(self.model.today):
            async with self.database.write() as session:
                await release(session, lot.id, now=self.now)
            self.model.release(lot)
            self.model.arrive(lot, lot.left)

    async def compare(self) -> None:
        """Every lot, and every kept balance."""
        async with self.database.read() as session:
            rows = (await session.exec(select(LedgerLot))).all()
            accounts = (
                await (await session.connection()).execute(
                    text("SELECT id, balance FROM ledger_account WHERE customer_id IS NOT NULL")
                )
            ).all()
        found = {
            row.id: (row.customer_id, row.points, row.remaining, row.earned_at, row.expires_at, row.released)
            for row in rows
        }
        assert found == {
            lot.id: (
                self.people[lot.owner],
                lot.points,
                lot.left,
                NOON + lot.earned * DAY,
                NOON + lot.expires * DAY,
                lot.released,
            )
            for lot in self.model.lots
        }
        assert {id: balance for id, balance in accounts if balance} == {
            f"{self.people[owner]}:{account}": run[-1][1]
            for (owner, account), run in self.model.runs.items()
            if run and run[-1][1]
        }

    async def compare_reports(self) -> None:
        """Every running balance, the trial balance, and the liability report of all days and of the last."""
        until = self.now + timedelta(seconds=1)
        async with self.database.read() as session:
            statement = select(LedgerEntry).where(col(LedgerEntry.position).is_not(None))
            entries = (await session.exec(statement.order_by(col(LedgerEntry.position)))).all()
            proof = await trial_balance(session)
            report = await liability_report(session, booked_from=NOON - DAY, booked_before=until, zone=ZONE)
            later = await liability_report(session, booked_from=until, booked_before=until, zone=ZONE)
        runs: dict[str, list[tuple[int, int | None]]] = {}
        for entry in entries:
            runs.setdefault(entry.account_id, []).append((entry.points, entry.balance_after))
        model = self.model
        assert runs == {f"{self.people[owner]}:{name}": run for (owner, name), run in model.runs.items() if run}
        assert (proof.holds, proof.findings) == (True, {})
        assert {one.kind: (one.points_in, one.points_out) for one in report.movements} == {
            kind: (model.came[kind], model.went[kind])
            for kind in {*model.came, *model.went}
            if model.came[kind] or model.went[kind]
        }
        left = {way: sum(lot.left for lot in model.lots if lot.released is way) for way in (True, False)}
        assert (report.opening, report.available, report.pending) == (0, left[True], left[False])
        assert report.closing == sum(one.points_in - one.points_out for one in report.movements)
        assert (later.opening, later.closing, later.movements) == (report.closing, report.closing, ())
        months: Counter[tuple[str, bool]] = Counter()
        for lot in model.lots:
            over = lot.expires <= model.today
            month = OVERDUE if over else day_of(NOON + lot.expires * DAY, ZONE).strftime("%Y-%m")
            months[month, lot.released] += lot.left
        assert {
            (one.month, way): n
            for one in report.months
            for way, n in ((True, one.available), (False, one.pending))
            if n
        } == {key: points for key, points in months.items() if points}
        assert report.owed == sum(lot.open["DEBT"] for lot in model.lots)
        assert report.written_off == sum(lot.open["WRITE_OFF"] for lot in model.lots)


async def copy_of(stores: Addresses, template: Database, folder: Path) -> Database:
    """A database like the template, which nobody is connected to."""
    await template.engine.dispose()
    if template.is_sqlite:
        copy = folder / f"{new_id()}.sqlite"
        await asyncio.to_thread(shutil.copyfile, template.url.split("///")[1], copy)
        return Database(f"sqlite+aiosqlite:///{copy}", timeout=60)
    name, base = f"copy-{new_id()}", template.url.rpartition("/")
    server = stores.database()
    try:
        async with server.engine.connect() as connection:
            free = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await free.execute(text(f'CREATE DATABASE "{name}" TEMPLATE "{base[2]}"'))
    finally:
        await server.close()
    return Database(f"{base[0]}/{name}", timeout=60)


@pytest.fixture
async def template(stores: Addresses, tmp_path: Path) -> AsyncGenerator[Database, None]:
    async with own_database(stores, tmp_path) as database:
        yield database


@pytest.mark.timeout(600)
@settings(
    max_examples=70,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(plan=st.lists(steps, min_size=20, max_size=60))
async def test_whatever_happens_everything_is_as_in_the_model(
    stores: Addresses, template: Database, tmp_path: Path, plan: list[tuple[Any, ...]]
) -> None:
    """Given earning, releases, spending, refunds of both policies, transfers, adjustments, clawbacks, day closes."""
    database = await copy_of(stores, template, tmp_path)
    try:
        run = Run(database)
        for name, *rest in plan:
            await run.step(str(name), *rest)
            await run.compare()
        await run.close()
        await run.compare()
        await run.compare_reports()
    finally:
        await database.close()
