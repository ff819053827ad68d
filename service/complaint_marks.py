"""Warnings and breaches of complaints: what the clocks give by now is noted once, and staff are told by tasks.

All that a complaint's log gives is noted together, under the lock of its row, with the next moment at which there is
something to note. So it does not matter who comes first, an act or a worker, nor how late: what is due of the past is
noted in its order and marked late, also where the log has gone on since.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import update
from sqlmodel import col, select

from core.business_calendar import Calendar
from core.db import Session, changed_rows, insert_new
from core.fact_kinds import COMPLAINT_FIRST_RESPONSE_LATE
from core.facts import OWN_SOURCE, NewFact, record_facts
from core.ids import derived_id
from core.outbox import owe_all
from core.tasks import TASK_OVER, TASK_OWED, TaskKind, task, task_key
from service.calendars import calendars_by_id
from service.complaint_clocks import Clock, Clocks, Run, Stage, Step, Terms, clocks_of, runs_of
from service.complaint_policies import definitions_by_id
from service.complaint_records import Complaint, ComplaintMark, ComplaintStatus, logs_of

# A worker looks every few seconds; whoever notices later than this was away.
LATE_AFTER = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Moment:
    """A warning or a breach of a complaint that has happened, or will."""

    complaint: Complaint
    run: Run
    stage: Stage
    at: datetime

    @property
    def id(self) -> str:
        return mark_id(self.complaint.id, self.run, self.stage)


def mark_id(complaint_id: str, run: Run, stage: Stage) -> str:
    return derived_id("complaint_mark", complaint_id, run.clock, str(run.anchor), stage)


@dataclass(frozen=True, slots=True)
class Reading:
    """A complaint's clocks, read from its log."""

    complaint: Complaint
    runs: Sequence[Run]
    clocks: Clocks

    def moments(self) -> Iterator[Moment]:
        for run in self.runs:
            for stage, at in run.moments():
                yield Moment(self.complaint, run, stage, at)


async def read_clocks(session: Session, complaints: Sequence[Complaint]) -> list[Reading]:
    """The clocks of complaints, from their logs, policies and calendars, in three statements for all of them."""
    logs = await logs_of(session, [one.id for one in complaints])
    policies = await definitions_by_id(session, {one.policy_id for one in complaints})
    calendars = await calendars_by_id(session, {one.calendar_id for one in complaints})
    return [
        reading(one, logs[one.id], policies[one.policy_id].terms(one.level), calendars[one.calendar_id])
        for one in complaints
    ]


def reading(complaint: Complaint, log: Sequence[Step], terms: Terms, calendar: Calendar) -> Reading:
    return Reading(complaint, runs_of(log, terms, calendar), clocks_of(log, terms, calendar))


async def refresh_complaints(session: Session, complaints: Sequence[Complaint], *, now: datetime) -> set[str]:
    """Store what the clocks of these complaints give and note what is due; returns the ids of those newly marked.

    The caller holds their rows.
    """
    if not complaints:
        return set()
    readings = await read_clocks(session, complaints)
    for one in readings:
        store(one, now)
    past = sorted(
        (moment for one in readings for moment in one.moments() if moment.at <= now), key=lambda m: (m.at, m.id)
    )
    new = set(await insert_new(session, ComplaintMark, [row_of(moment, now) for moment in past]))
    noted = [moment for moment in past if moment.id in new]
    for moment in noted:
        moment.complaint.is_breached |= moment.stage == Stage.BREACH
    session.add_all(complaints)
    await session.flush()
    await owe_tasks(session, noted, now=now)
    await end_marks(session, readings, now=now)
    await tell_late_answers(session, noted, now=now)
    return {moment.complaint.id for moment in noted}


def store(one: Reading, now: datetime) -> None:
    complaint, clocks = one.complaint, one.clocks
    complaint.first_response_due = clocks.first_response_due
    complaint.first_response_at = clocks.first_response_at
    complaint.update_due = clocks.update_due
    complaint.solution_due = clocks.solution_due
    complaint.statutory_due = clocks.statutory_due
    complaint.is_provisional = clocks.is_provisional
    complaint.next_check_at = min((moment.at for moment in one.moments() if moment.at > now), default=None)


