"""One table from what is owed to what settles it; each effect commits together with its settlement."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import structlog

from community.bans import BAN_ENDED, end_ban
from community.cancellations import release_seat
from community.comments import ANSWER_ACCEPTED
from community.content import CONTENT_DELETED
from community.departures import close_events, withdraw_barred, withdraw_outsiders
from community.event_changes import (
    EVENT_CHANGED,
    EVENT_COMPLETED,
    concerned,
    end_registrations,
)
from community.messages import EVENT_MESSAGE
from community.prices import (
    EVENT_CANCELLED,
    REGISTRATION_CHARGE,
    REGISTRATION_PAID,
    REGISTRATION_REFUND,
    Charge,
    SeatState,
    mark_paid,
    mark_refunded,
    seat_of_charge,
)
from community.reports import REPORTS_RESOLVED, Resolution, close_case, tell_reporters
from community.search_documents import SEARCH_INDEX, settle_index
from community.standing import COMMUNITY_ARCHIVED, COMMUNITY_HIDDEN, MEMBER_BARRED
from community.waitlist import OFFER_EXPIRED, WAITLIST_DUE, expire_offers, promote_now
from core import outbox
from core.audit import ACT_AUDITED, record_act
from core.clock import parse_instant, utc_now
from core.facts import OWN_SOURCE, NewFact, record_facts
from core.live import told
from core.messages import MESSAGE_OWED
from core.notices import NOTICE_OWED, NoticeKind
from customers.erasure import CUSTOMER_ERASED
from customers.merging import CUSTOMER_MERGED
from customers.profiles import is_erased
from customers.tag_merges import TAG_MERGED
from customers.tier_overrides import TIER_OVERRIDE_DUE, expire_override
from customers.tier_standing import TIER_PROJECTED, project_tiers
from graph.client import Row
from loyalty.charges import ChargeOver, charge_event, refund_all, refund_event
from loyalty.fulfilment import expire_redemption
from loyalty.ledger import InsufficientPoints
from loyalty.lots import POINTS_RELEASE, release
from loyalty.redemption import REDEMPTION_DUE
from referrals.attribution import REFERRAL_CLAIMED, Referral, referees_since
from referrals.rewards import REWARD_REVERSED
from service.notifications import notify
from worker.care_dates import CARE
from worker.clawback import take_back
from worker.complaining import COMPLAINING
from worker.erasing import erase_everywhere
from worker.insight import INSIGHT
from worker.merging import merge_everywhere
from worker.messaging import MESSAGING
from worker.payloads import ManyHandler
from worker.promises import PROMISES, record_abandoned
from worker.recommending import RECOMMENDING
from worker.serving import SERVING
from worker.settlement import MANY, settle_customers
from worker.suitability import SUITABILITY
from worker.tags import carry_out_merge
from worker.work import Handler, Stores, Work

REFERRAL_RESETTLED = "referral.resettled"

log = structlog.get_logger(__name__)


async def on_referral_claimed(work: Work) -> None:
    """Facts may have come before the claim; and whom the referee has brought since may have a second level now."""
    await settle_customers(work.session, [work.payload["customer_id"]], now=work.now)
    referral = await work.session.get(Referral, work.key)
    if referral is None:
        return
    below = await referees_since(
        work.session, referral.referee_id, program_id=referral.program_id, since=referral.claimed_at
    )
    payloads: dict[str, dict[str, Any]] = {f"{work.key}:{one}": {"customer_id": one} for one in below}
    await outbox.owe_all(work.session, topic=REFERRAL_RESETTLED, payloads=payloads, now=work.now, hint=True)


async def on_referral_resettled(work: Work) -> None:
    await settle_customers(work.session, [work.payload["customer_id"]], now=work.now)


async def on_reward_reversed(work: Work) -> None:
    await take_back(work.session, work.payload["reward_id"], reason=work.payload["reason"], now=work.now)


async def on_points_release(work: Work) -> None:
    await release(work.session, work.payload["lot_id"], now=work.now)


async def on_redemption_due(work: Work) -> None:
    """End a reservation that its partner has not fulfilled in time; nothing where it has ended."""
    await expire_redemption(work.session, work.payload["redemption_id"], now=work.now)


async def on_tier_projected(work: Work) -> None:
    """Write tiers that have changed to the graph, as they are by now."""
    await project_tiers(work.session, work.graph, work.payload["customer_ids"])


async def on_tier_override_due(work: Work) -> None:
    """End an override that is over; who asks in between is told by the instant already."""
    await expire_override(work.session, work.payload["override_id"], now=work.now)


async def on_act_audited(work: Work) -> None:
    """Write the entry, without the words where whoever it concerns was erased meanwhile."""
    concerns = work.payload.get("concerns")
    words_go = concerns is not None and await is_erased(work.session, concerns)
    await record_act(work.session, work.key, {**work.payload, "reason": None} if words_go else work.payload)


async def on_notice_owed(work: Work) -> None:
    """Store the notice, but for the erased; whoever listens for the customer's notices is told of a new one."""
    if await is_erased(work.session, work.payload["customer_id"]):
        return
    await record_abandoned(work.session, work.key, work.payload, now=work.now)
    if await notify(work.session, work.key, work.payload, now=work.now):
        work.told.append((f"customer:{work.payload['customer_id']}", {"kind": work.payload["kind"]}))


