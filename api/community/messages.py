"""Messages to those who registered for an event."""

from typing import Annotated

import strawberry

from api.community.events import Event, load_event
from api.context import Info
from api.refusals import Refusal, refusals, result_union
from api.relay import local_id
from community.event_changes import CONCERNED_BY_DEFAULT
from community.messages import message_registrants
from community.seats import RegistrationStatus
from core.errors import NotFound


@strawberry.input(description="What to tell whom, in both languages.")
class MessageRegistrantsInput:
    event_id: strawberry.ID = strawberry.field(description="Global id of the event.")
    text_zh: str = strawberry.field(description="For readers of Chinese, 1 to 1000 characters.")
    text_en: str = strawberry.field(description="For everybody else, 1 to 1000 characters.")
    statuses: list[RegistrationStatus] = strawberry.field(
        description="Whom: those with one of these statuses.", default_factory=lambda: list(CONCERNED_BY_DEFAULT)
    )


@strawberry.type(description="Each of them is told within moments, once.")
class MessageRegistrantsSuccess:
    event: Event = strawberry.field(description="The event.")


MessageRegistrantsResult = Annotated[MessageRegistrantsSuccess | Refusal, result_union(MessageRegistrantsSuccess)]


@strawberry.type
class MessageMutations:
    @strawberry.mutation(
        description="Tell those who registered for an event that you run something, at most five times a day."
    )
    @refusals
    async def message_registrants(self, info: Info, input: MessageRegistrantsInput) -> MessageRegistrantsResult:
        context = info.context
        event_id = local_id("Event", input.event_id, "input", "eventId")
        await message_registrants(
            context.graph,
            event_id=event_id,
            text_zh=input.text_zh,
            text_en=input.text_en,
            statuses=input.statuses,
            sender_id=await context.customer_id(),
            now=context.now,
        )
        event = await load_event(info, event_id)
        if event is None:
            raise NotFound(path=("eventId",))
        await context.changed(f"event:{event_id}", event_id=event_id)
        return MessageRegistrantsSuccess(event=event)
