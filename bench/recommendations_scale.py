"""How far recommendations reach on one machine.

`python -m bench.recommendations_scale matrices` makes a population as matrices on disk (by default 1,000,000 customers,
10,000 communities, 10,000,000 memberships), then learns and scores it by one process and by two, without stores.
`… stores` loads a demonstration bank into embedded stores, runs the whole job with one process and with two, and
measures how long a join takes to change a list, and how long lists take to be read.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import orjson
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.sparse import coo_array, csr_array, vstack

from bench.children import Child, run_child
from bench.recommendations_job import latencies, load, read_list, report_of
from bench.stores import Stores, embedded_stores
from community.memberships import join_community
from community.recommendation_learning import ScoringPolicy, fit
from community.recommendation_models import ModelFolder, Population, get_all, put_all
from community.recommendation_parts import HEADER
from community.recommendation_runs import RANGE, learnt_run
from community.recommendation_scores import Evidence
from community.recommendation_updates import update_lists
from community.recommendations import rows_of
from core.clock import as_utc, utc_now
from core.errors import KinshipError
from graph.client import GraphClient
from graph.export import Catalogue, Incidence
from ops.demonstration.bank import Bank
from ops.demonstration.load import PROGRAM_ID
from worker.sweeps import relay_owed, sweep_outbox
from worker.work import Stores as WorkersStores

app = typer.Typer(add_completion=False)
CLUSTERS = 50
TAGS_OF_CLUSTER = 4
# Of ten memberships eight are within one's cluster; popularity falls with this power of the rank (Zipf).
AT_HOME = 0.8
POWER = 0.8
ACQUAINTANCES, CUSTOMER_TAGS = 4, 2
CHUNK = 100_000
RUN = "run"
TODAY = date(2026, 11, 24)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the export of the stores would give: who is in what, has which tags, and knows whom."""

    customers: NDArray[np.bytes_]
    catalogue: Catalogue
    taken: csr_array
    joined: csr_array
    tags: csr_array
    acquaintances: csr_array


def drawn(random: np.random.Generator, count: int, size: int) -> NDArray[np.int64]:
    """So many ranks below `size`, by a power law."""
    weights = np.cumsum(np.arange(1, size + 1, dtype=np.float64) ** -POWER)
    return np.searchsorted(weights, random.random(count) * weights[-1]).astype(np.int64)