async def on_answer_accepted(work: Work) -> None:
    """Record the fact of an accepted answer, by which its author earns once for each question."""
    fact = NewFact(
        source=OWN_SOURCE,
        key=f"answer:{work.payload['post_id']}",
        kind="ANSWER_ACCEPTED",
        customer_id=work.payload["customer_id"],
        occurred_at=parse_instant(work.payload["accepted_at"]),
        payload={name: work.payload[name] for name in ("post_id", "comment_id", "community_id")},
    )
    await record_facts(work.session, [fact], now=work.now)


async def on_content_deleted(work: Work) -> None:
    """Nothing is left to decide about what a moderator has deleted."""
    await close_case(
        work.session,
        work.payload["target_id"],
        resolution=Resolution.DELETE,
        moderator_id=work.payload["actor_id"],
        note=work.payload["reason"],
        now=work.now,
    )


async def on_reports_resolved(work: Work) -> None:
    await tell_reporters(work.session, work.payload, now=work.now)


async def on_ban_ended(work: Work) -> None:
    """Lift a ban whose time is over; the graph keeps it from being done to a ban that was prolonged."""
    await end_ban(work.graph, **work.payload, now=work.now)


async def on_member_barred(work: Work) -> None:
    """Give back the seats of somebody who may not come any more."""
    for event_id in await withdraw_barred(work.graph, **work.payload, now=work.now):
        ring_event(work, event_id)


# So many events are cancelled in one go; what follows is an effect of its own.
EVENTS = 50


async def on_community_archived(work: Work) -> None:
    """Cancel the coming events of a community that has closed."""
    community_id, done = work.payload["community_id"], work.payload.get("done", 0)
    ids = await close_events(work.graph, community_id, limit=EVENTS, now=work.now)
    for event_id in ids:
        ring_event(work, event_id)
    if len(ids) == EVENTS:
        payload, key = {"community_id": community_id, "done": done + EVENTS}, f"{community_id}:{done + EVENTS}"
        await outbox.owe(work.session, topic=COMMUNITY_ARCHIVED, key=key, payload=payload, now=work.now)


# So many outsiders lose their seats in one go.
OUTSIDERS = 100


async def on_community_hidden(work: Work) -> None:
    """Give back what outsiders hold of the coming events of a community that has become private."""
    community_id, after = work.payload["community_id"], work.payload["after"]
    rows = await withdraw_outsiders(work.graph, community_id, after=after, limit=OUTSIDERS, now=work.now)
    for event_id in sorted({row["event_id"] for row in rows}):
        ring_event(work, event_id)
    if len(rows) == OUTSIDERS:
        rest = {**work.payload, "after": rows[-1]["key"]}
        key = f"{work.key.partition('>')[0]}>{rest['after']}"
        await outbox.owe(work.session, topic=COMMUNITY_HIDDEN, key=key, payload=rest, now=work.now)


async def on_search_index(work: Work) -> None:
    """Tell the search what communities, events or posts are by now."""
    await settle_index(work.graph, work.session, work.key, work.payload, now=work.now)


async def on_registration_charge(work: Work) -> None:
    """Charge a seat for which no request did; where the points do not suffice, it goes to the next who waits."""
    charge = Charge(**work.payload)
    state = await seat_of_charge(work.graph, charge)
    if state == SeatState.GONE:
        # What took the seat away may have come before its charge: that is given back, or made void for ever.
        await refund_event(work.session, **work.payload, now=work.now)
    if state != SeatState.DUE:
        return
    try:
        async with work.session.begin_nested():
            await charge_event(work.session, **work.payload, now=work.now)
    except (InsufficientPoints, ChargeOver):
        await release_seat(work.graph, charge, now=work.now, tell=True)
        ring_event(work, charge.event_id)
        return
    # The seat is marked as paid only when the points are booked, so in a transaction after this one.
    await outbox.owe(work.session, topic=REGISTRATION_PAID, key=charge.key, payload=work.payload, now=work.now)


