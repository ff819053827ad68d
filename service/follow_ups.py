"""Follow-ups: one row for what a customer's tier owes them, which everything that moves its day holds first.

What is logged, looked at or ended at the same time takes turns at that row, so that there is one open task at most.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import func
from sqlmodel import Field, col, select

from core.days import day_of, end_of_day
from core.db import Record, Session, insert_once
from core.fact_kinds import FOLLOW_UP_MISSED
from core.facts import OWN_SOURCE, NewFact, record_facts
from core.ids import derived_id
from core.messages import MESSAGE_OWED, MessageCategory, message
from core.outbox import owe_all
from core.tasks import TASK_OWED, TaskKind, task, task_key
from graph.eligibility import Tier
from segments.tiering import tiers_of
from service.follow_up_definition import Cadence, FollowUpDefinition, InteractionKind, Obligation
from service.follow_up_rules import Cycle, Owed, begun, contacted, ended, looked, retiered
from service.follow_up_words import FOLLOW_UP
from service.interaction_records import Interaction
from service.policies import ServicePolicyKind, active_policy
from service.tasks import TaskOutcome, end_tasks

Key = tuple[str, str]
# When customers were last in contact, by customer and the bank's own word for the kind, as its systems tell it.
Told = Callable[[Session, Sequence[str]], Awaitable[Mapping[Key, datetime]]]


class FollowUp(Record, table=True):
    """One obligation to one customer; without `begun_on` nobody has looked yet from when it counts.

    `ended_on` says that the customer's tier is not owed this any more.
    """

    customer_id: str = Field(primary_key=True)
    obligation: str = Field(primary_key=True)
    tier: str
    policy_id: str = Field(foreign_key="service_policy.id")
    days: int
    number: int = 0
    begun_on: date | None = None
    next_on: date | None = None
    last_on: date | None = None
    closed_on: date | None = None
    not_before: date | None = None
    opened_on: date | None = None
    missed_on: date | None = None
    ended_on: date | None = None

    @property
    def key(self) -> Key:
        return self.customer_id, self.obligation

    @property
    def subject(self) -> str:
        """What the task of the present cycle is about."""
        return derived_id("follow_up", self.customer_id, self.obligation, str(self.number))

    def cycle(self) -> Cycle:
        if self.begun_on is None:
            raise ValueError("nobody has looked yet from when this counts")
        return Cycle(
            tier=self.tier,
            days=self.days,
            begun_on=self.begun_on,
            last_on=self.last_on,
            closed_on=self.closed_on,
            not_before=self.not_before,
            number=self.number,
            opened_on=self.opened_on,
            missed_on=self.missed_on,
        )

    def put(self, cycle: Cycle) -> None:
        self.tier, self.days, self.number = cycle.tier, cycle.days, cycle.number
        self.begun_on, self.last_on, self.closed_on = cycle.begun_on, cycle.last_on, cycle.closed_on
        self.not_before = cycle.not_before
        self.opened_on, self.missed_on, self.next_on = cycle.opened_on, cycle.missed_on, cycle.next_on


@dataclass(frozen=True, slots=True)
class FollowUpPolicy:
    """The version by which one looks, and the day it is by its time zone."""

    id: str
    definition: FollowUpDefinition
    today: date


@dataclass(slots=True)
class Turn:
    """Rows that are held, and what follows from what was done to them: the subject and number are those of then."""

    rows: dict[Key, FollowUp]
    owed: list[tuple[Owed, str, str, int, str]] = field(default_factory=list[tuple[Owed, str, str, int, str]])

    def owe(self, what: Owed | None, row: FollowUp, subject: str, number: int) -> None:
        if what is not None:
            self.owed.append((what, row.customer_id, row.obligation, number, subject))

    def step(self, row: FollowUp, after: tuple[Cycle, Owed | None]) -> None:
        """Keep what a rule has made of a row, and owe what follows from it."""
        subject, number = row.subject, row.number
        cycle, what = after
        row.put(cycle)
        self.owe(what, row, subject, number)

    def count(self, what: Owed) -> int:
        return sum(1 for one in self.owed if one[0] == what)


async def policy_in_use(session: Session, *, now: datetime) -> FollowUpPolicy:
    row = await active_policy(session, ServicePolicyKind.FOLLOW_UPS)
    definition = FollowUpDefinition.model_validate(row.definition)
    return FollowUpPolicy(row.id, definition, day_of(now, definition.time_zone))


async def nothing_told(_: Session, __: Sequence[str]) -> Mapping[Key, datetime]:
    """For whoever knows of no other contacts than those that were logged here."""
    return {}


async def hold(
    session: Session, tiers: Mapping[str, Tier], policy: FollowUpPolicy, *, told: Told = nothing_told
) -> Turn:
    """The rows of these customers, made where they are missing, held in one order, and under the tiers given.

    Whoever waited for another's row reads contacts after that one's commit, so that none of them is overlooked.
    """
    wanted = [
        (customer_id, obligation, tier, cadence)
        for customer_id, tier in sorted(tiers.items())
        for obligation, cadence in sorted(policy.definition.tiers.get(tier, {}).items())
    ]
    rows = [new_row(*one, policy.id) for one in wanted]
    await insert_once(session, FollowUp, rows, "customer_id", "obligation")
    turn = Turn({row.key: row for row in await lock_rows(session, tiers)})
    fresh = [
        row
        for row in turn.rows.values()
        if is_fresh(row, policy.definition.cadence(tiers[row.customer_id], row.obligation))
    ]
    contacts = (
        await last_contacts(session, [row.customer_id for row in fresh], policy.definition, told) if fresh else {}
    )
    for row in turn.rows.values():
        tier = tiers[row.customer_id]
        cadence = policy.definition.cadence(tier, row.obligation)
        if cadence is None:
            give_up(turn, row, policy.today)
        elif is_fresh(row, cadence):
            last_on = latest(contacts, row.customer_id, cadence)
            number = row.number + 1
            row.put(begun(tier, cadence, last_on, customer_id=row.customer_id, today=policy.today))
            row.number, row.ended_on, row.policy_id = number, None, policy.id
        elif (row.tier, row.days, row.policy_id) != (tier, cadence.days, policy.id):
            turn.step(row, retiered(row.cycle(), tier, cadence, today=policy.today))
            row.policy_id = policy.id
    return turn


def new_row(customer_id: str, obligation: str, tier: str, cadence: Cadence, policy_id: str) -> dict[str, Any]:
    row = {"customer_id": customer_id, "obligation": obligation, "tier": tier, "policy_id": policy_id}
    return {**row, "days": cadence.days, "number": 0}


async def lock_rows(session: Session, customer_ids: Collection[str]) -> Sequence[FollowUp]:
    statement = select(FollowUp).where(col(FollowUp.customer_id).in_(sorted(customer_ids)))
    ordered = statement.order_by(col(FollowUp.customer_id), col(FollowUp.obligation)).with_for_update()
    return (await session.exec(ordered.execution_options(populate_existing=True))).all()


def is_fresh(row: FollowUp, cadence: Cadence | None) -> bool:
    return cadence is not None and (row.begun_on is None or row.ended_on is not None)


def give_up(turn: Turn, row: FollowUp, today: date) -> None:
    """The tier is not owed this any more; an open task is over."""
    if row.ended_on is None:
        row.ended_on = today
        if row.opened_on is not None:
            turn.owe(Owed.TASK_OVER, row, row.subject, row.number)
            row.opened_on = row.missed_on = None


async def last_contacts(
    session: Session, customer_ids: Sequence[str], definition: FollowUpDefinition, told: Told
) -> dict[Key, date]:
    """The day of the last contact of each customer and kind, as logged here or told by the bank's systems."""
    statement: Any = (
        select(Interaction.customer_id, Interaction.kind, func.max(Interaction.occurred_at))
        .where(col(Interaction.customer_id).in_(sorted(set(customer_ids))))
        .group_by(col(Interaction.customer_id), col(Interaction.kind))
    )
    found = {
        (customer_id, kind): day_of(at, definition.time_zone)
        for customer_id, kind, at in (await session.exec(statement)).all()
    }
    for key, day in (await told_contacts(session, customer_ids, definition, told)).items():
        found[key] = max(day, found.get(key, day))
    return found


