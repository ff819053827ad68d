"""Communities: what they say of themselves, who belongs to them, and what the viewer is to them."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from api.ahead import read_ahead
from api.community.rosters import (
    AuditEntryConnection,
    BannedCustomerConnection,
    CommunityMemberConnection,
    InvitedCustomerConnection,
    MembershipRequestConnection,
    audit_connection,
    banned_connection,
    invited_connection,
    member_connection,
    request_connection,
)
from api.context import Context, Info
from api.customers.profiles import Customer, Tag, load_customer, tags_of
from api.named_segments import segment_seen
from api.relay import (
    After,
    Before,
    Connection,
    First,
    Last,
    Mark,
    Node,
    PageInfo,
    connection,
    global_id,
    local_id,
    page_info,
)
from api.selections import at_hand, only_loads
from community.access import MANAGERS, ROLES, VISIBILITIES, MemberRole, Visibility, may_list_guests, may_read
from community.communities import JOIN_POLICIES, JoinPolicy, list_communities
from community.rosters import invitations_of
from core.errors import NotFound
from core.paging import Page, Place, window
from graph.client import Row
from graph.eligibility import Tier

if TYPE_CHECKING:
    from api.community.events import Event
    from api.community.posts import Post

strawberry.enum(Visibility, name="Visibility", description="Who finds a community.")
strawberry.enum(JoinPolicy, name="JoinPolicy", description="How one becomes a member.")
strawberry.enum(Tier, name="Tier", description="How closely the bank looks after a customer, the least first.")

NOTHING: Page[Row] = Page(rows=[], cursors=[], has_next=False)
Roles = Annotated[list[MemberRole] | None, strawberry.argument(description="Only members in one of these roles.")]


@strawberry.type(description="The words of a community in both languages, for whoever edits them.")
class CommunityTexts:
    name_zh: str = strawberry.field(description="Name in Chinese.")
    name_en: str = strawberry.field(description="Name in English.")
    purpose_zh: str = strawberry.field(description="Purpose in Chinese.")
    purpose_en: str = strawberry.field(description="Purpose in English.")
    description_zh: str = strawberry.field(description="Description in Chinese.")
    description_en: str = strawberry.field(description="Description in English.")
    rules_zh: str = strawberry.field(description="Rules in Chinese.")
    rules_en: str = strawberry.field(description="Rules in English.")


@strawberry.type(description="People with an interest in common.")
class Community(Node):
    name: str = strawberry.field(description="Name in the language of the request.")
    purpose: str = strawberry.field(description="What it is for, in the language of the request.")
    visibility: Visibility = strawberry.field(description="Who finds it.")
    join_policy: JoinPolicy = strawberry.field(description="How one becomes a member.")
    minimum_tier: Tier | None = strawberry.field(description="The least tier of its members; null: every tier.")
    required_tags: list[str] = strawberry.field(description="Keys of the tags that its members must all have.")
    member_count: int = strawberry.field(description="How many members it has.")
    viewer_role: MemberRole | None = strawberry.field(
        description="What you are to it, also while you are PENDING or INVITED; null when you are nothing."
    )
    created_at: datetime = strawberry.field(description="Since when it exists.")
    archived_at: datetime | None = strawberry.field(description="Since when it is closed; null while it is open.")
    local: strawberry.Private[str]
    row: strawberry.Private[Row]
    context: strawberry.Private[Context]
    # Makes its tags, where they were read with it.
    about: strawberry.Private[Callable[[], list[Tag]] | None] = None

    @strawberry.field(description="What it is, at length, in the language of the request.")
    def description(self) -> str:
        return self.context.text(self.row, "description") or ""

    @strawberry.field(description="What members agree to, in the language of the request.")
    def rules(self) -> str:
        return self.context.text(self.row, "rules") or ""

    @strawberry.field(description="Whether `joinCommunity` would make you a member or file your request.")
    async def viewer_may_join(self, info: Info) -> bool:
        row = self.row
        if row["archived_at"] is not None or not may_ask_to_join(row):
            return False
        if row["segment_id"] is not None and not await info.context.viewer_segments.load(row["segment_id"]):
            return False
        if not row["minimum_tier"] and not row["required_tags"]:
            return await info.context.viewer_id() is not None
        return await info.context.loaders.viewer_eligibility.load(self.local)

    @strawberry.field(
        description="Global id of the segment that it is for, for its managers; null: for no one segment."
    )
    def segment_id(self) -> strawberry.ID | None:
        return segment_seen(self.row["segment_id"], sees=self.row["viewer_role"] in MANAGERS)

    @strawberry.field(description="Its words in both languages, as the inputs take them.")
    def texts(self) -> CommunityTexts:
        return CommunityTexts(**texts_of(self.row, "name", "purpose", "description", "rules"))

    @strawberry.field(description="Whether you manage it.")
    def viewer_may_manage(self) -> bool:
        return self.row["viewer_role"] in MANAGERS

    @property
    def tags_at_hand(self) -> list[Tag] | None:
        return self.about() if self.about else None

    @strawberry.field(description="What it is about.")
    @only_loads
    @at_hand("tags_at_hand")
    async def tags(self, info: Info) -> list[Tag]:
        return tags_of(await info.context.loaders.community_tags.load(self.local), info)

    @strawberry.field(
        description="Members in the order in which they joined; with `roles`, those only. None for outsiders of a "
        "private community."
    )
    @only_loads
    async def members(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        roles: Roles = None,
        last: Last = None,
        before: Before = None,
    ) -> CommunityMemberConnection:
        size, place = window(first, after, last, before)
        page = await info.context.loaders.members(size, place, tuple(roles or ())).load(self.local)
        total = None if roles or not may_read(self.row["visibility"], self.row["viewer_role"]) else self.member_count
        return member_connection(page, place, total)

    @strawberry.field(description="Who asks to join, the longest first; null for all but its owners and managers.")
    async def pending_members(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> MembershipRequestConnection | None:
        size, place = window(first, after, last, before)
        page = await self.guests(info, MemberRole.PENDING, size, place)
        return None if page is None else request_connection(page, place)

    @strawberry.field(description="Who is invited; null for all but its owners and managers.")
    async def invited_members(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> InvitedCustomerConnection | None:
        size, place = window(first, after, last, before)
        page = await self.guests(info, MemberRole.INVITED, size, place)
        return None if page is None else invited_connection(page, place)

    @strawberry.field(description="Who is banned; null for all but its owners, managers and moderators, who lift bans.")
    async def banned_members(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> BannedCustomerConnection | None:
        size, place = window(first, after, last, before)
        page = await self.guests(info, MemberRole.BANNED, size, place)
        return None if page is None else banned_connection(page, place)

    async def guests(self, info: Info, role: MemberRole, first: int | None, after: Place) -> Page[Row] | None:
        if not may_list_guests(self.row["viewer_role"], role):
            return None
        return await info.context.loaders.guests(role, first, after).load(self.local)

    @strawberry.field(
        description="Every act in its government, the latest first; null for all but its owners and administrators."
    )
    async def audit_trail(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> AuditEntryConnection | None:
        size, place = window(first, after, last, before)
        if self.row["viewer_role"] != MemberRole.OWNER and not info.context.signed_in().is_administrator:
            return None
        page = await info.context.loaders.audit_trails(size, place).load(self.local)
        return audit_connection(page, place)

    @strawberry.field(description="Events by their start; only those that have not ended, unless `past` is true.")
    @only_loads
    async def events(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        past: Annotated[
            bool,
            strawberry.argument(
                description="Whether to show those that are over, the latest first, instead of those to come."
            ),
        ] = False,
    ) -> Connection[Annotated["Event", strawberry.lazy("api.community.events")]]:
        from api.community.events import event_of

        if not may_read(self.row["visibility"], self.row["viewer_role"]):
            return connection(NOTHING, after, lambda row: event_of(row, info))
        page = await info.context.loaders.community_events(first, after, past).load(self.local)
        return connection(page, after, lambda row: event_of(row, info))

    @strawberry.field(description="Posts, the newest first; none for whoever may not read them.")
    async def posts(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Annotated["Post", strawberry.lazy("api.community.posts")]]:
        size, place = window(first, after, last, before)
        from api.community.posts import post_of

        return connection(await info.context.loaders.posts_of(size, place).load(self.local), place, post_of)

    @strawberry.field(description="Pinned posts, at most three, the latest pinned first.")
    async def pinned_posts(self, info: Info) -> list[Annotated["Post", strawberry.lazy("api.community.posts")]]:
        from api.community.posts import post_of

        posts = [post_of(row) for row in await info.context.loaders.pinned_posts.load(self.local)]
        return [post for post in posts if post is not None]


def may_ask_to_join(row: Row) -> bool:
    """Whether nothing but conditions stands against the viewer's joining, as the community was read for them."""
    role = row["viewer_role"]
    if role == MemberRole.INVITED:
        return True
    return role is None and row["visibility"] != Visibility.PRIVATE and row["join_policy"] != JoinPolicy.INVITE


