"""Recurrence: every occurrence keeps the wall time of the first, and the end of time is never searched."""

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from community.event_details import EventInvalid
from community.recurrence import (
    HORIZON,
    MOST_AHEAD,
    count_before,
    ended_before,
    instant_of,
    is_finished,
    read_recurrence,
    rest_of,
    starts_to_make,
    wall_of,
    wall_starts,
    wall_text,
)

# Changes of the clocks by an hour and by half of one, in both hemispheres, at midnight, and never.
ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Africa/Cairo",
    "Asia/Beirut",
    "Asia/Shanghai",
    "Pacific/Chatham",
]
# A wall time; it has no zone.
at = datetime.fromisoformat
DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]

walls = st.datetimes(min_value=at("2024-01-01T00:00"), max_value=at("2028-12-31T00:00")).map(
    lambda wall: wall.replace(second=0, microsecond=0)
)


@st.composite
def rules(draw: st.DrawFn, start: datetime) -> str:
    """A rule that has this start as an occurrence."""
    interval = f";INTERVAL={draw(st.integers(1, 4))}"
    day = DAYS[start.weekday()]
    more = ",".join(sorted({day, *draw(st.lists(st.sampled_from(DAYS), max_size=3))}))
    rule = draw(
        st.sampled_from(
            [
                f"FREQ=DAILY{interval}",
                f"FREQ=WEEKLY{interval};BYDAY={more}",
                f"FREQ=WEEKLY{interval}",
                f"FREQ=MONTHLY{interval};BYMONTHDAY={start.day}",
                f"FREQ=MONTHLY{interval}",
                f"FREQ=YEARLY;BYMONTH={start.month};BYMONTHDAY={start.day}",
            ]
        )
    )
    end = draw(st.sampled_from(["", ";COUNT=", ";UNTIL="]))
    if end == ";COUNT=":
        return f"{rule};COUNT={draw(st.integers(1, 40))}"
    if end == ";UNTIL=":
        return f"{rule};UNTIL={(start + timedelta(days=draw(st.integers(0, 400)))).strftime('%Y%m%dT%H%M%S')}"
    return rule


def exists(wall: datetime, zone: str) -> bool:
    """Whether the clocks of the zone ever show this time."""
    return wall_of(instant_of(wall, zone), zone) == wall


@given(st.data(), walls, st.sampled_from(ZONES))
@settings(max_examples=150, deadline=None)
def test_the_wall_time_of_every_occurrence_is_that_of_the_first(
    data: st.DataObject, start: datetime, zone: str
) -> None:
    """Given any rule in a zone with changing clocks, then the clock shows the first start's time, or it is skipped."""
    recurrence = read_recurrence(data.draw(rules(start)), start, zone)
    made = list(wall_starts(recurrence, start + timedelta(days=500)))
    assert made[0] == start
    assert made == sorted(set(made))
    for wall in made:
        assert wall.time() == start.time()
        shown = wall_of(instant_of(wall, zone), zone)
        if exists(wall, zone):
            assert shown.time() == start.time()
        else:
            # In a gap RFC 5545 takes the offset from before it, so the clock shows a time after the gap.
            before = (wall - timedelta(days=1)).replace(tzinfo=ZoneInfo(zone)).utcoffset()
            assert instant_of(wall, zone) == (wall - (before or timedelta())).replace(tzinfo=UTC)
            assert shown > wall
    instants = [instant_of(wall, zone) for wall in made]
    assert instants == sorted(instants)


