"""What registrations hold of an event: seats and places on its waiting lists, changed together with their counts.

Every change of registrations goes through here, in a transaction that has locked the event's node by a first write,
so that the counts on the node are what the relationships say at every moment.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from core.clock import iso
from core.ids import new_id
from graph.client import Row, Transaction
from graph.eligibility import HELD_TAGS


class RegistrationStatus(StrEnum):
    """What has become of a registration."""

    REGISTERED = "REGISTERED"
    WAITING = "WAITING"
    OFFERED = "OFFERED"
    OFFER_EXPIRED = "OFFER_EXPIRED"
    CANCELLED = "CANCELLED"
    ATTENDED = "ATTENDED"
    NO_SHOW = "NO_SHOW"


class Channel(StrEnum):
    """How one takes part: at the place, or by the link."""

    PLACE = "PLACE"
    LINK = "LINK"


# Those who hold seats: the registered, those to whom a place is offered, and whoever held one until the end.
HOLDING = (
    RegistrationStatus.REGISTERED,
    RegistrationStatus.OFFERED,
    RegistrationStatus.ATTENDED,
    RegistrationStatus.NO_SHOW,
)

# The counts of an event by channel: seats held, parties that wait, and the most seats there are.
SEATS = {Channel.PLACE: "registered", Channel.LINK: "link_registered"}
WAITING = {Channel.PLACE: "waiting", Channel.LINK: "link_waiting"}
CAPACITY = {Channel.PLACE: "capacity", Channel.LINK: "link_capacity"}

DEFAULT_OFFER_HOURS = 12

# An event keeps how many registrations each channel has in each status as a list of numbers in this order, which is
# therefore never changed; a new status goes to its end.
FIGURES = tuple((channel, status) for channel in Channel for status in RegistrationStatus)
# And for each day of UTC how many were made in each quarter of an hour, because a time zone's days begin at one.
QUARTERS = 96


def number_with(figures: Sequence[int], statuses: Collection[RegistrationStatus] | None) -> int:
    """How many registrations an event has with one of these statuses, or at all, by its figures."""
    pairs = zip(FIGURES, figures, strict=False)
    return sum(number for (_, status), number in pairs if statuses is None or status in statuses)


def registration_key(event_id: str, customer_id: str) -> str:
    return f"{event_id}:{customer_id}"


def channels_of(event: Row) -> list[Channel]:
    """How one can take part in this event, the usual way first."""
    mode = event.get("attendance_mode") or "IN_PERSON"
    return {"IN_PERSON": [Channel.PLACE], "ONLINE": [Channel.LINK]}.get(mode, [Channel.PLACE, Channel.LINK])


def channel_of(registration: Row) -> Channel:
    return Channel(registration.get("channel") or Channel.PLACE)


def party_of(registration: Row) -> int:
    """How many seats a registration needs: the customer and their guests."""
    return 1 + (registration.get("guests") or 0)


def free_seats(event: Row, channel: Channel) -> int | None:
    """The seats that nobody holds; None where there is no limit, below zero where capacity was lowered."""
    capacity = event.get(CAPACITY[channel])
    return None if capacity is None else capacity - (event.get(SEATS[channel]) or 0)


def waiting_parties(event: Row, channel: Channel) -> int:
    return event.get(WAITING[channel]) or 0


@dataclass(frozen=True, slots=True)
class Locked:
    """An event under its lock, with what one customer is to it; `registration` is None where there is none."""

    event: Row
    visibility: str
    archived_at: str | None
    customer_id: str | None
    tier: str | None
    tags: list[str]
    role: str | None
    registration: Row | None

    @property
    def status(self) -> str | None:
        return self.registration["status"] if self.registration else None


# The first write is to the event's node, so that all counts are read under its lock. The customer's relationships are
# looked for from the customer and by their keys: a walk from the event would read everybody's.
LOCK_EVENT = (
    """
