"""What the bank's systems tell of customers' money and contacts: each row names its source and the source's key.

Money is whole minor units of its currency. No row holds free text, which could name a person.
"""

from datetime import date, datetime

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import BigInteger, Field

from core.db import Record, instant

# The kind of a service record that is a complaint.
COMPLAINT = "COMPLAINT"


class DataSource(Record, table=True):
    """A system that sends data; what an external one sends needs a legal basis in each row."""

    name: str = Field(primary_key=True)
    is_external: bool = False
    first_seen_at: datetime = instant()


class Account(Record, table=True):
    """An account with the bank."""

    __table_args__ = (UniqueConstraint("source", "key"), Index("ix_account_customer", "customer_id", "id"))

    id: str = Field(primary_key=True)
    customer_id: str
    source: str
    key: str
    kind: str
    currency: str
    opened_on: date | None = None
    closed_on: date | None = None
    legal_basis: str | None = None
    observed_at: datetime = instant()
    recorded_at: datetime = instant()


class Holding(Record, table=True):
    """What a customer holds of a product, and when it matures; nothing is left of it where the amount is 0."""

    __table_args__ = (
        UniqueConstraint("source", "key"),
        Index("ix_holding_customer", "customer_id", "id"),
        Index("ix_holding_maturity", "matures_on", "id"),
        Index("ix_holding_product", "product", "customer_id"),
    )

    id: str = Field(primary_key=True)
    customer_id: str
    source: str
    key: str
    product: str
    kind: str
    amount: int = Field(sa_type=BigInteger)
    currency: str
    matures_on: date | None = None
    legal_basis: str | None = None
    observed_at: datetime = instant()
    recorded_at: datetime = instant()


class MonthlyBalance(Record, table=True):
    """One month of a customer at one source: the average and the last balance, and what the bank earned by them.

    A source may have several names for one customer, each with a balance of its own: whoever reads them adds them up.
    """

    customer_id: str = Field(primary_key=True)
    month: date = Field(primary_key=True)
    source: str = Field(primary_key=True)
    customer_key: str = Field(default="", primary_key=True)
    average: int = Field(sa_type=BigInteger)
    closing: int | None = Field(default=None, sa_type=BigInteger)
    contribution: int = Field(default=0, sa_type=BigInteger)
    currency: str
    legal_basis: str | None = None
    observed_at: datetime = instant()
    recorded_at: datetime = instant()


class AccountTransaction(Record, table=True):
    """Money that came in (above zero) or went out (below zero)."""

    __table_args__ = (
        UniqueConstraint("source", "key"),
        Index("ix_account_transaction_customer", "customer_id", "occurred_at", "id"),
    )

    id: str = Field(primary_key=True)
    customer_id: str
    source: str
    key: str
    account_id: str | None = None
    amount: int = Field(sa_type=BigInteger)
    currency: str
    kind: str
    legal_basis: str | None = None
    occurred_at: datetime = instant()
    observed_at: datetime = instant()
    recorded_at: datetime = instant()


class ServiceRecord(Record, table=True):
    """A contact with the bank by its channel and topic, such as a call, a visit or a complaint."""

    __table_args__ = (
        UniqueConstraint("source", "key"),
        Index("ix_service_record_customer", "customer_id", "occurred_at", "id"),
    )

    id: str = Field(primary_key=True)
    customer_id: str
    source: str
    key: str
    kind: str
    channel: str
    topic: str
    employee_id: str | None = None
    legal_basis: str | None = None
    occurred_at: datetime = instant()
    closed_at: datetime | None = instant(optional=True)
    observed_at: datetime = instant()
    recorded_at: datetime = instant()


class ChannelPreference(Record, table=True):
    """Whether a customer likes to be reached by a channel, as one source says of one of its names for them."""

    customer_id: str = Field(primary_key=True)
    channel: str = Field(primary_key=True)
    source: str = Field(primary_key=True)
    customer_key: str = Field(default="", primary_key=True)
    is_preferred: bool
    legal_basis: str | None = None
    observed_at: datetime = instant()
    recorded_at: datetime = instant()
