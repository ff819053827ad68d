"""Store round trips of searches: the same for one answer and for many, and on either engine a known number."""

from datetime import timedelta

import pytest

from core.clock import utc_now
from tests.api.conftest import System
from tests.api.test_discovery import EVENTS, SEARCH
from tests.api.test_round_trips import cost
from tests.community.searchable import SearchableCommunity, SearchableEvent, put, put_tags

pytestmark = pytest.mark.anyio


async def test_searches_cost_the_same_for_one_and_for_twenty(system: System, unique: str) -> None:
    """Given one event of one community, then twenty of as many, then each search costs the same.

    First one query says what is under way. On the embedded engine the candidates are one statement of SQL; on Neo4j
    one query for each kind. Then comes one query for each kind that was found, which reads it as well, and the loaders
    of what else is shown; SQL knows the viewer by one statement.
    """
    caller = await system.customer(f"lin-{unique}")
    word = "w" + unique.replace("-", "")
    graph, database = system.edge.graph, system.edge.database
    await put_tags(graph, {unique: ("标签", "Tag")})
    costs: list[list[tuple[int, int]]] = []
    for count in (1, 19):
        now = utc_now()
        for number in range(count):
            community = SearchableCommunity(title=word, tags=[unique], created_at=now)
            start = now + timedelta(days=1, minutes=number)
            event = SearchableEvent(title=word, tags=[unique], community=community, starts_at=start)
            await put(graph, database, community, event)
        asked = [(SEARCH, {"text": word}), (SEARCH, {"tag": unique}), (EVENTS, {"text": word, "tags": [unique]})]
        costs.append([await cost(system, caller, document, first=100, **given) for document, given in asked])
    assert costs[0] == costs[1]
    if await graph.is_embedded():
        assert costs[0] == [(3, 2), (3, 2), (5, 2)]
    else:
        assert costs[0] == [(6, 1), (5, 1), (6, 1)]
