"""Edits of a series from one occurrence on; "all" is this and following at the first one.

- What has begun, is over or cancelled stays as it is. The first occurrence from the named one on that has not begun is
  where the series is split: from there on it has an id of its own, unless nothing comes before.
- An occurrence keeps its event and its registrations where the new rule has one at its original start, moved by as
  much as the first. Where its time or place changes, its registered are told; a customer of many is told once.
- One that the new rule does not have is cancelled, or deleted while it is a draft. What is new is made.
- What an exception has of its own (updateEvent notes it) stays its own.
- To cancel from an occurrence on takes no split: what follows is cancelled with it, and the series ends before it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from community.event_changes import (
    EventClosed,
    call_off,
    changed_properties,
    check_reason,
    check_seats,
    consequences,
    differences,
    lock_event,
    put_walked,
    take_off,
    telling,
)
from community.event_details import WALKED, check_details, details_of
from community.event_rows import EventStatus
from community.event_series import (
    LEADS,
    TIMEOUT_SECONDS,
    SeriesDetails,
    check_series,
    describe_series,
    lock_series,
    put_series,
    series_of,
    series_properties,
)
from community.events import audited, check_manager, check_named, owe_for_events, published_properties
from community.recurrence import ended_before, rest_of, wall_starts, wall_text
from core.clock import iso
from core.errors import Conflict, Refusal, camel
from core.ids import new_id
from core.notices import NoticeKind
from graph.client import GraphClient, Row, Transaction
from graph.owed import Effect

T = TypeVar("T")

SERIES_CHANGED = "系列活动已调整 / The series was changed"
OPEN = (EventStatus.DRAFT, EventStatus.PUBLISHED)


# Another manager's edit may move the occurrence to a new series between our two looks at it.
MOST_ATTEMPTS = 10


class SeriesMoved(Exception):
    """The occurrence is not in the series that it named a moment ago: look again."""


class EventNotInSeries(Refusal):
    code = "EVENT_NOT_IN_SERIES"
    en = "This event belongs to no series."
    zh = "该活动不属于任何系列。"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesChange:
    """What is to change: `template` by the names in EventDetails, `schedule` by the names in `describe_series`.

    `starts_at_local` in the schedule is the new start of the named occurrence. With `publish`, drafts are published.
    """

    template: Mapping[str, Any] = field(default_factory=dict[str, Any])
    schedule: Mapping[str, Any] = field(default_factory=dict[str, Any])
    publish: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A series at the occurrence from which on it changes: its events, by how much they move, what it becomes."""

    head: Row
    old: SeriesDetails
    new: SeriesDetails
    series_id: str
    start: datetime
    shift: timedelta
    events: Sequence[Row]
    publish: bool


async def update_this_and_following(
    graph: GraphClient, *, event_id: str, change: SeriesChange, manager_id: str, now: datetime
) -> str:
    """Change an occurrence and all that follow; returns the id of their series from now on.

    Raises NotFound, EventNotInSeries, EventInvalid, EventClosed, CapacityTaken or CommunityArchived.
    """
    new_series, change_id = new_id(), new_id()

    async def work(tx: Transaction) -> str:
        event = await lock_event(tx, event_id, manager_id, now)
        await check_manager(tx, event["community_id"], manager_id)
        split = await split_at(tx, event, change, new_series, now)
        first = check_series(split.new, now)
        await check_named(tx, event["community_id"], first, set(change.template) & {"required_tags", *WALKED})
        kept, effects = await move_events(tx, split, change_id, now)
        dropped = await drop_events(tx, split, kept, manager_id, now)
        made = await write_series(tx, split, kept, now)
        counts = {"kept": len(kept), "cancelled": dropped, "made": len(made)}
        fields = sorted(camel(name) for name in (*change.template, *change.schedule))
        done = audited(
            event["community_id"],
            manager_id,
            "SERIES_UPDATED",
            split.series_id,
            key=change_id,
            now=now,
            kind="EventSeries",
            fields=fields,
            event_id=event_id,
            **counts,
        )
        await owe_for_events(tx, [*(one["id"] for one in split.events), *made], [done, *effects], now=now)
        return split.series_id

    return await in_its_series(graph, event_id, work)


async def in_its_series(graph: GraphClient, event_id: str, work: Callable[[Transaction], Awaitable[T]]) -> T:
    """Do the work in one transaction, again where the event has changed its series meanwhile."""
    for _ in range(MOST_ATTEMPTS):
        try:
            return await graph.transact(work, contended=event_id, timeout=TIMEOUT_SECONDS)
        except SeriesMoved:
            continue
    raise Conflict(path=("eventId",))


