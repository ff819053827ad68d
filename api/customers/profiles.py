"""The viewer, customers and their tags."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Annotated, Any

import strawberry

from api.context import Info
from api.customers.looked_after import is_staff
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from core.paging import Page, window
from customers.access import access_at_hand
from customers.profiles import AlreadySignedUp, put_customers, sign_up
from customers.tags import TagFamily, list_tags
from graph.client import Row

# By their values, for pages of rows: to call an enum costs several times as much.
FAMILIES = {one.value: one for one in TagFamily}
NO_TAGS: Page[Row] = Page(rows=[], cursors=[], has_next=False)

strawberry.enum(TagFamily, name="TagFamily", description="What a tag speaks of.")


@strawberry.type(description="A word that describes customers and what communities are about.")
class Tag:
    key: str = strawberry.field(description="Stable name of the tag.")
    name: str = strawberry.field(description="Name in the language of the request.")
    family: TagFamily = strawberry.field(description="What it speaks of.")


def tag_of(row: Row, info: Info) -> Tag:
    return Tag(key=row["key"], name=info.context.text(row, "name"), family=FAMILIES[row["family"]])


def tags_of(rows: Iterable[Row], info: Info) -> list[Tag]:
    return [tag_of(row, info) for row in rows]


@strawberry.type(description="A tag on a customer, with where it comes from.")
class CustomerTag:
    tag: Tag = strawberry.field(description="The tag.")
    source: str | None = strawberry.field(description="Where it comes from.")
    confidence: float | None = strawberry.field(description="How sure it is, 0 to 1.")
    since: datetime | None = strawberry.field(description="Since when it holds.")
    until: datetime | None = strawberry.field(description="Until when it holds; null: without end.")


@strawberry.type(description="Personal data, for the customer, their own relationship manager, administrators.")
class CustomerProfile:
    full_name: str | None = strawberry.field(description="Name in full.")
    phone: str | None = strawberry.field(description="Telephone number in E.164.")
    email: str | None = strawberry.field(description="E-mail address.")
    birth_date: date | None = strawberry.field(description="Date of birth.")
    customer_since: datetime | None = strawberry.field(description="Null for somebody who is only invited.")


@strawberry.type(description="A customer; what is private about them is null for those who may not see it.")
class Customer(Node):
    display_name: str = strawberry.field(description="The name that others see.")
    local: strawberry.Private[str]

    @strawberry.field(description="Personal data; null for anybody who may not see it.")
    async def profile(self, info: Info) -> CustomerProfile | None:
        if not await may_see(info, self.local):
            return None
        return await profile_of(info, self.local)

    @strawberry.field(description="Tags that hold now; null for anybody who may not see them.")
    async def tags(self, info: Info) -> list[CustomerTag] | None:
        if not await may_see(info, self.local):
            return None
        return [
            CustomerTag(
                tag=tag_of(row, info),
                source=row["source"],
                confidence=row["confidence"],
                since=row["since"],
                until=row["until"],
            )
            for row in await info.context.loaders.customer_tags.load(self.local)
        ]


async def profile_of(info: Info, customer_id: str) -> CustomerProfile | None:
    """What is personal, opened; whether it may be seen is asked before."""
    loaded = await info.context.private.profiles.load(customer_id)
    if loaded is None:
        return None
    found, personal = loaded
    return CustomerProfile(
        full_name=personal.full_name,
        phone=personal.phone,
        email=personal.email,
        birth_date=personal.birth_date,
        customer_since=found.customer_since,
    )


async def may_see(info: Info, customer_id: str) -> bool:
    """Whether the private side is shown; where what is known of who asks says so already, nothing is loaded."""
    if access_at_hand(info.context.known(), customer_id) is not None:
        return True
    return await info.context.private.access.load(customer_id) is not None


def customer_named(customer_id: str, display_name: str) -> Customer:
    return Customer(id=global_id("Customer", customer_id), display_name=display_name, local=customer_id)


def customer_of(row: Row) -> Customer:
    return customer_named(row["id"], row["display_name"])


async def load_customer(info: Info, customer_id: str) -> Customer | None:
    row = await info.context.loaders.customers.load(customer_id)
    return customer_of(row) if row else None


@strawberry.input(description="What a new profile needs.")
class SignUpInput:
    display_name: str = strawberry.field(description="The name that others see, 1 to 60 characters.")


@strawberry.type(description="The profile is made.")
class SignUpSuccess:
    customer: Customer = strawberry.field(description="The new customer.")


SignUpResult = Annotated[SignUpSuccess | Refusal, result_union(SignUpSuccess)]


Family = Annotated[
    TagFamily, strawberry.argument(description="Of what the tags speak; staff alone see more than INTEREST.")
]


@strawberry.type
class CustomerQueries:
    @strawberry.field(description="A customer whose profile you may see: your own, or one whom you look after.")
    async def customer(
        self,
        info: Info,
        id: Annotated[
            strawberry.ID,
            strawberry.argument(description="Global id of the customer: yourself, or one whom you may see."),
        ],
    ) -> Customer | None:
        info.context.signed_in()
        customer_id = local_id("Customer", id, "id")
        return await load_customer(info, customer_id) if await may_see(info, customer_id) else None

    @strawberry.field(
        description="The tags that inputs take by their keys. What the bank notes of its customers, which is every "
        "family but INTEREST, is for its staff; for others it is empty."
    )
    async def tags(
        self,
        info: Info,
        family: Family = TagFamily.INTEREST,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Tag]:
        size, place = window(first, after, last, before)
        if not is_staff(info) and family != TagFamily.INTEREST:
            return connection(NO_TAGS, place, lambda row: tag_of(row, info))
        page = await list_tags(info.context.graph, family, first=size, after=place)
        return connection(page, place, lambda row: tag_of(row, info))


@strawberry.type
class CustomerMutations:
    @strawberry.mutation(description="Make a profile for a signed-in person who has none.")
    @refusals
    async def sign_up(self, info: Info, input: SignUpInput) -> SignUpResult:
        context = info.context
        principal = await context.principal()
        if principal.customer_id is not None:
            raise AlreadySignedUp
        async with context.database.write() as session:
            customer = await sign_up(
                session,
                principal,
                display_name=input.display_name,
                hash_key=context.edge.settings.identity_hash_key.get_secret_value(),
                now=context.now,
            )
            await put_customers(context.graph, [customer])
        row: dict[str, Any] = {"id": customer.id, "display_name": customer.display_name}
        return SignUpSuccess(customer=customer_of(row))
