"""Segments, what a condition would find, and lists of customers."""

from datetime import datetime
from typing import Annotated, Any

import strawberry
from strawberry.scalars import JSON

from api.context import Context, Info
from api.customers.looked_after import is_staff, own_customers, staff
from api.customers.profiles import Customer, customer_of
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from core.db import Session
from core.errors import NotFound
from core.paging import window
from customers.listing import Looked, count_customers, list_customers
from segments.condition_words import words_of
from segments.conditions import Condition, load_vocabulary, parse_condition
from segments.segments import (
    NewSegment,
    archive_segment,
    condition_of,
    create_segment,
    list_segments,
    update_segment,
)
from segments.segments import Segment as SegmentRow

SAMPLE = 10


@strawberry.type(description="A condition with a name. Relationship managers see their own customers in it, no others.")
class Segment(Node):
    name: str = strawberry.field(description="Name in the language of the request.")
    version: int = strawberry.field(description="How often it has been written.")
    condition: JSON = strawberry.field(description="The condition as it was written; docs/conditions.md.")
    created_by: str = strawberry.field(description="The administrator who made it.")
    created_at: datetime = strawberry.field(description="When.")
    updated_by: str = strawberry.field(description="The administrator who wrote its present version.")
    updated_at: datetime = strawberry.field(description="When.")
    archived_at: datetime | None = strawberry.field(
        description="Since when nothing new can name it; what does already goes on by its last condition."
    )
    row: strawberry.Private[SegmentRow]

    @strawberry.field(description="The condition in words, as it is compiled.")
    async def words(self, info: Info) -> str:
        async with info.context.database.read() as session:
            known = await load_vocabulary(session)
        return words_of(condition_of(self.row, known), known, info.context.language)

    @strawberry.field(description="How many customers are in it now.")
    async def count(self, info: Info) -> int:
        own = await own_customers(info)
        async with info.context.database.read() as session:
            looked = Looked([condition_of(self.row, await load_vocabulary(session))], own=own)
            return await count_customers(session, looked, now=info.context.now)

    @strawberry.field(description="The customers who are in it now.")
    async def customers(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Customer]:
        size, place = window(first, after, last, before)
        own = await own_customers(info)
        async with info.context.database.read() as session:
            looked = Looked([condition_of(self.row, await load_vocabulary(session))], own=own)
            page = await list_customers(session, looked, first=size, after=place, now=info.context.now)
        return connection(page, place, named_customer)


@strawberry.type(description="What a condition would find now.")
class SegmentPreview:
    count: int = strawberry.field(description="How many customers.")
    sample: list[Customer] = strawberry.field(description=f"Up to {SAMPLE} of them.")
    words: str = strawberry.field(description="The condition in words, as it is compiled.")


@strawberry.input(description="Which customers to list; all of what is given must hold.")
class CustomerFilter:
    name: str | None = strawberry.field(description="Part of the name that others see.", default=None)
    condition: JSON | None = strawberry.field(
        description="A condition on tags, tier, traits and events; docs/conditions.md.", default=None
    )


@strawberry.input(description="A new segment.")
class CreateSegmentInput:
    name_zh: str = strawberry.field(description="Name in Chinese, 1 to 100 characters.")
    name_en: str = strawberry.field(description="Name in English, 1 to 100 characters.")
    condition: JSON = strawberry.field(description="Who is in it; docs/conditions.md.")


@strawberry.input(description="What to change of a segment; what is left out stays.")
class UpdateSegmentInput:
    segment_id: strawberry.ID = strawberry.field(description="Global id of the segment.")
    name_zh: str | None = strawberry.field(description="Name in Chinese.", default=strawberry.UNSET)
    name_en: str | None = strawberry.field(description="Name in English.", default=strawberry.UNSET)
    condition: JSON | None = strawberry.field(description="Who is in it; docs/conditions.md.", default=strawberry.UNSET)


@strawberry.input(description="Which segment to archive, and why.")
class ArchiveSegmentInput:
    segment_id: strawberry.ID = strawberry.field(description="Global id of the segment.")
    reason: str = strawberry.field(description="Why, 1 to 500 characters; kept in the audit trail.")


@strawberry.type(description="The segment is made.")
class CreateSegmentSuccess:
    segment: Segment = strawberry.field(description="The new segment.")


@strawberry.type(description="The segment is written as asked.")
class UpdateSegmentSuccess:
    segment: Segment = strawberry.field(description="The segment; its version tells whether it changed.")


@strawberry.type(description="Nothing new can name the segment.")
class ArchiveSegmentSuccess:
    segment: Segment = strawberry.field(description="The segment.")


CreateSegmentResult = Annotated[CreateSegmentSuccess | Refusal, result_union(CreateSegmentSuccess)]
UpdateSegmentResult = Annotated[UpdateSegmentSuccess | Refusal, result_union(UpdateSegmentSuccess)]
ArchiveSegmentResult = Annotated[ArchiveSegmentSuccess | Refusal, result_union(ArchiveSegmentSuccess)]


def segment_of(row: SegmentRow, context: Context) -> Segment:
    return Segment(
        id=global_id("Segment", row.id),
        name=context.text(row, "name"),
        version=row.version,
        condition=JSON(row.condition),
        created_by=row.created_by,
        created_at=row.created_at,
        updated_by=row.updated_by,
        updated_at=row.updated_at,
        archived_at=row.archived_at,
        row=row,
    )


