"""Content: articles in two languages that a second person reviews before customers read them.

What is read is what was reviewed: an article that is changed afterwards is a draft again, and one that is published
is not changed any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, delete, exists, update
from sqlalchemy import select as sql_select
from sqlmodel import Field, col, select

from core.audit import record_change
from core.db import Record, Session, changed_rows, insert_once, instant, rows_by_id, table_of
from core.errors import BadUserInput, NotFound, Refusal
from core.ids import new_id
from core.paging import Page, Place, cut, newest_first, page_size
from graph.eligibility import Tier
from segments.tagging import Tag

LONGEST_TITLE = 120
LONGEST_BODY = 20_000
LONGEST_NOTE = 500
MOST_TAGS = 10
# What stands for the tag of an article that has none, and is for everybody.
EVERYBODY = "*"


class ContentInvalid(BadUserInput):
    code = "CONTENT_INVALID"
    en = "The article is not valid."
    zh = "资讯内容无效。"


class ContentNotReviewed(Refusal):
    code = "CONTENT_NOT_REVIEWED"
    en = "Only a reviewed article can be published."
    zh = "资讯须审核通过后才能发布。"


class ContentFixed(Refusal):
    code = "CONTENT_FIXED"
    en = "A published or retired article is not changed any more; write a new one."
    zh = "已发布或已下架的资讯不能修改，请新建。"


class ContentReviewOwn(Refusal):
    code = "CONTENT_REVIEW_OWN"
    en = "An article is reviewed by somebody who has not written in it."
    zh = "资讯须由未参与撰写的人员审核。"


class ContentChanged(Refusal):
    code = "CONTENT_CHANGED"
    en = "The article was changed or reviewed in the meantime. Please read it again."
    zh = "资讯已被修改或审核，请重新查看。"


class ContentStatus(StrEnum):
    """DRAFT until a review approves it; RETIRED is final."""

    DRAFT = "DRAFT"
    REVIEWED = "REVIEWED"
    PUBLISHED = "PUBLISHED"
    RETIRED = "RETIRED"


class ContentArticle(Record, table=True):
    """An article; its body is Markdown that is kept as text and shown by whoever reads it."""

    __table_args__ = (
        Index("ix_content_article_created", "created_at", "id"),
        Index("ix_content_article_status", "status", "created_at", "id"),
    )

    id: str = Field(primary_key=True)
    title_zh: str
    title_en: str
    body_zh: str
    body_en: str
    minimum_tier: str
    status: str = ContentStatus.DRAFT
    revision: int = 1
    created_by: str
    created_at: datetime = instant()
    changed_by: str
    changed_at: datetime = instant()
    reviewed_by: str | None = None
    reviewed_at: datetime | None = instant(optional=True)
    review_note: str | None = None
    published_by: str | None = None
    published_at: datetime | None = instant(optional=True)
    retired_by: str | None = None
    retired_at: datetime | None = instant(optional=True)


class ContentWriter(Record, table=True):
    """Who has written in an article, and so does not review it."""

    article_id: str = Field(primary_key=True, foreign_key="content_article.id")
    employee_id: str = Field(primary_key=True)


class ContentTag(Record, table=True):
    """What an article is about; `published_at` repeats the article's, so that feeds read by tag in order."""

    __table_args__ = (Index("ix_content_tag_published", "tag_key", "published_at", "article_id"),)

    article_id: str = Field(primary_key=True, foreign_key="content_article.id")
    tag_key: str = Field(primary_key=True)
    published_at: datetime | None = instant(optional=True)


@dataclass(frozen=True, slots=True)
class NewContent:
    """What an article says and for whom it is."""

    title_zh: str
    title_en: str
    body_zh: str
    body_en: str
    tags: tuple[str, ...] = ()
    minimum_tier: Tier = Tier.MASS


async def checked_content(session: Session, new: NewContent) -> None:
    """Raise ContentInvalid with the path of the first field that cannot be."""
    for name, longest in (
        ("title_zh", LONGEST_TITLE),
        ("title_en", LONGEST_TITLE),
        ("body_zh", LONGEST_BODY),
        ("body_en", LONGEST_BODY),
    ):
        text = getattr(new, name)
        if not 1 <= len(text.strip()) <= longest or "\0" in text:
            raise ContentInvalid(path=(camel_of(name),), detail=f"1 to {longest} characters")
    if len(new.tags) > MOST_TAGS or len(set(new.tags)) < len(new.tags):
        raise ContentInvalid(path=("tags",), detail=f"up to {MOST_TAGS} tags, each once")
    standing = select(Tag.key).where(col(Tag.key).in_(new.tags), col(Tag.merged_into).is_(None))
    known = set((await session.exec(standing)).all()) if new.tags else set[str]()
    if unknown := [key for key in new.tags if key not in known]:
        raise ContentInvalid(path=("tags",), detail=f"there is no tag {unknown[0][:60]}")


