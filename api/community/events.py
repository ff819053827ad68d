"""Events, registrations and check-in."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.community.communities import Community, load_community
from api.context import Info
from api.customers.profiles import Customer, load_customer
from api.refusals import Refusal, refusals
from api.relay import Connection, Node, connection, global_id, local_id
from community.checkin import check_in
from community.events import EventStatus, NewEvent, create_event
from community.registrations import (
    RegistrationStatus,
    cancel_registration,
    register_for_event,
    registrations_for,
    registrations_of,
)
from core.errors import NotFound
from graph.client import Row

strawberry.enum(EventStatus, name="EventStatus", description="It takes registrations while PUBLISHED.")
strawberry.enum(RegistrationStatus, name="RegistrationStatus", description="What has become of a registration.")


@strawberry.type(description="A registration for an event.")
class Registration(Node):
    status: RegistrationStatus = strawberry.field(description="What has become of it.")
    registered_at: datetime = strawberry.field(description="When the place was taken.")
    attended_at: datetime | None = strawberry.field(description="When the customer was checked in.")
    event_local: strawberry.Private[str]
    customer_local: strawberry.Private[str]

    @strawberry.field(description="The event; null once it is out of your sight.")
    async def event(self, info: Info) -> "Event | None":
        return await load_event(info, self.event_local)

    @strawberry.field(description="Who is registered.")
    async def customer(self, info: Info) -> Customer | None:
        return await load_customer(info, self.customer_local)


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
    async def viewer_registration(self, info: Info) -> Registration | None:
        row = await info.context.loaders.viewer_registrations.load(self.local)
        return registration_of(row) if row else None


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


def registration_of(row: Row) -> Registration:
    return Registration(
        id=global_id("Registration", row["id"]),
        status=RegistrationStatus(row["status"]),
        registered_at=row["registered_at"],
        attended_at=row["attended_at"],
        event_local=row["event_id"],
        customer_local=row["customer_id"],
    )


async def registration_page(info: Info, first: int | None, after: str | None) -> Connection[Registration]:
    """The viewer's own registrations."""
    page = await registrations_of(info.context.graph, await info.context.customer_id(), first=first, after=after)
    return connection(page, after, registration_of)


async def registration_at(info: Info, event_id: str, customer_id: str) -> Registration:
    rows = await registrations_for(info.context.graph, customer_id, [event_id])
    if event_id not in rows:
        raise NotFound(path=("eventId",))
    return registration_of(rows[event_id])


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


@strawberry.input(description="Which event.")
class RegisterForEventInput:
    event_id: strawberry.ID = strawberry.field(description="Global id of the event.")


@strawberry.type(description="You have a place.")
class RegisterForEventSuccess:
    registration: Registration = strawberry.field(description="Your registration.")


@strawberry.input(description="Which event.")
class CancelRegistrationInput:
    event_id: strawberry.ID = strawberry.field(description="Global id of the event.")


@strawberry.type(description="The place is free again.")
class CancelRegistrationSuccess:
    registration: Registration = strawberry.field(description="Your registration.")


@strawberry.input(description="Who is present at which event.")
class CheckInInput:
    event_id: strawberry.ID = strawberry.field(description="Global id of the event.")
    customer_id: strawberry.ID = strawberry.field(description="Global id of the registered customer.")


@strawberry.type(description="The customer is checked in.")
class CheckInSuccess:
    registration: Registration = strawberry.field(description="The registration.")


CreateEventResult = Annotated[CreateEventSuccess | Refusal, strawberry.union("CreateEventResult")]
RegisterForEventResult = Annotated[RegisterForEventSuccess | Refusal, strawberry.union("RegisterForEventResult")]
CancelRegistrationResult = Annotated[CancelRegistrationSuccess | Refusal, strawberry.union("CancelRegistrationResult")]
CheckInResult = Annotated[CheckInSuccess | Refusal, strawberry.union("CheckInResult")]


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

    @strawberry.mutation(description="Take a place at an event; who has one keeps it.")
    @refusals
    async def register_for_event(self, info: Info, input: RegisterForEventInput) -> RegisterForEventResult:
        event_id = local_id("Event", input.event_id, "input", "eventId")
        customer_id = await info.context.customer_id()
        await register_for_event(info.context.graph, event_id=event_id, customer_id=customer_id, now=info.context.now)
        return RegisterForEventSuccess(registration=await registration_at(info, event_id, customer_id))

    @strawberry.mutation(description="Give your place back.")
    @refusals
    async def cancel_registration(self, info: Info, input: CancelRegistrationInput) -> CancelRegistrationResult:
        event_id = local_id("Event", input.event_id, "input", "eventId")
        customer_id = await info.context.customer_id()
        await cancel_registration(info.context.graph, event_id=event_id, customer_id=customer_id, now=info.context.now)
        return CancelRegistrationSuccess(registration=await registration_at(info, event_id, customer_id))

    @strawberry.mutation(description="Mark a registered customer as present at an event that you manage.")
    @refusals
    async def check_in(self, info: Info, input: CheckInInput) -> CheckInResult:
        context = info.context
        event_id = local_id("Event", input.event_id, "input", "eventId")
        customer_id = local_id("Customer", input.customer_id, "input", "customerId")
        manager_id = await context.customer_id()
        key = await check_in(
            context.graph, event_id=event_id, customer_id=customer_id, manager_id=manager_id, now=context.now
        )
        await context.edge.enqueue("settle_attendance", key)
        return CheckInSuccess(registration=await registration_at(info, event_id, customer_id))