MATCH (e:Event {id: $event_id})<-[:HOSTS]-(c:Community)
SET e.touched_at = $now
WITH c, e
OPTIONAL MATCH (me:Customer {id: $customer_id})
OPTIONAL MATCH (me)-[m:MEMBER_OF {key: c.id + ':' + $customer_id}]->(:Community)
OPTIONAL MATCH (me)-[r:REGISTERED_FOR {key: $key}]->(:Event)
RETURN e {.id, .community_id, .status, .starts_at, .ends_at, .registration_opens_at, .registration_closes_at,
          .priority_until, .attendance_mode, .capacity, .registered, .waiting, .link_capacity, .link_registered,
          .link_waiting, .guests_allowed, .minimum_tier, .required_tags, .segment_id, .price_points, .offer_hours,
          .next_ticket, .promotions} AS event,
       c.visibility AS visibility, c.archived_at AS archived_at, me.id AS customer_id, me.tier AS tier,
       m.role AS role, properties(r) AS registration, """
    + HELD_TAGS
    + " AS tags"
)


async def lock_event(tx: Transaction, event_id: str, customer_id: str, now: datetime) -> Locked | None:
    """Lock the event and read it for this customer; None where there is no such event."""
    key = registration_key(event_id, customer_id)
    rows = await tx.run(LOCK_EVENT, event_id=event_id, customer_id=customer_id, key=key, now=iso(now))
    return Locked(**rows[0]) if rows else None


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one registration; `after` holds the properties to set, None takes one away."""

    customer_id: str
    before: Row | None
    after: dict[str, Any]

    @property
    def result(self) -> Row:
        return {**(self.before or {}), **self.after}


COUNTERS = """
SET e.registered = coalesce(e.registered, 0) + $registered,
    e.link_registered = coalesce(e.link_registered, 0) + $link_registered,
    e.waiting = coalesce(e.waiting, 0) + $waiting, e.link_waiting = coalesce(e.link_waiting, 0) + $link_waiting,
    e.figures = [i IN range(0, size($figures) - 1) | coalesce(e.figures[i], 0) + $figures[i]],
    e.next_ticket = coalesce(e.next_ticket, 1) + $tickets, e.promotions = coalesce(e.promotions, 0) + $promotions,
    e.offer_due = CASE WHEN $offer_due IS NULL OR e.offer_due < $offer_due THEN e.offer_due ELSE $offer_due END
"""

COUNT_DAYS = """
UNWIND $days AS day
MERGE (d:RegistrationDay {key: day.event_id + ':' + day.date})
ON CREATE SET d.event_id = day.event_id, d.date = day.date
SET d.quarters = [i IN range(0, size(day.quarters) - 1) | coalesce(d.quarters[i], 0) + day.quarters[i]]
"""

CHANGE_REGISTRATIONS = (
    "MATCH (e:Event {id: $event_id})"
    + COUNTERS
    + """WITH e
UNWIND $rows AS row
MATCH (:Customer {id: row.customer_id})-[r:REGISTERED_FOR {key: row.key}]->(:Event)
SET r += row.properties
MERGE (x:Listed {key: row.key})
SET x += row.listed
WITH count(*) AS written"""
    + COUNT_DAYS
)

CREATE_REGISTRATIONS = (
    "MATCH (e:Event {id: $event_id})"
    + COUNTERS
    + """WITH e
UNWIND $rows AS row
MATCH (me:Customer {id: row.customer_id})
CREATE (me)-[r:REGISTERED_FOR {id: row.id, key: row.key}]->(e)
SET r += row.properties
MERGE (x:Listed {key: row.key})
SET x += row.listed
WITH count(*) AS written"""
    + COUNT_DAYS
)


