"""Fraud in the worker: each new reward is screened, and all customers are searched for rings."""

from collections.abc import Sequence

from core.batches import in_batches
from core.clock import utc_now
from core.db import Database, Session, rows_by_id
from customers.personal import emails_of
from graph.client import GraphClient
from referrals.attribution import Referral
from referrals.fraud_rings import RingSearch, export_ties, find_rings
from referrals.fraud_signals import FraudPolicy
from referrals.households import households_of
from referrals.rewards import ReferralReward
from referrals.screening import hold_ring, screen_rewards
from referrals.settlement import approve_rewards

POLICY = FraudPolicy()
GROUPS_AT_ONCE = 50


async def screen(session: Session, graph: GraphClient, rewards: Sequence[ReferralReward]) -> None:
    """Approve or hold pending rewards that are locked; those of one referral together."""
    referrals = await rows_by_id(session, Referral, {reward.referral_id for reward in rewards})
    people = {person for one in referrals.values() for person in (one.referrer_id, one.referee_id)}
    emails = await emails_of(session, people)
    approved = await screen_rewards(session, graph, rewards, emails=emails, policy=POLICY, now=utc_now())
    await approve_rewards(session, approved, now=utc_now())


async def search_rings(database: Database, graph: GraphClient) -> dict[str, int]:
    """Hold what rings have not been given yet, one transaction for each ring; run again, it ends the same."""
    search = RingSearch(await export_ties(graph), POLICY)
    candidates = rings = cases = 0
    for groups in in_batches([search.members(group) for group in search.groups()], GROUPS_AT_ONCE):
        candidates += len(groups)
        ids = sorted({search.ties.customers[place] for group in groups for place in group})
        async with database.read() as session:
            households = await households_of(session, ids)
        for ring in find_rings(search, groups, households):
            rings += 1
            async with database.write() as session:
                cases += await hold_ring(session, ring, now=utc_now()) is not None
    return {"customers": len(search.ties.customers), "candidates": candidates, "rings": rings, "cases": cases}
