"""Products: the newest word counts in whatever order it comes, and every rating that ever held is kept."""

import asyncio
import itertools
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from core.audit import AuditEntry
from core.clock import utc_now
from core.db import Database
from core.errors import NotFound
from core.ids import new_id
from core.outbox import Outbox
from segments.tagging import Tag
from service.products import (
    PRODUCT_RATING_CHANGED,
    Product,
    ProductChange,
    ProductExists,
    ProductInvalid,
    ProductRating,
    ProductWords,
    create_product,
    product_id_of,
    put_products,
    tags_of_products,
    update_product,
)
from service.suitability import Liquidity, ProductRisk
from tests.customers.insight import put
from tests.service.suiting import words

pytestmark = pytest.mark.anyio

NOW = utc_now()
HOUR = timedelta(hours=1)


async def tell(database: Database, *said: ProductWords) -> int:
    async with database.write() as session:
        return await put_products(session, said, source="core", set_by="import:core", now=NOW)


async def product_of(database: Database, code: str) -> Product:
    async with database.read() as session:
        return await session.get_one(Product, product_id_of(code))


async def ratings_of(database: Database, code: str) -> list[tuple[int, str | None]]:
    async with database.read() as session:
        mine = select(ProductRating).where(ProductRating.product_id == product_id_of(code))
        rows = (await session.exec(mine.order_by(col(ProductRating.version)))).all()
    return [(row.version, row.risk) for row in rows]


async def changes_owed(database: Database, code: str) -> list[str]:
    async with database.read() as session:
        mine = select(Outbox.key).where(
            Outbox.topic == PRODUCT_RATING_CHANGED, col(Outbox.key).startswith(f"{product_id_of(code)}:")
        )
        return sorted((await session.exec(mine)).all())


async def test_a_rating_that_changes_is_a_version_and_owes_a_look_once(database: Database, unique: str) -> None:
    code = f"F-{unique}"
    first, second = words(code, ProductRisk.R2, at=NOW - 2 * HOUR), words(code, ProductRisk.R4, at=NOW - HOUR)
    renamed = words(code, ProductRisk.R4, at=NOW, name="Fund II")
    assert [await tell(database, one) for one in (first, second, second, first, renamed, renamed)] == [1, 1, 0, 0, 1, 0]
    found = await product_of(database, code)
    assert (found.risk, found.version, found.name_en) == ("R4", 2, "Fund II")
    assert await ratings_of(database, code) == [(1, "R2"), (2, "R4")]
    assert await changes_owed(database, code) == [f"{found.id}:2"]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_the_newest_stands_in_whatever_order_they_come(
    database: Database, unique: str, order: tuple[int, ...]
) -> None:
    code = f"F-{unique}"
    said = [
        words(code, risk, at=NOW + number * HOUR)
        for number, risk in enumerate((ProductRisk.R1, ProductRisk.R5, ProductRisk.R3))
    ]
    for number in order:
        await tell(database, said[number])
    found = await product_of(database, code)
    assert (found.risk, found.observed_at) == ("R3", NOW + 2 * HOUR)
    assert (await ratings_of(database, code))[-1] == (found.version, "R3")


async def test_many_imports_at_once_end_as_one_after_the_other(pools: list[Database], unique: str) -> None:
    """Given sixteen writers of the same products in other orders; then the newest stand, and no version is lost."""
    codes = [f"F{number}-{unique}" for number in range(4)]
    risks = list(ProductRisk)

    async def write(number: int) -> None:
        said = [words(code, risks[number % 5], at=NOW + number * HOUR) for code in codes]
        await tell(pools[number % 4], *(said if number % 2 else reversed(said)))

    await asyncio.gather(*(write(number) for number in range(16)))
    for code in codes:
        found, ratings = await product_of(pools[0], code), await ratings_of(pools[0], code)
        assert (found.risk, found.observed_at) == (risks[15 % 5], NOW + 15 * HOUR)
        assert [version for version, _ in ratings] == list(range(1, found.version + 1))
        assert len(await changes_owed(pools[0], code)) == found.version - 1


async def test_of_many_who_make_a_product_one_does(pools: list[Database], unique: str) -> None:
    async def attempt(number: int) -> str:
        try:
            async with pools[number % 4].write() as session:
                said = words(f"F-{unique}", at=NOW + number * HOUR, name=f"Fund {number}")
                return (await create_product(session, said, actor="he", now=NOW)).name_en
        except ProductExists as refusal:
            return refusal.code

    found = await asyncio.gather(*(attempt(number) for number in range(8)))
    (made,) = [one for one in found if one != ProductExists.code]
    assert (await product_of(pools[0], f"F-{unique}")).name_en == made


async def test_staff_change_what_they_say_and_nothing_else(database: Database, unique: str) -> None:
    code = f"F-{unique}"
    await tell(database, words(code, ProductRisk.R2, at=NOW - HOUR))
    change = ProductChange(risk=ProductRisk.R3, is_active=False)
    async with database.write() as session:
        row = await update_product(session, product_id_of(code), change, reason="Losses", actor="he", now=NOW)
    assert (row.risk, row.horizon_months, row.liquidity, row.name_en) == ("R3", 6, Liquidity.MONTHLY, "Fund")
    assert (row.version, row.is_active, row.source) == (2, False, "staff")
    # What a source observed earlier and told later does not undo it.
    assert await tell(database, words(code, ProductRisk.R1, at=NOW - HOUR / 2)) == 0
    async with database.read() as session:
        entry = (await session.exec(select(AuditEntry).where(AuditEntry.subject == row.id))).one()
    assert (entry.action, entry.reason, entry.details["risk"]) == ("PRODUCT_CHANGED", "Losses", "R3")
    with pytest.raises(NotFound):
        async with database.write() as session:
            await update_product(session, new_id(), change, reason="Losses", actor="he", now=NOW)


async def test_a_merged_tag_means_the_other_one(database: Database, unique: str) -> None:
    one, other = f"a{unique}", f"b{unique}"
    row: dict[str, Any] = {"name_zh": "标签", "name_en": "Tag", "family": "INTEREST", "created_at": NOW}
    await put(database, Tag, *(row | {"key": key, "merged_into": None} for key in (one, other)))
    await tell(database, words(f"F-{unique}", at=NOW, tags=frozenset({one, other})))
    async with database.write() as session:
        (await session.get_one(Tag, one)).merged_into = other
    async with database.read() as session:
        product_id = product_id_of(f"F-{unique}")
        assert await tags_of_products(session, [product_id]) == {product_id: [other]}


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"name": " "}, "nameEn"),
        ({"name": "x" * 201}, "nameEn"),
        ({"horizon_months": 601}, "horizonMonths"),
        ({"tags": frozenset({"none-of-ours"})}, "tags"),
        ({"code": "a b"}, "code"),
        ({"code": ""}, "code"),
    ],
)
async def test_what_is_no_product_is_refused(
    database: Database, unique: str, changed: dict[str, Any], path: str
) -> None:
    given: dict[str, Any] = {"code": f"F-{unique}", "at": NOW} | changed
    said = words(**given)
    with pytest.raises(ProductInvalid) as refused:
        async with database.write() as session:
            await create_product(session, said, actor="he", now=NOW)
    assert refused.value.path == (path,)
