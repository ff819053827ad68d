"""`python -m bench.fraud`: how many of 50 planted rings are found among 200,000 customers, and how many others are.

Precision and recall over several seeds and levels of noise come from the towns as arrays; then one town goes into a
graph, where the job runs as the worker runs it and single screenings are timed.
"""

import asyncio
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, LiteralString

import numpy as np
import typer
from rich.console import Console
from rich.table import Table
from scipy.sparse import coo_array, csr_array

from bench.children import run_child
from bench.fraud_town import RINGS, Town, build_town
from bench.recommendations_job import latencies
from bench.stores import Stores, embedded_stores, real_stores
from core.clock import iso, utc_now
from core.ids import derived_id
from graph.client import GraphClient
from graph.identifiers import Uses
from referrals.fraud_graph import group_around, read_neighbourhoods
from referrals.fraud_rings import KINDS, Ring, RingSearch, Ties, find_rings
from referrals.fraud_signals import FraudPolicy, assess

POLICY = FraudPolicy()
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
# Noise and togetherness of the towns.
HABITS = ((1, 0), (0.5, 1), (1, 1), (2, 1))
SCREENINGS = 300
AT_ONCE = 2_000
# Groups with their scores.
Candidates = list[tuple[float, set[int]]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Shares of rings and of members: found ones that are planted, planted ones that are found."""

    rings: tuple[float, float]
    members: tuple[float, float]


def ties_of(town: Town) -> Ties:
    """The town as the export would read it; ids are in the order of numbers."""
    names = [f"{number:07d}" for number in range(town.customers)]
    users = np.array([person for person, _, _ in town.uses], dtype=np.int32)
    keys = np.array([key for _, _, key in town.uses], dtype=np.uint64)
    kinds = np.array([KINDS.index(kind) for _, kind, _ in town.uses], dtype=np.int8)
    places = (list(town.referrers), list(town.referrers.values()))
    ones = np.ones(len(town.referrers), dtype=np.float32)
    referrers = csr_array(coo_array((ones, places), shape=(town.customers, town.customers)))
    return Ties(names, Uses(users, keys, kinds), referrers)


def rings_of(town: Town) -> Candidates:
    """Every candidate with its score, however low."""
    search = RingSearch(ties_of(town), FraudPolicy(threshold=0.0))
    households = {f"{member:07d}": str(home) for member, home in town.households.items()}
    found: list[Ring] = list(find_rings(search, [search.members(group) for group in search.groups()], households))
    return [(ring.assessment.score, {int(member) for member in ring.members}) for ring in found]


def outcome(town: Town, candidates: Candidates, threshold: float) -> Outcome:
    """A ring is found where half of it stands in one group; a group is right where half of it is of one ring."""
    planted = [set(members) for _, members in town.rings]
    found = [members for score, members in candidates if score >= threshold]
    right = [group for group in found if any(2 * len(group & ring) >= len(group) for ring in planted)]
    hit = [ring for ring in planted if any(2 * len(group & ring) >= len(ring) for group in found)]
    everybody, guilty = set().union(*found), set().union(*planted)
    both = len(everybody & guilty)
    return Outcome(
        (len(right) / max(1, len(found)), len(hit) / len(planted)),
        (both / max(1, len(everybody)), both / len(guilty)),
    )


def spread(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values) if len(values) > 1 else 0:.3f}"


def measure_detection(customers: int, seeds: int) -> None:
    """Print precision and recall by noise and threshold, which shapes were missed, and who was suspected wrongly."""
    columns = ("Noise", "Together", "Threshold", "Rings: precision", "recall", "Members: precision", "recall", "Found")
    table = Table(*columns, title=f"{customers} customers, {RINGS} rings, {seeds} seeds", title_justify="left")
    shapes: dict[str, list[bool]] = {}
    wrong: Counter[str] = Counter()
    seconds: list[float] = []
    for number, (noise, together) in enumerate(HABITS):
        runs: list[tuple[Town, Candidates]] = []
        for seed in range(seeds):
            town = build_town(customers, 1_000 * number + seed, noise=noise, together=together)
            began = time.perf_counter()
            runs.append((town, rings_of(town)))
            seconds.append(time.perf_counter() - began)
        for threshold in THRESHOLDS if (noise, together) == (1, 1) else (POLICY.threshold,):
            table.add_row(f"{noise:g}", f"{together:g}", f"{threshold:g}", *cells(runs, threshold))
        if (noise, together) == (1, 1):
            for town, candidates in runs:
                note_shapes(town, candidates, shapes)
                wrong += wrongly_suspected(town, candidates)
    Console(width=160).print(table)
    for shape, hits in shapes.items():
        print(f"{shape}: {sum(hits)} of {len(hits)} found")
    print(f"wrong groups: {dict(wrong)}")
    print(f"search of a town in memory: {spread(seconds)} s")


def cells(runs: Sequence[tuple[Town, Candidates]], threshold: float) -> Iterator[str]:
    """Precision and recall of rings and of members, and how many groups were found."""
    found = [outcome(town, candidates, threshold) for town, candidates in runs]
    for pairs in ([one.rings for one in found], [one.members for one in found]):
        for side in (0, 1):
            yield spread([pair[side] for pair in pairs])
    yield f"{statistics.mean(sum(score >= threshold for score, _ in candidates) for _, candidates in runs):.0f}"


def note_shapes(town: Town, candidates: Candidates, shapes: dict[str, list[bool]]) -> None:
    """Which rings are found at the default threshold, by their shape."""
    found = [group for score, group in candidates if score >= POLICY.threshold]
    for shape, members in town.rings:
        hit = any(2 * len(group & set(members)) >= len(members) for group in found)
        shapes.setdefault(shape, []).append(hit)


def wrongly_suspected(town: Town, candidates: Candidates) -> Counter[str]:
    """What the groups are that are found at the default threshold and are no rings."""
    planted = [set(members) for _, members in town.rings]
    counted: Counter[str] = Counter()
    for score, group in candidates:
        if score < POLICY.threshold or any(2 * len(group & ring) >= len(group) for ring in planted):
            continue
        kinds = (("brought by one of the shop", town.shops), ("brought by one at home", town.homes))
        name = next(
            (name for name, wholes in kinds if any(2 * len(group & one) > len(group) for one in wholes)), "other"
        )
        counted[name] += 1
    return counted


PUT_CUSTOMERS = "UNWIND $ids AS id CREATE (:Customer {id: id, display_name: id})"
PUT_IDENTIFIERS = "UNWIND $rows AS row CREATE (:Identifier {key: row[0], kind: row[1]})"
PUT_USES = """
UNWIND $rows AS row
MATCH (c:Customer {id: row[0]}), (i:Identifier {key: row[1]})
CREATE (c)-[:USES {first_at: row[2], last_at: row[2]}]->(i)
"""
PUT_REFERRALS = """
UNWIND $rows AS row
MATCH (a:Customer {id: row[0]}), (b:Customer {id: row[1]})
CREATE (a)-[:REFERRED {key: row[1], program_id: 'bench', at: row[2], settled: true}]->(b)
"""


async def load(graph: GraphClient, town: Town) -> None:
    """Write the town into an empty graph."""
    names = [customer_id(number) for number in range(town.customers)]
    now = iso(utc_now())
    for start in range(0, len(names), AT_ONCE):
        await graph.write(PUT_CUSTOMERS, timeout=60, ids=names[start : start + AT_ONCE])
    identifiers = sorted({(key_of(key), str(kind)) for _, kind, key in town.uses})
    uses = [(names[person], key_of(key), now) for person, _, key in town.uses]
    referrals = [(names[above], names[below], now) for below, above in town.referrers.items()]
    steps: tuple[tuple[LiteralString, list[Any]], ...] = (
        (PUT_IDENTIFIERS, identifiers),
        (PUT_USES, uses),
        (PUT_REFERRALS, referrals),
    )
    for query, rows in steps:
        for start in range(0, len(rows), AT_ONCE):
            await graph.write(query, timeout=120, rows=[list(row) for row in rows[start : start + AT_ONCE]])


def customer_id(number: int) -> str:
    return derived_id("bench-fraud", str(number))


def key_of(number: int) -> str:
    return derived_id("bench-fraud-key", str(number)).replace("-", "")


async def measure_screenings(graph: GraphClient, town: Town) -> None:
    """Time the reading and scoring of single referrals, of rings and of anybody."""
    pairs = {customer_id(below): customer_id(above) for below, above in town.referrers.items()}
    chosen = random.Random(7).sample(sorted(pairs), SCREENINGS)

    async def screen(referee: str) -> None:
        (around,) = await read_neighbourhoods(graph, [(pairs[referee], referee)], POLICY)
        assess(around, group_around(around, pairs[referee], referee, POLICY), households={}, policy=POLICY)

    nothing = await latencies(lambda _: graph.read("RETURN 1 AS one"), chosen)
    found = await latencies(screen, chosen)
    for name, times in (("RETURN 1", nothing), ("screening", found)):
        median, slow = statistics.median(times), statistics.quantiles(times, n=20)[-1]
        print(f"{name}: median {median:.2f} ms, 95 of 100 {slow:.2f} ms")


def measure_job(stores: Stores, customers: int) -> None:
    """Load one town, run the job as the worker does, and time screenings."""
    town = build_town(customers, 0)

    async def prepare() -> None:
        async with stores.graph() as graph:
            began = time.monotonic()
            await load(graph, town)
            print(
                f"{stores.name}: {len(town.uses)} uses and {len(town.referrers)} referrals loaded "
                f"in {time.monotonic() - began:.0f} s"
            )
            await measure_screenings(graph, town)

    asyncio.run(prepare())
    run = run_child([sys.executable, "-m", "worker.rings"], stores.environment())
    print(f"job: {run.seconds:.1f} s, {run.busy_seconds:.1f} s busy, peak {run.peak_mib:.0f} MiB")
    print(run.said.strip().splitlines()[-1])


def main(
    customers: Annotated[int, typer.Option(min=1_000)] = 200_000,
    seeds: Annotated[int, typer.Option(min=0, help="Towns for each level of noise; 0: only the graph.")] = 5,
    neo4j: Annotated[bool, typer.Option(help="The job on Neo4j and PostgreSQL instead.")] = False,
    graph: Annotated[bool, typer.Option(help="Also run the job on a graph.")] = True,
) -> None:
    """Measure detection in memory, then the job and single screenings on a graph."""
    if seeds:
        measure_detection(customers, seeds)
    if graph:
        with real_stores() if neo4j else embedded_stores(heap="1g") as stores:
            measure_job(stores, customers)


if __name__ == "__main__":
    typer.run(main)
