"""The migration of the cells: events that were indexed by other cells are found in a circle once the worker has run."""

from datetime import timedelta

import pytest

from community.discovery import Question, find_events
from community.search_keys import Area
from core.clock import utc_now
from core.db import Database
from graph.client import GraphClient
from migrations.graph_migrations import read_migrations
from tests.community.searchable import SearchableCommunity, SearchableEvent, put, put_tags
from worker.sweeps import sweep_graph, sweep_outbox
from worker.work import Stores

pytestmark = pytest.mark.anyio

NEAR = Area(31.23, 121.47, 10)


async def test_events_from_before_are_owed_to_the_index(
    graph: GraphClient, database: Database, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an event whose keys name cells as they were once, when the migration runs and the worker after it, then
    the circle finds it."""
    now = utc_now()
    event = SearchableEvent(
        title="Walk",
        community=SearchableCommunity(title="Club", created_at=now),
        starts_at=now + timedelta(days=1),
        latitude=31.23,
        longitude=121.47,
        tags=[unique],
    )
    await put_tags(graph, {unique: ("一", "One")})
    with monkeypatch.context() as before:
        before.setattr("community.search_documents.cell_keys", lambda *_: ["g0x1212x3014"])
        await put(graph, database, event.community, event)

    async def found() -> list[str]:
        question = Question(tags=[unique], near=NEAR)
        page = await find_events(graph, database, question, viewer_id=None, now=now, first=10, after=None)
        return [row.id for row in page.rows]

    assert await found() == []
    (migration,) = [each for each in read_migrations() if each.name.endswith("_search_cells")]
    for statement in migration.statements:
        await graph.write(statement)
    stores = Stores(database, graph)
    await sweep_graph(stores)
    await sweep_outbox(stores)
    assert await found() == [event.id]
