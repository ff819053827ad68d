"""Checking members in at events, one by one or a phone's whole list; attendance owes its consequences."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from community.access import RUNS_EVENT, runs_event
from community.checkin_codes import LEEWAY, CodeExpired, CodeInvalid
from community.seats import Change, RegistrationStatus, change_registrations, registration_key
from core.clock import iso, parse_instant
from core.errors import BadUserInput, NotFound, Refusal
from graph.client import GraphClient, Row, Transaction

MOST_ITEMS = 500
LONGEST_KEY = 100
# Nobody is present days before: attendance earns points, so it is not to be had in advance.
OPENS_BEFORE = timedelta(hours=12)
# A phone's time is kept until so long after the end, and when it is not ahead of ours; otherwise ours is taken.
AFTERWARDS = timedelta(hours=24)


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


class CheckInNotOpen(Refusal):
    code = "CHECK_IN_NOT_OPEN"
    en = "Check-in opens 12 hours before the event begins."
    zh = "签到于活动开始前12小时开放。"


class SelfCheckIn(Refusal):
    code = "SELF_CHECK_IN"
    en = "Nobody checks themselves in. Please ask somebody else who runs the event."
    zh = "不能为自己签到，请由其他活动负责人操作。"


class BatchInvalid(BadUserInput):
    code = "CHECK_IN_BATCH_INVALID"
    en = "The list of check-ins is not valid."
    zh = "签到清单无效。"


class CheckInOutcome(StrEnum):
    """What became of one check-in of a list."""

    CHECKED_IN = "CHECKED_IN"
    ALREADY_CHECKED_IN = "ALREADY_CHECKED_IN"
    NOT_REGISTERED = "NOT_REGISTERED"
    CODE_INVALID = "CODE_INVALID"
    CODE_EXPIRED = "CODE_EXPIRED"
    EVENT_NOT_RUNNING = "EVENT_NOT_RUNNING"
    CHECK_IN_NOT_OPEN = "CHECK_IN_NOT_OPEN"
    SELF_CHECK_IN = "SELF_CHECK_IN"
    NOT_FOUND = "NOT_FOUND"


# Whoever comes after all, though the event was completed while a phone had no connection, was no no-show.
ADMITTED = (RegistrationStatus.REGISTERED, RegistrationStatus.NO_SHOW)


@dataclass(frozen=True, slots=True)
class Scan:
    """One check-in: who, when by the phone's clock, and the phone's own key of it, by which a repeat is known."""

    customer_id: str
    at: datetime | None = None
    key: str | None = None


# The event is locked only for those who run it; a registration is looked for from its customer and by its key.
LOCK_RUNNING = (
    """
MATCH (e:Event {id: $event_id})<-[:HOSTS]-(c:Community)
OPTIONAL MATCH (me:Customer {id: $manager_id})
OPTIONAL MATCH (me)-[m:MEMBER_OF {key: c.id + ':' + $manager_id}]->(:Community)
OPTIONAL MATCH (me)-[h:HOSTS_EVENT]->(x:Event)
WHERE x.id = e.id
WITH e, m.role AS role, count(h) > 0 AS hosts
WHERE """
    + RUNS_EVENT
    + """
SET e.touched_at = $now
WITH e, role, hosts
UNWIND $rows AS row
OPTIONAL MATCH (:Customer {id: row.customer_id})-[r:REGISTERED_FOR {key: row.key}]->(:Event)
RETURN e.status AS status, e.starts_at AS starts_at, e.ends_at AS ends_at, role, hosts,
       row.customer_id AS customer_id, properties(r) AS registration
