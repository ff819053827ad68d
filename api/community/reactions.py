"""Reactions to posts and comments."""

from typing import Annotated

import strawberry

from api.community.comments import load_comment
from api.community.posts import Content, load_post
from api.context import Info
from api.refusals import Refusal, refusals, result_union
from api.relay import IdInvalid, split_id
from community.content import Target
from community.reactions import ReactionKind, react
from core.errors import NotFound


def target_of(value: str) -> tuple[Target, str]:
    """What kind of content a global id names, and its local id; raises IdInvalid."""
    kind, local = split_id(value, "input", "targetId")
    if kind == "Post":
        return "Post", local
    if kind == "Comment":
        return "Comment", local
    raise IdInvalid(path=("input", "targetId"), detail="an id of Post or Comment is expected")


async def load_content(info: Info, kind: str, local: str) -> Content | None:
    return await load_post(info, local) if kind == "Post" else await load_comment(info, local)


async def the_content(info: Info, kind: Target, local: str) -> Content:
    content = await load_content(info, kind, local)
    if content is None:
        raise NotFound(path=("targetId",))
    return content


@strawberry.input(description="How you react to what.")
class AddReactionInput:
    target_id: strawberry.ID = strawberry.field(description="Global id of a post or comment.")
    kind: ReactionKind = strawberry.field(description="How you react.")


@strawberry.type(description="Your reaction is there.")
class AddReactionSuccess:
    target: Content = strawberry.field(description="The post or comment.")


@strawberry.input(description="Which reaction to take back.")
class RemoveReactionInput:
    target_id: strawberry.ID = strawberry.field(description="Global id of a post or comment.")
    kind: ReactionKind = strawberry.field(description="How you reacted.")


@strawberry.type(description="Your reaction is gone.")
class RemoveReactionSuccess:
    target: Content = strawberry.field(description="The post or comment.")


AddReactionResult = Annotated[AddReactionSuccess | Refusal, result_union(AddReactionSuccess)]
RemoveReactionResult = Annotated[RemoveReactionSuccess | Refusal, result_union(RemoveReactionSuccess)]


@strawberry.type
class ReactionMutations:
    @strawberry.mutation(description="React to a post or comment; each way once, however often it is asked.")
    @refusals
    async def add_reaction(self, info: Info, input: AddReactionInput) -> AddReactionResult:
        return AddReactionSuccess(target=await reacted(info, input.target_id, input.kind, on=True))

    @strawberry.mutation(description="Take a reaction back; one that is not there is taken back already.")
    @refusals
    async def remove_reaction(self, info: Info, input: RemoveReactionInput) -> RemoveReactionResult:
        return RemoveReactionSuccess(target=await reacted(info, input.target_id, input.kind, on=False))


async def reacted(info: Info, target_id: str, reaction: ReactionKind, *, on: bool) -> Content:
    """React, tell live listeners, and show the content with its counts."""
    context = info.context
    kind, local = target_of(target_id)
    customer_id = await context.customer_id()
    community_id = await react(context.graph, kind, local, reaction, on=on, customer_id=customer_id, now=context.now)
    # A reaction owes nothing to other stores, so no worker is woken for it.
    await context.edge.ring(f"community:{community_id}", {"kind": f"{kind.upper()}_REACTED", "id": local})
    return await the_content(info, kind, local)
