"""Posts of communities."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import strawberry

from api.community.communities import Community, load_community
from api.context import Info
from api.customers.profiles import Customer, customer_of
from api.refusals import Refusal, refusals, result_union
from api.relay import (
    After,
    Before,
    Connection,
    CountedConnection,
    First,
    Last,
    Node,
    connection,
    counted,
    global_id,
    local_id,
)
from community.access import MemberRole, is_member
from community.content import Attachment, delete_content
from community.posts import NewPost, PostChange, PostKind, create_post, pin_post, update_post
from community.reactions import ReactionKind
from community.tallies import COMMENTS
from core.errors import NotFound
from core.paging import Page, window
from graph.client import Row

if TYPE_CHECKING:
    from api.community.comments import Comment

strawberry.enum(PostKind, name="PostKind", description="A question can have an accepted answer.")
strawberry.enum(ReactionKind, name="ReactionKind", description="How a member reacts.")


@strawberry.type(name="Attachment", description="Something elsewhere on the web that belongs to a post.")
class PostAttachment:
    url: str = strawberry.field(description="Its https address.")
    media_type: str = strawberry.field(description="Such as image/jpeg.")
    title: str = strawberry.field(description="What it is.")


@strawberry.type(description="How many members react in one way.")
class ReactionCount:
    kind: ReactionKind = strawberry.field(description="In which way.")
    count: int = strawberry.field(description="How many.")


@strawberry.type(description="What a post said before its author changed it.")
class PostEdit:
    version: int = strawberry.field(description="Number of this version; the first is 1.")
    text: str = strawberry.field(description="What it said.")
    written_at: datetime = strawberry.field(description="Since when it said so.")
    replaced_at: datetime = strawberry.field(description="Until when.")


@strawberry.interface(description="What a post and a comment have in common.")
class Content(Node):
    text: str | None = strawberry.field(description="What it says; null once it is deleted.")
    language: str = strawberry.field(description="Language of the text, as a tag such as zh or en.")
    created_at: datetime = strawberry.field(description="When it was written.")
    deleted_at: datetime | None = strawberry.field(description="When it was deleted; its place is kept.")
    author_role: MemberRole | None = strawberry.field(
        description="What its author is to the community now: EXPERT marks the bank's own; null for no member."
    )
    local: strawberry.Private[str]
    row: strawberry.Private[Row]

    @strawberry.field(description="Who wrote it; null for somebody who is gone.")
    def author(self) -> Customer | None:
        name = self.row["author_name"]
        return customer_of({"id": self.row["author_id"], "display_name": name}) if name is not None else None

    @strawberry.field(description="Whom it mentions.")
    async def mentions(self, info: Info) -> list[Customer]:
        rows = await info.context.loaders.customers.load_many(self.row["mentions"] or [])
        return [customer_of(row) for row in rows if row is not None]

    @strawberry.field(description="The community that it was written in.")
    async def community(self, info: Info) -> Community | None:
        return await load_community(info, self.row["community_id"])

    @strawberry.field(description="How many react, for each way that somebody reacts in.")
    async def reactions(self, info: Info) -> list[ReactionCount]:
        counts = await info.context.loaders.tallies.load(self.local)
        return [ReactionCount(kind=kind, count=counts[kind]) for kind in ReactionKind if kind in counts]

    @strawberry.field(description="Your own reactions.")
    async def viewer_reactions(self, info: Info) -> list[ReactionKind]:
        return await info.context.loaders.viewer_reactions.load(self.local)


@strawberry.type(description="Something that a member tells or asks the community.")
class Post(Content):
    kind: PostKind = strawberry.field(description="Whether it tells or asks.")
    edited_at: datetime | None = strawberry.field(description="When its author last changed it; null: never.")
    pinned_at: datetime | None = strawberry.field(description="When it was pinned; null: it is not.")
    attachments: list[PostAttachment] = strawberry.field(description="What belongs to it elsewhere.")

    @strawberry.field(description="How many comments it has, replies included and deleted ones not.")
    async def comment_count(self, info: Info) -> int:
        return (await info.context.loaders.tallies.load(self.local)).get(COMMENTS, 0)

    @strawberry.field(description="Comments, the oldest first; the replies to one follow it.")
    async def comments(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Annotated["Comment", strawberry.lazy("api.community.comments")]]:
        size, place = window(first, after, last, before)
        from api.community.comments import comment_of

        return connection(await info.context.loaders.comments_of(size, place).load(self.local), place, comment_of)

    @strawberry.field(description="The accepted answer of a question.")
    async def accepted_answer(
        self, info: Info
    ) -> Annotated["Comment", strawberry.lazy("api.community.comments")] | None:
        from api.community.comments import load_comment

        answer = self.row["accepted_comment_id"]
        return await load_comment(info, answer) if answer else None

    @strawberry.field(description="What it said before, the latest first; nothing of a deleted one.")
    async def edits(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> CountedConnection[PostEdit]:
        size, place = window(first, after, last, before)
        if self.deleted_at is not None:
            nothing: Page[Row] = Page([], [], has_next=False)
            return counted(nothing, place, edit_of, 0)
        page = await info.context.loaders.edits_of(size, place).load(self.local)
        # Each change keeps the version that it replaces.
        return counted(page, place, edit_of, self.row["version"] - 1)


def edit_of(row: Row) -> PostEdit:
    return PostEdit(
        version=row["version"], text=row["text"], written_at=row["written_at"], replaced_at=row["replaced_at"]
    )


def content_fields(kind: str, row: Row) -> dict[str, Any]:
    """The fields that posts and comments share."""
    role = row["author_role"]
    return {
        "id": global_id(kind, row["id"]),
        "text": row["text"],
        "language": row["language"],
        "created_at": row["created_at"],
        "deleted_at": row["deleted_at"],
        "author_role": MemberRole(role) if is_member(role) else None,
        "local": row["id"],
        "row": row,
    }


def post_of(row: Row | None) -> Post | None:
    if row is None:
        return None
    return Post(
        **content_fields("Post", row),
        kind=PostKind(row["kind"]),
        edited_at=row["edited_at"],
        pinned_at=row["pinned_at"],
        attachments=[PostAttachment(**found) for found in orjson.loads(row["attachments"] or "[]")],
    )


async def load_post(info: Info, post_id: str) -> Post | None:
    return post_of(await info.context.loaders.posts.load(post_id))


async def the_post(info: Info, post_id: str) -> Post:
    """The post as it is after a change of it."""
    post = await load_post(info, post_id)
    if post is None:
        raise NotFound(path=("postId",))
    return post


@strawberry.input(description="Something elsewhere on the web.")
class AttachmentInput:
    url: str = strawberry.field(description="Its https address.")
    media_type: str = strawberry.field(description="Such as image/jpeg.")
    title: str = strawberry.field(description="What it is, 1 to 200 characters.")


@strawberry.input(description="What a post needs.")
class CreatePostInput:
    community_id: strawberry.ID = strawberry.field(description="Global id of a community of yours.")
    text: str = strawberry.field(description="What it says, 1 to 10,000 characters.")
    kind: PostKind = strawberry.field(description="Whether it tells or asks.", default=PostKind.TEXT)
    language: str = strawberry.field(description="Language of the text, as a tag.", default="zh")
    mentions: list[strawberry.ID] = strawberry.field(
        description="Global ids of customers who may read it, at most 20.", default_factory=list
    )
    attachments: list[AttachmentInput] = strawberry.field(description="At most 10.", default_factory=list)


@strawberry.type(description="The post is written.")
class CreatePostSuccess:
    post: Post = strawberry.field(description="The post.")


@strawberry.input(description="What to change in a post of yours; what is left out stays.")
class UpdatePostInput:
    post_id: strawberry.ID = strawberry.field(description="Global id of the post.")
    text: str | None = strawberry.field(description="What it says, 1 to 10,000 characters.", default=None)
    language: str | None = strawberry.field(description="Language of the text, as a tag.", default=None)
    mentions: list[strawberry.ID] | None = strawberry.field(description="All whom it mentions.", default=None)
    attachments: list[AttachmentInput] | None = strawberry.field(description="All that belong to it.", default=None)


@strawberry.type(description="The post is changed, and what it said is kept.")
class UpdatePostSuccess:
    post: Post = strawberry.field(description="The post.")


@strawberry.input(description="Which post to delete.")
class DeletePostInput:
    post_id: strawberry.ID = strawberry.field(description="Global id of the post.")
    reason: str | None = strawberry.field(description="Why; a moderator gives one.", default=None)


@strawberry.type(description="The post is deleted.")
class DeletePostSuccess:
    post: Post = strawberry.field(description="What is left of it: its place.")


@strawberry.input(description="Which post to pin.")
class PinPostInput:
    post_id: strawberry.ID = strawberry.field(description="Global id of the post.")
    pinned: bool = strawberry.field(description="False to unpin it.", default=True)


@strawberry.type(description="The post is pinned, or not any more.")
class PinPostSuccess:
    post: Post = strawberry.field(description="The post.")


CreatePostResult = Annotated[CreatePostSuccess | Refusal, result_union(CreatePostSuccess)]
UpdatePostResult = Annotated[UpdatePostSuccess | Refusal, result_union(UpdatePostSuccess)]
DeletePostResult = Annotated[DeletePostSuccess | Refusal, result_union(DeletePostSuccess)]
PinPostResult = Annotated[PinPostSuccess | Refusal, result_union(PinPostSuccess)]


def customer_ids(ids: Sequence[strawberry.ID]) -> list[str]:
    return [local_id("Customer", value, "input", "mentions", str(place)) for place, value in enumerate(ids)]


def attachments_of(given: Sequence[AttachmentInput]) -> list[Attachment]:
    return [Attachment(url=one.url, media_type=one.media_type, title=one.title) for one in given]


@strawberry.type
class PostMutations:
    @strawberry.mutation(description="Write a post or ask a question in a community of yours.")
    @refusals
    async def create_post(self, info: Info, input: CreatePostInput) -> CreatePostResult:
        context = info.context
        new = NewPost(
            community_id=local_id("Community", input.community_id, "input", "communityId"),
            kind=input.kind,
            text=input.text,
            language=input.language,
            mentions=customer_ids(input.mentions),
            attachments=attachments_of(input.attachments),
        )
        post_id = await create_post(context.graph, new, author_id=await context.customer_id(), now=context.now)
        await context.changed(f"community:{new.community_id}", kind="POST_CREATED", id=post_id)
        return CreatePostSuccess(post=await the_post(info, post_id))

    @strawberry.mutation(description="Change a post of yours; every version is kept.")
    @refusals
    async def update_post(self, info: Info, input: UpdatePostInput) -> UpdatePostResult:
        context = info.context
        post_id = local_id("Post", input.post_id, "input", "postId")
        change = PostChange(
            text=input.text,
            language=input.language,
            mentions=None if input.mentions is None else customer_ids(input.mentions),
            attachments=None if input.attachments is None else attachments_of(input.attachments),
        )
        author_id = await context.customer_id()
        community_id = await update_post(context.graph, post_id, change, author_id=author_id, now=context.now)
        await context.changed(f"community:{community_id}", kind="POST_CHANGED", id=post_id)
        return UpdatePostSuccess(post=await the_post(info, post_id))

    @strawberry.mutation(description="Delete a post of yours or, with a reason, one in a community that you moderate.")
    @refusals
    async def delete_post(self, info: Info, input: DeletePostInput) -> DeletePostResult:
        context = info.context
        post_id = local_id("Post", input.post_id, "input", "postId")
        community_id = await delete_content(
            context.graph,
            "Post",
            post_id,
            actor_id=await context.customer_id(),
            reason=input.reason,
            now=context.now,
            path="postId",
        )
        await context.changed(f"community:{community_id}", kind="POST_DELETED", id=post_id)
        return DeletePostSuccess(post=await the_post(info, post_id))

    @strawberry.mutation(description="Pin a post in a community that you moderate, at most three; or unpin it.")
    @refusals
    async def pin_post(self, info: Info, input: PinPostInput) -> PinPostResult:
        context = info.context
        post_id = local_id("Post", input.post_id, "input", "postId")
        moderator_id = await context.customer_id()
        community_id = await pin_post(
            context.graph, post_id, pinned=input.pinned, moderator_id=moderator_id, now=context.now
        )
        await context.changed(f"community:{community_id}", kind="POST_PINNED", id=post_id)
        return PinPostSuccess(post=await the_post(info, post_id))
