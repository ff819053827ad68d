"""Governing who belongs: requests, invitations, roles, removals and bans, and what each leaves behind."""

import asyncio
import random
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import orjson
import pytest

from community.access import MEMBERS, MODERATORS, MemberRole, is_member
from community.admissions import (
    AlreadyMember,
    AlreadyRequested,
    MemberBanned,
    NotInvited,
    ReasonInvalid,
    TooManyInvitations,
    accept_invitation,
    approve_member,
    decline_invitation,
    invite_member,
    reject_member,
)
from community.bans import UntilInvalid, ban_member, end_ban, remove_member, unban_member
from community.communities import read_communities
from community.memberships import Banned, TooManyRequests, join_community, leave_community
from community.roles import (
    MOST_OFFICES,
    Outranked,
    RoleInvalid,
    TooManyOffices,
    may_set_role,
    outranks,
    update_membership_role,
)
from community.rosters import guests_of
from community.standing import LastOwner
from core.clock import iso, utc_now
from core.errors import KinshipError, NotFound
from graph.client import GraphClient, Row, Transaction
from graph.eligibility import NotEligible
from tests.community.happenings import listed_members
from tests.community.places import add_member, make_community, make_customers
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio

LOCK = "MATCH (c:Community {id: $id}) SET c.touched_at = $now"
CENSUS = """
MATCH (c:Community {id: $id})
OPTIONAL MATCH (x:Customer)-[m:MEMBER_OF]->(c)
RETURN c.member_count AS counter, x.id AS id, m.role AS role, m.ticket AS ticket, m.page AS page, m.roster AS roster,
       m.since AS since
"""
PLACES = "MATCH (x:Listed) WHERE x.roll > $id + ':' AND x.roll < $id + ';' RETURN x.roll AS roll"
OWED = "MATCH (o:Owed) WHERE o.payload CONTAINS $id RETURN o.topic AS topic, o.payload AS payload, o.due_at AS due_at"


async def roles_in(graph: GraphClient, community_id: str) -> dict[str, str]:
    """Everybody's role; asserts that counter, tickets, pages, rosters and places in lists say the same."""

    async def work(tx: Transaction) -> tuple[list[Row], list[Row]]:
        # Under the community's lock, because a reader beside writers sees a half of what they do.
        await tx.run(LOCK, id=community_id, now=iso(utc_now()))
        return await tx.run(CENSUS, id=community_id), await tx.run(PLACES, id=community_id)

    rows, places = await graph.transact(work, contended=community_id)
    counter, people = rows[0]["counter"], [row for row in rows if row["id"]]
    members = [row for row in people if is_member(row["role"])]
    assert counter == len(members)
    assert len({row["ticket"] for row in members}) == len(members)
    guests = [row for row in people if not is_member(row["role"])]
    assert sorted(row["roll"] for row in places) == sorted(
        f"{community_id}:{row['role']}:{row['since']}:{row['id']}" for row in guests
    )
    for row in people:
        ticket = row["ticket"]
        assert (ticket is not None) == is_member(row["role"])
        assert row["page"] == (None if ticket is None else f"{community_id}:{ticket // 16}")
        assert row["roster"] == (None if row["role"] == "MEMBER" else f"{community_id}:{row['role']}")
    return {row["id"]: row["role"] for row in people}


async def owed(graph: GraphClient, community_id: str) -> list[tuple[str, str]]:
    """What is owed about a community: the action of an entry, the kind and addressee of a notice."""
    found: list[tuple[str, str]] = []
    for row in await graph.read(OWED, id=community_id):
        payload = orjson.loads(row["payload"])
        if row["topic"] == "act.audited":
            found.append(("audit", payload["action"]))
        elif row["topic"] == "notice.owed":
            found.append((payload["customer_id"], payload["kind"]))
    return sorted(found)


