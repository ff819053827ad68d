"""A day close that kills itself: `python tests/worker/killed_close.py POINT NUMBER`.

It dies at the NUMBERth transaction that changes the row of a day: `before-commit`, with nothing of the batch kept, or
`after-commit`, before it knows of it.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.db import Database
from core.settings import load_settings
from tests.dying import die
from worker.day_close import close_due_days

POINT, NUMBER = sys.argv[1], int(sys.argv[2])

die(POINT, at="UPDATE day_close", number=NUMBER)


async def main() -> None:
    settings = load_settings()
    await close_due_days(Database(settings.database_url or ""), zone=settings.loyalty_time_zone, batch=4)


asyncio.run(main())
