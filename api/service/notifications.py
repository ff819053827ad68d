"""Notices to the viewer: their words in the language of the request, what they are about, and what is wanted."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import strawberry

from api.context import Info
from api.nodes import LOADERS, load_node
from api.refusals import Refusal, refusals, result_union
from api.relay import Connection, Node, connection, global_id, local_id
from api.service.messages import words_of
from core.clock import parse_instant
from core.notices import ALWAYS_TOLD, NoticeKind, notice_kind
from core.paging import Page, Place
from graph.client import Row
from service.notice_words import WORDS, written
from service.notifications import Notification as NotificationRow
from service.notifications import (
    count_unread,
    mark_read,
    notifications_of,
    own_notification,
    preferences_of,
    set_preference,
)

strawberry.enum(NoticeKind, name="NotificationKind", description="What a notice is about.")

# Who did it, and until when something is to be done, by the names that the writers of notices use.
ACTORS = ("actor_id", "author_id", "inviter_id", "requester_id")
DEADLINES = ("offer_expires_at", "expires_at", "deadline")
# What a notice is about: the first of these that it names and that is a node.
SUBJECTS = {
    "comment_id": "Comment",
    "post_id": "Post",
    "registration_id": "Registration",
    "event_id": "Event",
    "community_id": "Community",
    "redemption_id": "Redemption",
    "message_id": "Message",
}


@strawberry.type(description="Something that you are told.")
class Notification(Node):
    kind: NoticeKind = strawberry.field(description="What it is about; OTHER for kinds that came later than the app.")
    created_at: datetime = strawberry.field(description="When you were told.")
    read_at: datetime | None = strawberry.field(description="When you read it; null: not yet.")
    data: strawberry.Private[dict[str, Any]]

    @strawberry.field(description="One line in the language of the request; it names only what you may see now.")
    async def title(self, info: Info) -> str:
        return written(WORDS[self.kind].title, await names_in(info, self.data), info.context.language)

    @strawberry.field(description="A sentence more, likewise.")
    async def body(self, info: Info) -> str:
        return written(WORDS[self.kind].body, await names_in(info, self.data), info.context.language)

    @strawberry.field(
        description="The community, event, post, comment, redemption or message that it is about; null out of sight."
    )
    async def subject(self, info: Info) -> Node | None:
        for key, kind in SUBJECTS.items():
            if key in self.data and kind in LOADERS:
                return await load_node(info, kind, str(self.data[key]))
        return None


async def names_in(info: Info, data: Mapping[str, Any]) -> dict[str, str | None]:
    """The names that the viewer may see; a name whose place has gone from view is None."""
    loaders, context = info.context.loaders, info.context
    community = await loaders.communities.load(str(data["community_id"])) if "community_id" in data else None
    event = await loaders.events.load(str(data["event_id"])) if "event_id" in data else None
    actor_id = next((str(data[key]) for key in ACTORS if key in data), None)
    reward = await loaders.rewards.load(str(data["reward_id"])) if "reward_id" in data else None
    hidden = ("community_id" in data and community is None) or ("event_id" in data and event is None)
    actor = await loaders.customers.load(actor_id) if actor_id and not hidden else None
    subject, body = await message_words(info, data)
    deadline = next((str(data[key]) for key in DEADLINES if key in data), None)
    return {
        "community": context.text(community, "name") if community else None,
        "event": context.text(event, "title") if event else None,
        "actor": actor["display_name"] if actor else None,
        "reward": context.text(reward, "name") if reward else None,
        "start": local_time(event["starts_at"], event) if event else None,
        "deadline": local_time(deadline, event) if event and deadline else None,
        "reason": str(data["reason"]) if event and data.get("reason") else None,
        "text": str(data[f"text_{context.language}"]) if event and "text_en" in data else None,
        "subject": subject,
        "body": body,
        "posts": str(data["posts"]) if "posts" in data else None,
        "events": str(data["events"]) if "events" in data else None,
    }


async def message_words(info: Info, data: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Subject and body of the message that became this notice; nothing where it is none."""
    message = await info.context.messaging.messages.load(str(data["message_id"])) if "message_id" in data else None
    return await words_of(info, message) if message else (None, None)


def local_time(instant: str, event: Row) -> str:
    """The instant as the clock shows it where the event is."""
    return parse_instant(instant).astimezone(ZoneInfo(event["time_zone"])).strftime("%Y-%m-%d %H:%M")


def notification_of(row: NotificationRow) -> Notification:
    return Notification(
        id=global_id("Notification", row.id),
        kind=notice_kind(row.kind),
        created_at=row.created_at,
        read_at=row.read_at,
        data=row.data,
    )


