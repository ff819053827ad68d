"""Warnings and breaches of complaints as time goes by: each once, whoever looks, how late, and whatever kills them."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import holidays
import pytest
from holidays.countries.china import China
from sqlmodel import col, select, update

from core.business_calendar import days_known
from core.clock import iso, utc_now
from core.db import Database, changed_rows
from core.facts import Fact
from core.ids import new_id
from core.outbox import Outbox
from core.processes import REPOSITORY
from core.tasks import TASK_OWED
from core.traces import all_traces, erase_traces, move_traces
from graph.client import GraphClient
from service.calendars import (
    CALENDAR_CHANGED,
    FIRST_CALENDAR_ID,
    BusinessCalendar,
    create_business_calendar,
    update_business_calendar,
)
from service.complaint_access import Hand, Seat
from service.complaint_hand_offs import accept_hand_off, hand_off
from service.complaint_keys import open_words
from service.complaint_records import (
    Complaint,
    ComplaintChannel,
    ComplaintMark,
    ComplaintStatus,
    ComplaintTopic,
    entries_of,
    lock_complaint,
)
from service.complaints import NewComplaint, answer_complaint, file_complaint, name_accused, reopen_complaint
from service.tasks import Task, TaskStatus
from tests.conftest import RING, Addresses
from tests.customers.insight import put_tier
from tests.databases import own_database
from tests.service.complaining import (
    DAY,
    HOUR,
    MINUTE,
    MONDAY,
    OWNER,
    act,
    answered,
    closed,
    customer,
    employee,
    filed,
    fresh,
    marks,
    paused,
    recomputed,
    stored,
)
from worker.complaints import sweep_complaints, watch_calendars
from worker.sweeps import sweep_outbox
from worker.work import Stores

pytestmark = pytest.mark.anyio

SCRIPT = REPOSITORY / "tests" / "worker" / "killed_complaints.py"


def told(found: Sequence[ComplaintMark]) -> list[tuple[str, str, bool]]:
    return [(mark.clock, mark.stage, mark.is_late) for mark in found]


async def tasks_about(database: Database, complaint_id: str) -> list[Task]:
    async with database.read() as session:
        mine = select(ComplaintMark.id).where(ComplaintMark.complaint_id == complaint_id)
        return list((await session.exec(select(Task).where(col(Task.subject).in_(mine)))).all())


async def late_facts(database: Database, customer_id: str) -> int:
    async with database.read() as session:
        kind = "COMPLAINT_FIRST_RESPONSE_LATE"
        statement = select(Fact.id).where(Fact.customer_id == customer_id, Fact.kind == kind)
        return len((await session.exec(statement)).all())


async def test_it_warns_and_escalates_once_each_in_time(database: Database, graph: GraphClient) -> None:
    """Given a complaint that nobody answers, when a worker looks every minute, then each moment is told once."""
    person = new_id()
    await put_tier(database, person, "VIP")
    complaint = await filed(database, customer_id=person, employee="sun")
    stores = Stores(database, graph)
    for minute in range(0, 70, 1):
        await sweep_complaints(stores, now=MONDAY + minute * MINUTE)
    first = [("FIRST_RESPONSE", "WARNING", False), ("FIRST_RESPONSE", "BREACH", False)]
    assert told(await marks(database, complaint.id)) == first
    assert [mark.due_at for mark in await marks(database, complaint.id)] == [MONDAY + 48 * MINUTE, MONDAY + HOUR]
    await sweep_outbox(stores)
    tasks = {task.due_at: task for task in await tasks_about(database, complaint.id)}
    # The warning is the owner's, the escalation is for whoever looks through what is nobody's.
    assert sorted(str(task.assignee) for task in await tasks_about(database, complaint.id)) == ["None", "sun"]
    assert set(tasks) == {MONDAY + HOUR}
    assert await late_facts(database, person) == 1
    assert (await fresh(database, complaint.id)).is_breached

    # The answer, though late, ends both; a second look ends nothing again.
    await answered(database, complaint.id, now=MONDAY + 2 * HOUR)
    await sweep_outbox(stores)
    assert {task.status for task in await tasks_about(database, complaint.id)} == {TaskStatus.DONE}
    assert await sweep_complaints(stores, now=MONDAY + 2 * HOUR) == 0
    assert await late_facts(database, person) == 1


async def test_what_was_missed_in_an_outage_is_told_late_and_in_order(
    stores: Addresses, tmp_path: Path, graph: GraphClient
) -> None:
    """Given two complaints and no worker for 20 days, then all moments are told in their order, and marked late."""
    async with own_database(stores, tmp_path) as database:
        one = await filed(database, employee="sun")
        other = await filed(database, employee="sun", now=MONDAY + HOUR)
        # It was answered in the outage, too late: the clock was missed all the same, and there is nothing left to do.
        await act(database, other.id, answer_complaint, "At last.", by=OWNER, now=MONDAY + 2 * DAY, is_internal=False)
        now = MONDAY + 20 * DAY
        assert await sweep_complaints(Stores(database, graph), now=now) == 2
        everything = [
            ("FIRST_RESPONSE", "WARNING", True),
            ("FIRST_RESPONSE", "BREACH", True),
            ("SOLUTION", "WARNING", True),
            ("STATUTORY", "WARNING", True),
            ("SOLUTION", "BREACH", True),
            ("STATUTORY", "BREACH", True),
        ]
        assert sorted(told(await marks(database, one.id))) == sorted(everything)
        after = await marks(database, other.id)
        assert ("FIRST_RESPONSE", "BREACH", False) not in told(after)
        assert [mark.is_over for mark in after if mark.clock == "FIRST_RESPONSE"] == [True, True]
        assert [mark.is_late for mark in after if mark.clock == "NEXT_UPDATE"] == [True, True]
        for complaint in (one, other):
            found = await marks(database, complaint.id)
            assert [mark.due_at for mark in found] == sorted(mark.due_at for mark in found)
        async with database.read() as session:
            owed = (await session.exec(select(Outbox).where(Outbox.topic == TASK_OWED))).all()
        # Six of the first; of the second those of the update, the solution and the law.
        assert len(owed) == 6 + 6
        assert await sweep_complaints(Stores(database, graph), now=now + MINUTE) == 0
        assert await late_facts(database, one.customer_id) == await late_facts(database, other.customer_id) == 1


async def test_eight_workers_tell_each_once(stores: Addresses, tmp_path: Path, graph: GraphClient) -> None:
    """Given thirty complaints at which eight workers look at once, then each has each mark and task once."""
    async with own_database(stores, tmp_path) as database:
        complaints = [await filed(database, employee="sun", now=MONDAY + n * MINUTE) for n in range(30)]
        pools = [Database(database.url, timeout=60, keys=RING) for _ in range(4)]
        now = MONDAY + 20 * DAY
        try:
            looked = await asyncio.gather(
                *(sweep_complaints(Stores(pools[n % 4], graph), now=now, page=7) for n in range(8))
            )
        finally:
            for pool in pools:
                await pool.close()
        # On PostgreSQL one may give way while others hold what is left; whoever comes next finds nothing or the rest.
        looked.append(await sweep_complaints(Stores(database, graph), now=now))
        assert sum(looked) == 30
        for complaint in complaints:
            assert len(await marks(database, complaint.id)) == 6
        async with database.read() as session:
            owed = (await session.exec(select(Outbox.key).where(Outbox.topic == TASK_OWED))).all()
        assert len(owed) == len(set(owed)) == 180


def run_killed(stores: Addresses, url: str, point: str, number: int, now: datetime) -> int:
    environment = {**os.environ, **stores.environment(), "DATABASE_URL": url}
    command = [sys.executable, str(SCRIPT), point, str(number), iso(now)]
    return subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, check=False).returncode


@pytest.mark.parametrize(("point", "number"), [("before-commit", 1), ("after-commit", 2), ("before-commit", 3)])
async def test_killed_anywhere_and_run_again_it_ends_the_same(
    stores: Addresses, tmp_path: Path, graph: GraphClient, point: str, number: int
) -> None:
    """Given seven complaints in pages of two, when the sweep dies at one, then the next sweep does the rest, once."""
    async with own_database(stores, tmp_path) as database:
        complaints = [await filed(database, employee="sun", now=MONDAY + n * MINUTE) for n in range(7)]
        now = MONDAY + 3 * DAY
        assert run_killed(stores, database.url, point, number, now) == -signal.SIGKILL
        await sweep_complaints(Stores(database, graph), now=now, page=2)
        for complaint in complaints:
            found = await marks(database, complaint.id)
            assert sorted(told(found)) == [("FIRST_RESPONSE", "BREACH", True), ("FIRST_RESPONSE", "WARNING", True)]
            assert await late_facts(database, complaint.customer_id) == 1
        async with database.read() as session:
            owed = (await session.exec(select(Outbox.key).where(Outbox.topic == TASK_OWED))).all()
        assert len(owed) == len(set(owed)) == 14
        assert await sweep_complaints(Stores(database, graph), now=now) == 0


async def test_one_that_cannot_be_read_holds_up_no_other(stores: Addresses, tmp_path: Path, graph: GraphClient) -> None:
    async with own_database(stores, tmp_path) as database:
        broken = await filed(database, employee="sun")
        fine = await filed(database, employee="sun", now=MONDAY + MINUTE)
        async with database.write() as session:
            mine = update(Complaint).where(col(Complaint.id) == broken.id)
            await changed_rows(session, mine.values(level="no-such-level"))
        now = MONDAY + 3 * DAY
        await sweep_complaints(Stores(database, graph), now=now)
        assert len(await marks(database, fine.id)) == 2
        assert await marks(database, broken.id) == []
        assert (await fresh(database, broken.id)).next_check_at == now + timedelta(minutes=10)


async def test_a_warning_goes_on_with_the_complaint(database: Database, graph: GraphClient) -> None:
    """Given a warning, when the complaint is handed off, then it is the new owner's, and of an accused one nobody's."""
    complaint = await filed(database, employee="sun")
    stores = Stores(database, graph)
    await sweep_complaints(stores, now=MONDAY + 8 * HOUR)
    await sweep_outbox(stores)
    assert [task.assignee for task in await tasks_about(database, complaint.id)] == ["sun"]
    await act(database, complaint.id, hand_off, "wei", None, by=OWNER, now=MONDAY + 8 * HOUR)
    assert [task.assignee for task in await tasks_about(database, complaint.id)] == ["sun"]
    await act(database, complaint.id, accept_hand_off, by=employee("wei"), now=MONDAY + 8 * HOUR)
    assert [task.assignee for task in await tasks_about(database, complaint.id)] == ["wei"]
    await act(database, complaint.id, name_accused, "wei", by=employee("sun"), now=MONDAY + 8 * HOUR)
    assert [task.assignee for task in await tasks_about(database, complaint.id)] == [None]


async def test_a_warning_that_is_opened_while_its_complaint_changes_hands_is_the_new_owners(
    stores: Addresses, tmp_path: Path, graph: GraphClient
) -> None:
    """Given a warning that has no task yet, when its owner is named as accused, then they get none by a worker that
    read the complaint before."""
    async with own_database(stores, tmp_path) as database:
        complaint = await filed(database, employee="sun")
        worker = Stores(database, graph)
        await sweep_complaints(worker, now=MONDAY + 8 * HOUR)
        async with database.write() as session:
            row = await lock_complaint(session, complaint.id)
            await name_accused(session, row, "sun", by=Hand(Seat.OFFICER, "zhao"), now=MONDAY + 8 * HOUR)
            opening = asyncio.create_task(sweep_outbox(worker))
            await asyncio.wait([opening], timeout=2)
        await opening
        await sweep_outbox(worker)
        assert [task.assignee for task in await tasks_about(database, complaint.id)] == [None]


async def test_a_closed_complaint_is_silent_until_it_is_opened_again(database: Database, graph: GraphClient) -> None:
    complaint = await filed(database, employee="sun")
    await closed(database, complaint.id, now=MONDAY + HOUR)
    stores = Stores(database, graph)
    await sweep_complaints(stores, now=MONDAY + 30 * DAY)
    assert await marks(database, complaint.id) == []
    again = MONDAY + 30 * DAY
    await act(database, complaint.id, reopen_complaint, "Again", by=customer(complaint.customer_id), now=again)
    await sweep_complaints(stores, now=again + 16 * DAY)
    assert {mark.clock for mark in await marks(database, complaint.id)} == {"NEXT_UPDATE", "SOLUTION", "STATUTORY"}


async def test_days_that_become_known_move_deadlines(stores: Addresses, tmp_path: Path, graph: GraphClient) -> None:
    """Given complaints that count on days which staff close, then their deadlines follow, once, whoever looks."""
    async with own_database(stores, tmp_path) as database:
        moving = [await filed(database, employee="sun", now=MONDAY + HOUR + n * MINUTE) for n in range(3)]
        waiting = await filed(database, employee="sun")
        await paused(database, waiting.id, now=MONDAY)
        over = await filed(database, employee="sun")
        await closed(database, over.id, now=MONDAY + HOUR)
        assert await watch_calendars(Stores(database, graph), now=MONDAY) == 1, "the migration has written no digest"
        await sweep_outbox(Stores(database, graph))
        before = [(await fresh(database, one.id)).solution_due or MONDAY for one in moving]
        # The second day of the week is closed.
        async with database.write() as session:
            changed = await update_business_calendar(
                session,
                FIRST_CALENDAR_ID,
                {"definition": {"closed_days": ["2026-03-10"]}},
                actor="he",
                now=MONDAY + HOUR,
            )
        assert changed.version == 2
        assert await watch_calendars(Stores(database, graph), now=MONDAY + HOUR) == 0
        await sweep_outbox(Stores(database, graph))
        after = [await fresh(database, one.id) for one in moving]
        assert [one.solution_due for one in after] == [at + DAY for at in before]
        async with database.read() as session:
            every = [*after, await fresh(database, waiting.id)]
            assert [stored(one) for one in every] == await recomputed(session, every)
            owed = (await session.exec(select(Outbox).where(Outbox.topic == CALENDAR_CHANGED))).all()
        assert len(owed) == 2 and all(row.settled_at for row in owed)
        assert (await fresh(database, over.id)).solution_minutes == 60


@pytest.mark.parametrize("is_opened_again", [False, True])
async def test_days_that_change_wait_for_what_begins_to_count_by_them(
    stores: Addresses, tmp_path: Path, graph: GraphClient, is_opened_again: bool
) -> None:
    """Given a complaint that is being filed or opened again, when a worker finds that days have changed, then it waits
    until the complaint can be found to be counted anew."""
    async with own_database(stores, tmp_path) as database:
        old = await filed(database, employee="sun")
        await closed(database, old.id, now=MONDAY + HOUR)
        now = MONDAY + 2 * HOUR
        async with database.write() as session:
            if is_opened_again:
                await reopen_complaint(session, await lock_complaint(session, old.id), "Again", by=OWNER, now=now)
            else:
                new = NewComplaint(new_id(), ComplaintTopic.FEES, ComplaintChannel.PHONE, "Twice!")
                await file_complaint(session, new, employee=None, now=now)
            # The migration has written no digest, so that the first look always finds days changed.
            looking = asyncio.create_task(watch_calendars(Stores(database, graph), now=now))
            await asyncio.wait([looking], timeout=1)
            is_waiting = not looking.done()
        assert (await looking, is_waiting) == (1, True)


async def test_what_a_newer_library_knows_moves_deadlines(
    stores: Addresses, tmp_path: Path, graph: GraphClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a deadline among provisional days, when the library comes to know them, then it is counted anew."""
    async with own_database(stores, tmp_path) as database:
        worker = Stores(database, graph)
        begin = datetime.fromisoformat("2027-02-01T01:00:00+00:00")
        complaint = await filed(database, employee="sun", now=begin)
        assert complaint.is_provisional and complaint.solution_due is not None
        await watch_calendars(worker, now=utc_now())
        await sweep_outbox(worker)
        assert await watch_calendars(worker, now=utc_now()) == 0

        class Newer(China):
            """What the next release may know: a working Saturday in the middle of what is being counted."""

            def _populate(self, year: int) -> None:
                super()._populate(year)
                if year == 2027:
                    self.weekend_workdays.add(datetime.fromisoformat("2027-02-06").date())

        known = holidays.country_holidays

        def newer(country: str, **given: Any) -> Any:
            return Newer(**given) if country == "CN" else known(country, **given)

        monkeypatch.setattr(holidays, "country_holidays", newer)
        forget_what_was_known()
        try:
            assert await watch_calendars(worker, now=utc_now()) == 1
            await sweep_outbox(worker)
            after = await fresh(database, complaint.id)
            assert not after.is_provisional
            assert after.solution_due is not None and after.solution_due < complaint.solution_due
        finally:
            monkeypatch.undo()
            forget_what_was_known()


