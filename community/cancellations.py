"""Giving places back: by their customers, by those who run the event, and where points cannot be charged."""

from datetime import datetime
from typing import Any

from community.admissions import ReasonInvalid
from community.checkin import AlreadyCheckedIn
from community.events import audited
from community.notices import notice
from community.prices import Charge, refunds_owed, unpaid_charge
from community.registrations import KEPT, OVER, AlreadyAttended, Standing, standing
from community.running import check_runs
from community.seats import (
    NOT_WAITING,
    Change,
    Channel,
    Locked,
    RegistrationStatus,
    change_registrations,
    lock_event,
    waiting_parties,
)
from community.waitlist import Promotion, promote_waitlist
from core.audit import checked_reason
from core.clock import iso
from core.errors import NotFound, Refusal
from core.ids import new_id
from core.notices import NoticeKind
from graph.client import GraphClient, Row, Transaction
from graph.owed import Effect, owe_effects


class CancelledTooLate(Refusal):
    code = "CANCELLED_TOO_LATE"
    en = "The event has begun; registrations can no longer be cancelled."
    zh = "活动已开始，无法取消报名。"


async def cancel_registration(graph: GraphClient, *, event_id: str, customer_id: str, now: datetime) -> Standing:
    """Give back a seat, an offer or a place in the list; cancelling twice is cancelling once.

    Points paid are owed back. Raises NotFound, AlreadyAttended, CancelledTooLate.
    """

    async def work(tx: Transaction) -> Standing:
        found = await lock_event(tx, event_id, customer_id, now)
        registration = found.registration if found else None
        if found is None or registration is None:
            raise NotFound(path=("eventId",))
        if registration["status"] in OVER:
            raise AlreadyAttended(path=("eventId",))
        if registration["status"] not in KEPT:
            return standing(event_id, customer_id, registration)
        if found.event["starts_at"] <= iso(now):
            raise CancelledTooLate(path=("eventId",))
        change = Change(customer_id, registration, cancelled(registration, now))
        promotions = await give_back(tx, found, change, now=now)
        return standing(event_id, customer_id, change.result, promotions)

    return await graph.transact(work, contended=event_id)


async def cancel_for_customer(
    graph: GraphClient, *, event_id: str, customer_id: str, actor_id: str, reason: str | None, now: datetime
) -> Standing:
    """The same by somebody who runs the event, of which the customer is told with the reason, and the act audited.

    Raises NotFound where the actor does not run the event or there is no registration, ReasonInvalid,
    CancelledTooLate, AlreadyCheckedIn.
    """
    text = checked_reason(reason or "", ReasonInvalid)
    act_id = new_id()

    async def work(tx: Transaction) -> Standing:
        await check_runs(tx, event_id, actor_id)
        found = await lock_event(tx, event_id, customer_id, now)
        registration = found.registration if found else None
        if found is None or registration is None:
            raise NotFound(path=("customerId",))
        if found.event["starts_at"] <= iso(now):
            raise CancelledTooLate(path=("eventId",))
        if registration["status"] in OVER:
            raise AlreadyCheckedIn(path=("customerId",))
        if registration["status"] not in KEPT:
            return standing(event_id, customer_id, registration)
        change = Change(customer_id, registration, cancelled(registration, now))
        await owe_effects(tx, cancellation_told(found, change, actor_id, text, act_id=act_id, now=now), now=now)
        promotions = await give_back(tx, found, change, now=now)
        return standing(event_id, customer_id, change.result, promotions)

    return await graph.transact(work, contended=event_id)


def cancellation_told(
    found: Locked, change: Change, actor_id: str, reason: str, *, act_id: str, now: datetime
) -> list[Effect]:
    """What the customer is told and the trail keeps of a registration that somebody else cancelled."""
    event_id, community_id = found.event["id"], found.event["community_id"]
    about = {"event_id": event_id, "community_id": community_id, "reason": reason}
    before = (change.before or {})["status"]
    return [
        notice(NoticeKind.REGISTRATION_CANCELLED, change.customer_id, act_id, **about),
        audited(
            community_id,
            actor_id,
            "REGISTRATION_CANCELLED",
            change.customer_id,
            kind="Customer",
            key=act_id,
            now=now,
            reason=reason,
            event_id=event_id,
            status_before=before,
        ),
    ]


def cancelled(registration: Row, now: datetime) -> dict[str, Any]:
    paid = False if registration.get("price_points") else None
    return {**NOT_WAITING, "status": RegistrationStatus.CANCELLED, "cancelled_at": iso(now), "paid": paid}


async def give_back(tx: Transaction, found: Locked, change: Change, *, now: datetime) -> list[Promotion]:
    """Free what a registration held, owe its points back, and promote who waits for it."""
    event_id = found.event["id"]
    await change_registrations(tx, event_id, [change])
    await owe_effects(tx, refunds_owed(event_id, change), now=now)
    if not any(waiting_parties(found.event, channel) for channel in Channel):
        return []
    return await promote_waitlist(tx, event_id, now=now)


async def release_seat(graph: GraphClient, charge: Charge, *, now: datetime, tell: bool) -> list[Promotion]:
    """Take back a seat whose points could not be charged; a seat that is paid or gone is left alone.

    With `tell` the customer gets a notice, because nobody was there to be answered.
    """
    event_id, customer_id = charge.event_id, charge.customer_id

    async def work(tx: Transaction) -> list[Promotion]:
        found = await lock_event(tx, event_id, customer_id, now)
        registration = found.registration if found else None
        if found is None or registration is None or unpaid_charge(event_id, customer_id, registration) != charge:
            return []
        change = Change(customer_id, registration, cancelled(registration, now))
        if tell:
            cause = f"{event_id}:{charge.sequence}"
            await owe_effects(tx, [notice(NoticeKind.PAYMENT_FAILED, customer_id, cause, event_id=event_id)], now=now)
        return await give_back(tx, found, change, now=now)

    return await graph.transact(work, contended=event_id)
