"""Recurrence rules (RFC 5545): a rule gives local wall times, and a zone makes instants of them.

An occurrence keeps the wall time of the first start on both sides of a change of the clocks. A wall time that does
not exist (the clocks skip it) is read with the offset from before the gap, so 02:30 becomes 03:30; one that exists
twice is the first of the two: RFC 5545, section 3.3.5, and what `zoneinfo` does with fold=0.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, date, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from dateutil.rrule import rrule, rrulestr

from community.event_details import EventInvalid

MOST_EXCEPTIONS = 500
LARGEST_INTERVAL = 1_000
LARGEST_COUNT = 10_000
LONGEST_RULE = 500
# How far ahead occurrences exist, and how many: an endless rule is extended day by day, one that ends is laid out.
HORIZON = timedelta(days=180)
HORIZON_OF_ENDING = timedelta(days=731)
MOST_AHEAD = 200

DAY = "(MO|TU|WE|TH|FR|SA|SU)"
NTH = "[+-]?[1-5]"
PARTS = {
    "FREQ": re.compile("DAILY|WEEKLY|MONTHLY|YEARLY"),
    "INTERVAL": re.compile(r"\d{1,4}"),
    "COUNT": re.compile(r"\d{1,5}"),
    "UNTIL": re.compile(r"\d{8}(T\d{6}Z?)?"),
    "BYDAY": re.compile(f"({NTH})?{DAY}(,({NTH})?{DAY}){{0,20}}"),
    "BYMONTHDAY": re.compile("-?([1-9]|[12][0-9]|3[01])(,-?([1-9]|[12][0-9]|3[01])){0,30}"),
    "BYMONTH": re.compile("([1-9]|1[0-2])(,([1-9]|1[0-2])){0,11}"),
    "BYSETPOS": re.compile(r"-?[1-9]\d?(,-?[1-9]\d?){0,10}"),
    "WKST": re.compile(DAY),
}
# Within a day or a week these choose nothing that BYDAY and BYMONTH cannot.
MONTHS_ONLY = ("BYMONTHDAY", "BYSETPOS")
# The calendar repeats every 400 years, weekdays included.
CYCLE = 400
WALL_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2})?")


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A checked rule with its first start, in wall time of the zone; `exdates` are wall times that are left out."""

    parts: tuple[tuple[str, str], ...]
    start: datetime
    zone: str
    exdates: frozenset[str] = frozenset()

    @property
    def rule(self) -> str:
        """The rule as RFC 5545 writes it."""
        return ";".join(f"{name}={value}" for name, value in self.parts)

    @property
    def count(self) -> int | None:
        return int(dict(self.parts)["COUNT"]) if "COUNT" in dict(self.parts) else None

    @property
    def ends(self) -> bool:
        return not {"COUNT", "UNTIL"}.isdisjoint(dict(self.parts))

    def with_end(self, **end: str) -> "Recurrence":
        """The same rule with another end."""
        parts = (*(part for part in self.parts if part[0] not in ("COUNT", "UNTIL")), *end.items())
        return Recurrence(parts, self.start, self.zone, self.exdates)


def read_recurrence(
    rule: str, start: datetime, zone: str, exdates: Collection[str] = (), *, stored: bool = False
) -> Recurrence:
    """Check a rule and its first start; raises EventInvalid with the path of what cannot be.

    The first start is one of the rule's occurrences, so that what a person reads in the rule is what happens. A
    stored rule was checked when it was written, and may have lost all its occurrences since.
    """
    parts = read_parts(rule)
    if len(exdates) > MOST_EXCEPTIONS:
        raise EventInvalid(path=("exdates",), detail=f"at most {MOST_EXCEPTIONS}")
    out = frozenset(wall_text(read_wall_time(text, "exdates")) for text in exdates)
    found = Recurrence(tuple(parts.items()), start, zone, out)
    if stored:
        return found
    try:
        first = next(rule_starts(found, start + timedelta(days=1)), None)
    except ValueError as error:
        raise EventInvalid(path=("rule",), detail=str(error)[:200]) from error
    if first != start:
        raise EventInvalid(path=("rule",), detail="the first start is not one of the rule's occurrences")
    if next(wall_starts(found, start + HORIZON_OF_ENDING), None) is None:
        raise EventInvalid(path=("exdates",), detail="no occurrence is left")
    return found


