"""What clawbacks could not take is repaid by what becomes available next, and never twice."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import col, select

from core.db import Database
from core.ids import new_id
from loyalty.ledger import InsufficientPoints, LedgerPosting, PostingKind
from loyalty.lots import LedgerLot, debits_of, lot_id, release
from loyalty.shortfall import ShortfallPolicy
from loyalty.statements import ledger_of
from tests.loyalty.accounts import books_hold, demand, give, house, spend, standing, take_back, unspend

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)
DEBT, WRITE_OFF = ShortfallPolicy.DEBT, ShortfallPolicy.WRITE_OFF


async def repayments(database: Database, customer_id: str) -> list[tuple[str, int]]:
    """The causes whose shortfall was repaid, and with how many points of lots, in order."""
    statement = (
        select(LedgerPosting)
        .where(LedgerPosting.kind == PostingKind.REPAYMENT, col(LedgerPosting.cause_id).startswith(customer_id))
        .order_by(col(LedgerPosting.id))
    )
    async with database.read() as session:
        found = [(one, await debits_of(session, one.id)) for one in (await session.exec(statement)).all()]
    return [(one.cause_id.rpartition(":")[2], sum(debit.points for debit, _ in debits)) for one, debits in found]


async def clawed_after_spending(
    database: Database, customer_id: str, name: str, points: int, policy: ShortfallPolicy = DEBT
) -> str:
    """Earn and spend these points, and have them clawed back; returns the posting that spent."""
    await give(database, customer_id, points, key=f"{customer_id}:{name}", expires_in=9 * DAY, now=NOON)
    spent = await spend(database, customer_id, points, now=NOON)
    (done,) = await take_back(database, demand(customer_id, f"{customer_id}:{name}", points, policy), now=NOON)
    assert done.recovered == 0
    return spent


async def test_what_is_earned_repays_the_oldest_debt_first(database: Database, unique: str) -> None:
    """Given debts of 30 and 20, when 40, then 15 are earned, then the first is repaid before the second."""
    for name, points in (("a", 30), ("b", 20)):
        await give(database, unique, points, key=f"{unique}:{name}", now=NOON)
    await spend(database, unique, 50, now=NOON)
    for name, points in (("a", 30), ("b", 20)):
        await take_back(database, demand(unique, f"{unique}:{name}", points), now=NOON)
    assert await standing(database, unique) == (0, 0, 50)
    for _ in range(2):
        await give(database, unique, 40, key=f"{unique}:next", now=NOON)
        assert await standing(database, unique) == (0, 0, 10)
    await give(database, unique, 15, now=NOON)
    assert await standing(database, unique) == (5, 0, 0)
    assert await repayments(database, unique) == [("a", 30), ("b", 10), ("b", 10)]
    assert await house(database, unique) == {"ISSUANCE": -105 + 50, "REDEMPTION": 50}
    async with database.read() as session:
        page = await ledger_of(session, unique, first=3, after=None)
    kinds = {(line.posting.kind, line.entry.account_id.rpartition(":")[2]): line.entry.points for line in page.rows}
    assert kinds == {("REPAYMENT", "available"): -10, ("REPAYMENT", "debt"): -10, ("EARN", "available"): 15}
    await books_hold(database, unique)


async def test_what_is_released_repays_at_its_release_and_not_before(database: Database, unique: str) -> None:
    await clawed_after_spending(database, unique, "a", 30)
    await give(database, unique, 40, key=f"{unique}:next", available_in=DAY, now=NOON)
    assert await standing(database, unique) == (0, 40, 30)
    for _ in range(2):
        async with database.write() as session:
            await release(session, lot_id(f"{unique}:next"), now=NOON + DAY)
        assert await standing(database, unique) == (10, 0, 0)
    assert await repayments(database, unique) == [("a", 30)]
    await books_hold(database, unique)


async def test_what_expired_before_it_was_released_repays_nothing(database: Database, unique: str) -> None:
    await clawed_after_spending(database, unique, "a", 30)
    await give(database, unique, 40, key=f"{unique}:next", available_in=DAY, expires_in=2 * DAY, now=NOON)
    async with database.write() as session:
        await release(session, lot_id(f"{unique}:next"), now=NOON + 3 * DAY)
    assert await standing(database, unique) == (40, 0, 30)
    await books_hold(database, unique)


@pytest.mark.parametrize("policy", [DEBT, WRITE_OFF])
@pytest.mark.parametrize("days", [1, 20])
async def test_a_refund_to_a_lot_that_was_clawed_back_goes_to_its_shortfall(
    database: Database, unique: str, policy: ShortfallPolicy, days: int
) -> None:
    """Given a reward spent and clawed back, when the spending is cancelled, the points go back to the house.

    That is so under either policy, also when the lot has expired: nobody cancels a redemption to keep a reward.
    """
    spent = await clawed_after_spending(database, unique, "a", 30, policy)
    await unspend(database, unique, spent, 30, now=NOON + days * DAY)
    assert await standing(database, unique) == (0, 0, 0)
    assert await repayments(database, unique) == [("a", 30)]
    assert await house(database, unique) == {}
    await books_hold(database, unique)


async def test_a_refund_to_another_lot_repays_debts_and_not_what_was_written_off(
    database: Database, unique: str
) -> None:
    """Given one's own 25 spent, a debt of 10 and 10 written off, when 25 come back, then 15 of them stay."""
    await give(database, unique, 25, key=f"{unique}:own", expires_in=8 * DAY, now=NOON)
    spent = await spend(database, unique, 25, now=NOON)
    await clawed_after_spending(database, unique, "a", 10, WRITE_OFF)
    await clawed_after_spending(database, unique, "b", 10)
    await unspend(database, unique, spent, 25, now=NOON)
    assert await standing(database, unique) == (15, 0, 0)
    assert await repayments(database, unique) == [("b", 10)]
    await books_hold(database, unique)


