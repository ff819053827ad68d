"""Settlement: makes, undoes and moves rewards until they are what the referee's facts entitle to."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Field, col, select

from core.db import Record, Session, insert_once, instant
from core.facts import facts_of
from core.outbox import owe
from referrals.attribution import (
    Referral,
    ReferralStatus,
    change_status,
    referral_id,
    referrals_of_referee,
)
from referrals.definition import DEEPEST_REWARD, ProgramDefinition, Side
from referrals.entitlement import Entitlement, entitlements, reconcile
from referrals.limits import free, reserve
from referrals.programs import definition_of
from referrals.qualification import Qualification, qualify
from referrals.rewards import (
    COUNTED,
    EXISTING_CUSTOMER,
    REVERSED,
    REWARD_APPROVED,
    REWARD_MADE,
    REWARD_REVERSED,
    ReferralReward,
    RewardStatus,
    lock_rewards,
    reward_id,
    reward_key,
)


class ReferralStep(Record, table=True):
    """A step that a referral has reached, by which fact and since when; it goes when the step is undone."""

    referral_id: str = Field(primary_key=True, foreign_key="referral.id")
    step: str = Field(primary_key=True)
    program_id: str
    position: int
    fact_id: str
    reached_at: datetime = instant()


async def settle_referee(session: Session, customer_id: str, *, customer_since: datetime | None, now: datetime) -> None:
    """Make the rewards what the referee's facts say by now, and owe what follows for the ledger."""
    referrals = await referrals_of_referee(session, customer_id)
    if not referrals:
        return
    facts = await facts_of(session, customer_id)
    for referral in referrals:
        # Who was taken for an existing customer may turn out not to be: facts decide that, and a reviewer fraud.
        if referral.status == ReferralStatus.REJECTED and referral.reason != EXISTING_CUSTOMER:
            continue
        definition = await definition_of(session, referral.program_id, referral.version)
        outcome = qualify(definition, facts, attributed_from=referral.attributed_from, customer_since=customer_since)
        await settle_referral(session, referral, definition, outcome, now=now)


async def settle_referral(
    session: Session, referral: Referral, definition: ProgramDefinition, outcome: Qualification, *, now: datetime
) -> None:
    """Bring one referral's steps, rewards and status to what its qualification says."""
    parties = await parties_of(session, referral, definition)
    made = await lock_rewards(session, referral.id)
    undo, make = reconcile(entitlements(definition, outcome, parties), made, outcome.undone)
    reason = EXISTING_CUSTOMER if outcome.is_existing_customer else REVERSED
    for reward in undo:
        await undo_reward(session, reward, reason=reason, now=now)
    for wanted, attempt in make:
        await make_reward(session, referral, definition, wanted, attempt, now=now)
    await put_steps(session, referral, outcome)
    status = ReferralStatus.QUALIFIED if outcome.is_complete else ReferralStatus.OPEN
    if outcome.is_existing_customer:
        await change_status(session, referral, ReferralStatus.REJECTED, reason=EXISTING_CUSTOMER, now=now)
    else:
        qualified_at = outcome.steps[-1].reached_at if outcome.is_complete else None
        await change_status(session, referral, status, qualified_at=qualified_at, now=now)


async def parties_of(session: Session, referral: Referral, definition: ProgramDefinition) -> dict[Side, str]:
    """Who can be rewarded; the second level only where the programme pays it, and if it was there before."""
    parties = {Side.REFERRER: referral.referrer_id, Side.REFEREE: referral.referee_id}
    if definition.reward_depth == DEEPEST_REWARD:
        above = await session.get(Referral, referral_id(referral.program_id, referral.referrer_id))
        if above is not None and above.claimed_at < referral.claimed_at and above.status != ReferralStatus.REJECTED:
            parties[Side.SECOND_LEVEL] = above.referrer_id
    return parties


async def undo_reward(session: Session, reward: ReferralReward, *, reason: str, now: datetime) -> None:
    """Take back what was never earned: cancelled where it is not in the ledger yet, else its clawback is owed."""
    if reward.status == RewardStatus.ISSUED:
        reward.reversed_at = now
        payload = {"reward_id": reward.id, "reason": reason}
        await owe(session, topic=REWARD_REVERSED, key=reward.key, payload=payload, now=now)
    else:
        await cancel_reward(session, reward, reason=reason)
    await session.flush()


