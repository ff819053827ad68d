"""Registering many customers at once: for one event, where all want the same node, and for an event each."""

import asyncio
import time
from contextlib import AsyncExitStack
from datetime import timedelta

from rich.console import Console
from rich.table import Table

from bench.stores import Stores
from community.registrations import EventFull, register_for_event
from core.clock import iso, utc_now
from core.ids import new_id
from graph.client import GraphClient

CUSTOMERS = 200
CAPACITY = 50
# Each has its own pool and takes its own turns, as the processes of an API do.
CLIENTS = 2

PUT_CUSTOMERS = "UNWIND $ids AS id CREATE (:Customer {id: id, display_name: 'Bench'})"
PUT_EVENTS = """
CREATE (c:Community {id: $community_id, visibility: 'PUBLIC', member_count: 0})
WITH c
UNWIND $ids AS id
CREATE (c)-[:HOSTS]->(:Event {id: id, status: 'PUBLISHED', starts_at: $starts_at, capacity: $capacity, registered: 0})
"""
PLACES = (
    "UNWIND $ids AS id MATCH (e:Event {id: id})<-[r:REGISTERED_FOR {status: 'REGISTERED'}]-() RETURN count(r) AS places"
)


async def measure_registrations(stores: Stores) -> None:
    """Print the speed of both; raises AssertionError where an event gave more or fewer places than it has."""
    title = f"{CUSTOMERS} registrations at once, {CLIENTS} clients"
    table = Table("Events", "Places given", "Conflicts", "Seconds", "Per second", title=title, title_justify="left")
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(stores.graph()) for _ in range(CLIENTS)]
        await register_all(clients, await put_events(clients[0], CUSTOMERS))
        for count, expected in ((CUSTOMERS, CUSTOMERS), (1, CAPACITY)):
            events = await put_events(clients[0], count)
            before = sum(client.retries for client in clients)
            seconds = await register_all(clients, events)
            (found,) = await clients[0].read(PLACES, ids=events)
            assert found["places"] == expected, f"{found['places']} places were given, not {expected}"
            conflicts = sum(client.retries for client in clients) - before
            speed = f"{CUSTOMERS / seconds:.0f}"
            table.add_row(str(count), str(expected), str(conflicts), f"{seconds:.2f}", speed)
    Console().print(table)


async def put_events(graph: GraphClient, count: int) -> list[str]:
    ids = [new_id() for _ in range(count)]
    starts_at = iso(utc_now() + timedelta(days=1))
    await graph.write(PUT_EVENTS, community_id=new_id(), ids=ids, starts_at=starts_at, capacity=CAPACITY)
    return ids


async def register_all(clients: list[GraphClient], events: list[str]) -> float:
    """Register as many new customers at once, the events in turn; returns the seconds."""
    customers = [new_id() for _ in range(CUSTOMERS)]
    await clients[0].write(PUT_CUSTOMERS, ids=customers)
    began = time.perf_counter()
    await asyncio.gather(
        *(register(clients[n % CLIENTS], events[n % len(events)], customer) for n, customer in enumerate(customers))
    )
    return time.perf_counter() - began


async def register(graph: GraphClient, event_id: str, customer_id: str) -> None:
    try:
        await register_for_event(graph, event_id=event_id, customer_id=customer_id, now=utc_now())
    except EventFull:
        return
