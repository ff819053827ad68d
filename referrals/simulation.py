"""Simulation: what a definition would have paid for past referrals, by the very functions of settlement.

Claims and facts are played again in the order in which they were recorded, which is the order of settlement, because
caps and budget go to who comes first. Nothing is written. Reviewers' decisions are not played again.
"""

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from sqlmodel import col, select

from core.db import Session
from core.errors import Refusal
from core.facts import Fact
from referrals.attribution import Referral, ReferralStatus, referral_id
from referrals.definition import DEEPEST_REWARD, CapScope, ProgramDefinition, Side
from referrals.entitlement import (
    Budget,
    Entitlement,
    Grant,
    counters_of,
    entitlements,
    grant,
    reconcile,
    room_of,
)
from referrals.households import households_of
from referrals.qualification import qualify
from referrals.rewards import COUNTED, EXISTING_CUSTOMER, ReferralReward

MOST_REFERRALS = 20_000
CHUNK = 500

ItemT = TypeVar("ItemT")
SinceOf = Callable[[Sequence[str]], Awaitable[Mapping[str, datetime | None]]]


class SimulationTooLarge(Refusal):
    code = "SIMULATION_TOO_LARGE"
    en = "There are too many referrals in this span. Please choose a shorter one."
    zh = "该时段内推荐过多，请缩短时段。"


@dataclass(slots=True)
class SimulatedReward:
    """A reward as it would have been made; `stands` until it is undone."""

    step: str
    side: Side
    customer_id: str
    fact_id: str
    wanted_points: int
    points: int
    worth: int
    counters: list[str]
    stands: bool = True