class Place:
    """A community with its people, and the acts on it in short."""

    def __init__(self, graph: GraphClient, community_id: str) -> None:
        self.graph, self.id = graph, community_id

    def act(self, act: Any, customer_id: str, *, by: str | None = None, **more: Any) -> Awaitable[Any]:
        actor = {}
        if by is not None:
            actor = {"moderator_id" if act in (remove_member, ban_member, unban_member) else "manager_id": by}
        return act(self.graph, community_id=self.id, customer_id=customer_id, **{"now": utc_now(), **actor, **more})

    async def refused(self, error: type[KinshipError], act: Any, customer_id: str, **more: Any) -> None:
        """The act is refused, and then nothing has changed and nothing more is owed."""
        before = await roles_in(self.graph, self.id), await owed(self.graph, self.id)
        with pytest.raises(error):
            await self.act(act, customer_id, **more)
        assert (await roles_in(self.graph, self.id), await owed(self.graph, self.id)) == before

    async def seen_by(self, viewer_id: str) -> Row:
        return (await read_communities(self.graph, [self.id], viewer_id=viewer_id))[self.id]


async def make_place(graph: GraphClient, *roles: MemberRole, **more: str) -> tuple[Place, list[str]]:
    """A community with one customer in each role, in order, and the customers."""
    place = Place(graph, await make_community(graph, **more))  # pyright: ignore[reportArgumentType]
    people = await make_customers(graph, len(roles))
    for customer, role in zip(people, roles, strict=True):
        await add_member(graph, place.id, customer, role)
    return place, people


async def test_a_request_is_told_to_managers_approved_and_audited(graph: GraphClient) -> None:
    """Given a community by request, when one asks twice and is approved twice, then each happened once."""
    place, (owner, manager, member) = await make_place(
        graph, MemberRole.OWNER, MemberRole.MANAGER, MemberRole.MEMBER, join_policy="REQUEST"
    )
    (lin,) = await make_customers(graph, 1)
    assert await place.act(join_community, lin, message=" Hello ") == MemberRole.PENDING
    assert await place.act(join_community, lin) == MemberRole.PENDING
    assert await owed(graph, place.id) == sorted((who, "MEMBERSHIP_REQUESTED") for who in (owner, manager))
    rows = [await place.seen_by(manager)]
    page = (await guests_of(graph, rows, MemberRole.PENDING, first=10, after=None))[place.id]
    assert [(row["id"], row["message"]) for row in page.rows] == [(lin, "Hello")]
    for outsider in (member, lin):
        seen = [await place.seen_by(outsider)]
        assert (await guests_of(graph, seen, MemberRole.PENDING, first=10, after=None))[place.id].rows == []
        await place.refused(NotFound, approve_member, lin, by=outsider)
        await place.refused(NotFound, reject_member, lin, by=outsider)
    for _ in range(2):
        await place.act(approve_member, lin, by=manager)
    assert (await roles_in(graph, place.id))[lin] == "MEMBER"
    assert (await owed(graph, place.id)).count((lin, "MEMBERSHIP_APPROVED")) == 1
    assert (await owed(graph, place.id)).count(("audit", "APPROVED")) == 1
    await place.refused(NotFound, reject_member, lin, by=manager)


async def test_a_request_can_be_rejected_and_withdrawn(graph: GraphClient) -> None:
    place, (owner,) = await make_place(graph, MemberRole.OWNER, join_policy="REQUEST")
    lin, wu = await make_customers(graph, 2)
    for customer in (lin, wu):
        await place.act(join_community, customer)
    await place.act(leave_community, lin)
    await place.act(reject_member, wu, by=owner, reason="Not now")
    assert await roles_in(graph, place.id) == {owner: "OWNER"}
    assert (wu, "MEMBERSHIP_REJECTED") in await owed(graph, place.id)
    await place.refused(NotFound, leave_community, lin)
    await place.refused(NotFound, approve_member, lin, by=owner)
    await place.refused(ReasonInvalid, reject_member, wu, by=owner, reason=" ")


