"""Communities, their members, and joining them."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from api.context import Info
from api.customers.profiles import Customer, Tag, customer_of, tag_of
from api.refusals import Refusal, refusals
from api.relay import Connection, Node, PageInfo, connection, global_id, local_id, page_info
from community.access import MemberRole, Visibility
from community.communities import JoinPolicy, list_communities
from community.memberships import join_community, leave_community
from core.errors import NotFound
from core.paging import Page
from graph.client import Row

if TYPE_CHECKING:
    from api.community.events import Event
    from api.community.posts import Post

strawberry.enum(Visibility, name="Visibility", description="Who finds a community.")
strawberry.enum(JoinPolicy, name="JoinPolicy", description="How one becomes a member.")
strawberry.enum(MemberRole, name="MemberRole", description="What a member may do.")


@strawberry.type(description="A member of a community.")
class CommunityMemberEdge:
    cursor: str = strawberry.field(description="Marks this member's place.")
    node: Customer = strawberry.field(description="The member.")
    role: MemberRole = strawberry.field(description="What they may do.")
    since: datetime = strawberry.field(description="Since when they are a member.")


@strawberry.type(description="A page of members.")
class CommunityMemberConnection:
    edges: list[CommunityMemberEdge] = strawberry.field(description="The members of this page.")
    page_info: PageInfo = strawberry.field(description="Where it ends and whether more follow.")


@strawberry.type(description="People with an interest in common.")
class Community(Node):
    name: str = strawberry.field(description="Name in the language of the request.")
    purpose: str = strawberry.field(description="What it is for, in the language of the request.")
    visibility: Visibility = strawberry.field(description="Who finds it.")
    join_policy: JoinPolicy = strawberry.field(description="How one becomes a member.")
    member_count: int = strawberry.field(description="How many members it has.")
    viewer_role: MemberRole | None = strawberry.field(description="Your role; null when you are no member.")
    created_at: datetime = strawberry.field(description="Since when it exists.")
    local: strawberry.Private[str]

    @strawberry.field(description="What it is about.")
    async def tags(self, info: Info) -> list[Tag]:
        return [tag_of(row, info) for row in await info.context.loaders.community_tags.load(self.local)]

    @strawberry.field(description="Members in the order in which they joined.")
    async def members(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> CommunityMemberConnection:
        page = await info.context.loaders.members(first, after).load(self.local)
        return member_connection(page, after)

    @strawberry.field(description="Events by their start; only those that have not ended, unless `past` is true.")
    async def events(
        self, info: Info, first: int | None = None, after: str | None = None, past: bool = False
    ) -> Connection[Annotated["Event", strawberry.lazy("api.community.events")]]:
        from api.community.events import event_of

        page = await info.context.loaders.community_events(first, after, past).load(self.local)
        rows = await info.context.loaders.events.load_many([row["id"] for row in page.rows])
        return connection(Page(rows, page.cursors, page.has_next), after, lambda row: event_of(row, info))

    @strawberry.field(description="Posts, the newest first; none for whoever may not read them.")
    async def posts(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> Connection[Annotated["Post", strawberry.lazy("api.community.posts")]]:
        from api.community.posts import post_of

        return connection(await info.context.loaders.posts_of(first, after).load(self.local), after, post_of)

    @strawberry.field(description="Pinned posts, at most three, the latest pinned first.")
    async def pinned_posts(self, info: Info) -> list[Annotated["Post", strawberry.lazy("api.community.posts")]]:
        from api.community.posts import post_of

        posts = [post_of(row) for row in await info.context.loaders.pinned_posts.load(self.local)]
        return [post for post in posts if post is not None]


def member_connection(page: Page[Row], after: str | None) -> CommunityMemberConnection:
    edges = [
        CommunityMemberEdge(cursor=cursor, node=customer_of(row), role=MemberRole(row["role"]), since=row["since"])
        for cursor, row in zip(page.cursors, page.rows, strict=True)
    ]
    return CommunityMemberConnection(edges=edges, page_info=page_info(page, after))


def community_of(row: Row | None, info: Info) -> Community | None:
    if row is None:
        return None
    role = row["viewer_role"]
    return Community(
        id=global_id("Community", row["id"]),
        name=info.context.text(row, "name"),
        purpose=info.context.text(row, "purpose") or "",
        visibility=Visibility(row["visibility"]),
        join_policy=JoinPolicy(row["join_policy"]),
        member_count=row["member_count"],
        viewer_role=MemberRole(role) if role and role != MemberRole.BANNED else None,
        created_at=row["created_at"],
        local=row["id"],
    )


async def load_community(info: Info, community_id: str) -> Community | None:
    return community_of(await info.context.loaders.communities.load(community_id), info)


async def community_page(info: Info, page: Page[str], after: str | None) -> Connection[Community]:
    """A connection of communities from a page of their ids."""
    rows = await info.context.loaders.communities.load_many(page.rows)
    return connection(Page(rows, page.cursors, page.has_next), after, lambda row: community_of(row, info))


@strawberry.input(description="Which community to join.")
class JoinCommunityInput:
    community_id: strawberry.ID = strawberry.field(description="Global id of the community.")


@strawberry.type(description="You are a member.")
class JoinCommunitySuccess:
    community: Community = strawberry.field(description="The community with your membership.")


@strawberry.input(description="Which community to leave.")
class LeaveCommunityInput:
    community_id: strawberry.ID = strawberry.field(description="Global id of the community.")


@strawberry.type(description="You are no member any more.")
class LeaveCommunitySuccess:
    community: Community | None = strawberry.field(description="The community, if you can still see it.")


JoinCommunityResult = Annotated[JoinCommunitySuccess | Refusal, strawberry.union("JoinCommunityResult")]
LeaveCommunityResult = Annotated[LeaveCommunitySuccess | Refusal, strawberry.union("LeaveCommunityResult")]


@strawberry.type
class CommunityQueries:
    @strawberry.field(description="A community that you may see.")
    async def community(self, info: Info, id: strawberry.ID) -> Community | None:
        info.context.signed_in()
        return await load_community(info, local_id("Community", id, "id"))

    @strawberry.field(description="Public communities, all of them or those about a tag.")
    async def communities(
        self, info: Info, tag: str | None = None, first: int | None = None, after: str | None = None
    ) -> Connection[Community]:
        info.context.signed_in()
        return await community_page(
            info, await list_communities(info.context.graph, tag=tag, first=first, after=after), after
        )


@strawberry.type
class CommunityMutations:
    @strawberry.mutation(description="Become a member of an open community; joining twice is joining once.")
    @refusals
    async def join_community(self, info: Info, input: JoinCommunityInput) -> JoinCommunityResult:
        community_id = local_id("Community", input.community_id, "input", "communityId")
        customer_id = await info.context.customer_id()
        await join_community(
            info.context.graph, community_id=community_id, customer_id=customer_id, now=info.context.now
        )
        community = await load_community(info, community_id)
        if community is None:
            raise NotFound(path=("communityId",))
        return JoinCommunitySuccess(community=community)

    @strawberry.mutation(description="End your membership.")
    @refusals
    async def leave_community(self, info: Info, input: LeaveCommunityInput) -> LeaveCommunityResult:
        community_id = local_id("Community", input.community_id, "input", "communityId")
        customer_id = await info.context.customer_id()
        await leave_community(
            info.context.graph, community_id=community_id, customer_id=customer_id, now=info.context.now
        )
        return LeaveCommunitySuccess(community=await load_community(info, community_id))
