"""Whether a product fits a customer and why not, and holdings that do not fit any more."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.context import Info
from api.customers.insight import customers_in_care
from api.customers.looked_after import staff
from api.customers.profiles import Customer, load_customer
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from api.service.of_customer import OfCustomer, whose
from api.service.products import Product, product_by_code
from core.errors import BadUserInput
from core.paging import window
from customers.holders import products_held
from service.assessments import LONGEST_HORIZON, current_assessment
from service.products import offers_of
from service.suitability import Liquidity, ProductRisk, RiskClass, Unsuitable, check_suitability
from service.suitability import Suitability as Check
from service.suitability_findings import SuitabilityFinding, list_findings
from service.suitability_words import reason_words

strawberry.enum(RiskClass, name="RiskClass", description="How much risk a customer can take, C1 the least.")
strawberry.enum(
    Unsuitable, name="UnsuitableCode", description="Why a product does not fit; whatever is unknown speaks against it."
)
MOST_CHARACTERS = 200


class SuitabilityInvalid(BadUserInput):
    code = "SUITABILITY_INVALID"
    en = "Suitability cannot be asked for so."
    zh = "适合性查询参数无效。"


@strawberry.type(description="One reason why a product does not fit.")
class UnsuitableReason:
    code: Unsuitable = strawberry.field(description="Stable code.")
    text: str = strawberry.field(description="The same in words and with its numbers, in the language of the request.")


@strawberry.type(description="Whether a product fits a customer, with every number by which that was found.")
class Suitability:
    suitable: bool = strawberry.field(description="Whether it fits.")
    product_code: str = strawberry.field(description="Code of the product.")
    product_risk: ProductRisk | None = strawberry.field(description="How risky it is; null: unknown.")
    product_horizon_months: int | None = strawberry.field(
        description="Months for which money must stay; null: unknown."
    )
    product_liquidity: Liquidity | None = strawberry.field(description="How soon money comes back; null: unknown.")
    rating_version: int | None = strawberry.field(description="Number of the rating; null: no such product.")
    risk_class: RiskClass | None = strawberry.field(description="Class of the customer; null: never assessed.")
    assessment_expires_at: datetime | None = strawberry.field(description="When the class says nothing any more.")
    horizon_months: int | None = strawberry.field(description="Months for which money can stay; null: unknown.")
    liquidity_need: Liquidity | None = strawberry.field(description="How late money may come back; null: unknown.")
    checked_at: datetime = strawberry.field(description="As of when.")
    check: strawberry.Private[Check]

    @strawberry.field(description="Why it does not fit: all reasons; empty where it does.")
    def reasons(self, info: Info) -> list[UnsuitableReason]:
        context = info.context
        return [
            UnsuitableReason(code=one, text=reason_words(one, self.check, context.language, context.database.zone))
            for one in self.check.reasons
        ]

    @strawberry.field(description="The product as it is now; null where the bank knows none.")
    async def product(self, info: Info) -> Product | None:
        return await product_by_code(info, self.product_code)


def suitability_of(found: Check) -> Suitability:
    return Suitability(
        suitable=found.is_suitable,
        product_code=found.product,
        product_risk=found.product_risk,
        product_horizon_months=found.product_horizon_months,
        product_liquidity=found.product_liquidity,
        rating_version=found.rating_version,
        risk_class=found.risk_class,
        assessment_expires_at=found.assessment_expires_at,
        horizon_months=found.horizon_months,
        liquidity_need=found.liquidity_need,
        checked_at=found.checked_at,
        check=found,
    )


@strawberry.type(description="Something that a customer holds and that did not fit when it was looked at.")
class UnsuitableHolding(Node):
    suitability: Suitability = strawberry.field(description="What was found then.")
    found_at: datetime = strawberry.field(description="When.")
    due_at: datetime = strawberry.field(description="Until when it is to be reviewed.")
    customer_local: strawberry.Private[str]

    @strawberry.field(description="Of whom.")
    async def customer(self, info: Info) -> Customer | None:
        return await load_customer(info, self.customer_local)


def unsuitable_holding_of(row: SuitabilityFinding) -> UnsuitableHolding:
    return UnsuitableHolding(
        id=global_id("UnsuitableHolding", row.id),
        suitability=suitability_of(row.checked()),
        found_at=row.found_at,
        due_at=row.due_at,
        customer_local=row.customer_id,
    )


def checked_code(code: str) -> str:
    """The code of a product; whatever is none is unknown, but for what no store takes."""
    if not 1 <= len(code) <= MOST_CHARACTERS or "\0" in code:
        raise SuitabilityInvalid(path=("product",), detail=f"1 to {MOST_CHARACTERS} characters")
    return code


@strawberry.type
class SuitabilityQueries:
    @strawberry.field(
        description="Whether a product fits you, or a customer whom you look after, and all reasons why it does not. "
        "What is not known makes it unsuitable."
    )
    async def suitability(
        self,
        info: Info,
        product: Annotated[str, strawberry.argument(description="Code of the product.")],
        customer_id: OfCustomer = None,
        horizon_months: Annotated[
            int | None,
            strawberry.argument(description="Months for which money can stay; null: what the assessment says."),
        ] = None,
        liquidity_need: Annotated[
            Liquidity | None,
            strawberry.argument(description="How late money may come back; null: what the assessment says."),
        ] = None,
    ) -> Suitability:
        context = info.context
        code = checked_code(product)
        if horizon_months is not None and not 0 <= horizon_months <= LONGEST_HORIZON:
            raise SuitabilityInvalid(path=("horizonMonths",), detail=f"0 to {LONGEST_HORIZON}")
        async with context.database.read() as session:
            customer = await whose(info, session, customer_id)
            offer = (await offers_of(session, [code])).get(code)
            known = await current_assessment(session, customer, now=context.now)
        found = check_suitability(
            code,
            offer,
            known.assessed() if known else None,
            horizon_months=horizon_months,
            liquidity_need=liquidity_need,
            now=context.now,
        )
        return suitability_of(found)

    @strawberry.field(
        description="What customers hold that does not fit any more since a rating or their class changed, the latest "
        "found first: of their own customers for relationship managers, of all for administrators."
    )
    async def unsuitable_holdings(
        self,
        info: Info,
        customer_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only of this customer; null: all.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[UnsuitableHolding]:
        size, place = window(first, after, last, before)
        staff(info)
        customer = local_id("Customer", customer_id, "customerId") if customer_id else None
        async with info.context.database.read() as session:
            ids = await customers_in_care(info, session, customer)
            page = await list_findings(session, ids, first=size, after=place)
            held = set(await products_held(session, [row.customer_id for row in page.rows]))
        # What was sold meanwhile is no holding any more; the worker ends its review.
        return connection(
            page, place, lambda row: unsuitable_holding_of(row) if (row.customer_id, row.product) in held else None
        )
