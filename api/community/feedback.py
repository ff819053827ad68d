"""Feedback on events."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.community.events import Event, load_event
from api.context import Info
from api.customers.profiles import Customer, load_customer
from api.refusals import Refusal, refusals, result_union
from api.relay import Connection, connection, local_id
from community.feedback import check_attendance, check_feedback, give_feedback, own_feedback
from core.errors import NotFound
from core.paging import Place
from graph.client import Row


@strawberry.type(description="What one attendee thought of an event.")
class EventFeedback:
    rating: int = strawberry.field(description="Stars, 1 to 5.")
    comment: str | None = strawberry.field(description="What they wrote.")
    created_at: datetime = strawberry.field(description="When.")
    customer_local: strawberry.Private[str]

    @strawberry.field(description="Who it is from.")
    async def customer(self, info: Info) -> Customer | None:
        return await load_customer(info, self.customer_local)


def feedback_from(row: Row) -> EventFeedback:
    return EventFeedback(
        rating=row["rating"],
        comment=row["comment"],
        created_at=row["created_at"],
        customer_local=row["customer_id"],
    )


async def feedback_page(info: Info, event_id: str, first: int | None, after: Place) -> Connection[EventFeedback]:
    page = await info.context.loaders.event_feedback(first, after).load(event_id)
    return connection(page, after, feedback_from)


@strawberry.input(description="What you thought of an event that you attended.")
class SubmitEventFeedbackInput:
    event_id: strawberry.ID = strawberry.field(description="Global id of the event.")
    rating: int = strawberry.field(description="Stars, 1 to 5.")
    comment: str | None = strawberry.field(description="In your words, at most 2000 characters.", default=None)


@strawberry.type(description="Thank you.")
class SubmitEventFeedbackSuccess:
    feedback: EventFeedback = strawberry.field(description="Your feedback.")
    event: Event = strawberry.field(description="The event.")


SubmitEventFeedbackResult = Annotated[SubmitEventFeedbackSuccess | Refusal, result_union(SubmitEventFeedbackSuccess)]


@strawberry.type
class FeedbackMutations:
    @strawberry.mutation(description="Rate an event that you attended, once.")
    @refusals
    async def submit_event_feedback(self, info: Info, input: SubmitEventFeedbackInput) -> SubmitEventFeedbackResult:
        context = info.context
        event_id = local_id("Event", input.event_id, "input", "eventId")
        customer_id = await context.customer_id()
        check_feedback(input.rating, input.comment)
        event = await load_event(info, event_id)
        if event is None:
            raise NotFound(path=("eventId",))
        await check_attendance(context.graph, event_id=event_id, customer_id=customer_id, now=context.now)
        async with context.database.write() as session:
            await give_feedback(
                session,
                event_id=event_id,
                customer_id=customer_id,
                rating=input.rating,
                comment=input.comment,
                now=context.now,
            )
            given = await own_feedback(session, event_id=event_id, customer_id=customer_id)
        await context.edge.ring(f"event:{event_id}", {"kind": "event.rated", "event_id": event_id})
        return SubmitEventFeedbackSuccess(feedback=feedback_from(given.model_dump()), event=event)
