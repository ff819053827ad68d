"""What one worker does for care at a moment, as a process of its own: `python -m bench.care_moment URL INSTANT`."""

import asyncio
import sys
from datetime import datetime

from core.db import Database
from core.settings import DEVELOPMENT_ONLY
from worker.care import LONGEST_STATEMENT_SECONDS, Care


async def main(url: str, now: datetime) -> None:
    database = Database(url, pool_size=2, timeout=LONGEST_STATEMENT_SECONDS)
    try:
        await Care(database, hash_key=DEVELOPMENT_ONLY, now=now).run()
    finally:
        await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], datetime.fromisoformat(sys.argv[2])))
