"""Days of a time zone: when they and the spans made of them begin and end, also on the days when clocks change."""

from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

# The bank's time zone, where nobody has set another one.
DEFAULT_ZONE = "Asia/Shanghai"
BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
END = datetime.max.replace(tzinfo=UTC)


@cache
def time_zones() -> frozenset[str]:
    """The names of all zones that this machine knows; looking them up reads its whole folder of them."""
    return frozenset(available_timezones())


class Period(StrEnum):
    """The span in which a cap counts; weeks begin on Monday, and EVER is all time."""

    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"
    YEAR = "YEAR"
    EVER = "EVER"


def day_of(instant: datetime, zone: str) -> date:
    """The day that it is in the zone at an instant."""
    return instant.astimezone(ZoneInfo(zone)).date()


def start_of_day(day: date, zone: str) -> datetime:
    """The instant at which a day begins.

    Where clocks go forward at midnight that is when they do: a wall time that is skipped is read by the offset of
    before. Where midnight comes twice, the first begins the day (PEP 495, fold 0).
    """
    return datetime.combine(day, time(), tzinfo=ZoneInfo(zone)).astimezone(UTC)


def end_of_day(day: date, zone: str) -> datetime:
    """The instant at which a day is over, exclusive."""
    return start_of_day(day + timedelta(days=1), zone)


def days_before(at: datetime, days: int) -> datetime:
    """The instant so many days of 24 hours before, or the first of all where the calendar does not reach so far."""
    try:
        return at - timedelta(days=days)
    except OverflowError:
        return BEGINNING


def start_of_month(day: date) -> date:
    return day.replace(day=1)


def next_month(day: date) -> date:
    """The first of the month after that of `day`."""
    return (start_of_month(day) + timedelta(days=32)).replace(day=1)


def add_months(day: date, count: int) -> date:
    """The same day of the month so many months on, or back; the last of that month where it has no such day."""
    number = day.year * 12 + day.month - 1 + count
    first = date(number // 12, number % 12 + 1, 1)
    return first.replace(day=min(day.day, (next_month(first) - timedelta(days=1)).day))


def months_before(day: date, count: int = 1) -> date:
    """The first of the month so many months before that of a day, or the first of all where the calendar ends."""
    number = max(day.year * 12 + day.month - 1 - count, 12)
    return date(number // 12, number % 12 + 1, 1)


def last_months(month: date, count: int) -> list[date]:
    """So many months that end with this one, the earliest first."""
    return [months_before(month, back) for back in reversed(range(count))]


def period_around(period: Period, at: datetime, zone: str) -> tuple[datetime, datetime]:
    """The span of the zone in which an instant lies, start inclusive and end exclusive, in UTC."""
    if period == Period.EVER:
        return BEGINNING, END
    first = day_of(at, zone)
    following = first + timedelta(days=1)
    if period == Period.WEEK:
        first -= timedelta(days=first.weekday())
        following = first + timedelta(days=7)
    elif period == Period.MONTH:
        first, following = start_of_month(first), next_month(first)
    elif period == Period.YEAR:
        first = first.replace(month=1, day=1)
        following = first.replace(year=first.year + 1)
    return start_of_day(first, zone), start_of_day(following, zone)
