"""A simulated year: the clock is the test's, workers die at random, and a plain model says who is greeted when.

By default 60 days from before the Spring Festival until after Qingming, for 40 customers; CARE_YEAR_DAYS=365 and
CARE_YEAR_CUSTOMERS=1000 for all of it. The model knows days by another library, and nothing of plans, pages or runs.
"""

import os
import random
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlmodel import select

from core.clock import as_utc
from core.db import Database
from core.facts import NewFact, record_facts
from core.settings import DEVELOPMENT_ONLY
from customers.consents import ConsentStatus
from graph.client import GraphClient
from service.care_calendar import CareCalendar, CareDay, all_care_days
from service.care_dates import remove_care_date
from service.care_kinds import CareKind
from service.care_mutes import MuteReason, mute_care
from service.care_occasions import CareOccasion
from service.care_runs import LEASE
from service.message_preferences import MessageSetting
from tests.conftest import Addresses
from tests.customers.insight import make_people, put_tier
from tests.databases import own_database
from tests.service.caring import DAY, LONG_AGO, ZONE, add, allow, owed, put_dates, say
from tests.service.test_care_calendar import plain_day
from tests.worker.fragile import Fragile, Killed
from worker.care import Care, is_care_due
from worker.care_dates import on_dates_added

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(6 * 3_600)]

DAYS = int(os.environ.get("CARE_YEAR_DAYS", "60"))
CUSTOMERS = int(os.environ.get("CARE_YEAR_CUSTOMERS", "40"))
FIRST = date(2026, 2, 10)
ZONES = ["Asia/Shanghai", "Asia/Shanghai", "Asia/Shanghai", "America/New_York", "Pacific/Kiritimati"]
# What the first policy says of festivals, by day in 2026 and the beginning of 2027, as calendars print them.
EVERYBODY, BETTER, BEST = ("MASS", "POTENTIAL", "VIP"), ("POTENTIAL", "VIP"), ("VIP",)
FESTIVALS = {
    date(2026, 2, 17): ("care.spring_festival", EVERYBODY),
    date(2026, 3, 3): ("care.lantern", BEST),
    date(2026, 6, 19): ("care.dragon_boat", BETTER),
    date(2026, 9, 25): ("care.mid_autumn", EVERYBODY),
    date(2026, 10, 1): ("care.national_day", EVERYBODY),
    date(2026, 10, 18): ("care.double_ninth", BEST),
    date(2027, 1, 1): ("care.new_year", EVERYBODY),
    date(2027, 2, 6): ("care.spring_festival", EVERYBODY),
}
SILENT = date(2026, 4, 5)


@dataclass
class Own:
    """A day of a customer in the model, from when and until when it is known."""

    kind: CareKind
    day: CareDay
    known: datetime
    forgotten: datetime | None = None

    def days(self) -> dict[date, int]:
        return kept(self.day)


@cache
def kept(day: CareDay) -> dict[date, int]:
    """When a day is kept around the year of the test, with the year of its own calendar; neither has a 29 February."""
    if day.calendar == CareCalendar.LUNAR:
        return {plain_day(day, year): year for year in (2025, 2026, 2027)}
    number = min(day.day, 28) if day.month == 2 else day.day
    return {date(year, day.month, number): year for year in (2026, 2027)}


@dataclass
class Person:
    """A customer in the model: who they are, and what was said of them when."""

    id: str
    zone: str
    tier: str
    own: dict[str, Own] = field(default_factory=dict[str, Own])
    refused: list[tuple[datetime, bool]] = field(default_factory=list[tuple[datetime, bool]])
    complaints: list[tuple[datetime, bool]] = field(default_factory=list[tuple[datetime, bool]])
    mutes: list[tuple[datetime, date]] = field(default_factory=list[tuple[datetime, date]])

    def nine(self, day: date) -> datetime:
        return as_utc(datetime.combine(day, time(9), tzinfo=ZoneInfo(self.zone)))

    def is_muted(self, day: date, at: datetime) -> bool:
        return any(begun <= at and day <= until for begun, until in self.mutes)

    def refuses(self, at: datetime) -> bool:
        return last_said(self.refused, at)

    def is_silent(self, day: date, at: datetime) -> bool:
        return day == SILENT or self.is_muted(day, at) or self.refuses(at) or last_said(self.complaints, at)

    def greeting(self, day: date) -> tuple[str, str] | None:
        """The words of the day, and by which key they are owed; None where nobody says anything."""
        at = self.nine(day)
        if self.is_silent(day, at):
            return None
        mine = [
            (list(CareKind).index(own.kind), date_id, own)
            for date_id, own in self.own.items()
            if own.known <= at and (own.forgotten is None or own.forgotten > at) and day in own.days()
        ]
        if mine:
            _, date_id, own = min(mine, key=lambda found: found[0])
            return f"care.{own.kind.lower()}", f"care:{date_id}:{own.days()[day]}"
        words, tiers = FESTIVALS.get(day, ("", ()))
        return (words, "") if self.tier in tiers else None

    def tasks(self, planned_through: date, now: datetime) -> set[tuple[str, int]]:
        """The days, with their years, for which staff have something to do."""
        found: set[tuple[str, int]] = set()
        for date_id, own in self.own.items():
            for day, year in own.days().items():
                at = max(morning(max(day - 3 * DAY, FIRST)), own.known)
                if not FIRST <= day <= planned_through or own.known > self.nine(day):
                    continue
                if self.is_muted(day, at) or self.refuses(at):
                    continue
                if own.forgotten is not None and own.forgotten <= self.nine(day):
                    continue
                if any(at < begun <= min(now, self.nine(day)) and day <= until for begun, until in self.mutes):
                    continue
                found.add((date_id, year))
        return found


