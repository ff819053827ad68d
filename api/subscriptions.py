"""Live updates. A hint only says where to look: every message is read from the stores, under the viewer's rights."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

import strawberry

from api.community.communities import Community, load_community
from api.community.events import Event, load_event
from api.community.registrations import Registration, registration_of
from api.context import Context, Info
from api.nodes import load_node
from api.relay import Node, local_id
from api.service.complaints import Complaint, complaint_changes
from api.service.notifications import Notification, notification_of
from api.service.task_changes import TaskSubscriptions
from community.live import is_reader, seats_of_event
from community.registrations import registrations_for
from core.errors import NotFound
from core.live import Hint
from graph.client import Row
from service.notifications import Notification as NotificationRow
from service.notifications import newest_notifications

# A listener is told at most this often; what comes closer together becomes one message where it can.
PAUSE_SECONDS = 0.1
# Notices are stamped before they are committed, so one may come to light after a younger one.
OVERLAP = timedelta(seconds=60)
MOST_NOTICES = 100


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


async def event_changes(info: Info, event_id: str) -> AsyncGenerator[EventRegistrationChange, None]:
    """Counts for whoever may read the event; it ends when the viewer may no longer."""
    context = info.context
    viewer_id = await context.viewer_id()
    async with context.edge.listen(f"event:{event_id}") as listener:
        if await seats_of_event(context.graph, event_id, viewer_id=viewer_id) is None:
            raise NotFound(path=("eventId",))
        while True:
            hints = await listener.take()
            context.renew()
            seats = await seats_of_event(context.graph, event_id, viewer_id=viewer_id)
            if seats is None:
                return
            for registration in await changed_registrations(context, event_id, hints, seats["manages"]):
                context.renew()
                yield change_of(event_id, seats, registration)
            await asyncio.sleep(PAUSE_SECONDS)


async def changed_registrations(
    context: Context, event_id: str, hints: Sequence[Hint], manages: bool
) -> list[Registration | None]:
    """A registration for each message to send: managers learn of each, others of their own, and at least of counts."""
    viewer_id = await context.viewer_id()
    named = {hint["customer_id"] for hint in hints if hint.get("customer_id")}
    found: list[Registration | None] = []
    for customer_id in sorted(named if manages else named & {viewer_id}):
        rows = await registrations_for(context.graph, customer_id, [event_id])
        found += [registration_of(row) for row in rows.values()]
    return found or [None]


def change_of(event_id: str, seats: Row, registration: Registration | None) -> EventRegistrationChange:
    return EventRegistrationChange(
        registered_count=seats["registered"],
        link_registered_count=seats["link_registered"],
        waiting_count=seats["waiting"],
        link_waiting_count=seats["link_waiting"],
        registration=registration,
        event_local=event_id,
    )


async def community_activities(info: Info, community_id: str) -> AsyncGenerator[CommunityActivity, None]:
    """What happens inside, for readers; it ends for somebody who is no reader any more."""
    context = info.context
    viewer_id = await context.viewer_id()
    async with context.edge.listen(f"community:{community_id}") as listener:
        if not await is_reader(context.graph, community_id, viewer_id=viewer_id):
            raise NotFound(path=("communityId",))
        while True:
            for hint in distinct(await listener.take()):
                context.renew()
                if not await is_reader(context.graph, community_id, viewer_id=viewer_id):
                    return
                activity = await activity_of(info, community_id, hint)
                if activity is not None:
                    yield activity
            await asyncio.sleep(PAUSE_SECONDS)


def distinct(hints: Sequence[Hint]) -> list[Hint]:
    """Hints without those that say the same again."""
    kept: list[Hint] = []
    for hint in hints:
        if hint not in kept:
            kept.append(hint)
    return kept


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


async def new_notifications(info: Info) -> AsyncGenerator[Notification, None]:
    """The viewer's notices as they come, each once; hints may be lost, notices are not."""
    context = info.context
    customer_id = await context.customer_id()
    sent: deque[str] = deque(maxlen=10 * MOST_NOTICES)
    async with context.edge.listen(f"customer:{customer_id}") as listener:
        since = context.now - OVERLAP
        sent.extend([row.id for row in await newest_of(context, customer_id, since)])
        while True:
            await listener.take()
            context.renew()
            rows = [row for row in await newest_of(context, customer_id, since) if row.id not in sent]
            since = context.now - OVERLAP
            for row in rows:
                context.renew()
                yield notification_of(row)
                sent.append(row.id)
            await asyncio.sleep(PAUSE_SECONDS)


async def newest_of(context: Context, customer_id: str, since: datetime) -> Sequence[NotificationRow]:
    async with context.database.read() as session:
        return await newest_notifications(session, customer_id, since=since, limit=MOST_NOTICES)


@strawberry.type(description="Everything that can be followed live; what a message holds is read when it is sent.")
class Subscription(TaskSubscriptions):
    @strawberry.subscription(description="Places taken and given back at an event that you may read.")
    async def event_registration_changed(
        self,
        info: Info,
        event_id: Annotated[strawberry.ID, strawberry.argument(description="Global id of the event.")],
    ) -> AsyncGenerator[EventRegistrationChange, None]:
        info.context.signed_in()
        async with aclosing(event_changes(info, local_id("Event", event_id, "eventId"))) as changes:
            async for change in changes:
                yield change

    @strawberry.subscription(description="What happens inside a community that you may read, until you may no longer.")
    async def community_activity(
        self,
        info: Info,
        community_id: Annotated[strawberry.ID, strawberry.argument(description="Global id of the community.")],
    ) -> AsyncGenerator[CommunityActivity, None]:
        info.context.signed_in()
        async with aclosing(community_activities(info, local_id("Community", community_id, "communityId"))) as found:
            async for activity in found:
                yield activity

    @strawberry.subscription(description="Your own notices as they come.")
    async def notification_received(self, info: Info) -> AsyncGenerator[Notification, None]:
        info.context.signed_in()
        async with aclosing(new_notifications(info)) as notices:
            async for notice in notices:
                yield notice

    @strawberry.subscription(description="A complaint that you may see, whenever it changes, until you may no longer.")
    async def complaint_changed(
        self,
        info: Info,
        complaint_id: Annotated[strawberry.ID, strawberry.argument(description="Global id of the complaint.")],
    ) -> AsyncGenerator[Complaint, None]:
        info.context.signed_in()
        async with aclosing(complaint_changes(info, local_id("Complaint", complaint_id, "complaintId"))) as changes:
            async for complaint in changes:
                yield complaint
