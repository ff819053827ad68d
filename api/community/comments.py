"""Comments on posts, replies, and accepted answers."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.community.posts import Content, Post, content_fields, customer_ids, load_post, the_post
from api.context import Info
from api.refusals import Refusal, refusals, result_union
from api.relay import global_id, local_id
from community.comments import NewComment, accept_answer, create_comment
from community.content import delete_content
from core.errors import NotFound
from graph.client import Row


@strawberry.type(description="What a member says to a post or to another comment of it.")
class Comment(Content):
    parent_id: strawberry.ID | None = strawberry.field(
        description="The comment whose replies it belongs to; null for a comment on the post itself."
    )
    accepted_at: datetime | None = strawberry.field(description="When it was accepted as the answer.")

    @strawberry.field(description="The post.")
    async def post(self, info: Info) -> Post | None:
        return await load_post(info, self.row["post_id"])


def comment_of(row: Row | None) -> Comment | None:
    if row is None:
        return None
    parent = row["parent_id"]
    return Comment(
        **content_fields("Comment", row),
        parent_id=global_id("Comment", parent) if parent else None,
        accepted_at=row["accepted_at"],
    )


async def load_comment(info: Info, comment_id: str) -> Comment | None:
    return comment_of(await info.context.loaders.comments.load(comment_id))


async def the_comment(info: Info, comment_id: str) -> Comment:
    """The comment as it is after a change of it."""
    comment = await load_comment(info, comment_id)
    if comment is None:
        raise NotFound(path=("commentId",))
    return comment


@strawberry.input(description="What a comment needs.")
class CreateCommentInput:
    post_id: strawberry.ID = strawberry.field(description="Global id of the post.")
    text: str = strawberry.field(description="What it says, 1 to 10,000 characters.")
    reply_to: strawberry.ID | None = strawberry.field(
        description="Global id of the comment that it replies to; null: it is about the post.", default=None
    )
    language: str = strawberry.field(description="Language of the text, as a tag.", default="zh")
    mentions: list[strawberry.ID] = strawberry.field(
        description="Global ids of customers who may read it, at most 20.", default_factory=list
    )


@strawberry.type(description="The comment is written.")
class CreateCommentSuccess:
    comment: Comment = strawberry.field(description="The comment.")


@strawberry.input(description="Which comment to delete.")
class DeleteCommentInput:
    comment_id: strawberry.ID = strawberry.field(description="Global id of the comment.")
    reason: str | None = strawberry.field(description="Why; a moderator gives one.", default=None)


@strawberry.type(description="The comment is deleted.")
class DeleteCommentSuccess:
    comment: Comment = strawberry.field(description="What is left of it: its place.")


@strawberry.input(description="Which comment answers the question.")
class AcceptAnswerInput:
    comment_id: strawberry.ID = strawberry.field(description="Global id of a comment on the question.")


@strawberry.type(description="The question is answered.")
class AcceptAnswerSuccess:
    post: Post = strawberry.field(description="The question with its answer.")


CreateCommentResult = Annotated[CreateCommentSuccess | Refusal, result_union(CreateCommentSuccess)]
DeleteCommentResult = Annotated[DeleteCommentSuccess | Refusal, result_union(DeleteCommentSuccess)]
AcceptAnswerResult = Annotated[AcceptAnswerSuccess | Refusal, result_union(AcceptAnswerSuccess)]


@strawberry.type
class CommentMutations:
    @strawberry.mutation(description="Comment on a post in a community of yours, or reply to a comment of it.")
    @refusals
    async def create_comment(self, info: Info, input: CreateCommentInput) -> CreateCommentResult:
        context = info.context
        reply_to = input.reply_to
        new = NewComment(
            post_id=local_id("Post", input.post_id, "input", "postId"),
            text=input.text,
            language=input.language,
            reply_to=None if reply_to is None else local_id("Comment", reply_to, "input", "replyTo"),
            mentions=customer_ids(input.mentions),
        )
        author_id = await context.customer_id()
        comment_id, community_id = await create_comment(context.graph, new, author_id=author_id, now=context.now)
        await context.changed(f"community:{community_id}", kind="COMMENT_CREATED", id=comment_id)
        return CreateCommentSuccess(comment=await the_comment(info, comment_id))

    @strawberry.mutation(
        description="Delete a comment of yours or, with a reason, one in a community that you moderate."
    )
    @refusals
    async def delete_comment(self, info: Info, input: DeleteCommentInput) -> DeleteCommentResult:
        context = info.context
        comment_id = local_id("Comment", input.comment_id, "input", "commentId")
        community_id = await delete_content(
            context.graph,
            "Comment",
            comment_id,
            actor_id=await context.customer_id(),
            reason=input.reason,
            now=context.now,
            path="commentId",
        )
        await context.changed(f"community:{community_id}", kind="COMMENT_DELETED", id=comment_id)
        return DeleteCommentSuccess(comment=await the_comment(info, comment_id))

    @strawberry.mutation(description="Accept an answer to your question, or as a moderator; one for each question.")
    @refusals
    async def accept_answer(self, info: Info, input: AcceptAnswerInput) -> AcceptAnswerResult:
        context = info.context
        comment_id = local_id("Comment", input.comment_id, "input", "commentId")
        actor_id = await context.customer_id()
        post_id, community_id = await accept_answer(context.graph, comment_id, actor_id=actor_id, now=context.now)
        await context.changed(f"community:{community_id}", kind="COMMENT_ACCEPTED", id=comment_id)
        return AcceptAnswerSuccess(post=await the_post(info, post_id))
