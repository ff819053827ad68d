"""What managers do about those who want in: they approve and reject requests, and invite."""

from typing import Annotated

import strawberry

from api.community.member_acts import MemberAct, act_on
from api.context import Info
from api.refusals import Refusal, refusals, result_union
from community.admissions import approve_member, invite_member, reject_member


@strawberry.input(description="Whose request to approve.")
class ApproveMemberInput:
    community_id: strawberry.ID = strawberry.field(description="Global id of the community.")
    customer_id: strawberry.ID = strawberry.field(description="Global id of the customer.")


@strawberry.type(description="The customer is a member.")
class ApproveMemberSuccess(MemberAct):
    pass


@strawberry.input(description="Whose request to reject.")
class RejectMemberInput:
    community_id: strawberry.ID = strawberry.field(description="Global id of the community.")
    customer_id: strawberry.ID = strawberry.field(description="Global id of the customer.")
    reason: str | None = strawberry.field(description="Why, 1 to 500 characters; for the audit trail.", default=None)


@strawberry.type(description="The request is gone; the customer may ask again.")
class RejectMemberSuccess(MemberAct):
    pass


@strawberry.input(description="Whom to invite to which community.")
class InviteMemberInput:
    community_id: strawberry.ID = strawberry.field(description="Global id of the community.")
    customer_id: strawberry.ID = strawberry.field(description="Global id of the customer.")


@strawberry.type(description="The customer is invited.")
class InviteMemberSuccess(MemberAct):
    pass


ApproveMemberResult = Annotated[ApproveMemberSuccess | Refusal, result_union(ApproveMemberSuccess)]
RejectMemberResult = Annotated[RejectMemberSuccess | Refusal, result_union(RejectMemberSuccess)]
InviteMemberResult = Annotated[InviteMemberSuccess | Refusal, result_union(InviteMemberSuccess)]


@strawberry.type
class AdmissionMutations:
    @strawberry.mutation(description="Admit a customer who asked to join a community that you manage.")
    @refusals
    async def approve_member(self, info: Info, input: ApproveMemberInput) -> ApproveMemberResult:
        act = await act_on(info, input.community_id, input.customer_id)
        await approve_member(
            info.context.graph,
            community_id=act.community_id,
            customer_id=act.customer_id,
            manager_id=act.actor_id,
            in_segment=info.context.in_segment,
            now=info.context.now,
        )
        info.context.edge.exposures.join(act.customer_id, act.community_id, now=info.context.now)
        return ApproveMemberSuccess(**await act.outcome(info))

    @strawberry.mutation(description="Refuse a customer who asked to join a community that you manage.")
    @refusals
    async def reject_member(self, info: Info, input: RejectMemberInput) -> RejectMemberResult:
        act = await act_on(info, input.community_id, input.customer_id)
        await reject_member(
            info.context.graph,
            community_id=act.community_id,
            customer_id=act.customer_id,
            manager_id=act.actor_id,
            reason=input.reason,
            now=info.context.now,
        )
        return RejectMemberSuccess(**await act.outcome(info))

    @strawberry.mutation(
        description="Invite a customer to a community that you manage. Whoever is invited sees it, even a private one."
    )
    @refusals
    async def invite_member(self, info: Info, input: InviteMemberInput) -> InviteMemberResult:
        act = await act_on(info, input.community_id, input.customer_id)
        await invite_member(
            info.context.graph,
            community_id=act.community_id,
            customer_id=act.customer_id,
            manager_id=act.actor_id,
            now=info.context.now,
        )
        return InviteMemberSuccess(**await act.outcome(info))