async def cancel_reward(session: Session, reward: ReferralReward, *, reason: str) -> None:
    """End a reward that is not in the ledger, with its caps and budget freed; one that has ended keeps its end."""
    if reward.status in COUNTED:
        await free(session, reward)
        reward.status = RewardStatus.CANCELLED
    reward.reason = reason
    await session.flush()


async def make_reward(
    session: Session,
    referral: Referral,
    definition: ProgramDefinition,
    wanted: Entitlement,
    attempt: int,
    *,
    now: datetime,
) -> None:
    """Make the reward with its caps and budget reserved in the same transaction; over a limit it is cancelled."""
    given, counters, worth = await reserve(session, referral.program_id, definition, wanted)
    key = reward_key(referral.id, wanted.step, wanted.side, attempt)
    row: dict[str, Any] = {
        "id": reward_id(key),
        "key": key,
        "referral_id": referral.id,
        "program_id": referral.program_id,
        "version": referral.version,
        "step": wanted.step,
        "side": wanted.side,
        "customer_id": wanted.customer_id,
        "fact_id": wanted.fact_id,
        "wanted_points": wanted.points,
        "points": given.points,
        "lost_points": 0,
        "worth": worth,
        "counters": counters,
        "status": RewardStatus.PENDING if given.points else RewardStatus.CANCELLED,
        "reason": given.reason,
        "reached_at": wanted.reached_at,
        "available_at": wanted.reached_at + timedelta(days=definition.hold_days),
        "expires_at": wanted.reached_at + timedelta(days=definition.expires_days),
        "created_at": now,
    }
    # The referral is locked, so nobody else can have made it meanwhile.
    await insert_once(session, ReferralReward, row)
    if given.points:
        payload = {"reward_id": row["id"]}
        await owe(session, topic=REWARD_MADE, key=key, payload=payload, now=now)


async def approve_reward(session: Session, reward: ReferralReward, *, now: datetime) -> None:
    """Let a pending reward go to the ledger, and owe that."""
    if reward.status != RewardStatus.PENDING:
        return
    reward.status = RewardStatus.APPROVED
    await session.flush()
    # One that a case took back after it was approved is owed anew: what was owed first has come to nothing.
    key = f"{reward.key}:{reward.case_id}" if reward.case_id else reward.key
    await owe(session, topic=REWARD_APPROVED, key=key, payload={"reward_id": reward.id}, now=now)


async def mark_clawed_back(session: Session, reward: ReferralReward, *, reason: str, lost_points: int) -> None:
    """Note that the ledger has taken the points back, but for those lost; caps and budget are freed of the others."""
    await free(session, reward, lost_points=lost_points)
    reward.status, reward.reason, reward.lost_points = RewardStatus.CLAWED_BACK, reason, lost_points
    await session.flush()


async def reject_referral(session: Session, referral: Referral, *, reason: str, now: datetime) -> None:
    """End a referral that should not have been; its rewards are cancelled, and those in the ledger clawed back."""
    for reward in await lock_rewards(session, referral.id):
        if reward.stands and reward.status in COUNTED:
            await undo_reward(session, reward, reason=reason, now=now)
    await change_status(session, referral, ReferralStatus.REJECTED, reason=reason, now=now)


async def put_steps(session: Session, referral: Referral, outcome: Qualification) -> None:
    """Keep the steps reached beside the referral, for funnels and for whoever asks how far it is."""
    known = {row.step: row for row in await steps_of(session, [referral.id])}
    for position, reached in enumerate(outcome.steps):
        row = known.pop(reached.step.name, None)
        if row is None:
            session.add(
                ReferralStep(
                    referral_id=referral.id,
                    step=reached.step.name,
                    program_id=referral.program_id,
                    position=position,
                    fact_id=reached.fact_id,
                    reached_at=reached.reached_at,
                )
            )
        elif (row.fact_id, row.reached_at) != (reached.fact_id, reached.reached_at):
            row.fact_id, row.reached_at = reached.fact_id, reached.reached_at
    for row in known.values():
        await session.delete(row)
    await session.flush()


async def steps_of(session: Session, referral_ids: Sequence[str]) -> Sequence[ReferralStep]:
    """The steps that referrals have reached, in the order of the programme."""
    statement = select(ReferralStep).where(col(ReferralStep.referral_id).in_(list(referral_ids)))
    return (await session.exec(statement.order_by(col(ReferralStep.position)))).all()
