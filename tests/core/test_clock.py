"""Instants as text: what Python itself would write, to the microsecond and in UTC."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as some

from core.clock import as_utc, iso, parse_instant

ZONES = [UTC, ZoneInfo("Asia/Shanghai"), ZoneInfo("UTC"), timezone(timedelta(hours=-9, minutes=-30))]
# A day from either end, since in UTC it may be another one.
FIRST, LAST = datetime(1, 1, 2), datetime(9999, 12, 30)  # noqa: DTZ001 - bounds of instants with and without zones
INSTANTS = some.datetimes(FIRST, LAST) | some.datetimes(FIRST, LAST, timezones=some.sampled_from(ZONES))


@given(INSTANTS)
@example(datetime(2026, 11, 30, 12, 0, tzinfo=UTC))
@example(datetime(987, 1, 2, 3, 4, 5, 6, tzinfo=UTC))
def test_an_instant_is_written_as_python_writes_it(value: datetime) -> None:
    """Given any instant, then its text is that of Python in UTC with six places and a Z, and is read as the same."""
    text = iso(value)
    assert text == as_utc(value).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
    assert len(text) == len("2026-11-30T12:00:00.000000Z")
    assert parse_instant(text) == as_utc(value)
