"""A customer's feed: published articles about their tags and those for everybody, the latest first.

Each tag has its articles in order in an index, so that a page reads no more than its size for each tag.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select as sql_select
from sqlalchemy import union_all
from sqlmodel import col, select

from core.db import Session
from core.paging import Page, Place, cut, newest_first, page_size
from graph.eligibility import TIERS, Tier
from segments.tagging import CustomerTag, holds_at
from segments.tiering import CustomerTier, tier_at
from service.content import EVERYBODY, ContentArticle, ContentStatus, ContentTag, articles_by_id, tags_of

# The tags that a customer carries with the greatest confidence; weaker ones say too little of them.
MOST_TAGS = 30
LEAST_WEIGHT = 0.3


@dataclass(frozen=True, slots=True)
class Fed:
    """An article with the customer's tags by which it came, the strongest first; none for what everybody gets."""

    article: ContentArticle
    because: tuple[tuple[str, float], ...]


async def weights_of(session: Session, customer_id: str, *, now: datetime) -> dict[str, float]:
    """The tags that a customer carries now, by how sure it is that they do."""
    statement = select(CustomerTag.tag_key, CustomerTag.confidence).where(
        CustomerTag.customer_id == customer_id, holds_at(now), col(CustomerTag.confidence) >= LEAST_WEIGHT
    )
    strongest = statement.order_by(col(CustomerTag.confidence).desc(), col(CustomerTag.tag_key)).limit(MOST_TAGS)
    return dict((await session.exec(strongest)).all())


async def tiers_open_to(session: Session, customer_id: str, *, now: datetime) -> list[Tier]:
    """The least tiers of articles that a customer may read: their own and those below it."""
    statement: Any = select(tier_at(now)).where(CustomerTier.customer_id == customer_id)
    own = Tier((await session.exec(statement)).first() or Tier.MASS)
    return TIERS[: TIERS.index(own) + 1]


async def content_feed(
    session: Session, customer_id: str, *, first: int | None, after: Place, now: datetime
) -> Page[Fed]:
    """A page of what fits a customer now."""
    size = page_size(first)
    weights = await weights_of(session, customer_id, now=now)
    tiers = await tiers_open_to(session, customer_id, now=now)
    found = await shelved(session, [*weights, EVERYBODY], tiers, size=size, after=after)
    articles = await articles_by_id(session, list(found))
    about = await tags_of(session, list(found))
    rows = [Fed(articles[id], because(about[id], weights)) for id in found]
    return cut(rows, size, lambda row: (at_of(row.article).isoformat(), row.article.id), after)


def because(tags: list[str], weights: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    shared = [(key, weights[key]) for key in tags if key in weights]
    return tuple(sorted(shared, key=lambda one: (-one[1], one[0])))


def at_of(article: ContentArticle) -> datetime:
    return article.published_at or article.created_at


async def shelved(session: Session, keys: list[str], tiers: list[Tier], *, size: int, after: Place) -> list[str]:
    """The ids of the next published articles about any of these tags, one more than the page."""
    parts: list[Any] = []
    for key in keys:
        part = (
            sql_select(col(ContentTag.published_at).label("at"), col(ContentTag.article_id).label("id"))
            .join(ContentArticle, col(ContentArticle.id) == col(ContentTag.article_id))
            .where(
                col(ContentTag.tag_key) == key,
                col(ContentTag.published_at).is_not(None),
                col(ContentArticle.minimum_tier).in_(tiers),
            )
        )
        columns = (col(ContentTag.published_at), col(ContentTag.article_id))
        parts.append(sql_select(newest_first(part, *columns, size=size, after=after).subquery()))
    union = union_all(*parts).subquery()
    # One article stands here once for each of its tags that the customer carries.
    statement = newest_first(
        sql_select(union.c.id, union.c.at).distinct(), union.c.at, union.c.id, size=size, after=after
    )
    rows = (await (await session.connection()).execute(statement)).all()
    return [row.id for row in rows]


async def may_read_article(session: Session, customer_id: str, article: ContentArticle, *, now: datetime) -> bool:
    """Whether a customer may read an article: published, and open to their tier."""
    if article.status != ContentStatus.PUBLISHED:
        return False
    return article.minimum_tier in await tiers_open_to(session, customer_id, now=now)
