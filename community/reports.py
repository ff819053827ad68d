"""Reports of posts and comments, and the moderators' queue: one case for each thing that is reported."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, case, func, update
from sqlmodel import Field, col, select

from community.content import (
    COMMUNITY_PLACE,
    PLACES,
    ContentInvalid,
    Target,
    checked_reason,
    delete_content,
    moderates,
    not_deleted,
    readable,
)
from community.notices import notice
from core.audit import act, record_act
from core.clock import iso, parse_instant
from core.db import Record, Session, changed_rows, insert_once, instant
from core.errors import NotFound, Refusal
from core.ids import derived_id
from core.notices import NOTICE_OWED, NoticeKind
from core.outbox import owe
from core.paging import Page, Place, cut, oldest_first, page_size
from graph.client import GraphClient, Row

LONGEST_REPORT = 1_000
# So many of a case's reports are shown with it.
MOST_SHOWN = 20
# So many reporters are told in one transaction; the next are an effect of their own.
MOST_TOLD = 500

REPORTS_RESOLVED = "reports.resolved"


class ReportReason(StrEnum):
    """What a reader finds wrong."""

    SPAM = "SPAM"
    ABUSE = "ABUSE"
    FRAUD = "FRAUD"
    PRIVACY = "PRIVACY"
    ILLEGAL = "ILLEGAL"
    OFF_TOPIC = "OFF_TOPIC"
    OTHER = "OTHER"


class Resolution(StrEnum):
    """What a moderator decides: nothing is wrong, or the thing is deleted."""

    DISMISS = "DISMISS"
    DELETE = "DELETE"


class NoOpenReports(Refusal):
    code = "NO_OPEN_REPORTS"
    en = "There is no open report of this."
    zh = "没有待处理的举报。"


class Report(Record, table=True):
    """What one reader reported, once for each thing; who they are is shown to administrators only."""

    __table_args__ = (Index("ix_report_target", "target_id", "resolved_at", "id"),)

    id: str = Field(primary_key=True)
    target_id: str
    reporter_id: str
    reason: str
    text: str
    created_at: datetime = instant()
    resolved_at: datetime | None = instant(optional=True)
    resolution: str | None = None


class ModerationCase(Record, table=True):
    """A reported thing, by its id; it is open again when somebody else reports it after it was resolved."""

    __table_args__ = (Index("ix_moderation_case_queue", "community_id", "is_open", "opened_at", "id"),)

    id: str = Field(primary_key=True)
    community_id: str
    kind: str
    author_id: str
    is_open: bool
    report_count: int
    opened_at: datetime = instant()
    resolved_at: datetime | None = instant(optional=True)
    resolution: str | None = None
    resolved_by: str | None = None
    note: str | None = None


async def reportable(graph: GraphClient, kind: Target, target_id: str, *, reporter_id: str) -> Row:
    """The thing, for somebody who may read it; raises NotFound, ContentDeleted."""
    rows = await graph.read(PLACES[kind], target_id=target_id, customer_id=reporter_id)
    return not_deleted(readable(rows, "targetId"), "targetId")


async def create_report(
    session: Session, place: Row, kind: Target, *, reporter_id: str, reason: ReportReason, text: str, now: datetime
) -> bool:
    """Report what `reportable` found; False for who reported it before. Raises ContentInvalid."""
    stripped = text.strip()
    if len(stripped) > LONGEST_REPORT:
        raise ContentInvalid(path=("text",), detail=f"at most {LONGEST_REPORT} characters")
    report: dict[str, Any] = {
        "id": derived_id("report", place["id"], reporter_id),
        "target_id": place["id"],
        "reporter_id": reporter_id,
        "reason": reason,
        "text": stripped,
        "created_at": now,
    }
    if not await insert_once(session, Report, report, "id"):
        return False
    await count_report(session, place, kind, now)
    return True


async def count_report(session: Session, place: Row, kind: Target, now: datetime) -> None:
    """Open the thing's case, or count one more report in it; the row's own lock keeps the count exact."""
    opened: dict[str, Any] = {
        "id": place["id"],
        "community_id": place["community_id"],
        "kind": kind,
        "author_id": place["author_id"],
        "is_open": True,
        "report_count": 1,
        "opened_at": now,
    }
    if await insert_once(session, ModerationCase, opened, "id"):
        return
    is_open = col(ModerationCase.is_open)
    statement = update(ModerationCase).where(col(ModerationCase.id) == place["id"])
    again = {
        "report_count": case((is_open, col(ModerationCase.report_count) + 1), else_=1),
        "opened_at": case((is_open, col(ModerationCase.opened_at)), else_=now),
        "is_open": True,
        "resolved_at": None,
        "resolution": None,
        "resolved_by": None,
        "note": None,
    }
    await changed_rows(session, statement.values(**again))


async def moderated(graph: GraphClient, kind: Target, target_id: str, *, moderator_id: str) -> Row:
    """The thing, for a moderator of its community; raises NotFound for anybody else."""
    rows = await graph.read(PLACES[kind], target_id=target_id, customer_id=moderator_id)
    if not rows or not moderates(rows[0]):
        raise NotFound(path=("targetId",))
    return rows[0]


async def may_moderate(graph: GraphClient, community_id: str, *, customer_id: str | None) -> bool:
    rows = await graph.read(COMMUNITY_PLACE, community_id=community_id, customer_id=customer_id or "")
    return bool(rows) and moderates(rows[0])


async def resolve_report(
    session: Session,
    graph: GraphClient,
    place: Row,
    kind: Target,
    *,
    resolution: Resolution,
    moderator_id: str,
    note: str | None,
    now: datetime,
) -> None:
    """Resolve all open reports of what `moderated` found; deleting it needs a reason in `note`.

    The case's row is taken first: of two moderators one decides, the other gets NoOpenReports. Should this process
    die after the deletion and before the commit, the deletion itself owes that the case is closed.
    """
    given = checked_reason(note, needed=resolution == Resolution.DELETE)
    target_id = place["id"]
    if not await close_case(session, target_id, resolution=resolution, moderator_id=moderator_id, note=given, now=now):
        raise NoOpenReports(path=("targetId",))
    action = "REPORTS_DISMISSED" if resolution == Resolution.DISMISS else "REPORTS_UPHELD"
    area, subject = f"community:{place['community_id']}", f"{kind.lower()}:{target_id}"
    audited = act(
        area=area,
        actor=moderator_id,
        action=action,
        subject=subject,
        concerns=place["author_id"],
        reason=given,
        at=now,
    )
    await record_act(session, f"reports.resolved:{target_id}:{iso(now)}", audited)
    if resolution == Resolution.DELETE and place["deleted_at"] is None:
        await delete_content(graph, kind, target_id, actor_id=moderator_id, reason=given, now=now, path="targetId")


async def close_case(
    session: Session, target_id: str, *, resolution: Resolution, moderator_id: str, note: str | None, now: datetime
) -> bool:
    """Resolve a thing's open case with all its reports, and owe its reporters notice; False where none is open."""
    statement = update(ModerationCase).where(col(ModerationCase.id) == target_id, col(ModerationCase.is_open))
    closed = {
        "is_open": False,
        "resolved_at": now,
        "resolution": resolution,
        "resolved_by": moderator_id,
        "note": note,
    }
    if not await changed_rows(session, statement.values(**closed)):
        return False
    reports = update(Report).where(col(Report.target_id) == target_id, col(Report.resolved_at).is_(None))
    await changed_rows(session, reports.values(resolved_at=now, resolution=resolution))
    payload = {"target_id": target_id, "resolved_at": iso(now), "resolved_by": moderator_id}
    await owe(session, topic=REPORTS_RESOLVED, key=f"{target_id}:{iso(now)}", payload=payload, now=now)
    return True


