"""`python -m bench.lists`: lists and figures of a small and of a large event, as ratios within one run."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.console import Console

from bench.stores import fresh_graph
from bench.turns import compare
from community.access import MemberRole
from community.communities import read_communities
from community.event_changes import concerned
from community.rosters import guests_of
from community.seats import Change, Channel, RegistrationStatus, change_registrations
from community.standing import listed, marks_of
from community.statistics import event_statistics
from community.waitlist import queue_of, rank_of
from community.waitlist_order import registrations_at, waitlists_of
from core.clock import iso, utc_now
from core.ids import new_id
from graph.client import GraphClient, Row
from graph.listed import PUT_LISTED

# Small transactions, so that the embedded engine's memory holds them.
BATCH = 500
# The last of all registrations, and as many bans as registrations.
RARE = 5
PAGE = 20

PUT_CUSTOMERS = "UNWIND $ids AS id CREATE (:Customer {id: id, display_name: 'Test'})"
PUT_EVENT = """
MATCH (x:Customer {id: $manager_id})
CREATE (c:Community {id: $community_id, name_zh: '社', name_en: 'Club', visibility: 'UNLISTED', join_policy: 'OPEN',
  created_at: $now, member_count: 1, next_ticket: 1})-[:HOSTS]->(:Event {id: $event_id, community_id: $community_id,
  status: 'PUBLISHED', starts_at: $now, time_zone: 'Asia/Shanghai', registered: 0})
CREATE (x)-[m:MEMBER_OF {key: $community_id + ':' + $manager_id, since: $now}]->(c)
SET m += $marks
"""
PUT_BANS = """
MATCH (c:Community {id: $community_id})
UNWIND $rows AS row
MATCH (x:Customer {id: row.customer_id})
CREATE (x)-[m:MEMBER_OF {key: row.key, since: $now}]->(c)
SET m += row.marks
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A community with its one event, and who manages both."""

    graph: GraphClient
    community_id: str
    event_id: str
    manager_id: str

    async def figures(self) -> None:
        await event_statistics(self.graph, event_id=self.event_id, manager_id=self.manager_id, now=utc_now())

    async def registrations(self) -> None:
        await self.listed(None, PAGE)

    async def rare(self) -> None:
        await self.listed([RegistrationStatus.NO_SHOW], RARE)

    async def listed(self, statuses: list[RegistrationStatus] | None, expected: int) -> None:
        pages = await registrations_at(self.graph, [self.event_id], statuses, first=PAGE, after=None)
        assert len(pages[self.event_id].rows) == expected

    async def waiting(self) -> None:
        pages = await waitlists_of(self.graph, [self.event_id], Channel.PLACE, first=PAGE, after=None)
        assert len(pages[self.event_id].rows) == PAGE

    async def told(self) -> None:
        assert len(await concerned(self.graph, self.event_id, after="", limit=PAGE)) == PAGE

    async def banned(self) -> None:
        rows = await read_communities(self.graph, [self.community_id], viewer_id=self.manager_id)
        pages = await guests_of(self.graph, list(rows.values()), MemberRole.BANNED, first=PAGE, after=None)
        assert len(pages[self.community_id].rows) == PAGE


async def put_place(graph: GraphClient, customers: list[str]) -> Place:
    """All of these are registered, a fifth of them waits, and all but the manager are banned as well."""
    place = Place(graph, new_id(), new_id(), new_id())
    await graph.write(PUT_CUSTOMERS, ids=[place.manager_id])
    names: Row = {"community_id": place.community_id, "event_id": place.event_id, "manager_id": place.manager_id}
    marks = marks_of(place.community_id, MemberRole.OWNER, 0)
    await graph.write(PUT_EVENT, marks=marks, now=iso(utc_now()), **names)
    for start in range(0, len(customers), BATCH):
        part = list(enumerate(customers))[start : start + BATCH]
        await register(place, [registered(place.event_id, one, n, len(customers)) for n, one in part])
        await ban(place, [one for _, one in part])
    return place


def registered(event_id: str, customer_id: str, number: int, everybody: int) -> Change:
    made = iso(utc_now() - timedelta(days=30) * (1 - number / everybody))
    after: dict[str, Any] = {"channel": "PLACE", "guests": 0, "registered_at": made, "status": "REGISTERED"}
    if number >= everybody - RARE:
        after["status"] = "NO_SHOW"
    elif number % 5 == 0:
        after |= {"status": "WAITING", "ticket": number, "queue": queue_of(event_id, "PLACE", rank_of(number))}
    return Change(customer_id, None, after)


async def register(place: Place, changes: list[Change]) -> None:
    await place.graph.transact(
        lambda tx: change_registrations(tx, place.event_id, changes), contended=place.event_id, timeout=120
    )


async def ban(place: Place, customers: list[str]) -> None:
    now, role = iso(utc_now()), MemberRole.BANNED
    rows: list[Row] = [
        {
            "customer_id": one,
            "key": f"{place.community_id}:{one}",
            "marks": marks_of(place.community_id, role, None),
            "listed": listed(place.community_id, one, role, now),
        }
        for one in customers
    ]
    await place.graph.write(PUT_BANS, community_id=place.community_id, rows=rows, now=now)
    await place.graph.write(PUT_LISTED, rows=rows)


async def measure(sizes: tuple[int, int], rounds: int, *, neo4j: bool) -> bool:
    """Load both events and compare them; False beyond the limit."""
    async with fresh_graph(neo4j=neo4j) as graph:
        customers = [new_id() for _ in range(max(sizes))]
        for start in range(0, len(customers), BATCH):
            await graph.write(PUT_CUSTOMERS, ids=customers[start : start + BATCH])
        places = {f"{size} registrations": await put_place(graph, customers[:size]) for size in sizes}
        Console().print(f"loaded {sum(sizes)} registrations and as many bans")
        acts = {
            "registrations, page 1": Place.registrations,
            f"registrations, the last {RARE} of a status": Place.rare,
            "waiting list, page 1": Place.waiting,
            "a page of those to be told": Place.told,
            "bannedMembers, page 1": Place.banned,
            "eventStatistics": Place.figures,
        }
        return await compare("Neo4j" if neo4j else "embedded engine", places, acts, rounds=rounds)


def main(
    small: Annotated[int, typer.Option(help="Registrations for the small event.")] = 200,
    large: Annotated[int, typer.Option(help="Registrations for the large one.")] = 20_000,
    rounds: Annotated[int, typer.Option(help="How often each is measured.")] = 50,
    neo4j: Annotated[bool, typer.Option("--neo4j", help="On Neo4j instead of the embedded engine.")] = False,
) -> None:
    """Measure what does not grow with an event or with a community's bans."""
    if not asyncio.run(measure((small, large), rounds, neo4j=neo4j)):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