@given(st.data(), walls, st.integers(0, 6), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_a_weekly_rule_is_what_a_calendar_on_the_wall_says(
    data: st.DataObject, start: datetime, add: int, interval: int
) -> None:
    """Given weekdays and an interval, then the days are those that a naive count of weeks finds."""
    chosen = {start.weekday(), (start.weekday() + add) % 7}
    rule = f"FREQ=WEEKLY;INTERVAL={interval};BYDAY={','.join(DAYS[day] for day in sorted(chosen))}"
    monday = start.date() - timedelta(days=start.weekday())
    expected = [
        start + timedelta(days=offset)
        for offset in range(200)
        if (start + timedelta(days=offset)).weekday() in chosen
        and ((start.date() + timedelta(days=offset) - monday).days // 7) % interval == 0
    ]
    recurrence = read_recurrence(rule, start, "Europe/Berlin")
    assert list(wall_starts(recurrence, start + timedelta(days=199))) == expected


@given(st.data(), walls, st.sampled_from(ZONES))
@settings(max_examples=100, deadline=None)
def test_a_split_series_is_the_whole(data: st.DataObject, start: datetime, zone: str) -> None:
    """Given a rule and one of its occurrences, then the part before and the rest are together what it was."""
    recurrence = read_recurrence(data.draw(rules(start)), start, zone)
    horizon = start + timedelta(days=700)
    whole = list(wall_starts(recurrence, horizon))
    split = data.draw(st.sampled_from(whole))
    rule, exdates = rest_of(recurrence, split, timedelta())
    rest = read_recurrence(rule, split, zone, exdates)
    before = list(wall_starts(ended_before(recurrence, split), horizon)) if split != start else []
    assert before + list(wall_starts(rest, horizon)) == whole
    assert len(before) == count_before(recurrence, split)


@given(st.data(), walls, st.lists(st.integers(0, 400), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_laid_out_bit_by_bit_it_is_the_same_series(data: st.DataObject, start: datetime, steps: list[int]) -> None:
    """Given a worker that looks at any times, then no occurrence is made twice, and none ahead is missing."""
    zone = "America/New_York"
    recurrence = read_recurrence(data.draw(rules(start)), start, zone)
    now = instant_of(start, zone) - timedelta(hours=1)
    made: list[datetime] = []
    for step in [0, *steps]:
        now += timedelta(days=step)
        made += starts_to_make(recurrence, made_until=wall_text(made[-1]) if made else "", now=now)
        ahead = [wall for wall in made if wall >= wall_of(now, zone)]
        assert len(ahead) <= MOST_AHEAD
        near = wall_starts(recurrence, wall_of(now, zone) + HORIZON)
        assert {wall for wall in near if wall >= wall_of(now, zone)} <= set(made)
    assert made == sorted(set(made))


def test_what_the_clocks_skip_and_repeat() -> None:
    """Given 02:30 in Berlin in March, when the clocks skip it; then it is 03:30. In October, it is the first 02:30."""
    recurrence = read_recurrence("FREQ=WEEKLY", at("2026-03-22T02:30"), "Europe/Berlin")
    instants = [instant_of(wall, "Europe/Berlin") for wall in wall_starts(recurrence, at("2026-04-05T23:00"))]
    assert [one.isoformat() for one in instants] == [
        "2026-03-22T01:30:00+00:00",
        "2026-03-29T01:30:00+00:00",
        "2026-04-05T00:30:00+00:00",
    ]
    twice = instant_of(at("2026-10-25T02:30"), "Europe/Berlin")
    assert twice.isoformat() == "2026-10-25T00:30:00+00:00"


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "FREQ=HOURLY",
        "FREQ=SECONDLY;COUNT=3",
        "INTERVAL=2",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=DAILY;INTERVAL=1001",
        "FREQ=DAILY;COUNT=0",
        "FREQ=DAILY;COUNT=2;UNTIL=20270101",
        "FREQ=DAILY;BYHOUR=3",
        "FREQ=DAILY;BYMONTHDAY=99",
        "FREQ=DAILY;BYSETPOS=5",
        "FREQ=DAILY;FREQ=DAILY",
        "FREQ=WEEKLY;BYDAY=2MO",
        "FREQ=WEEKLY;BYDAY=TU",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MONTHLY;BYMONTHDAY=1;BYDAY=2MO",
        "FREQ=DAILY;INTERVAL=7;BYDAY=MO",
        "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=50",
        "FREQ=DAILY;UNTIL=20269999",
        "FREQ=DAILY;UNTIL=20250101",
        "FREQ=DAILY\nEXDATE:20260101",
        "FREQ=" + "DAILY" * 200,
    ],
)
def test_rules_that_cannot_be_are_refused_at_once(rule: str) -> None:
    """Given a rule that never matches, which dateutil alone searches for up to 45 s, then it is refused in a blink."""
    started = time.perf_counter()
    with pytest.raises(EventInvalid) as refused:
        read_recurrence(rule, at("2026-03-01T02:30"), "Europe/Berlin")
    assert refused.value.path == ("rule",)
    assert time.perf_counter() - started < 2


def test_exdates_and_ends() -> None:
    start = at("2026-03-01T19:00")
    out = ["2026-03-08T19:00"]
    recurrence = read_recurrence("RRULE:FREQ=WEEKLY;COUNT=4", start, "Asia/Shanghai", out)
    assert recurrence.rule == "FREQ=WEEKLY;COUNT=4"
    assert [wall.day for wall in wall_starts(recurrence, at("2027-01-01T00:00"))] == [1, 15, 22]
    assert not is_finished(recurrence, "2026-03-15T19:00:00")
    assert is_finished(recurrence, "2026-03-22T19:00:00")
    until = read_recurrence("FREQ=DAILY;UNTIL=20260303T110000Z", start, "Asia/Shanghai")
    assert [wall.day for wall in wall_starts(until, at("2027-01-01T00:00"))] == [1, 2, 3]
    date_only = read_recurrence("FREQ=DAILY;UNTIL=20260303", start, "Asia/Shanghai")
    assert [wall.day for wall in wall_starts(date_only, at("2027-01-01T00:00"))] == [1, 2, 3]
    for bad in (["2026-03-08"], ["2026-03-08T19:00Z"], ["nonsense"], out * 501):
        with pytest.raises(EventInvalid) as refused:
            read_recurrence("FREQ=WEEKLY", start, "Asia/Shanghai", bad)
        assert refused.value.path == ("exdates",)
    with pytest.raises(EventInvalid) as refused:
        read_recurrence("FREQ=WEEKLY;COUNT=1", start, "Asia/Shanghai", ["2026-03-01T19:00"])
    assert refused.value.path == ("exdates",)


def test_how_far_a_series_is_laid_out() -> None:
    start, now = at("2026-03-01T19:00"), datetime(2026, 2, 1, tzinfo=UTC)
    endless = starts_to_make(read_recurrence("FREQ=DAILY", start, "Asia/Shanghai"), made_until="", now=now)
    assert (len(endless), endless[-1] - start) == (181, HORIZON)
    course = read_recurrence("FREQ=MONTHLY;COUNT=24", start, "Asia/Shanghai")
    assert len(starts_to_make(course, made_until="", now=now)) == 24
    long = read_recurrence("FREQ=DAILY;COUNT=300", start, "Asia/Shanghai")
    first = starts_to_make(long, made_until="", now=now)
    assert len(first) == MOST_AHEAD
    rest = starts_to_make(long, made_until=wall_text(first[-1]), now=now + timedelta(days=150))
    assert len(first) + len(rest) == 300
    assert is_finished(long, wall_text(rest[-1]))
