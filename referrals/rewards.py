"""Referral rewards: made from reached steps, each side on its own, inside caps and budget."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, func, update
from sqlmodel import Field, col, select

from core.db import Record, Session, changed_rows, insert_once, instant
from core.facts import facts_of
from core.ids import derived_id
from core.outbox import owe
from core.paging import Page, cut, decode_cursor, instant_in_cursor, page_size
from referrals.attribution import Referral, ReferralStatus, referrals_of_referee
from referrals.programs import ProgramDefinition, ReferralProgram, definition_of
from referrals.qualification import StepReached, qualify

REWARD_APPROVED = "referral.reward_approved"
REFERRAL_REWARD = "REFERRAL_REWARD"


class Side(StrEnum):
    """Whose reward it is."""

    REFERRER = "REFERRER"
    REFEREE = "REFEREE"


class RewardStatus(StrEnum):
    """APPROVED is owed, ISSUED is in the ledger; CANCELLED says why in `reason`."""

    APPROVED = "APPROVED"
    ISSUED = "ISSUED"
    CANCELLED = "CANCELLED"


class ReferralReward(Record, table=True):
    """Points for one side of one step, made by the programme version that it names."""

    __table_args__ = (Index("ix_referral_reward_cap", "program_id", "side", "customer_id", "step"),)

    id: str = Field(primary_key=True)
    key: str = Field(unique=True)
    referral_id: str = Field(foreign_key="referral.id", index=True)
    program_id: str
    version: int
    step: str
    side: str
    customer_id: str
    fact_id: str = Field(foreign_key="fact.id")
    points: int
    status: str
    reason: str | None = None
    reached_at: datetime = instant()
    available_at: datetime = instant()
    expires_at: datetime = instant()
    created_at: datetime = instant()


async def settle_referee(session: Session, customer_id: str, *, customer_since: datetime | None, now: datetime) -> None:
    """Make the rewards that the referee's facts give and that are not made yet, and owe their points."""
    referrals = await referrals_of_referee(session, customer_id)
    if not referrals:
        return
    facts = await facts_of(session, customer_id)
    for referral in referrals:
        if referral.status == ReferralStatus.REJECTED:
            continue
        definition = await definition_of(session, referral.program_id, referral.version)
        outcome = qualify(definition, facts, attributed_from=referral.attributed_from, customer_since=customer_since)
        if outcome.is_existing_customer:
            await reject(session, referral, reason="EXISTING_CUSTOMER")
            continue
        for reached in outcome.steps:
            await reward_step(session, referral, definition, reached, now=now)
        if outcome.is_complete:
            referral.status = ReferralStatus.QUALIFIED


async def reject(session: Session, referral: Referral, *, reason: str) -> None:
    """End a referral that should not have been; rewards not yet issued are cancelled, their budget freed."""
    referral.status = ReferralStatus.REJECTED
    referral.reason = reason
    statement = select(ReferralReward).where(
        ReferralReward.referral_id == referral.id, ReferralReward.status == RewardStatus.APPROVED
    )
    for reward in (await session.exec(statement.with_for_update())).all():
        reward.status = RewardStatus.CANCELLED
        reward.reason = reason
        await reserve_budget(session, referral.program_id, -reward.points)


async def reward_step(
    session: Session, referral: Referral, definition: ProgramDefinition, reached: StepReached, *, now: datetime
) -> None:
    sides = (
        (Side.REFERRER, referral.referrer_id, reached.step.referrer_points),
        (Side.REFEREE, referral.referee_id, reached.step.referee_points),
    )
    for side, customer_id, points in sides:
        if points:
            reward = draft_reward(referral, definition, reached, side, customer_id, points, now)
            await make_reward(session, reward, definition, now=now)


