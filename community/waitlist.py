"""Waiting lists: one per event and channel, promoted in the transaction that frees the seats.

Who waits has a ticket and a place, the text `queue`, in the order of the list; see community/promotion.py for the
rule by which freed seats are given. A promoted customer is offered the place for some hours, or has it at once where
the event says so. An offer holds its seats until it is confirmed, given back, or expires.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from community.access import may_read
from community.notices import notice
from community.prices import charges_owed
from community.promotion import LOOK_AHEAD, Choice, Party, choose_promotions
from community.seats import (
    CAPACITY,
    DEFAULT_OFFER_HOURS,
    NOT_WAITING,
    WAITING,
    Change,
    Channel,
    RegistrationStatus,
    change_registrations,
    free_seats,
    registrations_listed,
    waiting_parties,
)
from core.clock import iso, parse_instant
from core.notices import NoticeKind
from graph.client import GraphClient, Row, Transaction
from graph.listed import listed_by, span
from graph.owed import Effect, owe_effects

OFFER_EXPIRED = "offer.expired"
WAITLIST_DUE = "waitlist.due"


# So many are promoted, or lose their offers, in one transaction; the rest is owed and follows at once.
BATCH = 200
TICKET_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Promotion:
    """One party that got seats; `number` counts the promotions of the event in their order."""

    customer_id: str
    channel: Channel
    seats: int
    ticket: int
    number: int
    status: str


def queue_name(event_id: str, channel: str) -> str:
    return f"{event_id}:{channel}"


def queue_of(event_id: str, channel: str, rank: str) -> str:
    """The place in a list as text: `rank` is a ticket padded with zeros, or a text between two others."""
    return f"{queue_name(event_id, channel)}:{rank}"


def rank_of(ticket: int) -> str:
    return f"{ticket:0{TICKET_DIGITS}}"


def rank_between(low: str, high: str) -> str:
    """A rank between two others, all read as the digits after a point; an empty `low` is the start of the list."""
    digits = max(len(low), len(high)) + 1
    middle = (int(low.ljust(digits, "0")) + int(high.ljust(digits, "0"))) // 2
    return f"{middle:0{digits}}".rstrip("0").ljust(TICKET_DIGITS, "0")


EVENT_SEATS = """
MATCH (e:Event {id: $event_id})<-[:HOSTS]-(c:Community)
RETURN e {.id, .community_id, .status, .starts_at, .capacity, .registered, .waiting, .link_capacity, .link_registered,
          .link_waiting, .offer_hours, .promotions} AS event,
       c.visibility AS visibility