async def tell_reporters(session: Session, payload: dict[str, Any], *, now: datetime) -> None:
    """Owe a page of reporters their notice, and the next page as an effect of its own; nobody is told of themselves."""
    target_id, resolved_at, after = payload["target_id"], payload["resolved_at"], payload.get("after", "")
    found = await session.get_one(ModerationCase, target_id)
    statement = select(Report).where(
        Report.target_id == target_id, Report.resolved_at == parse_instant(resolved_at), Report.id > after
    )
    rows = (await session.exec(statement.order_by(col(Report.id)).limit(MOST_TOLD))).all()
    ids = {f"{found.kind.lower()}_id": target_id, "community_id": found.community_id}
    for row in rows:
        if row.reporter_id != payload["resolved_by"]:
            effect = notice(NoticeKind.REPORT_RESOLVED, row.reporter_id, f"{target_id}:{resolved_at}", **ids)
            await owe(session, topic=NOTICE_OWED, key=effect.key, payload=effect.payload, now=now)
    if len(rows) == MOST_TOLD:
        more = {**payload, "after": rows[-1].id}
        await owe(
            session, topic=REPORTS_RESOLVED, key=f"{target_id}:{resolved_at}:{rows[-1].id}", payload=more, now=now
        )


async def moderation_queue(
    session: Session, community_id: str, *, first: int | None, after: Place
) -> Page[ModerationCase]:
    """The open cases of a community, the longest waiting first; who may see them is decided before."""
    size = page_size(first)
    statement = select(ModerationCase).where(ModerationCase.community_id == community_id, col(ModerationCase.is_open))
    page = oldest_first(statement, col(ModerationCase.opened_at), col(ModerationCase.id), size=size, after=after)
    rows = (await session.exec(page)).all()
    return cut(rows, size, lambda row: (iso(row.opened_at), row.id), after)


async def open_reports(session: Session, target_ids: Sequence[str]) -> dict[str, list[Report]]:
    """The first open reports of each thing, in the order in which they came."""
    number = func.row_number().over(
        partition_by=col(Report.target_id), order_by=(col(Report.created_at), col(Report.id))
    )
    numbered = (
        select(col(Report.id).label("id"), number.label("number"))
        .where(col(Report.target_id).in_(list(target_ids)), col(Report.resolved_at).is_(None))
        .subquery()
    )
    statement = select(Report).join(numbered, col(Report.id) == numbered.c.id)
    statement = statement.where(numbered.c.number <= MOST_SHOWN).order_by(col(Report.created_at), col(Report.id))
    found: dict[str, list[Report]] = {target: [] for target in target_ids}
    for row in (await session.exec(statement)).all():
        found[row.target_id].append(row)
    return found
