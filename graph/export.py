"""The graph's edges as sparse matrices, read page by page in bounded memory.

Measured on 200,000 customers with a million memberships on the embedded engine: `ORDER BY … LIMIT` over
`id > $after` sorts the whole rest of the index for every page (a second, whatever the page's size), whereas
a range closed at both ends costs what it returns (0.03 ms for a customer with five edges). So the ids
are read in few large pages, and the edges in many small ranges between two of these ids. The rows of a
page come collected in one record, because a record of its own costs the driver 30 µs, more than what is in it.
"""

import asyncio
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import LiteralString

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from core.batches import in_batches
from graph.client import GraphClient, Row

IDS_AT_ONCE = 50_000
CUSTOMERS_AT_ONCE = 1_000
COMMUNITIES_AT_ONCE = 2_000
# Ranges asked for at once: the engine works on some while we take others apart.
READS_AT_ONCE = 4
TIMEOUT_SECONDS = 60.0
# Greater than any id, because ids are of hexadecimal digits and hyphens.
BEYOND_ALL_IDS = "g"


@dataclass(frozen=True, slots=True)
class Incidence:
    """Customers (rows, in order of id) against communities (columns): 1 for a member, -1 for another role."""

    customers: list[str]
    communities: list[str]
    matrix: csr_array


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All communities in order of id, who may find them, and what they are about (communities by tags, 0 or 1)."""

    communities: list[str]
    is_public: NDArray[np.bool_]
    is_archived: NDArray[np.bool_]
    tags: list[str]
    about: csr_array


CUSTOMER_IDS = """
MATCH (c:Customer)
WHERE c.id > $after AND c.id <= $last
WITH c.id AS id
ORDER BY id
LIMIT $limit
RETURN collect(id) AS ids
"""


async def export_customer_ids(
    graph: GraphClient, *, last_id: str | None = None, first_id: str | None = None
) -> list[str]:
    """The customers' ids in order, from `first_id` to `last_id`, both included."""
    found: list[str] = []
    # A text one character shorter than the first id stands before it, and at most before its few neighbours.
    after, last = (first_id or "")[:-1], last_id or BEYOND_ALL_IDS
    while True:
        (page,) = await graph.read(CUSTOMER_IDS, timeout=TIMEOUT_SECONDS, after=after, last=last, limit=IDS_AT_ONCE)
        found += [customer for customer in page["ids"] if customer >= (first_id or "")]
        if len(page["ids"]) < IDS_AT_ONCE:
            return found
        after = page["ids"][-1]


COMMUNITIES = """
MATCH (c:Community)
WHERE c.id > $after
WITH c
ORDER BY c.id
LIMIT $limit
RETURN c.id AS id, c.visibility = 'PUBLIC' AS is_public, c.archived_at IS NOT NULL AS is_archived,
       [(c)-[:ABOUT]->(t:Tag) | t.key] AS tags
ORDER BY id
"""


async def export_catalogue(graph: GraphClient) -> Catalogue:
    """All communities with their tags."""
    rows: list[Row] = []
    while True:
        after = rows[-1]["id"] if rows else ""
        page = await graph.read(COMMUNITIES, timeout=TIMEOUT_SECONDS, after=after, limit=COMMUNITIES_AT_ONCE)
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
    )


MEMBERSHIPS = """
MATCH (c:Customer)
WHERE c.id >= $first AND c.id <= $last
WITH c.id AS id,
       [(c)-[m:MEMBER_OF]->(k:Community) |
        [k.id, CASE WHEN m.role IN ['PENDING', 'INVITED', 'BANNED'] THEN -1.0 ELSE 1.0 END]] AS edges
RETURN collect([id, edges]) AS rows
"""


async def export_memberships(graph: GraphClient, customers: list[str], communities: list[str]) -> Incidence:
    """Who is a member of what (1), and who asks, is invited or is banned (-1)."""
    columns = {community: number for number, community in enumerate(communities)}
    return Incidence(customers, communities, await read_edges(graph, MEMBERSHIPS, customers, columns))


