"""The table of contacts that the bank's people log."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Index
from sqlmodel import Field

from core.db import Record, instant


class Direction(StrEnum):
    """Who began: the customer (INBOUND) or the bank."""

    INBOUND = "INBOUND"
    OUTBOUND = "OUTBOUND"


class Interaction(Record, table=True):
    """A contact with one customer; the summary is sealed by the customer's own data key."""

    __table_args__ = (Index("ix_interaction_customer", "customer_id", "occurred_at", "id"),)

    id: str = Field(primary_key=True)
    customer_id: str
    kind: str
    channel: str
    direction: str
    summary: str | None = None
    employee_id: str
    occurred_at: datetime = instant()
    logged_at: datetime = instant()
