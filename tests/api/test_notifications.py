"""Notices: their words in both languages, what they name, reading them, and switching kinds on and off."""

from datetime import timedelta
from typing import Any

import pytest

from api.relay import global_id
from community.access import MemberRole
from core.clock import iso, utc_now
from core.db import insert_once
from core.ids import derived_id
from core.notices import ALWAYS_TOLD, NOTICE_OWED, NoticeKind
from core.outbox import owe
from service.notice_words import WORDS, written
from service.notifications import COUNTED_UP_TO, Notification, NotificationPreference, notify
from tests.api.conftest import Caller, System
from tests.api.test_round_trips import cost
from tests.api.test_way_through import local_of
from tests.community.places import add_member, make_community, make_event

pytestmark = pytest.mark.anyio

NOTICES = """
query($first: Int, $after: String, $unread: Boolean = false) { viewer { unreadCount
  notifications(first: $first, after: $after, unreadOnly: $unread) {
    pageInfo { hasNextPage endCursor }
    edges { node { id kind title body createdAt readAt subject { __typename id } } } } } }
"""
MARK = """
mutation($ids: [ID!], $until: DateTime) { markNotificationsRead(input: {ids: $ids, until: $until}) {
  __typename ... on MarkNotificationsReadSuccess { markedCount unreadCount } ... on Refusal { code path } } }
"""
SET = """
mutation($kind: NotificationKind!, $enabled: Boolean!) {
  setNotificationPreference(input: {kind: $kind, enabled: $enabled}) {
    __typename ... on SetNotificationPreferenceSuccess { preference { kind name enabled } } ... on Refusal { code } } }
"""
PREFERENCES = "{ viewer { notificationPreferences { kind name nameZh nameEn enabled } } }"


async def tell(system: System, name: str, kind: str, key: str, **data: Any) -> None:
    """Owe a notice and let the worker store it."""
    payload = {"customer_id": local_of(name), "kind": kind, "data": data}
    async with system.edge.database.write() as session:
        await owe(session, topic=NOTICE_OWED, key=f"{name}:{key}", payload=payload, now=utc_now())
    await system.work()


async def notices(caller: Caller, **variables: Any) -> list[dict[str, Any]]:
    viewer = (await caller.ask(NOTICES, **variables))["viewer"]
    return [edge["node"] for edge in viewer["notifications"]["edges"]]


async def test_a_notice_is_told_once_in_the_language_of_the_request(system: System, unique: str) -> None:
    """Given a mention owed twice, then one notice names who and where, in Chinese and in English."""
    lin, wu = f"lin-{unique}", f"wu-{unique}"
    caller, actor = await system.customer(lin), await system.customer(wu)
    community = await make_community(system.edge.graph, owner_id=local_of(lin))
    for _ in range(2):
        data = {"community_id": community, "actor_id": local_of(wu)}
        await tell(system, lin, "MENTIONED", "m", **data)
    (notice,) = await notices(caller)
    assert (notice["kind"], notice["readAt"]) == ("MENTIONED", None)
    assert (notice["title"], notice["body"]) == (f"{wu[-20:]} mentioned you", "You were mentioned in Photo club.")
    assert notice["subject"] == {"__typename": "Community", "id": global_id("Community", community)}
    (chinese,) = await notices(system.caller(lin, language="zh"))
    assert (chinese["title"], chinese["body"]) == (f"{wu[-20:]}提到了您", "在“摄影社”中提到了您。")
    assert await notices(actor) == []


async def test_a_notice_about_what_has_gone_from_view_names_nothing(system: System, unique: str) -> None:
    """Given notices about a community that turned private, then no name, no actor, no event, no subject."""
    lin, wu = f"lin-{unique}", f"wu-{unique}"
    caller = await system.customer(lin)
    await system.customer(wu)
    graph = system.edge.graph
    community = await make_community(graph, owner_id=local_of(wu))
    event = await make_event(graph, community)
    await tell(system, lin, "MENTIONED", "1", community_id=community, actor_id=local_of(wu))
    await tell(system, lin, "EVENT_CHANGED", "2", event_id=event)
    changed, mentioned = await notices(caller)
    assert (changed["title"], mentioned["title"]) == ("Photo walk has changed", f"{wu[-20:]} mentioned you")
    assert changed["subject"]["id"] == global_id("Event", event)
    await graph.write("MATCH (c:Community {id: $id}) SET c.visibility = 'PRIVATE'", id=community)
    changed, mentioned = await notices(caller)
    assert (changed["title"], changed["subject"]) == ("an event has changed", None)
    assert (mentioned["title"], mentioned["body"]) == ("Somebody mentioned you", "You were mentioned in a community.")
    assert mentioned["subject"] is None
    await add_member(graph, community, local_of(lin), MemberRole.BANNED)
    assert (await notices(caller))[1]["subject"] is None


