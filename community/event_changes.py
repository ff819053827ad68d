"""What becomes of events: edits, publication, cancellation, completion; and whom the worker tells of it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from community.access import MANAGERS
from community.event_details import (
    NAMES,
    WALKED,
    AttendanceMode,
    EventDetails,
    EventInvalid,
    check_details,
    details_of,
    stored,
)
from community.event_rows import EventStatus
from community.events import (
    audited,
    check_manager,
    check_named,
    order_of,
    owe_for_events,
    published_properties,
    put_hosts,
    put_tags,
)
from community.prices import EVENT_CANCELLED
from community.seats import (
    NOT_WAITING,
    Change,
    RegistrationStatus,
    change_registrations,
    registrations_listed,
    roll_of,
)
from community.waitlist import WAITLIST_DUE
from core.clock import iso
from core.errors import Conflict, NotFound, Refusal, camel
from core.ids import new_id
from core.notices import NoticeKind
from graph.client import GraphClient, Row, Transaction
from graph.listed import listed_by, span
from graph.owed import Effect

# One effect for each page of those who are told; the worker owes the next page together with this one's notices.
EVENT_CHANGED = "event.changed"
EVENT_COMPLETED = "event.completed"

# Of these the registered are told.
TOLD = (
    "starts_at",
    "ends_at",
    "time_zone",
    "venue",
    "latitude",
    "longitude",
    "attendance_mode",
    "link",
)
# These may change after the end: a record is put right, and nobody's plans change.
RECORD = ("title_zh", "title_en", "description_zh", "description_en", "language", "tags", "host_ids")
FIXED_BY_START = ("starts_at", "time_zone")


class EventClosed(Refusal):
    code = "EVENT_CLOSED"
    en = "This event is cancelled or over."
    zh = "该活动已取消或已结束。"


class EventStarted(Refusal):
    code = "EVENT_STARTED"
    en = "This event has begun."
    zh = "该活动已开始。"


class EventNotStarted(Refusal):
    code = "EVENT_NOT_STARTED"
    en = "This event has not begun yet."
    zh = "该活动尚未开始。"


class CapacityTaken(Refusal):
    code = "CAPACITY_TAKEN"
    en = "More places than that are taken already."
    zh = "已占用的名额超过该数量。"


# The first write is to the event's node: registrations write it too, so the counters below hold until we commit.
LOCK_EVENT = """
MATCH (e:Event {id: $event_id})<-[:HOSTS]-(c:Community)
MATCH (me:Customer {id: $manager_id})-[m:MEMBER_OF {key: c.id + ':' + $manager_id}]->(:Community)
WHERE m.role IN $managers
SET e.touched_at = $now
WITH e, c
OPTIONAL MATCH (e)-[:ABOUT]->(t:Tag)
WITH e, c, collect(t.key) AS tags
OPTIONAL MATCH (e)<-[:HOSTS_EVENT]-(h:Customer)
RETURN properties(e) AS event, c.id AS community_id, tags, collect(h.id) AS host_ids
"""


async def lock_event(tx: Transaction, event_id: str, manager_id: str, now: datetime) -> Row:
    """The event under its lock; raises NotFound where the customer does not manage its community."""
    rows = await tx.run(LOCK_EVENT, event_id=event_id, manager_id=manager_id, managers=MANAGERS, now=iso(now))
    if not rows:
        raise NotFound(path=("eventId",))
    row = rows[0]
    details = details_of(row["event"], tags=row["tags"], host_ids=row["host_ids"])
    return {**row["event"], "community_id": row["community_id"], "details": details}


SET_EVENT = "MATCH (e:Event {id: $event_id}) SET e += $properties"
DROP_TAGS = "UNWIND $ids AS id MATCH (:Event {id: id})-[a:ABOUT]->(:Tag) DELETE a"
DROP_HOSTS = "UNWIND $ids AS id MATCH (:Event {id: id})<-[h:HOSTS_EVENT]-(:Customer) DELETE h"


async def update_event(
    graph: GraphClient,
    *,
    event_id: str,
    changes: Mapping[str, Any],
    manager_id: str,
    version: int | None = None,
    now: datetime,
) -> None:
    """Change these fields of one event, by their names in EventDetails; of a series it becomes an exception.

    With `version`, only the event as it was then is changed. Raises NotFound, EventInvalid, Conflict, EventClosed,
    EventStarted or CapacityTaken.
    """
    change_id = new_id()

    async def work(tx: Transaction) -> None:
        event = await lock_event(tx, event_id, manager_id, now)
        if version is not None and version != event.get("version", 1):
            raise Conflict(path=("version",))
        wanted = replace(event["details"], **changes)
        changed = differences(event["details"], wanted)
        if not changed:
            return
        check_details(wanted)
        await check_named(tx, event["community_id"], wanted, changed)
        check_change(event, wanted, changed, now)
        await tx.run(SET_EVENT, event_id=event_id, properties=changed_properties(event, wanted, changed))
        await put_walked(tx, [event_id], wanted, changed)
        effects = effects_of(event, wanted, manager_id, changed, change_id=change_id, now=now)
        await owe_for_events(tx, [event_id], effects, now=now)

    await graph.transact(work, contended=event_id)


def differences(old: EventDetails, new: EventDetails) -> list[str]:
    """The names of the fields in which the two differ."""
    before, after = stored(old), stored(new)
    walked = [name for name in WALKED if set(getattr(old, name)) != set(getattr(new, name))]
    return [name for name in NAMES if before.get(name) != after.get(name)] + walked


def check_change(event: Row, wanted: EventDetails, changed: Collection[str], now: datetime) -> None:
    """Raise what stands against this change at this moment in the event's life."""
    over = event["status"] in (EventStatus.CANCELLED, EventStatus.COMPLETED) or event["ends_at"] <= iso(now)
    if event["status"] == EventStatus.CANCELLED or (over and not set(changed) <= set(RECORD)):
        raise EventClosed(path=("eventId",))
    fixed = [name for name in FIXED_BY_START if name in changed]
    if fixed and event["status"] == EventStatus.PUBLISHED:
        if event["starts_at"] <= iso(now):
            raise EventStarted(path=(camel(fixed[0]),))
        if wanted.starts_at < now:
            raise EventInvalid(path=("startsAt",), detail="not in the past")
    if not over:
        check_seats(event, wanted)