CUSTOMER_TAGS = """
MATCH (c:Customer)
WHERE c.id >= $first AND c.id <= $last
WITH c.id AS id,
       [(c)-[g:TAGGED]->(t:Tag) WHERE g.until IS NULL OR g.until > $now | [t.key, coalesce(g.confidence, 1.0)]] AS edges
RETURN collect([id, edges]) AS rows
"""


async def export_customer_tags(
    graph: GraphClient, customers: Sequence[str], tags: Mapping[str, int], *, now: str
) -> csr_array:
    """Customers by tags, with the confidence (0 to 1) of those that hold at `now` (ISO 8601, UTC)."""
    return await read_edges(graph, CUSTOMER_TAGS, customers, tags, now=now)


ACQUAINTANCES = """
MATCH (c:Customer)
WHERE c.id >= $first AND c.id <= $last
WITH c.id AS id, [(c)-[:KNOWS]-(o:Customer) | [o.id, 1.0]] AS edges
RETURN collect([id, edges]) AS rows
"""


async def export_acquaintances(graph: GraphClient, customers: Sequence[str], everybody: Mapping[str, int]) -> csr_array:
    """Customers by everybody whom they know (1)."""
    return await read_edges(graph, ACQUAINTANCES, customers, everybody, once=True)


REFERRALS = """
MATCH (c:Customer)
WHERE c.id >= $first AND c.id <= $last
WITH c.id AS id, [(c)-[:REFERRED]->(o:Customer) | [o.id, 1.0]] AS edges
RETURN collect([id, edges]) AS rows
"""


async def export_referrals(graph: GraphClient, customers: Sequence[str], everybody: Mapping[str, int]) -> csr_array:
    """Customers by everybody whom they referred (1), in whichever programme."""
    return await read_edges(graph, REFERRALS, customers, everybody, once=True)


REFERRERS = """
MATCH (c:Customer)
WHERE c.id >= $first AND c.id <= $last
WITH c.id AS id, [(c)<-[:REFERRED]-(o:Customer) | [o.id, 1.0]] AS edges
RETURN collect([id, edges]) AS rows
"""


async def export_referrers(graph: GraphClient, customers: Sequence[str], everybody: Mapping[str, int]) -> csr_array:
    """Customers by everybody who referred them (1), in whichever programme."""
    return await read_edges(graph, REFERRERS, customers, everybody, once=True)


async def read_edges(
    graph: GraphClient,
    query: LiteralString,
    customers: Sequence[str],
    columns: Mapping[str, int],
    *,
    once: bool = False,
    **parameters: str,
) -> csr_array:
    """The matrix of what `query` returns for ranges of customers, who must be in order of id.

    Edges from or to nodes that are newer than `customers` and `columns` are left out.
    """
    rows = {customer: number for number, customer in enumerate(customers)}
    edges = Edges()

    async def read(first: str, last: str) -> list[tuple[str, list[tuple[str, float]]]]:
        (page,) = await graph.read(query, timeout=TIMEOUT_SECONDS, first=first, last=last, **parameters)
        return page["rows"]

    for window in windows(customers):
        for page in await asyncio.gather(*(read(first, last) for first, last in window)):
            for customer, found in page:
                number = rows.get(customer)
                if number is not None:
                    for target, weight in found:
                        if (column := columns.get(target)) is not None:
                            edges.add(number, column, weight)
    return edges.matrix(len(customers), len(columns), once=once)


def windows(customers: Sequence[str]) -> Iterator[Sequence[tuple[str, str]]]:
    """The first and last ids of ranges, in groups that are read at once."""
    ranges = [(some[0], some[-1]) for some in in_batches(customers, CUSTOMERS_AT_ONCE)]
    return in_batches(ranges, READS_AT_ONCE)


class Edges:
    """Edges as they come in, 12 bytes each."""

    def __init__(self) -> None:
        self._rows = array("i")
        self._columns = array("i")
        self._weights = array("f")

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
