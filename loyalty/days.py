"""Days of the programme: when they begin and end in its time zone, also on the days when clocks change."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


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


def start_of_month(day: date) -> date:
    return day.replace(day=1)


def next_month(day: date) -> date:
    """The first of the month after that of `day`."""
    return (start_of_month(day) + timedelta(days=32)).replace(day=1)
