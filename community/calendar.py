"""Events as iCalendar (RFC 5545): what a customer holds places at, and single events of open communities."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import icalendar
import orjson

from community.access import MAY_READ
from community.event_rows import HAS_LINK
from core.clock import iso, parse_instant
from graph.client import GraphClient, Row

PRODUCT = "-//Kinship//Events//EN"
# A feed shows what is ahead and what was lately; calendars keep the rest by themselves.
LOOKS_BACK = timedelta(days=90)
MOST_EVENTS = 500
# What calendars show of an event to everybody who has it; a change of it is a new revision.
SHOWN = (
    *("title_zh", "title_en", "description_zh", "description_en", "status"),
    *("starts_at", "ends_at", "time_zone", "venue", "latitude", "longitude", "any_link"),
)

# The link is for those who have a place by it, paid where it costs points; an offer is no place yet, and a place at the
# venue does not show it. `any_link` is never shown: it only tells that the link has changed.
FEED_EVENTS = (
    """
MATCH (:Customer {id: $customer_id})-[r:REGISTERED_FOR]->(e:Event)
WHERE r.status IN ['REGISTERED', 'OFFERED', 'ATTENDED'] AND e.ends_at >= $ends_from AND e.status <> 'DRAFT'
MATCH (c:Community)-[:HOSTS]->(e)
OPTIONAL MATCH (me:Customer {id: $customer_id})
OPTIONAL MATCH (me)-[m:MEMBER_OF]->(c)
WITH c, e, m, r
WHERE """
    + MAY_READ
    + """
RETURN e.id AS id, e.title_zh AS title_zh, e.title_en AS title_en, e.description_zh AS description_zh,
       e.description_en AS description_en, e.starts_at AS starts_at, e.ends_at AS ends_at, e.time_zone AS time_zone,
       e.venue AS venue, e.latitude AS latitude, e.longitude AS longitude, e.status AS status,
       r.status AS registration, e.link AS any_link,
       CASE WHEN """
    + HAS_LINK
    + """ THEN e.link END AS link
ORDER BY starts_at DESC, id
LIMIT $limit
"""
)


async def feed_events(graph: GraphClient, customer_id: str, *, now: datetime) -> list[Row]:
    """Events at which the customer holds a place or is offered one, the latest first, if they may still read them."""
    return await graph.read(FEED_EVENTS, customer_id=customer_id, ends_from=iso(now - LOOKS_BACK), limit=MOST_EVENTS)


PUBLIC_EVENT = """
MATCH (e:Event {id: $event_id})<-[:HOSTS]-(c:Community)
WHERE c.visibility <> 'PRIVATE' AND e.status <> 'DRAFT'
RETURN e.id AS id, e.title_zh AS title_zh, e.title_en AS title_en, e.description_zh AS description_zh,
       e.description_en AS description_en, e.starts_at AS starts_at, e.ends_at AS ends_at, e.time_zone AS time_zone,
       e.venue AS venue, e.latitude AS latitude, e.longitude AS longitude, e.status AS status,
       'REGISTERED' AS registration, e.link AS any_link, null AS link
"""


async def public_event(graph: GraphClient, event_id: str) -> Row | None:
    """An event that anybody with its address may read, without its link; None for any other."""
    rows = await graph.read(PUBLIC_EVENT, event_id=event_id)
    return rows[0] if rows else None


def fingerprint(event: Row) -> str:
    """What is the same for as long as calendars would show the same of the event."""
    return hashlib.sha256(orjson.dumps([event[name] for name in SHOWN])).hexdigest()


@dataclass(frozen=True, slots=True)
class Revision:
    """How often an event has changed, and when it last did."""

    sequence: int
    changed_at: datetime


def calendar_text(
    events: Sequence[Row], revisions: Mapping[str, Revision], *, language: str, name: str | None = None
) -> bytes:
    """A calendar of these events; the same ones give the same bytes, so that readers can tell that nothing changed."""
    calendar = icalendar.Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("calscale", "GREGORIAN")
    calendar.add("method", "PUBLISH")
    if name:
        calendar.add("name", name)
        calendar.add("x-wr-calname", name)
        calendar.add("refresh-interval", timedelta(hours=1), parameters={"VALUE": "DURATION"})
    for zone, years in zones_of(events).items():
        calendar.add_component(zone_component(zone, min(years), max(years)))
    for event in sorted(events, key=lambda one: (one["starts_at"], one["id"])):
        calendar.add_component(component(event, revisions[event["id"]], language))
    return calendar.to_ical()


def zones_of(events: Sequence[Row]) -> dict[str, set[int]]:
    """The zones of these events, each with the years that it is needed for."""
    zones: dict[str, set[int]] = {}
    for event in sorted(events, key=lambda one: one["time_zone"]):
        if event["time_zone"] != "UTC":
            years = {parse_instant(event["starts_at"]).year, parse_instant(event["ends_at"]).year}
            zones.setdefault(event["time_zone"], set()).update(years)
    return zones


@lru_cache(maxsize=256)
def zone_component(zone: str, first: int, last: int) -> icalendar.Timezone:
    """The rules of a zone for some years, and the year before and after them."""
    return icalendar.Timezone.from_tzid(
        zone,
        first_date=date(first - 1, 1, 1),
        last_date=date(last + 2, 1, 1),
    )


def component(event: Row, revision: Revision, language: str) -> icalendar.Event:
    """One event; of a cancelled one calendars show that it does not take place."""
    zone = ZoneInfo(event["time_zone"])
    found = icalendar.Event()
    found.add("uid", f"{event['id']}@kinship")
    found.add("sequence", revision.sequence)
    found.add("dtstamp", revision.changed_at)
    found.add("last-modified", revision.changed_at)
    found.add("dtstart", parse_instant(event["starts_at"]).astimezone(zone))
    found.add("dtend", parse_instant(event["ends_at"]).astimezone(zone))
    found.add("summary", event[f"title_{language}"])
    found.add("status", status_of(event))
    optional: dict[str, Any] = {
        "description": event[f"description_{language}"],
        "location": event["venue"],
        "url": event["link"],
    }
    for name, value in optional.items():
        if value:
            found.add(name, value)
    if event["latitude"] is not None and event["longitude"] is not None:
        found.add("geo", (event["latitude"], event["longitude"]))
    return found


def status_of(event: Row) -> str:
    if event["status"] == "CANCELLED":
        return "CANCELLED"
    return "TENTATIVE" if event["registration"] == "OFFERED" else "CONFIRMED"
