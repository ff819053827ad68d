"""Events."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from api.community.communities import Community, load_community
from api.context import Info
from api.refusals import Refusal, refusals
from api.relay import Connection, Node, global_id, local_id
from community.events import EventStatus, NewEvent, create_event
from community.seats import Channel, RegistrationStatus
from core.errors import NotFound
from graph.client import Row

if TYPE_CHECKING:
    from api.community.registrations import Registration

strawberry.enum(EventStatus, name="EventStatus", description="It takes registrations while PUBLISHED.")
strawberry.enum(RegistrationStatus, name="RegistrationStatus", description="What has become of a registration.")
strawberry.enum(Channel, name="Channel", description="How one takes part: at the place, or by the link.")


@strawberry.type(description="Something that a community does together.")
class Event(Node):
    title: str = strawberry.field(description="Title in the language of the request.")
    starts_at: datetime = strawberry.field(description="Start.")
    ends_at: datetime = strawberry.field(description="End.")
    time_zone: str = strawberry.field(description="IANA zone of the place.")
    venue: str | None = strawberry.field(description="Where it is.")
    capacity: int | None = strawberry.field(description="Places; null: without limit.")
    registered_count: int = strawberry.field(description="Places taken.")
    status: EventStatus = strawberry.field(description="Whether it takes registrations.")
    local: strawberry.Private[str]
    community_local: strawberry.Private[str]

    @strawberry.field(description="The community that hosts it.")
    async def community(self, info: Info) -> Community | None:
        return await load_community(info, self.community_local)

    @strawberry.field(description="Your own registration; null when you have none.")
    async def viewer_registration(
        self, info: Info
    ) -> Annotated["Registration", strawberry.lazy("api.community.registrations")] | None:
        from api.community.registrations import registration_of

        row = await info.context.loaders.viewer_registrations.load(self.local)
        return registration_of(row) if row else None

    @strawberry.field(description="A waiting list in its order; null for anybody who does not run the event.")
    async def waitlist(
        self,
        info: Info,
        channel: Annotated[Channel, strawberry.argument(description="Which of the two lists.")] = Channel.PLACE,
        first: int | None = None,
        after: str | None = None,
    ) -> Connection[Annotated["Registration", strawberry.lazy("api.community.registrations")]] | None:
        from api.community.registrations import waitlist_page

        return await waitlist_page(info, self.local, channel, first, after)

    @strawberry.field(description="Who registered, the earliest first; null for anybody who does not run the event.")
    async def registrations(
        self,
        info: Info,
        status: Annotated[
            RegistrationStatus | None, strawberry.argument(description="Only these; null: all of them.")
        ] = None,
        first: int | None = None,
        after: str | None = None,
    ) -> Connection[Annotated["Registration", strawberry.lazy("api.community.registrations")]] | None:
        from api.community.registrations import event_registration_page

        return await event_registration_page(info, self.local, status, first, after)


def event_of(row: Row | None, info: Info) -> Event | None:
    if row is None:
        return None
    return Event(
        id=global_id("Event", row["id"]),
        title=info.context.text(row, "title"),
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        time_zone=row["time_zone"],
        venue=row["venue"],
        capacity=row["capacity"],
        registered_count=row["registered"],
        status=EventStatus(row["status"]),
        local=row["id"],
        community_local=row["community_id"],
    )


async def load_event(info: Info, event_id: str) -> Event | None:
    return event_of(await info.context.loaders.events.load(event_id), info)


@strawberry.input(description="What an event needs.")
class CreateEventInput:
    community_id: strawberry.ID = strawberry.field(description="The community that hosts it.")
    title_zh: str = strawberry.field(description="Title in Chinese.")
    title_en: str = strawberry.field(description="Title in English.")
    starts_at: datetime = strawberry.field(description="Start.")
    ends_at: datetime = strawberry.field(description="End, after the start.")
    time_zone: str = strawberry.field(description="IANA zone of the place.", default="Asia/Shanghai")
    capacity: int | None = strawberry.field(description="Places; null: without limit.", default=None)
    venue: str | None = strawberry.field(description="Where it is.", default=None)


@strawberry.type(description="The event is published.")
class CreateEventSuccess:
    event: Event = strawberry.field(description="The event.")


CreateEventResult = Annotated[CreateEventSuccess | Refusal, strawberry.union("CreateEventResult")]


@strawberry.type
class EventQueries:
    @strawberry.field(description="An event that you may see.")
    async def event(self, info: Info, id: strawberry.ID) -> Event | None:
        info.context.signed_in()
        return await load_event(info, local_id("Event", id, "id"))


@strawberry.type
class EventMutations:
    @strawberry.mutation(description="Publish an event of a community that you manage.")
    @refusals
    async def create_event(self, info: Info, input: CreateEventInput) -> CreateEventResult:
        context = info.context
        new = NewEvent(
            community_id=local_id("Community", input.community_id, "input", "communityId"),
            title_zh=input.title_zh,
            title_en=input.title_en,
            starts_at=input.starts_at,
            ends_at=input.ends_at,
            time_zone=input.time_zone,
            capacity=input.capacity,
            venue=input.venue,
        )
        event_id = await create_event(context.graph, new, manager_id=await context.customer_id(), now=context.now)
        event = await load_event(info, event_id)
        if event is None:
            raise NotFound
        return CreateEventSuccess(event=event)
