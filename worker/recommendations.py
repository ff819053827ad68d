"""The bulk computation of recommendations, as a process: `python -m worker.recommendations`."""

import asyncio

import structlog

from community.recommendation_scores import ScoringPolicy
from community.recommendations import recompute
from core.clock import utc_now
from core.ids import new_id
from core.log import configure_logging
from core.settings import load_settings
from graph.client import GraphClient

log = structlog.get_logger(__name__)


async def run() -> None:
    """Recompute every customer's list by the default policy."""
    async with GraphClient.of(load_settings()) as graph:
        report = await recompute(graph, policy=ScoringPolicy(), now=utc_now(), run_id=new_id())
    log.info("recommendations", **{name: getattr(report, name) for name in ("customers", "lists_written", "seconds")})


if __name__ == "__main__":
    configure_logging(load_settings().log_level)
    asyncio.run(run())
