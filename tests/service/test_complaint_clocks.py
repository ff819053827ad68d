"""The clocks of complaints, against a plain model that walks through a log minute by minute and counts."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as some

from core.business_calendar import MINUTE, Calendar, hours_of
from service.complaint_clocks import Clock, EntryKind, Run, Stage, Step, Terms, clocks_of, runs_of

CALENDAR = Calendar(closed_days=frozenset({date(2026, 3, 4)}), open_days=frozenset({date(2026, 3, 7)}))
ROUND_THE_CLOCK = Calendar("Europe/Berlin", hours=(((0, 1440),),) * 7, country=None)
TERMS = Terms(
    first_response=60,
    next_update=480,
    solution=1500,
    warn_percent=50,
    statutory_days=(15, 30, 60),
    statutory_warning_days=3,
)
START = datetime(2026, 3, 2, 1, tzinfo=UTC)
# What may follow on what: a log is made by these, so that it is one that the actions can write.
WHILE_OPEN = [
    EntryKind.ANSWERED,
    EntryKind.NOTED,
    EntryKind.WAITING,
    EntryKind.REPLIED,
    EntryKind.EXTENDED,
    EntryKind.TAKEN,
    EntryKind.HANDED_OFF,
    EntryKind.CLOSED,
]
WHILE_WAITING = [EntryKind.RESUMED, EntryKind.REPLIED, EntryKind.ANSWERED, EntryKind.NOTED, EntryKind.CLOSED]


@some.composite
def logs(draw: some.DrawFn, longest_gap: int = 1_500) -> list[Step]:
    """A log of up to nine entries, some of them at the same minute."""
    log, at, status, granted = [Step(1, EntryKind.FILED, START)], START, "OPEN", 0
    at += draw(some.integers(0, 3_000)) * MINUTE
    log = [Step(1, EntryKind.FILED, at)]
    for number in range(2, 2 + draw(some.integers(0, 8))):
        at += draw(some.one_of(some.integers(0, 60), some.integers(0, longest_gap))) * MINUTE
        choices = {"OPEN": WHILE_OPEN, "WAITING": WHILE_WAITING, "CLOSED": [EntryKind.REOPENED]}[status]
        kind = draw(some.sampled_from(choices))
        granted += kind == EntryKind.EXTENDED
        if granted > 2:
            kind = EntryKind.NOTED
        if kind == EntryKind.REOPENED:
            granted = 0
        status = {
            EntryKind.WAITING: "WAITING",
            EntryKind.CLOSED: "CLOSED",
            EntryKind.REOPENED: "OPEN",
            EntryKind.RESUMED: "OPEN",
            EntryKind.REPLIED: "OPEN",
        }.get(kind, status)
        log.append(Step(number, kind, at))
    return log


class Stopwatch:
    """One clock of the model: it has counted so many minutes, and knows when it came to its marks."""

    def __init__(self, clock: Clock, anchor: int, minutes: int) -> None:
        self.clock, self.anchor, self.minutes = clock, anchor, minutes
        self.counted = 0
        self.warn_at: datetime | None = None
        self.due_at: datetime | None = None
        self.ended_at: datetime | None = None

    def look(self, at: datetime) -> None:
        if self.warn_at is None and self.counted * 2 >= self.minutes:
            self.warn_at = at
        if self.due_at is None and self.counted >= self.minutes:
            self.due_at = at


def walk(log: list[Step], calendar: Calendar, days: int) -> list[Stopwatch]:
    """The internal clocks, by going from minute to minute; what is beyond the days is not looked at."""
    zone = ZoneInfo(calendar.zone)
    at, end = log[0].at, log[-1].at + timedelta(days=days)
    watches: list[Stopwatch] = []
    waiting = False
    waits_for_answer: list[Stopwatch] = []
    waits_for_end: list[Stopwatch] = []
    place = 0
    while at < end:
        while place < len(log) and log[place].at == at:
            step = log[place]
            place += 1
            if step.kind in (EntryKind.ANSWERED, EntryKind.WAITING, EntryKind.CLOSED):
                for watch in waits_for_answer:
                    watch.ended_at = at
                waits_for_answer = []
            if step.kind == EntryKind.CLOSED:
                for watch in waits_for_end:
                    watch.ended_at = at
                waits_for_end = []
            waiting = step.kind == EntryKind.WAITING or (
                waiting and step.kind not in (EntryKind.RESUMED, EntryKind.REPLIED, EntryKind.CLOSED)
            )
            if step.kind == EntryKind.FILED:
                waits_for_answer.append(Stopwatch(Clock.FIRST_RESPONSE, step.number, TERMS.first_response))
                watches.append(waits_for_answer[-1])
            if step.kind in (EntryKind.ANSWERED, EntryKind.WAITING, EntryKind.REOPENED):
                waits_for_answer.append(Stopwatch(Clock.NEXT_UPDATE, step.number, TERMS.next_update))
                watches.append(waits_for_answer[-1])
            if step.kind in (EntryKind.FILED, EntryKind.REOPENED):
                waits_for_end.append(Stopwatch(Clock.SOLUTION, step.number, TERMS.solution))
                watches.append(waits_for_end[-1])
        wall = at.astimezone(zone)
        minute = wall.hour * 60 + wall.minute
        is_open = any(opens <= minute < closes for opens, closes in hours_of(calendar, wall.date()))
        at += MINUTE
        for watch in watches:
            watch.counted += is_open and not waiting
            watch.look(at)
    return watches


def told(run: Run | Stopwatch) -> tuple[Any, ...]:
    """A run as far as it matters: what comes after its end has not happened."""
    end = run.ended_at
    marks = [None if at is None or (end is not None and at > end) else at for at in (run.warn_at, run.due_at)]
    return run.clock, run.anchor, *marks, end


@settings(max_examples=120, deadline=None)
@given(logs(), some.sampled_from([CALENDAR, ROUND_THE_CLOCK]))
def test_internal_clocks_are_as_counted_minute_by_minute(log: list[Step], calendar: Calendar) -> None:
    days = 12
    expected = sorted(told(one) for one in walk(log, calendar, days))
    found = sorted(told(one) for one in runs_of(log, TERMS, calendar) if one.clock != Clock.STATUTORY)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one[:2] == other[:2] and one[4] == other[4]
        for mine, counted in zip(one[2:4], other[2:4], strict=True):
            # What the walk did not come to is later than its end, or never.
            assert mine == counted or (counted is None and (mine is None or mine > log[-1].at + timedelta(days=days)))


@settings(max_examples=200, deadline=None)
@given(logs(longest_gap=40 * 1440))
def test_the_statutory_clock_counts_days_whatever_happens(log: list[Step]) -> None:
    """Given a log, then by counting the days of each round one by one the deadlines are those of the function."""
    zone = ZoneInfo(CALENDAR.zone)
    expected: list[tuple[int, datetime, datetime | None]] = []
    begun: date | None = None
    days = 15
    for step in log:
        if step.kind in (EntryKind.FILED, EntryKind.REOPENED):
            begun, days = step.at.astimezone(zone).date(), 15
        elif step.kind == EntryKind.EXTENDED:
            expected[-1] = (*expected[-1][:2], step.at)
            days *= 2
        elif step.kind == EntryKind.CLOSED:
            expected[-1] = (*expected[-1][:2], step.at)
            continue
        else:
            continue
        midnight = datetime.combine(begun or date.min, datetime.min.time(), zone)
        expected.append((step.number, (midnight + timedelta(days=days + 1)).astimezone(UTC), None))
    found = [run for run in runs_of(log, TERMS, CALENDAR) if run.clock == Clock.STATUTORY]
    assert [(run.anchor, run.due_at, run.ended_at) for run in found] == expected
    for run in found:
        assert run.warn_at == (run.due_at or START) - timedelta(days=3)


@settings(max_examples=100, deadline=None)
@given(logs())
def test_what_is_stored_tells_the_latest_runs(log: list[Step]) -> None:
    clocks = clocks_of(log, TERMS, CALENDAR)
    runs = {run.clock: run for run in runs_of(log, TERMS, CALENDAR)}
    seen = [step.at for step in log if step.kind in (EntryKind.ANSWERED, EntryKind.WAITING, EntryKind.CLOSED)]
    assert clocks.first_response_at == (seen[0] if seen else None)
    is_closed = max(step.number for step in log if step.kind in (EntryKind.CLOSED, EntryKind.FILED, EntryKind.REOPENED))
    over = log[is_closed - 1].kind == EntryKind.CLOSED
    assert (clocks.statutory_due is None) == over
    assert clocks.solution_due == (None if over else runs[Clock.SOLUTION].due_at)
    assert not over or clocks.update_due is None


@settings(max_examples=100, deadline=None)
@given(logs(), some.data())
def test_what_is_written_later_changes_no_moment_before_it(log: list[Step], data: some.DataObject) -> None:
    """Given a log and its beginning, then what was warned of and breached by the beginning's end stays so."""
    cut = data.draw(some.integers(1, len(log)))
    then = log[cut].at if cut < len(log) else log[-1].at + timedelta(days=3)

    def moments(part: list[Step]) -> set[tuple[Clock, int, Stage, datetime]]:
        return {
            (run.clock, run.anchor, stage, at)
            for run in runs_of(part, TERMS, CALENDAR)
            for stage, at in run.moments()
            if at < then
        }

    assert moments(log[:cut]) == {one for one in moments(log) if one[1] <= cut}


def test_only_what_the_customer_can_see_is_a_first_response() -> None:
    """Given a note an hour before the answer, then it is the answer that counts, and it was late."""
    filed = datetime(2026, 3, 2, 1, tzinfo=UTC)
    log = [
        Step(1, EntryKind.FILED, filed),
        Step(2, EntryKind.NOTED, filed + 30 * MINUTE),
        Step(3, EntryKind.ANSWERED, filed + 90 * MINUTE),
    ]
    clocks = clocks_of(log, TERMS, CALENDAR)
    assert clocks.first_response_at == filed + 90 * MINUTE
    assert clocks.first_response_due == filed + 60 * MINUTE
    first = runs_of(log, TERMS, CALENDAR)[0]
    assert [stage for stage, _ in first.moments()] == [Stage.WARNING, Stage.BREACH]


def test_deadlines_among_unknown_days_are_provisional() -> None:
    known = Calendar(arranged_until=date(2027, 6, 30))
    filed = Step(1, EntryKind.FILED, datetime(2027, 6, 20, 2, tzinfo=UTC))
    assert clocks_of([filed], TERMS, known).is_provisional
    assert not clocks_of([filed], TERMS, Calendar(arranged_until=date(2027, 12, 31))).is_provisional
