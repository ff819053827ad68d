"""Redemptions and their ends, for tests of the catalogue."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import col, select

from core.clock import utc_now
from core.db import Database, Session
from core.errors import KinshipError
from core.ids import new_id
from core.principal import Principal, Role
from loyalty.catalogue import Reward, RewardKind
from loyalty.coupons import CouponBatch, CouponCode, NewCodes, add_codes
from loyalty.fulfilment import cancel_redemption, expire_redemption, fail_redemption, fulfil_redemption
from loyalty.ledger import LedgerPosting, PostingKind
from loyalty.redemption import redeem
from loyalty.redemption_records import Redemption
from tests.loyalty.accounts import give, make_reward


async def answer(database: Database, act: Callable[[Session], Awaitable[Any]]) -> Any:
    """What an act in a transaction of its own gives, or the code of the refusal."""
    try:
        async with database.write() as session:
            return await act(session)
    except KinshipError as error:
        return error.code


async def try_redeem(database: Database, customer_id: str, reward_id: str, key: str = "", **more: Any) -> str:
    """The redemption's id, or the code of the refusal."""
    given: dict[str, Any] = {"idempotency_key": key or new_id(), "now": utc_now(), **more}

    async def act(session: Session) -> str:
        return (await redeem(session, customer_id=customer_id, reward_id=reward_id, **given)).id

    return await answer(database, act)


async def reserve_one(database: Database, customer_id: str, **reward: Any) -> tuple[str, str]:
    """A partner's reward for 100 points and a customer's reservation of it, all paid; their ids."""
    reward_id = await make_reward(database, **{"kind": RewardKind.PARTNER, "stock": 5, **reward})
    await give(database, customer_id, 100)
    return reward_id, await try_redeem(database, customer_id, reward_id)


async def redemption_at(database: Database, redemption_id: str) -> Redemption:
    async with database.read() as session:
        return await session.get_one(Redemption, redemption_id)


async def stock_of(database: Database, reward_id: str) -> int | None:
    async with database.read() as session:
        return (await session.get_one(Reward, reward_id)).stock


def customer(customer_id: str) -> Principal:
    return Principal(f"subject-{customer_id}", frozenset({Role.CUSTOMER}), frozenset(), 0, customer_id)


def administrator() -> Principal:
    return Principal("admin", frozenset({Role.ADMINISTRATOR}), frozenset(), 0)


async def fulfil(database: Database, redemption_id: str, *, now: datetime | None = None, reference: str = "R-1") -> str:
    """The status afterwards, or the code of the refusal; likewise below."""

    async def act(session: Session) -> str:
        moment = now or utc_now()
        row = await fulfil_redemption(session, redemption_id, reference=reference, actor="partner", now=moment)
        return row.status

    return await answer(database, act)


async def fail(
    database: Database, redemption_id: str, *, now: datetime | None = None, reason: str = "none left"
) -> str:
    async def act(session: Session) -> str:
        moment = now or utc_now()
        return (await fail_redemption(session, redemption_id, reason=reason, actor="partner", now=moment)).status

    return await answer(database, act)


async def cancel(
    database: Database, redemption_id: str, by: Principal, *, reason: str | None = None, now: datetime | None = None
) -> str:
    async def act(session: Session) -> str:
        moment = now or utc_now()
        return (await cancel_redemption(session, redemption_id, principal=by, reason=reason, now=moment)).status

    return await answer(database, act)


async def expire(database: Database, redemption_id: str, *, now: datetime) -> str:
    async def act(session: Session) -> str:
        return "EXPIRED" if await expire_redemption(session, redemption_id, now=now) else "NOTHING"

    return await answer(database, act)


async def refunds_of(database: Database, redemption_ids: Sequence[str]) -> list[str]:
    """The redemptions that were refunded, each as often as it was."""
    statement = select(LedgerPosting.cause_id).where(
        LedgerPosting.kind == PostingKind.REFUND, col(LedgerPosting.cause_id).in_(list(redemption_ids))
    )
    async with database.read() as session:
        return sorted((await session.exec(statement)).all())


def some_codes(count: int) -> list[str]:
    """Codes such as a partner hands over, none of which was there before."""
    return [f"C-{new_id()}" for _ in range(count)]


async def put_codes(database: Database, reward_id: str, codes: Sequence[str], *, key: str = "") -> Any:
    """The batch, or the code of the refusal."""

    async def act(session: Session) -> CouponBatch:
        return await add_codes(session, NewCodes(reward_id, codes, key or new_id()), actor="admin", now=utc_now())

    return await answer(database, act)


async def pool_of(database: Database, reward_id: str) -> list[tuple[str, str | None]]:
    """Codes and the redemptions that have them, in the order in which they are handed out."""
    statement = select(CouponCode).where(CouponCode.reward_id == reward_id).order_by(col(CouponCode.id))
    async with database.read() as session:
        return [(row.code, row.redemption_id) for row in (await session.exec(statement)).all()]


LATER = timedelta(days=4)
