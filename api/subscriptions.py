"""Live updates. A hint only says where to look: every message is read from the stores, under the viewer's rights."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from enum import StrEnum
from typing import Annotated

import orjson
import strawberry

from api.community.communities import Community, load_community
from api.community.events import Event, load_event
from api.community.registrations import Registration, registration_of
from api.context import Context, Info
from api.nodes import load_node
from api.relay import Node, Resume, local_id
from api.service.complaints import Complaint, complaint_changes
from api.service.notifications import Notification, notification_of
from api.service.task_changes import TaskSubscriptions
from community.registrations import registrations_for
from core.errors import NotFound
from core.history import Heard, Hint
from core.live import latest
from graph.client import Row
from service.notifications import Notification as NotificationRow
from service.told_notifications import Told, beginning, untold_notifications

# A listener is told at most this often; what comes closer together becomes one message where it can.
PAUSE_SECONDS = 0.1


class ActivityKind(StrEnum):
    """What has happened in a community."""

    POST = "POST"
    COMMENT = "COMMENT"
    EVENT = "EVENT"
    MEMBERS = "MEMBERS"
    OTHER = "OTHER"


# The kinds whose hint names a node; where the viewer may not see it, they are not told.
NODES = {ActivityKind.POST: "Post", ActivityKind.COMMENT: "Comment", ActivityKind.EVENT: "Event"}

strawberry.enum(ActivityKind, name="ActivityKind", description="What has happened in a community.")


@strawberry.type(description="Places at an event were taken or given back.")
class EventRegistrationChange:
    registered_count: int = strawberry.field(description="Places taken at the venue.")
    link_registered_count: int = strawberry.field(description="Places taken by link.")
    waiting_count: int = strawberry.field(description="How many wait for a place at the venue.")
    link_waiting_count: int = strawberry.field(description="How many wait for a place by link.")
    registration: Registration | None = strawberry.field(
        description="The registration that changed, for its owner and for the event's managers; null for others."
    )
    event_local: strawberry.Private[str]

    @strawberry.field(description="The event.")
    async def event(self, info: Info) -> Event | None:
        return await load_event(info, self.event_local)


@strawberry.type(description="Something happened in a community.")
class CommunityActivity:
    kind: ActivityKind = strawberry.field(description="What; OTHER also says that something may have been missed.")
    subject: Node | None = strawberry.field(description="The post, comment or event; null where the kind has none.")
    community_local: strawberry.Private[str]

    @strawberry.field(description="The community as it is now.")
    async def community(self, info: Info) -> Community | None:
        return await load_community(info, self.community_local)


async def event_changes(info: Info, event_id: str, after: str | None) -> AsyncGenerator[EventRegistrationChange, None]:
    """Counts for whoever may read the event; it ends when the viewer may no longer."""
    context = info.context
    viewer_id = await context.viewer_id()
    async with context.edge.listen(f"event:{event_id}", after) as listener:
        seats = await seats_of_event(context, event_id, viewer_id)
        if seats is None:
            raise NotFound(path=("eventId",))
        while True:
            heard = await context.hear(listener)
            for one in told_of_event(heard, viewer_id, manages=seats["manages"]):
                await context.begin_message()
                seats = await seats_of_event(context, event_id, viewer_id)
                if seats is None:
                    return
                registration = await changed_registration(context, event_id, one.hint, manages=seats["manages"])
                context.cursor = listener.cursor(one)
                yield change_of(event_id, seats, registration)
            await context.rest(PAUSE_SECONDS)


async def seats_of_event(context: Context, event_id: str, viewer_id: str | None) -> Row | None:
    """How many are registered and wait, and whether the viewer manages it; None for an event out of their sight."""
    return await context.edge.event_seats.ask((event_id, viewer_id or ""))


def told_of_event(heard: Sequence[Heard], viewer_id: str | None, *, manages: bool) -> list[Heard]:
    """A hint for each message to send: managers learn of each customer, others of themselves, and at least of counts.

    All messages hold the counts, so the last of them stands for whatever only changed those.
    """
    named = [one for one in heard if (who := one.hint.get("customer_id")) and (manages or who == viewer_id)]
    told = latest(named, customer_in)
    return [*told[:-1], told[-1]._replace(id=heard[-1].id)] if told else [heard[-1]]


def customer_in(hint: Hint) -> str:
    return str(hint.get("customer_id") or "")


async def changed_registration(context: Context, event_id: str, hint: Hint, *, manages: bool) -> Registration | None:
    """The registration that a hint names, where the viewer may see whose it is."""
    customer_id = customer_in(hint)
    if not customer_id or not (manages or customer_id == await context.viewer_id()):
        return None
    rows = await registrations_for(context.graph, customer_id, [event_id])
    return next((registration_of(row) for row in rows.values()), None)


def change_of(event_id: str, seats: Row, registration: Registration | None) -> EventRegistrationChange:
    return EventRegistrationChange(
        registered_count=seats["registered"],
        link_registered_count=seats["link_registered"],
        waiting_count=seats["waiting"],
        link_waiting_count=seats["link_waiting"],
        registration=registration,
        event_local=event_id,
    )


async def community_activities(
    info: Info, community_id: str, after: str | None
) -> AsyncGenerator[CommunityActivity, None]:
    """What happens inside, for readers; it ends for somebody who is no reader any more."""
    context = info.context
    viewer_id = await context.viewer_id()
    async with context.edge.listen(f"community:{community_id}", after) as listener:
        if not await is_reader(context, community_id, viewer_id):
            raise NotFound(path=("communityId",))
        while True:
            for heard in latest(await context.hear(listener), written):
                await context.begin_message()
                if not await is_reader(context, community_id, viewer_id):
                    return
                activity = await activity_of(info, community_id, heard.hint)
                if activity is not None:
                    context.cursor = listener.cursor(heard)
                    yield activity
            await context.rest(PAUSE_SECONDS)


async def is_reader(context: Context, community_id: str, viewer_id: str | None) -> bool:
    """Whether the viewer may follow what happens inside the community."""
    return bool(await context.edge.readers.ask((community_id, viewer_id or "")))


def written(hint: Hint) -> bytes:
    """A hint in one writing, whatever the order of its words."""
    return orjson.dumps(hint, option=orjson.OPT_SORT_KEYS)


async def activity_of(info: Info, community_id: str, hint: Hint) -> CommunityActivity | None:
    """The message for a hint; None about a thing that the viewer may not see."""
    kind = activity_kind(str(hint.get("kind", "")))
    subject = None
    if kind in NODES:
        # The writers name it `id`, or by its kind.
        subject = await load_node(info, NODES[kind], str(hint.get("id") or hint.get(f"{kind.lower()}_id", "")))
        if subject is None:
            return None
    return CommunityActivity(kind=kind, subject=subject, community_local=community_id)


def activity_kind(name: str) -> ActivityKind:
    """The kind that a hint's own word begins with, such as MEMBER_JOINED; OTHER for words unknown here."""
    word = name.upper()
    for kind in (ActivityKind.POST, ActivityKind.COMMENT, ActivityKind.EVENT):
        if word.startswith(kind):
            return kind
    return ActivityKind.MEMBERS if word.startswith("MEMBER") else ActivityKind.OTHER


