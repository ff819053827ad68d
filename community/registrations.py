"""Registering for events: seats within capacity under any number of writers, and a place in the list beyond it."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from community.access import may_read
from community.prices import Charge, charges_owed, unpaid_charge
from community.registration_conditions import UNASKED, Questions, check_conditions
from community.seats import (
    CAPACITY,
    NOT_WAITING,
    Change,
    Channel,
    Locked,
    RegistrationStatus,
    change_registrations,
    channel_of,
    channels_of,
    free_seats,
    lock_event,
    registration_key,
    waiting_parties,
)
from community.waitlist import Promotion, promote_waitlist, queue_of, rank_of, seat_of
from core.clock import iso
from core.errors import BadUserInput, NotFound, Refusal
from core.paging import Page, Place, cut, goes_back, page_size, position_at
from graph.client import GraphClient, Row, Transaction
from graph.owed import owe_effects

KEPT = (RegistrationStatus.REGISTERED, RegistrationStatus.WAITING, RegistrationStatus.OFFERED)
OVER = (RegistrationStatus.ATTENDED, RegistrationStatus.NO_SHOW)


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


class RegistrationNotYetOpen(Refusal):
    code = "REGISTRATION_NOT_YET_OPEN"
    en = "Registration for this event has not opened yet."
    zh = "该活动尚未开放报名。"


class RegistrationClosed(Refusal):
    code = "REGISTRATION_CLOSED"
    en = "Registration for this event has closed."
    zh = "该活动报名已截止。"


class AlreadyRegistered(Refusal):
    code = "ALREADY_REGISTERED"
    en = "You are registered or waiting already, and it cannot be changed in this way. Cancel first to register anew."
    zh = "您已报名或正在候补，当前无法这样更改；如仍需更改，请先取消再重新报名。"


class GuestsNotAllowed(Refusal):
    code = "GUESTS_NOT_ALLOWED"
    en = "You cannot bring that many guests."
    zh = "随行人数超出限制。"


class ChannelNotOffered(Refusal):
    code = "CHANNEL_NOT_OFFERED"
    en = "One cannot take part in this event in this way."
    zh = "该活动不支持此参与方式。"


class GuestsInvalid(BadUserInput):
    code = "GUESTS_INVALID"
    en = "The number of guests is not valid."
    zh = "随行人数无效。"


class NoOffer(Refusal):
    code = "NO_OFFER"
    en = "No place is offered to you for this event."
    zh = "当前没有可确认的名额。"


class OfferOver(Refusal):
    code = "OFFER_EXPIRED"
    en = "The time to confirm this place is over."
    zh = "名额确认已超时。"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a customer stands after an act: the points still to be charged, and who got seats through it."""

    status: RegistrationStatus
    charge: Charge | None = None
    promotions: list[Promotion] = field(default_factory=list[Promotion])
    ticket: int | None = None


def standing(event_id: str, customer_id: str, registration: Row, promotions: Sequence[Promotion] = ()) -> Standing:
    status = RegistrationStatus(registration["status"])
    charge = unpaid_charge(event_id, customer_id, registration)
    return Standing(status, charge, list(promotions), registration.get("ticket"))


@dataclass(frozen=True, slots=True)
class Wish:
    """What a customer asks for: how to take part, with how many guests, and whether they would wait.

    `guests` is how many there are to be in the end.
    """

    channel: Channel | None = None
    guests: int = 0
    waitlist: bool = True


