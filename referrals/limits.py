"""Caps and budgets as they stand: counters and reservations, moved in the transaction of the reward itself.

The programme's row is locked first. That holds off every other reward of the programme, so what is read of its
counters afterwards is true until the commit.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import BigInteger, func, update
from sqlmodel import Field, col, select

from core.db import Record, Session, changed_rows, insert_once, instant
from referrals.definition import CapScope, ProgramDefinition, Side
from referrals.entitlement import CounterKey, Entitlement, Grant, counters_of, grant, room_of
from referrals.households import households_of, members_of_household
from referrals.programs import ReferralProgram, lock_program
from referrals.rewards import COUNTED, ReferralReward


class ReferralCounter(Record, table=True):
    """The rewards and points of one subject in one span, kept beside the rewards that it counts."""

    id: str = Field(primary_key=True)
    program_id: str = Field(foreign_key="referral_program.id")
    period_start: datetime = instant()
    rewards: int
    points: int = Field(sa_type=BigInteger)


async def reserve(
    session: Session, program_id: str, definition: ProgramDefinition, reward: Entitlement
) -> tuple[Grant, list[str], int]:
    """Reserve a reward in the budget and in every cap; returns what it gets, its counters, and its worth.

    The worth is in thousandths of the minor unit of the budget's currency. Nothing is reserved for a grant of zero.
    """
    program = await lock_program(session, program_id)
    household = await household_of(session, definition, reward.customer_id)
    asked = counters_of(definition, program_id, reward, household)
    counters = {key: await counter_of(session, key) for key in sorted(asked, key=lambda key: key.id)}
    rooms = [
        room_of(cap, points=counter.points, rewards=counter.rewards)
        for key, counter in counters.items()
        for cap in asked[key]
    ]
    given = grant(reward.points, [program.budget.room(), *rooms], definition.on_limit)
    worth = given.points * program.amount_per_thousand
    ids = [counter.id for counter in counters.values()]
    if given.points:
        await count(session, program_id, ids, points=given.points, worth=worth, rewards=1)
    return given, ids, worth


async def household_of(session: Session, definition: ProgramDefinition, customer_id: str) -> str | None:
    """The customer's household, asked for only where a cap counts by it."""
    if all(cap.scope != CapScope.HOUSEHOLD for cap in definition.caps):
        return None
    return (await households_of(session, [customer_id])).get(customer_id)


async def counter_of(session: Session, key: CounterKey) -> ReferralCounter:
    """The counter, made at its first use from the rewards that there are already."""
    found = await session.get(ReferralCounter, key.id, populate_existing=True)
    if found is not None:
        return found
    rewards, points = await fold(session, key)
    row = {
        "id": key.id,
        "program_id": key.program_id,
        "period_start": key.start,
        "rewards": rewards,
        "points": points,
    }
    await insert_once(session, ReferralCounter, row)
    return await session.get_one(ReferralCounter, key.id)


async def fold(session: Session, key: CounterKey) -> tuple[int, int]:
    """How many rewards and points the rewards themselves say; a counter always equals it."""
    statement = select(
        func.count(col(ReferralReward.id)), func.coalesce(func.sum(col(ReferralReward.points)), 0)
    ).where(
        ReferralReward.program_id == key.program_id,
        ReferralReward.reached_at >= key.start,
        ReferralReward.reached_at < key.end,
        col(ReferralReward.status).in_(COUNTED),
    )
    if key.step is not None:
        statement = statement.where(ReferralReward.step == key.step)
    if key.scope == CapScope.REFERRER:
        statement = statement.where(ReferralReward.customer_id == key.subject, ReferralReward.side != Side.REFEREE)
    if key.scope == CapScope.HOUSEHOLD:
        members = await members_of_household(session, key.subject) or [key.subject]
        statement = statement.where(col(ReferralReward.customer_id).in_(members))
    rewards, points = (await session.exec(statement)).one()
    return int(rewards), int(points)


async def free(session: Session, reward: ReferralReward, *, lost_points: int = 0) -> None:
    """Give back what a reward reserved, but for the points of it that are lost; its status says the rest."""
    worth = reward.worth * (reward.points - lost_points) // reward.points if reward.points else 0
    await lock_program(session, reward.program_id)
    await count(
        session,
        reward.program_id,
        reward.counters,
        points=-reward.points,
        worth=-worth,
        rewards=-1,
        lost_points=lost_points,
    )


async def count(
    session: Session,
    program_id: str,
    counter_ids: Sequence[str],
    *,
    points: int,
    worth: int,
    rewards: int,
    lost_points: int = 0,
) -> None:
    """Move the programme's reservation and the counters; lost points stay reserved and count in no cap."""
    program = update(ReferralProgram).where(col(ReferralProgram.id) == program_id)
    await changed_rows(
        session,
        program.values(
            reserved_points=col(ReferralProgram.reserved_points) + points + lost_points,
            reserved_worth=col(ReferralProgram.reserved_worth) + worth,
        ),
    )
    if counter_ids:
        counters = update(ReferralCounter).where(col(ReferralCounter.id).in_(list(counter_ids)))
        await changed_rows(
            session,
            counters.values(
                points=col(ReferralCounter.points) + points, rewards=col(ReferralCounter.rewards) + rewards
            ),
        )
