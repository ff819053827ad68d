"""`python -m bench.members`: page 1 of the members of a small and of a large community, as a ratio within one run."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from community.access import MemberRole
from community.communities import read_communities
from community.memberships import join_community, leave_community
from community.rosters import members_of
from community.standing import marks_of
from core.clock import iso, utc_now
from core.ids import new_id
from core.processes import REPOSITORY, free_port, stop
from graph.client import GraphClient, Row
from graph.engine import DATABASE, USER, graph_password, start_graph
from graph.ready import wait_for_bolt
from migrations.graph_migrations import upgrade_graph
from ops.neo4j_server import install_neo4j, start_neo4j

# Small transactions, so that the embedded engine's memory holds them.
BATCH = 500

PUT_CUSTOMERS = "UNWIND $ids AS id CREATE (:Customer {id: id, display_name: 'Test'})"
PUT_COMMUNITY = """
CREATE (:Community {id: $id, name_zh: '社', name_en: 'Club', visibility: 'UNLISTED', join_policy: 'OPEN',
  created_at: $now, member_count: $members, next_ticket: $members})
"""
PUT_MEMBERS = """
UNWIND $rows AS row
MATCH (x:Customer {id: row.customer_id}), (c:Community {id: $community_id})
CREATE (x)-[m:MEMBER_OF {key: row.key, since: $now}]->(c)
SET m += row.marks
"""


@asynccontextmanager
async def fresh_graph(*, neo4j: bool) -> AsyncGenerator[GraphClient, None]:
    """An engine in a folder that is thrown away."""
    with tempfile.TemporaryDirectory(prefix="kinship-bench-", ignore_cleanup_errors=True) as name:
        folder, port = Path(name), free_port()
        uri, user, password, database = f"bolt://127.0.0.1:{port}", USER, "", None
        if neo4j:
            lib = install_neo4j(REPOSITORY / ".cache")
            server = start_neo4j(folder / "graph", lib=lib, bolt_port=port, log=folder / "graph.log")
            user = "neo4j"
        else:
            server = start_graph(
                folder / "graph", bolt_port=port, http_port=free_port(), log=folder / "graph.log", heap="1g"
            )
            password, database = graph_password(folder / "graph"), DATABASE
        try:
            await wait_for_bolt(uri, user, password, timeout=90)
            async with GraphClient(uri, user=user, password=password, database=database, timeout=120) as graph:
                await upgrade_graph(graph)
                yield graph
        finally:
            stop(server)


async def put_community(graph: GraphClient, customers: list[str]) -> str:
    """A community that is found by its link, with these members, of whom the first owns it."""
    community_id, now = new_id(), iso(utc_now())
    await graph.write(PUT_COMMUNITY, id=community_id, members=len(customers), now=now)
    for start in range(0, len(customers), BATCH):
        rows: list[Row] = []
        for ticket, customer in enumerate(customers[start : start + BATCH], start):
            role = MemberRole.MEMBER if ticket else MemberRole.OWNER
            marks = marks_of(community_id, role, ticket)
            rows.append({"customer_id": customer, "key": f"{community_id}:{customer}", "marks": marks})
        await graph.write(PUT_MEMBERS, rows=rows, community_id=community_id, now=now)
    return community_id


async def first_page(graph: GraphClient, community_id: str, viewer_id: str) -> None:
    """What a member who looks at the list of members costs: the community as they may see it, and the page."""
    rows = await read_communities(graph, [community_id], viewer_id=viewer_id)
    page = (await members_of(graph, list(rows.values()), first=20, after=None))[community_id]
    assert len(page.rows) == 20
    assert page.has_next


async def come_and_go(graph: GraphClient, community_id: str, customer_id: str) -> None:
    """A member leaves and joins again."""
    await leave_community(graph, community_id=community_id, customer_id=customer_id, now=utc_now())
    await join_community(graph, community_id=community_id, customer_id=customer_id, now=utc_now())


async def measure(sizes: tuple[int, int], rounds: int, *, neo4j: bool) -> None:
    """Load both communities, take turns between them, and print medians and their ratio."""
    async with fresh_graph(neo4j=neo4j) as graph:
        customers = [new_id() for _ in range(max(sizes))]
        for start in range(0, len(customers), BATCH):
            await graph.write(PUT_CUSTOMERS, ids=customers[start : start + BATCH])
        began = time.monotonic()
        communities = [await put_community(graph, customers[:size]) for size in sizes]
        Console().print(f"loaded {sum(sizes)} memberships in {time.monotonic() - began:.0f} s")
        table = Table("What", *[f"{size} members" for size in sizes], "Ratio", title_justify="left")
        table.title = "Neo4j" if neo4j else "embedded engine"
        for name, act in (("page 1 of members", first_page), ("leave and join", come_and_go)):
            times: list[list[float]] = [[], []]
            for turn in range(rounds + 5):
                for community, spent in zip(communities, times, strict=True):
                    start = time.perf_counter()
                    # Somebody from the middle, so that nobody's own few memberships are the first or last of all.
                    await act(graph, community, customers[min(sizes) // 2])
                    # The first turns warm the engine up.
                    if turn >= 5:
                        spent.append((time.perf_counter() - start) * 1000)
            small, large = (statistics.median(spent) for spent in times)
            table.add_row(name, f"{small:.1f} ms", f"{large:.1f} ms", f"{large / small:.2f}")
        Console().print(table)


def main(
    small: Annotated[int, typer.Option(help="Members of the small community.")] = 200,
    large: Annotated[int, typer.Option(help="Members of the large one.")] = 200_000,
    rounds: Annotated[int, typer.Option(help="How often each is measured.")] = 100,
    neo4j: Annotated[bool, typer.Option("--neo4j", help="On Neo4j instead of the embedded engine.")] = False,
) -> None:
    """Measure what does not grow with a community."""
    asyncio.run(measure((small, large), rounds, neo4j=neo4j))


if __name__ == "__main__":
    typer.run(main)
