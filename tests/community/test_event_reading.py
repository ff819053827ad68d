"""Reading events: who sees which, who sees the link, and pages by their start."""

from datetime import timedelta

import pytest

from community.access import MemberRole
from community.calendar import feed_events
from community.events import read_events
from core.clock import iso, utc_now
from core.ids import new_id
from graph.client import GraphClient, Row
from migrations.graph_migrations import read_migrations
from tests.community.happenings import listed_events, make, make_managed, put_registrations, stored_event
from tests.community.places import add_member, make_community, make_customers, make_event

pytestmark = pytest.mark.anyio


async def test_who_sees_the_link(graph: GraphClient) -> None:
    """Given a hybrid event, then the link is for managers, hosts, and those with a place by the link; nobody else."""
    community, manager, host = await make_managed(graph)
    by_link, at_place, waiting, cancelled, present, banned, nobody = await make_customers(graph, 7)
    event = await make(
        graph,
        community,
        manager,
        attendance_mode="HYBRID",
        link="https://meet.example/secret",
        host_ids=[host],
    )
    await put_registrations(graph, event, [by_link, banned], channel="LINK")
    await put_registrations(graph, event, [at_place])
    await put_registrations(graph, event, [waiting], channel="LINK", status="WAITING")
    await put_registrations(graph, event, [cancelled], channel="LINK", status="CANCELLED")
    await put_registrations(graph, event, [present], channel="LINK", status="ATTENDED")
    await add_member(graph, community, banned, MemberRole.BANNED)
    seen: dict[str | None, Row] = {
        viewer: (await read_events(graph, [event], viewer_id=viewer))[event]
        for viewer in (manager, host, by_link, present, at_place, waiting, cancelled, banned, nobody, None)
    }
    assert {viewer for viewer, row in seen.items() if row["link"]} == {manager, host, by_link, present}
    assert {viewer for viewer, row in seen.items() if row["viewer_manages"]} == {manager}


async def test_a_place_that_costs_points_shows_the_link_when_it_is_paid(graph: GraphClient) -> None:
    community, manager, _ = await make_managed(graph)
    paid, unpaid, refunded, free = await make_customers(graph, 4)
    event = await make(graph, community, manager, attendance_mode="ONLINE", link="https://meet.example/secret")
    await put_registrations(graph, event, [paid, unpaid, refunded, free], channel="LINK")
    for customer, state in ((paid, True), (unpaid, None), (refunded, False)):
        await graph.write(
            "MATCH ()-[r:REGISTERED_FOR {key: $key}]->() SET r.price_points = 60, r.paid = $paid",
            key=f"{event}:{customer}",
            paid=state,
        )
    seen = {
        viewer: (await read_events(graph, [event], viewer_id=viewer))[event]["link"] is not None
        for viewer in (paid, unpaid, refunded, free)
    }
    shown = {viewer: (await feed_events(graph, viewer, now=utc_now()))[0]["link"] is not None for viewer in seen}
    assert seen == shown == {paid: True, unpaid: False, refunded: False, free: True}


async def test_private_events_and_drafts_do_not_exist_for_others(graph: GraphClient) -> None:
    """Given every visibility, then private is for members, unlisted for who knows the id, drafts for managers."""
    outsider, invited = await make_customers(graph, 2)
    for visibility, open_to_all in (("PUBLIC", True), ("UNLISTED", True), ("PRIVATE", False)):
        community, manager, member = await make_managed(graph, visibility=visibility)
        await add_member(graph, community, invited, MemberRole.INVITED)
        public = await make(graph, community, manager)
        draft = await make(graph, community, manager, publish=False)
        for viewer, expected in (
            (manager, {public, draft}),
            (member, {public}),
            (outsider, {public} if open_to_all else set[str]()),
            (invited, {public} if open_to_all else set[str]()),
            (None, {public} if open_to_all else set[str]()),
        ):
            assert set(await read_events(graph, [public, draft], viewer_id=viewer)) == expected
            pages = await listed_events(graph, [community], viewer_id=viewer, ends_from=None, first=9, after=None)
            assert {row["id"] for row in pages[community].rows} == expected
            other = await make_community(graph)
            many = await listed_events(graph, [community, other], viewer_id=viewer, ends_from=None, first=9, after=None)
            assert {row["id"] for row in many[community].rows} == expected


