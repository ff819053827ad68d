"""Messages to customers: what they say, by which channels they went, and why one was put off or not sent."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.context import Info
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from core.messages import MessageCategory
from core.paging import Page, window
from customers.access import may_read
from customers.profiles import survivor_of
from service.message_decision import Reason
from service.message_deliveries import DeliveryStatus, list_dead_letters, replay_dead_letter
from service.message_deliveries import MessageDelivery as DeliveryRow
from service.message_policy import MessageChannel
from service.message_reasons import reason_words
from service.message_words import written
from service.messages import Message as MessageRow
from service.messages import MessageStatus, list_messages

strawberry.enum(MessageCategory, name="MessageCategory", description="What a message is for.")
strawberry.enum(MessageChannel, name="MessageChannel", description="By which a message reaches a customer.")
strawberry.enum(
    MessageStatus,
    name="MessageStatus",
    description="QUEUED until a channel has it. SUPPRESSED: it was decided not to send it. FAILED: no channel took it. "
    "EXPIRED: its time was over.",
)
strawberry.enum(Reason, name="MessageReason", description="Why a message was sent, put off or not sent.")
strawberry.enum(
    DeliveryStatus,
    name="MessageDeliveryStatus",
    description="DUE: it will be tried. DEAD: it was given up, and staff may replay it. WITHDRAWN: the customer did "
    "not want it any more.",
)


@strawberry.type(description="What a channel came to when a message was decided.")
class MessageChannelDecision:
    channel: MessageChannel = strawberry.field(description="The channel.")
    reason: Reason = strawberry.field(description="SENT, or why it was not used.")
    why: str = strawberry.field(description="The same in words.")


@strawberry.type(description="One message by one channel.")
class MessageDelivery(Node):
    channel: MessageChannel = strawberry.field(description="The channel.")
    status: DeliveryStatus = strawberry.field(description="How far it is.")
    attempts: int = strawberry.field(description="How often it was tried since it was last replayed.")
    replays: int = strawberry.field(description="How often staff have replayed it.")
    failure: str | None = strawberry.field(description="Code of the latest failure, such as HTTP_503 or TIMEOUT.")
    created_at: datetime = strawberry.field(description="Since when it was due.")
    due_at: datetime | None = strawberry.field(description="When it is tried next; null once it has ended.")
    ended_at: datetime | None = strawberry.field(description="When it ended; null while it is due.")
    message_local: strawberry.Private[str]

    @strawberry.field(description="The message.")
    async def message(self, info: Info) -> "Message | None":
        row = await info.context.messaging.messages.load(self.message_local)
        return message_of(row, info) if row else None


@strawberry.type(description="Something that a customer was to be told.")
class Message(Node):
    category: MessageCategory = strawberry.field(description="What it is for.")
    template: str = strawberry.field(description="Whose words it has.")
    status: MessageStatus = strawberry.field(description="What became of it.")
    reason: Reason | None = strawberry.field(description="Why; null before it is decided.")
    why: str | None = strawberry.field(description="The same in words.")
    channels: list[MessageChannelDecision] = strawberry.field(
        description="What each channel came to; empty where it was decided without looking at channels."
    )
    owed_at: datetime = strawberry.field(description="Since when it was to be told.")
    expires_at: datetime | None = strawberry.field(description="After when it is not sent any more; null: no such end.")
    decided_at: datetime | None = strawberry.field(description="When it was decided last.")
    next_at: datetime | None = strawberry.field(description="When it is decided again; null where it is not put off.")
    sent_at: datetime | None = strawberry.field(description="When the first channel had it.")
    row: strawberry.Private[MessageRow]

    @strawberry.field(description="Its title in the language of the request.")
    async def subject(self, info: Info) -> str:
        return (await words_of(info, self.row))[0]

    @strawberry.field(description="What it says, likewise.")
    async def body(self, info: Info) -> str:
        return (await words_of(info, self.row))[1]

    @strawberry.field(description="By which channels it went, and how far each is.")
    async def deliveries(self, info: Info) -> list[MessageDelivery]:
        return [delivery_of(row) for row in await info.context.messaging.deliveries.load(self.row.id)]


async def words_of(info: Info, row: MessageRow) -> tuple[str, str]:
    """Subject and body for whoever reads it; the name is what others call the customer."""
    customer = await info.context.loaders.customers.load(row.customer_id)
    name = customer["display_name"] if customer else None
    return written(row.template, row.words, name=name, language=info.context.language)


def message_of(row: MessageRow, info: Info) -> Message:
    language = info.context.language
    reason = Reason(row.reason) if row.reason else None
    decisions = [(MessageChannel(name), Reason(said)) for name, said in row.by_channel.items()]
    return Message(
        id=global_id("Message", row.id),
        category=MessageCategory(row.category),
        template=row.template,
        status=MessageStatus(row.status),
        reason=reason,
        why=reason_words(reason, language) if reason else None,
        channels=[
            MessageChannelDecision(channel=channel, reason=said, why=reason_words(said, language))
            for channel, said in decisions
        ],
        owed_at=row.owed_at,
        expires_at=row.expires_at,
        decided_at=row.decided_at,
        next_at=row.next_at,
        sent_at=row.sent_at,
        row=row,
    )


def delivery_of(row: DeliveryRow) -> MessageDelivery:
    return MessageDelivery(
        id=global_id("MessageDelivery", row.id),
        channel=MessageChannel(row.channel),
        status=DeliveryStatus(row.status),
        attempts=row.attempts,
        replays=row.replays,
        failure=row.failure,
        created_at=row.created_at,
        due_at=row.due_at,
        ended_at=row.ended_at,
        message_local=row.message_id,
    )


async def load_message(info: Info, local: str) -> Message | None:
    """A message of the viewer's own, or of a customer whom they look after; None for any other."""
    row = await info.context.messaging.messages.load(local)
    if row is None or await info.context.private.access.load(row.customer_id) is None:
        return None
    return message_of(row, info)