def camel_of(name: str) -> str:
    first, last = name.split("_")
    return first + last.capitalize()


async def create_content(
    session: Session, new: NewContent, *, actor: str, now: datetime, content_id: str | None = None
) -> ContentArticle:
    """Draft an article; raises ContentInvalid."""
    await checked_content(session, new)
    row = ContentArticle(
        id=content_id or new_id(),
        title_zh=new.title_zh.strip(),
        title_en=new.title_en.strip(),
        body_zh=new.body_zh,
        body_en=new.body_en,
        minimum_tier=new.minimum_tier,
        created_by=actor,
        created_at=now,
        changed_by=actor,
        changed_at=now,
    )
    session.add(row)
    await session.flush()
    await put_tags(session, row.id, new.tags)
    await put_writer(session, row.id, actor)
    await record_change(session, "content", row.id, "created", actor=actor, now=now)
    return row


async def put_tags(session: Session, article_id: str, tags: Sequence[str]) -> None:
    """Say anew what an article is about; one without tags is for everybody."""
    await changed_rows(session, delete(ContentTag).where(col(ContentTag.article_id) == article_id))
    rows = [{"article_id": article_id, "tag_key": key, "published_at": None} for key in tags or (EVERYBODY,)]
    await insert_once(session, ContentTag, rows, "article_id", "tag_key")


async def put_writer(session: Session, article_id: str, actor: str) -> None:
    row = {"article_id": article_id, "employee_id": actor}
    await insert_once(session, ContentWriter, row, "article_id", "employee_id")


async def held_content(session: Session, article_id: str) -> ContentArticle:
    """The article, held for this transaction; raises NotFound."""
    statement = select(ContentArticle).where(ContentArticle.id == article_id).with_for_update()
    row = (await session.exec(statement.execution_options(populate_existing=True))).first()
    if row is None:
        raise NotFound(path=("contentId",))
    return row


async def update_content(
    session: Session, article_id: str, new: NewContent, *, revision: int, actor: str, now: datetime
) -> ContentArticle:
    """Say it anew, which makes it a draft again; raises NotFound, ContentFixed, ContentChanged, ContentInvalid."""
    await checked_content(session, new)
    row = await held_content(session, article_id)
    if row.status in (ContentStatus.PUBLISHED, ContentStatus.RETIRED):
        raise ContentFixed(path=("contentId",))
    if row.revision != revision:
        raise ContentChanged(path=("revision",))
    row.title_zh, row.title_en = new.title_zh.strip(), new.title_en.strip()
    row.body_zh, row.body_en, row.minimum_tier = new.body_zh, new.body_en, new.minimum_tier
    row.status, row.revision = ContentStatus.DRAFT, row.revision + 1
    row.changed_by, row.changed_at = actor, now
    row.reviewed_by, row.reviewed_at, row.review_note = None, None, None
    await session.flush()
    await put_tags(session, row.id, new.tags)
    await put_writer(session, row.id, actor)
    await record_change(session, "content", row.id, "changed", actor=actor, now=now, revision=row.revision)
    return row


async def review_content(
    session: Session,
    article_id: str,
    *,
    revision: int,
    is_approved: bool,
    note: str | None,
    actor: str,
    now: datetime,
) -> ContentArticle:
    """Approve the revision that was read, or give it back with a note.

    Raises NotFound, ContentReviewOwn, ContentChanged, ContentInvalid for a note that is too long or missing.
    """
    words = (note or "").strip() or None
    if (words is None and not is_approved) or len(words or "") > LONGEST_NOTE or "\0" in (words or ""):
        raise ContentInvalid(path=("note",), detail=f"1 to {LONGEST_NOTE} characters where it is given back")
    row = await held_content(session, article_id)
    if await session.get(ContentWriter, (article_id, actor)) is not None:
        raise ContentReviewOwn(path=("contentId",))
    if row.revision != revision or row.status != ContentStatus.DRAFT:
        raise ContentChanged(path=("revision",))
    row.reviewed_by, row.reviewed_at, row.review_note = actor, now, words
    if is_approved:
        row.status = ContentStatus.REVIEWED
    else:
        # What was given back is approved only after it was changed.
        row.revision += 1
    await session.flush()
    action = "approved" if is_approved else "given_back"
    await record_change(session, "content", row.id, action, actor=actor, now=now, revision=revision)
    return row


