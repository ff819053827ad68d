"""Checking members in at events; attendance is a relationship that owes its consequences."""

from datetime import datetime

from community.access import MANAGERS
from core.clock import iso, parse_instant
from core.errors import NotFound, Refusal
from graph.client import GraphClient, Row, Transaction


class NotRegistered(Refusal):
    code = "NOT_REGISTERED"
    en = "This customer is not registered for the event."
    zh = "该客户未报名此活动。"


class AlreadyCheckedIn(Refusal):
    code = "ALREADY_CHECKED_IN"
    en = "This customer is already checked in."
    zh = "该客户已签到。"


class EventNotRunning(Refusal):
    code = "EVENT_NOT_RUNNING"
    en = "This event does not take check-ins."
    zh = "该活动当前不接受签到。"


LOCK_REGISTRATION = """
MATCH (:Customer {id: $manager_id})-[m:MEMBER_OF]->(c:Community)-[:HOSTS]->(e:Event {id: $event_id})
WHERE m.role IN $managers
SET e.touched_at = $now
WITH e
OPTIONAL MATCH (:Customer {id: $customer_id})-[r:REGISTERED_FOR]->(e)
RETURN e.status AS status, r.status AS registration
"""

# `settled` is false until the worker has recorded the fact of this attendance.
CHECK_IN = """
MATCH (:Customer {id: $customer_id})-[r:REGISTERED_FOR]->(e:Event {id: $event_id})
SET r.status = 'ATTENDED', r.attended_at = $now, r.checked_in_by = $manager_id, r.settled = false
"""


async def check_in(graph: GraphClient, *, event_id: str, customer_id: str, manager_id: str, now: datetime) -> str:
    """Mark a registered customer as present; returns the key of the attendance.

    Raises NotFound where the manager does not run the event's community, NotRegistered,
    AlreadyCheckedIn or EventNotRunning.
    """
    instant = iso(now)
    names = {"event_id": event_id, "customer_id": customer_id, "manager_id": manager_id, "now": instant}

    async def work(tx: Transaction) -> None:
        rows = await tx.run(LOCK_REGISTRATION, managers=MANAGERS, **names)
        may_check_in(rows)
        await tx.run(CHECK_IN, **names)

    await graph.transact(work, contended=event_id)
    return f"{event_id}:{customer_id}"


def may_check_in(rows: list[Row]) -> None:
    if not rows:
        raise NotFound(path=("eventId",))
    event = rows[0]
    if event["registration"] == "ATTENDED":
        raise AlreadyCheckedIn(path=("customerId",))
    if event["registration"] != "REGISTERED":
        raise NotRegistered(path=("customerId",))
    if event["status"] not in ("PUBLISHED", "COMPLETED"):
        raise EventNotRunning(path=("eventId",))


UNSETTLED_ATTENDANCE = """
MATCH (c:Customer)-[r:REGISTERED_FOR {settled: false}]->(e:Event)
WHERE r.key > $after
RETURN r.key AS key, c.id AS customer_id, e.id AS event_id, e.community_id AS community_id, r.attended_at AS attended_at
ORDER BY r.key
LIMIT $limit
"""

ATTENDANCE = """
MATCH (c:Customer)-[r:REGISTERED_FOR {key: $key}]->(e:Event)
WHERE r.settled = false
RETURN r.key AS key, c.id AS customer_id, e.id AS event_id, e.community_id AS community_id, r.attended_at AS attended_at
"""

SETTLE_ATTENDANCE = """
MATCH ()-[r:REGISTERED_FOR {key: $key}]->()
SET r.settled = true
"""


async def unsettled_attendance(graph: GraphClient, *, after: str, limit: int) -> list[Row]:
    """Attendance whose fact is not known to be recorded, by key from `after` (exclusive) on."""
    return [with_instant(row) for row in await graph.read(UNSETTLED_ATTENDANCE, after=after, limit=limit)]


async def attendance(graph: GraphClient, key: str) -> Row | None:
    """One unsettled attendance; None when it is settled or unknown."""
    rows = await graph.read(ATTENDANCE, key=key)
    return with_instant(rows[0]) if rows else None


def with_instant(row: Row) -> Row:
    return {**row, "attended_at": parse_instant(row["attended_at"])}


async def settle_attendance(graph: GraphClient, key: str) -> None:
    """Note that the fact of this attendance is recorded."""
    await graph.write(SETTLE_ATTENDANCE, key=key)