async def test_a_refund_to_an_expired_lot_of_ones_own_repays_nothing_and_is_forfeited(
    database: Database, unique: str
) -> None:
    await give(database, unique, 25, expires_in=DAY, now=NOON)
    spent = await spend(database, unique, 25, now=NOON)
    await clawed_after_spending(database, unique, "a", 10)
    await unspend(database, unique, spent, 25, now=NOON + 2 * DAY)
    assert await standing(database, unique) == (0, 0, 10)
    await books_hold(database, unique)


@dataclass
class Lot:
    """Points in the model, with the days on which they were earned, expire and are due for release."""

    key: str
    left: int
    earned: int
    expires: int
    due: int
    released: bool
    open: dict[ShortfallPolicy, int] = field(default_factory=lambda: dict.fromkeys(ShortfallPolicy, 0))

    @property
    def order(self) -> tuple[int, int, str]:
        return self.expires, self.earned, lot_id(self.key)


@dataclass
class Model:
    """A customer's points as a page of plain Python; days are whole numbers."""

    today: int = 0
    lots: list[Lot] = field(default_factory=list[Lot])
    spent: list[dict[int, int]] = field(default_factory=list[dict[int, int]])
    owing: list[int] = field(default_factory=list[int])

    def burnable(self) -> list[int]:
        good = [n for n, lot in enumerate(self.lots) if lot.released and lot.left and lot.expires > self.today]
        return sorted(good, key=lambda n: self.lots[n].order)

    def pay(self, lot: Lot, points: int, whose: int, policy: ShortfallPolicy) -> int:
        paid = min(points, self.lots[whose].open[policy])
        self.lots[whose].open[policy] -= paid
        lot.left -= paid
        return points - paid

    def arrive(self, number: int, points: int) -> int:
        lot = self.lots[number]
        for policy in (WRITE_OFF, DEBT):
            points = self.pay(lot, points, number, policy)
        if lot.expires > self.today:
            for whose in self.owing:
                points = self.pay(lot, points, whose, DEBT)
        return points

    def earn(self, key: str, points: int, wait: int, life: int) -> None:
        now = wait == 0
        self.lots.append(Lot(key, points, self.today, self.today + life, self.today + wait, now))
        if now:
            self.arrive(len(self.lots) - 1, points)

    def release(self, number: int) -> None:
        lot = self.lots[number]
        lot.released = True
        self.arrive(number, lot.left)

    def spend(self, points: int) -> bool:
        if points > sum(self.lots[n].left for n in self.burnable()):
            return False
        taken: dict[int, int] = {}
        for n in self.burnable():
            taken[n] = min(points, self.lots[n].left)
            self.lots[n].left -= taken[n]
            points -= taken[n]
        self.spent.append({n: part for n, part in taken.items() if part})
        return True

    def refund(self, number: int) -> int:
        back = self.spent[number]
        self.spent[number] = {}
        for n, part in back.items():
            self.lots[n].left += part
        for n, part in back.items():
            left = self.arrive(n, part)
            if self.lots[n].expires <= self.today:
                self.lots[n].left -= left
        return sum(back.values())

    def claw_back(self, number: int, points: int, policy: ShortfallPolicy) -> None:
        for n in (number, *(n for n in self.burnable() if n != number)):
            taken = min(points, self.lots[n].left)
            self.lots[n].left -= taken
            points -= taken
        self.lots[number].open[policy] += points
        if points and policy == DEBT:
            self.owing.append(number)

    def standing(self) -> tuple[int, int, int]:
        free, held = ([lot.left for lot in self.lots if lot.released is way] for way in (True, False))
        return sum(free), sum(held), sum(lot.open[DEBT] for lot in self.lots)


