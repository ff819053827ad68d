"""The daily looks at all customers: a row for each kind and day says how far one has come.

It is changed in the transaction of each page, by whoever has seen it where it was. So a look that is killed goes on
where it stopped, of two at once one gives way, and one that is done again finds nothing to do. A day that was missed,
or not finished, is part of the next one's span.
"""

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import func, update
from sqlmodel import Field, col, select

from core.days import day_of
from core.db import Record, Session, changed_rows, insert_once, instant
from customers.insight_policies import PolicyKind, active_policy
from customers.profiles import Customer, is_present

# So many customers are looked at in one go.
PAGE = 1_000
# Days that were missed are made up for as long as this; what is older is not news any more.
LONGEST_SPAN = 31
# For so long after a page somebody counts as being at it. One that is killed is waited for no longer.
LONGEST_PAGE = timedelta(minutes=2)


class InsightSweep(Record, table=True):
    """One look: `cursor` is the last customer who was looked at, `first_day` the first day that nobody has looked at.

    It goes by the policy that was active when it began, whatever is activated meanwhile.
    """

    kind: str = Field(primary_key=True)
    day: date = Field(primary_key=True)
    first_day: date
    policy_id: str = Field(foreign_key="insight_policy.id")
    cursor: str = ""
    customers: int = 0
    raised: int = 0
    opened_at: datetime = instant()
    busy_until: datetime | None = instant(optional=True)
    finished_at: datetime | None = instant(optional=True)


async def open_sweep(session: Session, kind: PolicyKind, *, zone: str, now: datetime) -> InsightSweep | None:
    """Today's look, begun or to be gone on with; None where it is done."""
    today = day_of(now, zone)
    done: Any = select(func.max(InsightSweep.day)).where(
        InsightSweep.kind == kind, col(InsightSweep.finished_at).is_not(None), InsightSweep.day < today
    )
    last: date | None = (await session.exec(done)).one()
    earliest = today - timedelta(days=LONGEST_SPAN - 1)
    row = {
        "kind": kind,
        "day": today,
        "first_day": today if last is None else max(last + timedelta(days=1), earliest),
        "policy_id": (await active_policy(session, kind)).id,
        "cursor": "",
        "customers": 0,
        "raised": 0,
        "opened_at": now,
    }
    await insert_once(session, InsightSweep, row, "kind", "day")
    found = await session.get_one(InsightSweep, (kind.value, today), populate_existing=True)
    return found if found.finished_at is None else None


async def is_due(session: Session, kind: PolicyKind, *, zone: str, now: datetime) -> bool:
    """Whether today's look is not done and nobody is at it; it costs one statement."""
    found = await session.get(InsightSweep, (kind.value, day_of(now, zone)), populate_existing=True)
    return found is None or (found.finished_at is None and (found.busy_until is None or found.busy_until <= now))


async def next_customers(session: Session, after: str, *, limit: int) -> Sequence[str]:
    """The customers behind one in the order of their ids."""
    statement = select(Customer.id).where(Customer.id > after, is_present()).order_by(col(Customer.id)).limit(limit)
    return (await session.exec(statement)).all()


async def customers_between(session: Session, after: str, last: str) -> Sequence[str]:
    """The customers behind one up to another, both by the order of their ids; the last one is among them."""
    statement = select(Customer.id).where(Customer.id > after, Customer.id <= last, is_present())
    return (await session.exec(statement.order_by(col(Customer.id)))).all()


async def present_among(session: Session, ids: Collection[str]) -> set[str]:
    """Those of these customers who are somebody: neither erased nor merged into another."""
    return set((await session.exec(select(Customer.id).where(col(Customer.id).in_(sorted(ids)), is_present()))).all())


async def advance_sweep(session: Session, row: InsightSweep, ids: Sequence[str], *, now: datetime) -> bool:
    """Note that these were looked at, none of them: all were; False where somebody else has gone on from this place."""
    here = update(InsightSweep).where(
        col(InsightSweep.kind) == row.kind,
        col(InsightSweep.day) == row.day,
        col(InsightSweep.cursor) == row.cursor,
        col(InsightSweep.finished_at).is_(None),
    )
    further = {"cursor": ids[-1], "busy_until": now + LONGEST_PAGE} if ids else {"finished_at": now, "busy_until": None}
    return bool(await changed_rows(session, here.values(customers=col(InsightSweep.customers) + len(ids), **further)))


async def count_raised(session: Session, row: InsightSweep, raised: int) -> None:
    """Add to what the look has raised, in the transaction that raised it."""
    here = update(InsightSweep).where(col(InsightSweep.kind) == row.kind, col(InsightSweep.day) == row.day)
    await changed_rows(session, here.values(raised=col(InsightSweep.raised) + raised))