async def load_notification(info: Info, local: str) -> Notification | None:
    """A notice of the viewer's own."""
    customer_id = await info.context.viewer_id()
    if customer_id is None:
        return None
    async with info.context.database.read() as session:
        row = await own_notification(session, customer_id, local)
    return notification_of(row) if row else None


async def notification_page(info: Info, unread_only: bool, first: int | None, after: Place) -> Connection[Notification]:
    """The viewer's notices, the latest first; none for somebody without a profile."""
    customer_id = await info.context.viewer_id()
    if customer_id is None:
        return connection(Page[NotificationRow]([], [], has_next=False), after, notification_of)
    async with info.context.database.read() as session:
        page = await notifications_of(session, customer_id, unread_only=unread_only, first=first, after=after)
    return connection(page, after, notification_of)


async def unread_count(info: Info) -> int:
    """The number for the badge."""
    customer_id = await info.context.viewer_id()
    if customer_id is None:
        return 0
    async with info.context.database.read() as session:
        return await count_unread(session, customer_id)


@strawberry.type(description="Whether you want notices of a kind.")
class NotificationPreference:
    kind: NoticeKind = strawberry.field(description="The kind.")
    name: str = strawberry.field(description="Its name in the language of the request.")
    name_zh: str = strawberry.field(description="Its name in Chinese.")
    name_en: str = strawberry.field(description="Its name in English.")
    enabled: bool = strawberry.field(description="Whether you get them.")
    switchable: bool = strawberry.field(description="Whether they can be switched off.")


def preference_of(kind: NoticeKind, enabled: bool, language: str) -> NotificationPreference:
    zh, en = WORDS[kind].label
    return NotificationPreference(
        kind=kind,
        name=zh if language == "zh" else en,
        name_zh=zh,
        name_en=en,
        enabled=enabled,
        switchable=kind not in ALWAYS_TOLD,
    )


async def preference_list(info: Info) -> list[NotificationPreference]:
    """Every kind that can be switched, in the order of the table of words."""
    customer_id = await info.context.customer_id()
    async with info.context.database.read() as session:
        found = await preferences_of(session, customer_id)
    return [preference_of(kind, enabled, info.context.language) for kind, enabled in found.items()]


@strawberry.input(description="Which notices you have read: give either ids or an instant.")
class MarkNotificationsReadInput:
    ids: list[strawberry.ID] | None = strawberry.field(description="Global ids, up to 100.", default=None)
    until: datetime | None = strawberry.field(description="All up to this instant.", default=None)


@strawberry.type(description="They are read.")
class MarkNotificationsReadSuccess:
    marked_count: int = strawberry.field(description="How many were unread until now.")
    unread_count: int = strawberry.field(description="How many are still unread, counted up to 100.")


@strawberry.input(description="What you want to be told.")
class SetNotificationPreferenceInput:
    kind: NoticeKind = strawberry.field(description="The kind.")
    enabled: bool = strawberry.field(description="Whether you want notices of it.")


@strawberry.type(description="It is as you wish; notices that you have already stay.")
class SetNotificationPreferenceSuccess:
    preference: NotificationPreference = strawberry.field(description="What holds now.")


MarkNotificationsReadResult = Annotated[
    MarkNotificationsReadSuccess | Refusal, result_union(MarkNotificationsReadSuccess)
]
SetNotificationPreferenceResult = Annotated[
    SetNotificationPreferenceSuccess | Refusal, result_union(SetNotificationPreferenceSuccess)
]


@strawberry.type
class NotificationMutations:
    @strawberry.mutation(description="Mark your notices as read; those of others, and those read already, stay.")
    @refusals
    async def mark_notifications_read(
        self, info: Info, input: MarkNotificationsReadInput
    ) -> MarkNotificationsReadResult:
        context = info.context
        ids = None if input.ids is None else [local_id("Notification", one, "input", "ids") for one in input.ids]
        customer_id = await context.customer_id()
        async with context.database.write() as session:
            marked = await mark_read(session, customer_id, ids=ids, until=input.until, now=context.now)
            unread = await count_unread(session, customer_id)
        return MarkNotificationsReadSuccess(marked_count=marked, unread_count=unread)

    @strawberry.mutation(description="Switch notices of a kind on or off.")
    @refusals
    async def set_notification_preference(
        self, info: Info, input: SetNotificationPreferenceInput
    ) -> SetNotificationPreferenceResult:
        context = info.context
        customer_id = await context.customer_id()
        async with context.database.write() as session:
            await set_preference(session, customer_id, input.kind, enabled=input.enabled, now=context.now)
        return SetNotificationPreferenceSuccess(preference=preference_of(input.kind, input.enabled, context.language))
