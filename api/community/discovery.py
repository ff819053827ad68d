"""Searching communities, events and posts, and the calendar of all events that one may find."""

import asyncio
from datetime import datetime
from typing import Annotated

import strawberry

from api.community.events import Event, event_of
from api.context import Info
from api.nodes import LOADERS
from api.relay import Connection, Edge, Node, PageInfo, local_id
from community.discovery import LABELS, Found, FoundPage, Question, find_events, search
from community.search_keys import Area, SearchKind

strawberry.enum(SearchKind, name="SearchKind", description="What can be found.")


@strawberry.input(description="A circle on the earth.")
class NearInput:
    latitude: float = strawberry.field(description="Degrees north of the equator, -90 to 90.")
    longitude: float = strawberry.field(description="Degrees east of Greenwich, -180 to 180.")
    radius_km: float = strawberry.field(description="Kilometres along the great circle, at most 500.")


@strawberry.type(description="Something that was found.")
class SearchEdge:
    cursor: str = strawberry.field(description="Marks its place; it stays valid when others are inserted.")
    node: Node = strawberry.field(description="A Community, an Event or a Post.")
    score: float = strawberry.field(description="1 where its title has all the words, 0.5 where the rest of it does.")


@strawberry.type(description="A page of what was found.")
class SearchConnection:
    edges: list[SearchEdge] = strawberry.field(description="What was found.")
    page_info: PageInfo = strawberry.field(
        description="Where to go on; a page may be short, or empty, although more follows."
    )


Text = Annotated[
    str | None,
    strawberry.argument(
        description="Words that must all occur, in Chinese or English; of Chinese characters every second pair."
    ),
]
Near = Annotated[NearInput | None, strawberry.argument(description="Only events inside this circle.")]
From = Annotated[
    datetime | None,
    strawberry.argument(
        name="from",
        description="Only events that start then or later; default: those to come, and those under way that began "
        "within 24 hours.",
    ),
]
To = Annotated[datetime | None, strawberry.argument(description="Only events that start before.")]
First = Annotated[int | None, strawberry.argument(description="How many, 1 to 100; default 20.")]
After = Annotated[str | None, strawberry.argument(description="The end cursor of the page before.")]


def area_of(near: NearInput | None) -> Area | None:
    return Area(near.latitude, near.longitude, near.radius_km) if near else None


def page_info_of(page: FoundPage, after: str | None) -> PageInfo:
    start = page.cursors[0] if page.cursors else page.end
    return PageInfo(
        has_next_page=page.has_next, has_previous_page=after is not None, start_cursor=start, end_cursor=page.end
    )


def keep(info: Info, page: FoundPage) -> None:
    """Hand what was read while it was found to the loaders, so that nothing is read twice."""
    for found in page.rows:
        if found.kind == SearchKind.EVENT:
            info.context.loaders.events.prime(found.id, found.row)
        elif found.kind == SearchKind.COMMUNITY:
            info.context.loaders.communities.prime(found.id, found.row)


async def node_of(info: Info, found: Found) -> Node | None:
    """What was found, under the rules of its own kind; None when it has gone from view since."""
    load = LOADERS.get(LABELS[found.kind])
    return await load(info, found.id) if load else None


@strawberry.type
class DiscoveryQueries:
    @strawberry.field(
        description="What you may find: those whose title has all the words first; then communities, the newest first, "
        "events by their start, posts, the newest first. Time and place ask for events only, a tag for no posts."
    )
    async def search(
        self,
        info: Info,
        text: Text = None,
        kinds: Annotated[
            list[SearchKind] | None, strawberry.argument(description="What to look for; default: everything.")
        ] = None,
        tag: Annotated[str | None, strawberry.argument(description="Key of a tag that it is about.")] = None,
        near: Near = None,
        from_: From = None,
        to: To = None,
        first: First = None,
        after: After = None,
    ) -> SearchConnection:
        context = info.context
        context.signed_in()
        page = await search(
            context.graph,
            context.database,
            Question(text, [tag] if tag else (), None, area_of(near), from_, to),
            list(SearchKind) if kinds is None else kinds,
            viewer_id=await context.viewer_id(),
            now=context.now,
            first=first,
            after=after,
        )
        keep(info, page)
        nodes = await asyncio.gather(*(node_of(info, row) for row in page.rows))
        edges = [
            SearchEdge(cursor=cursor, node=node, score=row.score)
            for cursor, row, node in zip(page.cursors, page.rows, nodes, strict=True)
            if node is not None
        ]
        return SearchConnection(edges=edges, page_info=page_info_of(page, after))

    @strawberry.field(description="Events of all communities that you may find, in the order of their start.")
    async def events(
        self,
        info: Info,
        community_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only events of this community.")
        ] = None,
        text: Text = None,
        tags: Annotated[
            list[str] | None, strawberry.argument(description="Keys of tags; events about any of them.")
        ] = None,
        from_: From = None,
        to: To = None,
        near: Near = None,
        free_only: Annotated[bool, strawberry.argument(description="Only events that cost no points.")] = False,
        first: First = None,
        after: After = None,
    ) -> Connection[Event]:
        context = info.context
        context.signed_in()
        community = local_id("Community", community_id, "communityId") if community_id else None
        page = await find_events(
            context.graph,
            context.database,
            Question(text, tags or (), community, area_of(near), from_, to, free_only),
            viewer_id=await context.viewer_id(),
            now=context.now,
            first=first,
            after=after,
        )
        keep(info, page)
        edges = [
            Edge[Event](cursor=cursor, node=event)
            for cursor, found in zip(page.cursors, page.rows, strict=True)
            if (event := event_of(found.row, info)) is not None
        ]
        return Connection[Event](edges=edges, page_info=page_info_of(page, after))
