"""Feedback on events: once per attendee, a rating for everybody to see as an average, a comment for the managers."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Index, UniqueConstraint, union_all, update
from sqlalchemy import select as sql_select
from sqlmodel import Field, col, select

from core.clock import as_utc, iso
from core.db import Record, Session, changed_rows, insert_once, instant, table_of
from core.errors import BadUserInput, NotFound, Refusal
from core.ids import derived_id
from core.paging import Page, Place, cut_each, goes_back, newest_first, page_size
from graph.client import GraphClient, Row

# An average of fewer would say what one person thought.
FEWEST_FOR_AVERAGE = 3
LONGEST_COMMENT = 2_000
STARS = (1, 2, 3, 4, 5)


class FeedbackInvalid(BadUserInput):
    code = "FEEDBACK_INVALID"
    en = "The feedback is not valid."
    zh = "评价内容无效。"


class NotAttended(Refusal):
    code = "NOT_ATTENDED"
    en = "Only those who took part can give feedback."
    zh = "仅实际参加者可以评价。"


class FeedbackGiven(Refusal):
    code = "FEEDBACK_GIVEN"
    en = "You have given your feedback already."
    zh = "您已评价过该活动。"


class EventFeedback(Record, table=True):
    """What one attendee thought of one event."""

    __table_args__ = (
        UniqueConstraint("event_id", "customer_id"),
        Index("ix_event_feedback_event", "event_id", "created_at", "id"),
    )

    id: str = Field(primary_key=True)
    event_id: str
    customer_id: str
    rating: int
    comment: str | None = None
    created_at: datetime = instant()


class EventRating(Record, table=True):
    """How many gave each number of stars: the average costs one row, however many there are."""

    event_id: str = Field(primary_key=True)
    stars_1: int = 0
    stars_2: int = 0
    stars_3: int = 0
    stars_4: int = 0
    stars_5: int = 0

    @property
    def distribution(self) -> list[int]:
        return [self.stars_1, self.stars_2, self.stars_3, self.stars_4, self.stars_5]

    @property
    def count(self) -> int:
        return sum(self.distribution)

    @property
    def average(self) -> float | None:
        """The mean of the stars; None while nobody gave any."""
        total = sum(stars * given for stars, given in zip(STARS, self.distribution, strict=True))
        return total / self.count if self.count else None


def check_feedback(rating: int, comment: str | None) -> None:
    if rating not in STARS:
        raise FeedbackInvalid(path=("rating",), detail="1 to 5")
    if comment is not None and (len(comment) > LONGEST_COMMENT or "\0" in comment):
        raise FeedbackInvalid(path=("comment",), detail=f"at most {LONGEST_COMMENT} characters, none of them NUL")


ATTENDANCE = """
MATCH (e:Event {id: $event_id})
MATCH (me:Customer {id: $customer_id})
MATCH (me)-[r:REGISTERED_FOR]->(e)
RETURN r.status AS status, e.starts_at AS starts_at
"""


async def check_attendance(graph: GraphClient, *, event_id: str, customer_id: str, now: datetime) -> None:
    """Raise NotAttended unless the customer was checked in at this event, and it has begun."""
    rows = await graph.read(ATTENDANCE, customer_id=customer_id, event_id=event_id)
    if not rows or rows[0]["status"] != "ATTENDED" or rows[0]["starts_at"] > iso(now):
        raise NotAttended(path=("eventId",))


async def give_feedback(
    session: Session, *, event_id: str, customer_id: str, rating: int, comment: str | None, now: datetime
) -> None:
    """Store an attendee's feedback; the same given again is given once. Raises FeedbackInvalid, FeedbackGiven."""
    check_feedback(rating, comment)
    text = comment.strip() or None if comment is not None else None
    row: dict[str, Any] = {
        "id": derived_id("feedback", event_id, customer_id),
        "event_id": event_id,
        "customer_id": customer_id,
        "rating": rating,
        "comment": text,
        "created_at": now,
    }
    if not await insert_once(session, EventFeedback, row):
        given = await session.get_one(EventFeedback, row["id"])
        if (given.rating, given.comment) != (rating, text):
            raise FeedbackGiven(path=("eventId",))
        return
    zeros = {f"stars_{stars}": 0 for stars in STARS}
    await insert_once(session, EventRating, {"event_id": event_id, **zeros}, "event_id")
    column = table_of(EventRating).c[f"stars_{rating}"]
    await changed_rows(
        session, update(EventRating).where(col(EventRating.event_id) == event_id).values({column: column + 1})
    )


async def own_feedback(session: Session, *, event_id: str, customer_id: str) -> EventFeedback:
    """The customer's feedback on an event; raises NotFound where there is none."""
    found = await session.get(EventFeedback, derived_id("feedback", event_id, customer_id))
    if found is None:
        raise NotFound(path=("eventId",))
    return found


async def feedback_of(
    session: Session, event_ids: Sequence[str], *, first: int | None, after: Place
) -> Mapping[str, Page[Row]]:
    """Feedback on each event, the latest first; one statement with a limit for each event."""
    size = page_size(first)
    table = table_of(EventFeedback)
    pages: list[Any] = []
    for event_id in event_ids:
        mine = sql_select(table).where(table.c.event_id == event_id)
        page = newest_first(mine, table.c.created_at, table.c.id, size=size, after=after)
        pages.append(sql_select(page.subquery()))
    result = await (await session.connection()).execute(union_all(*pages))
    found, falling = [dict(row) for row in result.mappings()], not goes_back(after)
    rows = sorted(found, key=lambda row: (row["created_at"], row["id"]), reverse=falling)
    return cut_each(
        list(event_ids), rows, "event_id", size, lambda row: (as_utc(row["created_at"]).isoformat(), row["id"]), after
    )


async def ratings_of(session: Session, event_ids: Sequence[str]) -> dict[str, EventRating]:
    """The counted stars of the events that have any, by event id."""
    rows = (await session.exec(select(EventRating).where(col(EventRating.event_id).in_(set(event_ids))))).all()
    return {row.event_id: row for row in rows}
