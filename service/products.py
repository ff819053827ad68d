"""Products that the bank offers, and the history of how they were rated: each change of a rating is a new version.

What is observed later counts, whether an import or a person says it; so imports end the same in whatever order.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Index, UniqueConstraint, delete
from sqlmodel import Field, col, func, select

from core.audit import record_change
from core.db import Record, Session, changed_rows, insert_new, insert_once, instant
from core.errors import BadUserInput, NotFound, Refusal
from core.ids import derived_id
from core.outbox import owe_all
from core.paging import Page, Place, by_text, cut, page_size
from core.versions import newest_versions
from segments.tagging import Tag
from service.suitability import Liquidity, Offer, ProductRisk, Rating

# The topic of a rating that has changed: whoever holds the product is looked at.
PRODUCT_RATING_CHANGED = "product.rating_changed"
# The source of what a person says.
STAFF = "staff"
CODE = r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,59}$"
LONGEST_NAME = 200
LONGEST_HORIZON = 600
MOST_TAGS = 20


class ProductInvalid(BadUserInput):
    code = "PRODUCT_INVALID"
    en = "The product is not valid."
    zh = "产品信息无效。"


class ProductExists(Refusal):
    code = "PRODUCT_EXISTS"
    en = "There is a product of this code already."
    zh = "该产品代码已存在。"


class Product(Record, table=True):
    """A product as it is now; the rating stands here and, with all before it, in its versions."""

    __table_args__ = (Index("ix_product_code", "code", unique=True),)

    id: str = Field(primary_key=True)
    code: str
    name_zh: str
    name_en: str
    risk: str | None = None
    horizon_months: int | None = None
    liquidity: str | None = None
    version: int = 1
    is_active: bool = True
    source: str
    observed_at: datetime = instant()
    recorded_at: datetime = instant()

    @property
    def rating(self) -> Rating:
        return Rating(
            ProductRisk(self.risk) if self.risk else None,
            self.horizon_months,
            Liquidity(self.liquidity) if self.liquidity else None,
        )

    def offer(self) -> Offer:
        return Offer(self.code, self.rating, self.version, self.is_active)


class ProductTag(Record, table=True):
    """What a product is for; a tag that was merged since means the other one."""

    __table_args__ = (Index("ix_product_tag_key", "tag_key", "product_id"),)

    product_id: str = Field(primary_key=True, foreign_key="product.id")
    tag_key: str = Field(primary_key=True)


class ProductRating(Record, table=True):
    """One version of a rating, which never changes."""

    __table_args__ = (UniqueConstraint("product_id", "version"),)

    id: str = Field(primary_key=True)
    product_id: str = Field(foreign_key="product.id")
    version: int
    risk: str | None = None
    horizon_months: int | None = None
    liquidity: str | None = None
    set_by: str
    observed_at: datetime = instant()
    recorded_at: datetime = instant()


@dataclass(frozen=True, slots=True)
class ProductWords:
    """What is said of a product; tags are keys that are known."""

    code: str
    name_zh: str
    name_en: str
    rating: Rating
    tags: frozenset[str]
    is_active: bool
    observed_at: datetime


def product_id_of(code: str) -> str:
    return derived_id("product", code)


async def put_products(
    session: Session, said: Sequence[ProductWords], *, source: str, set_by: str, now: datetime
) -> int:
    """Write what is newer than what is known; returns how many told something new.

    A rating that changes becomes a version, and its effect is owed. The first one changes nothing for anybody: what
    was held before the bank had rated it is looked at when its holder is assessed.
    """
    newest: dict[str, ProductWords] = {}
    for one in said:
        if one.code not in newest or one.observed_at > newest[one.code].observed_at:
            newest[one.code] = one
    fresh = await add_products(session, list(newest.values()), source=source, set_by=set_by, now=now)
    known = sorted(newest.keys() - {one.code for one in fresh})
    changed = [newest[row.code] for row in await hold_products(session, known) if is_news(row, newest[row.code])]
    await change_products(session, changed, source=source, set_by=set_by, now=now)
    return len(fresh) + len(changed)


async def add_products(
    session: Session, said: Sequence[ProductWords], *, source: str, set_by: str, now: datetime
) -> list[ProductWords]:
    """Write the products that are not there yet, each with its first rating; returns those."""
    made = set(await insert_new(session, Product, [new_row(one, source, now) for one in said]))
    fresh = [one for one in said if product_id_of(one.code) in made]
    await insert_new(session, ProductRating, [rating_row(one, 1, set_by, now) for one in fresh])
    await put_tags(session, fresh)
    return fresh


def is_news(row: Product, said: ProductWords) -> bool:
    return said.observed_at > row.observed_at


async def hold_products(session: Session, codes: Collection[str]) -> Sequence[Product]:
    """The products of these codes, held for this transaction in one order everywhere."""
    statement = select(Product).where(col(Product.code).in_(codes)).order_by(col(Product.code))
    held = statement.with_for_update().execution_options(populate_existing=True)
    return (await session.exec(held)).all() if codes else []


async def change_products(
    session: Session, said: Sequence[ProductWords], *, source: str, set_by: str, now: datetime
) -> None:
    """Let products that are held by this transaction say this."""
    rows = {row.code: row for row in await hold_products(session, [one.code for one in said])}
    rated: list[ProductWords] = []
    for one in said:
        row = rows[one.code]
        if one.rating != row.rating:
            row.version += 1
            rated.append(one)
        row.name_zh, row.name_en, row.is_active = one.name_zh, one.name_en, one.is_active
        row.risk, row.horizon_months, row.liquidity = one.rating.risk, one.rating.horizon_months, one.rating.liquidity
        row.source, row.observed_at, row.recorded_at = source, one.observed_at, now
        session.add(row)
    await session.flush()
    versions = [rating_row(one, rows[one.code].version, set_by, now) for one in rated]
    await insert_new(session, ProductRating, versions)
    await put_tags(session, said)
    payloads = {
        f"{row.id}:{row.version}": {"product_id": row.id, "version": row.version, "after": ""}
        for row in (rows[one.code] for one in rated)
    }
    await owe_all(session, topic=PRODUCT_RATING_CHANGED, payloads=payloads, now=now, hint=True)


def new_row(said: ProductWords, source: str, now: datetime) -> dict[str, object]:
    return {
        "id": product_id_of(said.code),
        "code": said.code,
        "name_zh": said.name_zh,
        "name_en": said.name_en,
        "risk": said.rating.risk,
        "horizon_months": said.rating.horizon_months,
        "liquidity": said.rating.liquidity,
        "version": 1,
        "is_active": said.is_active,
        "source": source,
        "observed_at": said.observed_at,
        "recorded_at": now,
    }


def rating_row(said: ProductWords, version: int, set_by: str, now: datetime) -> dict[str, object]:
    product_id = product_id_of(said.code)
    return {
        "id": derived_id("product_rating", product_id, str(version)),
        "product_id": product_id,
        "version": version,
        "risk": said.rating.risk,
        "horizon_months": said.rating.horizon_months,
        "liquidity": said.rating.liquidity,
        "set_by": set_by,
        "observed_at": said.observed_at,
        "recorded_at": now,
    }


async def put_tags(session: Session, said: Sequence[ProductWords]) -> None:
    """Let products have these tags and no others."""
    ids = [product_id_of(one.code) for one in said]
    if ids:
        await changed_rows(session, delete(ProductTag).where(col(ProductTag.product_id).in_(ids)))
    rows = [{"product_id": product_id_of(one.code), "tag_key": tag} for one in said for tag in sorted(one.tags)]
    await insert_once(session, ProductTag, rows, "product_id", "tag_key")


async def known_tags(session: Session, keys: Collection[str]) -> dict[str, str]:
    """What these keys mean by now, for those that are known."""
    statement = select(Tag.key, func.coalesce(Tag.merged_into, Tag.key)).where(col(Tag.key).in_(sorted(set(keys))))
    return dict((await session.exec(statement)).all()) if keys else {}


async def create_product(session: Session, said: ProductWords, *, actor: str, now: datetime) -> Product:
    """Offer a new product; raises ProductInvalid, ProductExists."""
    words = await checked_words(session, said)
    if not re.fullmatch(CODE, words.code):
        raise ProductInvalid(path=("code",), detail="letters, digits and _ . : -, 1 to 60 characters")
    if not await add_products(session, [words], source=STAFF, set_by=actor, now=now):
        raise ProductExists(path=("code",))
    product = await session.get_one(Product, product_id_of(words.code), populate_existing=True)
    await record_change(session, "product", product.id, "created", actor=actor, now=now, **rating_said(words.rating))
    return product


@dataclass(frozen=True, slots=True)
class ProductChange:
    """What is to change of a product; None leaves it as it is."""

    name_zh: str | None = None
    name_en: str | None = None
    risk: ProductRisk | None = None
    horizon_months: int | None = None
    liquidity: Liquidity | None = None
    tags: frozenset[str] | None = None
    is_active: bool | None = None


async def update_product(
    session: Session, product_id: str, change: ProductChange, *, reason: str, actor: str, now: datetime
) -> Product:
    """Change a product as of now; raises NotFound, ProductInvalid. A rating that changes owes the look at holdings."""
    found = await session.get(Product, product_id)
    if found is None:
        raise NotFound(path=("productId",))
    (row,) = await hold_products(session, [found.code])
    rating = Rating(
        change.risk or row.rating.risk,
        row.horizon_months if change.horizon_months is None else change.horizon_months,
        change.liquidity or row.rating.liquidity,
    )
    tags = (await tags_of_products(session, [row.id]))[row.id] if change.tags is None else change.tags
    said = ProductWords(
        code=row.code,
        name_zh=row.name_zh if change.name_zh is None else change.name_zh,
        name_en=row.name_en if change.name_en is None else change.name_en,
        rating=rating,
        tags=frozenset(tags),
        is_active=row.is_active if change.is_active is None else change.is_active,
        # A person speaks of now; what a source observed earlier does not undo it.
        observed_at=max(now, row.observed_at),
    )
    words = await checked_words(session, said)
    await change_products(session, [words], source=STAFF, set_by=actor, now=now)
    details = {**rating_said(rating), "version": row.version, "is_active": row.is_active}
    await record_change(session, "product", row.id, "changed", actor=actor, now=now, reason=reason, **details)
    return row


def rating_said(rating: Rating) -> dict[str, Any]:
    return {"risk": rating.risk, "horizon_months": rating.horizon_months, "liquidity": rating.liquidity}


async def checked_words(session: Session, said: ProductWords) -> ProductWords:
    """What staff say, without the space around names and with tags as they are by now; raises ProductInvalid."""
    names = {"name_zh": said.name_zh.strip(), "name_en": said.name_en.strip()}
    for path, name in (("nameZh", names["name_zh"]), ("nameEn", names["name_en"])):
        if not 1 <= len(name) <= LONGEST_NAME or "\0" in name:
            raise ProductInvalid(path=(path,), detail=f"1 to {LONGEST_NAME} characters")
    if said.rating.horizon_months is not None and not 0 <= said.rating.horizon_months <= LONGEST_HORIZON:
        raise ProductInvalid(path=("horizonMonths",), detail=f"0 to {LONGEST_HORIZON}")
    if len(said.tags) > MOST_TAGS:
        raise ProductInvalid(path=("tags",), detail=f"{MOST_TAGS} at most")
    meant = await known_tags(session, said.tags)
    if unknown := sorted(said.tags - meant.keys()):
        raise ProductInvalid(path=("tags",), detail=f"unknown: {unknown[0][:60]}")
    return replace(said, **names, tags=frozenset(meant.values()))


async def find_by_code(session: Session, code: str) -> Product | None:
    return (await session.exec(select(Product).where(Product.code == code))).first()


async def products_by_code(session: Session, codes: Collection[str], *, hold: bool = False) -> dict[str, Product]:
    """The products of these codes, where known; held, they stay so until the transaction ends."""
    statement = select(Product).where(col(Product.code).in_(sorted(set(codes)))).order_by(col(Product.code))
    if hold:
        statement = statement.with_for_update(read=True).execution_options(populate_existing=True)
    return {row.code: row for row in (await session.exec(statement)).all()} if codes else {}


async def offers_of(session: Session, codes: Collection[str], *, hold: bool = False) -> dict[str, Offer]:
    """Likewise how they are rated now."""
    return {code: row.offer() for code, row in (await products_by_code(session, codes, hold=hold)).items()}


async def tags_of_products(session: Session, ids: Collection[str]) -> Mapping[str, list[str]]:
    """The keys of the tags of products by their ids, as they are by now."""
    statement = (
        select(ProductTag.product_id, func.coalesce(Tag.merged_into, Tag.key))
        .join(Tag, col(Tag.key) == col(ProductTag.tag_key))
        .where(col(ProductTag.product_id).in_(sorted(set(ids))))
    )
    found: dict[str, set[str]] = {one: set() for one in ids}
    for product_id, tag in (await session.exec(statement)).all():
        found[product_id].add(tag)
    return {one: sorted(tags) for one, tags in found.items()}


async def list_products(session: Session, *, active_only: bool, first: int | None, after: Place) -> Page[Product]:
    """Products by their codes."""
    size = page_size(first)
    statement = select(Product)
    if active_only:
        statement = statement.where(col(Product.is_active).is_(True))
    page = by_text(statement, col(Product.code), size=size, after=after)
    return cut((await session.exec(page)).all(), size, lambda row: (row.code,), after)


async def ratings_of(session: Session, product_id: str, *, first: int | None, after: Place) -> Page[ProductRating]:
    """How a product was rated, the newest version first."""
    ratings = select(ProductRating).where(ProductRating.product_id == product_id)
    return await newest_versions(session, ratings, ProductRating.version, first=first, after=after)
