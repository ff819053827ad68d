"""Business calendars: when a house is open, and arithmetic on the minutes and days in which it is.

Doors open when the clock of the zone first shows the opening time of a day or a later one, and close likewise: so a
span lasts as long as it really does on the days when clocks change. China's working weekends (调休) come with the
yearly arrangement that its government publishes, mostly in November. A year of which the library knows a working
weekend is published; no published one since 2001 was without. A later year goes by holidays and weekly hours alone and
is provisional, and so are the last days of the last published year, which the next arrangement may still turn.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import holidays

from core.days import DEFAULT_ZONE, day_of

MINUTES_OF_DAY = 1440
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
# Arrangements are looked for in these years; beyond them everything is provisional.
FIRST_ARRANGED, LAST_ARRANGED = 2001, 2060
# So many days at the end of a year can be turned by the arrangement of the next one: the farthest was 29 December.
TURNABLE_DAYS = 7
# No answer lies farther away than this; a longer search has gone wrong.
LONGEST_SEARCH = 40_000

# From a minute of the day, inclusive, to another one, exclusive; 1440 is midnight.
Span = tuple[int, int]
Spans = tuple[Span, ...]
OFFICE: Spans = ((9 * 60, 12 * 60), (13 * 60, 18 * 60))


@dataclass(frozen=True, slots=True)
class Calendar:
    """Weekly hours (Monday first) in a zone, without the public holidays of a country (null: there are none).

    `opened_hours` are those of a day that is open though its week would not have it so: a working weekend, or one of
    `open_days`. What staff set (`open_days`, `closed_days`) goes before what the library knows. With `arranged_until`
    staff say that they have entered the arrangement up to that day. Raises ValueError for what cannot be.
    """

    zone: str = DEFAULT_ZONE
    hours: tuple[Spans, ...] = (OFFICE, OFFICE, OFFICE, OFFICE, OFFICE, (), ())
    country: str | None = "CN"
    opened_hours: Spans = OFFICE
    open_days: frozenset[date] = frozenset()
    closed_days: frozenset[date] = frozenset()
    arranged_until: date | None = None

    def __post_init__(self) -> None:
        if len(self.hours) != 7 or not any(self.hours):
            raise ValueError("hours of seven weekdays, and of one at least")
        for spans in (*self.hours, self.opened_hours):
            check_spans(spans)
        if not self.opened_hours:
            raise ValueError("a day that is opened has hours")
        if self.open_days & self.closed_days:
            raise ValueError("a day is open or closed, not both")
        if self.country is not None and self.country not in holidays.list_supported_countries():
            raise ValueError("the library knows no holidays of this country")


def check_spans(spans: Spans) -> None:
    """Raise ValueError unless the spans of a day come one after the other."""
    if any(not 0 <= start < end <= MINUTES_OF_DAY for start, end in spans):
        raise ValueError("a span begins before it ends, within the day")
    if any(before[1] > after[0] for before, after in pairwise(spans)):
        raise ValueError("the spans of a day come one after the other")


@lru_cache(maxsize=512)
def days_known(country: str, year: int) -> tuple[frozenset[date], frozenset[date]]:
    """Holidays and working weekends of a year by the library; the next year's arrangement can turn days of this one."""
    found = holidays.country_holidays(country, years=(year, year + 1))
    working = {day for day in found.weekend_workdays if day.year == year}
    return frozenset(day for day in found if day.year == year and day not in working), frozenset(working)


@lru_cache(maxsize=64)
def arranged_through(country: str) -> int | None:
    """The last year whose arrangement of working weekends the library knows; None for a country that has none."""
    found = holidays.country_holidays(country, years=range(FIRST_ARRANGED, LAST_ARRANGED + 1))
    return max((day.year for day in found.weekend_workdays), default=None)


@lru_cache(maxsize=512)
def provisional_from(calendar: Calendar) -> date | None:
    """The first day of which it is not known yet whether it is worked; None where a country arranges nothing."""
    year = None if calendar.country is None else arranged_through(calendar.country)
    if year is None:
        return None
    first = date(year + 1, 1, 1) - timedelta(days=TURNABLE_DAYS)
    return first if calendar.arranged_until is None else max(first, calendar.arranged_until + DAY)


def is_provisional(calendar: Calendar, day: date) -> bool:
    """Whether a day may turn out otherwise; what staff have set of a day is known."""
    first = provisional_from(calendar)
    return first is not None and day >= first and day not in calendar.open_days | calendar.closed_days


def is_working_day(calendar: Calendar, day: date) -> bool:
    return bool(hours_of(calendar, day))


def hours_of(calendar: Calendar, day: date) -> Spans:
    """The spans of a day by its clock."""
    if day in calendar.closed_days:
        return ()
    if day in calendar.open_days:
        return calendar.hours[day.weekday()] or calendar.opened_hours
    if calendar.country is not None:
        closed, opened = days_known(calendar.country, day.year)
        if day in opened:
            return calendar.opened_hours
        if day in closed:
            return ()
    return calendar.hours[day.weekday()]