@pytest.mark.parametrize("alone", [True, False], ids=["one-community", "two-communities"])
async def test_events_page_by_their_start(graph: GraphClient, alone: bool) -> None:
    """Given 12 events in no order, then pages of 5 are all of them in order; what has ended is left out if asked."""
    community, other = await make_community(graph), await make_community(graph)
    now = utc_now()
    days = [7, -3, 2, -40, 1, 0, 30, 14, -1, 3, 5, 60]
    made = {day: await make_event(graph, community, starts_at=now + timedelta(days=day, hours=-1)) for day in days}
    # One has begun long ago and is not over.
    await graph.write("MATCH (e:Event {id: $id}) SET e.ends_at = $at", id=made[-40], at=iso(now + timedelta(days=9)))
    communities = [community] if alone else [community, other]
    for ends_from, expected in ((None, sorted(days)), (now, [-40, *sorted(day for day in days if day >= 0)])):
        seen: list[str] = []
        cursor, more = None, True
        while more:
            pages = await listed_events(graph, communities, viewer_id=None, ends_from=ends_from, first=5, after=cursor)
            page = pages[community]
            assert len(page.rows) <= 5
            seen += [row["id"] for row in page.rows]
            cursor, more = page.cursors[-1], page.has_next
        assert seen == [made[day] for day in expected]


async def test_pages_go_on_behind_many_drafts(graph: GraphClient) -> None:
    """Given more drafts in a row than a page holds; when who manages and who does not turn the pages; then each sees
    all that they may, and an outsider of a private community nothing, however much there is."""
    community, manager, member = await make_managed(graph, visibility="PRIVATE")
    (outsider,) = await make_customers(graph, 1)
    now = utc_now()
    made: list[tuple[str, bool]] = []
    for hour in range(12):
        is_draft = 1 <= hour <= 8
        status = "DRAFT" if is_draft else "PUBLISHED"
        starts_at = now + timedelta(days=1, hours=hour)
        made.append((await make_event(graph, community, starts_at=starts_at, status=status), is_draft))
    published = [event for event, is_draft in made if not is_draft]
    for viewer, expected in ((manager, [event for event, _ in made]), (member, published), (outsider, [])):
        seen: list[str] = []
        cursor, more = None, True
        while more:
            pages = await listed_events(graph, [community], viewer_id=viewer, ends_from=now, first=3, after=cursor)
            page = pages[community]
            seen += [row["id"] for row in page.rows]
            cursor, more = (page.cursors or [None])[-1], page.has_next
        assert seen == expected


OLD = """
MATCH (c:Community {id: $community})
CREATE (c)-[:HOSTS]->(:Event {id: $id, community_id: $community, starts_at: $starts_at, ends_at: $starts_at,
  status: $status, registered: 0, created_at: '2026-01-01T00:00:00.000000Z'})
"""


async def test_events_from_before_get_their_place(graph: GraphClient) -> None:
    """Given events as they were written before, when the migration's statements run, then they have their places."""
    community = await make_community(graph)
    starts = iso(utc_now() + timedelta(days=1))
    ids = {status: new_id() for status in ("PUBLISHED", "DRAFT")}
    for status, event in ids.items():
        await graph.write(OLD, community=community, id=event, starts_at=starts, status=status)
    migration = next(one for one in read_migrations() if one.name == "0009_events")
    for statement in migration.statements * 2:
        await graph.write(statement, timeout=60)
    published, draft = [await stored_event(graph, ids[status]) for status in ("PUBLISHED", "DRAFT")]
    assert published["order"] == f"{community}:{starts}:{ids['PUBLISHED']}"
    assert published["feed_order"] == f"{community}:2026-01-01T00:00:00.000000Z:{ids['PUBLISHED']}"
    assert (draft["order"], draft.get("feed_order")) == (f"{community}:{starts}:{ids['DRAFT']}", None)
    assert (draft["waiting"], draft["next_ticket"], draft["attendance_mode"]) == (0, 1, "IN_PERSON")