"""


async def promote_waitlist(
    tx: Transaction, event_id: str, *, now: datetime, arrival: str | None = None
) -> list[Promotion]:
    """Give free seats to those who wait, by the rule, with all that it owes; returns who got them, in order.

    The caller's transaction has locked the event by a first write and freed or added seats. `arrival` is a customer
    who is registering in this very transaction, and so takes the place without an offer. Nobody is promoted once the
    event has begun, or while it is not published.
    """
    rows = await tx.run(EVENT_SEATS, event_id=event_id)
    if not rows:
        return []
    event: Row = {**rows[0]["event"], "visibility": rows[0]["visibility"]}
    if event["status"] != "PUBLISHED" or event["starts_at"] <= iso(now):
        return []
    promotions: list[Promotion] = []
    for channel in Channel:
        found = await promote_channel(tx, event, channel, now=now, arrival=arrival)
        event["promotions"] = (event.get("promotions") or 0) + len(found)
        promotions += found
    return promotions


async def promote_channel(
    tx: Transaction, event: Row, channel: Channel, *, now: datetime, arrival: str | None
) -> list[Promotion]:
    """The same for one list."""
    free = free_seats(event, channel)
    while waiting_parties(event, channel) and (free is None or free > 0):
        limit = (BATCH if free is None else min(free, BATCH)) + LOOK_AHEAD
        head = await queue_head(tx, event["id"], channel, limit)
        parties = [Party(row["customer_id"], row["party"], row["overtaken"]) for row in head]
        choice = choose_promotions(free, event.get(CAPACITY[channel]), parties, most=BATCH)
        concerned = {*(party.customer_id for party in choice.promoted), *choice.overtaken}
        rows = await registrations_listed(tx, [row for row in head if row["customer_id"] in concerned])
        queue = {row["customer_id"]: row["registration"] for row in rows}
        barred = await barred_among(tx, event, choice.promoted)
        if barred:
            # Somebody who was banned while waiting makes way, and the rest is decided anew.
            await change_registrations(tx, event["id"], [withdrawn(one, queue[one]) for one in barred])
            event[WAITING[channel]] -= len(barred)
            continue
        return await give_places(tx, event, choice, queue, now=now, arrival=arrival)
    return []


def withdrawn(customer_id: str, registration: Row) -> Change:
    return Change(customer_id, registration, {**NOT_WAITING, "status": RegistrationStatus.CANCELLED})


QUEUE_HEAD = listed_by("queue", ", x.party AS party, x.overtaken AS overtaken")


async def queue_head(tx: Transaction, event_id: str, channel: Channel, limit: int) -> list[Row]:
    return await tx.run(QUEUE_HEAD, **span(queue_name(event_id, channel)), limit=limit)


ROLES = """
UNWIND $ids AS id
MATCH (:Customer {id: id})-[m:MEMBER_OF {key: $community_id + ':' + id}]->(:Community)
RETURN id, m.role AS role
"""


async def barred_among(tx: Transaction, event: Row, parties: Sequence[Party]) -> list[str]:
    """Those who may not come any more: the banned, and in a private community whoever has left it."""
    if not parties:
        return []
    ids = [party.customer_id for party in parties]
    roles = {row["id"]: row["role"] for row in await tx.run(ROLES, ids=ids, community_id=event["community_id"])}
    return [one for one in ids if roles.get(one) == "BANNED" or not may_read(event["visibility"], roles.get(one))]


async def give_places(
    tx: Transaction, event: Row, choice: Choice, queue: dict[str, Row], *, now: datetime, arrival: str | None
) -> list[Promotion]:
    """Write a decision, and owe the notices, offers' ends and charges that follow from it."""
    if not choice.promoted:
        return []
    promotions: list[Promotion] = []
    changes: list[Change] = []
    effects: list[Effect] = []
    for number, party in enumerate(choice.promoted, (event.get("promotions") or 0) + 1):
        registration = queue[party.customer_id]
        present = party.customer_id == arrival
        properties = {**placed(event, registration, party.customer_id, present=present, now=now), "promotion": number}
        change = Change(party.customer_id, registration, properties)
        changes.append(change)
        effects += effects_of(event["id"], change, present=present, now=now)
        channel = Channel(registration["channel"])
        status, ticket = str(properties["status"]), int(registration["ticket"])
        promotions.append(Promotion(party.customer_id, channel, party.seats, ticket, number, status))
    for customer_id, times in choice.overtaken.items():
        before = queue[customer_id]
        changes.append(Change(customer_id, before, {"overtaken": (before.get("overtaken") or 0) + times}))
    if len(choice.promoted) >= BATCH:
        effects.append(Effect(WAITLIST_DUE, f"{event['id']}:{promotions[-1].number}", {"event_id": event["id"]}))
    await change_registrations(tx, event["id"], changes, promotions=len(promotions))
    await owe_effects(tx, effects, now=now)
    return promotions


def placed(event: Row, registration: Row, customer_id: str, *, present: bool, now: datetime) -> dict[str, Any]:
    """What a promotion makes of a registration: a seat for whoever is present or needs not confirm, or an offer."""
    hours = event.get("offer_hours")
    hours = DEFAULT_OFFER_HOURS if hours is None else hours
    if present or hours == 0:
        return {**NOT_WAITING, **seat_of(registration)}
    expires_at = min(iso(now + timedelta(hours=hours)), event["starts_at"])
    return {
        **NOT_WAITING,
        "status": RegistrationStatus.OFFERED,
        "offered_at": iso(now),
        "offer_expires_at": expires_at,
        "offer": f"{event['id']}:{expires_at}:{customer_id}",
    }


