"""The rows of memberships and registrations: read what is there, create what is new, change what differs."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AwareDatetime
from pydantic import Field as Setting

from community.access import MemberRole, is_member
from community.prices import refunds_owed
from community.recommendation_due import owe_imported
from community.roles import rank_of
from community.seats import (
    COUNT_DAYS,
    Change,
    RegistrationStatus,
    channel_of,
    channels_of,
    count_changes,
    count_days,
    listed,
)
from community.standing import LISTED_ROLES, barring, marks_of
from community.standing import listed as place_of_guest
from community.waitlist import promote_waitlist
from core.clock import iso, utc_now
from core.ids import derived_id
from core.importing import Batch, ImportRow, Numbered, Rejection
from graph.client import GraphClient, Row, Transaction
from graph.listed import DROP_LISTED, PUT_LISTED
from graph.owed import owe_effects

Key = Annotated[str, Setting(min_length=1, max_length=200)]
Name = Annotated[str, Setting(min_length=1, max_length=200)]

TIMEOUT_SECONDS = 60.0


class MembershipRow(ImportRow):
    """A customer in a community; `weight` says how much they take part in it, 1 by default."""

    customer_fields: ClassVar[tuple[str, ...]] = ("customer",)

    customer: Key
    community: Key
    role: MemberRole = MemberRole.MEMBER
    since: AwareDatetime | None = None
    weight: float = Setting(default=1.0, ge=0, allow_inf_nan=False)


class RegistrationRow(ImportRow):
    """A customer's registration for an event, as history has it: capacity is not asked."""

    customer_fields: ClassVar[tuple[str, ...]] = ("customer",)

    customer: Key
    event: Key
    status: Literal["REGISTERED", "CANCELLED", "ATTENDED", "NO_SHOW"] = "REGISTERED"
    registered_at: AwareDatetime
    attended_at: AwareDatetime | None = None
    guests: int = Setting(default=0, ge=0, le=100)


def community_id(source: str, key: str) -> str:
    return derived_id("community", source, key)


def event_id(source: str, key: str) -> str:
    return derived_id("event", source, key)


# The first write takes the locks under which roles are read, so that the number of members follows what is there.
LOCK_COMMUNITIES = """
UNWIND $ids AS id
MATCH (c:Community {id: id})
SET c.touched_at = $now
"""

# Measured on the embedded engine: CREATE writes a relationship ten times as fast as MERGE with ON CREATE SET, so
# what is there is read first. Whoever else writes the pair meanwhile meets its unique key, and we begin again.
KNOWN_MEMBERSHIPS = """
UNWIND $rows AS row
MATCH (me:Customer {id: row.customer_id}), (c:Community {id: row.community_id})
OPTIONAL MATCH (me)-[m:MEMBER_OF]->(c)
RETURN row.key AS key, m.role AS role, m.weight AS weight, m.ticket AS ticket, m.since AS since
"""

CREATE_MEMBERSHIPS = """
UNWIND $rows AS row
MATCH (me:Customer {id: row.customer_id}), (c:Community {id: row.community_id})
CREATE (me)-[:MEMBER_OF {key: row.key, since: row.since, role: row.role, weight: row.weight, ticket: row.ticket,
  page: row.page, roster: row.roster}]->(c)
"""

# Says from which ticket on the new members stand.
COUNT_MEMBERS = """
UNWIND $rows AS row
MATCH (c:Community {id: row.id})
SET c.member_count = c.member_count + row.added, c.next_ticket = coalesce(c.next_ticket, 0) + row.tickets
RETURN c.id AS id, c.next_ticket - row.tickets AS ticket
"""

UPDATE_MEMBERSHIPS = """
UNWIND $rows AS row
MATCH (:Customer {id: row.customer_id})-[m:MEMBER_OF]->(:Community {id: row.community_id})
SET m.role = row.role, m.weight = row.weight, m.ticket = row.ticket, m.page = row.page, m.roster = row.roster
"""


