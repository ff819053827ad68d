"""A run of recommendations that kills itself: `python tests/worker/killed_recommendations.py POINT NUMBER SIZE`.

Ranges have SIZE customers. It dies at the NUMBERth transaction that changes a piece: `before-commit` or `after-commit`.
Each piece is changed twice, when it is taken and when it is done. What it had is free for others at once.
"""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from community import recommendation_runs
from core.db import Database
from core.settings import load_settings
from graph.client import GraphClient
from tests.dying import die
from worker.recommendations import run_recommendations
from worker.recommending import model_folder
from worker.work import Stores

POINT, NUMBER, SIZE = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

die(POINT, at="UPDATE recommendation_range", number=NUMBER)
recommendation_runs.LEASE = timedelta(0)


async def main() -> None:
    settings = load_settings()
    async with GraphClient.of(settings) as graph:
        stores = Stores(Database(settings.database_url or ""), graph)
        await run_recommendations(stores, model_folder(), range_size=SIZE)


asyncio.run(main())
