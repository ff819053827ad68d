"""Clawback: planned by one rule, booked once, never overdrawn; what is missing is owed or written off."""

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import col, func, select

from core.clock import utc_now
from core.db import Database
from core.processes import REPOSITORY
from loyalty.clawback import Clawback, Demand, LotState, Take, claw_back, plan_clawbacks, preview_clawbacks
from loyalty.ledger import InsufficientPoints, LedgerEntry, LedgerPosting
from loyalty.lots import LedgerLot, debits_of, lot_id, release
from loyalty.shortfall import ShortfallPolicy
from loyalty.statements import ledger_of
from tests.conftest import Addresses
from tests.loyalty.accounts import books_hold, demand, give, house, spend, standing, take_back

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
DEBT, WRITE_OFF = ShortfallPolicy.DEBT, ShortfallPolicy.WRITE_OFF
POLICIES = pytest.mark.parametrize("policy", [DEBT, WRITE_OFF])
NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)


async def lots(database: Database, customer_id: str) -> list[tuple[int, int]]:
    """Points and what remains of each lot, the earliest expiry first."""
    statement = select(LedgerLot).where(LedgerLot.customer_id == customer_id).order_by(col(LedgerLot.expires_at))
    async with database.read() as session:
        return [(lot.points, lot.remaining) for lot in (await session.exec(statement)).all()]


async def preview(database: Database, *demands: Demand, now: datetime) -> list[Clawback]:
    async with database.read() as session:
        return await preview_clawbacks(session, demands, now=now)


async def booked(database: Database, key: str) -> int:
    async with database.read() as session:
        counted = select(func.count(col(LedgerPosting.id))).where(LedgerPosting.key == key)
        return (await session.exec(counted)).one()


def state(name: str, remaining: int, *, days: int = 30, is_released: bool = True, owner: str = "lin") -> LotState:
    return LotState(name, owner, remaining, is_released, NOON - DAY, NOON + days * DAY)


def ask(own: str, points: int, policy: ShortfallPolicy = DEBT, *, owner: str = "lin") -> Demand:
    return replace(demand(owner, own, points, policy), lot_id=own)


def planned(lots: Sequence[LotState], *demands: Demand) -> list[tuple[dict[str, int], int, int, int]]:
    """What each demand takes from which lot, how much of it pending, owed and written off."""
    return [
        ({take.lot_id: take.points for take in one.takes}, one.pending, one.debt, one.written_off)
        for one in plan_clawbacks(lots, demands, now=NOON)
    ]


def test_the_rule_in_plain_cases() -> None:
    """Given own and other lots, then the own lot gives first in whatever state, and others only what can be spent."""
    late, soon = state("late", 5, days=90), state("soon", 5, days=9)
    assert planned([late, soon], ask("late", 7)) == [({"late": 5, "soon": 2}, 0, 0, 0)]
    assert planned([late, soon], ask("gone", 7)) == [({"soon": 5, "late": 2}, 0, 0, 0)]
    assert planned([late, soon], ask("gone", 12)) == [({"soon": 5, "late": 5}, 0, 2, 0)]
    assert planned([late, soon], ask("gone", 12, WRITE_OFF)) == [({"soon": 5, "late": 5}, 0, 0, 2)]
    pending, expired = state("pending", 4, is_released=False), state("expired", 4, days=0)
    assert planned([pending, expired, soon], ask("pending", 6)) == [({"pending": 4, "soon": 2}, 4, 0, 0)]
    assert planned([pending, expired], ask("expired", 6)) == [({"expired": 4}, 0, 2, 0)]
    assert planned([pending, expired], ask("gone", 6)) == [({}, 0, 6, 0)]
    assert planned([state("wu", 9, owner="wu")], ask("wu", 6, WRITE_OFF)) == [({}, 0, 0, 6)]
    # The second sees what the first has left, and another customer's lots are their own.
    both = [state("a", 5), state("b", 5), state("wu", 9, owner="wu")]
    assert planned(both, ask("a", 7), ask("b", 7), ask("wu", 7, owner="wu")) == [
        ({"a": 5, "b": 2}, 0, 0, 0),
        ({"b": 3}, 0, 4, 0),
        ({"wu": 7}, 0, 0, 0),
    ]


some_lots = st.lists(
    st.tuples(st.sampled_from(["lin", "wu"]), st.integers(0, 20), st.integers(-2, 5), st.booleans()), max_size=6
)
some_demands = st.lists(
    st.tuples(st.integers(0, 6), st.integers(1, 40), st.sampled_from([DEBT, WRITE_OFF])), max_size=5
)


