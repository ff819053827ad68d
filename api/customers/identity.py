"""Who a customer is, for whoever may look after them: personal data, what sources call them, who serves them."""

from typing import Annotated

import strawberry

from api.context import Info
from api.customers.profiles import Customer, CustomerProfile, load_customer, profile_of
from customers.access import Access, managers_of
from customers.profiles import CustomerAlias as AliasRow
from customers.profiles import aliases_of

strawberry.enum(
    Access,
    name="Access",
    description="As what somebody reads what is private of a customer; BREAK_GLASS is for a time, and audited.",
)


@strawberry.type(description="The name that a source has for a customer.")
class CustomerAlias:
    source: str = strawberry.field(description="The source; `oidc` is the sign-in.")
    key: str = strawberry.field(description="Its name for the customer.")


def alias_of(row: AliasRow) -> CustomerAlias:
    return CustomerAlias(source=row.source, key=row.key)


@strawberry.type(description="Who a customer is.")
class IdentityOfCustomer:
    local: strawberry.Private[str]

    @strawberry.field(description="What everybody may see of the customer.")
    async def customer(self, info: Info) -> Customer | None:
        return await load_customer(info, self.local)

    @strawberry.field(description="Personal data; null after an erasure.")
    async def profile(self, info: Info) -> CustomerProfile | None:
        return await profile_of(info, self.local)

    @strawberry.field(description="The names that sources have for the customer.")
    async def aliases(self, info: Info) -> list[CustomerAlias]:
        async with info.context.database.read() as session:
            return [alias_of(row) for row in await aliases_of(session, self.local)]

    @strawberry.field(description="The relationship managers who serve the customer, by their employee ids.")
    async def managers(self, info: Info) -> list[str]:
        return await managers_of(info.context.graph, self.local)


CustomerId = Annotated[strawberry.ID, strawberry.argument(description="Global id of the customer.")]
