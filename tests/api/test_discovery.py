"""Searching over GraphQL: by words, tag, place and time; what is hidden; what cannot be asked."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from api.relay import global_id
from core.clock import iso, utc_now
from tests.api.conftest import Caller, System
from tests.api.test_way_through import local_of
from tests.community.searchable import SearchableCommunity, SearchableEvent, put, put_memberships, put_tags

pytestmark = pytest.mark.anyio

SEARCH = """
query($text: String, $kinds: [SearchKind!], $tag: String, $near: NearInput, $from: DateTime, $to: DateTime,
      $first: Int, $after: String) {
  search(text: $text, kinds: $kinds, tag: $tag, near: $near, from: $from, to: $to, first: $first, after: $after) {
    edges { cursor score node { __typename id ... on Community { name } ... on Event { title community { name } } } }
    pageInfo { hasNextPage endCursor hasPreviousPage }
  }
}
"""
EVENTS = """
query($communityId: ID, $text: String, $tags: [String!], $from: DateTime, $to: DateTime, $near: NearInput,
      $freeOnly: Boolean! = false, $first: Int, $after: String) {
  events(communityId: $communityId, text: $text, tags: $tags, from: $from, to: $to, near: $near, freeOnly: $freeOnly,
         first: $first, after: $after) {
    edges { cursor node { id title startsAt viewerRegistration { status } community { name tags { key } } } }
    pageInfo { hasNextPage endCursor }
  }
}
"""


@dataclass
class Town:
    """An open community with three walks, of which the last is dear and far, and a private one with another."""

    word: str
    tag: str
    club: SearchableCommunity
    secret: SearchableCommunity
    walks: list[SearchableEvent]
    hidden: SearchableEvent


@pytest.fixture
async def town(system: System, unique: str) -> Town:
    word, tag = "w" + unique.replace("-", ""), f"photo-{unique}"
    now = utc_now()
    club = SearchableCommunity(title=f"{word} 摄影社", text="We walk", created_at=now, tags=[tag])
    secret = SearchableCommunity(title=f"{word} 密室", created_at=now, visibility="PRIVATE")
    places = [(31.23, 121.47, None), (31.24, 121.48, None), (39.90, 116.40, 50)]
    walks = [
        SearchableEvent(
            title=f"{word} 外拍 walk {n}",
            text="外滩夜景 at night",
            tags=[tag],
            community=club,
            starts_at=now + timedelta(days=n + 1),
            latitude=latitude,
            longitude=longitude,
            price=price,
        )
        for n, (latitude, longitude, price) in enumerate(places)
    ]
    hidden = SearchableEvent(title=f"{word} 密谈", community=secret, starts_at=now + timedelta(days=1))
    await put_tags(system.edge.graph, {tag: ("摄影", "Photography")})
    await put(system.edge.graph, system.edge.database, club, secret, *walks, hidden)
    return Town(word, tag, club, secret, walks, hidden)


def ids(connection: dict[str, Any]) -> list[str]:
    return [edge["node"]["id"] for edge in connection["edges"]]


def event_ids(*events: SearchableEvent) -> list[str]:
    return [global_id("Event", event.id) for event in events]


async def asked(caller: Caller, **variables: Any) -> dict[str, Any]:
    return (await caller.ask(SEARCH, **variables))["search"]


async def listed(caller: Caller, **variables: Any) -> list[str]:
    return ids((await caller.ask(EVENTS, **variables))["events"])


async def test_words_find_communities_and_events(system: System, town: Town) -> None:
    lin = system.caller("lin", "customer")
    found = await asked(lin, text=town.word)
    assert ids(found) == [global_id("Community", town.club.id), *event_ids(*town.walks)]
    assert {edge["score"] for edge in found["edges"]} == {1.0}
    assert ids(await asked(lin, text=f"{town.word} 夜景", kinds=["EVENT"])) == event_ids(*town.walks)
    half = await asked(lin, text=f"{town.word} NIGHT")
    assert [edge["score"] for edge in half["edges"]] == [0.5, 0.5, 0.5]
    assert ids(await asked(lin, text=f"{town.word} 摄影", kinds=["COMMUNITY"])) == [
        global_id("Community", town.club.id)
    ]


async def test_pages_go_on_where_they_ended(system: System, town: Town) -> None:
    lin = system.caller("lin", "customer")
    found: list[str] = []
    after = None
    for size in (1, 2, 1):
        page = await asked(lin, text=town.word, first=size, after=after)
        found += ids(page)
        after = page["pageInfo"]["endCursor"]
    assert found == [global_id("Community", town.club.id), *event_ids(*town.walks)]
    assert page["pageInfo"] == {"hasNextPage": False, "endCursor": after, "hasPreviousPage": True}


async def test_tag_place_and_time(system: System, town: Town) -> None:
    lin = system.caller("lin", "customer")
    first, second, third = town.walks
    near = {"latitude": 31.23, "longitude": 121.47, "radiusKm": 5}
    assert ids(await asked(lin, tag=town.tag, near=near)) == event_ids(first, second)
    assert await listed(lin, tags=[town.tag], near={**near, "radiusKm": 0.5}) == event_ids(first)
    late = iso(second.starts_at)
    assert await listed(lin, tags=[town.tag, "nobody-has-this"], **{"from": late}) == event_ids(second, third)
    assert await listed(lin, tags=[town.tag], to=late) == event_ids(first)
    assert await listed(lin, tags=[town.tag], freeOnly=True) == event_ids(first, second)
    assert await listed(lin, communityId=global_id("Community", town.club.id)) == event_ids(*town.walks)


async def test_what_is_private_exists_for_members_only(system: System, town: Town, unique: str) -> None:
    """Given a private community, when a stranger searches, then nothing tells of it; a member finds it."""
    stranger = system.caller("lin", "customer")
    for document, name in ((SEARCH, "search"), (EVENTS, "events")):
        found = (await stranger.ask(document, text=f"{town.word} 密"))[name]
        assert found["edges"] == []
        assert found["pageInfo"]["hasNextPage"] is False
        assert found["pageInfo"]["endCursor"] is None
    assert await listed(stranger, communityId=global_id("Community", town.secret.id)) == []
    member = await system.customer(f"wu-{unique}")
    await put_memberships(system.edge.graph, local_of(f"wu-{unique}"), {town.secret.id: "MEMBER"}, utc_now())
    found = await asked(member, text=f"{town.word} 密")
    assert ids(found) == [global_id("Community", town.secret.id), *event_ids(town.hidden)]


async def test_who_has_not_signed_in_finds_nothing(system: System) -> None:
    for document in (SEARCH, EVENTS):
        error = await system.caller(None).fail(document, text="摄影")
        assert error["extensions"]["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    ("variables", "reason", "path"),
    [
        ({"text": "。"}, "SEARCH_INVALID", ["text"]),
        ({"text": "x" * 101}, "SEARCH_INVALID", ["text"]),
        ({"near": {"latitude": 91, "longitude": 0, "radiusKm": 1}}, "SEARCH_INVALID", ["near", "latitude"]),
        ({"near": {"latitude": 0, "longitude": 0, "radiusKm": 501}}, "SEARCH_INVALID", ["near", "radiusKm"]),
        ({"from": "2027-01-02T00:00:00Z", "to": "2027-01-01T00:00:00Z"}, "SEARCH_INVALID", ["to"]),
        ({"first": 101}, "PAGE_INVALID", ["first"]),
        ({"after": "bm90IG1pbmU"}, "PAGE_INVALID", ["after"]),
    ],
)
async def test_what_cannot_be_asked(system: System, variables: dict[str, Any], reason: str, path: list[str]) -> None:
    for document in (SEARCH, EVENTS):
        error = await system.caller("lin", "customer").fail(document, **variables)
        assert error["extensions"] == {"code": "BAD_USER_INPUT", "reason": reason, "inputPath": path}
    error = await system.caller("lin", "customer").fail(EVENTS, communityId="nonsense")
    assert error["extensions"]["reason"] == "ID_INVALID"
