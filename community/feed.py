"""The feed of a customer: the newest posts and published events of all their communities, in one round trip."""

from typing import LiteralString

from community.access import IS_MEMBER
from community.communities import READ_COMMUNITIES
from community.content import seen
from community.event_rows import event_row
from community.events import READ_EVENTS
from community.posts import READ_POSTS
from core.paging import Page, Place, cut, goes_back, page_size, position_at
from graph.client import GraphClient, Row
from graph.nested import nested

# Who belongs to more communities than this sees those that they joined last.
MOST_COMMUNITIES = 500

# Each community gives at most one page from the end of its range, and the newest of these are the page: the cost
# follows from the number of communities and not from their age. `feed_order` is `{community}:{when}:{id}` on both
# labels, only while there is something to show. The equality is for the embedded engine (see graph/ranges.py), which
# reads all items of a community for it.
FEED: LiteralString = (
    """
MATCH (me:Customer {id: $viewer_id})-[m:MEMBER_OF]->(c:Community)
WHERE """
    + IS_MEMBER
    + """
WITH c, m
ORDER BY m.since DESC
LIMIT $communities
WITH c.id AS community_id
CALL (community_id) {
  MATCH (x:Post {community_id: community_id})
  WHERE x.feed_order > community_id + $low AND x.feed_order < community_id + $high
  RETURN 'Post' AS kind, x.id AS key, x.feed_order AS place
  ORDER BY place DESC
  LIMIT $limit
UNION ALL
  MATCH (x:Event {community_id: community_id})
  WHERE x.feed_order > community_id + $low AND x.feed_order < community_id + $high AND x.status <> 'DRAFT'
  RETURN 'Event' AS kind, x.id AS key, x.feed_order AS place
  ORDER BY place DESC
  LIMIT $limit
}
WITH community_id, kind, key, substring(place, size(community_id) + 1) AS place
ORDER BY place DESC
LIMIT $limit
RETURN kind, key, place, """
    + nested(READ_COMMUNITIES, "community_id")
    + " AS community, "
    + nested(READ_POSTS, "key")
    + " AS post, "
    + nested(READ_EVENTS, "key")
    + """ AS event
ORDER BY place DESC
"""
)


# From the end of the list each community gives a page from the beginning of its range.
FEED_BACK: LiteralString = FEED.replace("ORDER BY place DESC", "ORDER BY place")


async def feed_of(graph: GraphClient, customer_id: str, *, first: int | None, after: Place) -> Page[Row]:
    """Rows with `kind` and the row of the post or event under its name, and that of its community; newest first.

    A cursor is an instant and an id, so what is posted meanwhile shifts nothing.
    """
    size, position = page_size(first), position_at(after, str, str)
    passed, back = f":{position[0]}:{position[1]}" if position else "", goes_back(after)
    low, high = (passed or ":", ";") if back else (":", passed or ";")
    names: Row = {"viewer_id": customer_id, "limit": size + 1, "communities": MOST_COMMUNITIES}
    rows = await graph.read(FEED_BACK if back else FEED, low=low, high=high, **names)
    return cut([shown(row) for row in rows], size, place_of, after)


def place_of(row: Row) -> tuple[str, str]:
    """The instant, which has colons itself, and the id."""
    at, _, item_id = row["place"].rpartition(":")
    return at, item_id


def shown(row: Row) -> Row:
    """The row with its post and its event as other readings give them."""
    posts = seen([row["post"]]) if row["post"] else []
    event = event_row(row["event"]) if row["event"] else None
    return {**row, "post": posts[0] if posts else None, "event": event}
