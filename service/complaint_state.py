"""Whether customers have an open complaint, be it one of ours or one that a source system told of: by facts alone."""

from collections.abc import Collection

from sqlmodel import col, select

from core.db import Session
from core.fact_kinds import COMPLAINT_CLOSED, COMPLAINT_FILED, COMPLAINT_REOPENED
from core.facts import Fact

KINDS = (COMPLAINT_FILED, COMPLAINT_REOPENED, COMPLAINT_CLOSED)


async def open_complaints_of(session: Session, customer_ids: Collection[str]) -> set[str]:
    """Those of these customers who have at least one complaint that is not closed, in one statement."""
    if not customer_ids:
        return set()
    statement = select(Fact).where(col(Fact.kind).in_(KINDS), col(Fact.customer_id).in_(sorted(set(customer_ids))))
    facts = (await session.exec(statement)).all()
    open_ones: dict[tuple[str, object, str], bool] = {}
    # What is filed and closed at one instant is closed; a source may also tell of the end before the beginning.
    for fact in sorted(facts, key=lambda one: (one.occurred_at, one.kind == COMPLAINT_CLOSED, one.id)):
        named = fact.payload.get("complaint")
        if named is not None:
            open_ones[fact.customer_id, named, fact.source] = fact.kind != COMPLAINT_CLOSED
    return {customer_id for (customer_id, _, __), is_open in open_ones.items() if is_open}
