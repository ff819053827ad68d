"""Service breaks: opened once for a cause, with the facts that prove them, and ended once.

Whoever opens holds the customer's standing first. A rule that tells causes apart by a field of its events (`same`) has
one break for each value of it, for ever. Any other rule has one while it is open: what happens until it ends belongs to
it, and the first event after that may open the next one.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field, col, select

from core.db import Record, Session, insert_once, instant, json_column
from core.errors import NotFound
from core.fact_kinds import SERVICE_BREAK_FOUND
from core.facts import OWN_SOURCE, Fact, NewFact, record_facts
from core.ids import derived_id
from core.outbox import owe_all
from core.paging import Page, Place, cut, newest_first, page_size
from core.tasks import TASK_OWED, TaskKind, task, task_key
from service.break_rules import ActiveRule

# A break that nobody has repaired is given up at this topic's time; the payload names it.
SERVICE_BREAK_DUE = "service_break.due"
# The next answer to a survey within so long after what went wrong is its effect.
EFFECT = timedelta(days=90)
# So many facts prove a break at most; more say nothing new.
MOST_EVIDENCE = 50


class BreakStatus(StrEnum):
    """RECOVERED and EXPIRED are final."""

    OPEN = "OPEN"
    RECOVERED = "RECOVERED"
    EXPIRED = "EXPIRED"


class ServiceBreak(Record, table=True):
    """Something that went wrong for a customer; `broke_at` is when the rule's condition came true.

    `note` is sealed by the customer's data key. `next_survey_id` is the first survey that they answered since.
    """

    __table_args__ = (
        UniqueConstraint("rule_id", "customer_id", "subject"),
        Index("ix_service_break_customer", "customer_id", "opened_at", "id"),
        Index("ix_service_break_status", "status", "opened_at", "id"),
        Index("ix_service_break_opened", "opened_at", "rule_id"),
        Index("ix_service_break_survey", "next_survey_id"),
    )

    id: str = Field(primary_key=True)
    rule_id: str = Field(foreign_key="service_break_rule.id")
    rule_version: int
    customer_id: str
    subject: str
    status: str = BreakStatus.OPEN
    broke_at: datetime = instant()
    opened_at: datetime = instant()
    due_at: datetime = instant()
    expires_at: datetime = instant()
    ended_at: datetime | None = instant(optional=True)
    recovered_by: str | None = None
    actions: dict[str, Any] = json_column()
    note: str | None = Field(default=None, repr=False)
    repair_seconds: int | None = None
    next_survey_id: str | None = None


class ServiceBreakFact(Record, table=True):
    """That a fact proves a break; of one rule it proves one at most."""

    __table_args__ = (Index("ix_service_break_fact_break", "break_id"),)

    rule_id: str = Field(primary_key=True, foreign_key="service_break_rule.id")
    fact_id: str = Field(primary_key=True)
    break_id: str = Field(foreign_key="service_break.id")


@dataclass(frozen=True, slots=True)
class Trigger:
    """A fact by which a rule's condition came true, with the value by which causes are told apart, or none."""

    rule: ActiveRule
    fact: Fact
    cause: str


async def proven_facts(session: Session, rule_ids: Collection[str], fact_ids: Collection[str]) -> set[tuple[str, str]]:
    """Pairs of rule and fact of which there is a break already."""
    statement = select(ServiceBreakFact.rule_id, ServiceBreakFact.fact_id).where(
        col(ServiceBreakFact.rule_id).in_(sorted(rule_ids)), col(ServiceBreakFact.fact_id).in_(sorted(fact_ids))
    )
    return set((await session.exec(statement)).all()) if fact_ids else set()


async def open_breaks(session: Session, triggers: Sequence[Trigger], *, now: datetime) -> list[ServiceBreak]:
    """Open what is new, of triggers whose customers the caller holds; returns the new breaks."""
    rule_ids, fact_ids = {one.rule.id for one in triggers}, {one.fact.id for one in triggers}
    proven = await proven_facts(session, rule_ids, fact_ids)
    new: list[ServiceBreak] = []
    for one in sorted(triggers, key=lambda one: (one.fact.occurred_at, one.fact.id, one.rule.id)):
        if (one.rule.id, one.fact.id) in proven:
            continue
        found = await break_that_has(session, one)
        if found is None:
            found = new_break(one, now)
            session.add(found)
            await session.flush()
            new.append(found)
        facts = await evidence_of(session, one) if found in new else [one.fact.id]
        rows = [
            {"rule_id": one.rule.id, "fact_id": fact, "break_id": found.id} for fact in sorted({*facts, one.fact.id})
        ]
        await insert_once(session, ServiceBreakFact, rows, "rule_id", "fact_id")
        proven |= {(one.rule.id, row["fact_id"]) for row in rows}
    await owe_consequences(session, new, now=now)
    return new


async def break_that_has(session: Session, trigger: Trigger) -> ServiceBreak | None:
    """The break to which a trigger belongs: that of its cause, or else the one that had not ended when it happened."""
    mine = select(ServiceBreak).where(
        ServiceBreak.rule_id == trigger.rule.id, ServiceBreak.customer_id == trigger.fact.customer_id
    )
    if trigger.cause:
        mine = mine.where(ServiceBreak.subject == trigger.cause)
    else:
        mine = mine.where(
            col(ServiceBreak.ended_at).is_(None) | (col(ServiceBreak.ended_at) >= trigger.fact.occurred_at)
        )
    first = mine.order_by(col(ServiceBreak.opened_at), col(ServiceBreak.id)).limit(1)
    return (await session.exec(first.execution_options(populate_existing=True))).first()


