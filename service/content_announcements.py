"""Announcements of articles: a marketing message is owed to each customer whom one fits, page after page.

How far it has come is kept with each page, so that cut off it goes on; the keys of messages make each customer be told
once, whoever does it and however often.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import update
from sqlmodel import Field, col, select

from core.db import Record, Session, changed_rows, insert_once, instant
from core.errors import Refusal
from core.messages import MESSAGE_OWED, MessageCategory, message
from core.outbox import owe_all
from graph.eligibility import TIERS, Tier
from segments.tagging import CustomerTag, holds_at
from segments.tiering import CustomerTier, tier_at
from service.content import ContentArticle, ContentStatus, tags_of
from service.content_feeds import LEAST_WEIGHT
from service.message_words import CONTENT_PUBLISHED

PAGE = 500
# After so long an announcement is no news.
GOOD_FOR = timedelta(days=7)


class ContentNotAnnounced(Refusal):
    code = "CONTENT_NOT_ANNOUNCED"
    en = "An article without tags is for everybody and is announced to nobody."
    zh = "未设标签的资讯面向所有人，不推送通知。"


class ContentAnnouncement(Record, table=True):
    """How far the announcement of an article has come: the last customer who was told, in the order of their ids."""

    article_id: str = Field(primary_key=True, foreign_key="content_article.id")
    position: str = ""
    told: int = 0
    started_at: datetime = instant()
    finished_at: datetime | None = instant(optional=True, index=True)


async def announce_content(session: Session, article: ContentArticle, *, now: datetime) -> None:
    """Begin to announce a published article, once; raises ContentNotAnnounced."""
    if not (await tags_of(session, [article.id]))[article.id]:
        raise ContentNotAnnounced(path=("announce",))
    row = {"article_id": article.id, "position": "", "told": 0, "started_at": now, "finished_at": None}
    await insert_once(session, ContentAnnouncement, row, "article_id")


async def open_announcements(session: Session) -> Sequence[str]:
    """The articles whose announcement has not come to its end, the earliest begun first."""
    statement = select(ContentAnnouncement.article_id).where(col(ContentAnnouncement.finished_at).is_(None))
    return (await session.exec(statement.order_by(col(ContentAnnouncement.started_at)).limit(100))).all()


async def announce_page(session: Session, article_id: str, *, now: datetime, page: int = PAGE) -> bool:
    """Tell the next customers of an article; False where there are no more, or it is retired by now.

    The row is held for the transaction, so that of two workers the second goes on where the first has come to.
    """
    statement = select(ContentAnnouncement).where(ContentAnnouncement.article_id == article_id).with_for_update()
    row = (await session.exec(statement.execution_options(populate_existing=True))).first()
    if row is None or row.finished_at is not None:
        return False
    article = await session.get_one(ContentArticle, article_id, populate_existing=True)
    ids: Sequence[str] = []
    if article.status == ContentStatus.PUBLISHED:
        ids = await fitting(session, article, after=row.position, limit=page, now=now)
    payload = {"title_zh": article.title_zh, "title_en": article.title_en}
    owed: dict[str, dict[str, Any]] = {
        f"content:{article_id}:{customer_id}": message(
            MessageCategory.MARKETING,
            customer_id=customer_id,
            template=CONTENT_PUBLISHED,
            subject=article_id,
            values=payload,
            expires_at=(article.published_at or now) + GOOD_FOR,
        )
        for customer_id in ids
    }
    told = await owe_all(session, topic=MESSAGE_OWED, payloads=owed, now=now)
    is_over = len(ids) < page
    advanced = update(ContentAnnouncement).where(col(ContentAnnouncement.article_id) == article_id)
    await changed_rows(
        session,
        advanced.values(
            position=ids[-1] if ids else row.position,
            told=ContentAnnouncement.told + told,
            finished_at=now if is_over else None,
        ),
    )
    return not is_over


async def fitting(session: Session, article: ContentArticle, *, after: str, limit: int, now: datetime) -> Sequence[str]:
    """The next customers, by id, who carry one of the article's tags and whose tier is high enough."""
    tags = (await tags_of(session, [article.id]))[article.id]
    statement = (
        select(CustomerTag.customer_id)
        .where(
            col(CustomerTag.tag_key).in_(tags),
            col(CustomerTag.customer_id) > after,
            col(CustomerTag.confidence) >= LEAST_WEIGHT,
            holds_at(now),
        )
        .distinct()
    )
    if article.minimum_tier != Tier.MASS:
        enough = TIERS[TIERS.index(Tier(article.minimum_tier)) :]
        statement = statement.join(CustomerTier, col(CustomerTier.customer_id) == col(CustomerTag.customer_id)).where(
            tier_at(now).in_(enough)
        )
    return (await session.exec(statement.order_by(col(CustomerTag.customer_id)).limit(limit))).all()
