"""An announcement that dies at its second page: `python tests/worker/killed_announcement.py ARTICLE POINT`."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.clock import utc_now
from core.db import Database
from core.settings import load_settings
from service.content_announcements import announce_page
from tests.dying import die


async def main() -> None:
    settings = load_settings()
    database = Database(settings.database_url or "", pool_size=1, keys=settings.key_ring)
    die(sys.argv[2], at="UPDATE content_announcement", number=2)
    is_more = True
    while is_more:
        async with database.write() as session:
            is_more = await announce_page(session, sys.argv[1], now=utc_now(), page=3)


asyncio.run(main())
