"""A daily look that kills itself: `python tests/worker/killed_look.py LOOK POINT NUMBER`.

LOOK is `alerts` or `needs`, at the noon of the tests' day, two customers a page. It dies at the NUMBERth transaction
that says how far it has come: `before-commit`, with nothing of the page kept, or `after-commit`, before it knows of it.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.db import Database
from core.settings import load_settings
from tests.customers.insight import NOON
from tests.dying import die
from worker.alerts import sweep_alerts
from worker.needs import sweep_needs

LOOK, POINT, NUMBER = sys.argv[1], sys.argv[2], int(sys.argv[3])

die(POINT, at="UPDATE insight_sweep", number=NUMBER)


async def main() -> None:
    sweep = sweep_alerts if LOOK == "alerts" else sweep_needs
    await sweep(Database(load_settings().database_url or ""), now=NOON, page=2)


asyncio.run(main())
