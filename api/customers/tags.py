"""Tags that staff create and merge, put on customers and take off; and a customer's tags with their history."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.context import Context, Info
from api.customers.looked_after import present_in_care
from api.customers.profiles import Customer, CustomerTag, Tag, load_customer
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, connection, local_id
from core.audit import checked_reason, record_change
from core.db import Session
from core.errors import NotFound
from core.paging import window
from customers.tag_history import Said, tag_history, tags_at
from customers.tag_merges import merge_tags
from customers.tag_words import NewWord, Resolved, create_tag, resolved_tags
from customers.tagging import NewTag, TaggingInvalid, tag_customers, untag_customer
from segments.tagging import Tag as TagRow
from segments.tagging import TagEnd, TagFamily

strawberry.enum(
    TagEnd,
    name="TagEnd",
    description="RESTATED: said anew. EXCLUDED: another of the life cycle took its place. UNTAGGED: taken off. "
    "MERGED: it goes on as another tag. EXPIRED: it was over when it came.",
)


@strawberry.type(description="A tag over one span of time, as one source said it.")
class TagSpan:
    tag: Tag = strawberry.field(description="The tag, also one that was merged into another since.")
    source: str = strawberry.field(description="Where it came from.")
    confidence: float = strawberry.field(description="How sure it was, 0 to 1.")
    since: datetime = strawberry.field(description="Since when it held.")
    until: datetime | None = strawberry.field(description="When it expires or expired by itself; null: never.")
    ended_at: datetime | None = strawberry.field(description="When it was ended before that; null: it was not.")
    end_reason: TagEnd | None = strawberry.field(description="Why it was ended; null: it was not.")
    set_by: str = strawberry.field(description="Who said it: an employee, or an import by its source.")
    recorded_at: datetime = strawberry.field(description="When it was said.")


@strawberry.type(description="What is known of a customer by tags.")
class TagsOfCustomer:
    local: strawberry.Private[str]

    @strawberry.field(description="The tags that the customer carries now, or carried at an instant; the surest first.")
    async def tags(
        self,
        info: Info,
        as_of: Annotated[datetime | None, strawberry.argument(description="An instant of before; null: now.")] = None,
    ) -> list[CustomerTag]:
        return await carried(info.context, self.local, as_of or info.context.now)

    @strawberry.field(description="All that was ever said of the customer's tags, the latest beginning first.")
    async def tag_history(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[TagSpan]:
        size, place = window(first, after, last, before)
        async with info.context.database.read() as session:
            page = await tag_history(session, self.local, first=size, after=place)
        return connection(page, place, lambda said: span_of(said, info.context))


async def carried(context: Context, customer_id: str, at: datetime) -> list[CustomerTag]:
    async with context.database.read() as session:
        found = await tags_at(session, customer_id, at)
    return [
        CustomerTag(
            tag=tag_of_row(tag, context),
            source=row.source,
            confidence=row.confidence,
            since=row.since,
            until=row.until,
        )
        for row, tag in found
    ]


def tag_of_row(tag: TagRow, context: Context) -> Tag:
    return Tag(key=tag.key, name=context.text(tag, "name"), family=TagFamily(tag.family))


def span_of(said: Said, context: Context) -> TagSpan:
    row, tag = said
    return TagSpan(
        tag=tag_of_row(tag, context),
        source=row.source,
        confidence=row.confidence,
        since=row.since,
        until=row.until,
        ended_at=row.ended_at,
        end_reason=TagEnd(row.end_reason) if row.end_reason else None,
        set_by=row.set_by,
        recorded_at=row.recorded_at,
    )


@strawberry.input(description="A new tag.")
class CreateTagInput:
    key: str = strawberry.field(description="Small letters, digits and -, 1 to 60 characters; it stays for ever.")
    name_zh: str = strawberry.field(description="Name in Chinese, 1 to 200 characters.")
    name_en: str = strawberry.field(description="Name in English, 1 to 200 characters.")
    family: TagFamily = strawberry.field(description="What it speaks of.")


@strawberry.input(description="Which tag is to mean another one.")
class MergeTagsInput:
    from_: str = strawberry.field(name="from", description="Key of the tag that is given up.")
    into: str = strawberry.field(description="Key of the tag that it means from now on; of the same family.")
    reason: str = strawberry.field(description="Why, 1 to 500 characters; kept in the audit trail.")


@strawberry.input(description="A tag to put on a customer.")
class TagCustomerInput:
    customer_id: strawberry.ID = strawberry.field(description="Global id of the customer.")
    tag: str = strawberry.field(description="Key of the tag; one that was merged means the other.")
    reason: str = strawberry.field(description="Why, 1 to 500 characters; kept in the audit trail alone.")
    source: str = strawberry.field(description="Where it comes from, 1 to 100 characters.", default="staff")
    confidence: float = strawberry.field(description="How sure it is, 0 to 1.", default=1.0)
    until: datetime | None = strawberry.field(
        description="When it expires by itself, in the future; null: never.", default=None
    )


@strawberry.input(description="A tag to take off a customer.")
class UntagCustomerInput:
    customer_id: strawberry.ID = strawberry.field(description="Global id of the customer.")
    tag: str = strawberry.field(description="Key of the tag.")
    reason: str = strawberry.field(description="Why, 1 to 500 characters; kept in the audit trail alone.")


@strawberry.type(description="The tag can be named.")
class CreateTagSuccess:
    tag: Tag = strawberry.field(description="The new tag.")


@strawberry.type(description="Both keys mean one tag; customers, communities and rewards follow within moments.")
class MergeTagsSuccess:
    tag: Tag = strawberry.field(description="The tag that stands.")


@strawberry.type(description="The customer carries the tag.")
class TagCustomerSuccess:
    customer: Customer | None = strawberry.field(description="The customer.")
    tags: list[CustomerTag] = strawberry.field(description="All tags that the customer carries now.")


@strawberry.type(description="The customer does not carry the tag any more.")
class UntagCustomerSuccess:
    customer: Customer | None = strawberry.field(description="The customer.")
    tags: list[CustomerTag] = strawberry.field(description="All tags that the customer carries now.")


CreateTagResult = Annotated[CreateTagSuccess | Refusal, result_union(CreateTagSuccess)]
MergeTagsResult = Annotated[MergeTagsSuccess | Refusal, result_union(MergeTagsSuccess)]
TagCustomerResult = Annotated[TagCustomerSuccess | Refusal, result_union(TagCustomerSuccess)]
UntagCustomerResult = Annotated[UntagCustomerSuccess | Refusal, result_union(UntagCustomerSuccess)]


async def known_tag(session: Session, key: str) -> Resolved:
    found = (await resolved_tags(session, [key])).get(key)
    if found is None:
        raise NotFound(path=("tag",))
    return found


@strawberry.type
class TagMutations:
    @strawberry.mutation(
        description="Make a tag that customers, communities, rewards and conditions can name. For administrators."
    )
    @refusals
    async def create_tag(self, info: Info, input: CreateTagInput) -> CreateTagResult:
        context = info.context
        actor = context.administrator().subject
        word = NewWord(input.key, input.name_zh, input.name_en, input.family)
        async with context.database.write() as session:
            tag = await create_tag(session, context.graph, word, actor=actor, now=context.now)
        return CreateTagSuccess(tag=tag_of_row(tag, context))

    @strawberry.mutation(
        description="Let one tag mean another of its family from now on, wherever it is named. The history of "
        "customers keeps it. Done again it changes nothing. For administrators."
    )
    @refusals
    async def merge_tags(self, info: Info, input: MergeTagsInput) -> MergeTagsResult:
        context = info.context
        actor = context.administrator().subject
        async with context.database.write() as session:
            tag = await merge_tags(session, input.from_, input.into, reason=input.reason, actor=actor, now=context.now)
        return MergeTagsSuccess(tag=tag_of_row(tag, context))

    @strawberry.mutation(
        description="Put a tag on a customer; one of the life cycle ends the one before. Said again it changes "
        "nothing. For the customer's own relationship manager, and administrators."
    )
    @refusals
    async def tag_customer(self, info: Info, input: TagCustomerInput) -> TagCustomerResult:
        context = info.context
        customer_id = local_id("Customer", input.customer_id, "input", "customerId")
        async with context.database.write() as session:
            customer_id, staff = await present_in_care(info, session, customer_id)
            actor, reason = staff.subject, checked_reason(input.reason, TaggingInvalid)
            if not 1 <= len(input.source) <= 100:
                raise TaggingInvalid(path=("source",), detail="1 to 100 characters")
            if input.until is not None and input.until <= context.now:
                raise TaggingInvalid(path=("until",), detail="in the future")
            tag = (await known_tag(session, input.tag)).tag
            new = NewTag(customer_id, tag.key, tag.family, input.source, confidence=input.confidence, until=input.until)
            if await tag_customers(session, [new], set_by=actor, now=context.now):
                await record_change(
                    session, "customer", customer_id, "TAGGED", actor=actor, now=context.now, reason=reason, tag=tag.key
                )
        return TagCustomerSuccess(
            customer=await load_customer(info, customer_id), tags=await carried(context, customer_id, context.now)
        )

    @strawberry.mutation(
        description="Take a tag off a customer. For the customer's own relationship manager, and administrators."
    )
    @refusals
    async def untag_customer(self, info: Info, input: UntagCustomerInput) -> UntagCustomerResult:
        context = info.context
        customer_id = local_id("Customer", input.customer_id, "input", "customerId")
        async with context.database.write() as session:
            customer_id, staff = await present_in_care(info, session, customer_id)
            actor, reason = staff.subject, checked_reason(input.reason, TaggingInvalid)
            known = await known_tag(session, input.tag)
            await untag_customer(session, customer_id, known.keys, now=context.now)
            key = known.tag.key
            await record_change(
                session, "customer", customer_id, "UNTAGGED", actor=actor, now=context.now, reason=reason, tag=key
            )
        return UntagCustomerSuccess(
            customer=await load_customer(info, customer_id), tags=await carried(context, customer_id, context.now)
        )
