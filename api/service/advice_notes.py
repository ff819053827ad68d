"""Advice notes: drafted by whoever looks after a customer, and shown to the customer when they are published."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import strawberry

from api.context import Info
from api.customers.looked_after import is_staff, present_in_care, staff
from api.customers.profiles import Customer, load_customer
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from api.service.of_customer import OfCustomer, those_of
from api.service.products import Product, product_by_code
from api.service.suitability import Suitability, checked_code, suitability_of
from core.db import Session, rows_by_id
from core.errors import BadUserInput, Forbidden, NotFound
from core.paging import window
from customers.access import Access
from service.advice import AdviceThread, hold_thread, new_thread
from service.advice_notes import AdviceNote as NoteRow
from service.advice_notes import (
    NoteStatus,
    NoteWords,
    draft_advice_note,
    list_notes,
    publish_advice_note,
    rationale_of,
    redraft_advice_note,
)
from service.assessments import current_assessments
from service.products import offers_of
from service.suitability import Suitability as Check
from service.suitability import check_suitability

strawberry.enum(NoteStatus, name="AdviceNoteStatus", description="What is PUBLISHED is never changed.")


class DraftInvalid(BadUserInput):
    code = "ADVICE_DRAFT_INVALID"
    en = "Say of one thing what the note is for: a thread, a customer, or a draft that it replaces."
    zh = "请指定一项：咨询、客户或要修改的草稿。"


@strawberry.type(description="Advice about a product; a draft is seen by the bank's people alone.")
class AdviceNote(Node):
    status: NoteStatus = strawberry.field(description="Whether the customer sees it.")
    thread_id: strawberry.ID = strawberry.field(description="Global id of the thread.")
    product_code: str = strawberry.field(description="The product that it is about.")
    rationale: str = strawberry.field(description="Why.")
    suitability: Suitability = strawberry.field(
        description="Whether the product fits: as it was found at publication; of a draft, as it is now."
    )
    drafted_by: str | None = strawberry.field(description="Who drafted it; null for customers.")
    drafted_at: datetime | None = strawberry.field(description="When; null for customers.")
    published_by: str | None = strawberry.field(description="Who published it; null for a draft.")
    published_at: datetime | None = strawberry.field(description="When; null for a draft.")
    customer_local: strawberry.Private[str]

    @strawberry.field(description="For whom.")
    async def customer(self, info: Info) -> Customer | None:
        return await load_customer(info, self.customer_local)

    @strawberry.field(description="The product as it is now; null where we know none of this code.")
    async def product(self, info: Info) -> Product | None:
        return await product_by_code(info, self.product_code)


async def notes_shown(info: Info, session: Session, rows: Sequence[NoteRow]) -> dict[str, AdviceNote]:
    """The notes by their local ids, opened and with their checks, by a few statements for all of them."""
    threads = await rows_by_id(session, AdviceThread, [row.thread_id for row in rows])
    drafts, now = [row for row in rows if not row.is_published], info.context.now
    offers = await offers_of(session, {row.product for row in drafts})
    assessed = await current_assessments(session, {row.customer_id for row in drafts}, now=now)

    def check(row: NoteRow) -> Check:
        known = assessed.get(row.customer_id)
        return row.checked() or check_suitability(
            row.product, offers.get(row.product), known.assessed() if known else None, now=now
        )

    for_staff = is_staff(info)
    return {
        row.id: AdviceNote(
            id=global_id("AdviceNote", row.id),
            status=NoteStatus(row.status),
            thread_id=global_id("AdviceThread", row.thread_id),
            product_code=row.product,
            rationale=rationale_of(session, threads[row.thread_id], row),
            suitability=suitability_of(check(row)),
            drafted_by=row.drafted_by if for_staff else None,
            drafted_at=row.drafted_at if for_staff else None,
            published_by=row.published_by,
            published_at=row.published_at,
            customer_local=row.customer_id,
        )
        for row in rows
    }


async def note_shown(info: Info, session: Session, row: NoteRow) -> AdviceNote:
    return (await notes_shown(info, session, [row]))[row.id]


async def load_note(info: Info, local: str) -> AdviceNote | None:
    """A note as the asking one may see it: a draft is as absent for the customer whom it is for."""
    async with info.context.database.read() as session:
        row = await session.get(NoteRow, local)
        access = await info.context.private.access.load(row.customer_id) if row else None
        if row is None or access is None or (access is Access.SELF and not row.is_published):
            return None
        return await note_shown(info, session, row)


@strawberry.input(description="What a note is to say, and of one thing what it is for.")
class DraftAdviceNoteInput:
    product_code: str = strawberry.field(description="Code of the product.")
    rationale: str = strawberry.field(description="Why, 1 to 5,000 characters.")
    thread_id: strawberry.ID | None = strawberry.field(
        description="Global id of the thread in which a customer asks.", default=None
    )
    customer_id: strawberry.ID | None = strawberry.field(
        description="Global id of a customer who has not asked.", default=None
    )
    note_id: strawberry.ID | None = strawberry.field(
        description="Global id of a draft that is to say this instead.", default=None
    )


@strawberry.input(description="Which note.")
class PublishAdviceNoteInput:
    note_id: strawberry.ID = strawberry.field(description="Global id of the draft.")


@strawberry.type(description="It is a draft.")
class DraftAdviceNoteSuccess:
    note: AdviceNote = strawberry.field(description="The note.")


@strawberry.type(description="The customer sees it and is told.")
class PublishAdviceNoteSuccess:
    note: AdviceNote = strawberry.field(description="The note.")


DraftAdviceNoteResult = Annotated[DraftAdviceNoteSuccess | Refusal, result_union(DraftAdviceNoteSuccess)]
PublishAdviceNoteResult = Annotated[PublishAdviceNoteSuccess | Refusal, result_union(PublishAdviceNoteSuccess)]


async def advising(info: Info, session: Session, customer_id: str, path: str) -> str:
    """The customer, held, whom the asking staff advise; raises NotFound with this path for all others."""
    try:
        id, _ = await present_in_care(info, session, customer_id)
    except (Forbidden, NotFound):
        raise NotFound(path=(path,)) from None
    return id


async def thread_for(info: Info, session: Session, input: DraftAdviceNoteInput) -> AdviceThread:
    """The thread in which a new note is drafted, held; one is made for a customer who has not asked."""
    if input.customer_id:
        local = local_id("Customer", input.customer_id, "input", "customerId")
        customer_id = await advising(info, session, local, "customerId")
        return await new_thread(session, customer_id, None, now=info.context.now)
    thread_id = local_id("AdviceThread", input.thread_id or "", "input", "threadId")
    row = await session.get(AdviceThread, thread_id)
    if row is None:
        raise NotFound(path=("threadId",))
    await advising(info, session, row.customer_id, "threadId")
    thread = await hold_thread(session, thread_id)
    if thread is None:
        raise NotFound(path=("threadId",))
    return thread


async def note_in_care(info: Info, session: Session, note_id: str) -> None:
    """Raise NotFound but for a note to a customer whom the asking staff look after."""
    row = await session.get(NoteRow, note_id)
    if row is None:
        raise NotFound(path=("noteId",))
    await advising(info, session, row.customer_id, "noteId")


@strawberry.type
class AdviceNoteQueries:
    @strawberry.field(
        description="Advice, the latest first: what was published to you; for relationship managers all notes to their "
        "own customers, for administrators all."
    )
    async def advice_notes(
        self,
        info: Info,
        customer_id: OfCustomer = None,
        thread_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only in this thread; null: all.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[AdviceNote]:
        size, place = window(first, after, last, before)
        info.context.signed_in()
        thread = local_id("AdviceThread", thread_id, "threadId") if thread_id else None
        async with info.context.database.read() as session:
            ids = await those_of(info, session, customer_id)
            page = await list_notes(
                session, ids, published_only=not is_staff(info), thread_id=thread, first=size, after=place
            )
            shown = await notes_shown(info, session, page.rows)
        return connection(page, place, lambda row: shown[row.id])


@strawberry.type
class AdviceNoteMutations:
    @strawberry.mutation(
        description="Draft advice for a customer, or change a draft; the customer does not see it. For who looks after "
        "the customer, and for administrators."
    )
    @refusals
    async def draft_advice_note(self, info: Info, input: DraftAdviceNoteInput) -> DraftAdviceNoteResult:
        actor, now = staff(info).subject, info.context.now
        if sum(one is not None for one in (input.thread_id, input.customer_id, input.note_id)) != 1:
            raise DraftInvalid(path=("threadId",))
        words = NoteWords(checked_code(input.product_code), input.rationale)
        note_id = local_id("AdviceNote", input.note_id, "input", "noteId") if input.note_id else None
        async with info.context.database.write() as session:
            if note_id is not None:
                await note_in_care(info, session, note_id)
                row = await redraft_advice_note(session, note_id, words, actor=actor, now=now)
            else:
                thread = await thread_for(info, session, input)
                row = await draft_advice_note(session, thread, words, actor=actor, now=now)
            note = await note_shown(info, session, row)
        return DraftAdviceNoteSuccess(note=note)

    @strawberry.mutation(
        description="Publish a draft, once: the customer sees it and is told, and what waited in the thread is "
        "answered. Refused where the product does not fit, with the reasons. For who looks after the customer, and for "
        "administrators."
    )
    @refusals
    async def publish_advice_note(self, info: Info, input: PublishAdviceNoteInput) -> PublishAdviceNoteResult:
        actor, now = staff(info).subject, info.context.now
        note_id = local_id("AdviceNote", input.note_id, "input", "noteId")
        async with info.context.database.write() as session:
            await note_in_care(info, session, note_id)
            row = await publish_advice_note(session, note_id, actor=actor, now=now)
            note = await note_shown(info, session, row)
        return PublishAdviceNoteSuccess(note=note)
