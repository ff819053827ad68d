"""Traits: what sources say of a customer, each value with its source and its time."""

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import Index
from sqlmodel import BigInteger, Field

from core.days import days_before
from core.db import Record, instant


class TraitKind(StrEnum):
    """What a value is: a whole number, money in minor units, a word, yes or no (1 or 0), or a day."""

    NUMBER = "NUMBER"
    MONEY = "MONEY"
    TEXT = "TEXT"
    BOOLEAN = "BOOLEAN"
    DATE = "DATE"


class TraitDefinition(Record, table=True):
    """A trait that customers can have; a value older than `stale_after_days` is shown as stale, null: never."""

    name: str = Field(primary_key=True)
    kind: str
    name_zh: str
    name_en: str
    stale_after_days: int | None = None
    created_at: datetime = instant()


class CustomerTrait(Record, table=True):
    """One value; `item` tells several of one customer apart (children, firms) and is empty where there is one.

    Days that would name a person, such as a birth, are kept as the first of their month.
    """

    __table_args__ = (
        Index("ix_customer_trait_number", "name", "number", "customer_id"),
        Index("ix_customer_trait_word", "name", "word", "customer_id"),
        Index("ix_customer_trait_day", "name", "day", "customer_id"),
    )

    customer_id: str = Field(primary_key=True)
    name: str = Field(primary_key=True, foreign_key="trait_definition.name")
    item: str = Field(primary_key=True, default="")
    number: int | None = Field(default=None, sa_type=BigInteger)
    word: str | None = None
    day: date | None = None
    source: str
    legal_basis: str | None = None
    observed_at: datetime = instant()
    recorded_at: datetime = instant()


def fresh_from(at: datetime, days: int) -> datetime:
    """Since when a value must have been seen not to be stale at an instant; exactly so many days old it is not yet."""
    return days_before(at, days)