def draft_reward(
    referral: Referral,
    definition: ProgramDefinition,
    reached: StepReached,
    side: Side,
    customer_id: str,
    points: int,
    now: datetime,
) -> dict[str, Any]:
    """The row of a reward; its key and id are computed from the conversion, the step and the side."""
    key = f"referral:{referral.id}:{reached.step.name}:{side.lower()}"
    return {
        "id": derived_id("referral_reward", key),
        "key": key,
        "referral_id": referral.id,
        "program_id": referral.program_id,
        "version": referral.version,
        "step": reached.step.name,
        "side": side,
        "customer_id": customer_id,
        "fact_id": reached.fact_id,
        "points": points,
        "status": RewardStatus.APPROVED,
        "reached_at": reached.reached_at,
        "available_at": reached.reached_at + timedelta(days=definition.hold_days),
        "expires_at": reached.reached_at + timedelta(days=definition.expires_days),
        "created_at": now,
    }


async def make_reward(
    session: Session, reward: dict[str, Any], definition: ProgramDefinition, *, now: datetime
) -> None:
    """Insert the reward once, with its budget reserved in the same transaction; over a limit it is cancelled."""
    if await session.get(ReferralReward, reward["id"]) is not None:
        return
    # The reservation is a first write to the programme's row, which holds off every other counter of its caps.
    reserved = await reserve_budget(session, reward["program_id"], reward["points"])
    reason = None if reserved else "BUDGET_EXHAUSTED"
    if reserved and await is_capped(session, reward, definition):
        await reserve_budget(session, reward["program_id"], -reward["points"])
        reason = "CAP_REACHED"
    status = RewardStatus.CANCELLED if reason else RewardStatus.APPROVED
    row = {**reward, "status": status, "reason": reason}
    if await insert_once(session, ReferralReward, row) and reason is None:
        payload = {"reward_id": reward["id"]}
        await owe(session, topic=REWARD_APPROVED, key=reward["key"], payload=payload, now=now)


async def reserve_budget(session: Session, program_id: str, points: int) -> bool:
    """Reserve points of the programme's budget, or free them when negative; False when it would overshoot."""
    room = col(ReferralProgram.budget_points).is_(None) | (
        col(ReferralProgram.reserved_points) + points <= col(ReferralProgram.budget_points)
    )
    guarded = update(ReferralProgram).where(col(ReferralProgram.id) == program_id, room)
    return bool(
        await changed_rows(session, guarded.values(reserved_points=col(ReferralProgram.reserved_points) + points))
    )


async def is_capped(session: Session, reward: dict[str, Any], definition: ProgramDefinition) -> bool:
    """Whether the referrer already has as many rewards for this step as the programme allows."""
    if definition.rewards_per_referrer is None or reward["side"] != Side.REFERRER:
        return False
    counted = select(func.count(col(ReferralReward.id))).where(
        ReferralReward.program_id == reward["program_id"],
        ReferralReward.side == Side.REFERRER,
        ReferralReward.customer_id == reward["customer_id"],
        ReferralReward.step == reward["step"],
        ReferralReward.status != RewardStatus.CANCELLED,
    )
    return (await session.exec(counted)).one() >= definition.rewards_per_referrer


async def take_approved(session: Session, reward_id: str) -> ReferralReward | None:
    """Lock a reward that is to be issued; None when it is issued or cancelled."""
    statement = select(ReferralReward).where(
        ReferralReward.id == reward_id, ReferralReward.status == RewardStatus.APPROVED
    )
    return (await session.exec(statement.with_for_update())).first()


async def rewards_of_referrals(session: Session, ids: Sequence[str]) -> Sequence[ReferralReward]:
    statement = select(ReferralReward).where(col(ReferralReward.referral_id).in_(list(ids)))
    return (await session.exec(statement.order_by(col(ReferralReward.key)))).all()


async def referrals_by(session: Session, referrer_id: str, *, first: int | None, after: str | None) -> Page[Referral]:
    """The conversions that a customer brought, the latest first."""
    size = page_size(first)
    position = decode_cursor(after, str, str)
    statement = select(Referral).where(Referral.referrer_id == referrer_id)
    if position:
        at, last = instant_in_cursor(position[0]), str(position[1])
        earlier = col(Referral.claimed_at) < at
        statement = statement.where(earlier | ((col(Referral.claimed_at) == at) & (col(Referral.id) < last)))
    ordered = statement.order_by(col(Referral.claimed_at).desc(), col(Referral.id).desc())
    rows = (await session.exec(ordered.limit(size + 1))).all()
    return cut(rows, size, lambda row: (row.claimed_at.isoformat(), row.id))