def new_break(trigger: Trigger, now: datetime) -> ServiceBreak:
    definition = trigger.rule.terms.definition
    subject = trigger.cause or trigger.fact.id
    return ServiceBreak(
        id=derived_id("service-break", trigger.rule.id, trigger.fact.customer_id, subject),
        rule_id=trigger.rule.id,
        rule_version=trigger.rule.version,
        customer_id=trigger.fact.customer_id,
        subject=subject,
        broke_at=trigger.fact.occurred_at,
        opened_at=now,
        due_at=now + timedelta(days=definition.recover_days),
        expires_at=now + timedelta(days=definition.expires_days),
        actions={},
    )


async def evidence_of(session: Session, trigger: Trigger) -> list[str]:
    """The latest facts of the rule's window, up to the trigger, that prove no other break of the rule."""
    used = select(ServiceBreakFact.fact_id).where(ServiceBreakFact.rule_id == trigger.rule.id)
    terms = trigger.rule.terms
    statement = select(Fact.id).where(
        col(Fact.kind).in_(sorted(terms.kinds)),
        Fact.customer_id == trigger.fact.customer_id,
        col(Fact.occurred_at) > trigger.fact.occurred_at - terms.window,
        col(Fact.occurred_at) <= trigger.fact.occurred_at,
        col(Fact.id).not_in(used),
    )
    if trigger.cause:
        statement = statement.where(says(Fact, terms.definition.same or "", trigger.cause))
    latest = statement.order_by(col(Fact.occurred_at).desc(), col(Fact.id).desc()).limit(MOST_EVIDENCE)
    return list((await session.exec(latest)).all())


def says(fact: type[Fact], field: str, value: str) -> Any:
    """That the payload of a fact says this text in a field."""
    payload: Any = col(fact.payload)
    return payload[field].as_string() == value


async def owe_consequences(session: Session, new: Sequence[ServiceBreak], *, now: datetime) -> None:
    """Owe each new break a task and its end, and record that it was found."""
    tasks = {
        task_key(TaskKind.RECOVERY, one.id): task(
            TaskKind.RECOVERY, customer_id=one.customer_id, subject=one.id, due_at=one.due_at
        )
        for one in new
    }
    await owe_all(session, topic=TASK_OWED, payloads=tasks, now=now, hint=True)
    ends: dict[str, dict[str, Any]] = {one.id: {"break_id": one.id} for one in new}
    await owe_all(
        session, topic=SERVICE_BREAK_DUE, payloads=ends, now=now, not_before={one.id: one.expires_at for one in new}
    )
    facts = [break_fact(SERVICE_BREAK_FOUND, "found", one, now) for one in new]
    await record_facts(session, facts, now=now)


def break_fact(kind: str, name: str, row: ServiceBreak, now: datetime) -> NewFact:
    return NewFact(
        source=OWN_SOURCE,
        key=f"service-break:{row.id}:{name}",
        kind=kind,
        customer_id=row.customer_id,
        occurred_at=now,
        payload={"break_id": row.id, "rule_id": row.rule_id},
    )


async def find_break(session: Session, break_id: str) -> ServiceBreak:
    """The break as it is by now; raises NotFound."""
    found = await session.get(ServiceBreak, break_id, populate_existing=True)
    if found is None:
        raise NotFound(path=("breakId",))
    return found


async def evidence_by_break(session: Session, break_ids: Collection[str]) -> dict[str, list[Fact]]:
    """The facts that prove each of these breaks, in the order in which they happened."""
    statement = (
        select(ServiceBreakFact.break_id, Fact)
        .join(Fact, col(Fact.id) == ServiceBreakFact.fact_id)
        .where(col(ServiceBreakFact.break_id).in_(sorted(set(break_ids))))
        .order_by(col(Fact.occurred_at), col(Fact.id))
    )
    found: dict[str, list[Fact]] = {one: [] for one in break_ids}
    for break_id, fact in (await session.exec(statement)).all():
        found[break_id].append(fact)
    return found


async def list_breaks(
    session: Session,
    *,
    customer_ids: Collection[str] | None,
    status: BreakStatus | None,
    rule_id: str | None,
    hidden: Any = None,
    first: int | None,
    after: Place,
) -> Page[ServiceBreak]:
    """Breaks of these customers, or of all where none are named, the latest first, less those that `hidden` selects."""
    size = page_size(first)
    statement = select(ServiceBreak)
    if customer_ids is not None:
        statement = statement.where(col(ServiceBreak.customer_id).in_(customer_ids))
    if status is not None:
        statement = statement.where(ServiceBreak.status == status)
    if rule_id is not None:
        statement = statement.where(ServiceBreak.rule_id == rule_id)
    if hidden is not None:
        statement = statement.where(col(ServiceBreak.id).not_in(hidden))
    page = newest_first(statement, col(ServiceBreak.opened_at), col(ServiceBreak.id), size=size, after=after)
    return cut((await session.exec(page)).all(), size, lambda row: (row.opened_at.isoformat(), row.id), after)
