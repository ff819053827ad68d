"""Business calendars, against a plain model that walks from minute to minute by the clock on the wall."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from core.business_calendar import (
    OFFICE,
    Calendar,
    add_business_minutes,
    add_working_days,
    arranged_through,
    business_minutes,
    digest_of,
    is_provisional,
    is_working_day,
    provisional_from,
)

CHINA = Calendar()
MINUTE = timedelta(minutes=1)

# What the State Council published: https://www.gov.cn/ (国办发明电 for 2019, 2024, 2025, 2026).
PUBLISHED = {
    2019: (
        "01-01 02-04 02-05 02-06 02-07 02-08 02-09 02-10 04-05 04-06 04-07 05-01 05-02 05-03 05-04 06-07 06-08 06-09 "
        "09-13 09-14 09-15 10-01 10-02 10-03 10-04 10-05 10-06 10-07",
        "02-02 02-03 04-28 05-05 09-29 10-12",
    ),
    2024: (
        "01-01 02-10 02-11 02-12 02-13 02-14 02-15 02-16 02-17 04-04 04-05 04-06 05-01 05-02 05-03 05-04 05-05 06-10 "
        "09-15 09-16 09-17 10-01 10-02 10-03 10-04 10-05 10-06 10-07",
        "02-04 02-18 04-07 04-28 05-11 09-14 09-29 10-12",
    ),
    2025: (
        "01-01 01-28 01-29 01-30 01-31 02-01 02-02 02-03 02-04 04-04 04-05 04-06 05-01 05-02 05-03 05-04 05-05 05-31 "
        "06-01 06-02 10-01 10-02 10-03 10-04 10-05 10-06 10-07 10-08",
        "01-26 02-08 04-27 09-28 10-11",
    ),
    2026: (
        "01-01 01-02 01-03 02-15 02-16 02-17 02-18 02-19 02-20 02-21 02-22 02-23 04-04 04-05 04-06 05-01 05-02 05-03 "
        "05-04 05-05 06-19 06-20 06-21 09-25 09-26 09-27 10-01 10-02 10-03 10-04 10-05 10-06 10-07",
        "01-04 02-14 02-28 05-09 09-20 10-10",
    ),
}


def days_of(year: int, text: str) -> set[date]:
    return {date.fromisoformat(f"{year}-{day}") for day in text.split()}


@pytest.mark.parametrize("year", sorted(PUBLISHED))
def test_every_day_of_a_year_is_as_published(year: int) -> None:
    closed, opened = (days_of(year, text) for text in PUBLISHED[year])
    day = date(year, 1, 1)
    while day.year == year and day < date(year, 12, 25):
        expected = day in opened or (day.weekday() < 5 and day not in closed)
        assert is_working_day(CHINA, day) == expected, day
        day += timedelta(days=1)


def test_the_arrangement_of_a_year_turns_days_at_the_end_of_the_one_before() -> None:
    assert is_working_day(CHINA, date(2018, 12, 29))
    assert not is_working_day(CHINA, date(2018, 12, 31))


def test_what_no_arrangement_is_known_of_goes_by_holidays_and_the_week_and_is_provisional() -> None:
    year = arranged_through("CN")
    assert year is not None
    assert year >= 2026
    assert provisional_from(CHINA) == date(year, 12, 25)
    assert not is_provisional(CHINA, date(year, 12, 24))
    assert is_provisional(CHINA, date(year, 12, 25))
    assert is_provisional(CHINA, date(year + 1, 7, 7))
    assert not is_working_day(CHINA, date(year + 1, 10, 1))
    saturdays = [date(year + 1, 1, 1) + timedelta(days=n) for n in range(365)]
    assert not any(is_working_day(CHINA, day) for day in saturdays if day.weekday() >= 5)


def test_what_staff_have_set_is_known_and_goes_before_the_library() -> None:
    year = (arranged_through("CN") or 0) + 1
    feast, rest = date(year, 10, 1), date(year, 7, 7)
    own = Calendar(open_days=frozenset({feast}), closed_days=frozenset({rest}))
    assert is_working_day(own, feast)
    assert not is_working_day(own, rest)
    assert not is_provisional(own, feast)
    assert not is_provisional(own, rest)
    assert is_provisional(own, date(year, 7, 8))
    known = Calendar(arranged_until=date(year, 12, 31))
    assert not is_provisional(known, date(year, 12, 31))
    assert is_provisional(known, date(year + 1, 1, 1))


def test_a_country_that_arranges_nothing_is_never_provisional() -> None:
    abroad = Calendar(country="GB", zone="Europe/London")
    assert arranged_through("GB") is None
    assert not is_provisional(abroad, date(2050, 1, 1))
    assert not is_working_day(abroad, date(2026, 12, 25))
    assert not is_provisional(Calendar(country=None), date(2050, 1, 1))


def test_a_working_weekend_has_the_hours_of_opened_days() -> None:
    short = Calendar(opened_hours=((600, 720),))
    start = datetime(2026, 2, 13, 16, tzinfo=UTC)
    assert business_minutes(short, start, start + timedelta(days=1)) == 120


def test_the_digest_of_days_changes_with_any_of_them() -> None:
    first, last = date(2026, 1, 1), date(2028, 12, 31)
    plain = digest_of(CHINA, first, last)
    assert plain == digest_of(Calendar(), first, last)
    others = [
        Calendar(closed_days=frozenset({date(2028, 12, 29)})),
        Calendar(open_days=frozenset({date(2026, 1, 3)})),
        Calendar(arranged_until=date(2027, 12, 31)),
        Calendar(opened_hours=((540, 600),)),
        Calendar(zone="Asia/Tokyo"),
        Calendar(country=None),
    ]
    assert len({plain, *(digest_of(one, first, last) for one in others)}) == 7


@pytest.mark.parametrize(
    "wrong",
    [
        {"hours": (OFFICE,)},
        {"hours": ((),) * 7},
        {"hours": (((60, 50),), *((),) * 6)},
        {"hours": (((0, 60), (50, 70)), *((),) * 6)},
        {"hours": (((0, 1441),), *((),) * 6)},
        {"opened_hours": ()},
        {"country": "XX"},
        {"open_days": frozenset({date(2026, 1, 1)}), "closed_days": frozenset({date(2026, 1, 1)})},
    ],
)
def test_what_cannot_be_is_no_calendar(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Calendar(**wrong)  # pyright: ignore[reportArgumentType] - the cases are wrong on purpose


class Walk:
    """The plain model: one step a minute; doors open and close when the clock first shows their time or a later one."""

    def __init__(self, calendar: Calendar, first: datetime, days: int) -> None:
        zone = ZoneInfo(calendar.zone)
        self.first = first
        self.is_open: list[bool] = []
        at = first - timedelta(days=2)
        doors: list[tuple[datetime, datetime]] = []
        seen: set[date] = set()
        latest = datetime.combine(date.min, time())
        while at < first + timedelta(days=days):
            wall = at.astimezone(zone).replace(tzinfo=None)
            latest = max(latest, wall)
            for day in (latest.date() + timedelta(days=n) for n in range(-1, 1)):
                if day not in seen:
                    seen.add(day)
                    midnight = datetime.combine(day, time())
                    doors += [(midnight + a * MINUTE, midnight + b * MINUTE) for a, b in self.spans(calendar, day)]
            if at >= first:
                self.is_open.append(any(opens <= latest < closes for opens, closes in doors))
            at += MINUTE

    def spans(self, calendar: Calendar, day: date) -> tuple[tuple[int, int], ...]:
        if day in calendar.closed_days:
            return ()
        return calendar.hours[day.weekday()] or (calendar.opened_hours if day in calendar.open_days else ())

    def count(self, start: int, end: int) -> int:
        return sum(self.is_open[start:end])

    def after(self, start: int, minutes: int) -> int | None:
        """The place so many open minutes later; None where it lies beyond the walk."""
        place = start
        while minutes and place < len(self.is_open):
            minutes -= self.is_open[place]
            place += 1
        return None if minutes else place

    def before(self, end: int, minutes: int) -> int | None:
        place = end
        while minutes and place:
            place -= 1
            minutes -= self.is_open[place]
        return None if minutes else place


# Ordinary days, and those on which clocks change, by half an hour, at midnight, or past a whole day.
SCENES = [
    ("Asia/Shanghai", datetime(2026, 3, 2, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 3, 26, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 22, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 5, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 2, tzinfo=UTC)),
    ("Africa/Cairo", datetime(2026, 4, 21, tzinfo=UTC)),
    ("America/Santiago", datetime(2026, 4, 2, tzinfo=UTC)),
    ("America/Havana", datetime(2026, 10, 30, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 28, tzinfo=UTC)),
    ("Asia/Kathmandu", datetime(2026, 5, 4, tzinfo=UTC)),
]
DAYS = 7


@some.composite
def spans(draw: some.DrawFn) -> tuple[tuple[int, int], ...]:
    """Up to two spans, many of them around the hours at which clocks change."""
    minute = some.one_of(some.integers(0, 1440), some.integers(0, 240), some.sampled_from([0, 60, 120, 150, 180, 1440]))
    marks = sorted(set(draw(some.lists(minute, max_size=4))))
    return tuple((marks[n], marks[n + 1]) for n in range(0, len(marks) - 1, 2))


@some.composite
def scenes(draw: some.DrawFn) -> tuple[Calendar, datetime]:
    zone, first = draw(some.sampled_from(SCENES))
    hours = tuple(draw(spans()) for _ in range(7))
    days = [first.date() + timedelta(days=n) for n in range(-1, DAYS + 1)]
    closed = draw(some.frozensets(some.sampled_from(days), max_size=2))
    opened = draw(some.frozensets(some.sampled_from(days), max_size=2)) - closed
    hours = hours if any(hours) else (OFFICE, *hours[1:])
    return Calendar(zone, hours, None, opened_hours=((30, 150),), open_days=opened, closed_days=closed), first


PLACES = some.integers(0, DAYS * 1440 - 1)


@settings(max_examples=150, deadline=None)
@given(scenes(), PLACES, PLACES, some.integers(0, 4_000), some.integers(0, 59))
def test_adding_and_counting_agree_with_the_walk(
    scene: tuple[Calendar, datetime], one: int, other: int, minutes: int, seconds: int
) -> None:
    calendar, first = scene
    walk = Walk(calendar, first, DAYS)
    start, end = sorted((one, other))
    a, b = (first + place * MINUTE for place in (start, end))
    assert business_minutes(calendar, a, b) == walk.count(start, end)
    assert business_minutes(calendar, b, a) == -walk.count(start, end)
    later, earlier = walk.after(start, minutes), walk.before(end, minutes)
    if later is not None:
        assert add_business_minutes(calendar, a, minutes) == first + later * MINUTE
    if earlier is not None:
        assert add_business_minutes(calendar, b, -minutes) == first + earlier * MINUTE
    # Seconds are kept: a time is up so many minutes after the very second.
    if later is not None and later < len(walk.is_open) and walk.is_open[start] and walk.is_open[later]:
        shifted = add_business_minutes(calendar, a + timedelta(seconds=seconds), minutes)
        assert business_minutes(calendar, a + timedelta(seconds=seconds), shifted) == minutes


INSTANTS = some.integers(0, 4 * 365 * 86_400).map(lambda n: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=n))
CALENDARS = some.sampled_from(
    [
        CHINA,
        Calendar(closed_days=frozenset({date(2026, 3, 3)}), open_days=frozenset({date(2026, 3, 7)})),
        Calendar("Europe/Berlin", country="DE"),
        Calendar("America/New_York", hours=(((0, 1440),),) * 7, country=None),
        Calendar("Australia/Lord_Howe", hours=(((90, 130), (600, 601)),) * 7, country=None),
    ]
)
MINUTES = some.integers(0, 20_000)


@settings(max_examples=200, deadline=None)
@given(CALENDARS, INSTANTS, INSTANTS, MINUTES, MINUTES)
def test_adding_is_monotone_additive_and_inverse_to_counting(
    calendar: Calendar, at: datetime, other: datetime, a: int, b: int
) -> None:
    added = add_business_minutes(calendar, at, a)
    back = add_business_minutes(calendar, at, -a)
    assert added >= at >= back
    assert add_business_minutes(calendar, at, a + b) >= added
    assert (added <= add_business_minutes(calendar, other, a)) or at > other
    assert add_business_minutes(calendar, added, b) == add_business_minutes(calendar, at, a + b)
    assert add_business_minutes(calendar, back, -b) == add_business_minutes(calendar, at, -a - b)
    assert business_minutes(calendar, at, added) == a
    assert business_minutes(calendar, back, at) == a
    # What was added and taken away again is as good as never done: no open minute lies between.
    assert business_minutes(calendar, at, add_business_minutes(calendar, added, -a)) == 0
    assert business_minutes(calendar, at, other) == -business_minutes(calendar, other, at)


DATES = some.dates(date(2024, 1, 1), date(2027, 12, 31))


@given(CALENDARS, DATES, some.integers(-60, 60), some.integers(1, 30))
def test_working_days_are_counted_one_by_one(calendar: Calendar, day: date, n: int, more: int) -> None:
    found = add_working_days(calendar, day, n)
    assert is_working_day(calendar, found)
    days = [day + timedelta(days=k) for k in range(1, (found - day).days + 1)]
    if n > 0:
        assert sum(is_working_day(calendar, one) for one in days) == n
        assert add_working_days(calendar, found, more) == add_working_days(calendar, day, n + more)
        assert add_working_days(calendar, found, -n) <= day or is_working_day(calendar, day) is False
    elif n < 0:
        gone = [found + timedelta(days=k) for k in range((day - found).days)]
        assert sum(is_working_day(calendar, one) for one in gone) == -n
    else:
        assert found == day or not any(is_working_day(calendar, one) for one in [day, *days[:-1]])


def test_nothing_is_searched_for_ever() -> None:
    never = Calendar(hours=(((60, 61),), *((),) * 6), country=None)
    with pytest.raises(OverflowError):
        add_business_minutes(never, datetime(2026, 1, 1, tzinfo=UTC), 10_000_000)
