"""The customer as a whole, for who looks after them and for the customer; composed of parts of several slices."""

import strawberry

from api.community.communities import Community, community_page
from api.context import Info
from api.customers.alerts import AlertsOfCustomer
from api.customers.consents import ConsentsOfCustomer
from api.customers.identity import CustomerId, IdentityOfCustomer
from api.customers.merging import MergesOfCustomer
from api.customers.money_of_customer import MoneyOfCustomer
from api.customers.needs import NeedsOfCustomer
from api.customers.tags import TagsOfCustomer
from api.referrals.attribution import Referral, referral_of
from api.relay import After, Before, Connection, First, Last, connection, global_id, local_id
from api.service.complaints import ComplaintsOfCustomer
from api.service.follow_ups import FollowUpsOfCustomer
from api.service.interactions import Interaction, complaint_page, interaction_page
from community.communities import communities_of
from core.errors import NotFound
from core.paging import window
from customers.access import Access, may_read
from customers.profiles import profile, survivor_of
from referrals.attribution import referrals_by, referrals_to


@strawberry.type(description="Ties of a customer: communities, referrals, contacts with the bank.")
class TiesOfCustomer:
    local: strawberry.Private[str]

    @strawberry.field(description="The customer's communities, of those that you may see.")
    async def communities(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Community]:
        size, place = window(first, after, last, before)
        page = await communities_of(info.context.graph, self.local, first=size, after=place)
        return await community_page(info, page, place)

    @strawberry.field(description="Whom the customer brought, the latest first.")
    async def referrals(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Referral]:
        size, place = window(first, after, last, before)
        async with info.context.database.read() as session:
            page = await referrals_by(session, self.local, first=size, after=place)
        return connection(page, place, referral_of)

    @strawberry.field(description="By whom the customer was brought, in each programme.")
    async def brought_by(self, info: Info) -> list[Referral]:
        async with info.context.database.read() as session:
            return [referral_of(row) for row in await referrals_to(session, self.local)]

    @strawberry.field(description="Contacts with the bank, logged here or told by its systems, the latest first.")
    async def interactions(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Interaction]:
        size, place = window(first, after, last, before)
        return await interaction_page(info, self.local, size, place)

    @strawberry.field(description="Complaints, the latest first.")
    async def complaints(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Interaction]:
        return await complaint_page(info, self.local, *window(first, after, last, before))


@strawberry.type(description="A customer as a whole; what another source says of them has its source and its time.")
class Customer360(
    IdentityOfCustomer,
    MoneyOfCustomer,
    TagsOfCustomer,
    NeedsOfCustomer,
    AlertsOfCustomer,
    TiesOfCustomer,
    FollowUpsOfCustomer,
    ConsentsOfCustomer,
    MergesOfCustomer,
    ComplaintsOfCustomer,
):
    id: strawberry.ID = strawberry.field(description="Global id of the customer.")
    accessed_as: Access = strawberry.field(description="As what you read this.")


@strawberry.type
class Customer360Queries:
    @strawberry.field(
        description="A customer as a whole: one's own, one whom you look after, any for administrators. FORBIDDEN for "
        "anybody else, also where there is no such customer; a denial of staff is audited."
    )
    async def customer360(self, info: Info, id: CustomerId) -> Customer360:
        context = info.context
        context.signed_in()
        customer_id = local_id("Customer", id, "id")
        principal = await context.principal()
        async with context.database.read() as session:
            customer_id = await survivor_of(session, customer_id)
            accessed_as = await may_read(context.graph, session, principal, customer_id, now=context.now)
            if await profile(session, customer_id) is None:
                raise NotFound(path=("id",))
        return Customer360(local=customer_id, id=global_id("Customer", customer_id), accessed_as=accessed_as)
