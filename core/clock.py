"""The one place that asks the machine for the time; rules take `now` as an argument."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import orjson

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
    if value.tzinfo is not UTC:
        value = as_utc(value)
    # It leaves out microseconds where there are none. Python's own `isoformat` takes four times as long, and an answer
    # has dozens.
    text = orjson.dumps(value, None, orjson.OPT_UTC_Z).decode()
    return text[1:-1] if value.microsecond else f"{text[1:20]}.000000Z"


def parse_instant(text: str) -> datetime:
    """Read ISO 8601 with a zone; raises ValueError where the zone is missing."""
    value = datetime.fromisoformat(text)
    if value.tzinfo is None:
        raise ValueError("an instant needs a zone, such as 2026-11-24T09:00:00Z")
    return value.astimezone(UTC)
