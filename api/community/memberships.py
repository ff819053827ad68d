"""Becoming a member and ceasing to be one."""

from typing import Annotated

import strawberry

from api.community.communities import Community, changed_community, community_after
from api.context import Info
from api.refusals import Refusal, refusals, result_union
from api.relay import local_id
from community.access import is_member
from community.admissions import accept_invitation, decline_invitation
from community.memberships import join_community, leave_community


@strawberry.input(description="Which community to join.")
class JoinCommunityInput:
    community_id: strawberry.ID = strawberry.field(description="Global id of the community.")
    message: str | None = strawberry.field(
        description="What its managers read where they decide, 1 to 500 characters.", default=None
    )
    invitation_code: str | None = strawberry.field(
        description="The code of an invitation link, which makes you a member at once.", default=None
    )


@strawberry.type(description="You are a member, or you have asked to be one: `viewerRole` tells.")
class JoinCommunitySuccess:
    community: Community = strawberry.field(description="The community with what you are to it.")


@strawberry.input(description="Which community to leave.")
class LeaveCommunityInput:
    community_id: strawberry.ID = strawberry.field(description="Global id of the community.")


@strawberry.type(description="You are no member any more, or your request is withdrawn.")
class LeaveCommunitySuccess:
    community: Community | None = strawberry.field(description="The community, if you can still see it.")


@strawberry.input(description="Whose invitation you accept.")
class AcceptInvitationInput:
    community_id: strawberry.ID = strawberry.field(description="Global id of the community.")


@strawberry.type(description="You are a member.")
class AcceptInvitationSuccess:
    community: Community = strawberry.field(description="The community with your membership.")


@strawberry.input(description="Whose invitation you decline.")
class DeclineInvitationInput:
    community_id: strawberry.ID = strawberry.field(description="Global id of the community.")


@strawberry.type(description="The invitation is turned down.")
class DeclineInvitationSuccess:
    community: Community | None = strawberry.field(description="The community, if you can still see it.")


JoinCommunityResult = Annotated[JoinCommunitySuccess | Refusal, result_union(JoinCommunitySuccess)]
LeaveCommunityResult = Annotated[LeaveCommunitySuccess | Refusal, result_union(LeaveCommunitySuccess)]
AcceptInvitationResult = Annotated[AcceptInvitationSuccess | Refusal, result_union(AcceptInvitationSuccess)]
DeclineInvitationResult = Annotated[DeclineInvitationSuccess | Refusal, result_union(DeclineInvitationSuccess)]


@strawberry.type
class MembershipMutations:
    @strawberry.mutation(
        description="Become a member of an open community or of one that invites you, or ask to become one where its "
        "managers decide. Doing it twice is doing it once."
    )
    @refusals
    async def join_community(self, info: Info, input: JoinCommunityInput) -> JoinCommunityResult:
        context = info.context
        community_id = local_id("Community", input.community_id, "input", "communityId")
        customer_id = await context.customer_id()
        role = await join_community(
            context.graph,
            community_id=community_id,
            customer_id=customer_id,
            message=input.message,
            invitation_code=input.invitation_code,
            in_segment=context.in_segment,
            now=context.now,
        )
        if is_member(role):
            context.edge.exposures.join(customer_id, community_id, now=context.now)
        return JoinCommunitySuccess(community=await community_after(info, community_id))

    @strawberry.mutation(description="End your membership or withdraw your request.")
    @refusals
    async def leave_community(self, info: Info, input: LeaveCommunityInput) -> LeaveCommunityResult:
        context = info.context
        community_id = local_id("Community", input.community_id, "input", "communityId")
        customer_id = await context.customer_id()
        await leave_community(context.graph, community_id=community_id, customer_id=customer_id, now=context.now)
        return LeaveCommunitySuccess(community=await changed_community(info, community_id))

    @strawberry.mutation(description="Become a member of a community that invites you.")
    @refusals
    async def accept_invitation(self, info: Info, input: AcceptInvitationInput) -> AcceptInvitationResult:
        context = info.context
        community_id = local_id("Community", input.community_id, "input", "communityId")
        customer_id = await context.customer_id()
        await accept_invitation(
            context.graph,
            community_id=community_id,
            customer_id=customer_id,
            in_segment=context.in_segment,
            now=context.now,
        )
        context.edge.exposures.join(customer_id, community_id, now=context.now)
        return AcceptInvitationSuccess(community=await community_after(info, community_id))

    @strawberry.mutation(description="Turn an invitation down.")
    @refusals
    async def decline_invitation(self, info: Info, input: DeclineInvitationInput) -> DeclineInvitationResult:
        context = info.context
        community_id = local_id("Community", input.community_id, "input", "communityId")
        customer_id = await context.customer_id()
        await decline_invitation(context.graph, community_id=community_id, customer_id=customer_id, now=context.now)
        return DeclineInvitationSuccess(community=await changed_community(info, community_id))
