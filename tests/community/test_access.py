"""Access: the functions say what the rules mean, and the queries say the same."""

import itertools
from typing import LiteralString

import pytest

from community.access import (
    IS_LISTED,
    IS_MEMBER,
    MAY_READ,
    MAY_SEE,
    MEMBERS,
    RUNS_EVENT,
    MemberRole,
    Visibility,
    is_listed,
    is_member,
    may_read,
    may_see,
    runs_event,
)
from graph.client import GraphClient

CASES = list(itertools.product(Visibility, [None, *MemberRole]))


def test_the_rules_in_plain_words() -> None:
    """Given every visibility and role; then private is for members, whom an invitation shows that it is there."""
    for visibility, role in CASES:
        inside = role in ("OWNER", "MANAGER", "MODERATOR", "EXPERT", "MEMBER")
        private = visibility == "PRIVATE"
        assert is_member(role) == inside
        assert may_see(visibility, role) == (not private or inside or role == "INVITED")
        assert may_read(visibility, role) == (not private or inside)
        assert is_listed(visibility, role) == (visibility == "PUBLIC" or inside)
        # A host runs an event while a member; whoever left keeps the name on it, and sees no list of people.
        assert [runs_event(role, hosts=hosts) for hosts in (True, False)] == [inside, role in ("OWNER", "MANAGER")]
    assert len(MEMBERS) == 5


@pytest.mark.anyio
async def test_the_queries_say_what_the_functions_say(graph: GraphClient) -> None:
    """Given every visibility and role as values; when each fragment is asked; then it is the function's answer."""
    rows = [{"visibility": visibility, "role": role} for visibility, role in CASES]
    query: LiteralString = (
        "UNWIND $rows AS row WITH row, {visibility: row.visibility} AS c, {role: row.role} AS m RETURN "
        + MAY_SEE
        + " AS sees, "
        + MAY_READ
        + " AS reads, "
        + IS_LISTED
        + " AS finds, "
        + IS_MEMBER
        + " AS belongs"
    )
    for (visibility, role), found in zip(CASES, await graph.read(query, rows=rows), strict=True):
        assert found == {
            "sees": may_see(visibility, role),
            "reads": may_read(visibility, role),
            "finds": is_listed(visibility, role),
            "belongs": is_member(role),
        }


@pytest.mark.anyio
async def test_a_host_runs_an_event_only_as_a_member(graph: GraphClient) -> None:
    """Given every role, host or not; then managers run it, hosts who are members, and the query says the same."""
    cases = list(itertools.product([None, *MemberRole], [False, True]))
    for role, hosts in cases:
        assert runs_event(role, hosts=hosts) == (role in ("OWNER", "MANAGER") or (hosts and role in MEMBERS))
    rows = [{"role": role, "hosts": hosts} for role, hosts in cases]
    query: LiteralString = (
        "UNWIND $rows AS row WITH row.role AS role, row.hosts AS hosts RETURN " + RUNS_EVENT + " AS runs"
    )
    found = [row["runs"] for row in await graph.read(query, rows=rows)]
    assert found == [runs_event(role, hosts=hosts) for role, hosts in cases]
