"""`python -m bench.graphql`: ours and its peer over one Neo4j, in turn, at 1 and 16 clients, as ratios within one run.

The peer is @neo4j/graphql on graphql-yoga (bench/peer). Both are asked for the same three things (see
`bench.graphql_documents`), and must tell the same before anything is measured. Ours is asked by text and by the id of
a trusted document; it looks at tokens, budgets and rights too, which the peer does not; so it is asked a second time as
a bank would use it, with tokens, one rule of its own and an order in its lists. The bounds are what the driver alone
does in our place, and ours over a graph that answers from memory.
"""

import asyncio
import hashlib
import statistics
import sys
import timeit
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from api.relay import global_id
from bench.graphql_documents import QUESTIONS, Question, in_order, local
from bench.graphql_servers import Server, issuer, ours, peer, token, told_to_load
from bench.recommendations_job import PROGRAM_ID, TODAY, load, measure_job
from bench.stores import Stores, real_stores
from core.clock import iso, utc_now
from core.processes import free_port, stop
from core.redis_server import redis_url, start_redis, wait_for_redis
from core.trusted_documents import NewDocument, register_documents
from graph.client import GraphClient
from ops.demonstration.bank import Bank
from ops.demonstration.rows import community_key, customer_key, membership_row

CUSTOMERS = 500
COMMUNITY = 9_000
MEMBERS, EVENTS = 20, 10
SUBJECT = "lin-yue"
WARMING_SECONDS = 1.0
WARM_UP_SECONDS = 6.0
CLIENTS = (1, 16)

FIND = """
MATCH (c:Community)<-[:MEMBER_OF]-(:Customer)
WHERE c.name_en = $name
MATCH (me:Customer {display_name: $me})-[:REFERRED]->()-[:REFERRED]->()-[:REFERRED]->()
RETURN c.id AS community, me.id AS customer, count(*) AS paths
ORDER BY paths DESC
LIMIT 1
"""
# What our API lists for the customer, as nodes and relationships, which is all that the peer can read.
PUT_PEERS_LIST = """
MATCH (me:Customer {id: $customer})
UNWIND $rows AS row
MATCH (c:Community {id: row.community})
CREATE (me)-[:PEER_LISTS]->(r:PeerRecommendation {score: row.score, place: row.place})-[:PEER_OF]->(c)
WITH r, row
UNWIND row.reasons AS reason
CREATE (r)-[:PEER_FOR]->(:PeerReason {kind: reason.kind, text: reason.text})
"""
INDEX = "CREATE INDEX peer_place IF NOT EXISTS FOR (r:PeerRecommendation) ON (r.place)"


