"""Roles of members."""

from typing import Annotated

import strawberry

from api.community.member_acts import MemberAct, act_on
from api.context import Info
from api.refusals import Refusal, refusals
from community.access import MemberRole
from community.roles import update_membership_role


@strawberry.input(description="Who gets which role.")
class UpdateMembershipRoleInput:
    community_id: strawberry.ID = strawberry.field(description="Global id of the community.")
    customer_id: strawberry.ID = strawberry.field(description="Global id of the customer.")
    role: MemberRole = strawberry.field(description="The new role, one that members have.")


@strawberry.type(description="The member has the role.")
class UpdateMembershipRoleSuccess(MemberAct):
    pass


UpdateMembershipRoleResult = Annotated[
    UpdateMembershipRoleSuccess | Refusal, strawberry.union("UpdateMembershipRoleResult")
]


@strawberry.type
class RoleMutations:
    @strawberry.mutation(description="Give a member another role: an owner every role, a manager MODERATOR and MEMBER.")
    @refusals
    async def update_membership_role(self, info: Info, input: UpdateMembershipRoleInput) -> UpdateMembershipRoleResult:
        act = await act_on(info, input.community_id, input.customer_id)
        await update_membership_role(
            info.context.graph,
            community_id=act.community_id,
            customer_id=act.customer_id,
            manager_id=act.actor_id,
            role=input.role,
            now=info.context.now,
        )
        return UpdateMembershipRoleSuccess(**await act.outcome(info))