def seat_of(registration: Row) -> dict[str, Any]:
    """A seat taken; one that costs points is not paid yet."""
    return {"status": RegistrationStatus.REGISTERED, "paid": False if registration.get("price_points") else None}


def effects_of(event_id: str, change: Change, *, present: bool, now: datetime) -> list[Effect]:
    """What a promotion owes: who is present is told by the answer, everybody else by a notice."""
    registration = change.result
    cause = f"{event_id}:{registration['ticket']}"
    if registration["status"] == RegistrationStatus.OFFERED:
        expires_at = registration["offer_expires_at"]
        told = notice(
            NoticeKind.PLACE_OFFERED, change.customer_id, cause, event_id=event_id, offer_expires_at=expires_at
        )
        end = {"event_id": event_id}
        return [told, Effect(OFFER_EXPIRED, f"{cause}:{change.customer_id}", end, parse_instant(expires_at))]
    owed = charges_owed(event_id, change, now=now, at_once=not present)
    return owed if present else [*owed, notice(NoticeKind.PLACE_GIVEN, change.customer_id, cause, event_id=event_id)]


LOCK = """
MATCH (e:Event {id: $event_id})
SET e.touched_at = $now
RETURN e.status AS status
"""


async def promote_now(graph: GraphClient, event_id: str, *, now: datetime) -> list[Promotion]:
    """Promote in a transaction of its own: what is left after a batch."""

    async def work(tx: Transaction) -> list[Promotion]:
        await tx.run(LOCK, event_id=event_id, now=iso(now))
        return await promote_waitlist(tx, event_id, now=now)

    return await graph.transact(work, contended=event_id)


OFFERS = listed_by("offer")

SET_OFFER_DUE = "MATCH (e:Event {id: $event_id}) SET e.offer_due = $due"


async def expire_offers(graph: GraphClient, event_id: str, *, now: datetime) -> list[Promotion]:
    """End the event's offers that are overdue and give their seats to those who wait.

    Each offer ends once, however many workers try: they take turns at the event, and the second finds none.
    """

    async def work(tx: Transaction) -> list[Promotion]:
        locked = await tx.run(LOCK, event_id=event_id, now=iso(now))
        due = {"low": f"{event_id}:", "high": f"{event_id}:{iso(now)};"}
        overdue = await registrations_listed(tx, await tx.run(OFFERS, **due, limit=BATCH))
        changes = [Change(row["customer_id"], row["registration"], dict(EXPIRED)) for row in overdue]
        promoted: list[Promotion] = []
        if changes:
            await change_registrations(tx, event_id, changes)
            if locked[0]["status"] == "PUBLISHED":
                await owe_effects(tx, [expiry_notice(event_id, change) for change in changes], now=now)
            promoted = await promote_waitlist(tx, event_id, now=now)
        if locked:
            left = await tx.run(OFFERS, **span(event_id), limit=1)
            # A place among the offers is `{event}:{expires_at}:{customer}`.
            first = left[0]["place"].removeprefix(f"{event_id}:").rpartition(":")[0] if left else None
            await tx.run(SET_OFFER_DUE, event_id=event_id, due=first)
        return promoted

    return await graph.transact(work, contended=event_id)


EXPIRED: dict[str, Any] = {**NOT_WAITING, "status": RegistrationStatus.OFFER_EXPIRED}


def expiry_notice(event_id: str, change: Change) -> Effect:
    cause = f"{event_id}:{(change.before or {})['ticket']}"
    return notice(NoticeKind.OFFER_EXPIRED, change.customer_id, cause, event_id=event_id)


OVERDUE = """
MATCH (e:Event)
WHERE e.offer_due <= $now
RETURN e.id AS id
LIMIT $limit
"""


async def overdue_events(graph: GraphClient, *, now: datetime, limit: int) -> list[str]:
    """Events with an offer that is overdue, whatever became of the effect that was to end it."""
    return [row["id"] for row in await graph.read(OVERDUE, now=iso(now), limit=limit)]
