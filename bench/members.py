"""`python -m bench.members`: page 1 of the members of a small and of a large community, as a ratio within one run."""

import asyncio
import time
from typing import Annotated

import typer
from rich.console import Console

from bench.stores import fresh_graph
from bench.turns import compare
from community.access import MemberRole
from community.communities import read_communities
from community.memberships import join_community, leave_community
from community.rosters import members_of
from community.standing import marks_of
from core.clock import iso, utc_now
from core.ids import new_id
from graph.client import GraphClient, Row

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

    async def seen() -> list[Row | None]:
        return list((await read_communities(graph, [community_id], viewer_id=viewer_id)).values())

    page = (await members_of(graph, [community_id], seen, first=20, after=None))[community_id]
    assert len(page.rows) == 20
    assert page.has_next


async def come_and_go(graph: GraphClient, community_id: str, customer_id: str) -> None:
    """A member leaves and joins again."""
    await leave_community(graph, community_id=community_id, customer_id=customer_id, now=utc_now())
    await join_community(graph, community_id=community_id, customer_id=customer_id, now=utc_now())


async def measure(sizes: tuple[int, int], rounds: int, *, neo4j: bool) -> bool:
    """Load both communities, take turns between them, and print medians and their ratio; False beyond the limit."""
    async with fresh_graph(neo4j=neo4j) as graph:
        customers = [new_id() for _ in range(max(sizes))]
        for start in range(0, len(customers), BATCH):
            await graph.write(PUT_CUSTOMERS, ids=customers[start : start + BATCH])
        began = time.monotonic()
        communities = [await put_community(graph, customers[:size]) for size in sizes]
        Console().print(f"loaded {sum(sizes)} memberships in {time.monotonic() - began:.0f} s")
        subjects = {f"{size} members": place for size, place in zip(sizes, communities, strict=True)}
        # Somebody from the middle, so that nobody's own few memberships are the first or last of all.
        somebody = customers[min(sizes) // 2]
        acts = {
            "page 1 of members": lambda community: first_page(graph, community, somebody),
            "leave and join": lambda community: come_and_go(graph, community, somebody),
        }
        return await compare("Neo4j" if neo4j else "embedded engine", subjects, acts, rounds=rounds)


def main(
    small: Annotated[int, typer.Option(help="Members of the small community.")] = 200,
    large: Annotated[int, typer.Option(help="Members of the large one.")] = 200_000,
    rounds: Annotated[int, typer.Option(help="How often each is measured.")] = 100,
    neo4j: Annotated[bool, typer.Option("--neo4j", help="On Neo4j instead of the embedded engine.")] = False,
) -> None:
    """Measure what does not grow with a community."""
    if not asyncio.run(measure((small, large), rounds, neo4j=neo4j)):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
