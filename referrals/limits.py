"""Caps and budgets as they stand: counters and reservations, moved in the transaction of the reward itself.

The programme's row is locked first. That holds off every other reward of the programme, so what is read of its
counters afterwards is true until the commit.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, func, update
from sqlmodel import Field, col, select

from core.db import Record, Session, changed_rows, instant
from referrals.definition import CapScope, ProgramDefinition, Side
from referrals.entitlement import CounterKey, Entitlement, Grant, counters_of, fit
from referrals.households import households_of, members_of_household
from referrals.programs import lock_program
from referrals.rewards import COUNTED, ReferralReward


class ReferralCounter(Record, table=True):
    """The rewards and points of one subject in one span, kept beside the rewards that it counts."""

    id: str = Field(primary_key=True)
    program_id: str = Field(foreign_key="referral_program.id")
    period_start: datetime = instant()
    rewards: int
    points: int = Field(sa_type=BigInteger)


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a reward gets, the counters that hold it, and its worth in thousandths of the budget's minor unit."""

    grant: Grant
    counters: list[str]
    worth: int


async def reserve_all(
    session: Session, asked: Sequence[tuple[str, ProgramDefinition, Entitlement]]
) -> list[Reservation]:
    """Reserve rewards (programme, its definition, what is wanted) in budget and caps, one after the other.

    Nothing is reserved for a grant of zero.
    """
    programs = {key: await lock_program(session, key) for key in sorted({program_id for program_id, _, _ in asked})}
    households = await households_in_use(session, asked)
    caps = [
        counters_of(definition, program_id, wanted, households.get(wanted.customer_id))
        for program_id, definition, wanted in asked
    ]
    counters = await counters_by_key(session, {key for one in caps for key in one})
    made: list[Reservation] = []
    for (program_id, definition, wanted), mine in zip(asked, caps, strict=True):
        program, kept = programs[program_id], [counters[key.id] for key in mine]
        given = fit(definition, wanted, program.budget, mine, counters)
        worth = given.points * program.amount_per_thousand
        if given.points:
            program.reserved_points += given.points
            program.reserved_worth += worth
            for counter in kept:
                counter.points += given.points
                counter.rewards += 1
        made.append(Reservation(given, [counter.id for counter in kept], worth))
    await session.flush()
    return made


async def households_in_use(
    session: Session, asked: Sequence[tuple[str, ProgramDefinition, Entitlement]]
) -> dict[str, str]:
    """The households of those whose rewards a cap counts by it."""
    people = {wanted.customer_id for _, definition, wanted in asked if definition.counts_households}
    return await households_of(session, sorted(people))


async def counters_by_key(session: Session, keys: Collection[CounterKey]) -> dict[str, ReferralCounter]:
    """The counters by their ids, each made at its first use from the rewards that there are already."""
    if not keys:
        return {}
    statement = select(ReferralCounter).where(col(ReferralCounter.id).in_([key.id for key in keys]))
    rows = (await session.exec(statement.execution_options(populate_existing=True))).all()
    found = {row.id: row for row in rows}
    for key in keys:
        if key.id not in found:
            rewards, points = await fold(session, key)
            found[key.id] = ReferralCounter(
                id=key.id, program_id=key.program_id, period_start=key.start, rewards=rewards, points=points
            )
            session.add(found[key.id])
    return found


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
    """Give back what a reward reserved, but for the points of it that are lost; its status says the rest.

    Lost points stay reserved in the budget and count in no cap.
    """
    freed = reward.points - lost_points
    program = await lock_program(session, reward.program_id)
    program.reserved_points -= freed
    program.reserved_worth -= reward.worth * freed // reward.points if reward.points else 0
    await session.flush()
    if reward.counters:
        counters = update(ReferralCounter).where(col(ReferralCounter.id).in_(reward.counters))
        await changed_rows(
            session,
            counters.values(
                points=col(ReferralCounter.points) - reward.points, rewards=col(ReferralCounter.rewards) - 1
            ),
        )