"""
)


async def check_in(
    graph: GraphClient, *, event_id: str, customer_id: str, manager_id: str, now: datetime, at: datetime | None = None
) -> str:
    """Mark a registered customer as present; returns the key of the attendance.

    Raises NotFound where the manager does not run the event, SelfCheckIn, NotRegistered, AlreadyCheckedIn,
    EventNotRunning or CheckInNotOpen.
    """
    scan = Scan(customer_id, at)
    outcomes = await check_in_all(graph, event_id=event_id, scans=[scan], manager_id=manager_id, now=now)
    if outcomes[0] in REFUSALS:
        refusal, field = REFUSALS[outcomes[0]]
        raise refusal(path=(field,))
    return registration_key(event_id, customer_id)


REFUSALS: dict[CheckInOutcome, tuple[type[Refusal], str]] = {
    CheckInOutcome.NOT_FOUND: (NotFound, "eventId"),
    CheckInOutcome.ALREADY_CHECKED_IN: (AlreadyCheckedIn, "customerId"),
    CheckInOutcome.NOT_REGISTERED: (NotRegistered, "customerId"),
    CheckInOutcome.EVENT_NOT_RUNNING: (EventNotRunning, "eventId"),
    CheckInOutcome.CHECK_IN_NOT_OPEN: (CheckInNotOpen, "eventId"),
    CheckInOutcome.SELF_CHECK_IN: (SelfCheckIn, "customerId"),
}


async def check_in_all(
    graph: GraphClient, *, event_id: str, scans: Sequence[Scan], manager_id: str, now: datetime
) -> list[CheckInOutcome]:
    """Check in what a phone has scanned at one event, in one transaction; an outcome for each, in their order.

    A scan that was taken before, by its key, is CHECKED_IN again; any other for who is present ALREADY_CHECKED_IN.
    """

    async def work(tx: Transaction) -> list[CheckInOutcome]:
        names = [{"customer_id": one, "key": registration_key(event_id, one)} for one in distinct(scans)]
        locked = await tx.run(LOCK_RUNNING, event_id=event_id, manager_id=manager_id, rows=names, now=iso(now))
        if not locked or not runs_event(locked[0]["role"], hosts=locked[0]["hosts"]):
            return [CheckInOutcome.NOT_FOUND] * len(scans)
        before = {row["customer_id"]: row["registration"] for row in locked if row["registration"]}
        known = dict(before)
        outcomes = [judge(locked[0], known, scan, manager_id, now) for scan in scans]
        present = [Change(one, before[one], attended(row, manager_id)) for one, row in known.items() if "fresh" in row]
        if present:
            await change_registrations(tx, event_id, present)
        return outcomes

    return await graph.transact(work, contended=event_id)


def attended(registration: Row, manager_id: str) -> Row:
    """What is written of an attendance; `settled` is false until the worker has recorded the fact of it."""
    names = ("status", "attended_at", "checked_in_key")
    return {**{name: registration[name] for name in names}, "checked_in_by": manager_id, "settled": False}


def distinct(scans: Iterable[Scan]) -> list[str]:
    return list(dict.fromkeys(scan.customer_id for scan in scans))


def judge(event: Row, known: dict[str, Row], scan: Scan, manager_id: str, now: datetime) -> CheckInOutcome:
    """What becomes of one scan; a customer who is present through it is noted in `known` for the scans after it."""
    if scan.customer_id == manager_id:
        return CheckInOutcome.SELF_CHECK_IN
    registration = known.get(scan.customer_id)
    if registration is None:
        return CheckInOutcome.NOT_REGISTERED
    if registration["status"] == RegistrationStatus.ATTENDED:
        is_repeat = scan.key is not None and registration.get("checked_in_key") == scan.key
        return CheckInOutcome.CHECKED_IN if is_repeat else CheckInOutcome.ALREADY_CHECKED_IN
    unpaid = bool(registration.get("price_points")) and not registration.get("paid")
    if registration["status"] not in ADMITTED or unpaid:
        return CheckInOutcome.NOT_REGISTERED
    if event["status"] not in ("PUBLISHED", "COMPLETED"):
        return CheckInOutcome.EVENT_NOT_RUNNING
    if min(scan.at or now, now) < parse_instant(event["starts_at"]) - OPENS_BEFORE:
        return CheckInOutcome.CHECK_IN_NOT_OPEN
    known[scan.customer_id] = {
        **registration,
        "status": RegistrationStatus.ATTENDED,
        "attended_at": iso(attended_at(event, scan.at, now)),
        "checked_in_key": scan.key,
        "fresh": True,
    }
    return CheckInOutcome.CHECKED_IN


def attended_at(event: Row, at: datetime | None, now: datetime) -> datetime:
    """The phone's time where it can be right, and ours otherwise; what is too early was refused before."""
    latest = min(parse_instant(event["ends_at"]) + AFTERWARDS, now + LEEWAY)
    return now if at is None or at > latest else min(at, now)


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a phone's list: the event and customer, or the code that names them."""

    key: str
    scanned_at: datetime
    event_id: str | None = None
    customer_id: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class ItemResult:
    """What became of one line, and whose registration it is about where that is known."""

    outcome: CheckInOutcome
    event_id: str | None = None
    customer_id: str | None = None