@strawberry.input(description="Which delivery.")
class ReplayDeadLetterInput:
    delivery_id: strawberry.ID = strawberry.field(description="Global id of a delivery that was given up.")


@strawberry.type(description="It is tried again, with the id that it had.")
class ReplayDeadLetterSuccess:
    delivery: MessageDelivery = strawberry.field(description="The delivery.")


ReplayDeadLetterResult = Annotated[ReplayDeadLetterSuccess | Refusal, result_union(ReplayDeadLetterSuccess)]


@strawberry.type
class ServiceMessageQueries:
    @strawberry.field(
        description="What a customer was told and was not, with why, the latest first: your own, or those of a "
        "customer whom you look after."
    )
    async def messages(
        self,
        info: Info,
        customer_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Global id of the customer; null: yourself.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Message]:
        size, place = window(first, after, last, before)
        context = info.context
        principal = await context.principal()
        local = principal.customer_id if customer_id is None else local_id("Customer", customer_id, "customerId")
        if local is None:
            return connection(Page[MessageRow]([], [], has_next=False), after, lambda row: message_of(row, info))
        async with context.database.read() as session:
            local = await survivor_of(session, local)
            await may_read(context.graph, session, principal, local, now=context.now)
            page = await list_messages(session, local, first=size, after=place)
        return connection(page, place, lambda row: message_of(row, info))

    @strawberry.field(description="Deliveries that were given up, the latest first; for administrators.")
    async def dead_letters(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[MessageDelivery]:
        size, place = window(first, after, last, before)
        info.context.administrator()
        async with info.context.database.read() as session:
            page = await list_dead_letters(session, first=size, after=place)
        return connection(page, place, delivery_of)


@strawberry.type
class ServiceMessageMutations:
    @strawberry.mutation(
        description="Let a delivery that was given up be tried again from its first attempt. For administrators."
    )
    @refusals
    async def replay_dead_letter(self, info: Info, input: ReplayDeadLetterInput) -> ReplayDeadLetterResult:
        context = info.context
        actor = context.administrator().subject
        delivery_id = local_id("MessageDelivery", input.delivery_id, "input", "deliveryId")
        async with context.database.write() as session:
            row = await replay_dead_letter(session, delivery_id, actor=actor, now=context.now)
        return ReplayDeadLetterSuccess(delivery=delivery_of(row))
