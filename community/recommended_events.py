"""Events to come to: what the viewer's communities, interests and people speak for, sooner and nearer first."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from community.access import IS_LISTED, MAY_READ
from community.search_keys import Area, distance
from core.clock import iso, parse_instant
from core.paging import Page, cut, decode_cursor, page_size
from graph.client import GraphClient, Row
from graph.eligibility import ELIGIBLE

# So many of the soonest are weighed; beyond them an event is too far ahead to be worth a recommendation.
MOST_WEIGHED = 200
# A smaller number of acquaintances would tell who they are.
SMALLEST_COUNT = 5
# After so many days, and beyond so many kilometres, an event is worth half.
HALF_DAYS = 14.0
HALF_KILOMETRES = 15.0
# What each kind of evidence, itself between 0 and 1, is worth.
OWN_COMMUNITY = 1.0
SHARED_TAGS = 0.8
ACQUAINTANCES = 0.6
REFERRAL_TIES = 0.8
# Where the ties' evidence is worth half.
HALF_TIES = 3.0
NAMED_AT_MOST = 3

# Who goes is counted only where they are enough (or are the viewer's own referees who chose to be found), and otherwise
# adds nothing, because an order would tell as much as a number. Of a series the next event stands for all.
WEIGHED = (
    """
MATCH (me:Customer {id: $customer_id})
OPTIONAL MATCH (me)-[:REGISTERED_FOR]->(mine:Event)
WITH me, collect(mine.id) AS registered
OPTIONAL MATCH (me)-[d:DISMISSED]->(n:Event)
WHERE d.until > $now
WITH me, registered, collect(n.id) AS dismissed
WITH me, registered + dismissed AS out
CALL (me) {
  MATCH (me)-[m:MEMBER_OF]->(:Community)-[:HOSTS]->(e:Event)
  WHERE m.role IN ['OWNER', 'MANAGER', 'MODERATOR', 'EXPERT', 'MEMBER']
    AND e.status = 'PUBLISHED' AND e.starts_at > $now
  RETURN e, true AS own, null AS tag, 0.0 AS sure, null AS friend, null AS referee
UNION ALL
  MATCH (me)-[g:TAGGED]->(t:Tag)<-[:ABOUT]-(e:Event)
  WHERE (g.until IS NULL OR g.until > $now) AND e.status = 'PUBLISHED' AND e.starts_at > $now
  RETURN e, false AS own, t AS tag, coalesce(g.confidence, 1.0) AS sure, null AS friend, null AS referee
UNION ALL
  MATCH (me)-[:KNOWS]-(p:Customer)-[r:REGISTERED_FOR]->(e:Event)
  WHERE r.status = 'REGISTERED' AND e.status = 'PUBLISHED' AND e.starts_at > $now
  RETURN e, false AS own, null AS tag, 0.0 AS sure, p.id AS friend, null AS referee
UNION ALL
  MATCH (me)-[:REFERRED]->(p:Customer)-[r:REGISTERED_FOR]->(e:Event)
  WHERE p.discoverable AND r.status = 'REGISTERED' AND e.status = 'PUBLISHED' AND e.starts_at > $now
  RETURN e, false AS own, null AS tag, 0.0 AS sure, null AS friend, p.id AS referee
}
WITH me, out, e, max(CASE WHEN own THEN 1 ELSE 0 END) AS own, collect(DISTINCT friend) AS friends,
     collect(DISTINCT referee) AS referees,
     collect(CASE WHEN tag IS NULL THEN null
             ELSE {key: tag.key, name_zh: tag.name_zh, name_en: tag.name_en, sure: sure} END) AS tags
WHERE NOT e.id IN out AND e.segment_id IS NULL
  AND (own = 1 OR size(tags) > 0 OR size(friends) >= $smallest OR size(referees) > 0)
  AND (e.registration_closes_at IS NULL OR e.registration_closes_at > $now)
  AND ((coalesce(e.attendance_mode, 'IN_PERSON') <> 'ONLINE'
        AND (e.capacity IS NULL OR coalesce(e.registered, 0) < e.capacity))
    OR (coalesce(e.attendance_mode, 'IN_PERSON') <> 'IN_PERSON'
        AND (e.link_capacity IS NULL OR coalesce(e.link_registered, 0) < e.link_capacity)))
MATCH (c:Community {id: e.community_id})
OPTIONAL MATCH (me)-[m:MEMBER_OF]->(c)
WITH me, e AS x, c, m, own, friends, referees, tags
WHERE c.archived_at IS NULL AND coalesce(m.role, '') <> 'BANNED' AND """
    + IS_LISTED
    + " AND "
    + MAY_READ
    + " AND "
    + ELIGIBLE
    + """
