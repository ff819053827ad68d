"""Creating, changing and archiving communities."""

from typing import Annotated, Any

import strawberry

from api.community.communities import Community, community_after, load_community
from api.context import Info
from api.named_segments import check_named, named_segment
from api.refusals import Refusal, refusals, result_union
from api.relay import local_id
from community.access import Visibility
from community.charters import archive_community, create_community, update_community
from community.communities import JoinPolicy
from core.errors import NotFound
from graph.eligibility import Tier


@strawberry.input(description="What a new community is; each text in both languages.")
class CreateCommunityInput:
    name_zh: str = strawberry.field(description="Name in Chinese, 1 to 100 characters.")
    name_en: str = strawberry.field(description="Name in English, 1 to 100 characters.")
    purpose_zh: str = strawberry.field(description="What it is for, in Chinese, up to 300 characters.", default="")
    purpose_en: str = strawberry.field(description="What it is for, in English, up to 300 characters.", default="")
    description_zh: str = strawberry.field(description="At length, in Chinese, up to 5000 characters.", default="")
    description_en: str = strawberry.field(description="At length, in English, up to 5000 characters.", default="")
    rules_zh: str = strawberry.field(description="Rules in Chinese, up to 5000 characters.", default="")
    rules_en: str = strawberry.field(description="Rules in English, up to 5000 characters.", default="")
    tags: list[str] = strawberry.field(description="Keys of up to 10 tags.", default_factory=list[str])
    visibility: Visibility = strawberry.field(description="Who finds it.", default=Visibility.PUBLIC)
    join_policy: JoinPolicy = strawberry.field(description="How one becomes a member.", default=JoinPolicy.OPEN)
    minimum_tier: Tier | None = strawberry.field(description="The least tier; null: every tier.", default=None)
    required_tags: list[str] = strawberry.field(
        description="Keys of up to 10 tags that members must all have.", default_factory=list[str]
    )
    segment_id: strawberry.ID | None = strawberry.field(
        description="Global id of the segment of customers that it is for; null: none.", default=None
    )


@strawberry.type(description="The community is there, and you own it.")
class CreateCommunitySuccess:
    community: Community = strawberry.field(description="The new community.")


@strawberry.input(description="What to change; a field that is left out stays.")
class UpdateCommunityInput:
    community_id: strawberry.ID = strawberry.field(description="Global id of the community.")
    name_zh: str | None = strawberry.field(description="Name in Chinese.", default=strawberry.UNSET)
    name_en: str | None = strawberry.field(description="Name in English.", default=strawberry.UNSET)
    purpose_zh: str | None = strawberry.field(description="What it is for, in Chinese.", default=strawberry.UNSET)
    purpose_en: str | None = strawberry.field(description="What it is for, in English.", default=strawberry.UNSET)
    description_zh: str | None = strawberry.field(description="At length, in Chinese.", default=strawberry.UNSET)
    description_en: str | None = strawberry.field(description="At length, in English.", default=strawberry.UNSET)
    rules_zh: str | None = strawberry.field(description="Rules in Chinese.", default=strawberry.UNSET)
    rules_en: str | None = strawberry.field(description="Rules in English.", default=strawberry.UNSET)
    tags: list[str] | None = strawberry.field(description="Keys of all its tags.", default=strawberry.UNSET)
    visibility: Visibility | None = strawberry.field(
        description="Who finds it; for owners to change.", default=strawberry.UNSET
    )
    join_policy: JoinPolicy | None = strawberry.field(
        description="How one becomes a member; for owners to change.", default=strawberry.UNSET
    )
    minimum_tier: Tier | None = strawberry.field(
        description="The least tier, null for every tier; for owners to change.", default=strawberry.UNSET
    )
    required_tags: list[str] | None = strawberry.field(
        description="Keys of the tags that new members must have; for owners to change.", default=strawberry.UNSET
    )
    segment_id: strawberry.ID | None = strawberry.field(
        description="Global id of the segment whose customers may join, null for none; for owners to change.",
        default=strawberry.UNSET,
    )


@strawberry.type(description="The community is changed.")
class UpdateCommunitySuccess:
    community: Community = strawberry.field(description="The community as it is now.")


@strawberry.input(description="Which community to close.")
class ArchiveCommunityInput:
    community_id: strawberry.ID = strawberry.field(description="Global id of the community.")


@strawberry.type(description="The community is closed.")
class ArchiveCommunitySuccess:
    community: Community = strawberry.field(description="The community as it is now.")


CreateCommunityResult = Annotated[CreateCommunitySuccess | Refusal, result_union(CreateCommunitySuccess)]
UpdateCommunityResult = Annotated[UpdateCommunitySuccess | Refusal, result_union(UpdateCommunitySuccess)]
ArchiveCommunityResult = Annotated[ArchiveCommunitySuccess | Refusal, result_union(ArchiveCommunitySuccess)]


async def fields_of(info: Info, given: CreateCommunityInput | UpdateCommunityInput) -> dict[str, Any]:
    """The fields that the client sent, less the id; raises SegmentUnknown."""
    found = {
        name: value for name, value in vars(given).items() if name != "community_id" and value is not strawberry.UNSET
    }
    if "segment_id" in found:
        found["segment_id"] = named_segment(found["segment_id"])
    await check_named(info, found)
    return found


def seen(community: Community | None) -> Community:
    if community is None:
        raise NotFound(path=("communityId",))
    return community


@strawberry.type
class CharterMutations:
    @strawberry.mutation(description="Found a community and own it. A customer owns up to 20 at a time.")
    @refusals
    async def create_community(self, info: Info, input: CreateCommunityInput) -> CreateCommunityResult:
        context = info.context
        owner_id = await context.customer_id()
        fields = await fields_of(info, input)
        community_id = await create_community(context.graph, fields, owner_id=owner_id, now=context.now)
        await context.changed()
        return CreateCommunitySuccess(community=seen(await load_community(info, community_id)))

    @strawberry.mutation(description="Change a community that you manage.")
    @refusals
    async def update_community(self, info: Info, input: UpdateCommunityInput) -> UpdateCommunityResult:
        context = info.context
        community_id = local_id("Community", input.community_id, "input", "communityId")
        manager_id = await context.customer_id()
        fields = await fields_of(info, input)
        await update_community(context.graph, fields, community_id=community_id, manager_id=manager_id, now=context.now)
        return UpdateCommunitySuccess(community=await community_after(info, community_id))

    @strawberry.mutation(description="Close a community that you own: nobody comes in, what is there can be read.")
    @refusals
    async def archive_community(self, info: Info, input: ArchiveCommunityInput) -> ArchiveCommunityResult:
        context = info.context
        community_id = local_id("Community", input.community_id, "input", "communityId")
        owner_id = await context.customer_id()
        await archive_community(context.graph, community_id=community_id, owner_id=owner_id, now=context.now)
        return ArchiveCommunitySuccess(community=await community_after(info, community_id))