async def test_invitations_open_what_is_closed(graph: GraphClient) -> None:
    """Given a private community, when people are invited, then they see it, and accept, join or decline."""
    place, (owner, member) = await make_place(
        graph, MemberRole.OWNER, MemberRole.MEMBER, visibility="PRIVATE", join_policy="INVITE"
    )
    lin, wu, he, outsider = await make_customers(graph, 4)
    await place.refused(NotFound, invite_member, lin, by=member)
    await place.refused(AlreadyMember, invite_member, member, by=owner)
    await place.refused(NotFound, invite_member, "nobody", by=owner)
    for customer in (lin, lin, wu, he):
        await place.act(invite_member, customer, by=owner)
    assert (await owed(graph, place.id)).count((lin, "INVITED")) == 1
    row = await place.seen_by(lin)
    assert row["viewer_role"] == "INVITED"
    assert (await listed_members(graph, [row], first=10, after=None))[place.id].rows == []
    await place.act(accept_invitation, lin)
    await place.act(accept_invitation, lin)
    assert await place.act(join_community, wu) == MemberRole.MEMBER
    await place.act(decline_invitation, he)
    assert await roles_in(graph, place.id) == {owner: "OWNER", member: "MEMBER", lin: "MEMBER", wu: "MEMBER"}
    for customer in (he, outsider):
        await place.refused(NotFound, accept_invitation, customer)
        await place.refused(NotFound, decline_invitation, customer)
        await place.refused(NotFound, join_community, customer)
    await place.act(invite_member, he, by=owner)
    await place.act(remove_member, he, by=owner)
    await place.refused(NotFound, accept_invitation, he)


async def test_an_invitation_that_is_not_there_is_said_where_the_community_is_seen(graph: GraphClient) -> None:
    place, (owner, pending, banned) = await make_place(
        graph, MemberRole.OWNER, MemberRole.PENDING, MemberRole.BANNED, join_policy="REQUEST"
    )
    await place.refused(NotInvited, accept_invitation, pending)
    await place.refused(NotInvited, accept_invitation, banned)
    await place.refused(AlreadyRequested, invite_member, pending, by=owner)
    await place.refused(MemberBanned, invite_member, banned, by=owner)


async def test_conditions_hold_on_every_way_in(graph: GraphClient) -> None:
    place, (owner, asked, invited) = await make_place(
        graph, MemberRole.OWNER, MemberRole.PENDING, MemberRole.INVITED, join_policy="REQUEST"
    )
    (outsider,) = await make_customers(graph, 1)
    await graph.write("MATCH (c:Community {id: $id}) SET c.minimum_tier = 'POTENTIAL'", id=place.id)
    await place.refused(NotEligible, join_community, outsider)
    await place.refused(NotEligible, join_community, invited)
    await place.refused(NotEligible, accept_invitation, invited)
    await place.refused(NotEligible, approve_member, asked, by=owner)
    await graph.write("MATCH (x:Customer) WHERE x.id IN $ids SET x.tier = 'VIP'", ids=[asked, invited, outsider])
    await place.act(approve_member, asked, by=owner)
    await place.act(accept_invitation, invited)
    assert await place.act(join_community, outsider) == MemberRole.PENDING


def test_roles_in_plain_words() -> None:
    """An owner gives every role but the bank's EXPERT; a manager MODERATOR and MEMBER; all act on lower ranks."""
    for role in MEMBERS:
        for new in MEMBERS:
            assert may_set_role("OWNER", role, new, is_self=False) == (new != "EXPERT" or role == "EXPERT")
            simple = {role, new} <= {"MODERATOR", "MEMBER"}
            assert may_set_role("MANAGER", role, new, is_self=False) == simple
            for actor in ("MODERATOR", "EXPERT", "MEMBER", "PENDING", None):
                assert not may_set_role(actor, role, new, is_self=False)
    assert may_set_role("MANAGER", "MANAGER", "MEMBER", is_self=True)
    assert not may_set_role("MANAGER", "MANAGER", "OWNER", is_self=True)
    assert [role for role in MEMBERS if outranks("OWNER", role)] == MEMBERS
    assert [role for role in MEMBERS if outranks("MANAGER", role)] == ["MODERATOR", "EXPERT", "MEMBER"]
    assert [role for role in MEMBERS if outranks("MODERATOR", role)] == ["MEMBER"]
    assert not any(outranks(role, "MEMBER") for role in ("EXPERT", "MEMBER") if role == "MEMBER")


