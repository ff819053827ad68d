"""Days of customers: of each kind one, whoever adds them at once; what a person said stands above what systems tell."""

import asyncio
from datetime import date, datetime
from pathlib import Path

import pytest
from sqlmodel import col, select

from core.days import day_of
from core.db import Database
from core.errors import NotFound
from core.ids import new_id
from core.settings import DEVELOPMENT_ONLY
from service.care_calendar import CareCalendar, CareDay
from service.care_dates import (
    CARE_DATE_ADDED,
    CareDate,
    CareDateExists,
    NewCareDate,
    Told,
    add_care_date,
    care_dates_of,
    codes_by,
    day_of_date,
    export_care_dates,
    put_told,
    remove_care_date,
)
from service.care_decisions import win_days
from service.care_kinds import CareKind, CareSource
from service.care_occasions import CareGreeting, CareOccasion
from service.care_policies import CarePolicyNotDraft, activate_care_policy, active_care, create_care_policy
from tests.conftest import Addresses
from tests.customers.insight import NOON
from tests.databases import own_database
from tests.service.caring import ZONE, add, nine, owed, solar

pytestmark = pytest.mark.anyio


async def tell(database: Database, *told: Told, now: datetime = NOON) -> int:
    async with database.write() as session:
        return await put_told(session, told, source_name="profile", hash_key=DEVELOPMENT_ONLY, now=now)


async def days(database: Database, customer_id: str) -> dict[str, tuple[int, int, str]]:
    async with database.read() as session:
        rows = await care_dates_of(session, customer_id)
    found = {row.kind: (day_of_date(row, DEVELOPMENT_ONLY), row.source) for row in rows}
    return {kind: (day.month, day.day, source) for kind, (day, source) in found.items()}


async def test_of_many_who_add_a_day_at_once_one_is_noted(pools: list[Database], unique: str) -> None:
    """Given sixteen writers on four pools, beside what the profile tells, then one is noted and fifteen are refused."""
    await tell(pools[0], Told(unique, date(1990, 1, 1), None))

    async def try_one(number: int) -> bool:
        try:
            await add(pools[number % 4], unique, solar(6, 1 + number), now=NOON)
        except CareDateExists:
            return False
        return True

    assert sum(await asyncio.gather(*(try_one(number) for number in range(16)))) == 1
    found = await days(pools[0], unique)
    assert list(found) == ["BIRTHDAY"] and found["BIRTHDAY"][0] == 6


async def test_of_many_who_remove_a_day_at_once_one_does(pools: list[Database], unique: str) -> None:
    row = await add(pools[0], unique, solar(6, 1), now=NOON)

    async def try_one(number: int) -> int:
        try:
            async with pools[number % 4].write() as session:
                await remove_care_date(session, row.id, actor="rm", now=NOON)
        except NotFound:
            return 0
        return 1

    assert sum(await asyncio.gather(*(try_one(number) for number in range(8)))) == 1
    assert await days(pools[0], unique) == {}


async def test_nobody_is_greeted_twice_a_day_whoever_greets(pools: list[Database], unique: str) -> None:
    """Given sixteen transactions that each want to greet the same person for something else, then one of them may."""
    day = date(2026, 6, 11)

    async def try_one(number: int) -> int:
        wanted = CareOccasion(
            id=new_id(), customer_id=unique, kind="BIRTHDAY", year=2026, rank=number, on_day=day, due_at=nine(day)
        )
        async with pools[number % 4].write() as session:
            return len(await win_days(session, [wanted]))

    assert sum(await asyncio.gather(*(try_one(number) for number in range(16)))) == 1
    async with pools[0].read() as session:
        rows = (await session.exec(select(CareGreeting).where(col(CareGreeting.customer_id) == unique))).all()
    assert len(rows) == 1