steps = st.one_of(
    st.tuples(st.just("earn"), st.integers(1, 40), st.sampled_from([0, 0, 0, 2]), st.integers(1, 9)),
    st.tuples(st.just("spend"), st.integers(1, 60)),
    st.tuples(st.just("refund"), st.integers(0, 9)),
    st.tuples(st.just("claw"), st.integers(0, 9), st.sampled_from([DEBT, WRITE_OFF])),
    st.tuples(st.just("day"), st.integers(1, 3)),
)


async def left_in_lots(database: Database, customer_id: str, model: Model) -> list[int]:
    async with database.read() as session:
        rows = (await session.exec(select(LedgerLot).where(LedgerLot.customer_id == customer_id))).all()
    left = {row.id: row.remaining for row in rows}
    return [left[lot_id(lot.key)] for lot in model.lots]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(steps, min_size=3, max_size=14))
async def test_whatever_happens_the_books_say_what_the_model_says(
    database: Database, steps: list[tuple[str, int, int, int]]
) -> None:
    """Any order of earning, releasing, spending, refunding and clawing back, under both policies."""
    customer, model = new_id(), Model()
    postings: list[str] = []
    clawed: set[int] = set()
    for name, *rest in steps:
        now = NOON + model.today * DAY
        if name == "earn":
            key = f"{customer}:{len(model.lots):03}"
            points, wait, life = rest
            await give(
                database, customer, points, key=key, available_in=wait * DAY, expires_in=(life + wait) * DAY, now=now
            )
            model.earn(key, points, wait, life + wait)
        elif name == "spend":
            if model.spend(rest[0]):
                postings.append(await spend(database, customer, rest[0], now=now))
            else:
                with pytest.raises(InsufficientPoints):
                    await spend(database, customer, rest[0], now=now)
        elif name == "refund" and rest[0] < len(postings) and model.spent[rest[0]]:
            points = model.refund(rest[0])
            await unspend(database, customer, postings[rest[0]], points, now=now)
        elif name == "claw" and rest[0] < len(model.lots) and rest[0] not in clawed:
            lot, policy = model.lots[rest[0]], ShortfallPolicy(str(rest[1]))
            clawed.add(rest[0])
            async with database.read() as session:
                whole = (await session.get_one(LedgerLot, lot_id(lot.key))).points
            await take_back(database, demand(customer, lot.key, whole, policy), now=now)
            model.claw_back(rest[0], whole, policy)
        elif name == "day":
            model.today += rest[0]
            for number, lot in enumerate(model.lots):
                if not lot.released and lot.due <= model.today:
                    async with database.write() as session:
                        await release(session, lot_id(lot.key), now=NOON + model.today * DAY)
                    model.release(number)
        assert await standing(database, customer) == model.standing()
        assert await left_in_lots(database, customer, model) == [lot.left for lot in model.lots]
        # Whoever owes has nothing that could be spent.
        assert not model.standing()[2] or not model.burnable()
    await books_hold(database, customer)