def texts_of(row: Row, *names: str) -> dict[str, str]:
    """The words of these names in both languages; what is not there is empty."""
    keys = [f"{name}_{language}" for name in names for language in ("zh", "en")]
    return {key: row[key] or "" for key in keys}


def community_of(row: Row | None, info: Info) -> Community | None:
    if row is None:
        return None
    context, role = info.context, row["viewer_role"]
    return Community(
        id=global_id("Community", row["id"]),
        name=context.text(row, "name"),
        purpose=context.text(row, "purpose") or "",
        visibility=VISIBILITIES[row["visibility"]],
        join_policy=JOIN_POLICIES[row["join_policy"]],
        minimum_tier=Tier(row["minimum_tier"]) if row["minimum_tier"] else None,
        required_tags=row["required_tags"],
        member_count=row["member_count"],
        viewer_role=ROLES[role] if role and role != MemberRole.BANNED else None,
        created_at=row["created_at"],
        archived_at=row["archived_at"],
        local=row["id"],
        row=row,
        context=context,
    )


async def load_community(info: Info, community_id: str) -> Community | None:
    return community_of(await info.context.loaders.communities.load(community_id), info)


async def community_page(info: Info, page: Page[str], after: Place) -> Connection[Community]:
    """A connection of communities from a page of their ids."""
    rows = await info.context.loaders.communities.load_many(page.rows)
    return connection(
        Page(rows, page.cursors, page.has_next, page.has_previous), after, lambda row: community_of(row, info)
    )


