"""One table from what is owed to what settles it; each effect commits together with its settlement."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from core import outbox
from core.clock import utc_now
from core.db import Database, Session
from core.facts import FACT_RECORDED, Fact
from customers.profiles import profile
from graph.client import GraphClient
from loyalty.earning import earn_for_fact
from loyalty.ledger import Cause
from loyalty.lots import POINTS_RELEASE, earn, release
from referrals.attribution import REFERRAL_CLAIMED
from referrals.rewards import (
    REFERRAL_REWARD,
    REWARD_APPROVED,
    RewardStatus,
    settle_referee,
    take_approved,
)

log = structlog.get_logger(__name__)

Payload = dict[str, Any]
Handler = Callable[[Session, Payload, datetime], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Stores:
    """What the worker works on."""

    database: Database
    graph: GraphClient


async def on_fact_recorded(session: Session, payload: Payload, now: datetime) -> None:
    """A fact may qualify a referral and may earn points by itself."""
    await settle_customer(session, payload["customer_id"], now)
    await earn_for_fact(session, await session.get_one(Fact, payload["fact_id"]), now=now)


async def on_referral_claimed(session: Session, payload: Payload, now: datetime) -> None:
    """Facts may have come before the claim."""
    await settle_customer(session, payload["customer_id"], now)


async def settle_customer(session: Session, customer_id: str, now: datetime) -> None:
    customer = await profile(session, customer_id)
    since = customer.customer_since if customer else None
    await settle_referee(session, customer_id, customer_since=since, now=now)


async def on_reward_approved(session: Session, payload: Payload, now: datetime) -> None:
    """Put the points of an approved referral reward into the ledger."""
    reward = await take_approved(session, payload["reward_id"])
    if reward is None:
        return
    await earn(
        session,
        key=reward.key,
        customer_id=reward.customer_id,
        points=reward.points,
        cause=Cause(REFERRAL_REWARD, reward.id),
        occurred_at=reward.reached_at,
        available_at=reward.available_at,
        expires_at=reward.expires_at,
        now=now,
    )
    reward.status = RewardStatus.ISSUED


async def on_points_release(session: Session, payload: Payload, now: datetime) -> None:
    await release(session, payload["lot_id"], now=now)


HANDLERS: dict[str, Handler] = {
    FACT_RECORDED: on_fact_recorded,
    REFERRAL_CLAIMED: on_referral_claimed,
    REWARD_APPROVED: on_reward_approved,
    POINTS_RELEASE: on_points_release,
}


async def settle(stores: Stores, row_id: str) -> bool:
    """Settle one owed effect; False when there was nothing to do or it failed and was postponed."""
    now = utc_now()
    try:
        async with stores.database.write() as session:
            row = await outbox.take(session, row_id)
            if row is None:
                return False
            await HANDLERS[row.topic](session, row.payload, now)
            outbox.settle(row, now=now)
        return True
    except Exception as error:
        log.exception("effect_failed", outbox_id=row_id)
        async with stores.database.write() as session:
            await outbox.postpone(session, row_id, failure=type(error).__name__, now=now)
        return False
