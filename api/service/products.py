"""Products of the bank: how they are rated, how they were, and what staff change of them."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.context import Info
from api.customers.looked_after import is_staff
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from core.audit import checked_reason
from core.db import rows_by_id
from core.paging import window
from service.products import Product as ProductRecord
from service.products import (
    ProductChange,
    ProductInvalid,
    ProductRating,
    ProductWords,
    create_product,
    find_by_code,
    list_products,
    ratings_of,
    update_product,
)
from service.suitability import Liquidity, ProductRisk, Rating

strawberry.enum(ProductRisk, name="ProductRisk", description="How risky a product is, R1 the least.")
strawberry.enum(
    Liquidity,
    name="Liquidity",
    description="How soon money comes back, from the soonest to the latest; of a customer: how late it may at most.",
)


@strawberry.type(description="How a product was rated from one version to the next.")
class RatingVersion:
    version: int = strawberry.field(description="Number of the version.")
    risk: ProductRisk | None = strawberry.field(description="How risky it was; null: unknown.")
    horizon_months: int | None = strawberry.field(description="For how many months money had to stay; null: unknown.")
    liquidity: Liquidity | None = strawberry.field(description="How soon money came back; null: unknown.")
    set_by: str = strawberry.field(description="Who said so: an employee, or an import by its source.")
    observed_at: datetime = strawberry.field(description="As of when.")
    recorded_at: datetime = strawberry.field(description="When it was written.")


def rating_of(row: ProductRating) -> RatingVersion:
    return RatingVersion(
        version=row.version,
        risk=ProductRisk(row.risk) if row.risk else None,
        horizon_months=row.horizon_months,
        liquidity=Liquidity(row.liquidity) if row.liquidity else None,
        set_by=row.set_by,
        observed_at=row.observed_at,
        recorded_at=row.recorded_at,
    )


@strawberry.type(description="Something that the bank offers. What is not known of its rating makes it fit nobody.")
class Product(Node):
    code: str = strawberry.field(description="How the bank's systems name it.")
    name: str = strawberry.field(description="Name in the language of the request.")
    risk: ProductRisk | None = strawberry.field(description="How risky it is; null: unknown.")
    horizon_months: int | None = strawberry.field(description="For how many months money must stay; null: unknown.")
    liquidity: Liquidity | None = strawberry.field(description="How soon money comes back; null: unknown.")
    rating_version: int = strawberry.field(description="Number of the rating.")
    active: bool = strawberry.field(description="Whether it is on offer.")
    observed_at: datetime = strawberry.field(description="As of when all this is known.")
    local: strawberry.Private[str]

    @strawberry.field(description="Keys of what it is about.")
    async def tags(self, info: Info) -> list[str]:
        return await info.context.offers.tags.load(self.local)

    @strawberry.field(description="How it was rated, the newest first; for the bank's staff, null for others.")
    async def ratings(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[RatingVersion] | None:
        size, place = window(first, after, last, before)
        if not is_staff(info):
            return None
        async with info.context.database.read() as session:
            page = await ratings_of(session, self.local, first=size, after=place)
        return connection(page, place, rating_of)


def product_of(row: ProductRecord, info: Info) -> Product:
    rating = row.rating
    return Product(
        id=global_id("Product", row.id),
        code=row.code,
        name=info.context.text(row, "name"),
        risk=rating.risk,
        horizon_months=rating.horizon_months,
        liquidity=rating.liquidity,
        rating_version=row.version,
        active=row.is_active,
        observed_at=row.observed_at,
        local=row.id,
    )


async def load_product(info: Info, local: str) -> Product | None:
    async with info.context.database.read() as session:
        row = (await rows_by_id(session, ProductRecord, [local])).get(local)
    return product_of(row, info) if row else None


async def product_by_code(info: Info, code: str) -> Product | None:
    """The product, of many asked for at once by one question; None where the bank knows none."""
    row = await info.context.offers.products.load(code)
    return product_of(row, info) if row else None


@strawberry.input(description="A new product.")
class CreateProductInput:
    code: str = strawberry.field(description="How the bank's systems name it: letters, digits and _ . : - alone.")
    name_zh: str = strawberry.field(description="Name in Chinese, 1 to 200 characters.")
    name_en: str = strawberry.field(description="Name in English, 1 to 200 characters.")
    risk: ProductRisk | None = strawberry.field(description="How risky it is; null: unknown.", default=None)
    horizon_months: int | None = strawberry.field(
        description="For how many months money must stay, 0 to 600; null: unknown.", default=None
    )
    liquidity: Liquidity | None = strawberry.field(
        description="How soon money comes back; null: unknown.", default=None
    )
    tags: list[str] = strawberry.field(description="Keys of tags that it is about, 20 at most.", default_factory=list)
    active: bool = strawberry.field(description="Whether it is on offer.", default=True)


@strawberry.input(description="What changes of a product; null leaves it as it is.")
class UpdateProductInput:
    product_id: strawberry.ID = strawberry.field(description="Global id of the product.")
    reason: str = strawberry.field(description="Why, 1 to 500 characters; kept in the audit trail.")
    name_zh: str | None = strawberry.field(description="Name in Chinese.", default=None)
    name_en: str | None = strawberry.field(description="Name in English.", default=None)
    risk: ProductRisk | None = strawberry.field(description="How risky it is.", default=None)
    horizon_months: int | None = strawberry.field(description="For how many months money must stay.", default=None)
    liquidity: Liquidity | None = strawberry.field(description="How soon money comes back.", default=None)
    tags: list[str] | None = strawberry.field(description="Keys of all tags that it is about.", default=None)
    active: bool | None = strawberry.field(description="Whether it is on offer.", default=None)


@strawberry.type(description="It can be advised and recommended from now on.")
class CreateProductSuccess:
    product: Product = strawberry.field(description="The product.")


@strawberry.type(description="It is changed; where its rating is, whoever holds it is looked at.")
class UpdateProductSuccess:
    product: Product = strawberry.field(description="The product.")


CreateProductResult = Annotated[CreateProductSuccess | Refusal, result_union(CreateProductSuccess)]
UpdateProductResult = Annotated[UpdateProductSuccess | Refusal, result_union(UpdateProductSuccess)]


@strawberry.type
class ProductQueries:
    @strawberry.field(description="A product by its code; null where the bank knows none.")
    async def product(
        self, info: Info, code: Annotated[str, strawberry.argument(description="Its code.")]
    ) -> Product | None:
        info.context.signed_in()
        async with info.context.database.read() as session:
            row = await find_by_code(session, code) if "\0" not in code else None
        return product_of(row, info) if row else None

    @strawberry.field(description="Products by their codes.")
    async def products(
        self,
        info: Info,
        active_only: Annotated[bool, strawberry.argument(description="Only those on offer.")] = True,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Product]:
        size, place = window(first, after, last, before)
        info.context.signed_in()
        async with info.context.database.read() as session:
            page = await list_products(session, active_only=active_only, first=size, after=place)
        return connection(page, place, lambda row: product_of(row, info))


@strawberry.type
class ProductMutations:
    @strawberry.mutation(description="Offer a product that no import has told of; for administrators.")
    @refusals
    async def create_product(self, info: Info, input: CreateProductInput) -> CreateProductResult:
        actor, now = info.context.administrator().subject, info.context.now
        said = ProductWords(
            code=input.code,
            name_zh=input.name_zh,
            name_en=input.name_en,
            rating=Rating(input.risk, input.horizon_months, input.liquidity),
            tags=frozenset(input.tags),
            is_active=input.active,
            observed_at=now,
        )
        async with info.context.database.write() as session:
            row = await create_product(session, said, actor=actor, now=now)
        return CreateProductSuccess(product=product_of(row, info))

    @strawberry.mutation(
        description="Change a product as of now. A rating that changes is kept as a new version, and whoever holds "
        "what does not fit any more gets a task. For administrators."
    )
    @refusals
    async def update_product(self, info: Info, input: UpdateProductInput) -> UpdateProductResult:
        actor, now = info.context.administrator().subject, info.context.now
        product_id = local_id("Product", input.product_id, "input", "productId")
        change = ProductChange(
            name_zh=input.name_zh,
            name_en=input.name_en,
            risk=input.risk,
            horizon_months=input.horizon_months,
            liquidity=input.liquidity,
            tags=frozenset(input.tags) if input.tags is not None else None,
            is_active=input.active,
        )
        reason = checked_reason(input.reason, ProductInvalid)
        async with info.context.database.write() as session:
            row = await update_product(session, product_id, change, reason=reason, actor=actor, now=now)
        return UpdateProductSuccess(product=product_of(row, info))
