"""Simulation: what a definition would have paid for past referrals, by the very functions of settlement.

Claims and facts are played again in the order in which they were recorded, which is the order of settlement, because
caps and budget go to who comes first. Nothing is written. Reviewers' decisions are not played again.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from sqlmodel import col, select

from core.batches import in_batches
from core.db import Session
from core.errors import Refusal
from core.facts import Fact, facts_by_customer
from referrals.attribution import Referral, ReferralStatus
from referrals.definition import ProgramDefinition, Side
from referrals.entitlement import Budget, Entitlement, counters_of, entitlements, fit, reconcile
from referrals.households import households_of
from referrals.limits import Reservation
from referrals.qualification import qualify
from referrals.rewards import COUNTED, EXISTING_CUSTOMER, ReferralReward
from referrals.settlement import parties_of, referrals_above

MOST_REFERRALS = 20_000
CHUNK = 500

FoundT = TypeVar("FoundT")
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
    reserved: Reservation
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
class Count:
    """A counter in memory."""

    points: int = 0
    rewards: int = 0


@dataclass(slots=True)
class Books:
    """Counters and budget in memory, moved as settlement moves those in the database."""

    program_id: str
    definition: ProgramDefinition
    budget: Budget
    households: Mapping[str, str]
    counters: dict[str, Count] = field(default_factory=lambda: defaultdict(Count))

    def reserve(self, wanted: Entitlement) -> Reservation:
        household = self.households.get(wanted.customer_id)
        caps = counters_of(self.definition, self.program_id, wanted, household)
        given = fit(self.definition, wanted, self.budget, caps, self.counters)
        reserved = Reservation(given, [key.id for key in caps], given.points * self.budget.amount_per_thousand)
        if given.points:
            self.move(reserved, 1)
        return reserved

    def free(self, reserved: Reservation) -> None:
        if reserved.grant.points:
            self.move(reserved, -1)

    def move(self, reserved: Reservation, sign: int) -> None:
        points = sign * reserved.grant.points
        for key in reserved.counters:
            self.counters[key].points += points
            self.counters[key].rewards += sign
        self.budget = replace(
            self.budget,
            reserved_points=self.budget.reserved_points + points,
            reserved_worth=self.budget.reserved_worth + sign * reserved.worth,
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
            books.free(reward.reserved)
        for wanted, _ in make:
            reserved = books.reserve(wanted)
            self.rewards.append(
                SimulatedReward(wanted.step, wanted.side, wanted.customer_id, wanted.fact_id, wanted.points, reserved)
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
    households = await in_chunks(households_of, session, sorted(people)) if definition.counts_households else {}
    books = Books(program_id, definition, replace(budget, reserved_points=0, reserved_worth=0), households)
    for course, facts in in_recorded_order(courses, await in_chunks(facts_by_customer, session, list(courses))):
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
    """The referrals to be played, by referee, none of their facts told yet."""
    courses: dict[str, Course] = {}
    for chunk in in_batches([referral for referral in referrals if referral.is_open_to_facts], CHUNK):
        since = await since_of([referral.referee_id for referral in chunk])
        above = await referrals_above(session, chunk) if definition.pays_second_level else {}
        for referral in chunk:
            parties = parties_of(referral, definition, above)
            courses[referral.referee_id] = Course(referral, parties, since.get(referral.referee_id))
    return courses


async def in_chunks(
    load: Callable[[Session, Sequence[str]], Awaitable[dict[str, FoundT]]], session: Session, ids: Sequence[str]
) -> dict[str, FoundT]:
    """What `load` finds for these ids, asked for so many at a time."""
    found: dict[str, FoundT] = {}
    for chunk in in_batches(ids, CHUNK):
        found |= await load(session, chunk)
    return found


def in_recorded_order(
    courses: Mapping[str, Course], facts: Mapping[str, list[Fact]]
) -> Iterable[tuple[Course, list[Fact]]]:
    """Claims and facts as they came: a claim brings what was known before, and what came at once comes at once."""
    moments: list[tuple[datetime, str, Course, list[Fact]]] = []
    for referee_id, course in courses.items():
        arrivals: dict[datetime, list[Fact]] = {course.referral.claimed_at: []}
        for fact in facts[referee_id]:
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
            (reward.step, reward.side, reward.reserved.grant.points, reward.wanted_points)
            for course in played
            for reward in course.rewards
            if reward.stands
        ),
    )


async def outcome_so_far(session: Session, *, program_id: str, start: datetime, end: datetime) -> Outcome:
    """What settlement really made of the same referrals by now."""
    referrals = await referrals_between(session, program_id, start, end)
    kept = [one for one in referrals if one.is_open_to_facts]
    rewards: list[ReferralReward] = []
    for chunk in in_batches([referral.id for referral in kept], CHUNK):
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