def check_seats(event: Row, wanted: EventDetails) -> None:
    """Raise CapacityTaken where fewer places are left than are taken, at the place or by the link."""
    for name, counters, closed in (
        ("capacity", ("registered", "waiting"), AttendanceMode.ONLINE),
        ("link_capacity", ("link_registered", "link_waiting"), AttendanceMode.IN_PERSON),
    ):
        seats, waiting = (event.get(counter) or 0 for counter in counters)
        if wanted.attendance_mode == closed and seats + waiting:
            raise CapacityTaken(path=("attendanceMode",), detail=f"{seats + waiting} seats are held or waited for")
        most = getattr(wanted, name)
        if most is not None and most < seats:
            raise CapacityTaken(path=(camel(name),), detail=f"{seats} are taken")


def changed_properties(event: Row, wanted: EventDetails, changed: Collection[str]) -> dict[str, Any]:
    """What is to be written on the event's node for this change."""
    values = stored(wanted)
    properties = {name: values[name] for name in changed if name in values}
    properties["version"] = event.get("version", 1) + 1
    if "starts_at" in changed:
        properties["order"] = order_of(event["community_id"], values["starts_at"], event["id"])
    if event.get("series_id"):
        # What an exception has of its own, later edits of its series leave alone.
        properties["overrides"] = sorted({*(event.get("overrides") or []), *changed})
    return properties


async def put_walked(tx: Transaction, ids: Sequence[str], wanted: EventDetails, changed: Collection[str]) -> None:
    """Replace the tags and hosts of these events where they changed."""
    if "tags" in changed:
        await tx.run(DROP_TAGS, ids=list(ids))
        await put_tags(tx, ids, wanted.tags)
    if "host_ids" in changed:
        await tx.run(DROP_HOSTS, ids=list(ids))
        await put_hosts(tx, ids, wanted.host_ids)


def effects_of(
    event: Row, wanted: EventDetails, actor: str, changed: Collection[str], *, change_id: str, now: datetime
) -> list[Effect]:
    """What an edit owes: its audit, and what follows from it."""
    names = [camel(name) for name in changed]
    done = audited(event["community_id"], actor, "EVENT_UPDATED", event["id"], key=change_id, now=now, fields=names)
    return [done, *consequences(event, wanted, changed, change_id=change_id)]


def consequences(event: Row, wanted: EventDetails, changed: Collection[str], *, change_id: str) -> list[Effect]:
    """Of a new time or place the registered of a published event are told; of more places, those who wait."""
    effects: list[Effect] = []
    told = [camel(name) for name in TOLD if name in changed]
    if told and event["status"] == EventStatus.PUBLISHED:
        effects.append(telling(NoticeKind.EVENT_CHANGED, event, change_id, changed=told))
    for name, counter in (("capacity", "waiting"), ("link_capacity", "link_waiting")):
        old, new = getattr(event["details"], name), getattr(wanted, name)
        if name in changed and event.get(counter) and old is not None and (new is None or new > old):
            effects.append(Effect(WAITLIST_DUE, f"{event['id']}:{change_id}", {"event_id": event["id"]}))
            break
    return effects