def read_parts(rule: str) -> dict[str, str]:
    """The parts of a rule by their names; only those that keep the wall time of the first start."""
    text = rule.strip().upper().removeprefix("RRULE:")
    if len(text) > LONGEST_RULE:
        raise EventInvalid(path=("rule",), detail=f"at most {LONGEST_RULE} characters")
    parts: dict[str, str] = {}
    for part in text.split(";"):
        name, _, value = part.partition("=")
        if name in parts or name not in PARTS or PARTS[name].fullmatch(value) is None:
            raise EventInvalid(path=("rule",), detail=f"{part[:40]} cannot be part of a rule here")
        parts[name] = value
    if "FREQ" not in parts:
        raise EventInvalid(path=("rule",), detail="FREQ is DAILY, WEEKLY, MONTHLY or YEARLY")
    if "COUNT" in parts and "UNTIL" in parts:
        raise EventInvalid(path=("rule",), detail="COUNT or UNTIL, not both")
    if parts["FREQ"] in ("DAILY", "WEEKLY"):
        wrong = [name for name in MONTHS_ONLY if name in parts]
        if wrong or re.search(r"\d", parts.get("BYDAY", "")):
            raise EventInvalid(path=("rule",), detail="days of a month are for MONTHLY and YEARLY")
    for name, most in (("INTERVAL", LARGEST_INTERVAL), ("COUNT", LARGEST_COUNT)):
        if name in parts and not 1 <= int(parts[name]) <= most:
            raise EventInvalid(path=("rule",), detail=f"{name} is 1 to {most}")
    return parts


def read_wall_time(text: str, *path: str) -> datetime:
    """A wall time such as 2026-03-29T19:30, without a zone; raises EventInvalid on anything else."""
    try:
        if WALL_TIME.fullmatch(text) is None:
            raise ValueError(text)
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise EventInvalid(path=path, detail="a local time such as 2026-03-29T19:30, without a zone") from error


def wall_text(wall: datetime) -> str:
    """A wall time as it is stored: it sorts as text."""
    return wall.strftime("%Y-%m-%dT%H:%M:%S")


def instant_of(wall: datetime, zone: str) -> datetime:
    """The instant of a wall time; see the module for times that exist twice or not at all."""
    return wall.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC)


def wall_of(instant: datetime, zone: str) -> datetime:
    """What a clock in the zone shows at this instant."""
    return instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)


def wall_starts(recurrence: Recurrence, until: datetime) -> Iterator[datetime]:
    """The wall times of the occurrences up to `until` (wall time, inclusive), without those left out."""
    return (wall for wall in rule_starts(recurrence, until) if wall_text(wall) not in recurrence.exdates)


def rule_starts(recurrence: Recurrence, until: datetime) -> Iterator[datetime]:
    """The same with those left out, which COUNT counts."""
    parts = dict(recurrence.parts)
    count, last = parts.pop("COUNT", None), parts.pop("UNTIL", None)
    found = expand(";".join(f"{name}={value}" for name, value in parts.items()), recurrence.start, until)
    if last is not None:
        return within(found, last, recurrence.zone)
    return islice(found, int(count)) if count is not None else found


