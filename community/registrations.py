"""Registering for events, within capacity under any number of writers."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from community.access import may_read
from core.clock import iso
from core.errors import NotFound, Refusal
from core.ids import new_id
from core.paging import Page, cut, decode_cursor, page_size
from graph.client import GraphClient, Row, Transaction


class RegistrationStatus(StrEnum):
    """What has become of a registration."""

    REGISTERED = "REGISTERED"
    CANCELLED = "CANCELLED"
    ATTENDED = "ATTENDED"
    NO_SHOW = "NO_SHOW"


class EventFull(Refusal):
    code = "EVENT_FULL"
    en = "This event is full."
    zh = "活动名额已满。"


class EventNotOpen(Refusal):
    code = "EVENT_NOT_OPEN"
    en = "This event does not take registrations now."
    zh = "该活动当前不接受报名。"


class AlreadyAttended(Refusal):
    code = "ALREADY_ATTENDED"
    en = "You already attended this event."
    zh = "您已参加该活动。"


# The first write is to the event's node, so that the count below is read under its lock.
LOCK_EVENT = """
MATCH (c:Community)-[:HOSTS]->(e:Event {id: $event_id})
SET e.touched_at = $now
WITH c, e
OPTIONAL MATCH (:Customer {id: $customer_id})-[m:MEMBER_OF]->(c)
OPTIONAL MATCH (:Customer {id: $customer_id})-[r:REGISTERED_FOR]->(e)
RETURN c.visibility AS visibility, m.role AS role, e.status AS status, e.starts_at AS starts_at,
       e.capacity AS capacity, e.registered AS registered, r.status AS registration
"""

REGISTER = """
MATCH (me:Customer {id: $customer_id}), (e:Event {id: $event_id})
MERGE (me)-[r:REGISTERED_FOR]->(e)
ON CREATE SET r.id = $id, r.key = $key
SET r.status = 'REGISTERED', r.registered_at = $now, r.cancelled_at = null, e.registered = e.registered + 1
"""


async def register_for_event(graph: GraphClient, *, event_id: str, customer_id: str, now: datetime) -> None:
    """Give the customer a place; who has one keeps it.

    Raises NotFound, EventNotOpen, EventFull or AlreadyAttended.
    """
    instant = iso(now)

    async def work(tx: Transaction) -> None:
        rows = await tx.run(LOCK_EVENT, event_id=event_id, customer_id=customer_id, now=instant)
        if not may_register(rows, instant):
            return
        key = f"{event_id}:{customer_id}"
        await tx.run(REGISTER, event_id=event_id, customer_id=customer_id, id=new_id(), key=key, now=instant)

    await graph.transact(work, contended=event_id)


def may_register(rows: list[Row], now: str) -> bool:
    """Whether a place is still to be taken; raises the refusal that stands against it."""
    if not rows or hidden(rows[0]):
        raise NotFound(path=("eventId",))
    event = rows[0]
    if event["registration"] == RegistrationStatus.REGISTERED:
        return False
    if event["registration"] is not None and event["registration"] != RegistrationStatus.CANCELLED:
        raise AlreadyAttended(path=("eventId",))
    if event["status"] != "PUBLISHED" or event["starts_at"] <= now or event["role"] == "BANNED":
        raise EventNotOpen(path=("eventId",))
    if event["capacity"] is not None and event["registered"] >= event["capacity"]:
        raise EventFull(path=("eventId",))
    return True


def hidden(event: Row) -> bool:
    """Whether the event does not exist for this customer."""
    return event["status"] == "DRAFT" or not may_read(event["visibility"], event["role"])


CANCEL = """
MATCH (:Customer {id: $customer_id})-[r:REGISTERED_FOR]->(e:Event {id: $event_id})
SET r.status = 'CANCELLED', r.cancelled_at = $now, e.registered = e.registered - 1
"""


async def cancel_registration(graph: GraphClient, *, event_id: str, customer_id: str, now: datetime) -> None:
    """Give the place back; cancelling twice is cancelling once. Raises NotFound, AlreadyAttended."""
    instant = iso(now)

    async def work(tx: Transaction) -> None:
        rows = await tx.run(LOCK_EVENT, event_id=event_id, customer_id=customer_id, now=instant)
        status = rows[0]["registration"] if rows else None
        if status is None:
            raise NotFound(path=("eventId",))
        if status == RegistrationStatus.REGISTERED:
            await tx.run(CANCEL, event_id=event_id, customer_id=customer_id, now=instant)
        elif status != RegistrationStatus.CANCELLED:
            raise AlreadyAttended(path=("eventId",))

    await graph.transact(work, contended=event_id)


READ_REGISTRATIONS = """
UNWIND $event_ids AS id
MATCH (:Customer {id: $customer_id})-[r:REGISTERED_FOR]->(:Event {id: id})
RETURN id AS event_id, r.id AS id, r.status AS status, r.registered_at AS registered_at,
       r.attended_at AS attended_at, $customer_id AS customer_id
"""


async def registrations_for(graph: GraphClient, customer_id: str, event_ids: Sequence[str]) -> dict[str, Row]:
    """The customer's registrations by event id."""
    rows = await graph.read(READ_REGISTRATIONS, customer_id=customer_id, event_ids=list(event_ids))
    return {row["event_id"]: row for row in rows}


REGISTRATIONS_OF = """
MATCH (c:Customer {id: $customer_id})-[r:REGISTERED_FOR]->(e:Event)
WHERE $at = '' OR r.registered_at < $at OR (r.registered_at = $at AND r.id < $id)
RETURN r.id AS id, e.id AS event_id, c.id AS customer_id, r.status AS status, r.registered_at AS registered_at,
       r.attended_at AS attended_at
ORDER BY r.registered_at DESC, r.id DESC
LIMIT $limit
"""


async def registrations_of(graph: GraphClient, customer_id: str, *, first: int | None, after: str | None) -> Page[Row]:
    """A customer's registrations, the latest first."""
    size = page_size(first)
    position = decode_cursor(after, str, str) or ("", "")
    rows = await graph.read(REGISTRATIONS_OF, customer_id=customer_id, at=position[0], id=position[1], limit=size + 1)
    return cut(rows, size, lambda row: (row["registered_at"], row["id"]))
