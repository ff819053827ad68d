"""The clocks of a complaint: a pure function of its log and a business calendar, in runs that begin, are due and end.

A run is met by what ends it before it is due. The internal clocks count open time and stand still while the bank waits
for the customer; the statutory one counts calendar days, of which the first is the day after, and never stands still.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from core.business_calendar import MINUTE, Calendar, add_business_time, business_time, provisional_from
from core.days import day_of, end_of_day


class EntryKind(StrEnum):
    """What happened; ANSWERED, WAITING (it asks the customer something) and CLOSED are what the customer can see."""

    FILED = "FILED"
    TAKEN = "TAKEN"
    ANSWERED = "ANSWERED"
    NOTED = "NOTED"
    WAITING = "WAITING"
    REPLIED = "REPLIED"
    RESUMED = "RESUMED"
    EXTENSION_ASKED = "EXTENSION_ASKED"
    EXTENDED = "EXTENDED"
    EXTENSION_REFUSED = "EXTENSION_REFUSED"
    HAND_OFF_ASKED = "HAND_OFF_ASKED"
    HANDED_OFF = "HANDED_OFF"
    HAND_OFF_DECLINED = "HAND_OFF_DECLINED"
    ACCUSED = "ACCUSED"
    CLOSED = "CLOSED"
    REOPENED = "REOPENED"


class Clock(StrEnum):
    """What is promised: to answer, to speak again, to solve, and what the law gives at most."""

    FIRST_RESPONSE = "FIRST_RESPONSE"
    NEXT_UPDATE = "NEXT_UPDATE"
    SOLUTION = "SOLUTION"
    STATUTORY = "STATUTORY"


class Stage(StrEnum):
    """A run is warned of before it is due, and breached when it is due."""

    WARNING = "WARNING"
    BREACH = "BREACH"


STARTS = (EntryKind.FILED, EntryKind.REOPENED)
SEEN_BY_CUSTOMER = (EntryKind.ANSWERED, EntryKind.WAITING, EntryKind.CLOSED)
ENDS_WAITING = (EntryKind.RESUMED, EntryKind.REPLIED, EntryKind.CLOSED, EntryKind.REOPENED)


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of a log as far as clocks go by it; a log is in the order of its numbers, and its times never fall."""

    number: int
    kind: EntryKind
    at: datetime


@dataclass(frozen=True, slots=True)
class Terms:
    """What is promised: minutes of open time, and calendar days by the number of extensions (15, 30, 60).

    The internal clocks warn when so many percent of their time are gone, the statutory one so many days before.
    """

    first_response: int
    next_update: int
    solution: int
    warn_percent: int
    statutory_days: tuple[int, ...]
    statutory_warning_days: int


@dataclass(frozen=True, slots=True)
class Run:
    """One stretch of a clock, named by the number of the entry that began it.

    `warn_at` and `due_at` are null where the clock stands still before it came so far.
    """

    clock: Clock
    anchor: int
    warn_at: datetime | None
    due_at: datetime | None
    ended_at: datetime | None

    def moments(self) -> Iterator[tuple[Stage, datetime]]:
        """When it is warned of and when it is breached, of what comes before its end."""
        for stage, at in ((Stage.WARNING, self.warn_at), (Stage.BREACH, self.due_at)):
            if at is not None and (self.ended_at is None or at <= self.ended_at):
                yield stage, at


@dataclass(frozen=True, slots=True)
class Clocks:
    """Where a complaint's clocks stand: the latest run of each, and null for what is over or stands still.

    A deadline is provisional where it lies among days of which nobody knows yet whether they are worked.
    """

    first_response_due: datetime | None
    first_response_at: datetime | None
    update_due: datetime | None
    solution_due: datetime | None
    statutory_due: datetime | None
    is_provisional: bool


Pauses = Sequence[tuple[datetime, datetime | None]]


