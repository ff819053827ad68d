"""Care that kills itself: `python tests/worker/killed_care.py POINT STATEMENT NUMBER NOW`, three customers a page.

It dies at the NUMBERth transaction with a statement that begins so: `before-commit`, with nothing of it kept, or
`after-commit`, before it knows of it.
"""

import asyncio
import sys
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.db import Database
from core.settings import load_settings
from tests.dying import die
from tests.service.caring import care

POINT, STATEMENT, NUMBER, NOW = sys.argv[1], sys.argv[2], int(sys.argv[3]), datetime.fromisoformat(sys.argv[4])

die(POINT, at=STATEMENT, number=NUMBER)


async def main() -> None:
    await care(Database(load_settings().database_url or ""), NOW, page=3)


asyncio.run(main())