async def put_memberships(tx: Transaction, rows: Mapping[str, Row], *, now: datetime) -> tuple[set[str], set[str]]:
    """Create the memberships that are new and change those that differ.

    Returns the keys whose community is known, and the customers of whom something is new or changed.
    """
    await tx.run(LOCK_COMMUNITIES, ids=sorted({row["community_id"] for row in rows.values()}), now=iso(now))
    known = {row["key"]: row for row in await tx.run(KNOWN_MEMBERSHIPS, rows=list(rows.values()))}
    asked = {key: {**rows[key], "role": role_after(old["role"], rows[key]["role"])} for key, old in known.items()}
    created = [asked[key] for key, old in known.items() if old["role"] is None]
    changed = [
        asked[key]
        for key, old in known.items()
        if old["role"] is not None and (old["role"], old["weight"]) != (asked[key]["role"], asked[key]["weight"])
    ]
    written = await with_places(tx, [*created, *changed], known)
    if created:
        await tx.run(CREATE_MEMBERSHIPS, rows=written[: len(created)])
    if changed:
        await tx.run(UPDATE_MEMBERSHIPS, rows=written[len(created) :])
    await list_guests(tx, written, known)
    barred = [row for row in changed if row["role"] == MemberRole.BANNED != known[row["key"]]["role"]]
    await owe_effects(tx, [barring(row["community_id"], row["customer_id"]) for row in barred], now=now)
    return set(known), {row["customer_id"] for row in (*created, *changed)}


async def list_guests(tx: Transaction, rows: Sequence[Row], known: Mapping[str, Row]) -> None:
    """Give places in lists to those who ask to join, are invited or banned, and take them from whoever is no more."""
    places = [
        {"key": row["key"], "listed": place_of_guest(row["community_id"], row["customer_id"], row["role"], since)}
        for row in rows
        if row["role"] in LISTED_ROLES
        # Who is changed by a file keeps the time that is known.
        for since in [known[row["key"]]["since"] or row["since"]]
    ]
    gone = [row["key"] for row in rows if known[row["key"]]["role"] in LISTED_ROLES and row["role"] not in LISTED_ROLES]
    if places:
        await tx.run(PUT_LISTED, rows=places)
    if gone:
        await tx.run(DROP_LISTED, keys=gone)


def role_after(old: str | None, new: str) -> str:
    """The role of somebody of whom a row says `new`: a file that is imported again undoes nothing that people did.

    It lifts no ban, lowers no role and bans no owner; it makes members and raises them.
    """
    if old is None:
        return new
    if old == MemberRole.BANNED or (new == MemberRole.BANNED and old == MemberRole.OWNER):
        return old
    return new if new == MemberRole.BANNED or rank_of(new) > rank_of(old) else old


async def with_places(tx: Transaction, rows: Sequence[Row], known: Mapping[str, Row]) -> list[Row]:
    """The rows with the marks by which each is found: a ticket for who becomes a member, in order of `since`."""
    added: Counter[str] = Counter()
    tickets: Counter[str] = Counter()
    for row in rows:
        was, becomes = is_member(known[row["key"]]["role"]), is_member(row["role"])
        added[row["community_id"]] += becomes - was
        tickets[row["community_id"]] += becomes and not was
    counts = [{"id": key, "added": count, "tickets": tickets[key]} for key, count in sorted(added.items())]
    counted = await tx.run(COUNT_MEMBERS, rows=counts) if counts else []
    following = {row["id"]: row["ticket"] for row in counted}
    marks: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: (row["since"], row["key"])):
        ticket, community = known[row["key"]]["ticket"], row["community_id"]
        if not is_member(row["role"]):
            ticket = None
        elif ticket is None:
            ticket = following[community]
            following[community] += 1
        marks[row["key"]] = marks_of(community, row["role"], ticket)
    return [{**row, **marks[row["key"]]} for row in rows]


