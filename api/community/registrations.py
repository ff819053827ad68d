"""Registrations and check-in."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.community.events import Event, load_event
from api.context import Info
from api.customers.profiles import Customer, load_customer
from api.refusals import Refusal, refusals
from api.relay import Connection, Node, connection, global_id, local_id
from community.checkin import check_in
from community.registrations import (
    RegistrationStatus,
    cancel_registration,
    register_for_event,
    registrations_for,
    registrations_of,
)
from core.errors import NotFound
from graph.client import Row

strawberry.enum(RegistrationStatus, name="RegistrationStatus", description="What has become of a registration.")


@strawberry.type(description="A registration for an event.")
class Registration(Node):
    status: RegistrationStatus = strawberry.field(description="What has become of it.")
    registered_at: datetime = strawberry.field(description="When the place was taken.")
    attended_at: datetime | None = strawberry.field(description="When the customer was checked in.")
    event_local: strawberry.Private[str]
    customer_local: strawberry.Private[str]

    @strawberry.field(description="The event; null once it is out of your sight.")
    async def event(self, info: Info) -> Event | None:
        return await load_event(info, self.event_local)

    @strawberry.field(description="Who is registered.")
    async def customer(self, info: Info) -> Customer | None:
        return await load_customer(info, self.customer_local)


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


RegisterForEventResult = Annotated[RegisterForEventSuccess | Refusal, strawberry.union("RegisterForEventResult")]
CancelRegistrationResult = Annotated[CancelRegistrationSuccess | Refusal, strawberry.union("CancelRegistrationResult")]
CheckInResult = Annotated[CheckInSuccess | Refusal, strawberry.union("CheckInResult")]


@strawberry.type
class RegistrationMutations:
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
