"""What an event is, as its managers describe it; one check for new events, changes and series."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from core.clock import iso, parse_instant
from core.errors import BadUserInput, camel
from graph.client import Row
from graph.eligibility import TIERS

# Lists of what has not ended begin to look this long ago, so nothing may last longer.
LONGEST_EVENT = timedelta(days=92)
# Calendars and texts of instants are right within these; nobody plans an event beyond.
FIRST_YEAR, LAST_YEAR = 2000, 2099
MOST_PERSONS = 1_000_000
MOST_NAMED = 20
LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")


class AttendanceMode(StrEnum):
    """Where people take part: at the place, by the link, or either; each way has its own capacity."""

    IN_PERSON = "IN_PERSON"
    ONLINE = "ONLINE"
    HYBRID = "HYBRID"


class EventInvalid(BadUserInput):
    code = "EVENT_INVALID"
    en = "The event is not valid."
    zh = "活动信息无效。"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventDetails:
    """An event as described; capacities count persons, None means no limit. `tags` and `host_ids` are walked.

    Before `priority_until` a customer registers only by as much sooner as their tier is entitled to.
    """

    title_zh: str
    title_en: str
    starts_at: datetime
    ends_at: datetime
    time_zone: str = "Asia/Shanghai"
    description_zh: str = ""
    description_en: str = ""
    language: str | None = None
    venue: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    attendance_mode: str = AttendanceMode.IN_PERSON
    link: str | None = None
    registration_opens_at: datetime | None = None
    registration_closes_at: datetime | None = None
    priority_until: datetime | None = None
    capacity: int | None = None
    link_capacity: int | None = None
    guests_allowed: int = 0
    minimum_tier: str | None = None
    required_tags: Sequence[str] = ()
    segment_id: str | None = None
    price_points: int | None = None
    offer_hours: int = 12
    tags: Sequence[str] = ()
    host_ids: Sequence[str] = ()


INSTANTS = ("starts_at", "ends_at", "registration_opens_at", "registration_closes_at", "priority_until")
WALKED = ("tags", "host_ids")
NAMES = tuple(field.name for field in fields(EventDetails))

Finding = tuple[str, bool, str]


def check_details(details: EventDetails) -> None:
    """Raise EventInvalid with the path of the first field that cannot be."""
    for check in (check_words, check_times, check_places, check_conditions):
        for name, holds, detail in check(details):
            if not holds:
                raise EventInvalid(path=(camel(name),), detail=detail)


def check_words(details: EventDetails) -> Iterator[Finding]:
    for name in ("title_zh", "title_en"):
        yield name, 1 <= len(getattr(details, name).strip()) <= 200, "1 to 200 characters"
    for name in ("description_zh", "description_en"):
        yield name, len(getattr(details, name)) <= 10_000, "at most 10000 characters"
    # No SQL engine in which notices, the audit and the search are kept takes this character.
    for name in ("title_zh", "title_en", "description_zh", "description_en", "venue"):
        yield name, "\0" not in (getattr(details, name) or ""), "no NUL characters"
    known = details.language is None or LANGUAGE.fullmatch(details.language) is not None
    yield "language", known, "a language tag such as zh or en-GB"


def check_times(details: EventDetails) -> Iterator[Finding]:
    yield "time_zone", is_zone(details.time_zone), "an IANA time zone, such as Asia/Shanghai"
    yield "ends_at", details.ends_at > details.starts_at, "after startsAt"
    for name in INSTANTS:
        value = getattr(details, name)
        yield name, value is None or FIRST_YEAR <= value.year <= LAST_YEAR, f"from {FIRST_YEAR} to {LAST_YEAR}"
    lasts = details.ends_at - details.starts_at
    yield "ends_at", lasts <= LONGEST_EVENT, f"at most {LONGEST_EVENT.days} days after startsAt"
    opens, closes = details.registration_opens_at, details.registration_closes_at
    yield "registration_opens_at", opens is None or opens < details.ends_at, "before endsAt"
    # Nobody registers for what has begun, so a later end would promise what is not kept.
    yield "registration_closes_at", closes is None or closes <= details.starts_at, "not after startsAt"
    if opens is not None and closes is not None:
        yield "registration_closes_at", closes > opens, "after registrationOpensAt"
    yield from check_priority(details)


def check_priority(details: EventDetails) -> Iterator[Finding]:
    until, opens, closes = details.priority_until, details.registration_opens_at, details.registration_closes_at
    if until is not None:
        yield "priority_until", until <= details.starts_at, "not after startsAt"
        # A priority that is over before it begins, or that nobody comes after, is a mistake in one of the two.
        yield "priority_until", opens is None or until > opens, "after registrationOpensAt"
        yield "priority_until", closes is None or until < closes, "before registrationClosesAt"


def check_places(details: EventDetails) -> Iterator[Finding]:
    mode = details.attendance_mode
    yield "venue", details.venue is None or len(details.venue) <= 300, "at most 300 characters"
    for name, value, most in (("latitude", details.latitude, 90), ("longitude", details.longitude, 180)):
        yield name, value is None or (math.isfinite(value) and -most <= value <= most), f"-{most} to {most} degrees"
    paired = (details.latitude is None) == (details.longitude is None)
    yield "longitude", paired, "latitude and longitude come together"
    yield "link", details.link is None or is_link(details.link), "an https address of at most 2000 characters"
    for name in ("link", "link_capacity"):
        fits = getattr(details, name) is None or mode != AttendanceMode.IN_PERSON
        yield name, fits, "only where one can take part by the link"
    yield "capacity", details.capacity is None or mode != AttendanceMode.ONLINE, "linkCapacity is what counts online"
    for name in ("capacity", "link_capacity"):
        value = getattr(details, name)
        yield name, value is None or 1 <= value <= MOST_PERSONS, f"1 to {MOST_PERSONS}"


def check_conditions(details: EventDetails) -> Iterator[Finding]:
    yield "guests_allowed", 0 <= details.guests_allowed <= 20, "0 to 20"
    yield "minimum_tier", details.minimum_tier is None or details.minimum_tier in TIERS, "a tier"
    price = details.price_points
    yield "price_points", price is None or 1 <= price <= 1_000_000_000, "1 to 1000000000, or none"
    yield "offer_hours", 0 <= details.offer_hours <= 168, "0 to 168"
    for name in ("required_tags", "tags", "host_ids"):
        values = getattr(details, name)
        yield name, len(values) <= MOST_NAMED, f"at most {MOST_NAMED}"
        yield name, all(1 <= len(value) <= 200 for value in values), "1 to 200 characters each"


def is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def is_link(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return len(text) <= 2_000 and text.isprintable() and parts.scheme == "https" and bool(parts.hostname)
    except ValueError:
        return False


def stored(details: EventDetails) -> dict[str, Any]:
    """The properties of the event's node that say this."""
    values = {name: getattr(details, name) for name in NAMES if name not in WALKED}
    for name in INSTANTS:
        values[name] = iso(values[name]) if values[name] is not None else None
    for name in ("title_zh", "title_en"):
        values[name] = values[name].strip()
    values["required_tags"] = sorted(set(details.required_tags)) or None
    return values


def details_of(properties: Row, *, tags: Sequence[str], host_ids: Sequence[str]) -> EventDetails:
    """What a stored event says; an imported or old one says less, and then the defaults hold."""
    values: dict[str, Any] = {
        name: parse_instant(value) if name in INSTANTS else value
        for name in NAMES
        if (value := properties.get(name)) is not None
    }
    values.update(tags=tuple(tags), host_ids=tuple(host_ids))
    return EventDetails(**values)