async def test_roles_change_within_the_rules(graph: GraphClient) -> None:
    place, (owner, manager, member) = await make_place(graph, MemberRole.OWNER, MemberRole.MANAGER, MemberRole.MEMBER)
    (outsider,) = await make_customers(graph, 1)
    to = {role: {"role": role} for role in MemberRole}
    await place.refused(LastOwner, update_membership_role, owner, by=owner, **to[MemberRole.MEMBER])
    await place.refused(Outranked, update_membership_role, owner, by=manager, **to[MemberRole.MEMBER])
    await place.refused(Outranked, update_membership_role, member, by=manager, **to[MemberRole.EXPERT])
    await place.refused(NotFound, update_membership_role, outsider, by=owner, **to[MemberRole.MEMBER])
    await place.refused(NotFound, update_membership_role, member, by=member, **to[MemberRole.OWNER])
    for role in (MemberRole.PENDING, MemberRole.INVITED, MemberRole.BANNED):
        await place.refused(RoleInvalid, update_membership_role, member, by=owner, role=role)
    await place.act(update_membership_role, member, by=manager, **to[MemberRole.MODERATOR])
    await place.act(update_membership_role, member, by=manager, **to[MemberRole.MODERATOR])
    assert (await owed(graph, place.id)) == sorted([("audit", "ROLE_CHANGED"), (member, "ROLE_CHANGED")])
    await place.act(update_membership_role, member, by=owner, **to[MemberRole.OWNER])
    await place.refused(Outranked, update_membership_role, manager, by=owner, **to[MemberRole.EXPERT])
    await place.act(update_membership_role, owner, by="the bank", is_bank=True, **to[MemberRole.EXPERT])
    await place.act(update_membership_role, manager, by=manager, **to[MemberRole.MEMBER])
    assert await roles_in(graph, place.id) == {owner: "EXPERT", manager: "MEMBER", member: "OWNER"}
    page = (await listed_members(graph, [await place.seen_by(owner)], first=10, after=None))[place.id]
    assert [row["id"] for row in page.rows] == [owner, manager, member], "a role does not change one's place"


async def test_removals_and_bans_go_down_the_ranks(graph: GraphClient) -> None:
    place, (owner, manager, moderator, expert, member, other) = await make_place(
        graph,
        MemberRole.OWNER,
        MemberRole.MANAGER,
        MemberRole.MODERATOR,
        MemberRole.EXPERT,
        MemberRole.MEMBER,
        MemberRole.MEMBER,
    )
    (outsider,) = await make_customers(graph, 1)
    for act, more in ((remove_member, {}), (ban_member, {"reason": "Rude"})):
        await place.refused(NotFound, act, other, by=member, **more)
        await place.refused(NotFound, act, other, by=expert, **more)
        await place.refused(NotFound, act, other, by=outsider, **more)
        await place.refused(Outranked, act, expert, by=moderator, **more)
        await place.refused(Outranked, act, manager, by=moderator, **more)
        await place.refused(Outranked, act, owner, by=manager, **more)
        await place.refused(Outranked, act, manager, by=manager, **more)
    await place.refused(NotFound, remove_member, outsider, by=owner)
    await place.refused(NotFound, ban_member, "nobody", by=owner, reason="Rude")
    await place.refused(ReasonInvalid, ban_member, other, by=owner, reason="  ")
    await place.refused(UntilInvalid, ban_member, other, by=owner, reason="Rude", until=utc_now())
    await place.act(remove_member, member, by=moderator)
    await place.act(ban_member, outsider, by=moderator, reason="Spam")
    await place.act(ban_member, other, by=moderator, reason="Rude")
    await place.act(ban_member, other, by=manager, reason="Ruder")
    await place.refused(Banned, join_community, other)
    await place.refused(NotFound, leave_community, other)
    rows = [await place.seen_by(owner)]
    page = (await guests_of(graph, rows, MemberRole.BANNED, first=10, after=None))[place.id]
    assert {row["id"]: (row["reason"], row["banned_by"]) for row in page.rows} == {
        outsider: ("Spam", moderator),
        other: ("Ruder", manager),
    }
    assert await roles_in(graph, place.id) == {
        owner: "OWNER",
        manager: "MANAGER",
        moderator: "MODERATOR",
        expert: "EXPERT",
        outsider: "BANNED",
        other: "BANNED",
    }
    await place.refused(NotFound, unban_member, other, by=expert)
    await place.act(unban_member, other, by=moderator)
    await place.refused(NotFound, unban_member, other, by=moderator)
    await place.act(join_community, other)
    assert await place.act(join_community, member) == MemberRole.MEMBER