LOCK_FOLLOWING = """
MATCH (e:Event {series_id: $series_id})
WHERE e.recurrence_id >= $from
SET e.touched_at = $now
RETURN properties(e) AS event
ORDER BY event.recurrence_id
"""


async def lock_following(tx: Transaction, event: Row, now: datetime) -> tuple[Row, list[Row]]:
    """Lock the series and its events from this one on; raises EventNotInSeries, SeriesMoved."""
    if not event.get("series_id"):
        raise EventNotInSeries(path=("eventId",))
    head = await lock_series(tx, event["series_id"], now)
    rows = await tx.run(LOCK_FOLLOWING, series_id=event["series_id"], **{"from": event["recurrence_id"]}, now=iso(now))
    events = [row["event"] for row in rows]
    if event["id"] not in {one["id"] for one in events}:
        raise SeriesMoved
    return head, events


async def split_at(tx: Transaction, event: Row, change: SeriesChange, new_series: str, now: datetime) -> Split:
    """Lock the series and what follows in it, and read what it is to become."""
    head, events = await lock_following(tx, event, now)
    old = series_of(head)
    begin = next((one for one in events if is_open(one, now) and is_ahead(one, old, now)), None)
    if begin is None:
        raise EventClosed(path=("eventId",))
    start = datetime.fromisoformat(begin["recurrence_id"])
    wanted = change.schedule.get("starts_at_local")
    shift = wanted - datetime.fromisoformat(event["recurrence_id"]) if wanted is not None else timedelta()
    whole = start == old.recurrence.start
    return Split(
        head=head,
        old=old,
        new=changed_series(old, change, start, shift, now),
        series_id=head["id"] if whole else new_series,
        start=start,
        shift=shift,
        events=[one for one in events if one["recurrence_id"] >= begin["recurrence_id"]],
        publish=head["publish"] or change.publish,
    )


def is_ahead(event: Row, series: SeriesDetails, now: datetime) -> bool:
    """Whether the original start is still to come: an exception may have been put off beyond it."""
    return series.occurrence(datetime.fromisoformat(event["recurrence_id"])).starts_at > now


def is_open(event: Row, now: datetime) -> bool:
    """Whether an occurrence still follows its series: neither over nor begun nor cancelled."""
    return event["status"] in OPEN and event["starts_at"] > iso(now)