async def register_for_event(
    graph: GraphClient,
    *,
    event_id: str,
    customer_id: str,
    now: datetime,
    channel: Channel | None = None,
    guests: int | None = None,
    waitlist: bool = True,
    questions: Questions = UNASKED,
) -> Standing:
    """Give the customer seats, or a place in the waiting list; who has either keeps it, with this number of guests.

    Without a number there are none, or as many as before. Whoever comes while others wait is last in the list, and
    gets free seats only by its rule. Raises NotFound,
    GuestsInvalid, EventNotOpen, RegistrationNotYetOpen, RegistrationNotYetOpenToAll, RegistrationClosed, NotEligible,
    ChannelNotOffered, GuestsNotAllowed, AlreadyRegistered, AlreadyAttended, or EventFull for who would not wait.
    """
    if guests is not None and guests < 0:
        raise GuestsInvalid(path=("guests",), detail="0 or more")

    async def work(tx: Transaction) -> Standing:
        found = await lock_event(tx, event_id, customer_id, now)
        if found is None or hidden(found):
            raise NotFound(path=("eventId",))
        if found.registration is not None and keeps(found.registration, channel):
            held = found.registration.get("guests") or 0
            wish = Wish(channel_of(found.registration), held if guests is None else guests, waitlist)
            return await change_guests(tx, found, found.registration, customer_id, wish, questions, now=now)
        wish = Wish(channel, guests or 0, waitlist)
        check_open(found, iso(now))
        await check_conditions(found, customer_id, questions, now=now)
        way = check_wish(found, wish)
        return await take_place(tx, found, customer_id, wish, way, now=now)

    return await graph.transact(work, contended=event_id)


def hidden(found: Locked) -> bool:
    """Whether the event does not exist for this customer."""
    return found.event["status"] == "DRAFT" or not may_read(found.visibility, found.role)


def keeps(registration: Row, channel: Channel | None) -> bool:
    """Whether the customer holds or waits for a place already; raises AlreadyRegistered for another channel.

    Raises AlreadyAttended.
    """
    status = registration["status"]
    if status in OVER:
        raise AlreadyAttended(path=("eventId",))
    if status not in KEPT:
        return False
    if channel is not None and channel_of(registration) != channel:
        raise AlreadyRegistered(path=("channel",))
    return True


def check_coming(found: Locked, now: str) -> None:
    """Raise EventNotOpen where the event does not lie ahead, or the customer may not come."""
    event = found.event
    if found.customer_id is None or found.role == "BANNED" or found.archived_at is not None:
        raise EventNotOpen(path=("eventId",))
    if event["status"] != "PUBLISHED" or event["starts_at"] <= now:
        raise EventNotOpen(path=("eventId",))


def check_open(found: Locked, now: str) -> None:
    """Raise what stands against registering now, for anybody or for this customer."""
    event = found.event
    check_coming(found, now)
    if (event.get("registration_opens_at") or "") > now:
        raise RegistrationNotYetOpen(path=("eventId",))
    closes_at = event.get("registration_closes_at")
    if closes_at is not None and closes_at <= now:
        raise RegistrationClosed(path=("eventId",))


def check_wish(found: Locked, wish: Wish) -> Channel:
    """The way in which the customer takes part; raises ChannelNotOffered, GuestsNotAllowed."""
    event = found.event
    offered = channels_of(event)
    way = wish.channel or offered[0]
    if way not in offered:
        raise ChannelNotOffered(path=("channel",))
    allowed = event.get("guests_allowed") or 0
    if wish.guests > allowed:
        raise GuestsNotAllowed(path=("guests",), detail=f"at most {allowed}")
    capacity = event.get(CAPACITY[way])
    if capacity is not None and 1 + wish.guests > capacity:
        raise GuestsNotAllowed(path=("guests",), detail=f"there are {capacity} places in all")
    return way


async def take_place(
    tx: Transaction, found: Locked, customer_id: str, wish: Wish, way: Channel, *, now: datetime
) -> Standing:
    """Take seats, or a ticket; raises EventFull where there is neither."""
    event, event_id = found.event, found.event["id"]
    free = free_seats(event, way)
    fits = free is None or free >= 1 + wish.guests
    seated = fits and not waiting_parties(event, way)
    if not seated and not fits and not wish.waitlist:
        raise EventFull(path=("eventId",))
    properties = asked(found, customer_id, wish, way, now)
    if seated:
        change = Change(customer_id, found.registration, {**properties, **seat_of(properties)})
        await change_registrations(tx, event_id, [change])
        await owe_effects(tx, charges_owed(event_id, change, now=now), now=now)
        return standing(event_id, customer_id, change.result)
    ticket = event.get("next_ticket") or 1
    waits = {"status": RegistrationStatus.WAITING, "ticket": ticket, "queue": queue_of(event_id, way, rank_of(ticket))}
    change = Change(customer_id, found.registration, {**properties, **waits})
    await change_registrations(tx, event_id, [change], tickets=1)
    promotions = await promote_waitlist(tx, event_id, now=now, arrival=customer_id) if fits else []
    return arrived(event_id, change, promotions, waits=wish.waitlist)


