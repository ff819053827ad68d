"""Series: a rule and a template, and each occurrence an event of its own with its own registrations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, cast

import orjson

from community.access import IS_MEMBER, MAY_READ
from community.event_details import LONGEST_EVENT, EventDetails, EventInvalid, check_details, is_zone
from community.events import audited, check_manager, check_named, fresh_properties, owe_for_events, put_events
from community.recurrence import (
    Recurrence,
    instant_of,
    is_finished,
    read_recurrence,
    starts_to_make,
    wall_text,
)
from core.clock import iso
from core.ids import new_id
from core.paging import Page, Place, cut_each, goes_back, page_size, text_at
from graph.client import GraphClient, Row, Transaction
from graph.turned import turned

FARTHEST_YEARS = 5
EXTEND_EVERY = timedelta(days=1)
# A series is laid out in one transaction, of up to 200 events with their tags and hosts.
TIMEOUT_SECONDS = 30.0
# What happens so long before each start: the field of the event, and how inputs and the stored series begin to name it.
LEADS = {"registration_opens_at": "opens", "registration_closes_at": "closes", "priority_until": "priority"}
# Where an input says what is wrong with an occurrence.
PATHS = {
    "registrationOpensAt": "registrationOpensMinutesBefore",
    "registrationClosesAt": "registrationClosesMinutesBefore",
    "priorityUntil": "priorityMinutesBefore",
    "startsAt": "startsAtLocal",
    "endsAt": "durationMinutes",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesDetails:
    """A series as described: `template` has the fields of EventDetails that are no times, `leads` some of LEADS."""

    recurrence: Recurrence
    duration: timedelta
    template: Mapping[str, Any]
    leads: Mapping[str, timedelta] = field(default_factory=dict[str, timedelta])

    def occurrence(self, wall: datetime) -> EventDetails:
        """The event that starts at this wall time; it lasts as long as every other, whatever the clocks do."""
        starts = instant_of(wall, self.recurrence.zone)
        times: dict[str, Any] = {name: starts - lead for name, lead in self.leads.items()}
        return EventDetails(
            **self.template,
            time_zone=self.recurrence.zone,
            starts_at=starts,
            ends_at=starts + self.duration,
            **times,
        )


def check_series(series: SeriesDetails, now: datetime) -> EventDetails:
    """Raise EventInvalid for what cannot be; returns the first occurrence."""
    first = series.occurrence(series.recurrence.start)
    try:
        check_details(first)
    except EventInvalid as wrong:
        raise EventInvalid(path=tuple(PATHS.get(str(step), step) for step in wrong.path), detail=wrong.detail) from None
    if first.starts_at < now:
        raise EventInvalid(path=("startsAtLocal",), detail="not in the past")
    return first


def describe_series(
    *,
    rule: str,
    starts_at_local: datetime,
    time_zone: str,
    exdates: Sequence[str],
    duration_minutes: int,
    opens_minutes_before: int | None = None,
    closes_minutes_before: int | None = None,
    priority_minutes_before: int | None = None,
    template: Mapping[str, Any],
    now: datetime,
) -> SeriesDetails:
    """A series with its rule checked; raises EventInvalid with the path of what cannot be."""
    if not is_zone(time_zone):
        raise EventInvalid(path=("timeZone",), detail="an IANA time zone, such as Asia/Shanghai")
    if not now.year - 1 <= starts_at_local.year <= now.year + FARTHEST_YEARS:
        raise EventInvalid(path=("startsAtLocal",), detail=f"at most {FARTHEST_YEARS} years ahead")
    most = int(LONGEST_EVENT.total_seconds()) // 60
    for name, minutes in (
        ("durationMinutes", duration_minutes),
        ("registrationOpensMinutesBefore", opens_minutes_before),
        ("registrationClosesMinutesBefore", closes_minutes_before),
        ("priorityMinutesBefore", priority_minutes_before),
    ):
        least = 1 if name == "durationMinutes" else 0
        if minutes is not None and not least <= minutes <= most:
            raise EventInvalid(path=(name,), detail=f"{least} to {most}")
    given = zip(LEADS, (opens_minutes_before, closes_minutes_before, priority_minutes_before), strict=True)
    return SeriesDetails(
        recurrence=read_recurrence(rule, starts_at_local, time_zone, exdates),
        duration=timedelta(minutes=duration_minutes),
        leads={name: timedelta(minutes=minutes) for name, minutes in given if minutes is not None},
        template=template,
    )


async def create_event_series(
    graph: GraphClient,
    series: SeriesDetails,
    *,
    community_id: str,
    manager_id: str,
    publish: bool = True,
    now: datetime,
) -> str:
    """Make a series and its first occurrences; returns its id.

    Raises EventInvalid, CommunityArchived, or NotFound where the customer does not manage the community.
    """
    first = check_series(series, now)
    series_id = new_id()
    head = {"id": series_id, "community_id": community_id, "publish": publish, "created_at": iso(now)}

    async def work(tx: Transaction) -> None:
        await check_manager(tx, community_id, manager_id)
        await check_named(tx, community_id, first)
        made = await put_series(tx, head, series, announce=True, now=now)
        done = audited(
            community_id,
            manager_id,
            "SERIES_CREATED",
            series_id,
            key=series_id,
            now=now,
            kind="EventSeries",
            rule=series.recurrence.rule,
            occurrences=len(made),
        )
        await owe_for_events(tx, made, [done], now=now)

    await graph.transact(work, contended=series_id, timeout=TIMEOUT_SECONDS)
    return series_id


PUT_SERIES = "MERGE (s:EventSeries {id: $id}) SET s += $properties"


async def put_series(
    tx: Transaction, head: Row, series: SeriesDetails, *, taken: Sequence[str] = (), announce: bool, now: datetime
) -> list[str]:
    """Write the series with the occurrences that are to be made now and are not `taken`; returns their ids.

    With `announce` the first of them is shown in feeds.
    """
    known = max(taken, default="")
    walls = [wall for wall in starts_to_make(series.recurrence, made_until="", now=now) if wall_text(wall) not in taken]
    made_until = max(known, *(wall_text(wall) for wall in walls)) if walls else known
    properties = {**head, **series_properties(series), **progress(series.recurrence, made_until, now)}
    await tx.run(PUT_SERIES, id=head["id"], properties=properties)
    return await put_occurrences(tx, head, series, walls, announce=announce, now=now)


def progress(recurrence: Recurrence, made_until: str, now: datetime) -> dict[str, Any]:
    """How far a series is laid out, and when the worker is to look at it again: never where nothing can follow."""
    again = None if is_finished(recurrence, made_until) else iso(now + EXTEND_EVERY)
    return {"made_until": made_until, "extend_at": again}


async def put_occurrences(
    tx: Transaction,
    head: Row,
    series: SeriesDetails,
    walls: Sequence[datetime],
    *,
    announce: bool = False,
    now: datetime,
) -> list[str]:
    """Write these occurrences; returns their ids, for which the caller owes what new events cause."""
    rows: list[Row] = []
    for number, wall in enumerate(walls):
        event_id = new_id()
        properties = fresh_properties(
            head["community_id"],
            event_id,
            series.occurrence(wall),
            publish=head["publish"],
            # A feed shows a series once: a year of weeks would be pages of nothing else.
            announce=announce and number == 0,
            now=now,
            series_id=head["id"],
            recurrence_id=wall_text(wall),
        )
        rows.append({"id": event_id, "properties": properties})
    if rows:
        await put_events(tx, head["community_id"], rows, series.occurrence(walls[0]))
    return [row["id"] for row in rows]


def series_properties(series: SeriesDetails) -> dict[str, Any]:
    """The properties of the series' node that say this."""
    return {
        "rule": series.recurrence.rule,
        "starts_at_local": wall_text(series.recurrence.start),
        "time_zone": series.recurrence.zone,
        "exdates": sorted(series.recurrence.exdates),
        "duration_seconds": int(series.duration.total_seconds()),
        **{f"{stem}_before_seconds": seconds(series.leads.get(name)) for name, stem in LEADS.items()},
        "template": orjson.dumps(dict(series.template)).decode(),
    }