def telling(kind: NoticeKind, event: Row, change_id: str, **data: Any) -> Effect:
    """Tell everybody who is registered; `change_id` names the change, of which each customer is told once."""
    about = {"event_id": event["id"], "community_id": event["community_id"], **data}
    payload = {"kind": kind, "event_id": event["id"], "change_id": change_id, "data": about}
    return Effect(EVENT_CHANGED, f"{event['id']}:{change_id}", payload)


async def publish_event(graph: GraphClient, *, event_id: str, manager_id: str, now: datetime) -> None:
    """Make a draft public; publishing twice is publishing once. Raises NotFound, EventClosed, CommunityArchived."""

    async def work(tx: Transaction) -> None:
        event = await lock_event(tx, event_id, manager_id, now)
        if event["status"] == EventStatus.PUBLISHED:
            return
        if event["status"] != EventStatus.DRAFT or event["ends_at"] <= iso(now):
            raise EventClosed(path=("eventId",))
        await check_manager(tx, event["community_id"], manager_id)
        public = published_properties(event["community_id"], event_id, now=now)
        await tx.run(SET_EVENT, event_id=event_id, properties={"status": EventStatus.PUBLISHED, **public})
        done = audited(event["community_id"], manager_id, "EVENT_PUBLISHED", event_id, key=event_id, now=now)
        await owe_for_events(tx, [event_id], [done], now=now)

    await graph.transact(work, contended=event_id)


DELETE_DRAFT = "MATCH (e:Event {id: $event_id, status: 'DRAFT'}) DETACH DELETE e"
# A file may have brought registrations for a draft; their places and days are nodes of their own.
DROP_DAYS = "MATCH (d:RegistrationDay {event_id: $event_id}) DELETE d"
DROP_PLACES = "MATCH (x:Listed) WHERE x.order > $low AND x.order < $high DELETE x"

# The occurrence of a deleted draft is one that its series leaves out.
LEAVE_OUT = """
MATCH (s:EventSeries {id: $series_id})
SET s.exdates = coalesce(s.exdates, []) + [$recurrence_id]
"""


def check_reason(reason: str) -> str:
    text = reason.strip()
    if not 1 <= len(text) <= 500 or "\0" in text:
        raise EventInvalid(path=("reason",), detail="1 to 500 characters, none of them NUL")
    return text


async def cancel_event(graph: GraphClient, *, event_id: str, reason: str, manager_id: str, now: datetime) -> None:
    """Call a published event off and tell the registered, whose registrations stay; a draft is deleted.

    Cancelling twice is cancelling once. Raises NotFound, EventInvalid, or EventClosed for an event that is over.
    """
    text = check_reason(reason)

    async def work(tx: Transaction) -> None:
        event = await lock_event(tx, event_id, manager_id, now)
        if event["status"] == EventStatus.CANCELLED:
            return
        if event["status"] == EventStatus.COMPLETED or event["ends_at"] <= iso(now):
            raise EventClosed(path=("eventId",))
        await call_off(tx, event, text, manager_id, now)

    await graph.transact(work, contended=event_id)


async def call_off(tx: Transaction, event: Row, reason: str, actor: str, now: datetime) -> None:
    """Cancel an event under its lock, or delete it where it is a draft, with everything that this owes."""
    event_id = event["id"]
    told = telling(NoticeKind.EVENT_CANCELLED, event, "cancelled", reason=reason)
    effects = await take_off(tx, event, reason, told, now)
    action = "EVENT_CANCELLED" if effects else "EVENT_DELETED"
    done = audited(event["community_id"], actor, action, event_id, key=event_id, now=now, reason=reason)
    await owe_for_events(tx, [event_id], [done, *effects], now=now)


async def take_off(tx: Transaction, event: Row, reason: str, told: Effect, now: datetime) -> list[Effect]:
    """Cancel an event under its lock; returns what this owes besides audit and index: nothing for a draft, which goes.

    `told` is the effect by which the registered learn of it.
    """
    event_id = event["id"]
    if event["status"] == EventStatus.DRAFT:
        if event.get("series_id"):
            await tx.run(LEAVE_OUT, series_id=event["series_id"], recurrence_id=event["recurrence_id"])
        await tx.run(DELETE_DRAFT, event_id=event_id)
        if event.get("figures"):
            await tx.run(DROP_DAYS, event_id=event_id)
            await tx.run(DROP_PLACES, **span(event_id))
        return []
    properties = {"status": EventStatus.CANCELLED, "cancelled_at": iso(now), "cancel_reason": reason}
    await tx.run(SET_EVENT, event_id=event_id, properties=properties)
    return [told, Effect(EVENT_CANCELLED, event_id, {"event_id": event_id})]