def arrived(event_id: str, change: Change, promotions: Sequence[Promotion], *, waits: bool) -> Standing:
    """Where somebody stands who came to the list and may have been promoted; raises EventFull for who will not wait."""
    if any(one.customer_id == change.customer_id for one in promotions):
        return standing(event_id, change.customer_id, {**change.result, **seat_of(change.result)}, promotions)
    if not waits:
        raise EventFull(path=("eventId",))
    return standing(event_id, change.customer_id, change.result, promotions)


async def change_guests(
    tx: Transaction,
    found: Locked,
    registration: Row,
    customer_id: str,
    wish: Wish,
    questions: Questions,
    *,
    now: datetime,
) -> Standing:
    """Bring more or fewer guests without losing the place; raises AlreadyRegistered where they do not fit.

    Fewer are possible until the start, and more while one may register. An offer is taken as it is, or left.
    """
    event_id, extra = found.event["id"], wish.guests - (registration.get("guests") or 0)
    if not extra:
        return standing(event_id, customer_id, registration)
    if registration["status"] == RegistrationStatus.OFFERED:
        raise AlreadyRegistered(path=("guests",))
    if extra < 0:
        check_coming(found, iso(now))
    else:
        check_open(found, iso(now))
        await check_conditions(found, customer_id, questions, now=now)
        check_wish(found, wish)
    change = Change(customer_id, registration, {"guests": wish.guests})
    if registration["status"] == RegistrationStatus.WAITING:
        return await wait_with(tx, found.event, change, extra, waits=wish.waitlist, now=now)
    way = channel_of(registration)
    free = free_seats(found.event, way)
    if extra > 0 and (waiting_parties(found.event, way) or (free is not None and free < extra)):
        raise AlreadyRegistered(path=("guests",))
    await change_registrations(tx, event_id, [change])
    waited_for = extra < 0 and waiting_parties(found.event, way)
    promotions = await promote_waitlist(tx, event_id, now=now) if waited_for else []
    return standing(event_id, customer_id, change.result, promotions)


async def wait_with(tx: Transaction, event: Row, change: Change, extra: int, *, waits: bool, now: datetime) -> Standing:
    """Wait with another number of guests: with fewer at the same place, with more at the end of the list.

    Either may be what the free seats were kept from or waited for, so the rule is asked again.
    """
    if extra > 0:
        ticket = event.get("next_ticket") or 1
        way = channel_of(change.result)
        place = {"ticket": ticket, "queue": queue_of(event["id"], way, rank_of(ticket)), "overtaken": None}
        change = replace(change, after={**change.after, **place})
    await change_registrations(tx, event["id"], [change], tickets=int(extra > 0))
    promotions = await promote_waitlist(tx, event["id"], now=now, arrival=change.customer_id)
    return arrived(event["id"], change, promotions, waits=waits or extra < 0)


def asked(found: Locked, customer_id: str, wish: Wish, way: Channel, now: datetime) -> dict[str, Any]:
    """What a new registration says besides its status; whatever an earlier one left behind is gone."""
    before = found.registration or {}
    return {
        **NOT_WAITING,
        "ticket": None,
        "promotion": None,
        "offered_at": None,
        "cancelled_at": None,
        "channel": way,
        "guests": wish.guests,
        "registered_at": iso(now),
        "price_points": found.event.get("price_points") or None,
        "paid": None,
        "sequence": (before.get("sequence") or 0) + 1,
    }


async def confirm_registration(graph: GraphClient, *, event_id: str, customer_id: str, now: datetime) -> Standing:
    """Take the place that is offered; confirming twice is confirming once. Raises NotFound, NoOffer, OfferOver."""

    async def work(tx: Transaction) -> Standing:
        found = await lock_event(tx, event_id, customer_id, now)
        registration = found.registration if found else None
        if found is None or registration is None or hidden(found):
            raise NotFound(path=("eventId",))
        if registration["status"] == RegistrationStatus.REGISTERED:
            return standing(event_id, customer_id, registration)
        check_offer(found, registration, iso(now))
        change = Change(customer_id, registration, {**NOT_WAITING, **seat_of(registration)})
        await change_registrations(tx, event_id, [change])
        await owe_effects(tx, charges_owed(event_id, change, now=now), now=now)
        return standing(event_id, customer_id, change.result)

    return await graph.transact(work, contended=event_id)


