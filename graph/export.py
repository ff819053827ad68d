"""The graph's edges as sparse matrices, read page by page in bounded memory.

Measured on 200,000 customers with a million memberships on the embedded engine: `ORDER BY … LIMIT` over
`id > $after` sorts the whole rest of the index for every page (a second, whatever the page's size), whereas
a range closed at both ends costs what it returns (0.03 ms for a customer with five edges). So the ids
are read in few large pages, and the edges in many small ranges between two of these ids. The rows of a
page come collected in one record, because a record of its own costs the driver 30 µs, more than what is in it.

What is held of all customers is their memberships, 12 bytes an edge while they are read and 8 from then on, and their
ids, 36 bytes each. Everything else is read for one range of customers at a time.
"""

import asyncio
import math
from array import array
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, LiteralString

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, vstack

from core.batches import in_batches
from core.clock import iso, parse_instant
from graph.client import GraphClient, Row
from graph.places import usual_place

IDS_AT_ONCE = 50_000
CUSTOMERS_AT_ONCE = 1_000
COMMUNITIES_AT_ONCE = 2_000
# Ranges asked for at once: the engine works on some while we take others apart.
READS_AT_ONCE = 4
TIMEOUT_SECONDS = 60.0
# What is done in a community is worth half after so many days.
HALF_LIFE_DAYS = 180.0
# What a reply is worth beside a membership or an attendance, because a word costs less than to come; and for how long
# it counts at all.
REPLY_WORTH = 0.2
REPLIES_COUNT_FOR = timedelta(days=360)
# Events so long ago do not tell where a community usually meets.
EVENTS_COUNT_FOR = timedelta(days=365)
# A weight beyond this says no more, and would not add up in single precision.
MOST_WEIGHT = 1e6
# Greater than any id, because ids are of hexadecimal digits and hyphens.
BEYOND_ALL_IDS = "g"


@dataclass(frozen=True, slots=True)
class Incidence:
    """Customers (rows, in order of id) against communities (columns).

    `matrix` is above zero for a member, by how much is done there, and -1 for another role; `joined` holds the days
    since 1970 of those memberships of which they are known.
    """

    customers: Sequence[str] | NDArray[np.bytes_]
    communities: list[str]
    matrix: csr_array
    joined: csr_array


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All communities in order of id, and what they are about (communities by tags, 0 or 1).

    Public are those that everybody may find, less those for a segment. `ages` are the days since each was made,
    infinite where that is not known. `points` are the latitudes and longitudes of where each usually meets, no numbers
    where that is not known.
    """

    communities: list[str]
    is_public: NDArray[np.bool_]
    is_archived: NDArray[np.bool_]
    tags: list[str]
    about: csr_array
    ages: NDArray[np.float32]
    points: NDArray[np.float64]


class Numbers:
    """The numbers of ids that are held in order, 36 bytes each where a dictionary would take 200."""

    def __init__(self, ids: Sequence[str] | NDArray[np.bytes_]) -> None:
        self.ids = ids if isinstance(ids, np.ndarray) else packed(ids)

    def __len__(self) -> int:
        return len(self.ids)

    def of(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """The number of each id; -1 for one that is not among them."""
        asked = packed(ids)
        if not len(self.ids) or not len(asked):
            return np.full(len(asked), -1, dtype=np.int64)
        # Of the same width, because numpy would copy all of them to compare with what is longer; cut, it is no longer
        # equal to what was asked for.
        places = np.minimum(np.searchsorted(self.ids, asked.astype(self.ids.dtype)), len(self.ids) - 1)
        return np.where(self.ids[places] == asked, places, -1)


def packed(ids: Sequence[str]) -> NDArray[np.bytes_]:
    """Ids as bytes of one width, in the same order: that of UTF-8 is that of its characters."""
    return np.array([one.encode() for one in ids], dtype=np.bytes_)


CUSTOMER_IDS: LiteralString = """
MATCH (c:Customer)
WHERE c.id > $after AND c.id <= $last
WITH c.id AS id
ORDER BY id
LIMIT $limit
RETURN collect(id) AS ids
"""
# Who was erased, or is one with another by now, stays a node without a name, to which nothing is recommended.
IS_THERE: LiteralString = "c.erased IS NULL AND c.merged_into IS NULL"
IDS_OF_THOSE_THERE: LiteralString = CUSTOMER_IDS.replace("\nWITH", " AND " + IS_THERE + "\nWITH", 1)


async def export_customer_ids(
    graph: GraphClient, *, last_id: str | None = None, first_id: str | None = None, there: bool = False
) -> list[str]:
    """The customers' ids in order, from `first_id` to `last_id`, both included.

    With `there` less those who are gone.
    """
    # A text one character shorter than the first id stands before it, and at most before its few neighbours.
    pages = pages_of_ids(graph, after=(first_id or "")[:-1], last=last_id or BEYOND_ALL_IDS, there=there)
    return [customer async for page in pages for customer in page if customer >= (first_id or "")]


async def pages_of_ids(
    graph: GraphClient, *, after: str = "", last: str = BEYOND_ALL_IDS, there: bool = False
) -> AsyncGenerator[list[str], None]:
    """The customers' ids in order, from `after` (exclusive) to `last` (inclusive), page by page."""
    query = IDS_OF_THOSE_THERE if there else CUSTOMER_IDS
    while True:
        (page,) = await graph.read(query, timeout=TIMEOUT_SECONDS, after=after, last=last, limit=IDS_AT_ONCE)
        if page["ids"]:
            yield page["ids"]
        if len(page["ids"]) < IDS_AT_ONCE:
            return
        after = page["ids"][-1]