def row_of(moment: Moment, now: datetime) -> dict[str, Any]:
    return {
        "id": moment.id,
        "complaint_id": moment.complaint.id,
        "clock": moment.run.clock,
        "anchor": moment.run.anchor,
        "stage": moment.stage,
        "due_at": moment.at,
        "marked_at": now,
        "is_late": now - moment.at > LATE_AFTER,
        "is_over": moment.run.ended_at is not None,
    }


async def owe_tasks(session: Session, noted: Sequence[Moment], *, now: datetime) -> None:
    """A task for each, but for what had ended before it was noticed: there is nothing left to do."""
    payloads = {
        task_key(TaskKind.COMPLAINT, moment.id): task(
            TaskKind.COMPLAINT,
            customer_id=moment.complaint.customer_id,
            subject=moment.id,
            due_at=moment.run.due_at or moment.at,
        )
        for moment in noted
        if moment.run.ended_at is None
    }
    await owe_all(session, topic=TASK_OWED, payloads=payloads, now=now, hint=True)


async def end_marks(session: Session, readings: Sequence[Reading], *, now: datetime) -> None:
    """End the tasks of what is over: the customer was answered, or the complaint is closed."""
    ended = {
        mark_id(one.complaint.id, run, stage): (one.complaint, run)
        for one in readings
        for run in one.runs
        if run.ended_at is not None
        for stage in Stage
    }
    ids = [one.complaint.id for one in readings]
    still = select(ComplaintMark.id).where(
        col(ComplaintMark.complaint_id).in_(ids), col(ComplaintMark.is_over).is_(False)
    )
    over = [id for id in (await session.exec(still)).all() if id in ended]
    if not over:
        return
    await changed_rows(session, update(ComplaintMark).where(col(ComplaintMark.id).in_(over)).values(is_over=True))
    payloads = {
        task_key(TaskKind.COMPLAINT, id): task(
            TaskKind.COMPLAINT,
            customer_id=ended[id][0].customer_id,
            subject=id,
            due_at=ended[id][1].due_at or now,
        )
        for id in over
    }
    await owe_all(session, topic=TASK_OVER, payloads=payloads, now=now, hint=True)


async def tell_late_answers(session: Session, noted: Sequence[Moment], *, now: datetime) -> None:
    """Record the fact of each first answer that was not given in time."""
    facts = [
        NewFact(
            source=OWN_SOURCE,
            key=f"complaint:{moment.complaint.id}:first-response-late",
            kind=COMPLAINT_FIRST_RESPONSE_LATE,
            customer_id=moment.complaint.customer_id,
            occurred_at=moment.at,
            payload={"complaint": moment.complaint.id},
        )
        for moment in noted
        if moment.run.clock == Clock.FIRST_RESPONSE and moment.stage == Stage.BREACH
    ]
    if facts:
        await record_facts(session, facts, now=now)


async def due_complaints(session: Session, *, limit: int, now: datetime) -> list[str]:
    """The complaints of which something is due, the longest due first."""
    statement = select(Complaint.id).where(col(Complaint.next_check_at) <= now)
    return list(
        (await session.exec(statement.order_by(col(Complaint.next_check_at), col(Complaint.id)).limit(limit))).all()
    )


async def hold_complaints(session: Session, ids: Sequence[str], *, now: datetime) -> Sequence[Complaint]:
    """Hold those of these complaints of which something is due still, but for those that somebody else holds."""
    statement = select(Complaint).where(col(Complaint.id).in_(ids), col(Complaint.next_check_at) <= now)
    held = statement.order_by(col(Complaint.id)).with_for_update(skip_locked=True)
    return (await session.exec(held.execution_options(populate_existing=True))).all()


async def open_complaints_by(session: Session, calendar_id: str, *, after: str, limit: int) -> Sequence[Complaint]:
    """Hold the next complaints that are not closed and go by a calendar, in the order of their ids."""
    statement = select(Complaint).where(
        Complaint.calendar_id == calendar_id, Complaint.status != ComplaintStatus.CLOSED, Complaint.id > after
    )
    held = statement.order_by(col(Complaint.id)).limit(limit).with_for_update()
    return (await session.exec(held.execution_options(populate_existing=True))).all()
