"""Reviews that a cap by risk asks for: a fact, and a task for who looks after the customer until the cap is lifted.

What asks is that the cap begins, be it that the risk has risen or that a policy has come to cap what it was; while it
lasts nothing asks again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlmodel import col, select

from core.db import Session
from core.facts import OWN_SOURCE, Fact, NewFact, record_facts
from core.outbox import owe_all
from core.tasks import TASK_OVER, TASK_OWED, TaskKind, task, task_key

TIER_REVIEW_DUE = "TIER_REVIEW_DUE"


@dataclass(frozen=True, slots=True)
class CapChange:
    """The cap of a customer's tier as it was and is, and the level of risk by which it is."""

    customer_id: str
    before: str | None
    after: str | None
    risk: str | None


async def follow_caps(
    session: Session, changes: Sequence[CapChange], key: str, *, month: date | None, days: int, now: datetime
) -> None:
    """Ask for a review, within so many days, where a cap has begun or become another; end it where it was lifted.

    `key` names for ever what has changed the caps, and is that of the month where a run did.
    """
    begun = [review_fact(one, key, month, now) for one in changes if one.after not in (None, one.before)]
    if begun:
        await record_facts(session, begun, now=now, hint=False)
        await owe_all(session, topic=TASK_OWED, payloads=tasks_of(begun, now + timedelta(days=days)), now=now)
    lifted = [one.customer_id for one in changes if one.after is None and one.before is not None]
    if lifted:
        asked = await reviews_of(session, lifted)
        await owe_all(session, topic=TASK_OVER, payloads=tasks_of(asked, now), now=now)


def review_fact(change: CapChange, key: str, month: date | None, now: datetime) -> NewFact:
    """That a customer's risk has begun to cap the tier, once for what made it so."""
    said = {"month": month.isoformat()[:7]} if month else {}
    return NewFact(
        source=OWN_SOURCE,
        key=f"tier-review:{change.customer_id}:{key}",
        kind=TIER_REVIEW_DUE,
        customer_id=change.customer_id,
        occurred_at=now,
        payload={**said, "risk_level": change.risk or ""},
    )


def tasks_of(reviews: Sequence[NewFact | Fact], due_at: datetime) -> dict[str, dict[str, Any]]:
    """The tasks of reviews by their keys; a task is about the fact that asked for it."""
    return {
        task_key(TaskKind.TIER_REVIEW, one.id): task(
            TaskKind.TIER_REVIEW, customer_id=one.customer_id, subject=one.id, due_at=due_at
        )
        for one in reviews
    }


async def reviews_of(session: Session, customer_ids: Sequence[str]) -> Sequence[Fact]:
    """The reviews that were ever asked for of these customers; those that have ended stay as they are."""
    statement = select(Fact).where(Fact.kind == TIER_REVIEW_DUE, col(Fact.customer_id).in_(customer_ids))
    return (await session.exec(statement)).all()
