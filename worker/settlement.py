"""Referrals settled many at a time: facts, new rewards, points and the graph's edges, each by few statements for all.

Every one of these effects does the same for one as for many, so that whoever settles a single effect uses it too.
"""

from collections.abc import Sequence
from datetime import datetime

from core.db import Session, rows_by_id
from core.fact_kinds import COMPLAINT_FILED
from core.facts import FACT_RECORDED, OWN_SOURCE, Fact
from core.identifiers import IDENTIFYING_FACTS
from customers.alert_looks import owe_looks
from customers.identifiers import Sighting, put_uses
from customers.profiles import customers_since
from graph.client import GraphClient
from loyalty.earning import earn_for_facts
from loyalty.ledger import Cause
from loyalty.lots import Earned, earn_all
from referrals.attribution import REFERRAL_CHANGED, Referral, mark_edges
from referrals.rewards import REFERRAL_REWARD, REWARD_APPROVED, REWARD_MADE, RewardStatus, take_rewards
from referrals.settlement import settle_referees
from service.happenings import owe_service_looks
from worker.payloads import ManyHandler, Payloads
from worker.screening import screen
from worker.serving import serve_facts


async def on_facts_recorded(session: Session, graph: GraphClient, payloads: Payloads, now: datetime) -> None:
    """Facts tell of devices, qualify referrals, earn points, change how a customer is served, and warn of promises."""
    facts = list((await rows_by_id(session, Fact, [one["fact_id"] for one in payloads])).values())
    sightings = [
        Sighting(fact.customer_id, kind, key, fact.occurred_at)
        for fact in facts
        if (kind := IDENTIFYING_FACTS.get(fact.kind)) is not None
        and (key := fact.payload.get("identifier")) is not None
    ]
    # Before rewards are made that these speak against.
    if sightings:
        await put_uses(graph, sightings)
    await settle_customers(session, sorted({one["customer_id"] for one in payloads}), now=now)
    await earn_for_facts(session, facts, now=now)
    await serve_facts(session, facts, now=now)
    await owe_service_looks(session, facts, now=now)
    await owe_alert_looks(session, facts, now=now)


async def owe_alert_looks(session: Session, facts: Sequence[Fact], *, now: datetime) -> None:
    """Owe a look for alerts at those who complained here; imports owe the looks at what they tell themselves."""
    news = [
        (fact.customer_id, fact.occurred_at)
        for fact in facts
        if fact.kind == COMPLAINT_FILED and fact.source == OWN_SOURCE
    ]
    await owe_looks(session, news, now=now)


async def settle_customers(session: Session, customer_ids: Sequence[str], *, now: datetime) -> None:
    """Settle the referrals of these referees; who has no profile has not been a customer before."""
    since: dict[str, datetime | None] = dict.fromkeys(customer_ids)
    await settle_referees(session, since | await customers_since(session, customer_ids), now=now)


async def on_referrals_changed(session: Session, graph: GraphClient, payloads: Payloads, _: datetime) -> None:
    """Write to the graph where referrals stand by now."""
    referrals = await rows_by_id(session, Referral, [one["referral_id"] for one in payloads])
    await mark_edges(graph, referrals.values())


async def on_rewards_made(session: Session, graph: GraphClient, payloads: Payloads, _: datetime) -> None:
    """Let new rewards go to the ledger, or hold those whose referral looks like fraud."""
    rewards = await take_rewards(session, [one["reward_id"] for one in payloads], RewardStatus.PENDING)
    await screen(session, graph, rewards)


async def on_rewards_approved(session: Session, _: GraphClient, payloads: Payloads, now: datetime) -> None:
    """Put the points of approved rewards into the ledger."""
    rewards = await take_rewards(session, [one["reward_id"] for one in payloads], RewardStatus.APPROVED)
    earned = [
        Earned(
            key=reward.key,
            customer_id=reward.customer_id,
            points=reward.points,
            cause=Cause(REFERRAL_REWARD, reward.id),
            occurred_at=reward.reached_at,
            available_at=reward.available_at,
            expires_at=reward.expires_at,
        )
        # What was reached first is booked first, so that a ledger reads in the order in which things happened.
        for reward in sorted(rewards, key=lambda reward: (reward.reached_at, reward.key))
    ]
    await earn_all(session, earned, now=now)
    for reward in rewards:
        reward.status = RewardStatus.ISSUED


MANY: dict[str, ManyHandler] = {
    FACT_RECORDED: on_facts_recorded,
    REFERRAL_CHANGED: on_referrals_changed,
    REWARD_MADE: on_rewards_made,
    REWARD_APPROVED: on_rewards_approved,
}