Read = Callable[[str, datetime], tuple[str, str]]


async def check_in_batch(
    graph: GraphClient, items: Sequence[Item], *, read: Read, manager_id: str, now: datetime
) -> list[ItemResult]:
    """Check in a phone's list of several events; a result for each line, in their order.

    `read` tells event and customer of a code scanned at a time. A line that was taken before is the same again, so
    a list may be sent as often as the connection needs. Raises BatchInvalid.
    """
    check_items(items)
    results = [resolve(item, read) for item in items]
    lines: dict[str, list[int]] = {}
    for index, result in enumerate(results):
        if result.outcome == CheckInOutcome.CHECKED_IN and result.event_id:
            lines.setdefault(result.event_id, []).append(index)
    for event_id, indexes in sorted(lines.items()):
        scans = [Scan(results[i].customer_id or "", items[i].scanned_at, items[i].key) for i in indexes]
        outcomes = await check_in_all(graph, event_id=event_id, scans=scans, manager_id=manager_id, now=now)
        for index, outcome in zip(indexes, outcomes, strict=True):
            results[index] = replace(results[index], outcome=outcome)
    return [hide(result) for result in results]


def check_items(items: Sequence[Item]) -> None:
    if not 1 <= len(items) <= MOST_ITEMS:
        raise BatchInvalid(path=("items",), detail=f"1 to {MOST_ITEMS} items")
    for index, item in enumerate(items):
        if not 1 <= len(item.key) <= LONGEST_KEY:
            raise BatchInvalid(path=("items", str(index), "key"), detail=f"1 to {LONGEST_KEY} characters")
        if (item.code is None) == (item.customer_id is None) or (item.code is None and item.event_id is None):
            detail = "either code or eventId and customerId"
            raise BatchInvalid(path=("items", str(index)), detail=detail)


def resolve(item: Item, read: Read) -> ItemResult:
    """Whom a line is about: CHECKED_IN says only that nothing stands against it so far."""
    if item.code is None:
        return ItemResult(CheckInOutcome.CHECKED_IN, item.event_id, item.customer_id)
    try:
        event_id, customer_id = read(item.code, item.scanned_at)
    except CodeInvalid:
        return ItemResult(CheckInOutcome.CODE_INVALID)
    except CodeExpired:
        return ItemResult(CheckInOutcome.CODE_EXPIRED)
    if item.event_id not in (None, event_id):
        return ItemResult(CheckInOutcome.CODE_INVALID)
    return ItemResult(CheckInOutcome.CHECKED_IN, event_id, customer_id)


def hide(result: ItemResult) -> ItemResult:
    """Whoever does not run an event learns nothing of who registered for it."""
    return ItemResult(result.outcome) if result.outcome == CheckInOutcome.NOT_FOUND else result


UNSETTLED_ATTENDANCE = """
MATCH (c:Customer)-[r:REGISTERED_FOR {settled: false}]->(e:Event)
WHERE r.key > $after
RETURN r.key AS key, c.id AS customer_id, e.id AS event_id, e.community_id AS community_id,
       r.attended_at AS attended_at, r.checked_in_by AS checked_in_by
ORDER BY r.key
LIMIT $limit
"""

ATTENDANCE = """
MATCH (c:Customer)-[r:REGISTERED_FOR {key: $key}]->(e:Event)
WHERE r.settled = false
RETURN r.key AS key, c.id AS customer_id, e.id AS event_id, e.community_id AS community_id,
       r.attended_at AS attended_at, r.checked_in_by AS checked_in_by
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