async def told_contacts(
    session: Session, customer_ids: Sequence[str], definition: FollowUpDefinition, told: Told
) -> dict[Key, date]:
    found: dict[Key, date] = {}
    for (customer_id, word), at in (await told(session, sorted(set(customer_ids)))).items():
        kind, day = definition.told.get(word), day_of(at, definition.time_zone)
        if kind is not None:
            found[customer_id, kind] = max(day, found.get((customer_id, kind), day))
    return found


def latest(contacts: Mapping[Key, date], customer_id: str, cadence: Cadence) -> date | None:
    return max((day for kind in cadence.counts if (day := contacts.get((customer_id, kind)))), default=None)


async def follow(session: Session, turn: Turn, policy: FollowUpPolicy, *, actor: str | None, now: datetime) -> None:
    """Do what follows from a turn: tasks, messages and facts are owed by keys of their cycle, and tasks ended."""
    zone, tasks, messages = policy.definition.time_zone, dict[str, Any](), dict[str, Any]()
    facts, over = list[NewFact](), list[dict[str, Any]]()
    due_at = end_of_day(policy.today + timedelta(days=policy.definition.task_days), zone)
    for what, customer_id, obligation, number, subject in turn.owed:
        about = task(TaskKind.FOLLOW_UP, customer_id=customer_id, subject=subject, due_at=due_at)
        if what == Owed.TASK:
            tasks[task_key(TaskKind.FOLLOW_UP, subject)] = about
        elif what == Owed.TASK_OVER:
            over.append(about)
        elif what == Owed.MESSAGE:
            messages[f"follow-up:{subject}"] = message(
                MessageCategory.CARE, customer_id=customer_id, template=FOLLOW_UP, subject=subject
            )
        else:
            facts.append(missed_fact(customer_id, obligation, number, policy, now))
    await session.flush()
    await owe_all(session, topic=TASK_OWED, payloads=tasks, now=now)
    await owe_all(session, topic=MESSAGE_OWED, payloads=messages, now=now)
    if facts:
        await record_facts(session, facts, now=now, hint=False)
    if over:
        outcome = TaskOutcome.CONTACTED if actor else TaskOutcome.NO_LONGER_DUE
        await end_tasks(session, over, {}, outcome=outcome, actor=actor, now=now)


