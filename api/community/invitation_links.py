"""Invitation links of communities."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.community.communities import Community, community_after
from api.context import Info
from api.refusals import Refusal, refusals, result_union
from api.relay import global_id, local_id
from community.invitation_links import create_invitation_link, read_invitation, revoke_invitation_link


@strawberry.type(description="What whoever has a link is told of the community, a private one too.")
class InvitationPreview:
    community_id: strawberry.ID = strawberry.field(description="Global id, for joinCommunity.")
    name: str = strawberry.field(description="Name in the language of the request.")
    purpose: str = strawberry.field(description="What it is for, in the language of the request.")
    member_count: int = strawberry.field(description="How many members it has.")
    expires_at: datetime = strawberry.field(description="Until when the link is good.")


@strawberry.input(description="Which community gets a link, and for how long.")
class CreateInvitationLinkInput:
    community_id: strawberry.ID = strawberry.field(description="Global id of the community.")
    valid_days: int = strawberry.field(description="For how many days it is good, 1 to 90.", default=7)


@strawberry.type(description="The link is good; one from before is not any more.")
class CreateInvitationLinkSuccess:
    code: str = strawberry.field(
        description="For joinCommunity; shown only now, because whoever has it becomes a member."
    )
    expires_at: datetime = strawberry.field(description="Until when it is good.")
    community: Community = strawberry.field(description="The community.")


@strawberry.input(description="Whose link is taken back.")
class RevokeInvitationLinkInput:
    community_id: strawberry.ID = strawberry.field(description="Global id of the community.")


@strawberry.type(description="The link is good no more.")
class RevokeInvitationLinkSuccess:
    community: Community = strawberry.field(description="The community.")


CreateInvitationLinkResult = Annotated[CreateInvitationLinkSuccess | Refusal, result_union(CreateInvitationLinkSuccess)]
RevokeInvitationLinkResult = Annotated[RevokeInvitationLinkSuccess | Refusal, result_union(RevokeInvitationLinkSuccess)]


@strawberry.type
class InvitationLinkQueries:
    @strawberry.field(description="What an invitation link is for; null where its code is not good any more.")
    async def invitation(
        self, info: Info, code: Annotated[str, strawberry.argument(description="The code at the end of the link.")]
    ) -> InvitationPreview | None:
        context = info.context
        context.signed_in()
        row = await read_invitation(context.graph, code, now=context.now)
        if row is None:
            return None
        return InvitationPreview(
            community_id=global_id("Community", row["id"]),
            name=context.text(row, "name"),
            purpose=context.text(row, "purpose") or "",
            member_count=row["member_count"],
            expires_at=row["expires_at"],
        )


@strawberry.type
class InvitationLinkMutations:
    @strawberry.mutation(
        description="Make a link that lets whoever has it become a member, of a private community too. Its owners and "
        "managers may; there is one at a time."
    )
    @refusals
    async def create_invitation_link(self, info: Info, input: CreateInvitationLinkInput) -> CreateInvitationLinkResult:
        context = info.context
        community_id = local_id("Community", input.community_id, "input", "communityId")
        manager_id = await context.customer_id()
        link = await create_invitation_link(
            context.graph,
            community_id=community_id,
            manager_id=manager_id,
            valid_days=input.valid_days,
            now=context.now,
        )
        community = await community_after(info, community_id)
        return CreateInvitationLinkSuccess(code=link.code, expires_at=link.expires_at, community=community)

    @strawberry.mutation(description="Take the community's invitation link back.")
    @refusals
    async def revoke_invitation_link(self, info: Info, input: RevokeInvitationLinkInput) -> RevokeInvitationLinkResult:
        context = info.context
        community_id = local_id("Community", input.community_id, "input", "communityId")
        manager_id = await context.customer_id()
        await revoke_invitation_link(context.graph, community_id=community_id, manager_id=manager_id, now=context.now)
        return RevokeInvitationLinkSuccess(community=await community_after(info, community_id))
