"""A look at follow-ups that kills itself: `python tests/worker/killed_follow_ups.py DAYS STATEMENT POINT NUMBER`.

It looks on the noon so many days after the tests' day, two customers a range, and dies at the NUMBERth transaction
that has a statement which begins so: `before-commit` or `after-commit`.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.db import Database
from core.settings import load_settings
from tests.dying import die
from tests.service.serving import DAY, NOON
from worker.follow_ups import sweep_follow_ups

DAYS, STATEMENT, POINT, NUMBER = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])

die(POINT, at=STATEMENT, number=NUMBER)


async def main() -> None:
    await sweep_follow_ups(Database(load_settings().database_url or ""), now=NOON + DAYS * DAY, page=2)


asyncio.run(main())
