"""Charters: founding, changing and archiving communities, within limits and by whom it concerns."""

import asyncio
from typing import Any

import pytest

from community.access import MemberRole
from community.charters import (
    CommunityInvalid,
    OwnersOnly,
    archive_community,
    create_community,
    update_community,
)
from community.communities import list_communities, read_communities, tags_of_communities
from community.memberships import join_community, leave_community
from community.roles import OwnsTooMany, update_membership_role
from community.standing import CommunityArchived
from core.clock import utc_now
from core.errors import KinshipError, NotFound
from core.ids import new_id
from core.paging import encode_cursor
from graph.client import GraphClient, Row
from tests.community.happenings import listed_members
from tests.community.places import add_member, make_customers
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio

PUT_TAGS = "UNWIND $keys AS key MERGE (t:Tag {key: key}) SET t.name_zh = key, t.name_en = key, t.family = 'INTEREST'"
NAMES = {"name_zh": "摄影社", "name_en": "Photo club"}


async def make_tags(graph: GraphClient, unique: str, *names: str) -> list[str]:
    keys = [f"{name}-{unique}" for name in names]
    await graph.write(PUT_TAGS, keys=keys)
    return keys


async def found(graph: GraphClient, owner_id: str, **fields: Any) -> str:
    return await create_community(graph, {**NAMES, **fields}, owner_id=owner_id, now=utc_now())


async def change(graph: GraphClient, community_id: str, manager_id: str, **fields: Any) -> None:
    await update_community(graph, fields, community_id=community_id, manager_id=manager_id, now=utc_now())


async def state(graph: GraphClient, community_id: str, viewer_id: str) -> tuple[Row, list[str]]:
    row = (await read_communities(graph, [community_id], viewer_id=viewer_id))[community_id]
    return row, sorted(tag["key"] for tag in await tags_of_communities(graph, [community_id]))


async def test_who_founds_a_community_owns_it(graph: GraphClient, unique: str) -> None:
    photo, wine = await make_tags(graph, unique, "photo", "wine")
    (lin,) = await make_customers(graph, 1)
    community = await found(
        graph,
        lin,
        name_en=" Photo club ",
        rules_en="Be kind",
        tags=[photo, wine, photo],
        visibility="UNLISTED",
        join_policy="REQUEST",
        minimum_tier="VIP",
        required_tags=[wine],
    )
    row, tags = await state(graph, community, lin)
    assert tags == sorted([photo, wine])
    expected: Row = {
        "name_en": "Photo club",
        "purpose_zh": "",
        "rules_en": "Be kind",
        "visibility": "UNLISTED",
        "join_policy": "REQUEST",
        "minimum_tier": "VIP",
        "required_tags": [wine],
        "member_count": 1,
        "viewer_role": "OWNER",
        "archived_at": None,
    }
    assert {name: row[name] for name in expected} == expected
    page = (await listed_members(graph, [row], first=5, after=None))[community]
    assert [(member["id"], member["role"]) for member in page.rows] == [(lin, "OWNER")]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"name_zh": "  "}, "nameZh"),
        ({"name_en": "x" * 101}, "nameEn"),
        ({"purpose_zh": "字" * 301}, "purposeZh"),
        ({"rules_en": "x" * 5001}, "rulesEn"),
        ({"description_zh": "x" * 5001}, "descriptionZh"),
        ({"tags": ["no-such-tag"]}, "tags"),
        ({"required_tags": ["no-such-tag"]}, "requiredTags"),
        ({"tags": [str(number) for number in range(11)]}, "tags"),
    ],
)
async def test_what_cannot_be_is_refused_with_its_path(graph: GraphClient, fields: Row, path: str) -> None:
    (lin,) = await make_customers(graph, 1)
    with pytest.raises(CommunityInvalid) as refusal:
        await found(graph, lin, **fields)
    assert refusal.value.path == (path,)
    with pytest.raises(NotFound):
        await found(graph, new_id())
    community = await found(graph, lin)
    before = await state(graph, community, lin)
    with pytest.raises(CommunityInvalid) as refusal:
        await change(graph, community, lin, **fields)
    assert refusal.value.path == (path,)
    assert await state(graph, community, lin) == before


