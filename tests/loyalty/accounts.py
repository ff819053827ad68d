"""Customers with points, for tests of the ledger and what stands on it."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text

from core.clock import utc_now
from core.db import Database
from core.ids import new_id
from loyalty.catalogue import NewReward, create_reward
from loyalty.ledger import AccountKind, Cause, Leg, PostingKind, post
from loyalty.lots import burn, earn


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
    now = now or utc_now()
    async with database.write() as session:
        return await earn(
            session,
            key=key or f"test:{new_id()}",
            customer_id=customer_id,
            points=points,
            cause=Cause("TEST", customer_id),
            occurred_at=now,
            available_at=now + available_in,
            expires_at=now + expires_in,
            now=now,
        )


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
            cause=Cause("TEST", customer_id),
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