async def complete_event(graph: GraphClient, *, event_id: str, manager_id: str, now: datetime) -> None:
    """Close an event that has begun; the worker then marks who did not come.

    Completing twice is completing once. Raises NotFound, EventClosed or EventNotStarted.
    """

    async def work(tx: Transaction) -> None:
        event = await lock_event(tx, event_id, manager_id, now)
        if event["status"] == EventStatus.COMPLETED:
            return
        if event["status"] == EventStatus.CANCELLED:
            raise EventClosed(path=("eventId",))
        if event["status"] == EventStatus.DRAFT or event["starts_at"] > iso(now):
            raise EventNotStarted(path=("eventId",))
        await mark_completed(tx, event, manager_id, now)

    await graph.transact(work, contended=event_id)


async def mark_completed(tx: Transaction, event: Row, actor: str, now: datetime) -> None:
    """Close an event under its lock, with everything that this owes."""
    event_id = event["id"]
    properties = {"status": EventStatus.COMPLETED, "completed_at": iso(now)}
    await tx.run(SET_EVENT, event_id=event_id, properties=properties)
    done = audited(event["community_id"], actor, "EVENT_COMPLETED", event_id, key=event_id, now=now)
    effects = [done, Effect(EVENT_COMPLETED, event_id, {"event_id": event_id})]
    await owe_for_events(tx, [event_id], effects, now=now)


# Those whose plans an event is part of.
CONCERNED_BY_DEFAULT = (RegistrationStatus.REGISTERED, RegistrationStatus.OFFERED, RegistrationStatus.WAITING)

# The order in which statuses are told: a registration moves on in it while pages are told, and so is missed by none.
STAGES = (
    RegistrationStatus.WAITING,
    RegistrationStatus.OFFERED,
    RegistrationStatus.REGISTERED,
    RegistrationStatus.NO_SHOW,
    RegistrationStatus.ATTENDED,
    RegistrationStatus.OFFER_EXPIRED,
    RegistrationStatus.CANCELLED,
)
ROLL = listed_by("roll")


async def concerned(
    graph: GraphClient, event_id: str, *, after: str, limit: int, statuses: Collection[str] = CONCERNED_BY_DEFAULT
) -> list[Row]:
    """Rows with the `customer_id` of whose registration has one of the statuses, from the place `after` on.

    `after` is the `mark` of the last row before; any other text is the beginning.
    """
    reached, _, passed = after.partition(":")
    stages = [status for status in STAGES if status in statuses]
    if reached in stages:
        stages = stages[stages.index(RegistrationStatus(reached)) :]
    found: list[Row] = []
    for status in stages:
        bounds = span(roll_of(event_id, status), passed if status == reached else "")
        found += await graph.read(ROLL, **bounds, limit=limit - len(found))
        if len(found) >= limit:
            break
    return [{**row, "mark": row["place"].removeprefix(f"{event_id}:")} for row in found]


LOCK_COMPLETED = "MATCH (e:Event {id: $event_id, status: 'COMPLETED'}) SET e.touched_at = $now RETURN e.id AS id"

# What becomes of registrations that are still open when an event is completed.
AT_THE_END: dict[str, dict[str, Any]] = {
    RegistrationStatus.REGISTERED: {"status": RegistrationStatus.NO_SHOW},
    RegistrationStatus.OFFERED: {**NOT_WAITING, "status": RegistrationStatus.OFFER_EXPIRED},
    RegistrationStatus.WAITING: {**NOT_WAITING, "status": RegistrationStatus.CANCELLED},
}


async def end_registrations(graph: GraphClient, event_id: str, *, limit: int, now: datetime) -> list[str]:
    """End up to `limit` open registrations of a completed event; returns the customers' ids.

    Who had a place did not come, and nobody waits any more. With fewer than the limit none are left.

    It locks the event as a check-in does, so that nobody who is checked in at the same moment is marked.
    """

    async def work(tx: Transaction) -> list[str]:
        if not await tx.run(LOCK_COMPLETED, event_id=event_id, now=iso(now)):
            return []
        found: list[Row] = []
        for status in AT_THE_END:
            if len(found) < limit:
                found += await tx.run(ROLL, **span(roll_of(event_id, status)), limit=limit - len(found))
        rows = await registrations_listed(tx, found)
        changes = [
            Change(row["customer_id"], row["registration"], AT_THE_END[row["registration"]["status"]]) for row in rows
        ]
        if changes:
            await change_registrations(tx, event_id, changes)
        return [row["customer_id"] for row in rows]

    return await graph.transact(work, contended=event_id)