async def changed_community(info: Info, community_id: str) -> Community | None:
    """The community after a change in it, of which the worker and live listeners are told."""
    await info.context.changed(f"community:{community_id}", kind="MEMBERS")
    return await load_community(info, community_id)


async def community_after(info: Info, community_id: str) -> Community:
    """The same for whoever belongs to it; raises NotFound where they lost sight of it meanwhile."""
    community = await changed_community(info, community_id)
    if community is None:
        raise NotFound(path=("communityId",))
    return community


@strawberry.type(description="An invitation that waits for your answer.")
class InvitationEdge:
    cursor: Mark = strawberry.field(graphql_type=str, description="Marks its place.")
    node: Community = strawberry.field(description="The community that invites you.")
    since: datetime = strawberry.field(description="When you were invited.")
    inviter_local: strawberry.Private[str | None]

    @strawberry.field(description="Who invited you.")
    async def invited_by(self, info: Info) -> Customer | None:
        return await load_customer(info, self.inviter_local) if self.inviter_local else None


@strawberry.type(description="A page of your invitations.")
class InvitationConnection:
    edges: list[InvitationEdge] = strawberry.field(description="The invitations of this page.")
    page_info: PageInfo = strawberry.field(description="Where it ends and whether more follow.")


async def invitation_page(info: Info, first: int | None, after: Place) -> InvitationConnection:
    """The viewer's invitations."""
    customer_id = await info.context.viewer_id() or ""
    page = await invitations_of(info.context.graph, customer_id, first=first, after=after)
    rows = await info.context.loaders.communities.load_many([row["community_id"] for row in page.rows])
    edges = [
        InvitationEdge(cursor=cursor, node=node, since=row["since"], inviter_local=row["invited_by"])
        for cursor, row, found in zip(page.marks(), page.rows, rows, strict=True)
        if (node := community_of(found, info)) is not None
    ]
    return InvitationConnection(edges=edges, page_info=page_info(page, after))


@strawberry.type
class CommunityQueries:
    @strawberry.field(description="A community that you may see.")
    async def community(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Global id of the community.")]
    ) -> Community | None:
        info.context.signed_in()
        local, loaders = local_id("Community", id, "id"), info.context.loaders
        read_ahead(
            info,
            members=lambda first=None, after=None, roles=None, last=None, before=None: loaders.members(
                *window(first, after, last, before), tuple(roles or ())
            ).load(local),
            events=lambda first=None, after=None, past=False: loaders.community_events(first, after, past).load(local),
            tags=lambda: loaders.community_tags.load(local),
        )
        return await load_community(info, local)

    @strawberry.field(
        description="Communities that are listed for you, all of them or those about a tag: public ones and your own."
    )
    async def communities(
        self,
        info: Info,
        tag: Annotated[str | None, strawberry.argument(description="Key of a tag that they are about.")] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Community]:
        size, place = window(first, after, last, before)
        viewer_id = await info.context.viewer_id()
        page = await list_communities(info.context.graph, viewer_id=viewer_id, tag=tag, first=size, after=place)
        return await community_page(info, page, place)
