"""Screening: a new reward is approved where little speaks against its referral, and else held by a case."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import literal, union_all
from sqlalchemy import select as sql_select
from sqlmodel import col, select

from core.batches import in_batches
from core.db import Session, rows_by_id
from graph.client import GraphClient
from referrals.attribution import Referral
from referrals.fraud_cases import CaseKind, CaseStatus, is_decided, suspect
from referrals.fraud_graph import group_around, read_neighbourhoods
from referrals.fraud_rings import Ring
from referrals.fraud_signals import (
    Assessment,
    FraudPolicy,
    Neighbourhood,
    Signal,
    Tie,
    assess,
    email_signal,
    is_one_household,
)
from referrals.fraud_velocity import identifier_velocity, referrer_velocity
from referrals.households import households_of
from referrals.rewards import ReferralReward, RewardStatus

Emails = Mapping[str, str | None]

# The surroundings of so many referrals are in memory at a time, and in one statement.
REFERRALS_AT_ONCE = 50
# Of one referrer so many claims around an instant are looked at; more say nothing more.
MOST_CLAIMS = 200


async def screen_rewards(
    session: Session,
    graph: GraphClient,
    rewards: Sequence[ReferralReward],
    *,
    emails: Emails,
    policy: FraudPolicy,
    now: datetime,
) -> list[ReferralReward]:
    """Which of these new rewards, which are locked, are to be approved; the others a case holds from now on.

    Those of one referral are decided together. One that a case holds already is left to the reviewer.
    """
    fresh: dict[str, list[ReferralReward]] = {}
    for reward in rewards:
        if reward.status == RewardStatus.PENDING and reward.case_id is None:
            fresh.setdefault(reward.referral_id, []).append(reward)
    known = await rows_by_id(session, Referral, fresh)
    referrals = [known[referral_id] for referral_id in fresh]
    approved: list[ReferralReward] = []
    for part in in_batches(referrals, REFERRALS_AT_ONCE):
        found = await assess_referrals(session, graph, part, emails=emails, policy=policy)
        for referral, (members, assessment) in zip(part, found, strict=True):
            mine = fresh[referral.id]
            if not await hold_referral(session, referral, mine, members, assessment, policy=policy, now=now):
                approved += mine
    return approved


async def hold_referral(
    session: Session,
    referral: Referral,
    rewards: Sequence[ReferralReward],
    members: set[str],
    found: Assessment,
    *,
    policy: FraudPolicy,
    now: datetime,
) -> bool:
    """Let a case hold the rewards where what was found asks for it; False where it does not, or was cleared."""
    pair = (referral.referrer_id, referral.referee_id)
    if found.score < policy.threshold or await is_decided(session, pair, found.signals, CaseStatus.CLEARED):
        return False
    kind = CaseKind.RING if len(members) >= policy.ring_size else CaseKind.PAIR
    case = await suspect(session, kind, members, found, first=pair, now=now)
    for reward in rewards:
        reward.case_id = case.id
    await session.flush()
    return True


async def assess_referrals(
    session: Session, graph: GraphClient, referrals: Sequence[Referral], *, emails: Emails, policy: FraudPolicy
) -> list[tuple[set[str], Assessment]]:
    """The group around each referral and what speaks against it; it changes nothing.

    The number of reads does not grow with the referrals, up to `REFERRALS_AT_ONCE` of them.
    """
    pairs = [(one.referrer_id, one.referee_id) for one in referrals]
    neighbourhoods = await read_neighbourhoods(graph, pairs, policy)
    everybody = {person for pair in pairs for person in pair}.union(*(around.uses for around in neighbourhoods))
    households = await households_of(session, sorted(everybody))
    claims = await claims_around(session, referrals)
    assessed: list[tuple[set[str], Assessment]] = []
    for referral, around in zip(referrals, neighbourhoods, strict=True):
        members = group_around(around, referral.referrer_id, referral.referee_id, policy)
        others = other_signals(referral, around, claims[referral.id], emails, households, policy)
        assessed.append((members, assess(around, members, households=households, others=others, policy=policy)))
    return assessed


def other_signals(
    referral: Referral,
    around: Neighbourhood,
    claims: Sequence[Tie],
    emails: Emails,
    households: Mapping[str, str],
    policy: FraudPolicy,
) -> list[Signal]:
    """What speaks against a referral besides what is shared: letters alike, and more people than usual."""
    referrer_id, referee_id = referral.referrer_id, referral.referee_id
    found = (
        email_signal(
            (referrer_id, emails.get(referrer_id)),
            (referee_id, emails.get(referee_id)),
            exempted=is_one_household(referrer_id, referee_id, households),
            policy=policy,
        ),
        referrer_velocity(referrer_id, claims, at=referral.claimed_at, policy=policy),
        *identifier_velocity(around, referee_id, at=referral.claimed_at, households=households, policy=policy),
    )
    return [signal for signal in found if signal is not None]


async def claims_around(session: Session, referrals: Sequence[Referral]) -> dict[str, list[Tie]]:
    """Whom the referrer brought within a day of each referral, in whichever programme; one statement for all."""
    day = timedelta(days=1)
    claims: dict[str, list[Tie]] = {one.id: [] for one in referrals}
    parts = [
        select(literal(one.id).label("about"), Referral.referrer_id, Referral.referee_id, Referral.claimed_at)
        .where(
            Referral.referrer_id == one.referrer_id,
            col(Referral.claimed_at) > one.claimed_at - day,
            col(Referral.claimed_at) < one.claimed_at + day,
        )
        .order_by(col(Referral.claimed_at), col(Referral.id))
        .limit(MOST_CLAIMS)
        .subquery()
        for one in referrals
    ]
    connection = await session.connection()
    rows = await connection.execute(union_all(*(sql_select(part) for part in parts)))
    for about, referrer_id, referee_id, claimed_at in rows.all():
        claims[about].append(Tie(referrer_id, referee_id, claimed_at))
    return claims


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