def seconds(span: timedelta | None) -> int | None:
    return None if span is None else int(span.total_seconds())


def series_of(row: Row) -> SeriesDetails:
    """What a stored series says."""
    start = datetime.fromisoformat(row["starts_at_local"])
    kept = {name: row.get(f"{stem}_before_seconds") for name, stem in LEADS.items()}
    return SeriesDetails(
        recurrence=read_recurrence(row["rule"], start, row["time_zone"], row.get("exdates") or (), stored=True),
        duration=timedelta(seconds=row["duration_seconds"]),
        leads={name: timedelta(seconds=lead) for name, lead in kept.items() if lead is not None},
        template=cast(dict[str, Any], orjson.loads(row["template"])),
    )


DUE_SERIES = """
MATCH (s:EventSeries)
WHERE s.extend_at <= $now AND s.id > $after
RETURN s.id AS id
ORDER BY id
LIMIT $limit
"""

LOCK_SERIES = "MATCH (s:EventSeries {id: $id}) SET s.touched_at = $now RETURN properties(s) AS series"


async def lock_series(tx: Transaction, series_id: str, now: datetime) -> Row:
    """The properties of the series under its lock; empty where there is none."""
    rows = await tx.run(LOCK_SERIES, id=series_id, now=iso(now))
    return rows[0]["series"] if rows else {}


