"""Events, and what their managers do with them."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from api.community.communities import Community, load_community, texts_of
from api.community.event_inputs import (
    CreateEventInput,
    Tier,
    UpdateEventInput,
    details_from,
    given_fields,
)
from api.context import Info
from api.customers.profiles import Customer, Tag, customer_of, tags_of
from api.named_segments import check_named, segment_seen
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, CountedConnection, First, Last, Node, global_id, local_id
from api.selections import only_loads
from community.event_changes import cancel_event, complete_event, publish_event, update_event
from community.event_details import NAMES, AttendanceMode
from community.event_rows import MODES, STATUSES, EventStatus
from community.event_series_edits import cancel_this_and_following
from community.events import create_event
from community.feedback import FEWEST_FOR_AVERAGE
from community.seats import Channel, RegistrationStatus
from core.errors import NotFound
from core.paging import window
from graph.client import Row

if TYPE_CHECKING:
    from api.community.event_series import EventSeries
    from api.community.feedback import EventFeedback
    from api.community.registrations import Registration

strawberry.enum(EventStatus, name="EventStatus", description="It takes registrations while PUBLISHED.")
strawberry.enum(RegistrationStatus, name="RegistrationStatus", description="What has become of a registration.")
strawberry.enum(Channel, name="Channel", description="How one takes part: at the place, or by the link.")


@strawberry.type(description="What attendees thought of an event; shown once three of them have said it.")
class EventRating:
    average: float = strawberry.field(description="Mean of the stars, 1 to 5.")
    count: int = strawberry.field(description="How many rated it.")


@strawberry.type(description="The words of an event in both languages, for whoever edits them.")
class EventTexts:
    title_zh: str = strawberry.field(description="Title in Chinese.")
    title_en: str = strawberry.field(description="Title in English.")
    description_zh: str = strawberry.field(description="Description in Chinese.")
    description_en: str = strawberry.field(description="Description in English.")


@strawberry.type(description="Something that a community does together.")
class Event(Node):
    title: str = strawberry.field(description="Title in the language of the request.")
    description: str = strawberry.field(description="Description in the language of the request.")
    language: str | None = strawberry.field(description="Language that is spoken.")
    starts_at: datetime = strawberry.field(description="Start.")
    ends_at: datetime = strawberry.field(description="End.")
    time_zone: str = strawberry.field(description="IANA zone of the place.")
    venue: str | None = strawberry.field(description="Where it is.")
    latitude: float | None = strawberry.field(description="Degrees north.")
    longitude: float | None = strawberry.field(description="Degrees east.")
    attendance_mode: AttendanceMode = strawberry.field(description="Where people take part.")
    link: str | None = strawberry.field(
        description="The link, for those with a paid or free place by it, hosts and managers; null for anybody else."
    )
    registration_opens_at: datetime | None = strawberry.field(description="From when on one may register.")
    registration_closes_at: datetime | None = strawberry.field(description="Until when one may register.")
    priority_until: datetime | None = strawberry.field(
        description="Until then early invitations come first: one registers before it by one's earlyInvitationHours "
        "at most, and everybody from it on; null: everybody at once."
    )
    capacity: int | None = strawberry.field(description="Places at the venue; null: without limit.")
    registered_count: int = strawberry.field(description="Places taken at the venue.")
    link_capacity: int | None = strawberry.field(description="Places by the link; null: without limit.")
    link_registered_count: int = strawberry.field(description="Places taken by the link.")
    waiting_count: int = strawberry.field(description="How many wait for a place at the venue.")
    link_waiting_count: int = strawberry.field(description="How many wait for a place by the link.")
    guests_allowed: int = strawberry.field(description="How many guests each may bring.")
    minimum_tier: Tier | None = strawberry.field(description="Who may register at least; null: everybody.")
    required_tags: list[str] = strawberry.field(description="Keys of tags that who registers must have.")
    segment_id: strawberry.ID | None = strawberry.field(
        description="Global id of the segment that it is for, for its managers; null: for no one segment."
    )
    price_points: int | None = strawberry.field(description="Price of a place in points; null: none.")
    offer_hours: int = strawberry.field(description="How long a freed place is offered to the first who waits.")
    status: EventStatus = strawberry.field(description="Whether it takes registrations.")
    cancel_reason: str | None = strawberry.field(description="Why it was cancelled.")
    version: int = strawberry.field(description="Counts its changes; see UpdateEventInput.version.")
    local: strawberry.Private[str]
    community_local: strawberry.Private[str]
    series_local: strawberry.Private[str | None]
    managed: strawberry.Private[bool]
    figures: strawberry.Private[list[int] | None]
    row: strawberry.Private[Row]
    base_url: strawberry.Private[str]

    @strawberry.field(description="Its words in both languages, as the inputs take them.")
    def texts(self) -> EventTexts:
        return EventTexts(**texts_of(self.row, "title", "description"))

    @strawberry.field(
        description="Its iCalendar file, for everybody; null in a private community, where the private feed has it."
    )
    def calendar_url(self) -> str | None:
        return f"{self.base_url}/events/{self.id}.ics" if self.row["has_calendar"] else None

    @strawberry.field(description="The community that hosts it.")
    @only_loads
    async def community(self, info: Info) -> Community | None:
        return await load_community(info, self.community_local)

    @strawberry.field(description="What it is about.")
    @only_loads
    async def tags(self, info: Info) -> list[Tag]:
        return tags_of(await info.context.loaders.event_tags.load(self.local), info)

    @strawberry.field(description="The members who host it.")
    @only_loads
    async def hosts(self, info: Info) -> list[Customer]:
        return [customer_of(row) for row in await info.context.loaders.event_hosts.load(self.local)]

    @strawberry.field(description="The series that it is an occurrence of; null for an event of its own.")
    async def series(
        self, info: Info
    ) -> Annotated["EventSeries", strawberry.lazy("api.community.event_series")] | None:
        from api.community.event_series import load_series

        return await load_series(info, self.series_local) if self.series_local else None

    @strawberry.field(description="What attendees thought of it; null until three have rated it.")
    async def rating(self, info: Info) -> EventRating | None:
        found = await info.context.loaders.event_ratings.load(self.local)
        if found is None or found.average is None or found.count < FEWEST_FOR_AVERAGE:
            return None
        return EventRating(average=found.average, count=found.count)

    @strawberry.field(description="Feedback, the latest first; null for anybody but managers.")
    async def feedback(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Annotated["EventFeedback", strawberry.lazy("api.community.feedback")]] | None:
        size, place = window(first, after, last, before)
        from api.community.feedback import feedback_page

        return await feedback_page(info, self.local, size, place) if self.managed else None

    @strawberry.field(description="Your own registration; null when you have none.")
    @only_loads
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
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> CountedConnection[Annotated["Registration", strawberry.lazy("api.community.registrations")]] | None:
        size, place = window(first, after, last, before)
        from api.community.registrations import waitlist_page

        waiting = self.link_waiting_count if channel == Channel.LINK else self.waiting_count
        return await waitlist_page(info, self.local, channel, waiting, size, place)

    @strawberry.field(description="Who registered, the earliest first; null for anybody who does not run the event.")
    async def registrations(
        self,
        info: Info,
        statuses: Annotated[
            list[RegistrationStatus] | None, strawberry.argument(description="Only these; null: all of them.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> CountedConnection[Annotated["Registration", strawberry.lazy("api.community.registrations")]] | None:
        size, place = window(first, after, last, before)
        from api.community.registrations import event_registration_page

        return await event_registration_page(info, self.local, statuses, self.figures, size, place)


def event_of(row: Row | None, info: Info) -> Event | None:
    if row is None:
        return None
    context, tier = info.context, row["minimum_tier"]
    event = Event.__new__(Event)
    # Most of it is in the row by the same name. To hand each over takes three times as long as all at once.
    vars(event).update(
        row,
        id=global_id("Event", row["id"]),
        title=context.text(row, "title"),
        description=context.text(row, "description") or "",
        attendance_mode=MODES[row["attendance_mode"]],
        minimum_tier=Tier(tier) if tier else None,
        segment_id=segment_seen(row["segment_id"], sees=row["viewer_manages"]),
        status=STATUSES[row["status"]],
        registered_count=row["registered"],
        link_registered_count=row["link_registered"],
        waiting_count=row["waiting"],
        link_waiting_count=row["link_waiting"],
        local=row["id"],
        community_local=row["community_id"],
        series_local=row["series_id"],
        managed=row["viewer_manages"],
        row=row,
        base_url=context.edge.settings.base_url,
    )
    return event


async def load_event(info: Info, event_id: str) -> Event | None:
    return event_of(await info.context.loaders.events.load(event_id), info)


async def changed_event(info: Info, event_id: str, what: str) -> Event:
    """The event after a change, of which listeners are told."""
    event = await load_event(info, event_id)
    if event is None:
        raise NotFound(path=("eventId",))
    community = f"community:{event.community_local}"
    await info.context.changed(community, f"event:{event_id}", kind=what, event_id=event_id)
    return event


@strawberry.type(description="The event is made.")
class CreateEventSuccess:
    event: Event = strawberry.field(description="The event.")


@strawberry.type(description="The event is as you want it.")
class UpdateEventSuccess:
    event: Event = strawberry.field(description="The event.")


@strawberry.input(description="Which draft to make public.")
class PublishEventInput:
    event_id: strawberry.ID = strawberry.field(description="Global id of the event.")


@strawberry.type(description="The event is public.")
class PublishEventSuccess:
    event: Event = strawberry.field(description="The event.")


@strawberry.input(description="Which event to call off.")
class CancelEventInput:
    event_id: strawberry.ID = strawberry.field(description="Global id of the event.")
    reason: str = strawberry.field(description="Why, for those who registered; 1 to 500 characters.")
    following: bool = strawberry.field(
        description="Whether all later occurrences of its series go too; the series then ends before this one.",
        default=False,
    )


@strawberry.type(description="The event is called off; its registrations stay, and the registered are told.")
class CancelEventSuccess:
    event: Event | None = strawberry.field(description="The event; null for a draft, which is gone.")


@strawberry.input(description="Which event to close.")
class CompleteEventInput:
    event_id: strawberry.ID = strawberry.field(description="Global id of the event.")


@strawberry.type(description="The event is over; who was not checked in is marked as absent within moments.")
class CompleteEventSuccess:
    event: Event = strawberry.field(description="The event.")


CreateEventResult = Annotated[CreateEventSuccess | Refusal, result_union(CreateEventSuccess)]
UpdateEventResult = Annotated[UpdateEventSuccess | Refusal, result_union(UpdateEventSuccess)]
PublishEventResult = Annotated[PublishEventSuccess | Refusal, result_union(PublishEventSuccess)]
CancelEventResult = Annotated[CancelEventSuccess | Refusal, result_union(CancelEventSuccess)]
CompleteEventResult = Annotated[CompleteEventSuccess | Refusal, result_union(CompleteEventSuccess)]


@strawberry.type
class EventQueries:
    @strawberry.field(description="An event that you may see.")
    async def event(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Global id of the event.")]
    ) -> Event | None:
        info.context.signed_in()
        return await load_event(info, local_id("Event", id, "id"))


@strawberry.type
class EventMutations:
    @strawberry.mutation(description="Make an event of a community that you manage, public at once or as a draft.")
    @refusals
    async def create_event(self, info: Info, input: CreateEventInput) -> CreateEventResult:
        context = info.context
        community_id = local_id("Community", input.community_id, "input", "communityId")
        manager_id = await context.customer_id()
        details = details_from(input)
        await check_named(info, {"segment_id": details.segment_id})
        event_id = await create_event(
            context.graph,
            details,
            community_id=community_id,
            manager_id=manager_id,
            publish=input.publish,
            now=context.now,
        )
        return CreateEventSuccess(event=await changed_event(info, event_id, "event.created"))

    @strawberry.mutation(description="Change one event; of a series, this occurrence only.")
    @refusals
    async def update_event(self, info: Info, input: UpdateEventInput) -> UpdateEventResult:
        context = info.context
        event_id = local_id("Event", input.event_id, "input", "eventId")
        changes = given_fields(input, NAMES)
        await check_named(info, changes)
        await update_event(
            context.graph,
            event_id=event_id,
            changes=changes,
            version=input.version,
            manager_id=await context.customer_id(),
            now=context.now,
        )
        return UpdateEventSuccess(event=await changed_event(info, event_id, "event.updated"))

    @strawberry.mutation(description="Make a draft public; publishing twice is publishing once.")
    @refusals
    async def publish_event(self, info: Info, input: PublishEventInput) -> PublishEventResult:
        context = info.context
        event_id = local_id("Event", input.event_id, "input", "eventId")
        await publish_event(context.graph, event_id=event_id, manager_id=await context.customer_id(), now=context.now)
        return PublishEventSuccess(event=await changed_event(info, event_id, "event.published"))

    @strawberry.mutation(
        description="Call an event off, or all that follow in its series too, and tell the registered; drafts go."
    )
    @refusals
    async def cancel_event(self, info: Info, input: CancelEventInput) -> CancelEventResult:
        context = info.context
        event_id = local_id("Event", input.event_id, "input", "eventId")
        cancel = cancel_this_and_following if input.following else cancel_event
        await cancel(
            context.graph,
            event_id=event_id,
            reason=input.reason,
            manager_id=await context.customer_id(),
            now=context.now,
        )
        event = await load_event(info, event_id)
        if event is None:
            # Only its managers saw the draft, so nobody else is listening.
            await context.changed(f"event:{event_id}", kind="event.deleted", event_id=event_id)
            return CancelEventSuccess(event=None)
        return CancelEventSuccess(event=await changed_event(info, event_id, "event.cancelled"))

    @strawberry.mutation(
        description="Close an event that has begun; who was not checked in is marked as absent. Two days after its end "
        "it closes by itself."
    )
    @refusals
    async def complete_event(self, info: Info, input: CompleteEventInput) -> CompleteEventResult:
        context = info.context
        event_id = local_id("Event", input.event_id, "input", "eventId")
        await complete_event(context.graph, event_id=event_id, manager_id=await context.customer_id(), now=context.now)
        return CompleteEventSuccess(event=await changed_event(info, event_id, "event.completed"))