async def test_a_ban_until_a_day_ends_by_itself(graph: GraphClient) -> None:
    """Given bans until tomorrow, when the day comes, then one may join at once, and the worker forgets the other."""
    place, (owner, lin, wu) = await make_place(graph, MemberRole.OWNER, MemberRole.MEMBER, MemberRole.MEMBER)
    now = utc_now()
    until, later = now + timedelta(days=1), now + timedelta(days=2)
    for customer in (lin, wu):
        await place.act(ban_member, customer, by=owner, reason="Rude", until=until)
    due = [row["due_at"] for row in await graph.read(OWED, id=place.id) if row["topic"] == "ban.ended"]
    assert due == [iso(until)] * 2
    await place.refused(Banned, join_community, lin, now=until - timedelta(seconds=1))
    await place.act(join_community, lin, now=until)
    await place.act(end_ban, lin, now=until)
    await place.act(end_ban, wu, now=until - timedelta(seconds=1))
    assert await roles_in(graph, place.id) == {owner: "OWNER", lin: "MEMBER", wu: "BANNED"}
    await place.act(ban_member, wu, by=owner, reason="Again", until=later)
    await place.act(end_ban, wu, now=until)
    assert (await roles_in(graph, place.id))[wu] == "BANNED"
    await place.act(end_ban, wu, now=later)
    assert await roles_in(graph, place.id) == {owner: "OWNER", lin: "MEMBER"}


async def test_a_ban_does_not_tell_outsiders_of_a_private_community(graph: GraphClient) -> None:
    place, (owner, member) = await make_place(graph, MemberRole.OWNER, MemberRole.MEMBER, visibility="PRIVATE")
    (outsider,) = await make_customers(graph, 1)
    for customer in (member, outsider):
        await place.act(ban_member, customer, by=owner, reason="Rude")
    kinds = await owed(graph, place.id)
    assert (member, "BANNED") in kinds
    assert (outsider, "BANNED") not in kinds
    await place.refused(NotFound, join_community, member)


async def outcome(act: Awaitable[Any]) -> str:
    try:
        await act
    except KinshipError as error:
        return error.code
    return "DONE"


async def test_of_owners_who_all_leave_at_once_one_stays(stores: Addresses) -> None:
    """Given five owners, when each leaves, steps down, is removed or banned at once, then exactly one is left."""
    async with stores.graph() as one, stores.graph() as other:
        place, owners = await make_place(one, *[MemberRole.OWNER] * 5)
        twin = Place(other, place.id)
        acts: list[Awaitable[Any]] = []
        for index, owner in enumerate(owners):
            where, neighbour = (place, twin)[index % 2], owners[index - 1]
            acts.append(where.act(leave_community, owner))
            acts.append(where.act(update_membership_role, owner, by=owner, role=MemberRole.MEMBER))
            acts.append(where.act(remove_member, neighbour, by=owner))
            acts.append(where.act(ban_member, neighbour, by=owner, reason="Rude"))
        await asyncio.gather(*(outcome(act) for act in acts))
        roles = await roles_in(one, place.id)
        assert list(roles.values()).count("OWNER") == 1