def members_of_some(random: np.random.Generator, homes: NDArray[np.int64], communities: int, mean: float) -> csr_array:
    """Memberships of customers with these clusters; community n is of cluster n modulo the number of clusters."""
    lengths = 1 + random.poisson(mean - 1, len(homes))
    rows = np.repeat(np.arange(len(homes)), lengths)
    at_home = random.random(len(rows)) < AT_HOME
    within = drawn(random, len(rows), communities // CLUSTERS) * CLUSTERS + homes[rows]
    columns = np.where(at_home, within, drawn(random, len(rows), communities))
    entries = (np.ones(len(rows), dtype=np.float32), (rows.astype(np.int32), columns.astype(np.int32)))
    found = csr_array(coo_array(entries, shape=(len(homes), communities)))
    found.data[:] = 1.0
    return found


def pairs(rows: NDArray[np.int64], columns: NDArray[np.int64], shape: tuple[int, int]) -> csr_array:
    entries = (np.ones(len(rows), dtype=np.float32), (rows.astype(np.int32), columns.astype(np.int32)))
    found = csr_array(coo_array(entries, shape=shape))
    found.data[:] = 1.0
    return found


def made(customers: int, communities: int, memberships: int, seed: int) -> Inputs:
    """A population: customers of clusters, who join, know and are tagged mostly within theirs."""
    random = np.random.default_rng(seed)
    homes = random.integers(0, CLUSTERS, customers)
    # Columns in another order than that of popularity, which a tie would otherwise follow.
    order = random.permutation(communities)
    taken = [
        members_of_some(random, homes[start : start + CHUNK], communities, memberships / customers)[:, order]
        for start in range(0, customers, CHUNK)
    ]
    tags = CLUSTERS * TAGS_OF_CLUSTER
    about = np.repeat(order % CLUSTERS, 2) * TAGS_OF_CLUSTER + random.integers(0, TAGS_OF_CLUSTER, 2 * communities)
    tagged = np.repeat(homes, CUSTOMER_TAGS) * TAGS_OF_CLUSTER
    tagged += random.integers(0, TAGS_OF_CLUSTER, len(tagged))
    everybody = np.repeat(np.arange(customers), ACQUAINTANCES)
    known = (everybody + CLUSTERS * random.integers(1, 100, len(everybody))) % customers
    catalogue = Catalogue(
        communities=[f"{number:036x}" for number in range(communities)],
        is_public=np.ones(communities, dtype=np.bool_),
        is_archived=np.zeros(communities, dtype=np.bool_),
        tags=[f"t{number:04d}" for number in range(tags)],
        about=pairs(np.repeat(np.arange(communities), 2), about, (communities, tags)),
        ages=random.integers(0, 2_000, communities).astype(np.float32),
        points=np.round(random.uniform((20, 100), (45, 120), (CLUSTERS, 2)), 1)[order % CLUSTERS],
    )
    whole = csr_array(vstack(taken, format="csr"))
    return Inputs(
        customers=np.array([f"{number:036x}".encode() for number in range(customers)], dtype=np.bytes_),
        catalogue=catalogue,
        taken=whole,
        joined=csr_array((random.integers(19_000, 20_500, whole.nnz).astype(np.float32), whole.indices, whole.indptr)),
        tags=pairs(np.repeat(np.arange(customers), CUSTOMER_TAGS), tagged, (customers, tags)),
        acquaintances=pairs(everybody, known, (customers, customers)),
    )


@app.command(hidden=True)
def generate(folder: Path, customers: int, communities: int, memberships: int, seed: int) -> None:
    """Write a population into a folder."""
    inputs = folder / "inputs"
    inputs.mkdir(parents=True)
    header = dict(put_all(inputs, "", made(customers, communities, memberships, seed)))
    (inputs / HEADER).write_bytes(orjson.dumps(header))


def inputs_in(folder: Path) -> Inputs:
    return get_all(folder / "inputs", "", Inputs, orjson.loads((folder / "inputs" / HEADER).read_bytes()))


@app.command(hidden=True)
def learn(folder: Path) -> None:
    """Learn from the population, and keep the model beside it."""
    inputs = inputs_in(folder)
    memberships = Incidence(inputs.customers, inputs.catalogue.communities, inputs.taken, inputs.joined)
    model = fit(ScoringPolicy(), inputs.catalogue, memberships)
    ModelFolder(folder / "models").save(RUN, Population(inputs.customers, model))


@app.command(hidden=True)
def score(folder: Path, part: int, parts: int) -> None:
    """Score one of several equal parts, range by range, and make the rows that would be written."""
    inputs = inputs_in(folder)
    population = ModelFolder(folder / "models").load(RUN)
    lists = entries = 0
    for start in range(part * RANGE, len(inputs.customers), parts * RANGE):
        chosen = slice(start, start + RANGE)
        ties = inputs.acquaintances[chosen]
        nobody = csr_array(ties.shape, dtype=np.float32)
        seeds = np.arange(len(ties.indptr) - 1, dtype=np.uint64)
        told = (inputs.taken[chosen], inputs.joined[chosen], inputs.tags[chosen], ties)
        evidence = Evidence(*told, nobody, nobody, nobody, seeds)
        rows = rows_of(population, [one.decode() for one in inputs.customers[chosen].tolist()], evidence)
        lists, entries = lists + len(rows), entries + sum(len(row["community_ids"]) for row in rows)
    print(orjson.dumps({"lists": lists, "entries": entries}).decode(), file=sys.stderr)


def step(*given: object) -> Child:
    return run_child([sys.executable, "-m", "bench.recommendations_scale", *map(str, given)], dict(os.environ))


@app.command()
def matrices(
    customers: Annotated[int, typer.Option(min=1_000)] = 1_000_000,
    communities: Annotated[int, typer.Option(min=CLUSTERS)] = 10_000,
    memberships: Annotated[int, typer.Option(min=1_000)] = 10_000_000,
    seed: int = 7,
    keep: Annotated[Path | None, typer.Option(help="Keep the files here.")] = None,
) -> None:
    """Learn and score a population of matrices, by one process and by two."""
    with folder_for(keep) as folder:
        table = Table("Step", "Processes", "Seconds", "Of them busy", "Customers/s", "Peak memory of each")
        table.title = f"{customers:,} customers, {communities:,} communities, {memberships:,} memberships"
        steps = [("generate", [step("generate", folder, customers, communities, memberships, seed)])]
        steps.append(("learn", [step("learn", folder)]))
        for processes in (1, 2):
            began = time.monotonic()
            with ThreadPoolExecutor(processes) as pool:
                done = list(pool.map(lambda part, of=processes: step("score", folder, part, of), range(processes)))
            steps.append((f"score ({time.monotonic() - began:.1f} s in all)", done))
            assert sum(orjson.loads(one.said)["lists"] for one in done) == customers
        for name, done in steps:
            seconds = max(one.seconds for one in done)
            busy = sum(one.busy_seconds for one in done)
            peaks = ", ".join(f"{one.peak_mib:,.0f} MiB" for one in done)
            speed = f"{customers / seconds:,.0f}"
            table.add_row(name, str(len(done)), f"{seconds:.1f}", f"{busy:.1f}", speed, peaks)
        Console(width=140).print(table)


@contextmanager
def folder_for(keep: Path | None) -> Generator[Path, None, None]:
    if keep is not None:
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="kinship-bench-") as name:
        yield Path(name)


