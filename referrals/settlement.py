"""Settlement: makes, undoes and moves rewards until they are what the referee's facts entitle to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Field, col, select

from core.db import Record, Session, insert_once, instant, rows_by_id
from core.facts import NewFact, facts_by_customer, record_facts
from core.outbox import owe, owe_all
from referrals.attribution import (
    Referral,
    ReferralStatus,
    Standing,
    change_status,
    change_statuses,
    referral_id,
    referrals_of_referees,
)
from referrals.definition import ProgramDefinition, Side
from referrals.entitlement import Entitlement, entitlements, reconcile
from referrals.limits import Reservation, free, reserve_all
from referrals.programs import definition_of, lock_program
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
from referrals.step_facts import step_reached, step_undone


class ReferralStep(Record, table=True):
    """A step that a referral has reached, by which fact and since when; it goes when the step is undone.

    `attempt` is in the key of the fact that told it; empty for a step from before they were told.
    """

    referral_id: str = Field(primary_key=True, foreign_key="referral.id")
    step: str = Field(primary_key=True)
    program_id: str
    position: int
    fact_id: str
    reached_at: datetime = instant()
    attempt: int | None = None


@dataclass(slots=True)
class Settling:
    """One referral under settlement: what its facts amount to, and what is kept of it so far."""

    referral: Referral
    definition: ProgramDefinition
    outcome: Qualification
    parties: dict[Side, str]
    made: list[ReferralReward] = field(default_factory=list[ReferralReward])
    steps: list[ReferralStep] = field(default_factory=list[ReferralStep])

    @property
    def standing(self) -> Standing:
        """Where the referral stands by its facts."""
        if self.outcome.is_existing_customer:
            return Standing(ReferralStatus.REJECTED, reason=EXISTING_CUSTOMER)
        if self.outcome.is_complete:
            return Standing(ReferralStatus.QUALIFIED, qualified_at=self.outcome.steps[-1].reached_at)
        return Standing(ReferralStatus.OPEN)


async def settle_referees(session: Session, since: Mapping[str, datetime | None], *, now: datetime) -> None:
    """Make the rewards what the facts of these referees say by now, and owe what follows for the ledger.

    `since` says since when each has been a customer. The number of statements does not grow with the referees, but
    for what is undone and for standings that move.
    """
    todo = await read_settlings(session, since)
    undo: list[tuple[ReferralReward, str]] = []
    make: list[tuple[Settling, Entitlement, int]] = []
    told: list[NewFact] = []
    for one in todo:
        gone, missing = reconcile(entitlements(one.definition, one.outcome, one.parties), one.made, one.outcome.undone)
        reason = EXISTING_CUSTOMER if one.outcome.is_existing_customer else REVERSED
        undo += [(reward, reason) for reward in gone]
        make += [(one, entitlement, attempt) for entitlement, attempt in missing]
        told += await put_steps(session, one, now=now)
    # All programmes in one order before the first of them is changed, so that no two workers wait in a circle.
    for program_id in sorted({reward.program_id for reward, _ in undo} | {one.referral.program_id for one, *_ in make}):
        await lock_program(session, program_id)
    for reward, reason in undo:
        await undo_reward(session, reward, reason=reason, now=now)
    await make_rewards(session, make, now=now)
    await change_statuses(session, [(one.referral, one.standing) for one in todo], now=now)
    # Nobody waits for what referrers earn by rules, so the sweep settles these facts many at a time.
    await record_facts(session, told, now=now, hint=False)


async def read_settlings(session: Session, since: Mapping[str, datetime | None]) -> list[Settling]:
    """The referrals of these referees that facts decide, locked with their rewards, and what the facts amount to."""
    referrals = [one for one in await referrals_of_referees(session, list(since)) if one.is_open_to_facts]
    if not referrals:
        return []
    facts = await facts_by_customer(session, sorted({referral.referee_id for referral in referrals}))
    definitions = {
        key: await definition_of(session, *key) for key in {(one.program_id, one.version) for one in referrals}
    }
    paying = [one for one in referrals if definitions[(one.program_id, one.version)].pays_second_level]
    above = await referrals_above(session, paying)
    todo: dict[str, Settling] = {}
    for referral in referrals:
        definition = definitions[(referral.program_id, referral.version)]
        outcome = qualify(
            definition,
            facts[referral.referee_id],
            attributed_from=referral.attributed_from,
            customer_since=since[referral.referee_id],
        )
        todo[referral.id] = Settling(referral, definition, outcome, parties_of(referral, definition, above))
    for reward in await lock_rewards(session, list(todo)):
        todo[reward.referral_id].made.append(reward)
    for step in await steps_of(session, list(todo)):
        todo[step.referral_id].steps.append(step)
    return list(todo.values())


async def referrals_above(session: Session, referrals: Sequence[Referral]) -> dict[str, Referral]:
    """How the referrers of these referrals came themselves, by the ids of those referrals."""
    ids = {referral_id(referral.program_id, referral.referrer_id) for referral in referrals}
    return await rows_by_id(session, Referral, ids)


def parties_of(referral: Referral, definition: ProgramDefinition, above: Mapping[str, Referral]) -> dict[Side, str]:
    """Who can be rewarded; the second level only where the programme pays it, and if it was there before."""
    parties = {Side.REFERRER: referral.referrer_id, Side.REFEREE: referral.referee_id}
    upper = above.get(referral_id(referral.program_id, referral.referrer_id))
    if not definition.pays_second_level or upper is None:
        return parties
    if upper.claimed_at < referral.claimed_at and upper.status != ReferralStatus.REJECTED:
        parties[Side.SECOND_LEVEL] = upper.referrer_id
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


async def make_rewards(session: Session, make: Sequence[tuple[Settling, Entitlement, int]], *, now: datetime) -> None:
    """Make rewards with caps and budget reserved in the same transaction; what a limit refuses is cancelled.

    Each comes with the number of those of its step and side before it.
    """
    if not make:
        return
    asked = [(one.referral.program_id, one.definition, wanted) for one, wanted, _ in make]
    reserved = await reserve_all(session, asked)
    rows = [
        reward_row(one, wanted, attempt, got, now=now)
        for (one, wanted, attempt), got in zip(make, reserved, strict=True)
    ]
    # The referrals are locked, so nobody else can have made one of them meanwhile.
    await insert_once(session, ReferralReward, rows)
    payloads: dict[str, dict[str, Any]] = {row["key"]: {"reward_id": row["id"]} for row in rows if row["points"]}
    await owe_all(session, topic=REWARD_MADE, payloads=payloads, now=now)


def reward_row(
    one: Settling, wanted: Entitlement, attempt: int, reserved: Reservation, *, now: datetime
) -> dict[str, Any]:
    referral, points = one.referral, reserved.grant.points
    key = reward_key(referral.id, wanted.step, wanted.side, attempt)
    return {
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
        "points": points,
        "lost_points": 0,
        "worth": reserved.worth,
        "counters": reserved.counters,
        "status": RewardStatus.PENDING if points else RewardStatus.CANCELLED,
        "reason": reserved.grant.reason,
        "reached_at": wanted.reached_at,
        "available_at": wanted.reached_at + timedelta(days=one.definition.hold_days),
        "expires_at": wanted.reached_at + timedelta(days=one.definition.expires_days),
        "created_at": now,
    }


async def approve_reward(session: Session, reward: ReferralReward, *, now: datetime) -> None:
    """Let a pending reward go to the ledger, and owe that."""
    await approve_rewards(session, [reward], now=now)


async def approve_rewards(session: Session, rewards: Sequence[ReferralReward], *, now: datetime) -> None:
    """Let those of the rewards that are pending go to the ledger, and owe that."""
    pending = [reward for reward in rewards if reward.status == RewardStatus.PENDING]
    for reward in pending:
        reward.status = RewardStatus.APPROVED
    await session.flush()
    # One that a case took back after it was approved is owed anew: what was owed first has come to nothing.
    payloads: dict[str, dict[str, Any]] = {
        f"{reward.key}:{reward.case_id}" if reward.case_id else reward.key: {"reward_id": reward.id}
        for reward in pending
    }
    await owe_all(session, topic=REWARD_APPROVED, payloads=payloads, now=now)


async def mark_clawed_back(session: Session, reward: ReferralReward, *, reason: str, lost_points: int) -> None:
    """Note that the ledger has taken the points back, but for those lost; caps and budget are freed of the others."""
    await free(session, reward, lost_points=lost_points)
    reward.status, reward.reason, reward.lost_points = RewardStatus.CLAWED_BACK, reason, lost_points
    await session.flush()


async def reject_referral(session: Session, referral: Referral, *, reason: str, now: datetime) -> None:
    """End a referral that should not have been; its rewards are cancelled, and those in the ledger clawed back."""
    for reward in await lock_rewards(session, [referral.id]):
        if reward.stands and reward.status in COUNTED:
            await undo_reward(session, reward, reason=reason, now=now)
    await change_status(session, referral, Standing(ReferralStatus.REJECTED, reason=reason), now=now)
    told = taken_back(referral, await steps_of(session, [referral.id]), now=now)
    await record_facts(session, told, now=now, hint=False)


async def put_steps(session: Session, one: Settling, *, now: datetime) -> list[NewFact]:
    """Keep the steps reached beside the referral; returns what is to be told of those that are new or undone."""
    known = {row.step: row for row in one.steps}
    standing = {reached.step.name for reached in one.outcome.steps}
    undone = [row for row in one.steps if row.step not in standing]
    told = await undo_steps(session, one.referral, undone, now=now)
    attempt = one.referral.steps_undone or 0
    for position, reached in enumerate(one.outcome.steps):
        name, row = reached.step.name, known.get(reached.step.name)
        if row is not None:
            row.fact_id, row.reached_at = reached.fact_id, reached.reached_at
            continue
        session.add(
            ReferralStep(
                referral_id=one.referral.id,
                step=name,
                program_id=one.referral.program_id,
                position=position,
                fact_id=reached.fact_id,
                reached_at=reached.reached_at,
                attempt=attempt,
            )
        )
        told.append(step_reached(one.referral, name, attempt, position=position, reached_at=reached.reached_at))
    return told


async def undo_steps(
    session: Session, referral: Referral, steps: Sequence[ReferralStep], *, now: datetime
) -> list[NewFact]:
    """Forget steps that are reached no longer; returns the facts that take back what was told of them."""
    for row in steps:
        await session.delete(row)
    referral.steps_undone = (referral.steps_undone or 0) + len(steps) or None
    return taken_back(referral, steps, now=now)


def taken_back(referral: Referral, steps: Sequence[ReferralStep], *, now: datetime) -> list[NewFact]:
    return [
        step_undone(referral, row.step, row.attempt, reached_at=row.reached_at, now=now)
        for row in steps
        if row.attempt is not None
    ]


async def steps_of(session: Session, referral_ids: Sequence[str]) -> Sequence[ReferralStep]:
    """The steps that referrals have reached, in the order of the programme."""
    statement = select(ReferralStep).where(col(ReferralStep.referral_id).in_(list(referral_ids)))
    return (await session.exec(statement.order_by(col(ReferralStep.position)))).all()
