"""Qualification: a pure fold over facts in the order in which they happened, never in which they came."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from referrals.programs import ProgramDefinition, Step


class FactLike(Protocol):
    """What the fold reads of a fact."""

    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def occurred_at(self) -> datetime: ...


@dataclass(frozen=True, slots=True)
class StepReached:
    """A step, the fact that reached it, and since when it and all steps before it are reached."""

    step: Step
    fact_id: str
    reached_at: datetime


@dataclass(frozen=True, slots=True)
class Qualification:
    """What the facts amount to: the steps reached, or that the referee was a customer before."""

    steps: tuple[StepReached, ...]
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

    A step is reached by the earliest fact of its kind, and only once all steps before it are; a
    fact past the step's deadline (counted from `attributed_from`, exclusive) does not reach it.
    """
    ordered = sorted(facts, key=lambda fact: (fact.occurred_at, fact.id))
    first_kind = definition.steps[0].fact_kind
    existed = any(fact.kind == first_kind and fact.occurred_at < attributed_from for fact in ordered)
    if existed or (customer_since is not None and customer_since < attributed_from):
        return Qualification((), is_existing_customer=True, is_complete=False)
    reached: list[StepReached] = []
    since = attributed_from
    for step in definition.steps:
        fact = earliest(step, ordered, attributed_from)
        if fact is None:
            break
        since = max(since, fact.occurred_at)
        reached.append(StepReached(step, fact.id, since))
    return Qualification(tuple(reached), is_existing_customer=False, is_complete=len(reached) == len(definition.steps))


def earliest(step: Step, ordered: Sequence[FactLike], start: datetime) -> FactLike | None:
    """The first fact of the step's kind inside its span, start inclusive and deadline exclusive."""
    deadline = start + timedelta(days=step.within_days) if step.within_days is not None else None
    for fact in ordered:
        late = deadline is not None and fact.occurred_at >= deadline
        if fact.kind == step.fact_kind and fact.occurred_at >= start and not late:
            return fact
    return None
