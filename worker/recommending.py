"""What follows for single lists of recommendations from a change, between two runs over everybody."""

import subprocess
import sys
from datetime import datetime

import structlog

from community.recommendation_due import (
    COMMUNITY_CHARTED,
    RECOMMENDATION_DUE,
    owe_recommendations,
    room_for_imported,
)
from community.recommendation_models import ModelFolder
from community.recommendation_runs import learnt_run
from community.recommendation_updates import MOST_FITTING, fitting_customers, update_lists
from core.clock import as_utc
from core.db import Session
from core.processes import start_leashed
from core.settings import load_settings
from customers.tagging import TAGS_CHANGED, on_tags_changed
from graph.client import GraphClient
from worker.payloads import ManyHandler, Payloads

log = structlog.get_logger(__name__)


def model_folder() -> ModelFolder:
    """Where this machine keeps its models."""
    return ModelFolder(load_settings().data_dir.resolve() / "recommendations")


async def on_recommendations_due(session: Session, graph: GraphClient, payloads: Payloads, now: datetime) -> None:
    """Compute the lists of some customers anew; before the first run there is nothing to bring up to date."""
    run = await learnt_run(session)
    if run is None or run.learnt_at is None:
        return
    customers = sorted({one["customer_id"] for one in payloads})
    folder = model_folder()
    if not folder.has(run.id):
        learn_apart()
        await owe_recommendations(session, customers, now=now)
        return
    population, learnt_at = folder.load(run.id), as_utc(run.learnt_at)
    await update_lists(graph, population, customers, run_id=run.id, learnt_at=learnt_at, now=now)


async def on_communities_charted(session: Session, graph: GraphClient, payloads: Payloads, now: datetime) -> None:
    """Let those whom a new or changed community fits have their lists computed anew; of a file's as many as wait."""
    imported = {one["community_id"] for one in payloads if one.get("imported")}
    imported -= {one["community_id"] for one in payloads if not one.get("imported")}
    for community_id in sorted({one["community_id"] for one in payloads}):
        limit = (
            min(MOST_FITTING, await room_for_imported(session, now=now)) if community_id in imported else MOST_FITTING
        )
        fitting = await fitting_customers(graph, community_id, limit=limit, now=now) if limit else []
        await owe_recommendations(session, fitting, now=now)


async def on_tags_of_customers(session: Session, graph: GraphClient, payloads: Payloads, now: datetime) -> None:
    """Write what the graph shows of tags, from which other recommendations follow."""
    await on_tags_changed(session, graph, payloads, now)
    changed = sorted({one for payload in payloads for one in payload["customer_ids"]})
    await owe_recommendations(session, changed, now=now)


# The process that makes the model of a machine which has none of the last run.
LEARNING: list[subprocess.Popen[bytes]] = []


def learn_apart() -> None:
    """Begin to learn in a process of its own, where none is at it: it takes minutes, and its memory goes with it."""
    if all(process.poll() is not None for process in LEARNING):
        log.info("model_missing")
        LEARNING[:] = [start_leashed([sys.executable, "-m", "worker.recommendations", "--learn"], log=None)]


RECOMMENDING: dict[str, ManyHandler] = {
    RECOMMENDATION_DUE: on_recommendations_due,
    COMMUNITY_CHARTED: on_communities_charted,
    TAGS_CHANGED: on_tags_of_customers,
}