COMMUNITIES = """
MATCH (c:Community)
WHERE c.id > $after
WITH c
ORDER BY c.id
LIMIT $limit
RETURN c.id AS id, c.created_at AS created_at, c.visibility = 'PUBLIC' AND c.segment_id IS NULL AS is_public,
       c.archived_at IS NOT NULL AS is_archived,
       [(c)-[:ABOUT]->(t:Tag) | t.key] AS tags,
       [(c)-[:HOSTS]->(e:Event) WHERE e.latitude IS NOT NULL AND e.longitude IS NOT NULL AND e.starts_at > $since
         AND e.status IN ['PUBLISHED', 'COMPLETED'] AND coalesce(e.attendance_mode, 'IN_PERSON') <> 'ONLINE'
         AND e.segment_id IS NULL | [e.latitude, e.longitude]] AS points
ORDER BY id
"""


async def export_catalogue(graph: GraphClient, *, now: datetime) -> Catalogue:
    """All communities with their tags, and where they have met within a year or are going to."""
    rows: list[Row] = []
    since = iso(now - EVENTS_COUNT_FOR)
    while True:
        after = rows[-1]["id"] if rows else ""
        page = await graph.read(
            COMMUNITIES, timeout=TIMEOUT_SECONDS, after=after, since=since, limit=COMMUNITIES_AT_ONCE
        )
        rows += page
        if len(page) < COMMUNITIES_AT_ONCE:
            break
    tags = sorted({tag for row in rows for tag in row["tags"]})
    positions = {tag: number for number, tag in enumerate(tags)}
    edges = Edges()
    for number, row in enumerate(rows):
        for tag in row["tags"]:
            edges.add(number, positions[tag], 1.0)
    return Catalogue(
        communities=[row["id"] for row in rows],
        is_public=np.array([row["is_public"] is True for row in rows], dtype=np.bool_),
        is_archived=np.array([row["is_archived"] for row in rows], dtype=np.bool_),
        tags=tags,
        about=edges.matrix(len(rows), len(tags), once=True),
        ages=np.array([age_of(row["created_at"], now) for row in rows], dtype=np.float32),
        points=np.array([usual_place(row["points"]) for row in rows], dtype=np.float64).reshape(-1, 2),
    )


def age_of(created_at: str | None, now: datetime) -> float:
    """Days between two instants; infinite where the first is not known."""
    if created_at is None:
        return math.inf
    return (now - parse_instant(created_at)).total_seconds() / 86_400


# What leads from a customer `c` to others, as lists of an id and what the edge holds: a weight unless said otherwise.
# $now and $since are instants (ISO 8601, UTC). Who takes no part in a community is a member all the same: nothing at
# all would read as not being one. A membership holds its weight and since when it is.
TO_COMMUNITIES: LiteralString = """[(c)-[m:MEMBER_OF]->(k:Community) |
        [k.id, CASE WHEN m.role IN ['PENDING', 'INVITED', 'BANNED'] THEN -1.0 WHEN m.weight IS NULL THEN 1.0
                    WHEN m.weight > 0.001 THEN m.weight ELSE 0.001 END, m.since]]"""