@app.command()
def stores(
    customers: Annotated[int, typer.Option(min=20)] = 20_000,
    heap: Annotated[str, typer.Option(help="The engine's heap.")] = "1g",
    joins: Annotated[int, typer.Option(min=1, help="Joins of which the latency is measured.")] = 20,
    keep: Annotated[Path | None, typer.Option(help="Keep the stores here, and load them only once.")] = None,
) -> None:
    """Run the job on embedded stores, then measure updates and reads."""
    with embedded_stores(heap=heap, kept=keep) as made_stores:
        done = made_stores.folder / "loaded"
        if not done.exists():
            load(Bank(customers, TODAY, program=PROGRAM_ID).rows(), made_stores)
            done.touch()
        for processes in (1, 2):
            measure_run(made_stores, processes)
        asyncio.run(measure_updates(made_stores, joins))
        asyncio.run(measure_reads(made_stores))


def measure_run(made_stores: Stores, processes: int) -> None:
    """The whole job by so many processes at once, and what each of them did."""
    environment = {**made_stores.environment(), "DATA_DIR": str(made_stores.folder)}
    command = [sys.executable, "-m", "worker.recommendations", "--again"]
    began = time.monotonic()
    with ThreadPoolExecutor(processes) as pool:
        found = list(pool.map(lambda _: run_child(command, environment), range(processes)))
    seconds = time.monotonic() - began
    table = Table("Customers", "Lists", "Seconds", "Of them busy", "Peak memory")
    table.title = f"Job by {processes}: {seconds:.1f} s"
    for run in found:
        report = report_of(run)
        written = str(report["customers"]), str(report["lists_written"])
        table.add_row(*written, f"{run.seconds:.1f}", f"{run.busy_seconds:.1f}", f"{run.peak_mib:,.0f} MiB")
    Console(width=140).print(table)


SOME = "MATCH (c:Customer) WHERE c.id > $after RETURN c.id AS id ORDER BY c.id LIMIT $limit"
COMPUTED_AT = "MATCH (l:RecommendationList {customer_id: $id}) RETURN l.computed_at AS at, l.community_ids AS ids"
SWEEP_SECONDS = 5.0


