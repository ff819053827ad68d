"""Tags and who has carried them when; the graph has the tags that stand now, to be walked over (ADR 22)."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Index, or_, text
from sqlmodel import Field, and_, col

from core.db import Record, instant


class TagFamily(StrEnum):
    """What a tag speaks of; of life cycle, a customer has one tag at a time."""

    LIFE_CYCLE = "LIFE_CYCLE"
    NEED = "NEED"
    BEHAVIOUR = "BEHAVIOUR"
    CHANNEL = "CHANNEL"
    INTEREST = "INTEREST"


class TagEnd(StrEnum):
    """Why a tag was ended before its time: said anew, shut out by another, taken off, merged, or over when it came."""

    RESTATED = "RESTATED"
    EXCLUDED = "EXCLUDED"
    UNTAGGED = "UNTAGGED"
    MERGED = "MERGED"
    EXPIRED = "EXPIRED"


class Tag(Record, table=True):
    """A word that describes customers and what communities are about; `merged_into` is the tag that took its place."""

    key: str = Field(primary_key=True)
    name_zh: str
    name_en: str
    family: str
    merged_into: str | None = None
    created_at: datetime = instant()


class CustomerTag(Record, table=True):
    """A tag on a customer from one source, over one span; what was said anew is a new row, and the old one ends.

    It holds from `since` until it expires (`until`) or is ended (`ended_at`), whatever comes first.
    """

    __table_args__ = (
        Index(
            "uq_customer_tag_open",
            "customer_id",
            "tag_key",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index(
            "uq_customer_tag_life_cycle",
            "customer_id",
            unique=True,
            sqlite_where=text("ended_at IS NULL AND family = 'LIFE_CYCLE'"),
            postgresql_where=text("ended_at IS NULL AND family = 'LIFE_CYCLE'"),
        ),
        Index("ix_customer_tag_key", "tag_key", "customer_id"),
        Index("ix_customer_tag_history", "customer_id", "since", "id"),
    )

    id: str = Field(primary_key=True)
    customer_id: str
    tag_key: str = Field(foreign_key="tag.key")
    family: str
    source: str
    confidence: float
    since: datetime = instant()
    until: datetime | None = instant(optional=True)
    ended_at: datetime | None = instant(optional=True)
    end_reason: str | None = None
    set_by: str
    recorded_at: datetime = instant()


def holds_at(at: datetime, tag: type[CustomerTag] = CustomerTag) -> ColumnElement[bool]:
    """The condition that a tag is carried at an instant, be it now or long ago; `tag` may be an alias of the table."""
    return and_(
        col(tag.since) <= at,
        or_(col(tag.until).is_(None), col(tag.until) > at),
        or_(col(tag.ended_at).is_(None), col(tag.ended_at) > at),
    )