def check_offer(found: Locked, registration: Row, now: str) -> None:
    if registration["status"] == RegistrationStatus.OFFER_EXPIRED:
        raise OfferOver(path=("eventId",))
    if registration["status"] != RegistrationStatus.OFFERED or found.role == "BANNED":
        raise NoOffer(path=("eventId",))
    if found.event["status"] != "PUBLISHED":
        raise EventNotOpen(path=("eventId",))
    # The event may have been moved to before the end of the offer.
    if registration["offer_expires_at"] <= now or found.event["starts_at"] <= now:
        raise OfferOver(path=("eventId",))


COLUMNS = """
r.id AS id, r.key AS key, r.status AS status, r.registered_at AS registered_at, r.attended_at AS attended_at,
coalesce(r.channel, 'PLACE') AS channel, coalesce(r.guests, 0) AS guests, r.queue AS queue,
r.offer_expires_at AS offer_expires_at, r.price_points AS price_points, coalesce(r.paid, false) AS paid
"""

READ_REGISTRATIONS = (
    """
UNWIND $rows AS row
MATCH (:Customer {id: row.customer_id})-[r:REGISTERED_FOR {key: row.key}]->(:Event)
RETURN row.event_id AS event_id, row.customer_id AS customer_id, """
    + COLUMNS
)


async def read_registrations(graph: GraphClient, pairs: Iterable[tuple[str, str]]) -> dict[str, Row]:
    """Registrations by their keys, from pairs of event and customer."""
    rows = [
        {"event_id": event_id, "customer_id": customer_id, "key": registration_key(event_id, customer_id)}
        for event_id, customer_id in pairs
    ]
    return {row["key"]: row for row in await graph.read(READ_REGISTRATIONS, rows=rows)}


async def registrations_for(graph: GraphClient, customer_id: str, event_ids: Sequence[str]) -> dict[str, Row]:
    """The customer's registrations by event id."""
    rows = await read_registrations(graph, [(event_id, customer_id) for event_id in event_ids])
    return {row["event_id"]: row for row in rows.values()}


REGISTRATIONS_OF = (
    """
MATCH (c:Customer {id: $customer_id})-[r:REGISTERED_FOR]->(e:Event)
WHERE ($at = '' OR r.registered_at < $at OR (r.registered_at = $at AND r.id < $id))
  AND ($any OR r.status IN $statuses) AND ($ends_from = '' OR e.ends_at > $ends_from)
RETURN e.id AS event_id, c.id AS customer_id, """
    + COLUMNS
    + """
ORDER BY r.registered_at DESC, r.id DESC
LIMIT $limit
"""
)
# The same from its end: before the place instead of behind it, the earliest first.
REGISTRATIONS_BACK = (
    REGISTRATIONS_OF.replace("_at < $at", "_at > $at").replace("id < $id", "id > $id").replace(" DESC", "")
)


async def registrations_of(
    graph: GraphClient,
    customer_id: str,
    *,
    statuses: Collection[RegistrationStatus] | None = None,
    ends_from: datetime | None = None,
    first: int | None,
    after: Place,
) -> Page[Row]:
    """A customer's registrations, the latest first; those with one of the statuses, for events that end later."""
    size = page_size(first)
    position = position_at(after, str, str) or ("", "")
    chosen: Row = {
        "any": statuses is None,
        "statuses": sorted(set(statuses or ())),
        "ends_from": iso(ends_from) if ends_from else "",
    }
    names: Row = {"customer_id": customer_id, "at": position[0], "id": position[1], **chosen}
    rows = await graph.read(REGISTRATIONS_BACK if goes_back(after) else REGISTRATIONS_OF, limit=size + 1, **names)
    return cut(rows, size, lambda row: (row["registered_at"], row["id"]), after)