async def measure_updates(made_stores: Stores, joins: int) -> None:
    """How long a join takes to change the list while a worker sweeps, and what computing some lists costs by itself."""
    os.environ["DATA_DIR"] = str(made_stores.folder)
    database = made_stores.database()
    async with made_stores.graph() as graph:
        ids = [row["id"] for row in await graph.read(SOME, after="", limit=2_000)]
        own = WorkersStores(database, graph)
        sweeping = asyncio.create_task(sweep_for_ever(own))
        waits = await asyncio.gather(*(join_and_wait(graph, ids[10 * place], place) for place in range(joins)))
        sweeping.cancel()
        table = Table("Update", "Median", "Longest", title="From a join to the new list", title_justify="left")
        table.add_row(f"{joins} joins", f"{statistics.median(waits):.1f} s", f"{max(waits):.1f} s")
        async with database.read() as session:
            run = await learnt_run(session)
        assert run is not None
        assert run.learnt_at is not None
        population = ModelFolder(made_stores.folder / "recommendations").load(run.id)
        for size in (1, 200):
            took: list[float] = []
            for place in range(20):
                began = time.perf_counter()
                chosen = ids[place * 50 : place * 50 + size]
                times = {"learnt_at": as_utc(run.learnt_at), "now": utc_now()}
                await update_lists(graph, population, chosen, run_id=run.id, **times)
                took.append(1_000 * (time.perf_counter() - began))
            table.add_row(f"computing {size}", f"{statistics.median(took):.1f} ms", f"{max(took):.1f} ms")
    await database.close()
    Console(width=140).print(table)


async def sweep_for_ever(own: WorkersStores) -> None:
    """What a worker does, as often as one does it."""
    while True:
        await relay_owed(own)
        await sweep_outbox(own)
        await asyncio.sleep(SWEEP_SECONDS)


async def join_and_wait(graph: GraphClient, customer_id: str, place: int) -> float:
    """Join the first community of the list at some moment, and wait until the list is without it; seconds."""
    await asyncio.sleep(place)
    (before,) = await graph.read(COMPUTED_AT, id=customer_id)
    await join_one(graph, customer_id, before["ids"])
    began = time.monotonic()
    for _ in range(1_200):
        await asyncio.sleep(0.1)
        if (await graph.read(COMPUTED_AT, id=customer_id))[0]["at"] != before["at"]:
            return time.monotonic() - began
    raise RuntimeError("the list has not changed in two minutes")


async def join_one(graph: GraphClient, customer_id: str, communities: Sequence[str]) -> None:
    """Join the first that takes somebody in."""
    for community_id in communities:
        with suppress(KinshipError):
            await join_community(graph, community_id=community_id, customer_id=customer_id, now=utc_now())
            return
    raise RuntimeError("no community of the list can be joined")


TEN_NODES = "UNWIND $ids AS id MATCH (c:Community {id: id}) RETURN c AS node"
COMMUNITIES = "MATCH (c:Community) RETURN c.id AS id LIMIT 1000"
READS = 500


async def measure_reads(made_stores: Stores) -> None:
    """Lists as they are read, beside ten nodes by their ids; in turns, so that both meet the same machine."""
    async with made_stores.graph() as graph:
        customers = [row["id"] for row in await graph.read(SOME, after="", limit=2_000)]
        communities = [row["id"] for row in await graph.read(COMMUNITIES)]

        async def ten(customer_id: str) -> Any:
            start = hash(customer_id) % max(1, len(communities) - 10)
            return await graph.read(TEN_NODES, ids=communities[start : start + 10])

        async def ten_of_list(customer_id: str) -> Any:
            return await read_list(graph, customer_id, first=10)

        nodes: list[float] = []
        lists: list[float] = []
        random = np.random.default_rng(7)
        for _ in range(READS // 50):
            chosen = [customers[place] for place in random.integers(0, len(customers), 50)]
            nodes += await latencies(ten, chosen)
            lists += await latencies(ten_of_list, chosen)
    print_reads(nodes, lists)


def print_reads(nodes: Sequence[float], lists: Sequence[float]) -> None:
    table = Table("Read", "Median", "95 of 100", "Times", title=f"{READS} reads", title_justify="left")
    slow = statistics.quantiles(nodes, n=20)[-1]
    for name, found in (("ten nodes by id", nodes), ("recommended_communities, ten", lists)):
        at_95 = statistics.quantiles(found, n=20)[-1]
        table.add_row(name, f"{statistics.median(found):.2f} ms", f"{at_95:.2f} ms", f"{at_95 / slow:.2f}")
    Console(width=140).print(table)


if __name__ == "__main__":
    app()
