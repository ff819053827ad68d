"""Households: people whom staff declare to live together, so that what they share is no evidence against them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Index, text, update
from sqlmodel import Field, col, select

from core.audit import LONGEST_REASON, act, checked_reason, record_act
from core.db import Record, Session, changed_rows, insert_once, instant
from core.errors import BadUserInput, NotFound, Refusal
from core.ids import new_id

MOST_MEMBERS = 20


class HouseholdInvalid(BadUserInput):
    code = "HOUSEHOLD_INVALID"
    en = "The household is not valid."
    zh = "家庭信息无效。"


class AlreadyInHousehold(Refusal):
    code = "ALREADY_IN_HOUSEHOLD"
    en = "One of these customers already belongs to a household."
    zh = "其中有客户已属于另一个家庭。"


class HouseholdEnded(Refusal):
    code = "HOUSEHOLD_ENDED"
    en = "This household was ended already."
    zh = "该家庭关系已解除。"


class Household(Record, table=True):
    """A declaration by a member of staff; it is ended and never deleted."""

    id: str = Field(primary_key=True)
    reason: str
    declared_by: str
    declared_at: datetime = instant()
    ended_at: datetime | None = instant(optional=True)


class HouseholdMember(Record, table=True):
    """A customer of a household; the index keeps a customer from being in two at a time."""

    __table_args__ = (
        Index(
            "ux_household_member_active",
            "customer_id",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    household_id: str = Field(primary_key=True, foreign_key="household.id")
    customer_id: str = Field(primary_key=True)
    ended_at: datetime | None = instant(optional=True)


async def households_of(session: Session, customer_ids: Sequence[str]) -> dict[str, str]:
    """The household of each of the customers who now belongs to one."""
    if not customer_ids:
        return {}
    statement = select(HouseholdMember.customer_id, HouseholdMember.household_id).where(
        col(HouseholdMember.customer_id).in_(set(customer_ids)), col(HouseholdMember.ended_at).is_(None)
    )
    return dict((await session.exec(statement)).all())


async def members_of_household(session: Session, household_id: str) -> list[str]:
    """Everybody who was declared to belong to it, in order of their ids."""
    statement = select(HouseholdMember.customer_id).where(HouseholdMember.household_id == household_id)
    return list((await session.exec(statement.order_by(col(HouseholdMember.customer_id)))).all())


async def declare_household(
    session: Session, *, customer_ids: Sequence[str], reason: str, actor: str, now: datetime
) -> Household:
    """Declare that these customers live together; raises HouseholdInvalid or AlreadyInHousehold."""
    members = sorted(set(customer_ids))
    if not 2 <= len(members) <= MOST_MEMBERS:
        raise HouseholdInvalid(path=("customerIds",), detail=f"2 to {MOST_MEMBERS} different customers")
    why = checked_reason(reason, HouseholdInvalid, detail=f"1 to {LONGEST_REASON} characters")
    household = Household(id=new_id(), reason=why, declared_by=actor, declared_at=now)
    session.add(household)
    await session.flush()
    # In order of their ids, so that two declarations wait for each other and never in a circle.
    rows: list[dict[str, Any]] = [{"household_id": household.id, "customer_id": member} for member in members]
    if await insert_once(session, HouseholdMember, rows) < len(rows):
        raise AlreadyInHousehold(path=("customerIds",))
    await note(session, household.id, "HOUSEHOLD_DECLARED", actor, why, now, members=members)
    return household


async def end_household(session: Session, household_id: str, *, reason: str, actor: str, now: datetime) -> Household:
    """End a declaration for all its members; raises NotFound or HouseholdEnded."""
    why = checked_reason(reason, HouseholdInvalid, detail=f"1 to {LONGEST_REASON} characters")
    running = update(Household).where(col(Household.id) == household_id, col(Household.ended_at).is_(None))
    if not await changed_rows(session, running.values(ended_at=now)):
        raise HouseholdEnded if await session.get(Household, household_id) else NotFound(path=("householdId",))
    members = update(HouseholdMember).where(
        col(HouseholdMember.household_id) == household_id, col(HouseholdMember.ended_at).is_(None)
    )
    await changed_rows(session, members.values(ended_at=now))
    await note(session, household_id, "HOUSEHOLD_ENDED", actor, why, now)
    return await session.get_one(Household, household_id, populate_existing=True)


async def note(
    session: Session, household_id: str, action: str, actor: str, reason: str, now: datetime, **details: Any
) -> None:
    """Keep the act in the audit trail, in the transaction of the act itself."""
    area = f"household:{household_id}"
    entry = act(area=area, actor=actor, action=action, subject=household_id, at=now, reason=reason, **details)
    await record_act(session, f"{area}:{action}", entry)
