"""How the search learns of changes: by what they owe, in any order of settling, and all anew by a command."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import col, select

from community.discovery import Question, find_events, search
from community.search_documents import owe_everything
from community.search_keys import SearchKind
from community.search_sql import GROUP_BITS, GROUPS, SearchDocument
from core.db import Database
from graph.client import GraphClient
from tests.community.searchable import (
    SearchableCommunity,
    SearchableEvent,
    SearchablePost,
    Thing,
    index,
    put,
    put_communities,
    put_events,
    reindex,
)
from worker.sweeps import sweep_graph, sweep_outbox
from worker.work import Stores

pytestmark = pytest.mark.anyio

NOW = datetime(2027, 3, 1, 9, tzinfo=UTC)


async def events_about(graph: GraphClient, database: Database, text: str) -> list[str]:
    """Ids of the events that anybody finds by this text."""
    page = await find_events(graph, database, Question(text=text), viewer_id=None, now=NOW, first=100, after=None)
    return [row.id for row in page.rows]


async def test_what_is_changed_is_found_as_it_is(graph: GraphClient, database: Database, unique: str) -> None:
    """Given an event, when its title, state and community change, then the search follows; the rights at once."""
    word = "w" + unique.replace("-", "")
    community = SearchableCommunity(title="Club", created_at=NOW)
    event = SearchableEvent(title=f"{word} 茶会", community=community, starts_at=NOW + timedelta(hours=1))
    await put(graph, database, community, event)

    async def found(text: str) -> list[str]:
        return await events_about(graph, database, f"{word} {text}")

    assert await found("茶") == [event.id]
    await graph.write("MATCH (e:Event {id: $id}) SET e.title_zh = $title", id=event.id, title=f"{word} 咖啡")
    await reindex(graph, database, [event])
    assert (await found("茶"), await found("咖啡")) == ([], [event.id])
    await graph.write("MATCH (c:Community {id: $id}) SET c.visibility = 'UNLISTED'", id=community.id)
    assert await found("咖啡") == []
    await graph.write("MATCH (c:Community {id: $id}) SET c.visibility = 'PUBLIC'", id=community.id)
    await graph.write("MATCH (e:Event {id: $id}) SET e.status = 'CANCELLED'", id=event.id)
    assert await found("咖啡") == []


async def test_a_community_that_closes_takes_its_own_out_of_what_everybody_is_shown(
    graph: GraphClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a public community with five events and posts, and pages of two, when it becomes private and public
    again, then the keys of all that is in it follow, page after page."""
    monkeypatch.setattr("community.search_documents.PAGE", 2)
    community = SearchableCommunity(title="Club", created_at=NOW)
    events = [
        SearchableEvent(title="Walk", community=community, starts_at=NOW + timedelta(minutes=n)) for n in range(5)
    ]
    posts = [SearchablePost(text="Hello", community=community, created_at=NOW - timedelta(n)) for n in range(5)]
    await put(graph, database, community, *events, *posts)
    everything = [community, *events, *posts]
    assert await openness(graph, database, everything) == {True}
    for visibility, is_open in (("PRIVATE", False), ("PUBLIC", True)):
        query = "MATCH (c:Community {id: $id}) SET c.visibility = $visibility"
        await graph.write(query, id=community.id, visibility=visibility)
        await reindex(graph, database, [community], "Community")
        # What the first effect owes in the graph is found by the next sweep.
        await sweep_graph(stores := Stores(database, graph))
        await sweep_outbox(stores)
        assert await openness(graph, database, everything) == {is_open}


async def openness(graph: GraphClient, database: Database, things: Sequence[Thing]) -> set[bool]:
    """Whether the index takes these things for what everybody may find."""
    ids = [thing.id for thing in things]
    if await graph.is_embedded():
        async with database.read() as session:
            mine = col(SearchDocument.node_id).in_(ids)
            found = list((await session.exec(select(SearchDocument.place).where(mine))).all())
    else:
        rows = await graph.read("MATCH (n) WHERE n.id IN $ids RETURN n.search_place AS place", ids=ids)
        found = [row["place"] for row in rows]
    assert len(found) == len(ids)
    return {GROUPS[place >> GROUP_BITS][1] for place in found}


async def test_two_workers_at_once_leave_what_the_thing_is(graph: GraphClient, database: Database, unique: str) -> None:
    """Given an event renamed ten times, each indexed at the same time as the others, then its last name is found."""
    word = "w" + unique.replace("-", "")
    community = SearchableCommunity(title="Club", created_at=NOW)
    event = SearchableEvent(title=word, community=community, starts_at=NOW + timedelta(hours=1))
    await put(graph, database, community, event)

    async def rename(number: int) -> None:
        await graph.write("MATCH (e:Event {id: $id}) SET e.title_zh = $title", id=event.id, title=f"{word} n{number}")
        await index(graph, database, "Event", [event])

    await asyncio.gather(*(rename(number) for number in range(10)))
    rows = await graph.read("MATCH (e:Event {id: $id}) RETURN e.title_zh AS title", id=event.id)
    assert await events_about(graph, database, rows[0]["title"]) == [event.id]


async def test_everything_is_indexed_anew_by_one_command(
    graph: GraphClient, database: Database, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given things that nobody owed to the index, when all is owed, then the worker indexes them page after page."""
    monkeypatch.setattr("community.search_documents.PAGE", 100)
    word = "w" + unique.replace("-", "")
    community = SearchableCommunity(title=word, created_at=NOW)
    events = [
        SearchableEvent(title=word, community=community, starts_at=NOW + timedelta(minutes=n)) for n in range(120)
    ]
    await put_communities(graph, [community])
    await put_events(graph, events)
    assert await events_about(graph, database, word) == []
    async with database.write() as session:
        await owe_everything(session, now=datetime.now(UTC))
    await sweep_outbox(Stores(database, graph))
    assert await events_about(graph, database, word) == [event.id for event in events[:100]]
    kinds = [SearchKind.COMMUNITY]
    page = await search(graph, database, Question(text=word), kinds, viewer_id=None, now=NOW, first=None, after=None)
    assert [row.id for row in page.rows] == [community.id]