async def new_notifications(info: Info, after: str | None) -> AsyncGenerator[Notification, None]:
    """The viewer's notices as they come, each once; hints may be lost, notices are not."""
    context = info.context
    customer_id = await context.customer_id()
    async with context.edge.listen(f"customer:{customer_id}", None) as listener:
        told = await told_until(context, customer_id, after)
        while True:
            while rows := await untold(context, told):
                for row in rows:
                    await context.begin_message()
                    told.add(row)
                    context.cursor = told.cursor()
                    yield notification_of(row)
            await context.rest(PAUSE_SECONDS)
            await context.hear(listener)


async def told_until(context: Context, customer_id: str, after: str | None) -> Told:
    """What somebody has who comes back with this cursor, or who begins now and has all that was there before."""
    if after is not None:
        return Told.at(after, customer_id, now=context.now)
    told = beginning(customer_id, now=context.now)
    while rows := await untold(context, told):
        for row in rows:
            told.add(row)
    return told


async def untold(context: Context, told: Told) -> Sequence[NotificationRow]:
    async with context.database.read() as session:
        return await untold_notifications(session, told)


@strawberry.type(description="Everything that can be followed live; what a message holds is read when it is sent.")
class Subscription(TaskSubscriptions):
    @strawberry.subscription(description="Places taken and given back at an event that you may read.")
    async def event_registration_changed(
        self,
        info: Info,
        event_id: Annotated[strawberry.ID, strawberry.argument(description="Global id of the event.")],
        after: Resume = None,
    ) -> AsyncGenerator[EventRegistrationChange, None]:
        info.context.signed_in()
        local = local_id("Event", event_id, "eventId")
        async with aclosing(event_changes(info, local, info.context.going_on(after))) as changes:
            async for change in changes:
                yield change

    @strawberry.subscription(description="What happens inside a community that you may read, until you may no longer.")
    async def community_activity(
        self,
        info: Info,
        community_id: Annotated[strawberry.ID, strawberry.argument(description="Global id of the community.")],
        after: Resume = None,
    ) -> AsyncGenerator[CommunityActivity, None]:
        info.context.signed_in()
        local = local_id("Community", community_id, "communityId")
        async with aclosing(community_activities(info, local, info.context.going_on(after))) as found:
            async for activity in found:
                yield activity

    @strawberry.subscription(description="Your own notices as they come.")
    async def notification_received(self, info: Info, after: Resume = None) -> AsyncGenerator[Notification, None]:
        info.context.signed_in()
        async with aclosing(new_notifications(info, info.context.going_on(after))) as notices:
            async for notice in notices:
                yield notice

    @strawberry.subscription(description="A complaint that you may see, whenever it changes, until you may no longer.")
    async def complaint_changed(
        self,
        info: Info,
        complaint_id: Annotated[strawberry.ID, strawberry.argument(description="Global id of the complaint.")],
        after: Resume = None,
    ) -> AsyncGenerator[Complaint, None]:
        info.context.signed_in()
        local = local_id("Complaint", complaint_id, "complaintId")
        async with aclosing(complaint_changes(info, local, info.context.going_on(after))) as changes:
            async for complaint in changes:
                yield complaint