def missed_fact(customer_id: str, obligation: str, number: int, policy: FollowUpPolicy, now: datetime) -> NewFact:
    return NewFact(
        source=OWN_SOURCE,
        key=f"follow-up-missed:{customer_id}:{obligation}:{number}",
        kind=FOLLOW_UP_MISSED,
        customer_id=customer_id,
        occurred_at=now,
        payload={"obligation": obligation, "day": policy.today.isoformat()},
    )


async def contact(
    session: Session,
    customer_id: str,
    kind: InteractionKind,
    day: date,
    policy: FollowUpPolicy,
    *,
    told: Told,
    actor: str,
    now: datetime,
) -> Turn:
    """Hold a customer's rows and move them for a contact of this kind, which is written in this transaction."""
    turn = await hold(session, await tiers_of(session, [customer_id], now=now), policy, told=told)
    for row in turn.rows.values():
        cadence = policy.definition.cadence(row.tier, row.obligation)
        if row.ended_on is None and cadence is not None and kind in cadence.counts:
            turn.step(row, contacted(row.cycle(), day, today=policy.today))
    await follow(session, turn, policy, actor=actor, now=now)
    return turn


async def look(
    session: Session, customer_ids: Sequence[str], policy: FollowUpPolicy, *, told: Told, now: datetime
) -> Turn:
    """What a day makes of these customers: of most nothing, by two statements; only the others are held."""
    tiers = await tiers_of(session, customer_ids, now=now)
    known: dict[str, list[FollowUp]] = {}
    statement = select(FollowUp).where(col(FollowUp.customer_id).in_(list(customer_ids)))
    for row in (await session.exec(statement)).all():
        known.setdefault(row.customer_id, []).append(row)
    concerned = {id: tier for id, tier in tiers.items() if is_concerned(known.get(id, []), tier, policy)}
    if not concerned:
        return Turn({})
    turn = await hold(session, concerned, policy, told=told)
    due = [row for row in turn.rows.values() if is_due(row, policy)]
    others = await told_contacts(session, [row.customer_id for row in due], policy.definition, told) if due else {}
    for row in turn.rows.values():
        cadence = policy.definition.cadence(row.tier, row.obligation)
        if row.ended_on is not None or cadence is None:
            continue
        day = latest(others, row.customer_id, cadence)
        if day is not None:
            turn.step(row, contacted(row.cycle(), day, today=policy.today))
        turn.step(row, looked(row.cycle(), cadence, task_days=policy.definition.task_days, today=policy.today))
    await follow(session, turn, policy, actor=None, now=now)
    return turn