@dataclass(slots=True)
class Way:
    """A server and how it is asked; what came of each turn, by question and number of clients."""

    name: str
    server: Server
    headers: Mapping[str, str]
    asked: Mapping[str, Mapping[str, Any]]
    speeds: dict[tuple[str, int], list[float]] = field(default_factory=lambda: defaultdict(list))
    busy: dict[tuple[str, int], list[float]] = field(default_factory=lambda: defaultdict(list))

    def answer(self, question: str) -> bytes:
        return self.server.ask(self.asked[question], self.headers).content

    def request(self, question: str) -> str:
        """The whole request in HTTP/1.1."""
        body = orjson.dumps(self.asked[question]).decode()
        lines = [
            "POST /graphql HTTP/1.1",
            f"Host: 127.0.0.1:{self.server.port}",
            "Content-Type: application/json",
            f"Content-Length: {len(body.encode())}",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        return "\r\n".join([*lines, "", body])

    def load(self, question: str, clients: int, seconds: float) -> float:
        """Answers a second; raises AssertionError where one was not as long as the one that was looked at."""
        order: dict[str, Any] = {"request": self.request(question), "size": len(self.answer(question))}
        order |= {"port": self.server.port, "clients": clients, "seconds": seconds, "warming": WARMING_SECONDS}
        found = told_to_load(order)
        assert found["answers"], f"{self.name} answered nothing to {question} in {seconds} s: the machine is too busy"
        assert found["wrong"] == 0, f"{self.name}: {found['wrong']} wrong answers to {question}"
        return found["a_second"]

    def turn(self, question: str, clients: int, seconds: float) -> None:
        """Load it once, and note what came of it."""
        before = self.server.busy_seconds()
        a_second = self.load(question, clients, seconds)
        spent = self.server.busy_seconds() - before
        # Busy while it warmed up as well, at about the same speed.
        answers = a_second * (seconds + WARMING_SECONDS)
        self.speeds[question, clients].append(a_second)
        self.busy[question, clients].append(1_000 * spent / answers)
        shown = f"{a_second:.1f} a second, {1_000 * spent / answers:.2f} ms of processor each"
        Console().print(f"{question}, {clients} at once, {self.name}: {shown}", highlight=False)


def rows() -> Iterator[dict[str, Any]]:
    """A bank, and in it one community with so many members and events."""
    yield from Bank(CUSTOMERS, TODAY, program=PROGRAM_ID).rows()
    now = utc_now()
    yield {
        **{"kind": "community", "key": community_key(COMMUNITY), "name_zh": "测量社", "name_en": "Measured"},
        **{"purpose_zh": "被测量的社群。", "purpose_en": "To be measured.", "tags": [], "join_policy": "OPEN"},
        "created_at": iso(now - timedelta(days=90)),
    }
    for number in range(EVENTS):
        begins = now + timedelta(days=number + 1)
        yield {
            **{"kind": "event", "key": f"measured-{number}", "community": community_key(COMMUNITY)},
            **{"title_zh": f"活动{number}", "title_en": f"Event {number}", "time_zone": "Asia/Shanghai"},
            **{"starts_at": iso(begins), "ends_at": iso(begins + timedelta(hours=2)), "capacity": 30},
            **{"venue": "上海", "status": "PUBLISHED"},
        }
    for number in range(MEMBERS):
        yield membership_row(customer_key(number + 100), COMMUNITY, "MEMBER", iso(now - timedelta(days=30)))


async def seed(stores: Stores) -> Mapping[str, str]:
    """Register our documents; returns the ids of the community, the customer and the programme."""
    database = stores.database()
    documents = [NewDocument(id_of(one), one.name, one.ours) for one in QUESTIONS]
    async with database.write() as session:
        await register_documents(session, documents, client="bench", now=utc_now())
    await database.close()
    async with stores.graph() as graph:
        (found,) = await graph.read(FIND, name="Measured", me="林悦")
    return {"community": found["community"], "customer": found["customer"], "program": str(PROGRAM_ID)}


def id_of(question: Question) -> str:
    return hashlib.sha256(question.ours.encode()).hexdigest()


async def put_peers_list(graph: GraphClient, customer: str, data: Any) -> None:
    """Give the peer the list that our API answers with."""
    await graph.write(INDEX)
    edges = data["viewer"]["recommendedCommunities"]["edges"]
    listed = [
        {
            "community": local(edge["node"]["id"]),
            "score": edge["score"],
            "place": place,
            "reasons": [{"kind": one["__typename"], "text": one["text"]} for one in edge["reasons"]],
        }
        for place, edge in enumerate(edges)
    ]
    await graph.write(PUT_PEERS_LIST, customer=customer, rows=listed)


def bodies(ids: Mapping[str, str], *, way: str) -> dict[str, dict[str, Any]]:
    """What is sent for each question: a text, or the id of a trusted document."""
    place, profile, listed = (one.name for one in QUESTIONS)
    if way in ("peer", "peer in order"):
        sent: dict[str, Any] = {place: {"id": ids["community"]}, profile: {"id": ids["customer"]}}
        sent[listed] = {"id": ids["customer"]}
        told = in_order if way == "peer in order" else str
        return {one.name: {"query": told(one.peer), "variables": sent[one.name]} for one in QUESTIONS}
    customer, program = global_id("Customer", ids["customer"]), global_id("ReferralProgram", ids["program"])
    sent = {place: {"id": global_id("Community", ids["community"])}, listed: {}}
    sent[profile] = {"id": customer, "program": program}
    return {
        one.name: {
            "variables": sent[one.name],
            **({"documentId": id_of(one)} if way == "trusted" else {"query": one.ours}),
        }
        for one in QUESTIONS
    }


def check(mine: Way, theirs: Way) -> None:
    """Raise AssertionError where the two do not tell the same."""
    for one in QUESTIONS:
        answer, other = orjson.loads(mine.answer(one.name)), orjson.loads(theirs.answer(one.name))
        assert "errors" not in answer and "errors" not in other, (answer.get("errors"), other.get("errors"))
        told, told_by_peer = one.told(answer["data"]), one.told_by_peer(other["data"])
        assert told == told_by_peer, (one.name, told, told_by_peer)
        fields = f"{fields_in(answer['data'])} fields, the peer's {fields_in(other['data'])}"
        Console().print(f"{one.name}: {fields}")


def fields_in(value: Any) -> int:
    if isinstance(value, dict):
        return sum(1 + fields_in(one) for one in value.values())
    return sum(fields_in(one) for one in value) if isinstance(value, list) else 0


def warm_up(ways: list[Way], seconds: float) -> None:
    """Load all ways until Java and Node have compiled what they run: half a minute of load, at twice the cost."""
    for question in QUESTIONS:
        for way in ways:
            if question.name in way.asked:
                way.load(question.name, CLIENTS[-1], seconds)


def measure(ways: list[Way], rounds: int, seconds: float) -> None:
    """All ways in turn, and again, so that what else the machine does meets all alike."""
    for turn in range(rounds):
        for question in QUESTIONS:
            for clients in CLIENTS:
                for way in ways[:: 1 if turn % 2 else -1]:
                    if question.name in way.asked:
                        way.turn(question.name, clients, seconds)


def report(ways: list[Way], against: Way, rounds: int) -> None:
    for question in QUESTIONS:
        columns = ("Way", *(f"{count} clients a second (of the peer)" for count in CLIENTS), "CPU a request")
        table = Table(*columns, title=f"{question.name}: medians of {rounds}", title_justify="left")
        for way in ways:
            if question.name not in way.asked:
                continue
            cells: list[str] = []
            for clients in CLIENTS:
                key = (question.name, clients)
                ratios = [a / b for a, b in zip(way.speeds[key], against.speeds[key], strict=True)]
                cells.append(f"{statistics.median(way.speeds[key]):.0f} ({statistics.median(ratios):.2f})")
            busy = statistics.median(way.busy[question.name, CLIENTS[-1]])
            table.add_row(way.name, *cells, f"{busy:.2f} ms")
        Console().print(table)
    # A Python that was compiled without its own profile takes half as long again.
    Console().print(
        f"Python {sys.version}: a million turns of a plain loop in {turns_of_a_loop():.0f} ms", highlight=False
    )


def turns_of_a_loop() -> float:
    """Milliseconds that this Python takes for a million calls of a small function, the best of five."""
    return 1_000 * min(timeit.repeat("made(one)", "made = lambda value: [value]\none = 1", number=10**6, repeat=5))


def run(stores: Stores, redis: str, rounds: int, seconds: float, *, bounds: bool) -> None:
    with ExitStack() as stack:
        ids = asyncio.run(seed(stores))
        issued_by = stack.enter_context(issuer())
        headers = {"Authorization": f"Bearer {token(issued_by, SUBJECT)}", "Accept-Language": "en"}
        api = stack.enter_context(ours(stores, redis, issued_by))
        mine = Way("any document", api, headers, bodies(ids, way="text"))
        listed = orjson.loads(mine.answer(QUESTIONS[-1].name))["data"]
        asyncio.run(put_list(stores, ids["customer"], listed))
        theirs = Way("peer", stack.enter_context(peer(stores)), {}, bodies(ids, way="peer"))
        ruled = stack.enter_context(peer(stores, issued_by))
        as_used = Way("peer with sign-in, rules, order", ruled, headers, bodies(ids, way="peer in order"))
        ways = [theirs, as_used, mine, Way("trusted document", api, headers, bodies(ids, way="trusted"))]
        check(mine, theirs)
        check(mine, as_used)
        if bounds:
            here = {"BENCH_COMMUNITY": ids["community"]}
            kept = stack.enter_context(ours(stores, redis, issued_by, "bench.graphql_bounds", "constants"))
            bare = stack.enter_context(ours(stores, redis, issued_by, "bench.graphql_bounds", "driver", **here))
            ways.append(Way("constants", kept, headers, bodies(ids, way="text")))
            first = QUESTIONS[0].name
            ways.append(Way("driver alone", bare, {}, {first: bodies(ids, way="text")[first]}))
        warm_up(ways, WARM_UP_SECONDS)
        measure(ways, rounds, seconds)
        report(ways, theirs, rounds)


async def put_list(stores: Stores, customer: str, data: Any) -> None:
    async with stores.graph() as graph:
        await put_peers_list(graph, customer, data)


def main(
    rounds: Annotated[int, typer.Option(min=1, help="How often each is measured.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.5, help="How long each time.")] = 4.0,
    bounds: Annotated[bool, typer.Option(help="Measure the bounds as well.")] = True,
) -> None:
    """Measure our API against its peer on Neo4j and PostgreSQL."""
    with real_stores() as stores:
        folder, port = stores.folder / "redis", free_port()
        server = start_redis(folder, port=port, log=stores.folder / "redis.log")
        try:
            wait_for_redis(redis_url(folder, port))
            load(rows(), stores)
            measure_job(stores)
            run(stores, redis_url(folder, port), rounds, seconds, bounds=bounds)
        finally:
            stop(server)


if __name__ == "__main__":
    typer.run(main)
