"""Guards of alerts and needs when two profiles become one: what was dismissed of either is not raised any sooner."""

from sqlalchemy import delete, exists
from sqlmodel import SQLModel

from core.db import Session, changed_rows, table_of
from customers.alerts import AlertGuard
from customers.needs import NeedGuard

# A guard's table, what there is one of for each customer, and what says for how long it keeps the next one off.
GUARDS: tuple[tuple[type[SQLModel], str, str], ...] = (
    (AlertGuard, "cause", "raised_at"),
    (NeedGuard, "kind", "blocked_until"),
)


async def keep_later_guards(session: Session, merged_id: str, survivor_id: str) -> None:
    """Let the survivor's guard go where the other profile's keeps the next one off for longer; that one moves then."""
    for model, about, until in GUARDS:
        table = table_of(model)
        other = table.alias("other")
        is_later = exists().where(
            other.c.customer_id == merged_id, other.c[about] == table.c[about], other.c[until] > table.c[until]
        )
        shorter = delete(table).where(table.c.customer_id == survivor_id, is_later.correlate(table))
        await changed_rows(session, shorter)
