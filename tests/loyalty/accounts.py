"""Customers with points, for tests of the ledger and what stands on it."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlmodel import select

from core.clock import utc_now
from core.db import Database
from core.ids import new_id
from loyalty.catalogue import NewReward, create_reward
from loyalty.clawback import Clawback, Demand, claw_back
from loyalty.ledger import AccountKind, Cause, Leg, PostingKind, balances, post
from loyalty.lots import Earned, ExpiredPolicy, LedgerLot, burn, earn, lot_id, refund
from loyalty.shortfall import ShortfallPolicy, debts
from loyalty.trial_balance import trial_balance


async def give(
    database: Database,
    customer_id: str,
    points: int,
    *,
    key: str | None = None,
    available_in: timedelta = timedelta(0),
    expires_in: timedelta = timedelta(days=365),
    now: datetime | None = None,
) -> str | None:
    """Issue points as an earning would; returns the posting's id."""
    now, key = now or utc_now(), key or f"{customer_id}:{new_id()}"
    async with database.write() as session:
        earned = Earned(
            key=key,
            customer_id=customer_id,
            points=points,
            cause=Cause("TEST", key),
            occurred_at=now,
            available_at=now + available_in,
            expires_at=now + expires_in,
        )
        return await earn(session, earned, now=now)


async def make_reward(database: Database, **more: Any) -> str:
    """A reward on offer since yesterday; returns its id."""
    given: dict[str, Any] = {"name_zh": "咖啡券", "name_en": "Coffee voucher", "price": 100, **more}
    now = utc_now()
    given.setdefault("valid_from", now - timedelta(days=1))
    async with database.write() as session:
        return await create_reward(session, NewReward(**given), now=now)


async def spend(database: Database, customer_id: str, points: int, *, now: datetime | None = None) -> str:
    """Debit points and take them from lots, as a redemption would; returns the posting's id."""
    now = now or utc_now()
    async with database.write() as session:
        posting_id = await post(
            session,
            key=f"spend:{new_id()}",
            kind=PostingKind.REDEEM,
            cause=Cause("TEST", f"{customer_id}:spent"),
            legs=[Leg(AccountKind.AVAILABLE, -points, customer_id), Leg(AccountKind.REDEMPTION, points)],
            occurred_at=now,
            now=now,
        )
        assert posting_id is not None
        await burn(session, posting_id=posting_id, customer_id=customer_id, points=points, now=now)
    return posting_id


async def by_hand(database: Database, statement: str, **parameters: Any) -> None:
    """Run a statement that the application would never run."""
    async with database.write() as session:
        await (await session.connection()).execute(text(statement), parameters)


async def unspend(
    database: Database,
    customer_id: str,
    debit_id: str,
    points: int,
    *,
    now: datetime,
    expired: ExpiredPolicy = ExpiredPolicy.FORFEIT,
    grace_days: int = 0,
) -> str:
    """Give back what `spend` took, as a cancelled redemption would; returns the posting's id."""
    async with database.write() as session:
        posting_id = await post(
            session,
            key=f"unspend:{debit_id}",
            kind=PostingKind.REFUND,
            cause=Cause("TEST", f"{customer_id}:spent"),
            legs=[Leg(AccountKind.REDEMPTION, -points), Leg(AccountKind.AVAILABLE, points, customer_id)],
            occurred_at=now,
            now=now,
        )
        assert posting_id is not None
        await refund(session, debit_id=debit_id, refund_id=posting_id, now=now, expired=expired, grace_days=grace_days)
    return posting_id


def demand(
    customer_id: str, lot_key: str, points: int, policy: ShortfallPolicy = ShortfallPolicy.DEBT, *, key: str = ""
) -> Demand:
    """To take back what the earning with this key brought; the cause is the earning's own."""
    return Demand(
        key=key or f"clawback:{lot_key}",
        cause=Cause("TEST", lot_key),
        customer_id=customer_id,
        lot_id=lot_id(lot_key),
        points=points,
        shortfall=policy,
    )


async def take_back(database: Database, *demands: Demand, now: datetime | None = None) -> list[Clawback]:
    async with database.write() as session:
        return await claw_back(session, demands, now=now or utc_now())


async def standing(database: Database, customer_id: str) -> tuple[int, int, int]:
    """Available, pending and owed points."""
    async with database.read() as session:
        found = await balances(session, customer_id)
    return found[AccountKind.AVAILABLE], found[AccountKind.PENDING], found[AccountKind.DEBT]


async def house(database: Database, customer_id: str) -> dict[str, int]:
    """What the postings of a customer's causes moved on the accounts of the house, by its kind."""
    statement = (
        "SELECT account_id, SUM(points) FROM ledger_entry WHERE account_id LIKE 'house:%' AND posting_id IN "
        "(SELECT id FROM ledger_posting WHERE cause_id LIKE :cause) GROUP BY account_id"
    )
    async with database.read() as session:
        rows = (await (await session.connection()).execute(text(statement), {"cause": f"{customer_id}%"})).all()
    return {name.removeprefix("house:").upper(): int(points) for name, points in rows if points}


async def books_hold(database: Database, *customers: str) -> None:
    """Assert that the books add up, and the lots of these customers with their balances."""
    async with database.read() as session:
        proof = await trial_balance(session)
        assert (proof.total, proof.unbalanced_postings) == (0, [])
        named = [*proof.drifted_accounts, *proof.misnumbered_accounts, *proof.uncovered_accounts]
        assert not [one for one in named if one.split(":")[0] in customers]
        for customer_id in customers:
            lots = (await session.exec(select(LedgerLot).where(LedgerLot.customer_id == customer_id))).all()
            assert not {lot.id for lot in lots} & set(proof.drifted_lots)
            found = await balances(session, customer_id)
            assert sum(lot.remaining for lot in lots if lot.released) == found[AccountKind.AVAILABLE]
            assert sum(lot.remaining for lot in lots if not lot.released) == found[AccountKind.PENDING]
            assert sum(one.points for one in await debts(session, customer_id)) == found[AccountKind.DEBT]