ARCHIVED = "MATCH (c:Community {id: $id}) RETURN c.archived_at AS archived_at"

STILL_HOSTS = (
    """
UNWIND $ids AS id
MATCH (c:Community {id: $community_id})
MATCH (h:Customer {id: id})
MATCH (h)-[m:MEMBER_OF]->(c)
WHERE """
    + IS_MEMBER
    + """
RETURN id
"""
)

SET_PROGRESS = "MATCH (s:EventSeries {id: $id}) SET s += $properties"


async def due_series(graph: GraphClient, *, after: str, limit: int, now: datetime) -> list[str]:
    """Ids of series that the worker is to look at, from `after` (exclusive) on."""
    return [row["id"] for row in await graph.read(DUE_SERIES, now=iso(now), after=after, limit=limit)]


async def extend_series(graph: GraphClient, series_id: str, *, now: datetime) -> int:
    """Make the occurrences that have come within the horizon; returns how many. Done twice, it is done once."""

    async def work(tx: Transaction) -> int:
        head = await lock_series(tx, series_id, now)
        if not head.get("extend_at") or head["extend_at"] > iso(now):
            return 0
        series = series_of(head)
        archived = await tx.run(ARCHIVED, id=head["community_id"])
        made_until, walls = head["made_until"], list[datetime]()
        if archived and archived[0]["archived_at"] is None:
            walls = starts_to_make(series.recurrence, made_until=made_until, now=now)
            made = await put_occurrences(tx, head, await with_hosts_left(tx, head, series), walls, now=now)
            await owe_for_events(tx, made, [], now=now)
        made_until = wall_text(walls[-1]) if walls else made_until
        await tx.run(SET_PROGRESS, id=series_id, properties=progress(series.recurrence, made_until, now))
        return len(walls)

    return await graph.transact(work, contended=series_id, timeout=TIMEOUT_SECONDS)


async def with_hosts_left(tx: Transaction, head: Row, series: SeriesDetails) -> SeriesDetails:
    """The series without the hosts who have left the community since."""
    hosts = series.template.get("host_ids") or []
    if not hosts:
        return series
    rows = await tx.run(STILL_HOSTS, ids=list(hosts), community_id=head["community_id"])
    return replace(series, template={**series.template, "host_ids": [row["id"] for row in rows]})


READ_SERIES = (
    """
UNWIND $ids AS id
MATCH (s:EventSeries {id: id})
MATCH (c:Community {id: s.community_id})
OPTIONAL MATCH (me:Customer {id: $viewer_id})
OPTIONAL MATCH (me)-[m:MEMBER_OF]->(c)
WITH s, c, m
WHERE """
    + MAY_READ
    + """ AND (s.publish OR coalesce(m.role, '') IN ['OWNER', 'MANAGER'])
RETURN s.id AS id, s.community_id AS community_id, s.rule AS rule, s.starts_at_local AS starts_at_local,
       s.time_zone AS time_zone, s.exdates AS exdates
"""
)


async def read_series(graph: GraphClient, ids: Sequence[str], *, viewer_id: str | None) -> dict[str, Row]:
    """The series among `ids` that the viewer may see, by id."""
    rows = await graph.read(READ_SERIES, ids=list(ids), viewer_id=viewer_id or "")
    return {row["id"]: row for row in rows}


OCCURRENCES_OF = (
    """
UNWIND $ids AS id
MATCH (s:EventSeries {id: id})
MATCH (c:Community {id: s.community_id})
OPTIONAL MATCH (me:Customer {id: $viewer_id})
OPTIONAL MATCH (me)-[m:MEMBER_OF]->(c)
WITH s, c, m
WHERE """
    + MAY_READ
    + """
CALL (s, m) {
  MATCH (e:Event {series_id: s.id})
  WHERE e.recurrence_id > $after AND (e.status <> 'DRAFT' OR coalesce(m.role, '') IN ['OWNER', 'MANAGER'])
  RETURN e.id AS event_id, e.recurrence_id AS place
  ORDER BY place
  LIMIT $limit
}
RETURN s.id AS series_id, event_id AS id, place
ORDER BY place
"""
)


async def occurrences_of(
    graph: GraphClient, ids: Sequence[str], *, viewer_id: str | None, first: int | None, after: Place
) -> dict[str, Page[Row]]:
    """The events of each series by their original start; it reads the occurrences that were ever made of them."""
    size = page_size(first)
    query = turned(OCCURRENCES_OF) if goes_back(after) else OCCURRENCES_OF
    rows = await graph.read(query, ids=list(ids), viewer_id=viewer_id or "", after=text_at(after), limit=size + 1)
    return cut_each(list(ids), rows, "series_id", size, lambda row: (row["place"],), after)
