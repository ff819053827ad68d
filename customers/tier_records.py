"""What runs and overrides of tiers leave behind: the runs themselves, a decision for each customer and month, changes.

For a million customers a month of decisions is about 180 MB. Their inputs are kept with them, because the sources
correct their data later, and a decision has to be explained by what it was made from.
"""

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import Index, SmallInteger, text
from sqlmodel import BigInteger, Field

from core.db import Record, instant


class TierRun(Record, table=True):
    """The run of one month; its row is changed in the transaction of each batch.

    `cursor` is the customer up to whom it is done. Until `busy_until` somebody is at it.
    """

    month: date = Field(primary_key=True)
    policy_id: str = Field(foreign_key="tier_policy.id")
    ends_at: datetime = instant()
    cursor: str = ""
    batches: int = 0
    customers: int = 0
    decided: int = 0
    rises: int = 0
    falls: int = 0
    on_watch: int = 0
    capped: int = 0
    opened_at: datetime = instant()
    busy_until: datetime | None = instant(optional=True)
    closed_at: datetime | None = instant(optional=True)


class TierDecision(Record, table=True):
    """What was decided of a customer for a month, from what; tiers are numbers from 0 (MASS) to 2 (VIP).

    A customer of whom nothing is known, and who stands at MASS, has none.
    """

    customer_id: str = Field(primary_key=True)
    month: date = Field(primary_key=True)
    assets: int | None = Field(default=None, sa_type=BigInteger)
    contribution: int | None = Field(default=None, sa_type=BigInteger)
    potential: int | None = None
    tenure: int | None = None
    risk: str | None = None
    carried: int = Field(sa_type=SmallInteger)
    marks: int = Field(sa_type=SmallInteger)
    score: int
    earned: int = Field(sa_type=SmallInteger)
    standing: int = Field(sa_type=SmallInteger)
    tier: int = Field(sa_type=SmallInteger)
    misses: int = Field(sa_type=SmallInteger)
    best: int = Field(sa_type=SmallInteger)
    rule: str


class TierCause(StrEnum):
    """Why the tier that is shown changed; the first six are the rule of a month, or what its risk did."""

    FIRST = "FIRST"
    RISE = "RISE"
    FALL = "FALL"
    RISK_CAP = "RISK_CAP"
    RISK_LIFTED = "RISK_LIFTED"
    OVERRIDE = "OVERRIDE"
    OVERRIDE_ENDED = "OVERRIDE_ENDED"


class TierChange(Record, table=True):
    """A rise or fall of the tier that is shown."""

    __table_args__ = (
        Index("ix_tier_change_at", "at", "id"),
        Index("ix_tier_change_customer", "customer_id", "at", "id"),
        Index("ix_tier_change_month", "month", "customer_id"),
    )

    id: str = Field(primary_key=True)
    customer_id: str
    month: date | None = None
    from_tier: str
    to_tier: str
    cause: str
    override_id: str | None = None
    at: datetime = instant()


class OverrideStatus(StrEnum):
    """PENDING waits for a second person; APPROVED counts until it expires, is ended, or is replaced."""

    PENDING = "PENDING"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"
    ENDED = "ENDED"


class TierOverride(Record, table=True):
    """A tier that staff set by hand; the reasons go when the customer is erased."""

    __table_args__ = (
        Index(
            "uq_tier_override_pending",
            "customer_id",
            unique=True,
            sqlite_where=text("status = 'PENDING'"),
            postgresql_where=text("status = 'PENDING'"),
        ),
        Index(
            "uq_tier_override_approved",
            "customer_id",
            unique=True,
            sqlite_where=text("status = 'APPROVED'"),
            postgresql_where=text("status = 'APPROVED'"),
        ),
        Index("ix_tier_override_status", "status", "requested_at", "id"),
        Index("ix_tier_override_customer", "customer_id", "requested_at", "id"),
    )

    id: str = Field(primary_key=True)
    customer_id: str
    tier: str
    reason: str | None = None
    status: str
    requested_by: str
    requested_at: datetime = instant()
    expires_at: datetime = instant()
    decided_by: str | None = None
    decided_at: datetime | None = instant(optional=True)
    decision_reason: str | None = None
    ended_by: str | None = None
    ended_at: datetime | None = instant(optional=True)
    end_reason: str | None = None