@given(given=some_lots, asked=some_demands)
def test_whatever_is_demanded_adds_up(
    given: list[tuple[str, int, int, bool]], asked: list[tuple[int, int, ShortfallPolicy]]
) -> None:
    states = [
        state(str(index), remaining, days=days, is_released=is_released, owner=owner)
        for index, (owner, remaining, days, is_released) in enumerate(given)
    ]
    owners = {one.id: one.customer_id for one in states}
    demands = [ask(str(own), points, policy, owner=owners.get(str(own), "lin")) for own, points, policy in asked]
    plans = plan_clawbacks(states, demands, now=NOON)
    taken = dict.fromkeys(owners, 0)
    for one, plan in zip(demands, plans, strict=True):
        assert plan.recovered + plan.debt + plan.written_off == one.points
        assert (plan.written_off if one.shortfall == DEBT else plan.debt) == 0
        for take in plan.takes:
            assert take.points > 0
            assert owners[take.lot_id] == one.customer_id
            taken[take.lot_id] += take.points
        if plan.debt or plan.written_off:
            # Whoever is short has nothing left that could be spent.
            left = [lot for lot in states if lot.customer_id == one.customer_id and lot.is_released]
            assert all(taken[lot.id] == lot.remaining for lot in left if lot.expires_at > NOON)
    assert all(taken[lot.id] <= lot.remaining for lot in states)


@POLICIES
async def test_points_that_are_still_there_come_back_whole(
    database: Database, unique: str, policy: ShortfallPolicy
) -> None:
    """Given a reward of 30 beside 50 of one's own, when it is clawed back twice, then 50 stay and it is booked once."""
    await give(database, unique, 50, expires_in=10 * DAY)
    await give(database, unique, 30, key=f"{unique}:r")
    for _ in range(2):
        (done,) = await take_back(database, demand(unique, f"{unique}:r", 30, policy))
        assert (done.recovered, done.pending, done.debt, done.written_off) == (30, 0, 0, 0)
        assert done.takes == (Take(lot_id(f"{unique}:r"), 30),)
    assert await lots(database, unique) == [(50, 50), (30, 0)]
    assert await standing(database, unique) == (50, 0, 0)
    assert await house(database, unique) == {"ISSUANCE": -50}
    assert await booked(database, f"clawback:{unique}:r") == 1
    await books_hold(database, unique)


@POLICIES
async def test_pending_points_are_taken_before_their_release_which_then_does_nothing(
    database: Database, unique: str, policy: ShortfallPolicy
) -> None:
    now = utc_now()
    await give(database, unique, 30, key=f"{unique}:r", available_in=DAY, now=now)
    (done,) = await take_back(database, demand(unique, f"{unique}:r", 30, policy), now=now)
    assert (done.recovered, done.pending) == (30, 30)
    assert await standing(database, unique) == (0, 0, 0)
    async with database.write() as session:
        await release(session, lot_id(f"{unique}:r"), now=now + DAY)
    assert await standing(database, unique) == (0, 0, 0)
    await books_hold(database, unique)


async def test_what_was_spent_is_owed_and_cannot_be_spent_again(database: Database, unique: str) -> None:
    """Given 100 of which 80 are spent and 10 of one's own, when all 100 go back, then 70 are owed."""
    await give(database, unique, 100, key=f"{unique}:r", expires_in=9 * DAY)
    await spend(database, unique, 80)
    await give(database, unique, 10)
    (done,) = await take_back(database, demand(unique, f"{unique}:r", 100))
    assert (done.recovered, done.debt, done.written_off) == (30, 70, 0)
    assert [take.points for take in done.takes] == [20, 10]
    assert await standing(database, unique) == (0, 0, 70)
    assert await house(database, unique) == {"ISSUANCE": -110 + 30, "REDEMPTION": 80, "RECEIVABLE": -70}
    with pytest.raises(InsufficientPoints):
        await spend(database, unique, 1)
    async with database.read() as session:
        assert [debit.points for debit, _ in await debits_of(session, done.posting_id or "")] == [20, 10]
        page = await ledger_of(session, unique, first=2, after=None)
        assert {line.entry.account_id.rpartition(":")[2]: line.entry.points for line in page.rows} == {
            "available": -30,
            "debt": 70,
        }
    await books_hold(database, unique)


async def test_what_was_spent_is_written_off_apart_from_what_was_issued(database: Database, unique: str) -> None:
    await give(database, unique, 100, key=f"{unique}:r")
    await spend(database, unique, 80)
    (done,) = await take_back(database, demand(unique, f"{unique}:r", 100, WRITE_OFF))
    assert (done.recovered, done.debt, done.written_off) == (20, 0, 80)
    assert await standing(database, unique) == (0, 0, 0)
    assert await house(database, unique) == {"REDEMPTION": 80, "WRITE_OFF": -80}
    await books_hold(database, unique)


