"""One row of each customer, at which whoever writes of their surveys and breaks, or counts what they filed, waits."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlmodel import Field, col, select

from core.db import Record, Session, changed_rows, insert_into, insert_once, insert_rows, instant, table_of


class ServiceStanding(Record, table=True):
    """When the customer was last invited to a survey; null: never."""

    customer_id: str = Field(primary_key=True)
    invited_at: datetime | None = instant(optional=True)


async def hold_standings(session: Session, customer_ids: Collection[str]) -> None:
    """Hold these customers until the transaction ends, in one order everywhere, so that nobody waits in a circle."""
    ids = sorted(set(customer_ids))
    if not ids:
        return
    await insert_once(
        session, ServiceStanding, [{"customer_id": one, "invited_at": None} for one in ids], "customer_id"
    )
    held = select(ServiceStanding.customer_id).where(col(ServiceStanding.customer_id).in_(ids))
    await session.exec(held.order_by(col(ServiceStanding.customer_id)).with_for_update())


async def pass_invitations(
    session: Session, customer_ids: Sequence[str], *, quiet: timedelta, now: datetime
) -> set[str]:
    """Those of these customers who were not invited for so long, and are from now on; of many at once one passes."""
    put, table = insert_into(session, ServiceStanding), table_of(ServiceStanding)
    statement = put.on_conflict_do_update(
        index_elements=["customer_id"],
        set_={"invited_at": put.excluded.invited_at},
        where=table.c.invited_at.is_(None) | (table.c.invited_at <= now - quiet),
    )
    rows = [{"customer_id": one, "invited_at": now} for one in sorted(set(customer_ids))]
    return {row.customer_id for row in await insert_rows(session, statement.returning(table.c.customer_id), rows)}


async def keep_later_standing(session: Session, merged_id: str, survivor_id: str) -> None:
    """Let the survivor's row go where the other profile was invited later; that one moves then."""
    table = table_of(ServiceStanding)
    rows = (
        await session.exec(
            select(ServiceStanding).where(col(ServiceStanding.customer_id).in_([merged_id, survivor_id]))
        )
    ).all()
    invited = {row.customer_id: row.invited_at for row in rows}
    other, own = invited.get(merged_id), invited.get(survivor_id)
    if other is not None and (own is None or own < other):
        await changed_rows(session, delete(table).where(table.c.customer_id == survivor_id))
