"""The bank's gateways, to which messages go by signed webhooks; for administrators."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.context import Info
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from core.paging import window
from service.message_outlets import Outlets
from service.message_policy import MessageChannel
from service.webhook_endpoints import WebhookEndpoint as EndpointRow
from service.webhook_endpoints import (
    create_webhook_endpoint,
    disable_webhook_endpoint,
    list_webhook_endpoints,
    rotate_webhook_secret,
)


@strawberry.type(description="Where the messages of a channel go; a channel has one that is not disabled.")
class WebhookEndpoint(Node):
    channel: MessageChannel = strawberry.field(description="The channel.")
    url: str = strawberry.field(description="Its address.")
    created_by: str = strawberry.field(description="Who created it.")
    created_at: datetime = strawberry.field(description="When.")
    rotated_at: datetime | None = strawberry.field(description="When its secret was last replaced.")
    former_secret_until: datetime | None = strawberry.field(description="Until when the former secret signs as well.")
    disabled_by: str | None = strawberry.field(description="Who disabled it.")
    disabled_at: datetime | None = strawberry.field(description="When; null: it is used.")


def endpoint_of(row: EndpointRow) -> WebhookEndpoint:
    return WebhookEndpoint(
        id=global_id("WebhookEndpoint", row.id),
        channel=MessageChannel(row.channel),
        url=row.url,
        created_by=row.created_by,
        created_at=row.created_at,
        rotated_at=row.rotated_at,
        former_secret_until=row.former_until,
        disabled_by=row.disabled_by,
        disabled_at=row.disabled_at,
    )


@strawberry.input(description="Where the messages of a channel are to go.")
class CreateWebhookEndpointInput:
    channel: MessageChannel = strawberry.field(description="SMS or WECHAT.")
    url: str = strawberry.field(description="https and a public address; loopback does in development.")


@strawberry.input(description="Which endpoint.")
class WebhookEndpointInput:
    endpoint_id: strawberry.ID = strawberry.field(description="Global id of the endpoint.")


@strawberry.type(description="The endpoint is used from now on.")
class CreateWebhookEndpointSuccess:
    endpoint: WebhookEndpoint = strawberry.field(description="The endpoint.")
    secret: str = strawberry.field(description="What signs, as Standard Webhooks writes it; shown this once.")


@strawberry.type(description="Both secrets sign for a day; after that only the new one does.")
class RotateWebhookSecretSuccess:
    endpoint: WebhookEndpoint = strawberry.field(description="The endpoint.")
    secret: str = strawberry.field(description="The new secret; shown this once.")


@strawberry.type(description="Nothing goes there any more.")
class DisableWebhookEndpointSuccess:
    endpoint: WebhookEndpoint = strawberry.field(description="The endpoint.")


CreateWebhookEndpointResult = Annotated[
    CreateWebhookEndpointSuccess | Refusal, result_union(CreateWebhookEndpointSuccess)
]
RotateWebhookSecretResult = Annotated[RotateWebhookSecretSuccess | Refusal, result_union(RotateWebhookSecretSuccess)]
DisableWebhookEndpointResult = Annotated[
    DisableWebhookEndpointSuccess | Refusal, result_union(DisableWebhookEndpointSuccess)
]


@strawberry.type
class WebhookEndpointQueries:
    @strawberry.field(description="All endpoints, also disabled ones, the newest first; for administrators.")
    async def webhook_endpoints(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[WebhookEndpoint]:
        size, place = window(first, after, last, before)
        info.context.administrator()
        async with info.context.database.read() as session:
            page = await list_webhook_endpoints(session, first=size, after=place)
        return connection(page, place, endpoint_of)


@strawberry.type
class WebhookEndpointMutations:
    @strawberry.mutation(description="Let the messages of a channel go to a gateway. For administrators.")
    @refusals
    async def create_webhook_endpoint(
        self, info: Info, input: CreateWebhookEndpointInput
    ) -> CreateWebhookEndpointResult:
        context = info.context
        actor = context.administrator().subject
        outlets = Outlets.of(context.edge.settings)
        async with context.database.write() as session:
            row, secret = await create_webhook_endpoint(
                session, input.channel, input.url, outlets=outlets, actor=actor, now=context.now
            )
        return CreateWebhookEndpointSuccess(endpoint=endpoint_of(row), secret=secret)

    @strawberry.mutation(description="Replace the secret of an endpoint. For administrators.")
    @refusals
    async def rotate_webhook_secret(self, info: Info, input: WebhookEndpointInput) -> RotateWebhookSecretResult:
        context = info.context
        actor = context.administrator().subject
        endpoint_id = local_id("WebhookEndpoint", input.endpoint_id, "input", "endpointId")
        async with context.database.write() as session:
            row, secret = await rotate_webhook_secret(session, endpoint_id, actor=actor, now=context.now)
        return RotateWebhookSecretSuccess(endpoint=endpoint_of(row), secret=secret)

    @strawberry.mutation(
        description="Let nothing more go to an endpoint; what is due waits for the next one of its channel. "
        "For administrators."
    )
    @refusals
    async def disable_webhook_endpoint(self, info: Info, input: WebhookEndpointInput) -> DisableWebhookEndpointResult:
        context = info.context
        actor = context.administrator().subject
        endpoint_id = local_id("WebhookEndpoint", input.endpoint_id, "input", "endpointId")
        async with context.database.write() as session:
            row = await disable_webhook_endpoint(session, endpoint_id, actor=actor, now=context.now)
        return DisableWebhookEndpointSuccess(endpoint=endpoint_of(row))
