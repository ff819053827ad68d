"""The feed of the viewer's communities."""

from typing import Annotated

import strawberry

from api.community.events import Event, event_of
from api.community.posts import Post, post_of
from api.context import Info
from api.relay import Connection, connection
from community.feed import feed_of
from core.paging import Place
from graph.client import Row

FeedItem = Annotated[Post | Event, strawberry.union("FeedItem", description="A post or a published event.")]


async def feed_page(info: Info, first: int | None, after: Place) -> Connection[FeedItem]:
    """The viewer's feed; somebody without a profile belongs to nothing."""
    loaders = info.context.loaders
    customer_id = await info.context.viewer_id() or ""
    page = await feed_of(info.context.graph, customer_id, first=first, after=after)
    for row in page.rows:
        # What the one round trip has brought already is not asked for again.
        if row["community"] is not None:
            loaders.communities.prime(row["community"]["id"], row["community"])
    return connection(page, after, lambda row: item_of(row, info))


def item_of(row: Row, info: Info) -> Post | Event | None:
    return post_of(row["post"]) if row["kind"] == "Post" else event_of(row["event"], info)
