"""The tier that each customer has by now; who has no row is MASS."""

from collections.abc import Collection
from datetime import date, datetime

from sqlalchemy import ColumnElement, case
from sqlmodel import Field, and_, col, select

from core.db import Record, Session, instant
from graph.eligibility import Tier


class CustomerTier(Record, table=True):
    """The present tier, as the last run that changed it or an override left it; `on_watch` says that a fall is near.

    `computed_tier` and `computed_watch` are what holds without the override, and again from `overridden_until` on:
    whoever asks for an instant takes `tier_at` and `watch_at`. `cap` is the most that the customer's risk allows.
    """

    customer_id: str = Field(primary_key=True)
    tier: str = Field(index=True)
    on_watch: bool = False
    computed_tier: str = "MASS"
    computed_watch: bool = False
    cap: str | None = None
    month: date | None = None
    policy_id: str | None = None
    override_id: str | None = None
    override_tier: str | None = None
    overridden_until: datetime | None = instant(optional=True)
    decided_at: datetime = instant()


def is_over(now: datetime, row: type[CustomerTier] = CustomerTier) -> ColumnElement[bool]:
    """Whether an override has ended by itself, whoever has noticed."""
    return and_(col(row.overridden_until).is_not(None), col(row.overridden_until) <= now)


def tier_at(now: datetime, row: type[CustomerTier] = CustomerTier) -> ColumnElement[str]:
    """The tier that a customer with a row has at an instant."""
    return case((is_over(now, row), col(row.computed_tier)), else_=col(row.tier))


def watch_at(now: datetime, row: type[CustomerTier] = CustomerTier) -> ColumnElement[bool]:
    """Whether a customer with a row is on watch at an instant."""
    return case((is_over(now, row), col(row.computed_watch)), else_=col(row.on_watch))


async def tiers_of(session: Session, customer_ids: Collection[str], *, now: datetime) -> dict[str, Tier]:
    """The tier that each of these customers has at an instant, in one statement."""
    found = dict.fromkeys(customer_ids, Tier.MASS)
    if found:
        statement = select(CustomerTier.customer_id, tier_at(now)).where(col(CustomerTier.customer_id).in_(list(found)))
        found |= {customer_id: Tier(tier) for customer_id, tier in (await session.exec(statement)).all()}
    return found
