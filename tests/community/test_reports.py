"""Reports and the moderators' queue."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from community import reports
from community.content import ContentDeleted, ContentInvalid, Target, delete_content
from community.posts import read_posts
from community.reports import (
    NoOpenReports,
    Report,
    ReportReason,
    Resolution,
    create_report,
    may_moderate,
    moderated,
    moderation_queue,
    open_reports,
    reportable,
    resolve_report,
)
from core.audit import audit_trail
from core.clock import utc_now
from core.db import Database
from core.errors import NotFound, Refusal
from core.ids import new_id
from core.outbox import Outbox
from graph.client import GraphClient
from service.notifications import Notification
from tests.community.places import make_customers
from tests.community.test_posts import club
from tests.community.writings import write_comment, write_post
from tests.conftest import Addresses
from worker.sweeps import relay_owed, sweep_outbox
from worker.work import Stores

pytestmark = pytest.mark.anyio


async def report(
    database: Database, graph: GraphClient, target: str, reporter: str, *, kind: Target = "Post", **more: Any
) -> bool:
    place = await reportable(graph, kind, target, reporter_id=reporter)
    fields: dict[str, Any] = {"reason": ReportReason.SPAM, "text": "Look", "now": utc_now(), **more}
    async with database.write() as session:
        return await create_report(session, place, kind, reporter_id=reporter, **fields)


async def resolve(
    database: Database,
    graph: GraphClient,
    target: str,
    moderator: str,
    resolution: Resolution,
    *,
    kind: Target = "Post",
    note: str | None = "Spam",
) -> None:
    place = await moderated(graph, kind, target, moderator_id=moderator)
    async with database.write() as session:
        await resolve_report(
            session, graph, place, kind, resolution=resolution, moderator_id=moderator, note=note, now=utc_now()
        )


async def queue(database: Database, community: str) -> list[tuple[str, int]]:
    async with database.read() as session:
        page = await moderation_queue(session, community, first=100, after=None)
    return [(row.id, row.report_count) for row in page.rows]


async def told(database: Database, *customers: str) -> list[tuple[str, str]]:
    """Kind and customer of the notices that these have."""
    statement = select(Notification).where(col(Notification.customer_id).in_(customers))
    async with database.read() as session:
        return sorted((row.kind, row.customer_id) for row in (await session.exec(statement)).all())


async def settle_all(database: Database, graph: GraphClient) -> None:
    await relay_owed(Stores(database, graph))
    await sweep_outbox(Stores(database, graph))


async def actions(database: Database, community: str) -> list[str]:
    async with database.read() as session:
        return [row.action for row in (await audit_trail(session, f"community:{community}", first=50, after=None)).rows]


async def test_forty_reports_at_once_are_one_case_with_forty(stores: Addresses, database: Database) -> None:
    """Given 20 readers who report twice each at once, then one case counts 20."""
    async with stores.graph() as graph:
        community, _, member = await club(graph)
        post = await write_post(graph, community, member)
        readers = await make_customers(graph, 20)
        new = await asyncio.gather(*(report(database, graph, post, reader) for reader in readers * 2))
        assert Counter(new) == {True: 20, False: 20}
        assert await queue(database, community) == [(post, 20)]


async def test_the_queue_is_in_the_order_of_waiting_and_pages(database: Database, graph: GraphClient) -> None:
    community, _, member = await club(graph)
    posts = [await write_post(graph, community, member) for _ in range(5)]
    readers = await make_customers(graph, 2)
    start = utc_now()
    for number, post in enumerate(posts):
        await report(database, graph, post, readers[0], now=start + timedelta(seconds=number))
    await report(database, graph, posts[0], readers[1], now=start + timedelta(minutes=1))
    seen: list[str] = []
    cursor, more = None, True
    while more:
        async with database.read() as session:
            page = await moderation_queue(session, community, first=2, after=cursor)
        seen += [row.id for row in page.rows]
        cursor, more = page.cursors[-1], page.has_next
    assert seen == posts
    async with database.read() as session:
        found = await open_reports(session, posts)
    assert [row.reporter_id for row in found[posts[0]]] == readers
    assert [len(found[post]) for post in posts[1:]] == [1] * 4


async def test_who_cannot_report_and_what_cannot_be_reported(database: Database, graph: GraphClient) -> None:
    community, _, member = await club(graph, visibility="PRIVATE")
    (outsider,) = await make_customers(graph, 1)
    post, gone = [await write_post(graph, community, member) for _ in range(2)]
    await delete_content(graph, "Post", gone, actor_id=member, reason=None, now=utc_now(), path="postId")
    with pytest.raises(NotFound):
        await report(database, graph, post, outsider)
    with pytest.raises(NotFound):
        await report(database, graph, new_id(), member)
    with pytest.raises(ContentDeleted):
        await report(database, graph, gone, member)
    with pytest.raises(ContentInvalid):
        await report(database, graph, post, member, text="x" * 1_001)
    assert await queue(database, community) == []


async def test_dismissing_resolves_all_reports_and_tells_the_reporters(database: Database, graph: GraphClient) -> None:
    community, moderator, member = await club(graph)
    post = await write_post(graph, community, member)
    readers = await make_customers(graph, 3)
    for reader in (*readers, moderator):
        await report(database, graph, post, reader)
    await resolve(database, graph, post, moderator, Resolution.DISMISS, note=None)
    assert await queue(database, community) == []
    await settle_all(database, graph)
    await settle_all(database, graph)
    assert await told(database, moderator, member, *readers) == sorted(("REPORT_RESOLVED", r) for r in readers)
    assert await actions(database, community) == ["REPORTS_DISMISSED"]
    assert (await read_posts(graph, [post], viewer_id=member))[post]["text"] is not None
    with pytest.raises(NoOpenReports):
        await resolve(database, graph, post, moderator, Resolution.DELETE)
    assert (await read_posts(graph, [post], viewer_id=member))[post]["text"] is not None
    # Who reported it before has said so; somebody new opens the case again, and only theirs is open then.
    (late,) = await make_customers(graph, 1)
    assert await report(database, graph, post, readers[0]) is False
    assert await queue(database, community) == []
    assert await report(database, graph, post, late) is True
    assert await queue(database, community) == [(post, 1)]


async def test_deleting_takes_the_content_away_and_tells_author_and_reporters(
    database: Database, graph: GraphClient
) -> None:
    community, moderator, member = await club(graph)
    post = await write_post(graph, community, member)
    comment = await write_comment(graph, post, member)
    readers = await make_customers(graph, 2)
    for reader in readers:
        await report(database, graph, comment, reader, kind="Comment")
    for note in (None, " "):
        with pytest.raises(ContentInvalid):
            await resolve(database, graph, comment, moderator, Resolution.DELETE, kind="Comment", note=note)
    assert await queue(database, community) == [(comment, 2)]
    await resolve(database, graph, comment, moderator, Resolution.DELETE, kind="Comment")
    await settle_all(database, graph)
    expected = [("CONTENT_REMOVED", member), *(("REPORT_RESOLVED", reader) for reader in readers)]
    assert await told(database, member, moderator, *readers) == sorted(expected)
    assert sorted(await actions(database, community)) == ["COMMENT_DELETED", "REPORTS_UPHELD"]


async def resolution_outcome(database: Database, graph: GraphClient, post: str, moderator: str, which: int) -> str:
    try:
        await resolve(database, graph, post, moderator, list(Resolution)[which % 2])
    except Refusal as refusal:
        return refusal.code
    return "RESOLVED"


async def test_of_many_who_resolve_at_once_one_decides(stores: Addresses, graph: GraphClient) -> None:
    """Given a case, when eight resolve it at once, some so and some so, then one does, and the content fits."""
    databases = [stores.database() for _ in range(2)]
    try:
        community, moderator, member = await club(graph)
        post = await write_post(graph, community, member)
        (reader,) = await make_customers(graph, 1)
        await report(databases[0], graph, post, reader)
        outcomes = await asyncio.gather(
            *(resolution_outcome(databases[n % 2], graph, post, moderator, n) for n in range(8))
        )
        assert Counter(outcomes) == {"RESOLVED": 1, "NO_OPEN_REPORTS": 7}
        deleted = (await read_posts(graph, [post], viewer_id=member))[post]["deleted_at"] is not None
        assert deleted == (outcomes.index("RESOLVED") % 2 == 1)
    finally:
        for database in databases:
            await database.close()


async def test_resolving_is_for_the_communitys_moderators(database: Database, graph: GraphClient) -> None:
    community, moderator, member = await club(graph)
    _, foreign_moderator, _ = await club(graph)
    post = await write_post(graph, community, member)
    await report(database, graph, post, member)
    for actor in (member, foreign_moderator, new_id()):
        with pytest.raises(NotFound):
            await resolve(database, graph, post, actor, Resolution.DISMISS)
        assert not await may_moderate(graph, community, customer_id=actor)
    assert await may_moderate(graph, community, customer_id=moderator)
    assert not await may_moderate(graph, community, customer_id=None)
    assert await queue(database, community) == [(post, 1)]
    assert await actions(database, community) == []


async def test_a_deletion_by_a_moderator_closes_the_case_whatever_came_between(
    database: Database, graph: GraphClient
) -> None:
    """Given a reported post that a moderator deletes elsewhere, then the deletion owes that its case is closed."""
    community, moderator, member = await club(graph)
    post = await write_post(graph, community, member)
    (reader,) = await make_customers(graph, 1)
    await report(database, graph, post, reader)
    await delete_content(graph, "Post", post, actor_id=moderator, reason="Spam", now=utc_now(), path="postId")
    assert await queue(database, community) == [(post, 1)]
    await settle_all(database, graph)
    assert await queue(database, community) == []
    assert await told(database, reader, member) == sorted([("REPORT_RESOLVED", reader), ("CONTENT_REMOVED", member)])
    async with database.read() as session:
        rows = (await session.exec(select(Report).where(Report.target_id == post))).all()
    assert [(row.resolution, row.resolved_at is not None) for row in rows] == [("DELETE", True)]


async def test_many_reporters_are_told_page_by_page(
    database: Database, graph: GraphClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "MOST_TOLD", 3)
    community, moderator, member = await club(graph)
    post = await write_post(graph, community, member)
    readers = await make_customers(graph, 7)
    for reader in readers:
        await report(database, graph, post, reader)
    await resolve(database, graph, post, moderator, Resolution.DISMISS)
    await settle_all(database, graph)
    assert await told(database, *readers) == sorted(("REPORT_RESOLVED", reader) for reader in readers)
    assert await unsettled(database, post) == []


async def unsettled(database: Database, post: str) -> Sequence[str]:
    async with database.read() as session:
        statement = select(Outbox.key).where(col(Outbox.key).contains(post), col(Outbox.settled_at).is_(None))
        return (await session.exec(statement)).all()
