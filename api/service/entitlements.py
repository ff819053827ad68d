"""What a tier is entitled to, for the customer and for who looks after them."""

from typing import Annotated

import strawberry

from api.context import Info
from api.customers.looked_after import staff
from api.relay import local_id
from customers.access import may_look_after
from customers.profiles import survivor_of
from graph.eligibility import Tier
from service.entitlements import ContentLevel, Entitled, entitlements_of

strawberry.enum(ContentLevel, name="ContentLevel", description="Which content is shown, each with that of the former.")


@strawberry.type(description="What a customer is served with, by the tier of now.")
class Entitlements:
    tier: Tier = strawberry.field(description="The tier.")
    policy_number: int = strawberry.field(description="The version of the table of entitlements.")
    own_manager: bool = strawberry.field(description="Whether there is a relationship manager of one's own.")
    green_channel: bool = strawberry.field(description="Whether one comes first in queues.")
    priority: int = strawberry.field(description="How early one comes in queues, 0 to 9; the higher is first.")
    early_invitation_hours: int = strawberry.field(
        description="By so many hours one may register for a scarce event before everybody may."
    )
    content_level: ContentLevel = strawberry.field(description="Which content is shown.")
    advice_answer_hours: int = strawberry.field(
        description="Within so many hours a question to an advisor is to be answered."
    )
    suitability_review_days: int = strawberry.field(
        description="Within so many days somebody is to speak with one about a holding that does not fit any more."
    )


def entitlements_from(found: Entitled) -> Entitlements:
    return Entitlements(
        tier=found.tier,
        policy_number=found.policy.number,
        own_manager=found.has.own_manager,
        green_channel=found.has.green_channel,
        priority=found.has.priority,
        early_invitation_hours=found.has.early_hours,
        content_level=found.has.content,
        advice_answer_hours=found.has.answer_hours,
        suitability_review_days=found.has.review_days,
    )


@strawberry.type
class EntitlementQueries:
    @strawberry.field(description="What you are entitled to; or a customer whom you look after, for the bank's people.")
    async def entitlements(
        self,
        info: Info,
        customer_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Global id of the customer; null: yourself.")
        ] = None,
    ) -> Entitlements:
        context = info.context
        context.signed_in()
        if customer_id is None:
            customer = await context.customer_id()
        else:
            principal = staff(info)
            async with context.database.read() as session:
                customer = await survivor_of(session, local_id("Customer", customer_id, "customerId"))
                await may_look_after(context.graph, session, principal, customer, now=context.now)
        async with context.database.read() as session:
            found = await entitlements_of(session, [customer], now=context.now)
        return entitlements_from(found[customer])
