"""Recommended communities as they are read: the stored list in one round trip, less what no longer holds since."""

from collections.abc import Iterator
from operator import itemgetter
from typing import Any

import orjson

from community.access import Visibility
from community.communities import COMMUNITY_COLUMNS, COMMUNITY_UNSET
from core.clock import iso, utc_now
from core.paging import Page, cut, decode_cursor, page_size
from graph.client import GraphClient, Row
from graph.eligibility import ELIGIBLE, HELD_TAGS, is_eligible

# Never what the viewer is to already (a member, invited, banned, waiting for an answer), has dismissed, or is not open
# to. Communities have no limit of members, so that none of them is full. Who is in a segment stands in SQL, which would
# be a second round trip: what is for one is not recommended, not even to those within.
NEVER = "[(me)-[:MEMBER_OF]->(j:Community) | j.id] + [(me)-[d:DISMISSED]->(n:Community) WHERE d.until > $now | n.id]"
TAG_NAMES = ("key", "name_zh", "name_en", "family")
ABOUT = """[(c)-[:ABOUT]->(t:Tag) | {key: t.key, name_zh: t.name_zh, name_en: t.name_en, family: t.family}] AS about"""
# Of a list no more is read than a page and some to spare: nearly all of it is still open to them.
SPARE = 2
# No list is longer.
LONGEST = 1_000

# The list in its own order, which is `at`, in one row: many columns of many rows cost more than the reading itself. It
# is the only statement for whoever has a list, so it does nothing that can be done outside.
RECOMMENDED = (
    """
MATCH (l:RecommendationList {customer_id: $customer_id})
MATCH (me:Customer {id: $customer_id})
WITH l.community_ids AS ids, l.scores AS scores, l.reasons AS reasons, l.variant AS variant, me.tier AS tier, """
    + HELD_TAGS
    + " AS held, "
    + NEVER
    + """ AS out
WITH ids, scores, reasons, variant, tier, held,
     [place IN range(0, size(ids) - 1) WHERE place > $at AND NOT ids[place] IN out] AS places
UNWIND places[0..$most] AS place
MATCH (c:Community {id: ids[place]})
WITH variant, tier, held, size(places) > $most AS is_cut,
     [place, scores[place], reasons[place], properties(c),
      [(c)-[:ABOUT]->(t:Tag) | [t.key, t.name_zh, t.name_en, t.family]]] AS one
RETURN variant, tier, held, is_cut, collect(one) AS found
"""
)

# Three ranks: the list (0); for those who have none, what matches their tags now (1); and what is popular (2), among
# the communities about a tag where one is asked for, because a list holds few about one tag. Each is shown only once.
RECOMMENDED_ANYWAY = (
    """
OPTIONAL MATCH (me:Customer {id: $customer_id})
OPTIONAL MATCH (l:RecommendationList {customer_id: $customer_id})
OPTIONAL MATCH (me)-[:MEMBER_OF]->(j:Community)
WITH me, l, collect(j.id) AS joined
OPTIONAL MATCH (me)-[d:DISMISSED]->(n:Community)
WHERE d.until > $now
WITH me, l, joined, collect(n.id) AS dismissed
WITH me, joined + dismissed AS out, coalesce(l.community_ids, []) AS ids, l.scores AS scores, l.reasons AS reasons,
     l.variant AS variant
CALL (me, ids, scores, reasons) {
  UNWIND range(0, size(ids) - 1) AS place
  MATCH (k:Community {id: ids[place]})
  RETURN k, 0 AS rank, toFloat(place) AS at, scores[place] AS score, reasons[place] AS why, [] AS tags
UNION ALL
  MATCH (me)-[g:TAGGED]->(t:Tag)<-[:ABOUT]-(k:Community)
  WHERE size(ids) = 0 AND (g.until IS NULL OR g.until > $now)
  WITH k, sum(coalesce(g.confidence, 1.0)) AS confidence, collect(t.key) AS tags
  WITH k, confidence + log(1.0 + k.member_count) / 1000 AS score, tags
  RETURN k, 1 AS rank, -score AS at, score, null AS why, tags
UNION ALL
  MATCH (p:Popularity {name: 'communities'})
  WHERE size(ids) = 0 AND $tag IS NULL
  UNWIND range(0, size(p.community_ids) - 1) AS place
  MATCH (k:Community {id: p.community_ids[place]})
  RETURN k, 2 AS rank, -p.scores[place] AS at, p.scores[place] AS score, null AS why, [] AS tags
UNION ALL
  MATCH (:Tag {key: $tag})<-[:ABOUT]-(k:Community)
  WITH k, log(1.0 + k.member_count) / 1000 AS score
  RETURN k, 2 AS rank, -score AS at, score, null AS why, [] AS tags
}
WITH me, out, variant, k AS x, rank, at, score, why, tags
WHERE x.visibility = 'PUBLIC' AND x.archived_at IS NULL AND NOT x.id IN out
  AND ($tag IS NULL OR EXISTS { (x)-[:ABOUT]->(:Tag {key: $tag}) })
  AND x.segment_id IS NULL AND """
    + ELIGIBLE
    + """
WITH x AS c, variant, rank, at, score, why, tags
ORDER BY rank
WITH c, variant, head(collect({rank: rank, at: at, score: score, why: why, tags: tags})) AS found
WITH c, variant, found, found.rank AS rank, found.at AS at, c.id AS key
WHERE rank > $rank OR (rank = $rank AND (at > $at OR (at = $at AND key > $id)))
WITH c, variant, found, rank, at, key
ORDER BY rank, at, key
LIMIT $limit
RETURN variant, rank, at, found.score AS score, found.why AS why, found.tags AS tags,
       """
    + ABOUT
    + ", "
    + COMMUNITY_COLUMNS
)
KEY = itemgetter("key")
# What is said of the recommendation and not of the community.
OWN_COLUMNS = ("variant", "rank", "at", "score", "why", "tags", "about")


