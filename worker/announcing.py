"""Announcements of articles, owed page after page to whom they fit."""

import structlog

from core.clock import utc_now
from core.db import Database
from service.content_announcements import PAGE, announce_page, open_announcements

log = structlog.get_logger(__name__)


async def sweep_announcements(database: Database, *, page: int = PAGE) -> int:
    """Owe what is left of all announcements; returns how many came to their end. Each page is a transaction."""
    async with database.read() as session:
        articles = await open_announcements(session)
    for article_id in articles:
        is_more = True
        while is_more:
            async with database.write() as session:
                is_more = await announce_page(session, article_id, now=utc_now(), page=page)
    if articles:
        log.info("content_announced", articles=len(articles))
    return len(articles)
