"""Products recommended to a customer: what fits them, why, and why nothing is where nothing is."""

from typing import Annotated

import strawberry

from api.context import Info
from api.customers.looked_after import is_staff
from api.service.of_customer import OfCustomer, whose
from api.service.products import Product, product_of
from api.service.suitability import Suitability, suitability_of
from core.db import Session
from core.errors import BadUserInput
from customers.consents import ConsentChannel, ConsentPurpose, has_consent
from customers.needs import NeedFilter, NeedStatus, list_needs, need_kinds
from customers.tag_history import tags_at
from service.assessments import current_assessment
from service.recommended_products import Fit, FitKind, Wishes, Withheld, recommended_products, withheld_by
from service.recommended_products import RecommendedProduct as Found

strawberry.enum(
    Withheld,
    name="RecommendationWithheld",
    description="Why no product is recommended. NO_CONSENT: marketing is not allowed.",
)
strawberry.enum(FitKind, name="ProductFitKind", description="By what a product fits.")
MOST_RECOMMENDED = 50
# So many open needs are looked at; of each kind there is one.
MOST_NEEDS = 100


class RecommendedInvalid(BadUserInput):
    code = "RECOMMENDED_PRODUCTS_INVALID"
    en = "So many products cannot be recommended."
    zh = "推荐产品数量无效。"


@strawberry.type(description="By what a product fits a customer.")
class ProductFit:
    kind: FitKind = strawberry.field(description="A need of the customer, or a tag that they carry.")
    key: str = strawberry.field(description="Key of the kind of need, or of the tag.")
    name: str = strawberry.field(description="The same in words, in the language of the request.")
    confidence: float = strawberry.field(description="How sure it is of the customer, 0 to 1.")


@strawberry.type(description="A product that fits, and by what.")
class RecommendedProduct:
    product: Product = strawberry.field(description="The product.")
    fits: list[ProductFit] = strawberry.field(description="By what it fits, what counts most first.")
    score: int = strawberry.field(description="By which they are ordered; needs count twice as much as tags.")
    suitability: Suitability = strawberry.field(description="The check that it passed.")


@strawberry.type(description="Products recommended to a customer.")
class RecommendedProducts:
    products: list[RecommendedProduct] = strawberry.field(description="The best first.")
    withheld: Withheld | None = strawberry.field(
        description="Why there are none; null where nothing stands against it."
    )


def recommended_of(found: Found, names: dict[tuple[FitKind, str], str], info: Info) -> RecommendedProduct:
    def fit_of(fit: Fit) -> ProductFit:
        name = names[fit.kind, fit.key]
        return ProductFit(kind=fit.kind, key=fit.key, name=name, confidence=fit.confidence_percent / 100)

    return RecommendedProduct(
        product=product_of(found.product, info),
        fits=[fit_of(one) for one in found.fits],
        score=found.score,
        suitability=suitability_of(found.check),
    )


async def wishes_of(info: Info, session: Session, customer_id: str) -> tuple[Wishes, dict[tuple[FitKind, str], str]]:
    """What is known of a customer that products can be about, with its words.

    Customers are recommended nothing by what is only thought of them: they have not seen it.
    """
    text, now, names = info.context.text, info.context.now, dict[tuple[FitKind, str], str]()
    tags: dict[str, int] = {}
    for row, tag in await tags_at(session, customer_id, now):
        tags[tag.key] = round(row.confidence * 100)
        names[FitKind.TAG, tag.key] = text(tag, "name")
    kinds, needs = await need_kinds(session), dict[str, tuple[str, int]]()
    for_staff = is_staff(info)
    for status in (NeedStatus.SUSPECTED, NeedStatus.CONFIRMED) if for_staff else (NeedStatus.CONFIRMED,):
        wanted = NeedFilter([customer_id], status, told=not for_staff)
        for need in (await list_needs(session, wanted, now=now, first=MOST_NEEDS, after=None)).rows:
            kind = kinds[need.kind]
            if kind.tag_key is not None:
                needs[kind.tag_key] = (kind.key, need.confidence_percent)
                names[FitKind.NEED, kind.key] = text(kind, "name")
    return Wishes(tags, needs), names


@strawberry.type
class RecommendedProductQueries:
    @strawberry.field(
        description="Products that fit you, or a customer whom you look after, by needs and tags, the best first. "
        "Nothing without consent to marketing (in the app), and nothing where anything is unknown."
    )
    async def recommended_products(
        self,
        info: Info,
        customer_id: OfCustomer = None,
        first: Annotated[int, strawberry.argument(description="How many at most, 1 to 50.")] = 10,
    ) -> RecommendedProducts:
        context = info.context
        context.signed_in()
        if not 1 <= first <= MOST_RECOMMENDED:
            raise RecommendedInvalid(path=("first",), detail=f"1 to {MOST_RECOMMENDED}")
        async with context.database.read() as session:
            customer = await whose(info, session, customer_id)
            allowed = await has_consent(
                session, customer, ConsentPurpose.MARKETING, ConsentChannel.APP, now=context.now
            )
            known = await current_assessment(session, customer, now=context.now)
            withheld = withheld_by(known, has_consent=allowed, now=context.now)
            if withheld is not None or known is None:
                return RecommendedProducts(products=[], withheld=withheld)
            wishes, names = await wishes_of(info, session, customer)
            found = await recommended_products(session, known, wishes, limit=first, now=context.now)
        return RecommendedProducts(products=[recommended_of(one, names, info) for one in found], withheld=None)
