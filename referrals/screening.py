"""Screening: a new reward is approved where little speaks against its referral, and else held by a case."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlmodel import col, select

from core.db import Session
from graph.client import GraphClient
from referrals.attribution import Referral
from referrals.fraud_cases import CaseKind, CaseStatus, is_decided, suspect
from referrals.fraud_graph import group_around, read_neighbourhood
from referrals.fraud_rings import Ring
from referrals.fraud_signals import (
    Assessment,
    FraudPolicy,
    Signal,
    Tie,
    assess,
    email_signal,
    is_one_household,
)
from referrals.fraud_velocity import identifier_velocity, referrer_velocity
from referrals.households import households_of
from referrals.rewards import ReferralReward, RewardStatus
from referrals.settlement import approve_reward

# Of one referrer so many claims around an instant are looked at; more say nothing more.
MOST_CLAIMS = 200


async def screen_reward(
    session: Session,
    graph: GraphClient,
    reward: ReferralReward,
    *,
    emails: Mapping[str, str | None],
    policy: FraudPolicy,
    now: datetime,
) -> None:
    """Approve a pending reward that is locked, or hold it; one that a case holds already is left to the reviewer.

    `emails` are those of referrer and referee by their ids.
    """
    if reward.status != RewardStatus.PENDING or reward.case_id is not None:
        return
    referral = await session.get_one(Referral, reward.referral_id)
    members, found = await assess_referral(session, graph, referral, emails=emails, policy=policy)
    pair = (referral.referrer_id, referral.referee_id)
    if found.score < policy.threshold or await is_decided(session, pair, found.signals, CaseStatus.CLEARED):
        await approve_reward(session, reward, now=now)
        return
    kind = CaseKind.RING if len(members) >= policy.ring_size else CaseKind.PAIR
    case = await suspect(session, kind, members, found, first=pair, now=now)
    reward.case_id = case.id
    await session.flush()


async def assess_referral(
    session: Session, graph: GraphClient, referral: Referral, *, emails: Mapping[str, str | None], policy: FraudPolicy
) -> tuple[set[str], Assessment]:
    """The group around a referral and what speaks against it; it changes nothing."""
    referrer_id, referee_id = referral.referrer_id, referral.referee_id
    around = await read_neighbourhood(graph, referrer_id, referee_id, policy)
    members = group_around(around, referrer_id, referee_id, policy)
    households = await households_of(session, sorted({*members, *around.uses}))
    claims = await claims_around(session, referral)
    others: list[Signal | None] = [
        email_signal(
            (referrer_id, emails.get(referrer_id)),
            (referee_id, emails.get(referee_id)),
            exempted=is_one_household(referrer_id, referee_id, households),
            policy=policy,
        ),
        referrer_velocity(referrer_id, claims, at=referral.claimed_at, policy=policy),
        *identifier_velocity(around, referee_id, at=referral.claimed_at, households=households, policy=policy),
    ]
    told = [signal for signal in others if signal is not None]
    return members, assess(around, members, households=households, others=told, policy=policy)


async def claims_around(session: Session, referral: Referral) -> list[Tie]:
    """Whom the referrer brought within a day of this referral, in whichever programme."""
    day = timedelta(days=1)
    statement = (
        select(Referral)
        .where(
            Referral.referrer_id == referral.referrer_id,
            col(Referral.claimed_at) > referral.claimed_at - day,
            col(Referral.claimed_at) < referral.claimed_at + day,
        )
        .order_by(col(Referral.claimed_at), col(Referral.id))
        .limit(MOST_CLAIMS)
    )
    return [Tie(row.referrer_id, row.referee_id, row.claimed_at) for row in (await session.exec(statement)).all()]


async def hold_ring(session: Session, ring: Ring, *, now: datetime) -> str | None:
    """Open or join a case for a ring and hold what its members have not been given yet; returns the case's id.

    None where a reviewer has cleared exactly these of exactly this, or confirmed it and there is nothing to hold.
    """
    signals = ring.assessment.signals
    if await is_decided(session, ring.members, signals, CaseStatus.CLEARED):
        return None
    # Rewards before the case, as a reviewer locks them; by key, as settlement does.
    statement = select(ReferralReward).where(
        col(ReferralReward.customer_id).in_(ring.members),
        col(ReferralReward.case_id).is_(None),
        col(ReferralReward.status).in_((RewardStatus.PENDING, RewardStatus.APPROVED)),
    )
    locked = statement.order_by(col(ReferralReward.key)).with_for_update()
    rewards = (await session.exec(locked.execution_options(populate_existing=True))).all()
    if not rewards and await is_decided(session, ring.members, signals, CaseStatus.CLEARED, CaseStatus.CONFIRMED):
        return None
    case = await suspect(session, CaseKind.RING, ring.members, ring.assessment, now=now)
    for reward in rewards:
        reward.status, reward.case_id = RewardStatus.PENDING, case.id
    await session.flush()
    return case.id