async def test_managers_change_words_and_owners_everything(graph: GraphClient, unique: str) -> None:
    photo, wine = await make_tags(graph, unique, "photo", "wine")
    lin, manager, member = await make_customers(graph, 3)
    community = await found(graph, lin, tags=[photo], minimum_tier="VIP", purpose_en="Pictures")
    await add_member(graph, community, manager, MemberRole.MANAGER)
    await add_member(graph, community, member, MemberRole.MEMBER)
    before = await state(graph, community, lin)
    for field in ({"visibility": "PRIVATE"}, {"join_policy": "OPEN"}, {"minimum_tier": None}, {"required_tags": []}):
        with pytest.raises(OwnersOnly):
            await change(graph, community, manager, name_en="Other", **field)
    for outsider in (member, new_id()):
        with pytest.raises(NotFound):
            await change(graph, community, outsider, name_en="Other")
    with pytest.raises(NotFound):
        await change(graph, new_id(), lin, name_en="Other")
    with pytest.raises(CommunityInvalid):
        await change(graph, community, lin, visibility=None)
    assert await state(graph, community, lin) == before
    await change(graph, community, manager, name_en="Wine club", tags=[wine], description_zh="红酒")
    row, tags = await state(graph, community, lin)
    assert (row["name_en"], row["name_zh"], row["purpose_en"], tags) == ("Wine club", "摄影社", "Pictures", [wine])
    await change(graph, community, lin, minimum_tier=None, visibility="PRIVATE", purpose_en=None, tags=None)
    row, tags = await state(graph, community, lin)
    assert (row["minimum_tier"], row["visibility"], row["purpose_en"], tags) == (None, "PRIVATE", "", [])


async def test_an_archived_community_is_read_and_left_and_nothing_else(graph: GraphClient) -> None:
    lin, manager, member, outsider = await make_customers(graph, 4)
    community = await found(graph, lin)
    await add_member(graph, community, manager, MemberRole.MANAGER)
    await add_member(graph, community, member, MemberRole.MEMBER)
    for who, error in ((manager, OwnersOnly), (member, NotFound), (outsider, NotFound)):
        with pytest.raises(error):
            await archive_community(graph, community_id=community, owner_id=who, now=utc_now())
    now = utc_now()
    await archive_community(graph, community_id=community, owner_id=lin, now=now)
    first = await state(graph, community, lin)
    await archive_community(graph, community_id=community, owner_id=lin, now=utc_now())
    assert await state(graph, community, lin) == first
    assert first[0]["archived_at"] is not None
    with pytest.raises(CommunityArchived):
        await change(graph, community, lin, name_en="Other")
    with pytest.raises(CommunityArchived):
        await join_community(graph, community_id=community, customer_id=outsider, now=now)
    await leave_community(graph, community_id=community, customer_id=member, now=now)
    before = encode_cursor([community[:-1]])
    listed = await list_communities(graph, viewer_id=lin, tag=None, first=100, after=before)
    assert community not in listed.rows


async def outcome(act: Any) -> str:
    try:
        await act
    except KinshipError as error:
        return error.code
    return "DONE"


async def test_one_customer_owns_so_many_whatever_happens_at_once(
    stores: Addresses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a limit of three, when eight are founded and three given at once, then three are owned."""
    monkeypatch.setattr("community.roles.MOST_OWNED", 3)
    async with stores.graph() as one, stores.graph() as other:
        lin, wu = await make_customers(one, 2)
        given = [await found(one, wu) for _ in range(3)]
        for community in given:
            await add_member(one, community, lin, MemberRole.MEMBER)
        gifts = [
            update_membership_role(
                one, community_id=community, customer_id=lin, role=MemberRole.OWNER, manager_id=wu, now=utc_now()
            )
            for community in given
        ]
        codes = await asyncio.gather(
            *(outcome(found((one, other)[number % 2], lin)) for number in range(8)),
            *(outcome(gift) for gift in gifts),
        )
        assert sorted(codes) == ["DONE"] * 3 + [OwnsTooMany.code] * 8
        rows = await one.read(
            "MATCH (:Customer {id: $id})-[m:MEMBER_OF {role: 'OWNER'}]->(c:Community) RETURN c.id AS id", id=lin
        )
        assert len(rows) == 3
        await archive_community(one, community_id=rows[0]["id"], owner_id=lin, now=utc_now())
        assert await outcome(found(one, lin)) == "DONE"
        assert await outcome(found(one, lin)) == OwnsTooMany.code