def forget_what_was_known() -> None:
    """A newer library comes with a new process, which has kept nothing."""
    from core import business_calendar

    days_known.cache_clear()
    for kept in (
        business_calendar.arranged_through,
        business_calendar.provisional_from,
        business_calendar.open_between,
    ):
        kept.cache_clear()


async def test_a_calendar_that_is_made_changes_nothing_of_others(database: Database) -> None:
    definition = {"time_zone": "Europe/Berlin", "country": "DE", "saturday": ["10:00-14:00"]}
    async with database.write() as session:
        made = await create_business_calendar(
            session, name_zh="柏林", name_en="Berlin", definition=definition, actor="he", now=MONDAY
        )
        same = await update_business_calendar(
            session, made.id, {"definition": definition, "name_en": "Berlin"}, actor="he", now=MONDAY
        )
    assert same.version == 1
    async with database.read() as session:
        row = await session.get_one(BusinessCalendar, made.id)
    assert row.calendar().zone == "Europe/Berlin"
    assert row.calendar().hours[5] == ((600, 840),)


async def test_an_erased_customer_leaves_a_case_without_words(database: Database) -> None:
    """Given words of a customer, when they are erased, then what happened stays to be counted, and no words open."""
    complaint = await filed(database, employee="sun")
    await answered(database, complaint.id, now=MONDAY + HOUR)
    async with database.write() as session:
        await erase_traces(session, list(all_traces()), complaint.customer_id)
    async with database.read() as session:
        entries = (await entries_of(session, [complaint.id]))[complaint.id]
        assert [entry.kind for entry in entries] == ["FILED", "TAKEN", "ANSWERED"]
        assert all(entry.words is None for entry in entries)
        assert await open_words(session, entries) == {}
    # It can be closed still, and what is written then is kept nowhere.
    over = await closed(database, complaint.id, now=MONDAY + 2 * HOUR)
    assert over.status == ComplaintStatus.CLOSED
    async with database.read() as session:
        assert (await entries_of(session, [complaint.id]))[complaint.id][-1].words is None


async def test_a_merged_customer_takes_complaints_along(database: Database) -> None:
    complaint = await filed(database, employee="sun")
    survivor = new_id()
    async with database.write() as session:
        await move_traces(session, list(all_traces()), complaint.customer_id, survivor)
    assert (await fresh(database, complaint.id)).customer_id == survivor
    async with database.read() as session:
        entries = (await entries_of(session, [complaint.id]))[complaint.id]
        assert {entry.customer_id for entry in entries} == {survivor}
        assert await open_words(session, entries) == {(complaint.id, 1): "You charged me twice."}