def expand(rule: str, start: datetime, until: datetime) -> Iterator[datetime]:
    """What an endless rule gives from `start` up to `until`.

    dateutil looks for the next match up to the year 9999 whatever the end (45 s for a daily rule without any), so
    it is asked at the end of time, as many calendar cycles later as there is room for: a few ms are left of it.
    """
    shift = (MAXYEAR - 9 - max(until, start).year) // CYCLE * CYCLE
    bounded = rrulestr(rule, dtstart=start.replace(year=start.year + shift))
    if not isinstance(bounded, rrule):
        raise ValueError("one rule is expected")
    bounded = bounded.replace(until=until.replace(year=until.year + shift))
    return (wall.replace(year=wall.year - shift) for wall in bounded)


def within(walls: Iterator[datetime], last: str, zone: str) -> Iterator[datetime]:
    """Those up to UNTIL: a date is a whole day of the zone, a time one in the zone or, with Z, in UTC."""
    for wall in walls:
        if last.endswith("Z"):
            over = instant_of(wall, zone) > datetime.strptime(last, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        else:
            over = wall > end_of(last)
        if over:
            return
        yield wall


def end_of(last: str) -> datetime:
    if "T" in last:
        return datetime.strptime(last, "%Y%m%dT%H%M%S")  # noqa: DTZ007 - a wall time has no zone
    return datetime.combine(date.fromisoformat(last), time.max)


def starts_to_make(recurrence: Recurrence, *, made_until: str, now: datetime) -> list[datetime]:
    """The wall times of the occurrences to be made now: ahead, and after `made_until` (as text, "" for none yet).

    An endless rule is laid out for 180 days from now or from its first start, one that ends for two years, and
    neither beyond 200 occurrences that are still ahead; the rest follows as time passes.
    """
    today = wall_of(now, recurrence.zone)
    until = max(today, recurrence.start) + (HORIZON_OF_ENDING if recurrence.ends else HORIZON)
    ahead = (wall for wall in wall_starts(recurrence, until) if wall >= today)
    return [wall for wall in islice(ahead, MOST_AHEAD) if wall_text(wall) > made_until]


def is_finished(recurrence: Recurrence, made_until: str) -> bool:
    """Whether the rule has no occurrence after the last one made."""
    if not recurrence.ends:
        return False
    every = rule_starts(recurrence, recurrence.start.replace(year=recurrence.start.year + CYCLE))
    return all(wall_text(wall) <= made_until for wall in every)


def count_before(recurrence: Recurrence, wall: datetime) -> int:
    """How many occurrences the rule has before this wall time, with those left out."""
    return sum(1 for start in rule_starts(recurrence, wall) if start < wall)


def rest_of(recurrence: Recurrence, wall: datetime, shift: timedelta) -> tuple[str, list[str]]:
    """The rule and the wall times left out from one of its occurrences on, all moved by `shift`."""
    parts = dict(recurrence.parts)
    if recurrence.count is not None:
        parts["COUNT"] = str(recurrence.count - count_before(recurrence, wall))
    if "UNTIL" in parts:
        parts["UNTIL"] = moved(parts["UNTIL"], wall, shift)
    out = [datetime.fromisoformat(text) + shift for text in recurrence.exdates if text >= wall_text(wall)]
    return ";".join(f"{name}={value}" for name, value in parts.items()), [wall_text(one) for one in sorted(out)]


def moved(last: str, wall: datetime, shift: timedelta) -> str:
    """UNTIL moved with the starts; a date by the days that the start moves."""
    if "T" not in last:
        days = (wall + shift).date() - wall.date()
        return (date.fromisoformat(last) + days).strftime("%Y%m%d")
    zone = "Z" if last.endswith("Z") else ""
    return (end_of(last.removesuffix("Z")) + shift).strftime("%Y%m%dT%H%M%S") + zone


def ended_before(recurrence: Recurrence, wall: datetime) -> Recurrence:
    """The part of a series before one of its occurrences."""
    if recurrence.count is not None:
        return recurrence.with_end(COUNT=str(count_before(recurrence, wall)))
    return recurrence.with_end(UNTIL=(wall - timedelta(seconds=1)).strftime("%Y%m%dT%H%M%S"))
