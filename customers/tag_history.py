"""What tags a customer carried and when: as of any instant, and all that was ever said."""

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import col, select

from core.db import Session
from core.paging import Page, Place, cut, newest_first, page_size
from customers.tagging import slot_of
from segments.tagging import CustomerTag, Tag, holds_at

Said = tuple[CustomerTag, Tag]


async def tags_at(session: Session, customer_id: str, at: datetime) -> Sequence[Said]:
    """The tags that a customer carried at an instant, the surest first.

    What was said later of an earlier time prevails over what was said of it before: one row for each tag, and one
    tag of the life cycle.
    """
    statement = (
        select(CustomerTag, Tag)
        .join(Tag, col(Tag.key) == col(CustomerTag.tag_key))
        .where(CustomerTag.customer_id == customer_id, holds_at(at))
        .order_by(col(CustomerTag.recorded_at), col(CustomerTag.id))
    )
    found = {slot_of(row.family, row.tag_key): (row, tag) for row, tag in (await session.exec(statement)).all()}
    return sorted(found.values(), key=lambda said: (-said[0].confidence, said[1].key))


async def tag_history(session: Session, customer_id: str, *, first: int | None, after: Place) -> Page[Said]:
    """Everything that was said of a customer's tags, the latest beginning first."""
    size = page_size(first)
    statement = (
        select(CustomerTag, Tag)
        .join(Tag, col(Tag.key) == col(CustomerTag.tag_key))
        .where(CustomerTag.customer_id == customer_id)
    )
    page = newest_first(statement, col(CustomerTag.since), col(CustomerTag.id), size=size, after=after)
    rows = (await session.exec(page)).all()
    return cut(rows, size, lambda said: (said[0].since.isoformat(), said[0].id), after)
