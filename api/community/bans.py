"""What moderators do about members: they remove and ban them, and lift bans."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.community.member_acts import MemberAct, act_on
from api.context import Info
from api.refusals import Refusal, refusals, result_union
from community.bans import ban_member, remove_member, unban_member


@strawberry.input(description="Whom to remove from which community.")
class RemoveMemberInput:
    community_id: strawberry.ID = strawberry.field(description="Global id of the community.")
    customer_id: strawberry.ID = strawberry.field(description="Global id of the customer.")
    reason: str | None = strawberry.field(description="Why, 1 to 500 characters; for the audit trail.", default=None)


@strawberry.type(description="The customer is no member; they may join again.")
class RemoveMemberSuccess(MemberAct):
    pass


@strawberry.input(description="Whom to ban from which community.")
class BanMemberInput:
    community_id: strawberry.ID = strawberry.field(description="Global id of the community.")
    customer_id: strawberry.ID = strawberry.field(description="Global id of the customer.")
    reason: str = strawberry.field(description="Why, 1 to 500 characters; for the audit trail.")
    until: datetime | None = strawberry.field(description="Until when; null: for ever.", default=None)


@strawberry.type(description="The customer is banned.")
class BanMemberSuccess(MemberAct):
    pass


@strawberry.input(description="Whose ban to lift.")
class UnbanMemberInput:
    community_id: strawberry.ID = strawberry.field(description="Global id of the community.")
    customer_id: strawberry.ID = strawberry.field(description="Global id of the customer.")


@strawberry.type(description="The customer may join again.")
class UnbanMemberSuccess(MemberAct):
    pass


RemoveMemberResult = Annotated[RemoveMemberSuccess | Refusal, result_union(RemoveMemberSuccess)]
BanMemberResult = Annotated[BanMemberSuccess | Refusal, result_union(BanMemberSuccess)]
UnbanMemberResult = Annotated[UnbanMemberSuccess | Refusal, result_union(UnbanMemberSuccess)]


@strawberry.type
class BanMutations:
    @strawberry.mutation(description="End the membership of somebody with a lower role, or take back an invitation.")
    @refusals
    async def remove_member(self, info: Info, input: RemoveMemberInput) -> RemoveMemberResult:
        act = await act_on(info, input.community_id, input.customer_id)
        await remove_member(
            info.context.graph,
            community_id=act.community_id,
            customer_id=act.customer_id,
            moderator_id=act.actor_id,
            reason=input.reason,
            now=info.context.now,
        )
        return RemoveMemberSuccess(**await act.outcome(info))

    @strawberry.mutation(
        description="Ban a customer with a lower role or none: they cannot join, post or register. To ban again "
        "replaces reason and end."
    )
    @refusals
    async def ban_member(self, info: Info, input: BanMemberInput) -> BanMemberResult:
        act = await act_on(info, input.community_id, input.customer_id)
        await ban_member(
            info.context.graph,
            community_id=act.community_id,
            customer_id=act.customer_id,
            moderator_id=act.actor_id,
            reason=input.reason,
            until=input.until,
            now=info.context.now,
        )
        return BanMemberSuccess(**await act.outcome(info))

    @strawberry.mutation(description="Lift a ban.")
    @refusals
    async def unban_member(self, info: Info, input: UnbanMemberInput) -> UnbanMemberResult:
        act = await act_on(info, input.community_id, input.customer_id)
        await unban_member(
            info.context.graph,
            community_id=act.community_id,
            customer_id=act.customer_id,
            moderator_id=act.actor_id,
            now=info.context.now,
        )
        return UnbanMemberSuccess(**await act.outcome(info))
