"""Versions of the message policy: caps, quiet hours, channels; for administrators."""

from datetime import datetime
from typing import Annotated, Any, cast

import strawberry
from strawberry.scalars import JSON

from api.context import Info
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from core.paging import window
from service.message_policies import MessagePolicy as MessagePolicyRow
from service.message_policies import (
    MessagePolicyStatus,
    activate_message_policy,
    create_message_policy,
    list_message_policies,
)

strawberry.enum(
    MessagePolicyStatus,
    name="MessagePolicyStatus",
    description="One is ACTIVE; the one that it replaces is RETIRED for good.",
)


@strawberry.type(description="A version of the message policy, whose definition never changes.")
class MessagePolicy(Node):
    version: int = strawberry.field(description="Its number; later ones are greater.")
    status: MessagePolicyStatus = strawberry.field(description="Whether messages are decided by it.")
    definition: JSON = strawberry.field(
        description="Quiet hours, caps, and for each category its channels, consent, mutes and priority."
    )
    created_by: str = strawberry.field(description="Who drafted it.")
    created_at: datetime = strawberry.field(description="When.")
    activated_by: str | None = strawberry.field(description="Who activated it; null for a draft.")
    activated_at: datetime | None = strawberry.field(description="When.")
    retired_at: datetime | None = strawberry.field(description="When it was replaced.")


def policy_of(row: MessagePolicyRow) -> MessagePolicy:
    return MessagePolicy(
        id=global_id("MessagePolicy", row.id),
        version=row.version,
        status=MessagePolicyStatus(row.status),
        definition=cast(Any, row.definition),
        created_by=row.created_by,
        created_at=row.created_at,
        activated_by=row.activated_by,
        activated_at=row.activated_at,
        retired_at=row.retired_at,
    )


@strawberry.input(description="What a new version says.")
class CreateMessagePolicyInput:
    definition: JSON = strawberry.field(description="All of it, as messagePolicies shows the active one.")


@strawberry.input(description="Which version.")
class ActivateMessagePolicyInput:
    policy_id: strawberry.ID = strawberry.field(description="Global id of the version.")


@strawberry.type(description="The version is drafted.")
class CreateMessagePolicySuccess:
    policy: MessagePolicy = strawberry.field(description="The draft.")


@strawberry.type(description="Messages that are decided from now on go by it.")
class ActivateMessagePolicySuccess:
    policy: MessagePolicy = strawberry.field(description="The version that is active now.")


CreateMessagePolicyResult = Annotated[CreateMessagePolicySuccess | Refusal, result_union(CreateMessagePolicySuccess)]
ActivateMessagePolicyResult = Annotated[
    ActivateMessagePolicySuccess | Refusal, result_union(ActivateMessagePolicySuccess)
]


@strawberry.type
class MessagePolicyQueries:
    @strawberry.field(description="Versions of the message policy, the newest first; for administrators.")
    async def message_policies(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[MessagePolicy]:
        size, place = window(first, after, last, before)
        info.context.administrator()
        async with info.context.database.read() as session:
            page = await list_message_policies(session, first=size, after=place)
        return connection(page, place, policy_of)


@strawberry.type
class MessagePolicyMutations:
    @strawberry.mutation(description="Draft a version of the message policy; it decides nothing. For administrators.")
    @refusals
    async def create_message_policy(self, info: Info, input: CreateMessagePolicyInput) -> CreateMessagePolicyResult:
        context = info.context
        actor = context.administrator().subject
        async with context.database.write() as session:
            row = await create_message_policy(session, input.definition, actor=actor, now=context.now)
        return CreateMessagePolicySuccess(policy=policy_of(row))

    @strawberry.mutation(
        description="Let a version decide messages from now on; the one before is retired. For administrators."
    )
    @refusals
    async def activate_message_policy(
        self, info: Info, input: ActivateMessagePolicyInput
    ) -> ActivateMessagePolicyResult:
        context = info.context
        actor = context.administrator().subject
        policy_id = local_id("MessagePolicy", input.policy_id, "input", "policyId")
        async with context.database.write() as session:
            row = await activate_message_policy(session, policy_id, actor=actor, now=context.now)
        return ActivateMessagePolicySuccess(policy=policy_of(row))
