"""Qualification: a pure fold over facts in the order in which they happened, never in which they came."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.reversals import FactLike, is_about, names
from referrals.definition import ProgramDefinition, Step


@dataclass(frozen=True, slots=True)
class StepReached:
    """A step, the fact that reached it, and since when it and all steps before it are reached."""

    step: Step
    fact_id: str
    reached_at: datetime


@dataclass(frozen=True, slots=True)
class Qualification:
    """What the facts amount to: the steps reached, the facts that were undone, or that the referee was a customer."""

    steps: tuple[StepReached, ...]
    undone: frozenset[str]
    is_existing_customer: bool
    is_complete: bool


def qualify(
    definition: ProgramDefinition,
    facts: Sequence[FactLike],
    *,
    attributed_from: datetime,
    customer_since: datetime | None = None,
) -> Qualification:
    """Fold the facts; shuffled, repeated or split over several calls they give the same.

    A step is reached by the earliest fact of its kind that was not undone, and only once all steps before it are;
    a fact past the step's deadline (counted from `attributed_from`, exclusive) does not reach it.
    """
    ordered = sorted(facts, key=lambda fact: (fact.occurred_at, fact.id))
    if is_existing(definition, ordered, attributed_from, customer_since):
        return Qualification((), frozenset(), is_existing_customer=True, is_complete=False)
    reached: list[StepReached] = []
    undone: set[str] = set()
    since = attributed_from
    for step in definition.steps:
        for fact in candidates(step, ordered, attributed_from):
            at = max(since, fact.occurred_at)
            if not is_undone(step, fact, ordered, until=at + timedelta(days=definition.days_to_undo)):
                reached.append(StepReached(step, fact.id, at))
                since = at
                break
            undone.add(fact.id)
        else:
            break
    is_complete = len(reached) == len(definition.steps)
    return Qualification(tuple(reached), frozenset(undone), is_existing_customer=False, is_complete=is_complete)


def is_existing(
    definition: ProgramDefinition, facts: Sequence[FactLike], start: datetime, customer_since: datetime | None
) -> bool:
    """Whether the referee was a customer before: by the profile, or by a fact of the first step that still stands."""
    if customer_since is not None and customer_since < start:
        return True
    first = definition.steps[0]
    return any(
        fact.kind == first.fact_kind and fact.occurred_at < start and not is_taken_back(first, fact, facts)
        for fact in facts
    )


def candidates(step: Step, facts: Sequence[FactLike], start: datetime) -> list[FactLike]:
    """The facts of the step's kind inside its span, start inclusive and deadline exclusive, in their order."""
    deadline = start + timedelta(days=step.within_days) if step.within_days is not None else None
    return [
        fact
        for fact in facts
        if fact.kind == step.fact_kind
        and fact.occurred_at >= start
        and (deadline is None or fact.occurred_at < deadline)
    ]


def is_undone(step: Step, fact: FactLike, facts: Sequence[FactLike], *, until: datetime) -> bool:
    """Whether a reversal that happened at or after the fact and before `until` is about it.

    A reversal that names a fact is about that one, any other about everything of the step before it.
    """
    return any(
        fact.occurred_at <= reversal.occurred_at < until
        for reversal in facts
        if reversal.kind in step.reversed_by and is_about(reversal, fact)
    )


def is_taken_back(step: Step, fact: FactLike, facts: Sequence[FactLike]) -> bool:
    return any(reversal.kind in step.reversed_by and names(reversal, fact) for reversal in facts)