async def on_registration_paid(work: Work) -> None:
    """Mark the seat; where it has gone meanwhile, the points go back."""
    if not await mark_paid(work.graph, Charge(**work.payload)):
        await refund_event(work.session, **work.payload, now=work.now)


async def on_registration_refund(work: Work) -> None:
    """Give back what a seat cost, or see to it that it never costs anything."""
    await refund_event(work.session, **work.payload, now=work.now)


# So many charges are given back in one transaction; the next page is an effect of its own.
REFUNDS = 200


async def on_event_cancelled(work: Work) -> None:
    """Give back one page of what was paid for an event that does not take place."""
    event_id = work.payload["event_id"]
    charges = await refund_all(work.session, event_id, limit=REFUNDS, now=work.now)
    given = [Charge(event_id, one.customer_id, one.sequence, one.points) for one in charges]
    await mark_refunded(work.graph, given)
    if len(charges) == REFUNDS:
        key = f"{event_id}:{charges[-1].id}"
        await outbox.owe(work.session, topic=EVENT_CANCELLED, key=key, payload=work.payload, now=work.now)


async def on_offer_expired(work: Work) -> None:
    """End what is overdue of an event's offers; its seats go to the next who wait."""
    await expire_offers(work.graph, work.payload["event_id"], now=work.now)
    ring_event(work, work.payload["event_id"])


async def on_waitlist_due(work: Work) -> None:
    """Promote the next batch of a list that was too long for one transaction."""
    await promote_now(work.graph, work.payload["event_id"], now=work.now)
    ring_event(work, work.payload["event_id"])


def ring_event(work: Work, event_id: str) -> None:
    work.told.append((f"event:{event_id}", {"event_id": event_id}))


# So many customers of an event are told or marked in one transaction; the next page is an effect of its own.
PAGE = 500


async def on_event_changed(work: Work) -> None:
    """Tell one page of an event's registered; each of them is told once of a change, however often this runs."""
    event_id, change_id, kind = (work.payload[name] for name in ("event_id", "change_id", "kind"))
    people = await concerned(work.graph, event_id, after=work.payload.get("after", ""), limit=PAGE)
    data = {"event_id": event_id, **work.payload["data"]}
    for customer_id in ids_of(people):
        # A change of a whole series has one id for all its events, so that its regulars are told once.
        about = event_id if kind == NoticeKind.EVENT_CANCELLED else change_id
        notice = {"customer_id": customer_id, "kind": kind, "data": data}
        await on_notice_owed(replace(work, key=f"{kind.lower()}:{about}:{customer_id}", payload=notice))
    await owe_next_page(work, EVENT_CHANGED, f"{event_id}:{change_id}", [one["mark"] for one in people])


async def on_event_message(work: Work) -> None:
    """Tell one page of an event's registrants what those who run it wrote; each of them is told once."""
    event_id, message_id = work.payload["event_id"], work.payload["message_id"]
    people = await concerned(
        work.graph,
        event_id,
        after=work.payload.get("after", ""),
        limit=PAGE,
        statuses=work.payload["statuses"],
    )
    for customer_id in ids_of(people):
        notice = {"customer_id": customer_id, "kind": NoticeKind.EVENT_MESSAGE, "data": work.payload["data"]}
        await on_notice_owed(replace(work, key=f"event_message:{message_id}:{customer_id}", payload=notice))
    await owe_next_page(work, EVENT_MESSAGE, f"{event_id}:{message_id}", [one["mark"] for one in people])


def ids_of(people: list[Row]) -> list[str]:
    return [one["customer_id"] for one in people]


async def on_event_completed(work: Work) -> None:
    """End one page of the registrations that are still open: who had a place did not come."""
    event_id = work.payload["event_id"]
    ids = await end_registrations(work.graph, event_id, limit=PAGE, now=work.now)
    await owe_next_page(work, EVENT_COMPLETED, event_id, ids)


async def owe_next_page(work: Work, topic: str, key: str, marks: list[str]) -> None:
    """Owe what comes after a full page, in the transaction of the page; the marks say where each of it stood."""
    if len(marks) == PAGE:
        payload = {**work.payload, "after": marks[-1]}
        await outbox.owe(work.session, topic=topic, key=f"{key}:{marks[-1]}", payload=payload, now=work.now)


async def on_customer_erased(work: Work) -> None:
    """Take out of all rooms what there is of somebody who was erased."""
    await erase_everywhere(work.session, work.graph, work.payload["customer_id"], now=work.now)