RETURN x.id AS id, x.series_id AS series_id, x.starts_at AS starts_at, x.latitude AS latitude,
       x.longitude AS longitude, c.id AS community_id, own = 1 AS own, size(friends) AS friends,
       size(referees) AS referees, tags
ORDER BY starts_at, id
LIMIT $limit
"""
)


@dataclass(frozen=True, slots=True)
class Weighed:
    """An event with what it is worth and why, the strongest reason first."""

    id: str
    score: float
    reasons: list[dict[str, Any]]


async def recommended_events(
    graph: GraphClient,
    customer_id: str,
    *,
    near: Area | None,
    first: int | None,
    after: str | None,
    now: datetime,
) -> Page[Weighed]:
    """Events that the customer might like to come to, the best first; one round trip, and one to read the events.

    All pages are as of `now` of the first, which the cursors carry: else what is worth less by the hour would stand on
    two pages. Near which place, where that is said; what is outside of the circle is left out.
    """
    size = page_size(first)
    position = decode_cursor(after, int, float, str)
    as_of = datetime.fromtimestamp(clamped(int(position[0])), UTC) if position else now.replace(microsecond=0)
    rows = await graph.read(WEIGHED, customer_id=customer_id, now=iso(now), smallest=SMALLEST_COUNT, limit=MOST_WEIGHED)
    found = sorted(weighed(next_of_series(rows), near, as_of), key=lambda one: (-one.score, one.id))
    if position:
        found = [one for one in found if (-one.score, one.id) > (-float(position[1]), str(position[2]))]
    return cut(found, size, lambda one: (int(as_of.timestamp()), one.score, one.id))


def clamped(second: int) -> int:
    """A second of a cursor within what is an instant."""
    return min(max(second, 0), 2**32)


def next_of_series(rows: Sequence[Row]) -> list[Row]:
    """Of each series the first event, of rows in the order of their start; what is of none stays."""
    seen: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: (row["starts_at"], row["id"])):
        seen.setdefault(row["series_id"] or row["id"], row)
    return list(seen.values())


def weighed(rows: Sequence[Row], near: Area | None, now: datetime) -> list[Weighed]:
    """What each event is worth: the evidence for it, halved by two weeks of waiting and by some kilometres of way."""
    found: list[Weighed] = []
    for row in rows:
        kilometres = way_to(row, near)
        if near is not None and kilometres is not None and kilometres > near.radius:
            continue
        reasons = reasons_of(row)
        days = max(0.0, (parse_instant(row["starts_at"]) - now).total_seconds() / 86_400)
        score = (
            sum(worth for worth, _ in reasons) * half_at(days, HALF_DAYS) * half_at(kilometres or 0, HALF_KILOMETRES)
        )
        told = [reason for _, reason in sorted(reasons, key=lambda pair: -pair[0])]
        if kilometres is not None:
            told.append({"kind": "NEARBY", "kilometres": max(1, math.ceil(kilometres))})
        found.append(Weighed(row["id"], round(score, 6), told))
    return found


def way_to(row: Row, near: Area | None) -> float | None:
    """Kilometres to the event; None where it, or the viewer, has no place."""
    if near is None or row["latitude"] is None or row["longitude"] is None:
        return None
    return distance(near.latitude, near.longitude, row["latitude"], row["longitude"])


def half_at(amount: float, half: float) -> float:
    return half / (half + amount)


def reasons_of(row: Row) -> list[tuple[float, dict[str, Any]]]:
    """What speaks for an event, each with what it is worth."""
    found: list[tuple[float, dict[str, Any]]] = []
    if row["own"]:
        found.append((OWN_COMMUNITY, {"kind": "OWN_COMMUNITY", "community_id": row["community_id"]}))
    tags = sorted((tag for tag in row["tags"] if tag), key=lambda tag: (-tag["sure"], tag["key"]))
    if tags:
        missing = math.prod(1 - min(1.0, max(0.0, tag["sure"])) / 2 for tag in tags)
        found.append((SHARED_TAGS * (1 - missing), {"kind": "SHARED_TAGS", "named": tags[:NAMED_AT_MOST]}))
    if row["friends"] >= SMALLEST_COUNT:
        worth = ACQUAINTANCES * (1 - half_at(row["friends"], HALF_TIES))
        found.append((worth, {"kind": "ACQUAINTANCES", "count": row["friends"]}))
    if row["referees"]:
        worth = REFERRAL_TIES * (1 - half_at(row["referees"], HALF_TIES))
        found.append((worth, {"kind": "REFERRAL_TIES", "count": row["referees"]}))
    return found