async def write_memberships(batch: Batch[MembershipRow]) -> list[Rejection]:
    # One row for each pair: of two lines that say the same, the last holds, and the pair counts once.
    rows: dict[str, Row] = {}
    for item in batch.rows:
        customer, target = batch.customers[item.row.customer], community_id(batch.source, item.row.community)
        rows[f"{target}:{customer}"] = {
            "key": f"{target}:{customer}",
            "customer_id": customer,
            "community_id": target,
            "since": iso(item.row.since or batch.now),
            "role": item.row.role,
            "weight": item.row.weight,
        }
    graph: GraphClient = batch.graph
    written, changed = await graph.transact(
        lambda tx: put_memberships(tx, rows, now=batch.now), contended="imported memberships", timeout=TIMEOUT_SECONDS
    )
    await owe_imported(batch.session, changed, now=utc_now())
    return rejected_for(batch.rows, written, batch.source, "community", community_id)


def rejected_for(
    items: Sequence[Numbered[Any]], written: Iterable[str], source: str, name: str, id_of: Callable[[str, str], str]
) -> list[Rejection]:
    """Rejections of the rows whose community or event, the first part of a key, nothing was written for."""
    known = {key.split(":")[0] for key in written}
    return [
        Rejection(item.line, name, f"unknown {name}")
        for item in items
        if id_of(source, getattr(item.row, name)) not in known
    ]


# The events are locked by this first write, in the order of their ids, so that nobody changes the counts meanwhile.
LOCK_EVENTS = """
UNWIND $ids AS id
MATCH (e:Event {id: id})
SET e.touched_at = $now
RETURN e.id AS id, e.attendance_mode AS attendance_mode, coalesce(e.waiting, 0) + coalesce(e.link_waiting, 0) AS waiting
"""

KNOWN_REGISTRATIONS = """
UNWIND $rows AS row
MATCH (me:Customer {id: row.customer_id}), (e:Event {id: row.event_id})
OPTIONAL MATCH (me)-[r:REGISTERED_FOR]->(e)
RETURN row.key AS key, properties(r) AS registration
"""

# What a row says of a registration.
TOLD = ("status", "registered_at", "attended_at", "guests")

# Imported attendance is settled: its consequences were the affair of the system that it comes from.
CREATE_REGISTRATIONS = """
UNWIND $rows AS row
MATCH (me:Customer {id: row.customer_id}), (e:Event {id: row.event_id})
CREATE (me)-[:REGISTERED_FOR {id: row.id, key: row.key, status: row.status, registered_at: row.registered_at,
  attended_at: row.attended_at, guests: row.guests, channel: row.channel, settled: true}]->(e)
"""

# Whoever waited or was offered a place does neither any more.
UPDATE_REGISTRATIONS = """
UNWIND $rows AS row
MATCH (:Customer {id: row.customer_id})-[r:REGISTERED_FOR]->(:Event {id: row.event_id})
SET r.status = row.status, r.registered_at = row.registered_at, r.attended_at = row.attended_at,
    r.guests = row.guests, r.channel = row.channel, r.settled = true,
    r.queue = null, r.offer = null, r.offer_expires_at = null, r.overtaken = null
"""

COUNT_REGISTERED = """
UNWIND $rows AS row
MATCH (e:Event {id: row.id})
SET e.registered = coalesce(e.registered, 0) + row.registered,
    e.link_registered = coalesce(e.link_registered, 0) + row.link_registered,
    e.waiting = coalesce(e.waiting, 0) + row.waiting, e.link_waiting = coalesce(e.link_waiting, 0) + row.link_waiting,
    e.figures = [i IN range(0, size(row.figures) - 1) | coalesce(e.figures[i], 0) + row.figures[i]]
"""