@POLICIES
async def test_a_clawback_of_what_is_wholly_gone_moves_no_points(
    database: Database, unique: str, policy: ShortfallPolicy
) -> None:
    await give(database, unique, 40, key=f"{unique}:r")
    await spend(database, unique, 40)
    (done,) = await take_back(database, demand(unique, f"{unique}:r", 40, policy))
    assert (done.recovered, done.debt + done.written_off, done.takes) == (0, 40, ())
    (again,) = await take_back(database, demand(unique, f"{unique}:r", 40, policy))
    assert again == done
    await books_hold(database, unique)


async def test_a_demand_of_nothing_is_no_demand(database: Database, unique: str) -> None:
    with pytest.raises(ValueError, match="at least one"):
        await take_back(database, demand(unique, f"{unique}:r", 0))


async def test_a_preview_writes_nothing_and_says_what_then_happens(database: Database, unique: str) -> None:
    """Given two customers and three rewards in every state, then preview, act and the preview afterwards are one."""
    now = utc_now()
    lin, wu = f"{unique}-a", f"{unique}-b"
    await give(database, lin, 30, key=f"{lin}:1", expires_in=9 * DAY, now=now)
    await spend(database, lin, 25, now=now)
    await give(database, lin, 30, key=f"{lin}:2", available_in=DAY, now=now)
    await give(database, lin, 7, now=now)
    await give(database, wu, 10, key=f"{wu}:1", now=now)
    demands = [
        demand(lin, f"{lin}:1", 30),
        demand(wu, f"{wu}:1", 10, WRITE_OFF),
        demand(lin, f"{lin}:2", 40, WRITE_OFF),
    ]
    before = await preview(database, *demands, now=now)
    assert [await standing(database, one) for one in (lin, wu)] == [(12, 30, 0), (10, 0, 0)]
    done = await take_back(database, *demands, now=now)
    assert [(one.recovered, one.debt, one.written_off) for one in done] == [(12, 18, 0), (10, 0, 0), (30, 0, 10)]
    assert [replace(one, posting_id=None) for one in done] == before
    assert await preview(database, *demands, now=now) == done
    assert [await standing(database, one) for one in (lin, wu)] == [(0, 0, 18), (0, 0, 0)]
    await books_hold(database, lin, wu)


async def test_rolled_back_half_way_it_changes_nothing(database: Database, unique: str) -> None:
    await give(database, unique, 30, key=f"{unique}:r")
    await spend(database, unique, 10)
    with pytest.raises(ZeroDivisionError):
        async with database.write() as session:
            await claw_back(session, [demand(unique, f"{unique}:r", 30)], now=utc_now())
            raise ZeroDivisionError
    assert await lots(database, unique) == [(30, 20)]
    assert await standing(database, unique) == (20, 0, 0)
    assert await booked(database, f"clawback:{unique}:r") == 0
    (done,) = await take_back(database, demand(unique, f"{unique}:r", 30))
    assert (done.recovered, done.debt) == (20, 10)
    await books_hold(database, unique)


@pytest.mark.parametrize(("point", "left"), [("before-commit", (20, 0, 0)), ("after-commit", (0, 0, 10))])
async def test_killed_it_has_happened_wholly_or_not_at_all(
    stores: Addresses, database: Database, unique: str, tmp_path: Path, point: str, left: tuple[int, int, int]
) -> None:
    """Given 20 of 30 left, when the process dies at the commit, then all or nothing is there; again is once."""
    await give(database, unique, 30, key=f"{unique}:r")
    await spend(database, unique, 10)
    script = str(REPOSITORY / "tests" / "loyalty" / "killed_clawback.py")
    with (tmp_path / "killed.log").open("wb") as log:
        killed = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, script, point, unique],
            env=stores.environment(),
            stdout=log,
            stderr=log,
            timeout=60,
        )
    assert killed.returncode == -9, (tmp_path / "killed.log").read_text()
    assert await standing(database, unique) == left
    (done,) = await take_back(database, demand(unique, f"{unique}:r", 30))
    assert (done.recovered, done.debt) == (20, 10)
    assert await standing(database, unique) == (0, 0, 10)
    await books_hold(database, unique)


async def test_a_clawback_is_balanced_by_itself(database: Database, unique: str) -> None:
    await give(database, unique, 30, key=f"{unique}:r")
    await spend(database, unique, 10)
    (done,) = await take_back(database, demand(unique, f"{unique}:r", 30))
    async with database.read() as session:
        legs = (await session.exec(select(LedgerEntry).where(LedgerEntry.posting_id == done.posting_id))).all()
    assert {leg.account_id.rpartition(":")[2]: leg.points for leg in legs} == {
        "available": -20,
        "debt": 10,
        "issuance": 20,
        "receivable": -10,
    }