def named_customer(row: Any) -> Customer:
    return customer_of({"id": row[0], "display_name": row[1]})


async def load_segment(info: Info, local: str) -> Segment | None:
    """The segment for `node(id:)`; None for who is no staff."""
    if not is_staff(info):
        return None
    async with info.context.database.read() as session:
        row = await session.get(SegmentRow, local)
    return segment_of(row, info.context) if row else None


SegmentId = Annotated[strawberry.ID, strawberry.argument(description="Global id of the segment.")]
SomeSegment = Annotated[strawberry.ID | None, strawberry.argument(description="Only those who are in it now.")]
Filtered = Annotated[CustomerFilter | None, strawberry.argument(description="Only those who meet it.")]


@strawberry.type
class SegmentQueries:
    @strawberry.field(description="A segment; null: there is none. For relationship managers and administrators.")
    async def segment(self, info: Info, id: SegmentId) -> Segment | None:
        staff(info)
        return await load_segment(info, local_id("Segment", id, "id"))

    @strawberry.field(description="Segments by when they were made. For relationship managers and administrators.")
    async def segments(
        self,
        info: Info,
        archived: Annotated[bool, strawberry.argument(description="Whether archived ones are shown too.")] = False,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Segment]:
        size, place = window(first, after, last, before)
        staff(info)
        async with info.context.database.read() as session:
            page = await list_segments(session, archived=archived, first=size, after=place)
        return connection(page, place, lambda row: segment_of(row, info.context))

    @strawberry.field(description="What a condition would find now; it writes nothing. For administrators.")
    async def preview_segment(
        self,
        info: Info,
        condition: Annotated[JSON, strawberry.argument(description="The condition; docs/conditions.md.")],
    ) -> SegmentPreview:
        context = info.context
        context.administrator()
        async with context.database.read() as session:
            known = await load_vocabulary(session)
            parsed = parse_condition(condition, known)
            looked = Looked([parsed])
            count = await count_customers(session, looked, now=context.now)
            page = await list_customers(session, looked, first=SAMPLE, after=None, now=context.now)
        words = words_of(parsed, known, context.language)
        return SegmentPreview(count=count, sample=[named_customer(row) for row in page.rows], words=words)

    @strawberry.field(
        description="Customers by their ids: a relationship manager's own, and all of them for administrators."
    )
    async def customers(
        self,
        info: Info,
        segment: SomeSegment = None,
        filter: Filtered = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Customer]:
        size, place = window(first, after, last, before)
        context = info.context
        own = await own_customers(info)
        async with context.database.read() as session:
            conditions = await asked(session, segment, filter)
            looked = Looked(conditions, filter.name if filter else None, own)
            page = await list_customers(session, looked, first=size, after=place, now=context.now)
        return connection(page, place, named_customer)


async def asked(session: Session, segment: strawberry.ID | None, filter: CustomerFilter | None) -> list[Condition]:
    """The conditions of a list; raises NotFound, ConditionInvalid."""
    given = filter.condition if filter else None
    if segment is None and given is None:
        return []
    known = await load_vocabulary(session)
    found: list[Condition] = []
    if segment is not None:
        row = await session.get(SegmentRow, local_id("Segment", segment, "segment"))
        if row is None:
            raise NotFound(path=("segment",))
        found.append(condition_of(row, known))
    if given is not None:
        found.append(parse_condition(given, known, path=("filter", "condition")))
    return found


@strawberry.type
class SegmentMutations:
    @strawberry.mutation(description="Make a segment. For administrators.")
    @refusals
    async def create_segment(self, info: Info, input: CreateSegmentInput) -> CreateSegmentResult:
        context = info.context
        actor = context.administrator().subject
        new = NewSegment(input.name_zh, input.name_en, input.condition)
        async with context.database.write() as session:
            row = await create_segment(session, new, actor=actor, now=context.now)
        return CreateSegmentSuccess(segment=segment_of(row, context))

    @strawberry.mutation(
        description="Write the next version of a segment; whatever names it goes by it from now on. For administrators."
    )
    @refusals
    async def update_segment(self, info: Info, input: UpdateSegmentInput) -> UpdateSegmentResult:
        context = info.context
        actor = context.administrator().subject
        segment_id = local_id("Segment", input.segment_id, "input", "segmentId")
        given = {name: getattr(input, name) for name in ("name_zh", "name_en", "condition")}
        changes = {name: value for name, value in given.items() if value is not strawberry.UNSET}
        async with context.database.write() as session:
            row = await update_segment(session, segment_id, changes, actor=actor, now=context.now)
        return UpdateSegmentSuccess(segment=segment_of(row, context))

    @strawberry.mutation(
        description="Let nothing new name a segment; what does already goes on by its last condition. "
        "For administrators."
    )
    @refusals
    async def archive_segment(self, info: Info, input: ArchiveSegmentInput) -> ArchiveSegmentResult:
        context = info.context
        actor = context.administrator().subject
        segment_id = local_id("Segment", input.segment_id, "input", "segmentId")
        async with context.database.write() as session:
            row = await archive_segment(session, segment_id, reason=input.reason, actor=actor, now=context.now)
        return ArchiveSegmentSuccess(segment=segment_of(row, context))
