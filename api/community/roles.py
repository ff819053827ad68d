"""Roles of members."""

from typing import Annotated

import strawberry

from api.community.communities import Community, changed_community
from api.context import Info
from api.customers.profiles import Customer, load_customer
from api.refusals import Refusal, refusals, result_union
from api.relay import local_id
from community.access import MemberRole
from community.roles import update_membership_role
from core.errors import NotFound


@strawberry.input(description="Who gets which role.")
class UpdateMembershipRoleInput:
    community_id: strawberry.ID = strawberry.field(description="Global id of the community.")
    customer_id: strawberry.ID = strawberry.field(description="Global id of the customer.")
    role: MemberRole = strawberry.field(description="The new role, one that members have.")


@strawberry.type(description="The member has the role.")
class UpdateMembershipRoleSuccess:
    community: Community | None = strawberry.field(
        description="The community; null for an administrator who is no member of a private one."
    )
    customer_local: strawberry.Private[str]

    @strawberry.field(description="The customer on whom you acted.")
    async def customer(self, info: Info) -> Customer | None:
        return await load_customer(info, self.customer_local)


UpdateMembershipRoleResult = Annotated[UpdateMembershipRoleSuccess | Refusal, result_union(UpdateMembershipRoleSuccess)]


@strawberry.type
class RoleMutations:
    @strawberry.mutation(
        description="Give a member another role: an owner every role but EXPERT, a manager MODERATOR and MEMBER. The "
        "bank's administrators give every role, and only they name its experts."
    )
    @refusals
    async def update_membership_role(self, info: Info, input: UpdateMembershipRoleInput) -> UpdateMembershipRoleResult:
        context = info.context
        principal = context.signed_in()
        community_id = local_id("Community", input.community_id, "input", "communityId")
        customer_id = local_id("Customer", input.customer_id, "input", "customerId")
        await update_membership_role(
            context.graph,
            community_id=community_id,
            customer_id=customer_id,
            manager_id=principal.subject if principal.is_administrator else await context.customer_id(),
            is_bank=principal.is_administrator,
            role=input.role,
            now=context.now,
        )
        community = await changed_community(info, community_id)
        if community is None and not principal.is_administrator:
            raise NotFound(path=("communityId",))
        return UpdateMembershipRoleSuccess(community=community, customer_local=customer_id)