def runs_of(log: Sequence[Step], terms: Terms, calendar: Calendar) -> list[Run]:
    """All runs of a log in the order in which they began."""
    pauses = pauses_of(log)
    runs: list[Run] = []
    for place, step in enumerate(log):
        rest = log[place + 1 :]
        if step.kind == EntryKind.FILED:
            runs.append(internal(Clock.FIRST_RESPONSE, step, rest, terms.first_response, terms, calendar, pauses))
        elif step.kind in (EntryKind.ANSWERED, EntryKind.WAITING, EntryKind.REOPENED):
            runs.append(internal(Clock.NEXT_UPDATE, step, rest, terms.next_update, terms, calendar, pauses))
        if step.kind in STARTS:
            runs.append(internal(Clock.SOLUTION, step, rest, terms.solution, terms, calendar, pauses))
            runs += statutory(step, rest, terms, calendar.zone)
    return runs


def internal(
    clock: Clock,
    start: Step,
    rest: Sequence[Step],
    minutes: int,
    terms: Terms,
    calendar: Calendar,
    pauses: Pauses,
) -> Run:
    ends = (EntryKind.CLOSED,) if clock == Clock.SOLUTION else SEEN_BY_CUSTOMER
    whole = minutes * MINUTE
    return Run(
        clock,
        start.number,
        warn_at=reached(calendar, start.at, whole * terms.warn_percent / 100, pauses),
        due_at=reached(calendar, start.at, whole, pauses),
        ended_at=first_at(rest, *ends),
    )


def statutory(start: Step, rest: Sequence[Step], terms: Terms, zone: str) -> Iterator[Run]:
    """A run for each number of extensions; the next one takes the place of the one before."""
    end = next((place for place, step in enumerate(rest) if step.kind == EntryKind.CLOSED), len(rest))
    granted = [step for step in rest[:end] if step.kind == EntryKind.EXTENDED]
    steps = [start, *granted][: len(terms.statutory_days)]
    ends = [*(step.at for step in steps[1:]), first_at(rest, EntryKind.CLOSED)]
    for step, days, ended_at in zip(steps, terms.statutory_days, ends, strict=False):
        last = day_of(start.at, zone) + timedelta(days=days)
        yield Run(
            Clock.STATUTORY,
            step.number,
            warn_at=end_of_day(last - timedelta(days=terms.statutory_warning_days), zone),
            due_at=end_of_day(last, zone),
            ended_at=ended_at,
        )


def pauses_of(log: Sequence[Step]) -> list[tuple[datetime, datetime | None]]:
    """From when to when the bank waited for the customer; null where it still does."""
    found: list[tuple[datetime, datetime | None]] = []
    since: datetime | None = None
    for step in log:
        if step.kind == EntryKind.WAITING and since is None:
            since = step.at
        elif step.kind in ENDS_WAITING and since is not None:
            found.append((since, step.at))
            since = None
    return found if since is None else [*found, (since, None)]


def first_at(log: Sequence[Step], *kinds: EntryKind) -> datetime | None:
    return next((step.at for step in log if step.kind in kinds), None)


def reached(calendar: Calendar, start: datetime, time: timedelta, pauses: Pauses) -> datetime | None:
    """When so much open time beside the pauses has gone by; null where a pause without end comes before."""
    at, left = start, time
    for begins, ends in pauses:
        if ends is not None and ends <= at:
            continue
        gained = business_time(calendar, at, max(begins, at))
        if gained >= left:
            break
        if ends is None:
            return None
        at, left = ends, left - gained
    return add_business_time(calendar, at, left)


def clocks_of(log: Sequence[Step], terms: Terms, calendar: Calendar) -> Clocks:
    """Where the clocks of a log stand."""
    latest = {run.clock: run for run in runs_of(log, terms, calendar)}
    first = latest[Clock.FIRST_RESPONSE]
    due = {clock: run.due_at for clock, run in latest.items() if run.ended_at is None}
    unknown = provisional_from(calendar)
    last = max((at for at in due.values() if at is not None), default=None)
    return Clocks(
        first_response_due=first.due_at,
        first_response_at=first.ended_at,
        update_due=due.get(Clock.NEXT_UPDATE),
        solution_due=due.get(Clock.SOLUTION),
        statutory_due=due.get(Clock.STATUTORY),
        is_provisional=unknown is not None and last is not None and day_of(last, calendar.zone) >= unknown,
    )