async def put_registrations(tx: Transaction, rows: Mapping[str, Row], now: datetime) -> set[str]:
    """Create the registrations that are new and change those that differ; returns the keys whose event is known.

    The counts of the events follow, guests included, and whoever waits for seats that this frees is promoted.
    """
    ids = sorted({row["event_id"] for row in rows.values()})
    events = {row["id"]: row for row in await tx.run(LOCK_EVENTS, ids=ids, now=iso(now))}
    asked = [row for row in rows.values() if row["event_id"] in events]
    if not asked:
        return set()
    known = {row["key"]: row["registration"] for row in await tx.run(KNOWN_REGISTRATIONS, rows=asked)}
    found = [with_channel(row, known[row["key"]], events[row["event_id"]]) for row in asked if row["key"] in known]
    created = [row for row in found if not known[row["key"]]]
    changed = [row for row in found if (old := known[row["key"]]) and any(row[name] != old.get(name) for name in TOLD)]
    if created:
        await tx.run(CREATE_REGISTRATIONS, rows=created)
    if changed:
        await tx.run(UPDATE_REGISTRATIONS, rows=changed)
    if created or changed:
        # Whoever waited or was offered a place does neither any more.
        places = [
            {"key": row["key"], "listed": listed(row["event_id"], Change(row["customer_id"], None, row))}
            for row in (*created, *changed)
        ]
        await tx.run(PUT_LISTED, rows=places)
    await count_imported(tx, events, created, changed, known, now)
    return set(known)


def with_channel(row: Row, known: Row | None, event: Row) -> Row:
    """A row with the channel that is known, or usual at its event: those elsewhere say only that somebody came."""
    return {**row, "channel": channel_of(known) if known else channels_of(event)[0]}


async def count_imported(
    tx: Transaction,
    events: Mapping[str, Row],
    created: Sequence[Row],
    changed: Sequence[Row],
    known: Mapping[str, Row],
    now: datetime,
) -> None:
    """Move the counts of the events, owe back what seats had cost that are gone, and promote who waits for them."""
    moved: dict[str, list[Change]] = {}
    for row in created:
        moved.setdefault(row["event_id"], []).append(Change(row["customer_id"], None, row))
    for row in changed:
        moved.setdefault(row["event_id"], []).append(Change(row["customer_id"], known[row["key"]], row))
    refunds = [
        effect
        for key, changes in moved.items()
        for change in changes
        if change.before and change.after["status"] == RegistrationStatus.CANCELLED
        for effect in refunds_owed(key, change)
    ]
    await owe_effects(tx, refunds, now=now)
    counts = [{"id": key, **count_changes(changes)} for key, changes in sorted(moved.items())]
    if counts:
        await tx.run(COUNT_REGISTERED, rows=counts)
    if days := count_days(moved):
        await tx.run(COUNT_DAYS, days=days)
    for key in sorted(moved):
        if events[key]["waiting"]:
            await promote_waitlist(tx, key, now=now)


async def write_registrations(batch: Batch[RegistrationRow]) -> list[Rejection]:
    # One row for each pair, as with memberships.
    rows: dict[str, Row] = {}
    for item in batch.rows:
        customer, target = batch.customers[item.row.customer], event_id(batch.source, item.row.event)
        attended = attended_at(item.row)
        rows[f"{target}:{customer}"] = {
            "key": f"{target}:{customer}",
            "id": derived_id("registration", target, customer),
            "customer_id": customer,
            "event_id": target,
            "status": item.row.status,
            "registered_at": iso(item.row.registered_at),
            "attended_at": iso(attended) if attended else None,
            "guests": item.row.guests,
        }
    graph: GraphClient = batch.graph
    written = await graph.transact(
        lambda tx: put_registrations(tx, rows, batch.now), contended="imported registrations", timeout=TIMEOUT_SECONDS
    )
    return rejected_for(batch.rows, written, batch.source, "event", event_id)


def attended_at(row: RegistrationRow) -> datetime | None:
    return row.attended_at or (row.registered_at if row.status == "ATTENDED" else None)
