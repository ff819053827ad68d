"""The one place that asks the machine for the time; rules take `now` as an argument."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

CLOCKS: list[Callable[[], datetime]] = [partial(datetime.now, UTC)]


def utc_now() -> datetime:
    """The present instant in UTC, in whole microseconds."""
    return CLOCKS[-1]()


def go_by(clock: Callable[[], datetime]) -> None:
    """Let this process go by another clock from now on: a simulation lives through a year in minutes."""
    CLOCKS.append(clock)


def as_utc(value: datetime) -> datetime:
    """The same instant in UTC; a value without zone (SQLite returns such) is taken as UTC."""
    if value.tzinfo is UTC:
        return value
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def iso(value: datetime) -> str:
    """The instant as ISO 8601 in UTC with microseconds, which sorts as text."""
    # It ends in +00:00, since it is in UTC; strftime takes three times as long.
    return as_utc(value).isoformat(timespec="microseconds")[:-6] + "Z"


def parse_instant(text: str) -> datetime:
    """Read ISO 8601 with a zone; raises ValueError where the zone is missing."""
    value = datetime.fromisoformat(text)
    if value.tzinfo is None:
        raise ValueError("an instant needs a zone, such as 2026-11-24T09:00:00Z")
    return value.astimezone(UTC)