@dataclass(frozen=True, slots=True)
class StepTotal:
    """The rewards of one side of one step: how many, their points, and how many a limit cut or refused."""

    step: str
    side: Side
    rewards: int
    points: int
    limited: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What comes out for all referrals together."""

    referrals: int
    qualified: int
    existing_customers: int
    steps: list[StepTotal]

    @property
    def points(self) -> int:
        return sum(total.points for total in self.steps)


@dataclass(slots=True)
class Books:
    """Counters and budget in memory, moved as settlement moves those in the database."""

    program_id: str
    definition: ProgramDefinition
    budget: Budget
    households: Mapping[str, str]
    rewards: Counter[str] = field(default_factory=Counter[str])
    points: Counter[str] = field(default_factory=Counter[str])

    def reserve(self, wanted: Entitlement) -> tuple[Grant, list[str], int]:
        household = self.households.get(wanted.customer_id)
        asked = counters_of(self.definition, self.program_id, wanted, household)
        rooms = [
            room_of(cap, points=self.points[key.id], rewards=self.rewards[key.id])
            for key, caps in sorted(asked.items(), key=lambda item: item[0].id)
            for cap in caps
        ]
        given = grant(wanted.points, [self.budget.room(), *rooms], self.definition.on_limit)
        ids = [key.id for key in asked]
        worth = given.points * self.budget.amount_per_thousand
        if given.points:
            self.count(ids, given.points, worth, 1)
        return given, ids, worth

    def free(self, reward: SimulatedReward) -> None:
        if reward.points:
            self.count(reward.counters, -reward.points, -reward.worth, -1)

    def count(self, ids: Iterable[str], points: int, worth: int, rewards: int) -> None:
        for key in ids:
            self.points[key] += points
            self.rewards[key] += rewards
        self.budget = replace(
            self.budget,
            reserved_points=self.budget.reserved_points + points,
            reserved_worth=self.budget.reserved_worth + worth,
        )


@dataclass(slots=True)
class Course:
    """One referral under way: what is known of the referee so far, and the rewards made."""

    referral: Referral
    parties: dict[Side, str]
    customer_since: datetime | None
    facts: list[Fact] = field(default_factory=list[Fact])
    rewards: list[SimulatedReward] = field(default_factory=list[SimulatedReward])
    is_complete: bool = False
    is_existing: bool = False

    def settle(self, books: Books) -> None:
        definition = books.definition
        outcome = qualify(
            definition,
            self.facts,
            attributed_from=self.referral.attributed_from,
            customer_since=self.customer_since,
        )
        undo, make = reconcile(entitlements(definition, outcome, self.parties), self.rewards, outcome.undone)
        for reward in undo:
            reward.stands = False
            books.free(reward)
        for wanted, _ in make:
            given, counters, worth = books.reserve(wanted)
            self.rewards.append(
                SimulatedReward(
                    wanted.step,
                    wanted.side,
                    wanted.customer_id,
                    wanted.fact_id,
                    wanted.points,
                    given.points,
                    worth,
                    counters,
                )
            )
        self.is_complete, self.is_existing = outcome.is_complete, outcome.is_existing_customer


async def simulate(
    session: Session,
    *,
    program_id: str,
    definition: ProgramDefinition,
    budget: Budget,
    start: datetime,
    end: datetime,
    since_of: SinceOf,
) -> Outcome:
    """Play the referrals claimed from `start` (inclusive) to `end` (exclusive) again; raises SimulationTooLarge.

    Caps and budget begin empty. Referrals that were rejected as fraud are left out.
    """
    referrals = await referrals_between(session, program_id, start, end)
    courses = await courses_of(session, definition, referrals, since_of)
    people = {person for course in courses.values() for person in course.parties.values()}
    households = await households_in_use(session, definition, people)
    books = Books(program_id, definition, replace(budget, reserved_points=0, reserved_worth=0), households)
    for course, facts in in_recorded_order(courses, await facts_by_referee(session, list(courses))):
        course.facts.extend(facts)
        course.settle(books)
    return outcome_of(courses.values())


async def referrals_between(session: Session, program_id: str, start: datetime, end: datetime) -> Sequence[Referral]:
    statement = select(Referral).where(
        Referral.program_id == program_id, Referral.claimed_at >= start, Referral.claimed_at < end
    )
    ordered = statement.order_by(col(Referral.claimed_at), col(Referral.id)).limit(MOST_REFERRALS + 1)
    found = (await session.exec(ordered)).all()
    if len(found) > MOST_REFERRALS:
        raise SimulationTooLarge(path=("to",), detail=f"at most {MOST_REFERRALS}")
    return found


async def courses_of(
    session: Session, definition: ProgramDefinition, referrals: Sequence[Referral], since_of: SinceOf
) -> dict[str, Course]:
    """The referrals to be played, by referee."""
    above = await referrals_above(session, definition, referrals)
    courses: dict[str, Course] = {}
    for chunk in chunks(referrals):
        since = await since_of([referral.referee_id for referral in chunk])
        for referral in chunk:
            if referral.status == ReferralStatus.REJECTED and referral.reason != EXISTING_CUSTOMER:
                continue
            parties = {Side.REFERRER: referral.referrer_id, Side.REFEREE: referral.referee_id}
            upper = above.get(referral.referrer_id)
            if upper is not None and upper.claimed_at < referral.claimed_at:
                parties[Side.SECOND_LEVEL] = upper.referrer_id
            courses[referral.referee_id] = Course(referral, parties, since.get(referral.referee_id))
    return courses


async def referrals_above(
    session: Session, definition: ProgramDefinition, referrals: Sequence[Referral]
) -> dict[str, Referral]:
    """How the referrers came themselves, by their ids; asked for only where that pays."""
    if definition.reward_depth < DEEPEST_REWARD:
        return {}
    found: dict[str, Referral] = {}
    ids = sorted({referral_id(referral.program_id, referral.referrer_id) for referral in referrals})
    for chunk in chunks(ids):
        statement = select(Referral).where(col(Referral.id).in_(chunk), Referral.status != ReferralStatus.REJECTED)
        found |= {referral.referee_id: referral for referral in (await session.exec(statement)).all()}
    return found


async def households_in_use(session: Session, definition: ProgramDefinition, people: set[str]) -> dict[str, str]:
    if all(cap.scope != CapScope.HOUSEHOLD for cap in definition.caps):
        return {}
    found: dict[str, str] = {}
    for chunk in chunks(sorted(people)):
        found |= await households_of(session, chunk)
    return found


async def facts_by_referee(session: Session, referee_ids: Sequence[str]) -> dict[str, list[Fact]]:
    found: dict[str, list[Fact]] = defaultdict(list)
    for chunk in chunks(referee_ids):
        for fact in (await session.exec(select(Fact).where(col(Fact.customer_id).in_(chunk)))).all():
            found[fact.customer_id].append(fact)
    return found


def in_recorded_order(
    courses: Mapping[str, Course], facts: Mapping[str, list[Fact]]
) -> Iterable[tuple[Course, list[Fact]]]:
    """Claims and facts as they came: a claim brings what was known before, and what came at once comes at once."""
    moments: list[tuple[datetime, str, Course, list[Fact]]] = []
    for referee_id, course in courses.items():
        arrivals: dict[datetime, list[Fact]] = {course.referral.claimed_at: []}
        for fact in facts.get(referee_id, []):
            arrivals.setdefault(max(fact.recorded_at, course.referral.claimed_at), []).append(fact)
        moments += [(at, min((fact.id for fact in known), default=""), course, known) for at, known in arrivals.items()]
    for _, _, course, known in sorted(moments, key=lambda moment: (moment[0], moment[1], moment[2].referral.id)):
        yield course, known


def outcome_of(courses: Iterable[Course]) -> Outcome:
    played = list(courses)
    return Outcome(
        referrals=len(played),
        qualified=sum(course.is_complete for course in played),
        existing_customers=sum(course.is_existing for course in played),
        steps=totals_of(
            (reward.step, reward.side, reward.points, reward.wanted_points)
            for course in played
            for reward in course.rewards
            if reward.stands
        ),
    )


async def outcome_so_far(session: Session, *, program_id: str, start: datetime, end: datetime) -> Outcome:
    """What settlement really made of the same referrals by now."""
    referrals = await referrals_between(session, program_id, start, end)
    kept = [one for one in referrals if one.status != ReferralStatus.REJECTED or one.reason == EXISTING_CUSTOMER]
    rewards: list[ReferralReward] = []
    for chunk in chunks([referral.id for referral in kept]):
        statement = select(ReferralReward).where(col(ReferralReward.referral_id).in_(chunk))
        rewards += [reward for reward in (await session.exec(statement)).all() if reward.stands]
    return Outcome(
        referrals=len(kept),
        qualified=sum(referral.status == ReferralStatus.QUALIFIED for referral in kept),
        existing_customers=sum(referral.reason == EXISTING_CUSTOMER for referral in kept),
        steps=totals_of(
            (one.step, Side(one.side), one.points if one.status in COUNTED else 0, one.wanted_points) for one in rewards
        ),
    )


def totals_of(rewards: Iterable[tuple[str, Side, int, int]]) -> list[StepTotal]:
    """Sum rewards, each given as step, side, points and the points that the step promises."""
    groups: dict[tuple[str, Side], list[tuple[int, int]]] = defaultdict(list)
    for step, side, points, wanted in rewards:
        groups[(step, side)].append((points, wanted))
    return [
        StepTotal(
            step,
            side,
            rewards=sum(points > 0 for points, _ in group),
            points=sum(points for points, _ in group),
            limited=sum(points < wanted for points, wanted in group),
        )
        for (step, side), group in sorted(groups.items())
    ]


def chunks(items: Sequence[ItemT]) -> Iterable[list[ItemT]]:
    for start in range(0, len(items), CHUNK):
        yield list(items[start : start + CHUNK])
