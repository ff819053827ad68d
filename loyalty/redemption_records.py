"""What is kept of redemptions, and how they are read."""

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field, col, select

from core.db import Record, Session, instant
from core.paging import Page, Place, cut, newest_first, oldest_first, page_size

REDEMPTION = "REDEMPTION"


class RedemptionStatus(StrEnum):
    """A reservation becomes exactly one of the others; of those, only FULFILLED keeps the points."""

    RESERVED = "RESERVED"
    FULFILLED = "FULFILLED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


# What fills a place in the limits of a customer; the others have given it back.
COUNTED = (RedemptionStatus.RESERVED, RedemptionStatus.FULFILLED)


class Redemption(Record, table=True):
    """One redemption; its `voucher_code` is for the owner's eyes only and never logged.

    What the reward declared about expired points when it was redeemed is kept here, as that was promised.
    """

    __table_args__ = (
        UniqueConstraint("customer_id", "idempotency_key"),
        Index("ix_redemption_customer_reward", "customer_id", "reward_id"),
        Index("ix_redemption_customer", "customer_id", "redeemed_at", "id"),
        Index("ix_redemption_reserved", "status", "reserved_until", "id"),
    )

    id: str = Field(primary_key=True)
    customer_id: str
    reward_id: str = Field(foreign_key="reward.id")
    idempotency_key: str
    expected_price: int | None = None
    points: int
    status: str
    posting_id: str | None = Field(default=None, foreign_key="ledger_posting.id")
    refund_id: str | None = Field(default=None, foreign_key="ledger_posting.id")
    voucher_code: str | None = Field(default=None, unique=True, repr=False)
    voucher_until: datetime | None = instant(optional=True)
    used_at: datetime | None = instant(optional=True)
    used_by: str | None = None
    redeemed_at: datetime = instant()
    reserved_until: datetime | None = instant(optional=True)
    ended_at: datetime | None = instant(optional=True)
    ended_by: str | None = None
    reference: str | None = None
    reason: str | None = None
    expired_policy: str
    grace_days: int


async def redemptions_of(
    session: Session,
    customer_id: str,
    *,
    first: int | None,
    after: Place,
    statuses: Collection[RedemptionStatus] | None = None,
) -> Page[Redemption]:
    """A customer's redemptions, the latest first; of these statuses, or all of them."""
    size = page_size(first)
    statement = select(Redemption).where(Redemption.customer_id == customer_id)
    if statuses is not None:
        statement = statement.where(col(Redemption.status).in_(list(statuses)))
    page = newest_first(statement, col(Redemption.redeemed_at), col(Redemption.id), size=size, after=after)
    rows = (await session.exec(page)).all()
    return cut(rows, size, lambda row: (row.redeemed_at.isoformat(), row.id), after)


async def reserved_redemptions(
    session: Session, *, reward_id: str | None, first: int | None, after: Place
) -> Page[Redemption]:
    """What waits for a partner, those whose time is over first at the top; of one reward, or of all."""
    size = page_size(first)
    statement = select(Redemption).where(Redemption.status == RedemptionStatus.RESERVED)
    if reward_id is not None:
        statement = statement.where(Redemption.reward_id == reward_id)
    page = oldest_first(statement, col(Redemption.reserved_until), col(Redemption.id), size=size, after=after)
    rows = (await session.exec(page)).all()
    return cut(rows, size, lambda row: (row.reserved_until.isoformat() if row.reserved_until else "", row.id), after)