def is_due(row: FollowUp, policy: FollowUpPolicy) -> bool:
    return row.ended_on is None and row.next_on is not None and row.next_on <= policy.today


def is_concerned(rows: Sequence[FollowUp], tier: Tier, policy: FollowUpPolicy) -> bool:
    """Whether anything is to be done about a customer on this day."""
    wanted = policy.definition.tiers.get(tier, {})
    alive = {row.obligation: row for row in rows if row.ended_on is None and row.begun_on is not None}
    if alive.keys() != wanted.keys():
        return True
    return any(row.policy_id != policy.id or row.tier != tier or is_due(row, policy) for row in alive.values())


async def retier(session: Session, customer_ids: Collection[str], *, now: datetime, told: Told = nothing_told) -> None:
    """Bring these customers' rows under the tiers that they have by now; a task that is due no more is over."""
    policy = await policy_in_use(session, now=now)
    turn = await hold(session, await tiers_of(session, customer_ids, now=now), policy, told=told)
    await follow(session, turn, policy, actor=None, now=now)


async def hold_customer(session: Session, customer_id: str) -> Sequence[FollowUp]:
    """What is held before a customer's task of this kind is ended: here, too, the row comes before the task."""
    return await lock_rows(session, [customer_id])


async def end_cycle(session: Session, rows: Sequence[FollowUp], subject: str, *, reached: bool, now: datetime) -> None:
    """Begin the next cycle after the task about this subject was ended by hand; nothing where that was an old one."""
    policy = await policy_in_use(session, now=now)
    for row in rows:
        if row.subject == subject and row.begun_on is not None and row.ended_on is None:
            cadence = policy.definition.cadence(row.tier, row.obligation)
            row.put(ended(row.cycle(), cadence, reached=reached, today=policy.today))
    await session.flush()


async def follow_ups_of(session: Session, customer_ids: Sequence[str]) -> dict[str, list[FollowUp]]:
    """What these customers are owed, each one's by obligation; who was never looked at has none."""
    found: dict[str, list[FollowUp]] = {one: [] for one in customer_ids}
    statement = select(FollowUp).where(
        col(FollowUp.customer_id).in_(list(customer_ids)),
        col(FollowUp.ended_on).is_(None),
        col(FollowUp.begun_on).is_not(None),
    )
    for row in (await session.exec(statement.order_by(col(FollowUp.obligation)))).all():
        found[row.customer_id].append(row)
    return found


async def merge_follow_ups(session: Session, merged_id: str, survivor_id: str, *, now: datetime) -> None:
    """Let the survivor's rows know of the later contact, and end the other profile's tasks: one is enough.

    It ends also what the survivor has no row of yet. A task's subject names the profile that it was opened for, so that
    under the survivor's id nobody would find it again; the row that moves is begun anew by the next look.
    """
    policy = await policy_in_use(session, now=now)
    rows = {row.key: row for row in await lock_rows(session, [merged_id, survivor_id])}
    turn = Turn(rows)
    for obligation in Obligation:
        other, own = rows.get((merged_id, obligation)), rows.get((survivor_id, obligation))
        if other is None:
            continue
        give_up(turn, other, policy.today)
        if own is not None and own.begun_on is not None and own.ended_on is None and other.last_on is not None:
            turn.step(own, contacted(own.cycle(), other.last_on, today=policy.today))
    await follow(session, turn, policy, actor=None, now=now)