async def recommended_communities(
    graph: GraphClient, customer_id: str, *, tag: str | None, first: int | None, after: str | None
) -> Page[Row]:
    """Communities for the customer with score and reasons, the best first, less what no longer holds since the run.

    With a tag, those about it; who has no list, or is unknown, gets what matches their tags and what is popular. Each
    row holds the community as it is read everywhere and its tags, so that nothing is asked again; `variant` is by which
    policy the list was made, None where that is not known. A list, and all about a tag, is one round trip; who has no
    list, or nothing left of it, costs another.
    """
    size = page_size(first)
    cursor: tuple[Any, ...] = decode_cursor(after, int, float, str) or (-1, -1.0, "")
    rank, at, last_id = cursor
    now = iso(utc_now())
    rows: list[Row] = []
    if tag is None and rank < 1:
        rows = await of_list(graph, customer_id, at=at, now=now, limit=size + 1)
    if not rows:
        behind: dict[str, Any] = {"rank": rank, "at": at, "id": last_id}
        asked: dict[str, Any] = {"customer_id": customer_id, "tag": tag, "now": now, "limit": size + 1}
        rows = [apart(row) for row in await graph.read(RECOMMENDED_ANYWAY, **asked, **behind)]
    # The engine need not keep the order of what it was cut by.
    rows = sorted(rows, key=lambda row: (row["rank"], row["at"], row["id"]))
    page = cut(rows, size, lambda row: (row["rank"], float(row["at"]), row["id"]))
    return Page([shown(row) for row in page.rows], page.cursors, page.has_next)


async def of_list(graph: GraphClient, customer_id: str, *, at: float, now: str, limit: int) -> list[Row]:
    """What is still open to the customer of their list behind a place; nothing where they have none."""
    rows: list[Row] = []
    for most in (limit + SPARE, LONGEST):
        found = await graph.read(RECOMMENDED, customer_id=customer_id, at=at, now=now, most=most)
        rows = [row for listed in found for row in rows_of_list(listed)]
        # Where more of a list is closed by now than there was to spare, the rest of it is read as well.
        if len(rows) >= limit or not found or not found[0]["is_cut"]:
            break
    return rows


def rows_of_list(listed: Row) -> Iterator[Row]:
    """The communities of a list as rows of their own, without those that are not open to the customer."""
    variant, tier, held = listed["variant"], listed["tier"], listed["held"]
    for place, score, why, community, about in listed["found"]:
        # Whoever is anything to it already is not recommended it.
        c = {**COMMUNITY_UNSET, **community, "viewer_role": None}
        is_open = c["visibility"] == Visibility.PUBLIC and c["archived_at"] is None and c["segment_id"] is None
        if is_open and is_eligible(tier, held, c["minimum_tier"], c["required_tags"]):
            tags = [dict(zip(TAG_NAMES, tag, strict=True)) for tag in about]
            own = {"variant": variant, "score": score, "why": why, "tags": [], "about": tags}
            yield {"id": c["id"], **own, "rank": 0, "at": float(place), "community": c}


def apart(row: Row) -> Row:
    """A row whose columns are those of the recommendation and of the community, with the latter by themselves."""
    community = {name: value for name, value in row.items() if name not in OWN_COLUMNS}
    community["viewer_role"] = None
    return {"id": row["id"], **{name: row[name] for name in OWN_COLUMNS}, "community": community}


def shown(row: Row) -> Row:
    """A row as it is read from a list or, without one, with the reason for which it was found."""
    return {
        "community_id": row["id"],
        "score": row["score"],
        "reasons": reasons_of(row),
        "variant": row["variant"],
        "community": row["community"],
        "about": sorted(row["about"], key=KEY),
    }


def reasons_of(row: Row) -> list[dict[str, Any]]:
    if row["why"] is not None:
        return orjson.loads(row["why"])
    if row["tags"]:
        return [{"kind": "SHARED_TAGS", "tags": sorted(row["tags"])}]
    return [{"kind": "POPULAR"}]
