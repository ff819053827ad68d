"""`python -m bench.search [--neo4j] [--only near]`: searches among 100,000 events, against reading the page by its ids.

Both are measured in one run, in turn, as the domain's functions do them; the figures that count are the ratios.
"""

import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from community.discovery import FoundPage, Question, find_events, search
from community.events import read_events
from community.search_documents import index_nodes
from community.search_keys import Area, SearchKind
from core.clock import iso
from core.db import Database
from core.ids import new_id
from core.processes import REPOSITORY, free_port, stop
from graph.client import GraphClient
from graph.engine import DATABASE, USER, graph_password, start_graph
from graph.ready import wait_for_bolt
from migrations.graph_migrations import upgrade_graph
from migrations.sql_migrations import upgrade_sql
from ops.neo4j_server import install_neo4j, start_neo4j

NOW = datetime(2027, 1, 1, tzinfo=UTC)
# When questions without a time are asked: with events before and after it.
ASKED_AT = NOW + timedelta(days=100, hours=12)
YEAR = 365 * 24 * 60
COMMUNITIES = 1_000
# Of a hundred communities so many are private; their events are candidates that a stranger may not find.
PRIVATE = 10
AT_ONCE = 1_000
PAGE = 20
CITIES = [(31.23, 121.47), (39.90, 116.40), (23.13, 113.26), (22.54, 114.06), (30.25, 120.17), (30.57, 104.07)]
# The tags of events by how many of a hundred have them.
TAGS = {"photo": 30, "wine": 10, "run": 5, "tea": 1}

PUT_COMMUNITIES = """
UNWIND $rows AS row
CREATE (c:Community {id: row.id, name_zh: '社群', name_en: 'Club', visibility: row.visibility, created_at: $now,
  member_count: 0})
"""
PUT_TAGS = "UNWIND $keys AS key CREATE (:Tag {key: key, name_zh: key, name_en: key})"
PUT_VIEWER = """
CREATE (v:Customer {id: $viewer})
WITH v
UNWIND $ids AS id
MATCH (c:Community {id: id})
CREATE (v)-[:MEMBER_OF {key: id + ':' + $viewer, role: 'MEMBER', since: $now}]->(c)
"""
PUT_EVENTS = """
UNWIND $rows AS row
MATCH (c:Community {id: row.community_id})
CREATE (c)-[:HOSTS]->(e:Event {id: row.id})
SET e += row.properties
"""
PUT_ABOUT = "UNWIND $rows AS row MATCH (e:Event {id: row.id}), (t:Tag {key: row.tag}) CREATE (e)-[:ABOUT]->(t)"


@dataclass(frozen=True)
class Town:
    """The stores with all events in them, and who searches."""

    graph: GraphClient
    database: Database
    viewer: str
    words: Sequence[str]