# Of attendance the instant.
TO_ATTENDED: LiteralString = """[(c)-[r:REGISTERED_FOR]->(e:Event) WHERE r.attended_at IS NOT NULL |
        [e.community_id, r.attended_at]]"""
# Of what the customer wrote: when they answered somebody else by it, and when somebody else last answered it.
TO_REPLIES: LiteralString = """[(c)-[:WROTE]->(x) WHERE x.deleted_at IS NULL
        AND (x.answered_at > $since OR (x.post_id IS NOT NULL AND x.to_self IS NULL AND x.created_at > $since)) |
        [x.community_id, CASE WHEN x.post_id IS NULL OR x.to_self THEN null ELSE x.created_at END, x.answered_at]]"""
TO_TAGS: LiteralString = """[(c)-[g:TAGGED]->(t:Tag) WHERE g.until IS NULL OR g.until > $now |
        [t.key, coalesce(g.confidence, 1.0)]]"""
TO_ACQUAINTANCES: LiteralString = "[(c)-[:KNOWS]-(o:Customer) | [o.id, 1.0]]"
TO_REFEREES: LiteralString = "[(c)-[:REFERRED]->(o:Customer) | [o.id, 1.0]]"
TO_OPEN_REFEREES: LiteralString = "[(c)-[:REFERRED]->(o:Customer) WHERE o.discoverable | [o.id, 1.0]]"
TO_REFERRERS: LiteralString = "[(c)<-[:REFERRED]-(o:Customer) | [o.id, 1.0]]"
# To whom or what, and what the edge holds.
Edge = Sequence[Any]
Value = Callable[[Edge], float | None]

MEMBERSHIPS: LiteralString = (
    "MATCH (c:Customer) WHERE c.id >= $first AND c.id <= $last WITH c.id AS id, "
    + TO_COMMUNITIES
    + " AS communities, "
    + TO_ATTENDED
    + " AS attended, "
    + TO_REPLIES
    + " AS replies RETURN collect([id, communities, attended, replies]) AS rows"
)


async def export_memberships(
    graph: GraphClient, customers: Sequence[str], communities: Sequence[str], *, now: datetime
) -> Incidence:
    """Who is a member of what, by how much they do there, and who asks, is invited or is banned (-1).

    Edges from or to nodes that are newer than `customers` and `communities` are left out.
    """
    rows = {customer: number for number, customer in enumerate(customers)}
    columns = {community: number for number, community in enumerate(communities)}
    taken, joined, attended, replies = Edges(), Edges(), Edges(), Edges()
    kinds: Sequence[tuple[int, Edges, Value]] = (
        (1, taken, weight_of),
        (1, joined, day_joined),
        (2, attended, worth_of(now)),
        (3, replies, worth_of(now, REPLY_WORTH)),
    )
    async for page in pages_of_ranges(graph, MEMBERSHIPS, customers, **instants_of(now)):
        for row in page:
            number = rows.get(row[0])
            if number is not None:
                for place, edges, value in kinds:
                    edges.add_all(number, columns, row[place], value)
    shape = (len(customers), len(columns))
    done = [edges.matrix(*shape, once=False) for edges in (attended, replies)]
    matrix = with_engagement(taken.matrix(*shape, once=False), *done)
    return Incidence(customers, list(communities), matrix, joined.matrix(*shape, once=False))


async def pages_of_ranges(
    graph: GraphClient, query: LiteralString, customers: Sequence[str], **said: str
) -> AsyncGenerator[list[list[Any]], None]:
    """What `query` collects as `rows` of ranges of customers, who must be in order of id, some ranges at once."""

    async def read(first: str, last: str) -> list[list[Any]]:
        (page,) = await graph.read(query, timeout=TIMEOUT_SECONDS, first=first, last=last, **said)
        return page["rows"]

    ranges = [(some[0], some[-1]) for some in in_batches(customers, CUSTOMERS_AT_ONCE)]
    for window in in_batches(ranges, READS_AT_ONCE):
        for page in await asyncio.gather(*(read(first, last) for first, last in window)):
            yield page