async def test_what_profiles_tell_is_noted_corrected_and_never_stands_above_people(
    database: Database, unique: str
) -> None:
    """Given a profile, then its days are noted once and follow its corrections, until a person says or removes one."""
    told = Told(unique, date(1990, 2, 3), date(2015, 5, 6))
    assert await tell(database, told) == 2
    assert await tell(database, told) == 0
    assert await days(database, unique) == {"BIRTHDAY": (2, 3, "PROFILE"), "WITH_BANK": (5, 6, "PROFILE")}
    assert await tell(database, Told(unique, date(1990, 2, 4), None)) == 1
    assert await days(database, unique) == {"BIRTHDAY": (2, 4, "PROFILE"), "WITH_BANK": (5, 6, "PROFILE")}
    row = await add(database, unique, CareDay(CareCalendar.LUNAR, 1, 9), now=NOON)
    assert await tell(database, Told(unique, date(1990, 2, 5), None)) == 0
    assert (await days(database, unique))["BIRTHDAY"] == (1, 9, "STAFF")
    async with database.write() as session:
        await remove_care_date(session, row.id, actor="rm", now=NOON)
    assert await tell(database, Told(unique, date(1990, 2, 6), date(2015, 5, 6))) == 0
    assert await days(database, unique) == {"WITH_BANK": (5, 6, "PROFILE")}
    # A person may bring back what a person has removed.
    await add(database, unique, solar(2, 6), now=NOON)
    assert (await days(database, unique))["BIRTHDAY"] == (2, 6, "STAFF")


async def test_the_table_says_nothing_of_a_day(database: Database, unique: str) -> None:
    """Given a day, then its row has a code that only the key reads, and none once it is removed."""
    row = await add(database, unique, solar(11, 23), now=NOON)
    text = repr(row.model_dump())
    assert "11-23" not in text and row.day_code == codes_by(DEVELOPMENT_ONLY)[solar(11, 23)]
    assert codes_by("another key")[solar(11, 23)] != row.day_code
    assert len(set(codes_by(DEVELOPMENT_ONLY).values())) == 366 + 2 * 12 * 30
    (effect,) = [one for one in await owed(database, CARE_DATE_ADDED) if one.key == row.id]
    assert effect.payload == {"care_date_id": row.id}
    async with database.read() as session:
        exported = await export_care_dates(session, unique, DEVELOPMENT_ONLY)
    assert [(one["month"], one["day"]) for one in exported] == [(11, 23)]
    async with database.write() as session:
        await remove_care_date(session, row.id, actor="rm", now=NOON)
    async with database.read() as session:
        assert (await session.get_one(CareDate, row.id)).day_code == ""


async def test_of_many_who_activate_a_policy_at_once_one_is_active(stores: Addresses, tmp_path: Path) -> None:
    async with own_database(stores, tmp_path) as database:
        drafts: list[str] = []
        for hour in range(6):
            async with database.write() as session:
                row = await create_care_policy(session, {"hour": 8 + hour}, actor="a", now=NOON)
                drafts.append(row.id)

        async def try_one(policy_id: str) -> int:
            try:
                async with database.write() as session:
                    await activate_care_policy(session, policy_id, actor="a", now=NOON)
            except CarePolicyNotDraft:
                return 0
            return 1

        # All drafts at once, and one of them three times: each becomes active once at most, one after the other.
        done = await asyncio.gather(*(try_one(one) for one in [*drafts, drafts[0], drafts[0]]))
        assert 1 <= sum(done) <= len(drafts) and sum(done[:1]) + sum(done[-2:]) <= 1
        async with database.read() as session:
            assert (await active_care(session)).hour >= 8


def test_days_are_those_of_the_zone() -> None:
    assert day_of(nine(date(2026, 6, 11)), ZONE) == date(2026, 6, 11)


async def test_a_year_that_lies_ahead_is_refused(database: Database, unique: str) -> None:
    told = NewCareDate(CareKind.BIRTHDAY, solar(6, 1), 2027)
    with pytest.raises(Exception, match="CARE_DAY_INVALID"):
        async with database.write() as session:
            await add_care_date(
                session,
                unique,
                told,
                source=CareSource.STAFF,
                actor="rm",
                today=date(2026, 11, 28),
                hash_key=DEVELOPMENT_ONLY,
                now=NOON,
            )
    assert await days(database, unique) == {}
