"""Registrations and waiting lists."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import strawberry

from api.community.checkin_codes import CheckInCode, code_for
from api.community.events import Event, load_event
from api.community.payments import settle_standing, tell
from api.context import Info
from api.customers.profiles import Customer, load_customer
from api.refusals import Refusal, refusals, result_union
from api.relay import CountedConnection, Node, counted, global_id, local_id
from community.cancellations import cancel_for_customer, cancel_registration
from community.registration_conditions import Questions
from community.registrations import (
    Standing,
    confirm_registration,
    register_for_event,
    registrations_for,
    registrations_of,
)
from community.seats import Channel, RegistrationStatus, number_with, registration_key
from community.waitlist_order import reorder_waitlist
from core.errors import NotFound
from core.ids import is_id
from core.paging import Place
from graph.client import Row


@strawberry.type(description="A registration for an event, or a place in its waiting list.")
class Registration(Node):
    status: RegistrationStatus = strawberry.field(description="What has become of it.")
    channel: Channel = strawberry.field(description="How the customer takes part.")
    guests: int = strawberry.field(description="How many the customer brings along; each needs a seat.")
    registered_at: datetime = strawberry.field(description="When the customer registered.")
    attended_at: datetime | None = strawberry.field(description="When the customer was checked in.")
    offer_expires_at: datetime | None = strawberry.field(
        description="Until when an offered place can be confirmed; null where none is offered."
    )
    price_points: int | None = strawberry.field(description="What it costs in points; null: nothing.")
    paid: bool = strawberry.field(description="Whether the points are booked; false again when they were given back.")
    event_local: strawberry.Private[str]
    customer_local: strawberry.Private[str]
    queue: strawberry.Private[str | None]
    known_position: strawberry.Private[int | None]

    @strawberry.field(description="The place in the waiting list, 1 for the first; null for whoever does not wait.")
    async def position(self, info: Info) -> int | None:
        if self.queue is None:
            return None
        return self.known_position or await info.context.loaders.waitlist_positions.load(self.queue)

    @strawberry.field(description="What to show at the entrance; null for others, and unless REGISTERED and paid.")
    async def check_in_code(self, info: Info) -> CheckInCode | None:
        is_due = self.price_points is not None and not self.paid
        if self.status != RegistrationStatus.REGISTERED or is_due:
            return None
        if await info.context.viewer_id() != self.customer_local:
            return None
        return code_for(info, self.event_local, self.customer_local)

    @strawberry.field(description="The event; null once it is out of your sight.")
    async def event(self, info: Info) -> Event | None:
        return await load_event(info, self.event_local)

    @strawberry.field(description="Who is registered.")
    async def customer(self, info: Info) -> Customer | None:
        return await load_customer(info, self.customer_local)


def registration_of(row: Row) -> Registration:
    return Registration(
        id=global_id("Registration", row["key"]),
        status=RegistrationStatus(row["status"]),
        channel=Channel(row["channel"]),
        guests=row["guests"],
        registered_at=row["registered_at"],
        attended_at=row["attended_at"],
        offer_expires_at=row["offer_expires_at"],
        price_points=row["price_points"],
        paid=row["paid"],
        event_local=row["event_id"],
        customer_local=row["customer_id"],
        queue=row["queue"],
        known_position=row.get("position"),
    )


async def load_registration(info: Info, key: str) -> Registration | None:
    """The registration by its key, for its customer and for those who run the event."""
    event_id, _, customer_id = key.partition(":")
    if not (is_id(event_id) and is_id(customer_id)):
        return None
    loaders = info.context.loaders
    if await info.context.viewer_id() != customer_id and not await loaders.events_run.load(event_id):
        return None
    row = await loaders.registrations.load(registration_key(event_id, customer_id))
    return registration_of(row) if row else None


async def registration_page(
    info: Info, statuses: list[RegistrationStatus] | None, upcoming: bool, first: int | None, after: Place
) -> CountedConnection[Registration]:
    """The viewer's own registrations; `upcoming` leaves out those whose events have ended."""
    page = await registrations_of(
        info.context.graph,
        await info.context.customer_id(),
        statuses=statuses,
        ends_from=info.context.now if upcoming else None,
        first=first,
        after=after,
    )
    return counted(page, after, registration_of, None)