async def change_registrations(
    tx: Transaction, event_id: str, changes: Sequence[Change], *, tickets: int = 0, promotions: int = 0
) -> None:
    """Write what becomes of registrations, and the event's counts with it; the event is locked by now.

    Registrations without a `before` are new; all of these changes are, or none.
    """
    dues = [due for change in changes if (due := change.after.get("offer_expires_at"))]
    rows = [
        {
            "id": new_id(),
            "customer_id": change.customer_id,
            "key": registration_key(event_id, change.customer_id),
            "properties": change.after,
            "listed": listed(event_id, change),
        }
        for change in changes
    ]
    await tx.run(
        CREATE_REGISTRATIONS if changes[0].before is None else CHANGE_REGISTRATIONS,
        event_id=event_id,
        rows=rows,
        **count_changes(changes),
        days=count_days({event_id: changes}),
        tickets=tickets,
        promotions=promotions,
        offer_due=min(dues, default=None),
    )


def listed(event_id: str, change: Change) -> Row:
    """The places of a registration: among all of its event and those of its status, in a waiting list, among offers.

    While it waits, what decides on its promotion stands beside its place.
    """
    registration = change.result
    made = f"{registration.get('registered_at') or ''}:{change.customer_id}"
    waits = registration.get("queue") is not None
    return {
        "customer_id": change.customer_id,
        "order": f"{event_id}:{made}",
        "roll": f"{roll_of(event_id, registration['status'])}:{made}",
        "queue": registration.get("queue"),
        "offer": registration.get("offer"),
        "party": party_of(registration) if waits else None,
        "overtaken": registration.get("overtaken") or 0 if waits else None,
    }


def roll_of(event_id: str, status: str) -> str:
    """The list of an event's registrations with this status, in the order in which they were made."""
    return f"{event_id}:{status}"


# Registrations by their keys, in a transaction; each end is bound first, so that nobody else's are looked through.
REGISTRATIONS_AT = """
UNWIND $rows AS row
MATCH (:Customer {id: row.customer_id})-[r:REGISTERED_FOR {key: row.key}]->(:Event)
RETURN row.customer_id AS customer_id, properties(r) AS registration
"""


async def registrations_listed(tx: Transaction, rows: Sequence[Row]) -> list[Row]:
    """The registrations of rows that were read from a list, in the same order."""
    if not rows:
        return []
    names = [{"customer_id": row["customer_id"], "key": row["key"]} for row in rows]
    found = {row["customer_id"]: row for row in await tx.run(REGISTRATIONS_AT, rows=names)}
    return [found[row["customer_id"]] for row in rows if row["customer_id"] in found]


def count_changes(changes: Sequence[Change]) -> dict[str, Any]:
    """By how much these changes move the counts and figures of the event."""
    moved = dict.fromkeys((*SEATS.values(), *WAITING.values()), 0)
    figures = [0] * len(FIGURES)
    for change in changes:
        for registration, sign in ((change.before, -1), (change.result, 1)):
            if registration is None:
                continue
            channel, status = channel_of(registration), RegistrationStatus(registration["status"])
            figures[FIGURES.index((channel, status))] += sign
            if status in HOLDING:
                moved[SEATS[channel]] += sign * party_of(registration)
            elif status == RegistrationStatus.WAITING:
                moved[WAITING[channel]] += sign
    return {**moved, "figures": figures}


def count_days(changes: Mapping[str, Sequence[Change]]) -> list[Row]:
    """By how much the changes of each event move its numbers of registrations by day and quarter of an hour."""
    moved: dict[tuple[str, str], list[int]] = {}
    for event_id, of_event in changes.items():
        for change in of_event:
            before = (change.before or {}).get("registered_at")
            after = change.result.get("registered_at")
            for instant, sign in ((before, -1), (after, 1)):
                if instant and before != after:
                    date, quarter = quarter_of(instant)
                    moved.setdefault((event_id, date), [0] * QUARTERS)[quarter] += sign
    return [{"event_id": key, "date": date, "quarters": numbers} for (key, date), numbers in sorted(moved.items())]


def quarter_of(instant: str) -> tuple[str, int]:
    """The day of an instant in UTC, and the quarter of an hour in it."""
    return instant[:10], int(instant[11:13]) * 4 + int(instant[14:16]) // 15


# What a registration loses when it neither waits nor is offered a place any more.
NOT_WAITING: dict[str, Any] = {"queue": None, "offer": None, "offer_expires_at": None, "overtaken": None}
