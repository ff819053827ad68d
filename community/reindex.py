"""`python -m community.reindex`: let the worker index everything anew, such as after a restored backup."""

import asyncio

from community.search_documents import owe_everything
from core.clock import utc_now
from core.db import Database
from core.settings import SettingsError, load_settings


async def run() -> None:
    """Owe it; the worker does it page after page, and searches go on meanwhile."""
    url = load_settings().database_url
    if url is None:
        raise SettingsError("DATABASE_URL: it names the database of the outbox")
    database = Database(url)
    try:
        async with database.write() as session:
            await owe_everything(session, now=utc_now())
    finally:
        await database.close()


if __name__ == "__main__":
    asyncio.run(run())
