"""A simulated year of promises: follow-ups by tier and the clocks of complaints, while workers die at random.

The clock is the test's. By default 45 days for 20 customers; PROMISED_YEAR_DAYS=365 and PROMISED_YEAR_CUSTOMERS=1000
for all of it. The model of follow-ups counts days from the story of each customer and knows nothing of rows, pages or
runs; that of complaints has each deadline from the log alone, by what another test holds against counting minutes.
"""

import os
import random
import uuid
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import select

import core.clock as clock
from core.clock import as_utc
from core.days import day_of
from core.db import Database
from core.fact_kinds import COMPLAINT_FIRST_RESPONSE_LATE, FOLLOW_UP_MISSED
from core.facts import Fact
from core.ids import derived_id
from core.messages import MESSAGE_OWED
from core.outbox import Outbox
from core.tasks import TASK_OWED, TaskKind
from graph.client import GraphClient
from service.complaint_clocks import Stage
from service.complaint_marks import read_clocks
from service.complaint_records import Complaint, ComplaintMark, ComplaintStatus
from service.complaints import resume_complaint
from service.follow_up_definition import InteractionKind
from service.follow_up_words import FOLLOW_UP
from service.tasks import Task
from tests.conftest import RING, Addresses
from tests.customers.insight import make_people, put_tier
from tests.databases import own_database
from tests.service.complaining import OWNER, act, answered, closed, filed, paused
from tests.service.serving import logged
from tests.worker.fragile import Fragile, Killed
from worker.complaints import sweep_complaints
from worker.follow_ups import are_follow_ups_due, sweep_follow_ups
from worker.work import Stores

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(6 * 3_600)]