async def waitlist_page(
    info: Info, event_id: str, channel: Channel, total: int, first: int | None, after: Place
) -> CountedConnection[Registration] | None:
    """A waiting list of so many for those who run the event."""
    if not await info.context.loaders.events_run.load(event_id):
        return None
    page = await info.context.loaders.waitlists(channel, first, after).load(event_id)
    return counted(page, after, registration_of, total)


async def event_registration_page(
    info: Info,
    event_id: str,
    statuses: list[RegistrationStatus] | None,
    figures: Sequence[int] | None,
    first: int | None,
    after: Place,
) -> CountedConnection[Registration] | None:
    """Everybody's registrations for those who run the event, counted by the figures that it keeps."""
    if not await info.context.loaders.events_run.load(event_id):
        return None
    chosen = None if statuses is None else frozenset(statuses)
    page = await info.context.loaders.event_registrations(chosen, first, after).load(event_id)
    total = None if figures is None else number_with(figures, chosen)
    return counted(page, after, registration_of, total)


async def registration_at(info: Info, event_id: str, customer_id: str) -> Registration:
    rows = await registrations_for(info.context.graph, customer_id, [event_id])
    if event_id not in rows:
        raise NotFound(path=("eventId",))
    return registration_of(rows[event_id])


async def settled(info: Info, event_id: str, customer_id: str, standing: Standing) -> Registration:
    """The registration after an act, once its points are charged; raises InsufficientPoints."""
    await settle_standing(info.context, event_id, customer_id, standing)
    return await registration_at(info, event_id, customer_id)


@strawberry.input(description="Which event, and how you take part.")
class RegisterForEventInput:
    event_id: strawberry.ID = strawberry.field(description="Global id of the event.")
    channel: Channel | None = strawberry.field(
        description="At the place or by the link; null: the event's usual way.", default=None
    )
    guests: int | None = strawberry.field(
        description="How many you bring along, up to guestsAllowed; who has a place or waits changes it by this. "
        "Null: none, or as many as before.",
        default=None,
    )
    waitlist: bool = strawberry.field(description="Whether you would wait when the event is full.", default=True)


@strawberry.type(description="You have a place, or one in the waiting list: see the registration's status.")
class RegisterForEventSuccess:
    registration: Registration = strawberry.field(description="Your registration.")


@strawberry.input(description="Which event.")
class ConfirmRegistrationInput:
    event_id: strawberry.ID = strawberry.field(description="Global id of the event.")


@strawberry.type(description="The place that was offered is yours.")
class ConfirmRegistrationSuccess:
    registration: Registration = strawberry.field(description="Your registration.")


@strawberry.input(description="Which event; and whose registration, for those who run it.")
class CancelRegistrationInput:
    event_id: strawberry.ID = strawberry.field(description="Global id of the event.")
    customer_id: strawberry.ID | None = strawberry.field(
        description="Global id of the customer; null: yourself.", default=None
    )
    reason: str | None = strawberry.field(
        description="Why, 1 to 500 characters: needed for anybody else's, and told to them; the audit trail keeps it.",
        default=None,
    )


@strawberry.type(description="The place is free again, and points that it cost are on their way back.")
class CancelRegistrationSuccess:
    registration: Registration = strawberry.field(description="The registration that was cancelled.")


@strawberry.input(description="Whom to move where in the waiting list, and why.")
class ReorderWaitlistInput:
    event_id: strawberry.ID = strawberry.field(description="Global id of the event.")
    customer_id: strawberry.ID = strawberry.field(description="Global id of the customer who waits.")
    position: int = strawberry.field(description="The new place, 1 for the first; beyond the end: the end.")
    reason: str = strawberry.field(description="Why, 1 to 500 characters; it is kept in the audit trail.")