def last_said(words: list[tuple[datetime, bool]], at: datetime) -> bool:
    said = [word for when, word in words if when <= at]
    return said[-1] if said else False


def morning(day: date) -> datetime:
    """The first moment at which somebody works on a day of the bank."""
    return as_utc(datetime.combine(day, time(0, 5), tzinfo=ZoneInfo(ZONE)))


def noon(day: date) -> datetime:
    return as_utc(datetime.combine(day, time(12), tzinfo=ZoneInfo(ZONE)))


class Year:
    """The bank, its workers and the model beside them."""

    def __init__(self, database: Database, graph: GraphClient, chance: random.Random) -> None:
        self.database, self.graph, self.chance = database, graph, chance
        self.fragile = Fragile(database.url, chance)
        self.people: list[Person] = []
        self.expected: dict[str, tuple[str, str, datetime]] = {}
        self.number = 0

    async def begin(self) -> None:
        ids = await make_people(self.database, CUSTOMERS)
        await allow(self.database, *ids)
        for id in ids:
            person = Person(id, self.chance.choice(ZONES), self.chance.choice(EVERYBODY))
            async with self.database.write() as session:
                session.add(MessageSetting(customer_id=id, time_zone=person.zone, changed_at=LONG_AGO))
            await put_tier(self.database, id, person.tier)
            self.people.append(person)
            for kind in (CareKind.BIRTHDAY, CareKind.WEDDING):
                if self.chance.random() < 0.8:
                    day = self.any_day()
                    (date_id,) = await put_dates(self.database, (id, kind, day))
                    person.own[date_id] = Own(kind, day, LONG_AGO)

    def any_day(self) -> CareDay:
        """A day of which some occurrence is within the days of the test."""
        while True:
            day = self.chance.choice(ALL_DAYS)
            if any(FIRST <= one < FIRST + DAYS * DAY for one in kept(day)):
                return day

    async def work(self, now: datetime) -> None:
        """What the workers do at a moment: whoever dies is replaced at once, and two may be at it after each other."""
        for _ in range(self.chance.randint(1, 2)):
            while True:
                care = Care(self.fragile, hash_key=DEVELOPMENT_ONLY, now=now, page=7)
                try:
                    await care.run()
                    break
                except Killed:
                    pass

    async def change(self, day: date) -> None:
        """Something is said of a few customers, at noon."""
        now = noon(day)
        for person in self.chance.sample(self.people, max(1, CUSTOMERS // 20)):
            kind = self.chance.choice(["mute", "complain", "close", "revoke", "grant", "add", "remove"])
            await getattr(self, kind)(person, day, now)

    async def mute(self, person: Person, day: date, now: datetime) -> None:
        until = day + self.chance.randint(0, 10) * DAY
        person.mutes.append((now, until))
        async with self.database.write() as session:
            await mute_care(
                session, person.id, reason=MuteReason.BEREAVEMENT, until=until, actor="rm", today=day, now=now
            )

    async def complain(self, person: Person, day: date, now: datetime) -> None:
        if not last_said(person.complaints, now):
            self.number += 1
            person.complaints.append((now, True))
            await self.tell(person, "COMPLAINT_FILED", now)

    async def close(self, person: Person, day: date, now: datetime) -> None:
        if last_said(person.complaints, now):
            person.complaints.append((now, False))
            await self.tell(person, "COMPLAINT_CLOSED", now)

    async def tell(self, person: Person, kind: str, now: datetime) -> None:
        fact = NewFact("desk", f"{person.id}:{kind}:{now}", kind, person.id, now, {"complaint": person.id})
        async with self.database.write() as session:
            await record_facts(session, [fact], now=now)

    async def revoke(self, person: Person, day: date, now: datetime) -> None:
        person.refused.append((now, True))
        await say(self.database, person.id, status=ConsentStatus.REVOKED, at=now)

    async def grant(self, person: Person, day: date, now: datetime) -> None:
        person.refused.append((now, False))
        await allow(self.database, person.id, at=now)

    async def add(self, person: Person, day: date, now: datetime) -> None:
        free = set(CareKind) - {CareKind.WITH_BANK} - {own.kind for own in person.own.values() if not own.forgotten}
        for kind in sorted(free)[:1]:
            own = Own(kind, self.any_day(), now)
            row = await add(self.database, person.id, own.day, now=now, kind=kind)
            person.own[row.id] = own
            async with self.database.write() as session:
                await on_dates_added(session, self.graph, [{"care_date_id": row.id}], now)

    async def remove(self, person: Person, day: date, now: datetime) -> None:
        for date_id, own in person.own.items():
            if own.forgotten is None:
                own.forgotten = now
                async with self.database.write() as session:
                    await remove_care_date(session, date_id, actor="rm", now=now)
                return

    async def live(self) -> None:
        """Day by day: work at night, a second before nine and at nine wherever somebody is, and noon in between."""
        moments: dict[datetime, date | None] = {}
        nights = {morning(FIRST + number * DAY) for number in range(DAYS)}
        for number in range(DAYS):
            day = FIRST + number * DAY
            moments[morning(day)] = None
            moments[noon(day)] = day
            for at in {person.nine(day) for person in self.people}:
                moments.setdefault(at, None)
                if self.chance.random() < 0.2:
                    moments.setdefault(at - timedelta(seconds=1), None)
        for moment in sorted(moments):
            if (day := moments[moment]) is not None:
                await self.change(day)
                continue
            await self.work(moment)
            # What a dead worker had is taken over once its time is over: in the night, so that all is planned by nine.
            later = moment
            while moment in nights and await is_care_due(self.database, now=later + LEASE):
                later += LEASE
                await self.work(later)

    def greetings(self) -> dict[tuple[str, date], tuple[str, str, datetime]]:
        """What the model has owed, by whom and day."""
        found: dict[tuple[str, date], tuple[str, str, datetime]] = {}
        for person in self.people:
            for number in range(DAYS):
                day = FIRST + number * DAY
                # For whoever is so far ahead that the first day's nine was before the first moment of all.
                if (said := person.greeting(day)) is not None:
                    words, key = said
                    found[person.id, day] = (words, key, max(person.nine(day), morning(FIRST)))
        return found


ALL_DAYS = sorted(all_care_days(), key=lambda day: day.code)


async def test_every_greeting_of_a_year_is_owed_once_and_at_its_hour(stores: Addresses, tmp_path: Path) -> None:
    """Given customers with days by both calendars, in three zones, of whom this and that is said; workers that die.

    Then messages and tasks are those of the model, each once, and each message at nine of the customer's morning.
    """
    chance = random.Random(9)
    async with own_database(stores, tmp_path) as database, stores.graph() as graph:
        year = Year(database, graph, chance)
        await year.begin()
        try:
            await year.live()
        finally:
            await year.fragile.close()
        assert year.fragile.deaths > DAYS / 10

        async with database.read() as session:
            days = {row.id: (row.customer_id, row.on_day) for row in (await session.exec(select(CareOccasion))).all()}
        found: dict[tuple[str, date], tuple[str, str, datetime]] = {}
        for row in await owed(database):
            whose = days[row.payload["subject"]]
            assert whose not in found, "greeted twice on a day"
            key = row.key if row.payload["template"] in ("care.birthday", "care.wedding") else ""
            found[whose] = (row.payload["template"], key, as_utc(row.created_at))
        last = noon(FIRST + (DAYS - 1) * DAY)
        expected = {whose: one for whose, one in year.greetings().items() if one[2] <= last + 2 * DAY}
        assert found == expected
        assert len(found) > CUSTOMERS / 2

        through = FIRST + (DAYS - 1 + 3) * DAY
        wanted = {(person.id, *one) for person in year.people for one in person.tasks(through, last)}
        assert await open_tasks(database) == wanted


async def open_tasks(database: Database) -> set[tuple[str, str, int]]:
    """For whom, of which day and year there is a task that is not over."""
    over = {row.key for row in await owed(database, "task.over")}
    tasks = [row for row in await owed(database, "task.owed") if row.key not in over]
    assert len({row.key for row in tasks}) == len(tasks)
    async with database.read() as session:
        rows = {row.id: row for row in (await session.exec(select(CareOccasion))).all()}
    return {
        (row.customer_id, row.care_date_id or "", row.year) for one in tasks for row in (rows[one.payload["subject"]],)
    }