class Author:
    """Writes texts of words as frequent as in language: the n-th about 1/n as often as the first."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.chinese = ["".join(chr(0x4E00 + dice.randrange(4_000)) for _ in range(2)) for _ in range(5_000)]
        self.english = ["".join(dice.choice("abcdefghiklmnoprstuw") for _ in range(6)) for _ in range(5_000)]
        self.weights = [1 / rank for rank in range(1, 5_001)]

    def some(self, words: Sequence[str], count: int) -> list[str]:
        return self.dice.choices(words, self.weights, k=count)

    def event(self, community_id: str) -> dict[str, Any]:
        """60 of 100 titles have 活动, 30 have 摄影."""
        dice = self.dice
        start = NOW + timedelta(minutes=dice.randrange(YEAR))
        latitude, longitude = dice.choice(CITIES)
        title = "".join([*self.some(self.chinese, 2), "摄影" * (dice.random() < 0.3), "活动" * (dice.random() < 0.6)])
        properties = {
            "community_id": community_id,
            "title_zh": title,
            "title_en": " ".join(self.some(self.english, 4)),
            "description_zh": "，".join("".join(self.some(self.chinese, 5)) for _ in range(4)),
            "description_en": " ".join(self.some(self.english, 15)),
            "starts_at": iso(start),
            "ends_at": iso(start + timedelta(hours=2)),
            "time_zone": "Asia/Shanghai",
            "status": "PUBLISHED",
            "registered": 0,
            "latitude": latitude + dice.gauss(0, 0.15),
            "longitude": longitude + dice.gauss(0, 0.15),
            "price_points": dice.choice([None, 100]),
        }
        return {"id": new_id(), "community_id": community_id, "properties": properties}


async def fill(graph: GraphClient, database: Database, events: int) -> Town:
    """Load communities, tags, a viewer who is a member of fifty, and the events; then index them."""
    dice = random.Random(20270101)
    author, viewer = Author(dice), new_id()
    communities = [
        {"id": new_id(), "visibility": "PRIVATE" if dice.randrange(100) < PRIVATE else "PUBLIC"}
        for _ in range(COMMUNITIES)
    ]
    ids = [community["id"] for community in communities]
    await graph.write(PUT_COMMUNITIES, rows=communities, now=iso(NOW))
    await graph.write(PUT_TAGS, keys=list(TAGS))
    await graph.write(PUT_VIEWER, viewer=viewer, ids=dice.sample(ids, 50), now=iso(NOW))
    indexed = 0.0
    began = time.monotonic()
    for start in range(0, events, AT_ONCE):
        rows = [author.event(dice.choice(ids)) for _ in range(min(AT_ONCE, events - start))]
        about = [
            {"id": r["id"], "tag": tag} for r in rows for tag, share in TAGS.items() if dice.randrange(100) < share
        ]
        await graph.write(PUT_EVENTS, rows=rows)
        await graph.write(PUT_ABOUT, rows=about)
        before = time.monotonic()
        async with database.write() as session:
            await index_nodes(graph, session, "Event", [row["id"] for row in rows], now=NOW)
        indexed += time.monotonic() - before
    Console().print(f"{events} events in {time.monotonic() - began - indexed:.0f} s, indexed in {indexed:.0f} s")
    return Town(graph, database, viewer, author.chinese)


Ask = Callable[[random.Random], Question]


def questions(town: Town) -> dict[str, Ask]:
    """What is asked, from words that most events have to those that a few have."""

    def week(dice: random.Random) -> dict[str, Any]:
        begin = NOW + timedelta(days=dice.randrange(300))
        return {"starts_from": begin, "starts_to": begin + timedelta(days=7)}

    def later(dice: random.Random) -> datetime:
        return NOW + timedelta(days=dice.randrange(300))

    def near(dice: random.Random, radius: float) -> Area:
        # Each somewhere else in a city, so that nothing is remembered of the one before.
        latitude, longitude = dice.choice(CITIES)
        return Area(latitude + dice.gauss(0, 0.05), longitude + dice.gauss(0, 0.05), radius)

    return {
        "a word of 60 %": lambda dice: Question(text="活动", starts_from=later(dice)),
        "two words of 18 %": lambda dice: Question(text="摄影活动", starts_from=later(dice)),
        "a common and a rare word": lambda dice: Question(text="活动 " + town.words[dice.randrange(2_000, 5_000)]),
        "a rare word": lambda dice: Question(text=town.words[dice.randrange(2_000, 5_000)]),
        "one character": lambda dice: Question(text="影", starts_from=later(dice)),
        "tag of 30 % and a week": lambda dice: Question(tags=["photo"], **week(dice)),
        "tag of 1 % and a week": lambda dice: Question(tags=["tea"], **week(dice)),
        "near (10 km)": lambda dice: Question(near=near(dice, 10), starts_from=later(dice)),
        "near (100 km), tag and word": lambda dice: Question(
            text="活动", tags=["wine"], near=near(dice, 100), starts_from=later(dice)
        ),
        "a word of 60 %, from now on": lambda _: Question(text="活动"),
        "nothing, from now on": lambda _: Question(),
        "nothing but time": lambda dice: Question(starts_from=later(dice)),
    }


async def timed(work: Awaitable[Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = await work
    return (time.perf_counter() - began) * 1000, result


async def compare(town: Town, ask: Ask, *, by_events: bool, rounds: int) -> tuple[list[float], list[float], float]:
    """Milliseconds of searching a page and reading it, of reading it alone, and how many a page holds on average."""
    dice = random.Random(5)
    searched: list[float] = []
    by_id: list[float] = []
    rows = 0
    pages: list[list[str]] = []
    for number in range(-10, rounds):
        taken, page = await timed(one_page(town, ask(dice), by_events=by_events))
        pages.append([row.id for row in page.rows])
        # Not the page that was just read, of which everything is warm.
        alone, _ = await timed(read_events(town.graph, pages[len(pages) // 2], viewer_id=town.viewer))
        # The first rounds warm up both.
        if number >= 0:
            searched.append(taken)
            by_id.append(alone)
            rows += len(page.rows)
    return searched, by_id, rows / rounds


async def one_page(town: Town, question: Question, *, by_events: bool) -> FoundPage:
    if by_events:
        return await find_events(
            town.graph, town.database, question, viewer_id=town.viewer, now=ASKED_AT, first=PAGE, after=None
        )
    kinds = [SearchKind.EVENT]
    return await search(
        town.graph, town.database, question, kinds, viewer_id=town.viewer, now=ASKED_AT, first=PAGE, after=None
    )


def p95(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


async def measure(town: Town, rounds: int, title: str, only: str) -> None:
    table = Table("Asked for", "Rows", "p50", "p95", "by id p50", "p95", "ratio p50", "p95", title=title)
    for by_events in (True, False):
        for name, ask in questions(town).items():
            if only not in name:
                continue
            searched, by_id, rows = await compare(town, ask, by_events=by_events, rounds=rounds)
            halves = statistics.median(searched), statistics.median(by_id)
            high = p95(searched), p95(by_id)
            cells = [f"{halves[0]:.1f}", f"{high[0]:.1f}", f"{halves[1]:.1f}", f"{high[1]:.1f}"]
            ratios = [f"{halves[0] / halves[1]:.2f}", f"{high[0] / high[1]:.2f}"]
            table.add_row(("events: " if by_events else "search: ") + name, f"{rows:.0f}", *cells, *ratios)
    Console(width=120).print(table)


async def run(
    uri: str, user: str, password: str, database_name: str | None, url: str, events: int, rounds: int, only: str
) -> None:
    await wait_for_bolt(uri, user, password, timeout=90)
    database = Database(url, timeout=60)
    await upgrade_sql(database)
    async with GraphClient(uri, user=user, password=password, database=database_name, timeout=120) as graph:
        await upgrade_graph(graph)
        town = await fill(graph, database, events)
        await measure(town, rounds, "embedded engine" if await graph.is_embedded() else "Neo4j", only)
    await database.close()


def main(
    neo4j: Annotated[bool, typer.Option(help="Measure on Neo4j instead of the embedded engine.")] = False,
    events: Annotated[int, typer.Option(help="How many events.")] = 100_000,
    rounds: Annotated[int, typer.Option(help="How often each question is asked.")] = 200,
    only: Annotated[str, typer.Option(help="Ask only questions whose name has this in it, such as near.")] = "",
) -> None:
    """Measure searches on stores in a folder that is thrown away."""
    with tempfile.TemporaryDirectory(prefix="kinship-bench-", ignore_cleanup_errors=True) as name:
        folder, port = Path(name), free_port()
        url, uri = f"sqlite+aiosqlite:///{folder / 'bench.sqlite'}", f"bolt://127.0.0.1:{port}"
        if neo4j:
            lib = install_neo4j(REPOSITORY / ".cache")
            server = start_neo4j(folder / "neo4j", lib=lib, bolt_port=port, log=folder / "graph.log")
            login = "neo4j", "", None
        else:
            server = start_graph(folder / "graph", bolt_port=port, http_port=free_port(), log=folder / "graph.log")
            login = USER, graph_password(folder / "graph"), DATABASE
        try:
            asyncio.run(run(uri, *login, url=url, events=events, rounds=rounds, only=only))
        finally:
            stop(server)


if __name__ == "__main__":
    typer.run(main)