DAYS = int(os.environ.get("PROMISED_YEAR_DAYS", "45"))
CUSTOMERS = int(os.environ.get("PROMISED_YEAR_CUSTOMERS", "20"))
ZONE = "Asia/Shanghai"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# Five past midnight in the bank's zone, when the look of the day begins.
FIRST = datetime(2026, 2, 9, 16, 5, tzinfo=UTC)
# A range that a dead worker had is taken over after two minutes.
TAKEN_OVER = timedelta(minutes=3)
# Workers look at complaints so often here; in the system every ten seconds.
BETWEEN_LOOKS = timedelta(hours=6)
# Pages are small, so that workers die between them.
PAGE = max(7, CUSTOMERS // 20)
TASK_DAYS = 3
# What each tier is owed by the first policy: days, whether only being seen counts, and whether a message does it.
OWED = {
    "VIP": {"CONTACT": (30, False, False), "FACE_TO_FACE": (90, True, False)},
    "POTENTIAL": {"CONTACT": (90, False, False)},
    "MASS": {"CONTACT": (180, False, True)},
}

Told = tuple[str, str, str, date]


@dataclass
class Person:
    """A customer in the model, and on which days they were in contact, by noon."""

    id: str
    tier: str
    contacts: list[tuple[int, InteractionKind]] = field(default_factory=list[tuple[int, InteractionKind]])

    def told(self) -> list[Told]:
        return [one for name, terms in OWED[self.tier].items() for one in self.told_of(name, *terms)]

    def told_of(self, name: str, every: int, only_seen: bool, by_message: bool) -> list[Told]:
        """Tasks, their ends by contacts, misses and messages, by counting from day to day."""
        found: list[Told] = []
        # Messages are spread over the span, so that a bank that begins does not write to everybody on one day.
        since = -(uuid.UUID(self.id).int % every) if by_message else 0
        opened: int | None = None
        missed = False
        for number in range(DAYS):
            today = day_of(FIRST, ZONE) + number * DAY
            if opened is None and since + every <= number:
                found.append((self.id, name, "MESSAGE" if by_message else "TASK", today))
                since, opened = (number, None) if by_message else (since, number)
            elif opened is not None and not missed and number - opened > TASK_DAYS:
                found.append((self.id, name, "MISSED", today))
                missed = True
            for _ in (one for one in self.contacts if one[0] == number and counts(one[1], only_seen=only_seen)):
                since = number
                if opened is not None:
                    found.append((self.id, name, "OVER", today))
                    opened, missed = None, False
        return found


def counts(kind: InteractionKind, *, only_seen: bool) -> bool:
    return kind == InteractionKind.FACE_TO_FACE or (kind != InteractionKind.BROADCAST and not only_seen)


class Year:
    """The bank and its workers, of whom one dies now and then."""

    def __init__(self, database: Database, graph: GraphClient, chance: random.Random) -> None:
        self.database, self.graph, self.chance = database, graph, chance
        self.fragile = Fragile(database.url, chance, keys=RING)
        self.people: list[Person] = []
        self.complaints: dict[str, ComplaintStatus] = {}
        self.now = FIRST

    async def begin(self) -> None:
        for id in await make_people(self.database, CUSTOMERS):
            person = Person(id, self.chance.choice(list(OWED)))
            await put_tier(self.database, id, person.tier)
            self.people.append(person)

    async def live(self) -> None:
        for number in range(DAYS):
            self.now = FIRST + number * DAY
            await self.look_at_follow_ups()
            for turn in range(4):
                self.now = FIRST + number * DAY + (turn + 1) * BETWEEN_LOOKS - timedelta(minutes=5)
                if turn == 1:
                    await self.meet_some(number)
                if turn in (1, 2):
                    await self.complain()
                # In an outage nobody looks, and who comes back finds what was missed.
                if number % 50 in (20, 21):
                    continue
                await self.look_at_complaints()

    async def look_at_follow_ups(self) -> None:
        """Two workers after each other; what a dead one had is taken over once its time is over."""
        while await are_follow_ups_due(self.database, now=self.now):
            for _ in range(self.chance.randint(1, 2)):
                with suppress(Killed):
                    await sweep_follow_ups(self.fragile, now=self.now, page=PAGE)
            self.now += TAKEN_OVER

    async def look_at_complaints(self) -> None:
        while True:
            try:
                await sweep_complaints(Stores(self.fragile, self.graph), now=self.now, page=3)
                return
            except Killed:
                pass

    async def meet_some(self, number: int) -> None:
        for person in self.chance.sample(self.people, max(1, CUSTOMERS // 25)):
            kind = self.chance.choice(list(InteractionKind))
            person.contacts.append((number, kind))
            await logged(self.database, person.id, kind, self.now)

    async def complain(self) -> None:
        """Somebody complains, and something is done to some complaints that are not closed."""
        if self.chance.random() < 0.4:
            one = await filed(
                self.database, customer_id=self.chance.choice(self.people).id, employee="sun", now=self.now
            )
            self.complaints[one.id] = ComplaintStatus.OPEN
        going = [id for id, status in self.complaints.items() if status != ComplaintStatus.CLOSED]
        for id in self.chance.sample(going, len(going) // 3):
            await self.handle(id)

    async def handle(self, id: str) -> None:
        if self.complaints[id] == ComplaintStatus.WAITING:
            await act(self.database, id, resume_complaint, by=OWNER, now=self.now)
            self.complaints[id] = ComplaintStatus.OPEN
            return
        match self.chance.choice(["answer", "pause", "close"]):
            case "answer":
                await answered(self.database, id, now=self.now)
            case "pause":
                await paused(self.database, id, now=self.now)
                self.complaints[id] = ComplaintStatus.WAITING
            case _:
                await closed(self.database, id, now=self.now)
                self.complaints[id] = ComplaintStatus.CLOSED


@asynccontextmanager
async def lived_year(stores: Addresses, folder: Path, patch: pytest.MonkeyPatch) -> AsyncGenerator[Year, None]:
    async with own_database(stores, folder) as database, stores.graph() as graph:
        year = Year(database, graph, random.Random(7))
        patch.setattr(clock, "CLOCKS", [lambda: year.now])
        try:
            await year.begin()
            await year.live()
            yield year
        finally:
            await year.fragile.close()


async def test_what_is_promised_happens_once_and_on_its_day(
    stores: Addresses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a year of contacts and complaints, when workers die at random, then all that follows comes once, in time.

    Tasks, messages and misses are those of the model, on the same days; each warning and breach of a complaint is one
    mark and one task at most, noted at the next look after it was due, and late only after an outage.
    """
    async with lived_year(stores, tmp_path, monkeypatch) as year:
        assert year.fragile.deaths > DAYS / 20
        found = await follow_ups_told(year)
        assert max(Counter(found).values()) == 1
        assert sorted(found) == sorted(one for person in year.people for one in person.told())
        everything = {"TASK", "MISSED", "OVER"} | ({"MESSAGE"} if DAYS > 180 else set())
        assert everything <= {one[2] for one in found}
        await check_complaints(year)


async def follow_ups_told(year: Year) -> list[Told]:
    """What was told of follow-ups, by customer, obligation and day."""
    subjects = {
        derived_id("follow_up", person.id, name, str(number)): (person.id, name)
        for person in year.people
        for name in OWED[person.tier]
        for number in range(DAYS)
    }
    found: list[Told] = []
    async with year.database.read() as session:
        rows = (await session.exec(select(Outbox))).all()
        missed = (await session.exec(select(Fact).where(Fact.kind == FOLLOW_UP_MISSED))).all()
    for row in rows:
        is_message = row.topic == MESSAGE_OWED and row.payload["template"] == FOLLOW_UP
        if (row.topic == TASK_OWED and row.payload["kind"] == TaskKind.FOLLOW_UP) or is_message:
            what = "MESSAGE" if is_message else "TASK"
            found.append((*subjects[row.payload["subject"]], what, day_of(as_utc(row.created_at), ZONE)))
    for one in missed:
        found.append((one.customer_id, one.payload["obligation"], "MISSED", date.fromisoformat(one.payload["day"])))
    return found + await overs(year, subjects)


async def overs(year: Year, subjects: dict[str, tuple[str, str]]) -> list[Told]:
    """The tasks that a contact ended; nobody has opened them here, so that these are all that stand."""
    async with year.database.read() as session:
        rows = (await session.exec(select(Task).where(Task.kind == TaskKind.FOLLOW_UP))).all()
    ended = [(subjects[row.subject], row.ended_at) for row in rows if row.ended_at is not None]
    return [(*whose, "OVER", day_of(as_utc(at), ZONE)) for whose, at in ended]


async def check_complaints(year: Year) -> None:
    """Each moment that the logs give is one mark, noted at the first look after it."""
    async with year.database.read() as session:
        complaints = (await session.exec(select(Complaint))).all()
        readings = await read_clocks(session, list(complaints))
        marks = (await session.exec(select(ComplaintMark))).all()
        late = (await session.exec(select(Fact).where(Fact.kind == COMPLAINT_FIRST_RESPONSE_LATE))).all()
        tasks = (await session.exec(select(Outbox).where(Outbox.topic == TASK_OWED))).all()
    expected = {
        (one.complaint.id, run.clock, run.anchor, stage): at
        for one in readings
        for run in one.runs
        for stage, at in run.moments()
        if at <= year.now
    }
    found = {(one.complaint_id, one.clock, one.anchor, one.stage): as_utc(one.due_at) for one in marks}
    assert len(found) == len(marks)
    assert found == expected
    waits = [as_utc(one.marked_at) - as_utc(one.due_at) for one in marks]
    assert all(timedelta() <= wait <= 3 * DAY for wait in waits)
    assert sum(wait > BETWEEN_LOOKS for wait in waits) < len(waits) / 4
    breaches = [one for one in marks if (one.clock, one.stage) == ("FIRST_RESPONSE", Stage.BREACH)]
    assert len(late) == len(breaches) > 0
    keys = [one.key for one in tasks if one.payload["kind"] == TaskKind.COMPLAINT]
    assert 0 < len(keys) == len(set(keys)) <= len(marks)
