"""What was said in a customer's complaints, opened, for the customer to take away; internal notes are not theirs."""

from typing import Any

from sqlmodel import col, select

from core.db import Session
from core.traces import MOST_ROWS, within
from service.complaint_keys import open_words
from service.complaint_records import ComplaintEntry
from service.complaint_words import TOLD_TO_CUSTOMER


async def export_complaints(
    session: Session, customer_id: str, truncated: list[str], *, most: int = MOST_ROWS
) -> list[dict[str, Any]]:
    """What was said to and by a customer, in its order; `truncated` gets the place where there is more."""
    told = col(ComplaintEntry.kind).in_(sorted(TOLD_TO_CUSTOMER))
    statement = select(ComplaintEntry).where(ComplaintEntry.customer_id == customer_id, told)
    ordered = statement.order_by(col(ComplaintEntry.complaint_id), col(ComplaintEntry.number)).limit(most + 1)
    entries = (await session.exec(ordered)).all()
    words = await open_words(session, entries)
    rows = [
        {
            "complaint_id": entry.complaint_id,
            "number": entry.number,
            "kind": entry.kind,
            "at": entry.at,
            "words": words.get((entry.complaint_id, entry.number)),
        }
        for entry in entries
    ]
    return within(rows, "complaints", truncated, most)
