"""Posts and comments for tests."""

from datetime import datetime
from typing import Any

from community.comments import NewComment, create_comment
from community.posts import NewPost, PostKind, create_post
from core.clock import utc_now
from graph.client import GraphClient
from graph.owed import Effect, owed_effects


async def write_post(
    graph: GraphClient,
    community_id: str,
    author_id: str,
    *,
    text: str = "Where does the light fall best?",
    kind: PostKind = PostKind.TEXT,
    now: datetime | None = None,
    **more: Any,
) -> str:
    new = NewPost(community_id=community_id, kind=kind, text=text, language="en", **more)
    return await create_post(graph, new, author_id=author_id, now=now or utc_now())


async def write_comment(
    graph: GraphClient,
    post_id: str,
    author_id: str,
    *,
    text: str = "By the lake.",
    reply_to: str | None = None,
    now: datetime | None = None,
    **more: Any,
) -> str:
    new = NewComment(post_id=post_id, text=text, language="en", reply_to=reply_to, **more)
    return (await create_comment(graph, new, author_id=author_id, now=now or utc_now()))[0]


async def effects_about(graph: GraphClient, *ids: str) -> list[Effect]:
    """What the graph owes that names any of these ids."""
    found: list[Effect] = []
    after = ""
    while rows := await owed_effects(graph, after=after, limit=500):
        found += [row["effect"] for row in rows if any(name in row["key"] for name in ids)]
        after = rows[-1]["key"]
    return found


def notices(effects: list[Effect]) -> list[tuple[str, str]]:
    """Kind and customer of each notice among the effects."""
    told = [effect.payload for effect in effects if effect.topic == "notice.owed"]
    return sorted((payload["kind"], payload["customer_id"]) for payload in told)