async def publish_content(session: Session, article_id: str, *, actor: str, now: datetime) -> ContentArticle:
    """Put a reviewed article into feeds; a published one stays so.

    Raises NotFound, ContentNotReviewed, ContentFixed.
    """
    row = await held_content(session, article_id)
    if row.status == ContentStatus.PUBLISHED:
        return row
    if row.status == ContentStatus.RETIRED:
        raise ContentFixed(path=("contentId",))
    if row.status != ContentStatus.REVIEWED:
        raise ContentNotReviewed(path=("contentId",))
    row.status, row.published_by, row.published_at = ContentStatus.PUBLISHED, actor, now
    await session.flush()
    shelved = update(ContentTag).where(col(ContentTag.article_id) == article_id)
    await changed_rows(session, shelved.values(published_at=now))
    await record_change(session, "content", row.id, "published", actor=actor, now=now, revision=row.revision)
    return row


async def retire_content(session: Session, article_id: str, *, actor: str, now: datetime) -> ContentArticle:
    """Take an article out of feeds for good; done again it changes nothing. Raises NotFound."""
    row = await held_content(session, article_id)
    if row.status == ContentStatus.RETIRED:
        return row
    row.status, row.retired_by, row.retired_at = ContentStatus.RETIRED, actor, now
    await session.flush()
    taken = update(ContentTag).where(col(ContentTag.article_id) == article_id)
    await changed_rows(session, taken.values(published_at=None))
    await record_change(session, "content", row.id, "retired", actor=actor, now=now)
    return row


async def tags_of(session: Session, article_ids: Sequence[str]) -> dict[str, list[str]]:
    """What these articles are about, by article; nothing for those that are for everybody."""
    found: dict[str, list[str]] = {article_id: [] for article_id in article_ids}
    statement = select(ContentTag).where(
        col(ContentTag.article_id).in_(list(article_ids)), ContentTag.tag_key != EVERYBODY
    )
    for row in (await session.exec(statement.order_by(col(ContentTag.tag_key)))).all():
        found[row.article_id].append(row.tag_key)
    return found


async def articles_by_id(session: Session, ids: Sequence[str]) -> dict[str, ContentArticle]:
    return await rows_by_id(session, ContentArticle, ids)


async def list_content(
    session: Session, status: ContentStatus | None, *, first: int | None, after: Place
) -> Page[ContentArticle]:
    """Articles as staff see them, the newest first."""
    size = page_size(first)
    statement = select(ContentArticle)
    if status is not None:
        statement = statement.where(ContentArticle.status == status)
    page = newest_first(statement, col(ContentArticle.created_at), col(ContentArticle.id), size=size, after=after)
    return cut((await session.exec(page)).all(), size, lambda row: (row.created_at.isoformat(), row.id), after)


async def replace_tag_of_content(session: Session, key: str, into: str) -> None:
    """Let articles about one tag be about the tag that it was merged into."""
    table: Any = table_of(ContentTag)
    other = table.alias("other")
    has_both = exists(sql_select(1).where(other.c.article_id == table.c.article_id, other.c.tag_key == into))
    await changed_rows(session, delete(ContentTag).where(col(ContentTag.tag_key) == key, has_both.correlate(table)))
    await changed_rows(session, update(ContentTag).where(col(ContentTag.tag_key) == key).values(tag_key=into))


async def tag_words_of(session: Session, article_ids: Sequence[str]) -> dict[str, list[Tag]]:
    """Likewise with the words of the tags."""
    found: dict[str, list[Tag]] = {article_id: [] for article_id in article_ids}
    statement = (
        select(ContentTag.article_id, Tag)
        .join(Tag, col(Tag.key) == col(ContentTag.tag_key))
        .where(col(ContentTag.article_id).in_(list(article_ids)))
        .order_by(col(ContentTag.tag_key))
    )
    for article_id, tag in (await session.exec(statement)).all():
        found[article_id].append(tag)
    return found
