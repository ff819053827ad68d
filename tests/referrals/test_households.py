"""Households: declared and ended by staff, one at a time for each customer, and nothing of it without a trace."""

import asyncio

import pytest
from sqlmodel import select

from core.audit import AuditEntry
from core.clock import utc_now
from core.db import Database
from core.errors import KinshipError
from core.ids import new_id
from referrals.households import (
    AlreadyInHousehold,
    HouseholdEnded,
    declare_household,
    end_household,
    households_of,
    members_of_household,
)

pytestmark = pytest.mark.anyio


async def declare(database: Database, *customers: str, reason: str = "one flat, seen by the branch") -> str:
    async with database.write() as session:
        made = await declare_household(session, customer_ids=customers, reason=reason, actor="admin", now=utc_now())
    return made.id


async def end(database: Database, household: str, reason: str = "moved out") -> None:
    async with database.write() as session:
        await end_household(session, household, reason=reason, actor="admin", now=utc_now())


async def found(database: Database, *customers: str) -> dict[str, str]:
    async with database.read() as session:
        return await households_of(session, customers)


async def acts_on(database: Database, household: str) -> list[tuple[str, str, str | None]]:
    statement = select(AuditEntry).where(AuditEntry.subject == household)
    async with database.read() as session:
        rows = (await session.exec(statement)).all()
    return [(row.action, row.actor, row.reason) for row in sorted(rows, key=lambda row: row.at)]


async def test_members_are_found_while_the_household_lasts_and_both_acts_are_audited(database: Database) -> None:
    lin, wu, sun = (new_id() for _ in range(3))
    household = await declare(database, lin, wu)
    assert await found(database, lin, wu, sun) == {lin: household, wu: household}
    assert await found(database) == {}

    await end(database, household)

    assert await found(database, lin, wu) == {}
    assert await acts_on(database, household) == [
        ("HOUSEHOLD_DECLARED", "admin", "one flat, seen by the branch"),
        ("HOUSEHOLD_ENDED", "admin", "moved out"),
    ]
    async with database.read() as session:
        assert await members_of_household(session, household) == sorted((lin, wu))


async def test_nobody_is_in_two_households_at_a_time_but_may_be_in_one_after_the_other(database: Database) -> None:
    lin, wu, sun = (new_id() for _ in range(3))
    first = await declare(database, lin, wu)
    with pytest.raises(AlreadyInHousehold):
        await declare(database, wu, sun)
    assert await found(database, lin, wu, sun) == {lin: first, wu: first}

    await end(database, first)
    second = await declare(database, wu, sun)

    assert await found(database, lin, wu, sun) == {wu: second, sun: second}


async def test_of_many_declarations_at_once_one_takes_the_customer(database: Database) -> None:
    lin = new_id()
    outcomes = await asyncio.gather(*(declare(database, lin, new_id()) for _ in range(8)), return_exceptions=True)
    made = [outcome for outcome in outcomes if isinstance(outcome, str)]
    assert len(made) == 1
    assert all(isinstance(outcome, AlreadyInHousehold | str) for outcome in outcomes)
    assert await found(database, lin) == {lin: made[0]}


async def test_a_household_is_ended_once_and_only_where_there_is_one(database: Database) -> None:
    household = await declare(database, new_id(), new_id())
    await end(database, household)
    with pytest.raises(HouseholdEnded):
        await end(database, household)
    with pytest.raises(KinshipError, match="NOT_FOUND"):
        await end(database, new_id())
    assert len(await acts_on(database, household)) == 2


@pytest.mark.parametrize(("count", "reason"), [(0, "why"), (1, "why"), (21, "why"), (2, "  "), (2, "x" * 501)])
async def test_a_household_needs_two_to_twenty_people_and_a_reason(database: Database, count: int, reason: str) -> None:
    people = [new_id() for _ in range(count)]
    with pytest.raises(KinshipError, match="HOUSEHOLD_INVALID"):
        await declare(database, *people, reason=reason)
    assert await found(database, *people) == {}