@lru_cache(maxsize=8_192)
def open_between(calendar: Calendar, day: date) -> tuple[tuple[datetime, datetime], ...]:
    """The spans of a day as instants in UTC; one that the clock passes over is left out."""
    spans = [tuple(showing(day, minute, calendar.zone) for minute in span) for span in hours_of(calendar, day)]
    return tuple((start, end) for start, end in spans if start < end)


def showing(day: date, minute: int, zone: str) -> datetime:
    """The first instant at which the clock of the zone shows this minute of the day or a later one."""
    wall = datetime.combine(day, time()) + minute * MINUTE
    local = wall.replace(tzinfo=ZoneInfo(zone))
    late = local.astimezone(UTC)
    if on_the_wall(late, zone) == wall:
        return late
    # The clock passes over this minute: it does so between what the offsets of after and of before make of it.
    early = local.replace(fold=1).astimezone(UTC)
    seconds = range(int((late - early).total_seconds()) + 1)
    return early + timedelta(seconds=bisect_left(seconds, True, key=lambda n: is_past(early, n, wall, zone)))


def is_past(start: datetime, seconds: int, wall: datetime, zone: str) -> bool:
    return on_the_wall(start + timedelta(seconds=seconds), zone) >= wall


def on_the_wall(at: datetime, zone: str) -> datetime:
    return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def spans_from(calendar: Calendar, at: datetime) -> Iterator[tuple[datetime, datetime]]:
    """What is open from an instant on, cut off there; raises OverflowError where nothing is for a lifetime."""
    day = day_of(at, calendar.zone) - DAY
    for _ in range(LONGEST_SEARCH):
        for start, end in open_between(calendar, day):
            if end > at:
                yield max(start, at), end
        day += DAY
    raise OverflowError("no open minute within a hundred years")


def spans_until(calendar: Calendar, at: datetime) -> Iterator[tuple[datetime, datetime]]:
    """What is open until an instant, cut off there, the latest first."""
    day = day_of(at, calendar.zone) + DAY
    for _ in range(LONGEST_SEARCH):
        for start, end in reversed(open_between(calendar, day)):
            if start < at:
                yield start, min(end, at)
        day -= DAY
    raise OverflowError("no open minute within a hundred years")


def add_business_minutes(calendar: Calendar, at: datetime, minutes: int) -> datetime:
    """The instant so many open minutes after `at` (before it, where negative), in UTC.

    Of those that are equally far it is the nearest one: a time that is up when the doors close is up then, and not
    when they open again. So adding is additive, and `business_minutes` tells what was added.
    """
    return add_business_time(calendar, at, minutes * MINUTE)


def add_business_time(calendar: Calendar, at: datetime, time: timedelta) -> datetime:
    """Likewise for a time that is no whole number of minutes."""
    left, onwards = abs(time), time > timedelta()
    if not left:
        return at.astimezone(UTC)
    for start, end in spans_from(calendar, at) if onwards else spans_until(calendar, at):
        if left <= end - start:
            return (start + left if onwards else end - left).astimezone(UTC)
        left -= end - start
    raise AssertionError("the spans never end")


def business_time(calendar: Calendar, start: datetime, end: datetime) -> timedelta:
    """How long the house is open from one instant to a later one; negative where the first is the later one."""
    if end < start:
        return -business_time(calendar, end, start)
    total, day, last = timedelta(), day_of(start, calendar.zone) - DAY, day_of(end, calendar.zone) + DAY
    while day <= last:
        for opens, closes in open_between(calendar, day):
            total += max(min(closes, end) - max(opens, start), timedelta())
        day += DAY
    return total


def business_minutes(calendar: Calendar, start: datetime, end: datetime) -> int:
    """How many whole open minutes lie between two instants; negative where the first is the later one."""
    minutes = abs(business_time(calendar, start, end)) // MINUTE
    return minutes if start <= end else -minutes


def add_working_days(calendar: Calendar, day: date, n: int) -> date:
    """The n-th working day after a day, or before it where negative; for 0 the day itself, or the next one worked.

    Raises OverflowError where there is none for a lifetime.
    """
    left, step = abs(n), DAY if n >= 0 else -DAY
    if not left:
        day, left = day - DAY, 1
    for _ in range(LONGEST_SEARCH):
        day += step
        left -= is_working_day(calendar, day)
        if not left:
            return day
    raise OverflowError("no working day within a hundred years")


def digest_of(calendar: Calendar, first: date, last: date) -> str:
    """What tells whether any of these days has become another one, be it by staff or by a newer library."""
    days = [first + n * DAY for n in range((last - first).days + 1)]
    said = [(str(day), hours_of(calendar, day), is_provisional(calendar, day)) for day in days]
    return hashlib.sha256(repr((calendar.zone, said)).encode()).hexdigest()
