"""What registrations hold of an event: seats and places on its waiting lists, changed together with their counts.

Every change of registrations goes through here, in a transaction that has locked the event's node by a first write,
so that the counts on the node are what the relationships say at every moment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from community.eligibility import HELD_TAGS
from core.clock import iso
from core.ids import new_id
from graph.client import Row, Transaction


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
          .attendance_mode, .capacity, .registered, .waiting, .link_capacity, .link_registered, .link_waiting,
          .guests_allowed, .minimum_tier, .required_tags, .price_points, .offer_hours, .next_ticket,
          .promotions} AS event,
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
    e.next_ticket = coalesce(e.next_ticket, 1) + $tickets, e.promotions = coalesce(e.promotions, 0) + $promotions,
    e.offer_due = CASE WHEN $offer_due IS NULL OR e.offer_due < $offer_due THEN e.offer_due ELSE $offer_due END
"""

CHANGE_REGISTRATIONS = (
    "MATCH (e:Event {id: $event_id})"
    + COUNTERS
    + """WITH e
UNWIND $rows AS row
MATCH (:Customer {id: row.customer_id})-[r:REGISTERED_FOR {key: row.key}]->(:Event)
SET r += row.properties
"""
)

CREATE_REGISTRATION = (
    "MATCH (me:Customer {id: $customer_id}), (e:Event {id: $event_id})"
    + COUNTERS
    + """CREATE (me)-[r:REGISTERED_FOR {id: $id, key: $key}]->(e)
SET r += $properties
"""
)


async def change_registrations(
    tx: Transaction, event_id: str, changes: Sequence[Change], *, tickets: int = 0, promotions: int = 0
) -> None:
    """Write what becomes of registrations, and the event's counts with it; the event is locked by now.

    A registration without a `before` is new, and then it is the only one.
    """
    dues = [due for change in changes if (due := change.after.get("offer_expires_at"))]
    counts = {
        **count_changes(changes),
        "event_id": event_id,
        "tickets": tickets,
        "promotions": promotions,
        "offer_due": min(dues, default=None),
    }
    if len(changes) == 1 and changes[0].before is None:
        (new,) = changes
        key = registration_key(event_id, new.customer_id)
        names = {"customer_id": new.customer_id, "id": new_id(), "key": key, "properties": new.after}
        await tx.run(CREATE_REGISTRATION, **names, **counts)
        return
    rows = [
        {
            "customer_id": change.customer_id,
            "key": registration_key(event_id, change.customer_id),
            "properties": change.after,
        }
        for change in changes
    ]
    await tx.run(CHANGE_REGISTRATIONS, rows=rows, **counts)


def count_changes(changes: Sequence[Change]) -> dict[str, int]:
    """By how much these changes move the counts of the event."""
    moved = dict.fromkeys((*SEATS.values(), *WAITING.values()), 0)
    for change in changes:
        for registration, sign in ((change.before, -1), (change.result, 1)):
            if registration is None:
                continue
            channel = channel_of(registration)
            if registration["status"] in HOLDING:
                moved[SEATS[channel]] += sign * party_of(registration)
            elif registration["status"] == RegistrationStatus.WAITING:
                moved[WAITING[channel]] += sign
    return moved


# What a registration loses when it neither waits nor is offered a place any more.
NOT_WAITING: dict[str, Any] = {"queue": None, "offer": None, "offer_expires_at": None, "overtaken": None}
