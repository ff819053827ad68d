"""Advice: customers ask whoever looks after them, in threads."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.context import Info
from api.customers.profiles import Customer, load_customer
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from api.service.of_customer import OfCustomer, those_of
from api.service.products import Product, product_by_code
from api.service.suitability import checked_code
from core.db import Session
from core.errors import NotFound
from core.paging import Page, window
from customers.profiles import known_as
from service.advice import AdviceThread as ThreadRow
from service.advice import Asked, all_asked, ask_advisor, list_threads


@strawberry.type(description="What a customer asked.")
class AdviceQuestion:
    id: strawberry.ID = strawberry.field(description="Global id.")
    text: str = strawberry.field(description="The question.")
    asked_at: datetime = strawberry.field(description="When.")
    due_at: datetime = strawberry.field(description="Until when it is to be answered.")
    answered_at: datetime | None = strawberry.field(description="When a note was published after it; null: none was.")


def question_of(asked: Asked) -> AdviceQuestion:
    return AdviceQuestion(
        id=global_id("AdviceQuestion", asked.id),
        text=asked.text,
        asked_at=asked.asked_at,
        due_at=asked.due_at,
        answered_at=asked.answered_at,
    )


@strawberry.type(description="What a customer asks their advisors; the answers are in adviceNotes.")
class AdviceThread(Node):
    product_code: str | None = strawberry.field(description="The product that it is about; null: none in particular.")
    questions: list[AdviceQuestion] = strawberry.field(description="What was asked, the oldest first.")
    waiting_since: datetime | None = strawberry.field(description="Since when an answer is waited for; null: none is.")
    opened_at: datetime = strawberry.field(description="Since when there is the thread.")
    customer_local: strawberry.Private[str]

    @strawberry.field(description="Who asks.")
    async def customer(self, info: Info) -> Customer | None:
        return await load_customer(info, self.customer_local)

    @strawberry.field(description="The product that it is about; null where it is about none, or none that we know.")
    async def product(self, info: Info) -> Product | None:
        return await product_by_code(info, self.product_code) if self.product_code else None


def thread_of(row: ThreadRow, asked: list[Asked]) -> AdviceThread:
    return AdviceThread(
        id=global_id("AdviceThread", row.id),
        product_code=row.product,
        questions=[question_of(one) for one in asked],
        waiting_since=row.waiting_since,
        opened_at=row.opened_at,
        customer_local=row.customer_id,
    )


async def seen_thread(info: Info, session: Session, thread_id: str) -> ThreadRow | None:
    """A thread of one's own, or of somebody whom one looks after; None for any other."""
    row = await session.get(ThreadRow, thread_id)
    if row is None or await info.context.private.access.load(row.customer_id) is None:
        return None
    return row


async def load_thread(info: Info, local: str) -> AdviceThread | None:
    async with info.context.database.read() as session:
        row = await seen_thread(info, session, local)
        return thread_of(row, (await all_asked(session, [row]))[row.id]) if row else None


@strawberry.input(description="What you ask.")
class AskAdvisorInput:
    text: str = strawberry.field(description="The question, 1 to 2,000 characters.")
    thread_id: strawberry.ID | None = strawberry.field(
        description="Global id of a thread of yours in which you ask on; null: a new one.", default=None
    )
    product_code: str | None = strawberry.field(
        description="The product that a new thread is about; null: none in particular.", default=None
    )


@strawberry.type(description="Whoever looks after you is to answer.")
class AskAdvisorSuccess:
    thread: AdviceThread = strawberry.field(description="The thread.")


AskAdvisorResult = Annotated[AskAdvisorSuccess | Refusal, result_union(AskAdvisorSuccess)]


@strawberry.type
class AdviceQueries:
    @strawberry.field(
        description="What is asked, the latest thread first: your own; for relationship managers what their own "
        "customers ask, for administrators all."
    )
    async def advice_threads(
        self,
        info: Info,
        customer_id: OfCustomer = None,
        waiting_only: Annotated[bool, strawberry.argument(description="Only where an answer is waited for.")] = False,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[AdviceThread]:
        size, place = window(first, after, last, before)
        info.context.signed_in()
        async with info.context.database.read() as session:
            ids = await those_of(info, session, customer_id)
            page: Page[ThreadRow] = await list_threads(session, ids, waiting_only=waiting_only, first=size, after=place)
            asked = await all_asked(session, page.rows)
        return connection(page, place, lambda row: thread_of(row, asked[row.id]))

    @strawberry.field(description="A thread of your own, or of a customer whom you look after; null for any other.")
    async def advice_thread(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Global id of the thread.")]
    ) -> AdviceThread | None:
        info.context.signed_in()
        return await load_thread(info, local_id("AdviceThread", id, "id"))


@strawberry.type
class AdviceMutations:
    @strawberry.mutation(
        description="Ask whoever looks after you, in a new thread or in one of yours; an answer is due within 48 hours."
    )
    @refusals
    async def ask_advisor(self, info: Info, input: AskAdvisorInput) -> AskAdvisorResult:
        context = info.context
        own = await context.customer_id()
        thread_id = local_id("AdviceThread", input.thread_id, "input", "threadId") if input.thread_id else None
        product = checked_code(input.product_code) if input.product_code else None
        async with context.database.write() as session:
            customer_id, erased = await known_as(session, own)
            if erased is not False:
                raise NotFound
            thread = await ask_advisor(
                session, customer_id, input.text, thread_id=thread_id, product=product, now=context.now
            )
            asked = (await all_asked(session, [thread]))[thread.id]
        return AskAdvisorSuccess(thread=thread_of(thread, asked))
