"""Spark gives the same lists as the plain run on the same input, and takes part in the same runs."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson
import pytest

from community.recommendation_models import Chosen
from community.recommendations import learn
from core.clock import iso, utc_now
from core.processes import REPOSITORY
from graph.client import GraphClient
from graph.export import day_number
from tests.community.test_recommendation_places import meet
from tests.community.ties import acquaint, add_about, add_tag, read_all, refer, stored_lists
from tests.community.writings import write_comment, write_post
from tests.conftest import Addresses
from tests.worker.recommended import Town, count_customers, made_town, runs_of
from tests.worker.test_recommendations import run_killed
from worker.recommendations import STANDARD, run_recommendations

# `make test` alone installs no Spark; `make test ENGINES=all` does.
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(find_spec("pyspark") is None, reason="Spark is not installed"),
    # A run is about all customers of the stores, which other tests have filled.
    pytest.mark.timeout(600),
]


def run_spark(town: Town, stores: Addresses, *given: str) -> dict[str, Any] | None:
    """Run the command to its end; what it said of the run."""
    places = {"DATABASE_URL": town.stores.database.url, "DATA_DIR": str(town.folder.path.parent)}
    command = [sys.executable, "-m", "worker.recommendations_spark", "--master", "local[2]", *given]
    environment = {**os.environ, **stores.environment(), **places}
    done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3_000:]
    lines = [orjson.loads(line) for line in done.stdout.splitlines() + done.stderr.splitlines() if line[:1] == "{"]
    return next((line for line in lines if line.get("event") == "recommendations"), None)


async def choose_standard(town: Town) -> None:
    """Leave this choice behind from a run of this week: what others have put into the stores must not choose here."""
    learnt = await learn(town.stores.graph, STANDARD, now=utc_now())
    chosen = Chosen(STANDARD, day_number(iso(utc_now())))
    town.folder.save("0", replace(learnt, chosen=chosen))


async def test_spark_gives_the_lists_of_the_plain_run(
    stores: Addresses, graph: GraphClient, tmp_path: Path, unique: str
) -> None:
    """Given ties of each kind; then both give the same lists, with the same scores and reasons."""
    async with made_town(stores, graph, tmp_path) as town:
        await acquaint(graph, town.viewer, town.customers[1:7])
        await refer(graph, town.customers[2], town.customers[3:6])
        for community, confidence in zip(town.wanted, (0.4, 0.6, 0.8), strict=True):
            await add_about(graph, community, f"{unique}-{confidence}")
            await add_tag(graph, town.viewer, f"{unique}-{confidence}", confidence=confidence)
        for place, community in enumerate((town.joined, *town.wanted)):
            await meet(graph, community, 31.2 + 0.3 * place)
        post = await write_post(graph, town.joined, town.viewer)
        await write_comment(graph, post, town.customers[1])
        await choose_standard(town)
        await run_recommendations(town.stores, town.folder, policy=None)
        plain = await stored_lists(graph, town.customers)
        everybody = await count_customers(graph)
        said = run_spark(town, stores, "--again", "--range-size", str(max(1, everybody // 5)))
        spark = await stored_lists(graph, town.customers)

        assert said is not None
        assert (said["customers"], said["lists_written"]) == (everybody, everybody)
        ids = [{row.pop("run_id") for row in lists.values()} for lists in (plain, spark)]
        runs, pieces = await runs_of(town.stores)
        assert ids == [{run.id} for run in runs]
        assert len(pieces) > 4
        assert spark == plain
        reasons = [reason["kind"] for row in await read_all(graph, town.viewer) for reason in row["reasons"]]
        assert {"CO_MEMBERS", "SHARED_TAGS", "ACQUAINTANCES", "NEARBY"} <= set(reasons)
        assert sorted(path.name for path in town.folder.path.iterdir()) == [run.id for run in runs]


async def test_spark_goes_on_with_a_run_that_died(stores: Addresses, graph: GraphClient, tmp_path: Path) -> None:
    """Given a plain run that died after its first ranges; then Spark does the rest, and again there is nothing."""
    async with made_town(stores, graph, tmp_path) as town:
        size = max(1, await count_customers(graph) // 3)
        assert run_killed(town, stores, "after-commit", 4, size) == -signal.SIGKILL
        said = run_spark(town, stores)
        ((run,), pieces) = await runs_of(town.stores)
        assert run.is_complete
        assert said is not None
        assert said["customers"] == sum(piece.customers for piece in pieces if piece.number > 1)
        assert set((await stored_lists(graph, town.customers))[town.viewer]["community_ids"][:3]) == set(town.wanted)
        assert run_spark(town, stores) is None