@strawberry.type(description="The customer has the new place, or a seat where one was free for them there.")
class ReorderWaitlistSuccess:
    registration: Registration = strawberry.field(description="The registration that was moved.")


RegisterForEventResult = Annotated[RegisterForEventSuccess | Refusal, result_union(RegisterForEventSuccess)]
ConfirmRegistrationResult = Annotated[ConfirmRegistrationSuccess | Refusal, result_union(ConfirmRegistrationSuccess)]
CancelRegistrationResult = Annotated[CancelRegistrationSuccess | Refusal, result_union(CancelRegistrationSuccess)]
ReorderWaitlistResult = Annotated[ReorderWaitlistSuccess | Refusal, result_union(ReorderWaitlistSuccess)]


@strawberry.type
class RegistrationMutations:
    @strawberry.mutation(
        description="Take a place at an event, or one in its waiting list; who has either keeps it, with these guests."
    )
    @refusals
    async def register_for_event(self, info: Info, input: RegisterForEventInput) -> RegisterForEventResult:
        event_id = local_id("Event", input.event_id, "input", "eventId")
        customer_id = await info.context.customer_id()
        standing = await register_for_event(
            info.context.graph,
            event_id=event_id,
            customer_id=customer_id,
            channel=input.channel,
            guests=input.guests,
            waitlist=input.waitlist,
            questions=Questions(info.context.in_segment, info.context.early_by),
            now=info.context.now,
        )
        return RegisterForEventSuccess(registration=await settled(info, event_id, customer_id, standing))

    @strawberry.mutation(description="Take the place that is offered to you from the waiting list.")
    @refusals
    async def confirm_registration(self, info: Info, input: ConfirmRegistrationInput) -> ConfirmRegistrationResult:
        event_id = local_id("Event", input.event_id, "input", "eventId")
        customer_id = await info.context.customer_id()
        standing = await confirm_registration(
            info.context.graph, event_id=event_id, customer_id=customer_id, now=info.context.now
        )
        return ConfirmRegistrationSuccess(registration=await settled(info, event_id, customer_id, standing))

    @strawberry.mutation(
        description="Before the start, give back a place, an offer, or a place in the waiting list: your own, or "
        "anybody's at an event that you run."
    )
    @refusals
    async def cancel_registration(self, info: Info, input: CancelRegistrationInput) -> CancelRegistrationResult:
        event_id = local_id("Event", input.event_id, "input", "eventId")
        actor_id = await info.context.customer_id()
        chosen = input.customer_id
        customer_id = actor_id if chosen is None else local_id("Customer", chosen, "input", "customerId")
        names: dict[str, Any] = {"event_id": event_id, "customer_id": customer_id, "now": info.context.now}
        if customer_id == actor_id:
            standing = await cancel_registration(info.context.graph, **names)
        else:
            standing = await cancel_for_customer(info.context.graph, **names, actor_id=actor_id, reason=input.reason)
        return CancelRegistrationSuccess(registration=await settled(info, event_id, customer_id, standing))

    @strawberry.mutation(description="Move somebody in the waiting list of an event that you manage.")
    @refusals
    async def reorder_waitlist(self, info: Info, input: ReorderWaitlistInput) -> ReorderWaitlistResult:
        context = info.context
        event_id = local_id("Event", input.event_id, "input", "eventId")
        customer_id = local_id("Customer", input.customer_id, "input", "customerId")
        promotions = await reorder_waitlist(
            context.graph,
            event_id=event_id,
            customer_id=customer_id,
            position=input.position,
            reason=input.reason,
            manager_id=await context.customer_id(),
            now=context.now,
        )
        await tell(context, event_id, customer_id, promotions)
        return ReorderWaitlistSuccess(registration=await registration_at(info, event_id, customer_id))