def changed_series(
    old: SeriesDetails, change: SeriesChange, start: datetime, shift: timedelta, now: datetime
) -> SeriesDetails:
    """What the series is from `start` on: its own rule for what is left of it, unless the change brings another."""
    rule, exdates = rest_of(old.recurrence, start, shift)
    schedule: dict[str, Any] = {
        "rule": rule,
        "exdates": exdates,
        "time_zone": old.recurrence.zone,
        "duration_minutes": int(old.duration.total_seconds()) // 60,
        **{f"{LEADS[name]}_minutes_before": int(lead.total_seconds()) // 60 for name, lead in old.leads.items()},
        **change.schedule,
        "starts_at_local": start + shift,
    }
    return describe_series(template={**old.template, **change.template}, now=now, **schedule)


SET_EVENTS = "UNWIND $rows AS row MATCH (e:Event {id: row.id}) SET e += row.properties"


async def move_events(tx: Transaction, split: Split, change_id: str, now: datetime) -> tuple[list[str], list[Effect]]:
    """Take over the events that the new rule has too; returns their new original starts, and who is to be told."""
    last = max(datetime.fromisoformat(one["recurrence_id"]) for one in split.events) + split.shift
    there = {wall_text(wall) for wall in wall_starts(split.new.recurrence, last)}
    rows: list[Row] = []
    effects: list[Effect] = []
    walked: dict[str, list[str]] = {name: [] for name in WALKED}
    announce = True
    for event in split.events:
        wall = datetime.fromisoformat(event["recurrence_id"])
        target = wall_text(wall + split.shift)
        if target not in there:
            continue
        properties: dict[str, Any] = {"series_id": split.series_id, "recurrence_id": target}
        if is_open(event, now):
            properties |= edited(event, split, wall, change_id, walked, effects)
            if split.publish and event["status"] == EventStatus.DRAFT:
                public = published_properties(event["community_id"], event["id"], announce=announce, now=now)
                properties |= {"status": EventStatus.PUBLISHED, **public}
                announce = False
        rows.append({"id": event["id"], "properties": properties})
    await tx.run(SET_EVENTS, rows=rows)
    example = split.new.occurrence(split.new.recurrence.start)
    for name, ids in walked.items():
        if ids:
            await put_walked(tx, ids, example, [name])
    return [row["properties"]["recurrence_id"] for row in rows], effects


def edited(
    event: Row,
    split: Split,
    wall: datetime,
    change_id: str,
    walked: Mapping[str, list[str]],
    effects: list[Effect],
) -> dict[str, Any]:
    """What changes on one event: the fields in which the series changes, but for those that are its own."""
    before, after = split.old.occurrence(wall), split.new.occurrence(wall + split.shift)
    own: set[str] = set(event.get("overrides") or ())
    changed = [name for name in differences(before, after) if name not in own]
    if not changed:
        return {}
    current = details_of(event, tags=before.tags, host_ids=before.host_ids)
    wanted = replace(current, **{name: getattr(after, name) for name in changed})
    check_details(wanted)
    check_seats(event, wanted)
    for name in WALKED:
        if name in changed:
            walked[name].append(event["id"])
    effects += consequences({**event, "details": current}, wanted, changed, change_id=change_id)
    properties = changed_properties(event, wanted, changed)
    return {**properties, "overrides": sorted(own) or None}


async def drop_events(tx: Transaction, split: Split, kept: Sequence[str], actor: str, now: datetime) -> int:
    """Cancel what follows and is not in the new rule; returns how many."""
    following = {wall_text(datetime.fromisoformat(one["recurrence_id"]) + split.shift): one for one in split.events}
    dropped = [one for target, one in following.items() if target not in kept and is_open(one, now)]
    for event in dropped:
        await call_off(tx, event, SERIES_CHANGED, actor, now)
    return len(dropped)


END_SERIES = "MATCH (s:EventSeries {id: $id}) SET s += $properties"


async def write_series(tx: Transaction, split: Split, kept: Sequence[str], now: datetime) -> list[str]:
    """Write the series from the split on, and end the one before; returns the ids of what is new in it."""
    if split.series_id != split.head["id"]:
        await end_series(tx, split.head["id"], split.old, split.start)
    head = {
        "id": split.series_id,
        "community_id": split.head["community_id"],
        "publish": split.publish,
        "created_at": iso(now),
    }
    # Drafts that were kept are announced with their publication.
    announce = split.publish and not split.head["publish"] and not kept
    return await put_series(tx, head, split.new, taken=kept, announce=announce, now=now)


async def end_series(tx: Transaction, series_id: str, series: SeriesDetails, start: datetime) -> None:
    """Let a series end before one of its occurrences; one that ends before its first keeps its rule as a record."""
    ended = series
    if start != series.recurrence.start:
        ended = replace(series, recurrence=ended_before(series.recurrence, start))
    await tx.run(END_SERIES, id=series_id, properties={**series_properties(ended), "extend_at": None})


async def cancel_this_and_following(
    graph: GraphClient, *, event_id: str, reason: str, manager_id: str, now: datetime
) -> None:
    """Call off an occurrence and all that follow, and end their series before it; drafts are deleted.

    Whoever is registered for several of them is told once. Cancelling twice is cancelling once. Raises NotFound,
    EventNotInSeries, EventInvalid, or EventClosed for an occurrence that is over.
    """
    text, change_id = check_reason(reason), new_id()

    async def work(tx: Transaction) -> None:
        event = await lock_event(tx, event_id, manager_id, now)
        head, events = await lock_following(tx, event, now)
        if event["status"] != EventStatus.CANCELLED and not goes_on(event, now):
            raise EventClosed(path=("eventId",))
        closing = [one for one in events if goes_on(one, now)]
        if not closing and not head.get("extend_at"):
            return
        effects = await take_all_off(tx, closing, text, change_id, now)
        await end_series(tx, head["id"], series_of(head), datetime.fromisoformat(event["recurrence_id"]))
        done = audited(
            event["community_id"],
            manager_id,
            "SERIES_CANCELLED",
            head["id"],
            key=change_id,
            now=now,
            kind="EventSeries",
            reason=text,
            event_id=event_id,
            cancelled=len(closing),
        )
        await owe_for_events(tx, [one["id"] for one in closing], [done, *effects], now=now)

    await in_its_series(graph, event_id, work)


def goes_on(event: Row, now: datetime) -> bool:
    """Whether there is something to call off: neither cancelled nor over."""
    return event["status"] in OPEN and event["ends_at"] > iso(now)


async def take_all_off(
    tx: Transaction, events: Sequence[Row], reason: str, change_id: str, now: datetime
) -> list[Effect]:
    """Cancel these events; the notice names the first of them, from which on nothing takes place."""
    first = next((one["id"] for one in events if one["status"] == EventStatus.PUBLISHED), None)
    effects: list[Effect] = []
    for event in events:
        told = telling(NoticeKind.SERIES_CANCELLED, event, change_id, event_id=first, reason=reason)
        effects += await take_off(tx, event, reason, told, now)
    return effects
