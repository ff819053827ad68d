"""Holdings that do not fit any more: found when a rating or a customer's class changes, each with one task.

Of a customer and product there is one open finding at most, which a unique index keeps; it ends, and its task with it,
when the holding fits again or is no more.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Index, text, update
from sqlmodel import Field, col, select

from core.db import Record, Session, changed_rows, insert_new, instant, json_column
from core.ids import new_id
from core.outbox import owe_all
from core.paging import Page, Place, cut, newest_first, page_size
from core.tasks import TASK_OVER, TASK_OWED, TaskKind, task, task_key
from service.assessments import current_assessments, hold_guard
from service.entitlements import entitlements_of
from service.products import offers_of
from service.suitability import Suitability, check_suitability, suitability_of_snapshot


class SuitabilityFinding(Record, table=True):
    """Something held that does not fit, with the check as it was then."""

    __table_args__ = (
        Index(
            "uq_suitability_finding_open",
            "customer_id",
            "product",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index("ix_suitability_finding_found", "found_at", "id"),
        Index("ix_suitability_finding_customer", "customer_id", "found_at", "id"),
    )

    id: str = Field(primary_key=True)
    customer_id: str
    product: str
    snapshot: dict[str, Any] = json_column()
    found_at: datetime = instant()
    due_at: datetime = instant()
    ended_at: datetime | None = instant(optional=True)

    def checked(self) -> Suitability:
        return suitability_of_snapshot(self.snapshot)


@dataclass(frozen=True, slots=True, order=True)
class Held:
    """That a customer holds something of a product."""

    customer_id: str
    product: str


async def review_holdings(session: Session, held: Collection[Held], *, now: datetime) -> list[str]:
    """Look at holdings by the ratings and classes of now; returns the ids of the new findings.

    Ratings and classes are read when the customers' guards are held: whoever changes one after that looks again later.
    A product that the bank has not told us of is left out: nothing is known of it that could have changed.
    """
    await hold_guard(session, *(one.customer_id for one in held), now=now)
    offers = await offers_of(session, {one.product for one in held})
    assessed = await current_assessments(session, {one.customer_id for one in held}, now=now)
    misfits: dict[Held, Suitability] = {}
    fitting: list[Held] = []
    # One for each customer and product, in one order everywhere: writers wait for each other and never in a circle.
    for one in sorted(set(held)):
        if one.product not in offers:
            continue
        known = assessed.get(one.customer_id)
        found = check_suitability(one.product, offers[one.product], known.assessed() if known else None, now=now)
        if found.against_holding:
            misfits[one] = found
        else:
            fitting.append(one)
    await end_findings(session, fitting, now=now)
    return await open_findings(session, misfits, now=now)


async def open_findings(session: Session, misfits: Mapping[Held, Suitability], *, now: datetime) -> list[str]:
    if not misfits:
        return []
    entitled = await entitlements_of(session, {one.customer_id for one in misfits}, now=now)
    rows: list[dict[str, Any]] = [
        {
            "id": new_id(),
            "customer_id": one.customer_id,
            "product": one.product,
            "snapshot": found.as_snapshot(),
            "found_at": now,
            "due_at": now + entitled[one.customer_id].reviewed_within,
        }
        for one, found in misfits.items()
    ]
    new = set(await insert_new(session, SuitabilityFinding, rows, by="customer_id"))
    payloads = {
        task_key(TaskKind.SUITABILITY_REVIEW, row["id"]): review_of(row["id"], row["customer_id"], row["due_at"])
        for row in rows
        if row["id"] in new
    }
    await owe_all(session, topic=TASK_OWED, payloads=payloads, now=now)
    return sorted(new)


async def end_findings(session: Session, over: Collection[Held], *, now: datetime) -> int:
    """End the open findings of holdings that fit, or are no more; returns how many there were."""
    wanted = set(over)
    open_ones = await open_findings_of(session, {one.customer_id for one in wanted})
    ended = [row for row in open_ones if Held(row.customer_id, row.product) in wanted]
    return await end_rows(session, ended, now=now)


async def end_rows(session: Session, rows: Sequence[SuitabilityFinding], *, now: datetime) -> int:
    if not rows:
        return 0
    ids = sorted(row.id for row in rows)
    ending = update(SuitabilityFinding).where(
        col(SuitabilityFinding.id).in_(ids), col(SuitabilityFinding.ended_at).is_(None)
    )
    ended = await changed_rows(session, ending.values(ended_at=now))
    payloads = {
        task_key(TaskKind.SUITABILITY_REVIEW, row.id): review_of(row.id, row.customer_id, row.due_at) for row in rows
    }
    await owe_all(session, topic=TASK_OVER, payloads=payloads, now=now)
    return ended


def review_of(finding_id: str, customer_id: str, due_at: datetime) -> dict[str, Any]:
    return task(TaskKind.SUITABILITY_REVIEW, customer_id=customer_id, subject=finding_id, due_at=due_at)


async def open_findings_of(session: Session, customer_ids: Collection[str]) -> Sequence[SuitabilityFinding]:
    if not customer_ids:
        return []
    statement = select(SuitabilityFinding).where(
        col(SuitabilityFinding.customer_id).in_(sorted(set(customer_ids))), col(SuitabilityFinding.ended_at).is_(None)
    )
    return (await session.exec(statement.order_by(col(SuitabilityFinding.id)))).all()


async def end_sold(session: Session, customer_ids: Collection[str], held: Collection[Held], *, now: datetime) -> int:
    """End the findings of these customers about what they do not hold any more."""
    kept = set(held)
    open_ones = await open_findings_of(session, customer_ids)
    return await end_rows(
        session, [row for row in open_ones if Held(row.customer_id, row.product) not in kept], now=now
    )


async def end_doubles(session: Session, merged_id: str, survivor_id: str, *, now: datetime) -> None:
    """End what two profiles that become one have both found, of the one that goes, with its task."""
    rows = await open_findings_of(session, [merged_id, survivor_id])
    kept = {row.product for row in rows if row.customer_id == survivor_id}
    await end_rows(session, [row for row in rows if row.customer_id == merged_id and row.product in kept], now=now)


async def list_findings(
    session: Session, customer_ids: Collection[str] | None, *, first: int | None, after: Place
) -> Page[SuitabilityFinding]:
    """What does not fit of these customers, or of all where none are named, the latest found first."""
    size = page_size(first)
    statement = select(SuitabilityFinding).where(col(SuitabilityFinding.ended_at).is_(None))
    if customer_ids is not None:
        statement = statement.where(col(SuitabilityFinding.customer_id).in_(customer_ids))
    page = newest_first(statement, col(SuitabilityFinding.found_at), col(SuitabilityFinding.id), size=size, after=after)
    return cut((await session.exec(page)).all(), size, lambda row: (row.found_at.isoformat(), row.id), after)