async def test_many_changes_at_once_keep_count_and_an_owner(stores: Addresses) -> None:
    """Given 30 customers and five acts of every kind on each by chance at once; then the count is exact throughout."""
    async with stores.graph(timeout=120) as one, stores.graph(timeout=120) as other:
        place, (owner, second) = await make_place(one, MemberRole.OWNER, MemberRole.OWNER)
        twin = Place(other, place.id)
        people = await make_customers(one, 30)
        chance = random.Random(4)
        acts: list[Awaitable[Any]] = []
        for customer in people:
            for _ in range(5):
                where, by = chance.choice([place, twin]), chance.choice([owner, second])
                kind = chance.randrange(6)
                if kind <= 1:
                    acts.append(where.act(join_community, customer))
                elif kind == 2:
                    acts.append(where.act(leave_community, customer))
                elif kind == 3:
                    acts.append(where.act(ban_member, customer, by=by, reason="Rude"))
                elif kind == 4:
                    role = chance.choice(MEMBERS)
                    acts.append(where.act(update_membership_role, customer, by=by, role=role))
                else:
                    acts.append(where.act(unban_member, customer, by=by))
        chance.shuffle(acts)
        watching = asyncio.create_task(watch(one, place.id))
        codes = await asyncio.gather(*(outcome(act) for act in acts))
        assert not watching.done(), watching.exception()
        watching.cancel()
        assert set(codes) <= {"DONE", "NOT_FOUND", "BANNED", "LAST_OWNER", "OUTRANKED"}
        assert "OWNER" in (await roles_in(one, place.id)).values()


async def watch(graph: GraphClient, community_id: str) -> None:
    """Ask again and again while others write."""
    while True:
        assert "OWNER" in (await roles_in(graph, community_id)).values()
        # It looks under the lock. Without a pause it would leave the others none: on the embedded engine the first to
        # commit wins, and who looks is always faster than who changes.
        await asyncio.sleep(0.05)


async def test_limits_hold_for_many_writers(stores: Addresses, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given limits of three, when ten ask, are invited or get an office at once, then three do."""
    monkeypatch.setattr("community.memberships.MOST_REQUESTS", 3)
    monkeypatch.setattr("community.admissions.MOST_INVITATIONS", 3)
    async with stores.graph() as one, stores.graph() as other:
        place, (owner,) = await make_place(one, MemberRole.OWNER, join_policy="REQUEST")
        both = (place, Place(other, place.id))
        asking, invited = await make_customers(one, 10), await make_customers(one, 10)
        codes = await asyncio.gather(
            *(outcome(both[n % 2].act(join_community, who)) for n, who in enumerate(asking)),
            *(outcome(both[n % 2].act(invite_member, who, by=owner)) for n, who in enumerate(invited)),
        )
        assert sorted(codes) == ["DONE"] * 6 + [TooManyInvitations.code] * 7 + [TooManyRequests.code] * 7
        roles = list((await roles_in(one, place.id)).values())
        assert (roles.count("PENDING"), roles.count("INVITED")) == (3, 3)


async def test_offices_have_a_limit(stores: Addresses, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("community.roles.MOST_OFFICES", 3)
    async with stores.graph() as one, stores.graph() as other:
        place, (owner, *members) = await make_place(one, MemberRole.OWNER, *[MemberRole.MEMBER] * 6)
        both = (place, Place(other, place.id))
        codes = await asyncio.gather(
            *(
                outcome(both[n % 2].act(update_membership_role, who, by=owner, role=MODERATORS[1 + n % 2]))
                for n, who in enumerate(members)
            )
        )
        assert sorted(codes) == ["DONE"] * 2 + [TooManyOffices.code] * 4
        assert MOST_OFFICES == 100