async def test_kinds_that_nobody_knows_are_shown_with_general_words(system: System, unique: str) -> None:
    lin = f"lin-{unique}"
    caller = await system.customer(lin)
    await tell(system, lin, "WON_THE_LOTTERY", "1", event_id="no id", actor_id=7, community_id=None)
    (notice,) = await notices(caller)
    assert (notice["kind"], notice["title"], notice["subject"]) == ("OTHER", "There is news for you", None)


async def test_times_are_those_of_the_place(system: System, unique: str) -> None:
    lin = f"lin-{unique}"
    caller = await system.customer(lin)
    community = await make_community(system.edge.graph, owner_id=local_of(lin))
    event = await make_event(system.edge.graph, community)
    rename = "MATCH (e:Event {id: $id}) SET e.starts_at = '2026-12-01T01:30:00.000000Z'"
    await system.edge.graph.write(rename, id=event)
    await tell(system, lin, "EVENT_REMINDER", "1", event_id=event)
    await tell(system, lin, "PLACE_OFFERED", "2", event_id=event, offer_expires_at="2026-11-30T16:05:00.000000Z")
    offered, reminder = await notices(caller)
    assert reminder["body"] == "It starts at 2026-12-01 09:30."
    assert offered["body"] == "Please confirm by 2026-12-01 00:05, or it goes to the next in line."


async def test_reading_by_page_and_marking_as_read(system: System, unique: str) -> None:
    """Given five notices, then pages hold under an insert, unread counts, and marking touches one's own only."""
    lin, wu = f"lin-{unique}", f"wu-{unique}"
    caller, other = await system.customer(lin), await system.customer(wu)
    for number in range(5):
        await tell(system, lin, "INVITED", str(number))
    page = (await caller.ask(NOTICES, first=2))["viewer"]
    assert page["unreadCount"] == 5
    assert page["notifications"]["pageInfo"]["hasNextPage"]
    await tell(system, lin, "INVITED", "late")
    rest = await notices(caller, first=10, after=page["notifications"]["pageInfo"]["endCursor"])
    seen = [edge["node"] for edge in page["notifications"]["edges"]] + rest
    assert len({notice["id"] for notice in seen}) == len(seen) == 5
    assert [notice["createdAt"] for notice in seen] == sorted((one["createdAt"] for one in seen), reverse=True)

    mine = [seen[0]["id"], seen[1]["id"]]
    stolen = (await other.ask(MARK, ids=mine))["markNotificationsRead"]
    assert stolen["markedCount"] == 0
    assert all(notice["readAt"] is None for notice in await notices(caller))
    marked = (await caller.ask(MARK, ids=mine))["markNotificationsRead"]
    assert (marked["markedCount"], marked["unreadCount"]) == (2, 4)
    assert (await caller.ask(MARK, ids=mine))["markNotificationsRead"]["markedCount"] == 0
    assert {notice["id"] for notice in await notices(caller, unread=True)}.isdisjoint(mine)
    until = (await caller.ask(MARK, until=seen[2]["createdAt"]))["markNotificationsRead"]
    assert (until["markedCount"], until["unreadCount"]) == (3, 1)
    assert (await caller.ask("query($id: ID!) { node(id: $id) { id } }", id=mine[0]))["node"] == {"id": mine[0]}
    assert (await other.ask("query($id: ID!) { node(id: $id) { id } }", id=mine[0]))["node"] is None


async def test_bad_input_is_named_and_changes_nothing(system: System, unique: str) -> None:
    lin = f"lin-{unique}"
    caller = await system.customer(lin)
    await tell(system, lin, "INVITED", "1")
    for variables, reason in (
        ({}, "NOTIFICATION_INVALID"),
        ({"ids": [], "until": None}, "NOTIFICATION_INVALID"),
        ({"ids": ["nonsense"]}, "ID_INVALID"),
        ({"ids": [global_id("Event", unique)]}, "ID_INVALID"),
        ({"ids": [global_id("Notification", unique)] * 101}, "NOTIFICATION_INVALID"),
        ({"ids": [global_id("Notification", unique)], "until": iso(utc_now())}, "NOTIFICATION_INVALID"),
    ):
        assert (await caller.fail(MARK, **variables))["extensions"]["reason"] == reason
    assert (await caller.fail(SET, kind="OTHER", enabled=False))["extensions"]["inputPath"] == ["kind"]
    assert (await caller.fail(NOTICES, first=101))["extensions"]["reason"] == "PAGE_INVALID"
    assert (await caller.ask(NOTICES))["viewer"]["unreadCount"] == 1
    newcomer = system.caller(f"nobody-{unique}")
    assert (await newcomer.ask(NOTICES))["viewer"] == {
        "unreadCount": 0,
        "notifications": {"pageInfo": {"hasNextPage": False, "endCursor": None}, "edges": []},
    }
    assert (await newcomer.ask(MARK, until=iso(utc_now())))["markNotificationsRead"]["code"] == "NOT_SIGNED_UP"
    assert (await system.caller(None).fail(MARK, until=iso(utc_now())))["extensions"]["code"] == "UNAUTHENTICATED"