async def on_customer_merged(work: Work) -> None:
    """Move what the rooms have of a profile that became one with another."""
    await merge_everywhere(work.session, work.graph, work.payload["merge_id"], now=work.now)


async def on_tag_merged(work: Work) -> None:
    """Move the next customers' tags, and after the last of them whatever names the tag."""
    await carry_out_merge(work.session, work.graph, work.payload, now=work.now)


def one_of(many: ManyHandler) -> Handler:
    """The handler of a single effect that is settled by what settles many."""

    async def handle(work: Work) -> None:
        await many(work.session, work.graph, [work.payload], work.now)

    return handle


# What is settled many at a time.
TOGETHER: dict[str, ManyHandler] = {
    **MANY,
    **INSIGHT,
    **RECOMMENDING,
    **COMPLAINING,
    **SERVING,
    **CARE,
    **SUITABILITY,
    **PROMISES,
}
HANDLERS: dict[str, Handler] = {
    **{topic: one_of(many) for topic, many in TOGETHER.items()},
    **MESSAGING,
    REFERRAL_CLAIMED: on_referral_claimed,
    REFERRAL_RESETTLED: on_referral_resettled,
    REWARD_REVERSED: on_reward_reversed,
    POINTS_RELEASE: on_points_release,
    REDEMPTION_DUE: on_redemption_due,
    TIER_PROJECTED: on_tier_projected,
    TIER_OVERRIDE_DUE: on_tier_override_due,
    ACT_AUDITED: on_act_audited,
    NOTICE_OWED: on_notice_owed,
    ANSWER_ACCEPTED: on_answer_accepted,
    CONTENT_DELETED: on_content_deleted,
    REPORTS_RESOLVED: on_reports_resolved,
    BAN_ENDED: on_ban_ended,
    MEMBER_BARRED: on_member_barred,
    COMMUNITY_ARCHIVED: on_community_archived,
    COMMUNITY_HIDDEN: on_community_hidden,
    SEARCH_INDEX: on_search_index,
    REGISTRATION_CHARGE: on_registration_charge,
    REGISTRATION_PAID: on_registration_paid,
    REGISTRATION_REFUND: on_registration_refund,
    EVENT_CANCELLED: on_event_cancelled,
    OFFER_EXPIRED: on_offer_expired,
    WAITLIST_DUE: on_waitlist_due,
    EVENT_CHANGED: on_event_changed,
    EVENT_COMPLETED: on_event_completed,
    EVENT_MESSAGE: on_event_message,
    CUSTOMER_ERASED: on_customer_erased,
    CUSTOMER_MERGED: on_customer_merged,
    TAG_MERGED: on_tag_merged,
}


# Effects with somebody's words about a person in their payload, which is kept nowhere but where it was to go.
SPEAKING = frozenset({ACT_AUDITED, NOTICE_OWED, MESSAGE_OWED, CONTENT_DELETED, REPORTS_RESOLVED})


async def settle_many(stores: Stores, topic: str, row_ids: Sequence[str]) -> int:
    """Settle several effects of one topic in one transaction; returns how many were settled.

    Where one of them fails, each is settled by itself, so that it holds up no other.
    """
    if topic not in TOGETHER or len(row_ids) == 1:
        return sum([await settle(stores, row_id) for row_id in row_ids])
    now = utc_now()
    try:
        async with stores.database.write() as session:
            rows = await outbox.take_all(session, row_ids)
            if rows:
                await TOGETHER[topic](session, stores.graph, [row.payload for row in rows], now)
            for row in rows:
                outbox.settle(row, now=now)
        for channel, message in told(session):
            await stores.publish(channel, message)
        return len(rows)
    except Exception:
        log.exception("effects_failed_together", topic=topic, effects=len(row_ids))
        return sum([await settle(stores, row_id) for row_id in row_ids])


async def settle(stores: Stores, row_id: str) -> bool:
    """Settle one owed effect; False when there was nothing to do or it failed and was postponed."""
    now = utc_now()
    try:
        async with stores.database.write() as session:
            row = await outbox.take(session, row_id)
            if row is None:
                return False
            work = Work(session, stores.graph, row.key, row.payload, now, stores.outlets)
            await HANDLERS[row.topic](work)
            outbox.settle(row, now=now, forget=row.topic in SPEAKING)
        for channel, message in [*work.told, *told(session)]:
            await stores.publish(channel, message)
        return True
    except Exception as error:
        log.exception("effect_failed", outbox_id=row_id)
        async with stores.database.write() as session:
            await outbox.postpone(session, row_id, failure=type(error).__name__, now=now)
        return False
