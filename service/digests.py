"""The weekly digest: one notice a week for each customer who asked for it; a run goes on where the last one stopped."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import update
from sqlmodel import Field, col, select

from core.clock import as_utc
from core.db import Record, Session, changed_rows, insert_once, instant
from core.notices import NoticeKind
from service.notifications import NotificationPreference

# The bank's own week; a digest is sent in the morning of its first day.
ZONE = ZoneInfo("Asia/Shanghai")
SENT_AT_HOUR = 8


class Digest(Record, table=True):
    """How far the digest of a week has come: the last customer who was served, in order of their ids."""

    week: str = Field(primary_key=True)
    position: str = ""
    finished_at: datetime | None = instant(optional=True)


@dataclass(frozen=True, slots=True)
class Week:
    """A week that is over, by its ISO name such as 2026-W48; both instants are UTC."""

    name: str
    begins: datetime
    ends: datetime


def week_to_tell(now: datetime) -> Week:
    """The last week whose digest is due; a new one is due on Monday at eight in the morning."""
    shifted = now.astimezone(ZONE) - timedelta(hours=SENT_AT_HOUR)
    monday = shifted.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=shifted.weekday())
    begins = monday - timedelta(days=7)
    year, number, _ = begins.isocalendar()
    return Week(f"{year}-W{number:02}", as_utc(begins), as_utc(monday))


async def digest_position(session: Session, week: str) -> str | None:
    """The customer after whom to go on; None when the week's digest is finished."""
    row = await session.get(Digest, week)
    if row is None:
        return ""
    return None if row.finished_at else row.position


async def digest_readers(session: Session, *, after: str, limit: int) -> Sequence[str]:
    """Customers who want a digest, in order of their ids."""
    statement = select(NotificationPreference.customer_id).where(
        NotificationPreference.kind == str(NoticeKind.DIGEST),
        col(NotificationPreference.enabled),
        col(NotificationPreference.customer_id) > after,
    )
    return (await session.exec(statement.order_by(col(NotificationPreference.customer_id)).limit(limit))).all()


async def advance_digest(session: Session, week: str, *, position: str, to: str, finished_at: datetime | None) -> bool:
    """Note how far it has come; False where another worker has gone on from this position."""
    await insert_once(session, Digest, {"week": week, "position": "", "finished_at": None}, "week")
    statement = update(Digest).where(col(Digest.week) == week, col(Digest.position) == position)
    values = statement.where(col(Digest.finished_at).is_(None)).values(position=to, finished_at=finished_at)
    return bool(await changed_rows(session, values))