async def test_what_a_customer_switches_off_is_not_stored(system: System, unique: str) -> None:
    """Given INVITED off and on again, then what came in between is not there, and other kinds are."""
    lin = f"lin-{unique}"
    caller = await system.customer(lin)
    before = (await caller.ask(PREFERENCES))["viewer"]["notificationPreferences"]
    assert {one["kind"] for one in before} == set(NoticeKind) - {"OTHER"}
    assert [one["kind"] for one in before if not one["enabled"]] == ["DIGEST"]
    assert (before[0]["name"], before[0]["nameZh"]) == ("Requests to join", "入群申请")
    await tell(system, lin, "DIGEST", "d")
    off = (await caller.ask(SET, kind="INVITED", enabled=False))["setNotificationPreference"]
    assert off["preference"] == {"kind": "INVITED", "name": "Invitations", "enabled": False}
    await tell(system, lin, "INVITED", "1")
    await tell(system, lin, "BANNED", "2")
    await caller.ask(SET, kind="INVITED", enabled=True)
    await tell(system, lin, "INVITED", "3")
    assert [one["kind"] for one in await notices(caller)] == ["INVITED", "BANNED"]


async def test_the_badge_counts_no_further_than_a_hundred(system: System, unique: str) -> None:
    lin = f"lin-{unique}"
    caller = await system.customer(lin)
    async with system.edge.database.write() as session:
        for number in range(COUNTED_UP_TO + 20):
            at = utc_now() - timedelta(minutes=number)
            row: dict[str, Any] = {"kind": "INVITED", "data": {}, "created_at": at, "customer_id": local_of(lin)}
            session.add(Notification(id=derived_id(unique, str(number)), **row))
    assert (await caller.ask(NOTICES))["viewer"]["unreadCount"] == COUNTED_UP_TO


async def test_a_page_of_notices_costs_the_same_for_one_and_for_many(system: System, unique: str) -> None:
    """Given one notice, then twenty about as many places and people, then as many round trips."""
    lin = f"lin-{unique}"
    caller = await system.customer(lin)
    costs: list[tuple[int, int]] = []
    for number in range(20):
        other = f"wu{number}-{unique}"
        if number in (0, 19):
            await system.customer(other)
        community = await make_community(system.edge.graph, owner_id=local_of(lin))
        event = await make_event(system.edge.graph, community)
        data = {"community_id": community, "event_id": event, "actor_id": local_of(other)}
        await tell(system, lin, "MENTIONED", str(number), **data)
        if number in (0, 19):
            costs.append(await cost(system, caller, NOTICES, first=50))
    assert costs == [(3, 3), (3, 3)]
    marked = await cost(system, caller, MARK, until=iso(utc_now()))
    assert marked == (0, 3)
    assert await cost(system, caller, SET, kind="INVITED", enabled=False) == (0, 2)
    assert await cost(system, caller, PREFERENCES) == (0, 2)


def test_every_kind_has_words_in_both_languages() -> None:
    assert set(WORDS) == set(NoticeKind)
    for words in WORDS.values():
        for pair in (words.label, words.title, words.body):
            assert all(part.strip() for part in pair)
            for language in ("zh", "en"):
                assert "{" not in written(pair, {}, language)


async def test_what_one_has_to_know_is_told_whatever_one_wants(system: System, unique: str) -> None:
    """Given the kinds that cannot be switched off, then trying says so, and a switch from before changes nothing."""
    lin = await system.customer(f"lin-{unique}")
    customer = local_of(f"lin-{unique}")
    database = system.edge.database
    kinds = "{ viewer { notificationPreferences { kind enabled switchable } } }"
    fixed = [row for row in (await lin.ask(kinds))["viewer"]["notificationPreferences"] if not row["switchable"]]
    assert {row["kind"] for row in fixed} == ALWAYS_TOLD
    for row in fixed:
        refused = (await lin.ask(SET, kind=row["kind"], enabled=False))["setNotificationPreference"]
        assert refused["code"] == "PREFERENCE_FIXED"
    async with database.write() as session:
        old = {"customer_id": customer, "kind": "EVENT_CANCELLED", "enabled": False, "changed_at": utc_now()}
        await insert_once(session, NotificationPreference, old)
    async with database.write() as session:
        told = {"customer_id": customer, "kind": "EVENT_CANCELLED", "data": {}}
        assert await notify(session, f"test:{unique}", told, now=utc_now())
    again = (await lin.ask(kinds))["viewer"]["notificationPreferences"]
    assert all(row["enabled"] for row in again if not row["switchable"])
