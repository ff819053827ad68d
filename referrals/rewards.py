"""Referral rewards: points for one side of one step, from the promise to the ledger, and back where they must."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import JSON, BigInteger, Column, Index
from sqlmodel import Field, col, select

from core.db import Record, Session, instant
from core.ids import derived_id

REWARD_MADE = "referral.reward_made"
REWARD_APPROVED = "referral.reward_approved"
REWARD_REVERSED = "referral.reward_reversed"
REFERRAL_REWARD = "REFERRAL_REWARD"

REVERSED = "REVERSED"
EXISTING_CUSTOMER = "EXISTING_CUSTOMER"
DENIED = "DENIED"
FRAUD = "FRAUD"
# A reward that went for one of these was never earned; the same step can earn again.
UNEARNED = (REVERSED, EXISTING_CUSTOMER)


class RewardStatus(StrEnum):
    """PENDING waits to be looked at, APPROVED is owed, ISSUED is in the ledger; `reason` says why it is not there.

    REDEEMED and EXPIRED are what became of issued points; they are read from the reward's lot and never stored.
    """

    PENDING = "PENDING"
    APPROVED = "APPROVED"
    ISSUED = "ISSUED"
    REDEEMED = "REDEEMED"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"
    CLAWED_BACK = "CLAWED_BACK"


# These hold their place in caps and budget.
COUNTED = (RewardStatus.PENDING, RewardStatus.APPROVED, RewardStatus.ISSUED)


class ReferralReward(Record, table=True):
    """Points for one side of one step, made by the programme version that it names.

    `wanted_points` is what the step says, `points` what limits left of it; `counters` and `worth` are what it
    reserved; `lost_points` are those that a clawback did not get back.
    """

    __table_args__ = (
        Index("ix_referral_reward_cap", "program_id", "side", "customer_id", "step"),
        Index("ix_referral_reward_reached", "program_id", "reached_at"),
        Index("ix_referral_reward_customer", "customer_id", "id"),
        Index("ix_referral_reward_status", "status", "created_at", "id"),
        Index("ix_referral_reward_case", "case_id"),
    )

    id: str = Field(primary_key=True)
    key: str = Field(unique=True)
    referral_id: str = Field(foreign_key="referral.id", index=True)
    program_id: str
    version: int
    step: str
    side: str
    customer_id: str
    fact_id: str = Field(foreign_key="fact.id")
    wanted_points: int
    points: int
    lost_points: int = 0
    worth: int = Field(default=0, sa_type=BigInteger)
    counters: list[str] = Field(sa_column=Column(JSON, nullable=False))
    status: str
    reason: str | None = None
    case_id: str | None = None
    reviewed_by: str | None = None
    reviewed_at: datetime | None = instant(optional=True)
    review_reason: str | None = None
    reversed_at: datetime | None = instant(optional=True)
    reached_at: datetime = instant()
    available_at: datetime = instant()
    expires_at: datetime = instant()
    created_at: datetime = instant()

    @property
    def stands(self) -> bool:
        """Whether it fills the place of its step and side; also one refused by a limit or a reviewer does."""
        gone = self.status in (RewardStatus.CANCELLED, RewardStatus.CLAWED_BACK) and self.reason in UNEARNED
        return self.reversed_at is None and not gone


def reward_key(referral_id: str, step: str, side: str, attempt: int) -> str:
    """Names a reward for ever; attempts above zero follow rewards that were undone."""
    key = f"referral:{referral_id}:{step}:{side.lower()}"
    return f"{key}:{attempt}" if attempt else key


def reward_id(key: str) -> str:
    return derived_id("referral_reward", key)


async def take_reward(session: Session, reward_id: str, *statuses: RewardStatus) -> ReferralReward | None:
    """Lock a reward in one of these statuses (none: in any); None when there is no such one."""
    statement = select(ReferralReward).where(ReferralReward.id == reward_id)
    if statuses:
        statement = statement.where(col(ReferralReward.status).in_(statuses))
    return (await session.exec(statement.with_for_update().execution_options(populate_existing=True))).first()


async def take_rewards(session: Session, ids: Sequence[str], status: RewardStatus) -> Sequence[ReferralReward]:
    """Lock those of several rewards that are in this status, by their keys."""
    statement = select(ReferralReward).where(col(ReferralReward.id).in_(list(ids)), ReferralReward.status == status)
    ordered = statement.order_by(col(ReferralReward.key)).with_for_update()
    return (await session.exec(ordered.execution_options(populate_existing=True))).all()


async def rewards_of_referrals(session: Session, ids: Sequence[str]) -> Sequence[ReferralReward]:
    statement = select(ReferralReward).where(col(ReferralReward.referral_id).in_(list(ids)))
    return (await session.exec(statement.order_by(col(ReferralReward.key)))).all()


async def lock_rewards(session: Session, referral_ids: Sequence[str]) -> Sequence[ReferralReward]:
    """The rewards of referrals by their keys, locked for this transaction and read anew."""
    statement = select(ReferralReward).where(col(ReferralReward.referral_id).in_(list(referral_ids)))
    ordered = statement.order_by(col(ReferralReward.key)).with_for_update()
    return (await session.exec(ordered.execution_options(populate_existing=True))).all()