def instants_of(now: datetime) -> dict[str, str]:
    """What the edges above ask for."""
    return {"now": iso(now), "since": iso(now - REPLIES_COUNT_FOR)}


async def export_all_memberships(graph: GraphClient, communities: Sequence[str], *, now: datetime) -> Incidence:
    """The same of everybody, page by page; the customers' ids come packed."""
    nobody = csr_array((0, len(communities)), dtype=np.float32)
    ids: list[NDArray[np.bytes_]] = [packed([])]
    parts, joined = [nobody], [nobody]
    async for page in pages_of_ids(graph, there=True):
        found = await export_memberships(graph, page, communities, now=now)
        ids.append(packed(page))
        parts.append(found.matrix)
        joined.append(found.joined)
    whole, days = (csr_array(vstack(some, format="csr", dtype=np.float32)) for some in (parts, joined))
    return Incidence(np.concatenate(ids), list(communities), whole, days)


def with_engagement(taken: csr_array, attended: csr_array, replies: csr_array) -> csr_array:
    """Memberships weigh as much more as was done there lately; what is done makes nobody a member."""
    return csr_array(taken + (attended + replies) * (taken > 0))


def entry_of(edge: Edge) -> float:
    """What an edge weighs that holds its weight."""
    return float(edge[1])


def weight_of(edge: Edge) -> float:
    """What a membership weighs as it is kept, which is finite wherever it came from."""
    return min(float(edge[1]), MOST_WEIGHT)


def day_joined(edge: Edge) -> float | None:
    """The day on which somebody became a member; None for another role, and where it is not known."""
    return day_number(edge[2]) if edge[1] > 0 and edge[2] is not None else None


def worth_of(now: datetime, each: float = 1.0) -> Value:
    """What is done at the instants that an edge holds: half of `each` after so many days, counted as whole days."""
    today = day_number(iso(now))

    def worth(edge: Edge) -> float:
        days = (max(0.0, today - day_number(at)) for at in edge[1:] if at is not None)
        return sum(each * 0.5 ** (one / HALF_LIFE_DAYS) for one in days)

    return worth


def day_number(instant: Any) -> float:
    """The days since 1970 of an instant as it is kept."""
    return day_of_text(str(instant)[:10])


@lru_cache(maxsize=4_096)
def day_of_text(day: str) -> float:
    return float((date.fromisoformat(day) - date(1970, 1, 1)).days)


REFERRERS: LiteralString = (
    "MATCH (c:Customer) WHERE c.id >= $first AND c.id <= $last WITH c.id AS id, "
    + TO_REFERRERS
    + " AS edges RETURN collect([id, edges]) AS rows"
)


async def export_referrers(graph: GraphClient, customers: Sequence[str], everybody: Mapping[str, int]) -> csr_array:
    """Customers by everybody who referred them (1), in whichever programme; who is newer is left out."""
    rows = {customer: number for number, customer in enumerate(customers)}
    edges = Edges()
    async for page in pages_of_ranges(graph, REFERRERS, customers):
        for customer, found in page:
            number = rows.get(customer)
            if number is not None:
                edges.add_all(number, everybody, found, entry_of)
    return edges.matrix(len(customers), len(everybody), once=True)


class Edges:
    """Edges as they come in, 12 bytes each."""

    def __init__(self) -> None:
        self._rows = array("i")
        self._columns = array("i")
        self._weights = array("f")

    def add_all(self, row: int, columns: Mapping[str, int], found: Sequence[Edge], value: Value) -> None:
        """The edges of a row to what is among the columns, each by what it holds; None is left out."""
        for edge in found:
            if (column := columns.get(edge[0])) is not None and (entry := value(edge)) is not None:
                self.add(row, column, entry)

    def add(self, row: int, column: int, weight: float) -> None:
        self._rows.append(row)
        self._columns.append(column)
        self._weights.append(weight)

    def matrix(self, rows: int, columns: int, *, once: bool) -> csr_array:
        """The matrix with its columns in order; with `once` an edge that came twice is still 1."""
        places = (np.frombuffer(self._rows, dtype=np.int32), np.frombuffer(self._columns, dtype=np.int32))
        weights = np.frombuffer(self._weights, dtype=np.float32)
        matrix = csr_array(coo_array((weights, places), shape=(rows, columns)))
        matrix.sort_indices()
        if once:
            matrix.data[:] = 1.0
        return matrix
