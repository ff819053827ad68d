"""Who belongs to communities: members page by page, and those of a role, at a cost that does not grow with them."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from community.access import MemberRole, may_list_guests, may_read
from community.standing import TICKETS_A_PAGE, page_of, roster_of
from core.begun import begin
from core.paging import (
    Page,
    PageInvalid,
    Place,
    argument_of,
    cut,
    cut_each,
    goes_back,
    page_size,
    position_at,
)
from graph.client import GraphClient, Row
from graph.listed import listed_by, read_spans, span
from graph.turned import page_by_text

# Communities as they are read for the viewer; None is one that is out of their sight.
Seen = Callable[[], Coroutine[Any, Any, Sequence[Row | None]]]


async def members_of(
    graph: GraphClient,
    ids: Sequence[str],
    communities: Seen,
    *,
    first: int | None,
    after: Place,
    roles: Sequence[MemberRole] | None = None,
) -> dict[str, Page[Row]]:
    """Members of each community in the order in which they joined; none of one whose inside the viewer may not read.

    The first of them are read while the communities are; from the end, only a community says where that is.
    """
    size, position = page_size(first), position_at(after, int)
    ticket = int(position[0]) if position else None
    if ticket is not None and ticket < 0:
        raise PageInvalid(path=(argument_of(after),), detail="not a cursor of this list")
    bounds = (0, ticket) if goes_back(after) else (0 if ticket is None else ticket + 1, None)
    if roles and MemberRole.MEMBER not in roles:
        found = await read_officers(graph, list(readable(await communities())), roles, bounds)
    elif goes_back(after):
        found = await read_last_members(graph, readable(await communities()), roles, before=ticket, least=size + 1)
    else:
        found = await read_members(graph, ids, communities, roles, start=bounds[0], least=size + 1)
    if goes_back(after):
        found = {key: rows[::-1] for key, rows in found.items()}
    return {key: cut(found.get(key, []), size, lambda row: (row["ticket"],), after) for key in ids}


def readable(communities: Sequence[Row | None]) -> dict[str, Row]:
    """Those whose inside the viewer may read, by id."""
    return {row["id"]: row for row in communities if row and may_read(row["visibility"], row["viewer_role"])}


# The pattern has no labels and the pages are a parameter: so the embedded engine takes the index too.
MEMBERS_ON_PAGES = """
MATCH (x)-[m:MEMBER_OF]->(c)
WHERE m.page IN $pages
RETURN c.id AS community_id, x.id AS id, x.display_name AS display_name, m.role AS role, m.since AS since,
       m.ticket AS ticket
ORDER BY ticket
"""


async def read_members(
    graph: GraphClient,
    ids: Sequence[str],
    communities: Seen,
    roles: Sequence[MemberRole] | None,
    *,
    start: int,
    least: int,
) -> dict[str, list[Row]]:
    """The members from the ticket `start` on, at least so many of each community that has them; by ticket.

    Only as many pages of tickets are read as are needed: where members have left, they hold less, and the next
    reading takes twice as many.
    """
    number, width = start // TICKETS_A_PAGE, least // TICKETS_A_PAGE + 2
    # Begun before the members are read, so that both are read together, and without a task for each of them.
    seeing = begin(communities())
    rows = await read_pages(graph, ids, number, width)
    seen = await seeing
    tickets = {key: row["next_ticket"] for key, row in readable(seen).items()}
    found: dict[str, list[Row]] = {key: [] for key in tickets}
    short = list(tickets)
    while True:
        for row in rows:
            key = row["community_id"]
            if key in found and row["ticket"] >= start and (not roles or row["role"] in roles):
                found[key].append(row)
        number, width = number + width, width * 2
        short = [key for key in short if number * TICKETS_A_PAGE < tickets[key] and len(found[key]) < least]
        if not short:
            return found
        rows = await read_pages(graph, short, number, width)


async def read_pages(graph: GraphClient, ids: Sequence[str], number: int, width: int) -> list[Row]:
    """The members on so many pages of tickets of each community; there is nobody on pages that are none yet."""
    return await on_pages(graph, [(key, page) for key in ids for page in range(number, number + width)])


async def on_pages(graph: GraphClient, pages: Sequence[tuple[str, int]]) -> list[Row]:
    """The members on these pages of communities, by ticket."""
    return await graph.read(MEMBERS_ON_PAGES, pages=[page_of(key, page * TICKETS_A_PAGE) for key, page in pages])


async def read_last_members(
    graph: GraphClient,
    communities: Mapping[str, Row],
    roles: Sequence[MemberRole] | None,
    *,
    before: int | None,
    least: int,
) -> dict[str, list[Row]]:
    """The members before a ticket (None: the last of all), at least so many of each community; by ticket, and read
    likewise."""
    # A cursor may name any ticket, also one that is long not given out yet.
    ends = {key: row["next_ticket"] for key, row in communities.items()}
    if before is not None:
        ends = {key: min(before, end) for key, end in ends.items()}
    found: dict[str, list[Row]] = {key: [] for key in ends}
    tops = {key: -(-end // TICKETS_A_PAGE) for key, end in ends.items()}
    width = least // TICKETS_A_PAGE + 2
    while short := [key for key in ends if tops[key] > 0 and len(found[key]) < least]:
        rows = await on_pages(graph, [(key, n) for key in short for n in range(max(0, tops[key] - width), tops[key])])
        earlier: dict[str, list[Row]] = {key: [] for key in short}
        for row in rows:
            if row["ticket"] < ends[row["community_id"]] and (not roles or row["role"] in roles):
                earlier[row["community_id"]].append(row)
        for key in short:
            found[key], tops[key] = earlier[key] + found[key], max(0, tops[key] - width)
        width *= 2
    return found


OFFICERS = """
MATCH (x)-[m:MEMBER_OF]->(c)
WHERE m.roster IN $rosters AND m.ticket >= $start
RETURN c.id AS community_id, x.id AS id, x.display_name AS display_name, m.role AS role, m.since AS since,
       m.ticket AS ticket
ORDER BY ticket
"""


async def read_officers(
    graph: GraphClient, community_ids: Sequence[str], roles: Sequence[MemberRole], bounds: tuple[int, int | None]
) -> dict[str, list[Row]]:
    """Those with an office, from a ticket on and up to another, by ticket; of these there is a limited number."""
    found: dict[str, list[Row]] = {key: [] for key in community_ids}
    rosters = [roster_of(key, role) for key in community_ids for role in roles]
    start, end = bounds
    for row in await graph.read(OFFICERS, rosters=rosters, start=start) if rosters else ():
        if row["ticket"] is not None and (end is None or row["ticket"] < end):
            found[row["community_id"]].append(row)
    return found


GUEST_PLACES = listed_by("roll")
GUEST_PLACES_BACK = listed_by("roll", back=True)

GUESTS_AT = """
MATCH (x)-[m:MEMBER_OF]->(c)
WHERE m.key IN $keys
RETURN m.key AS key, c.id AS community_id, x.id AS id, x.display_name AS display_name, m.role AS role,
       m.since AS since, m.message AS message, m.reason AS reason, m.banned_by AS banned_by,
       m.banned_until AS banned_until, m.invited_by AS invited_by
"""


async def guests_of(
    graph: GraphClient, communities: Sequence[Row], role: MemberRole, *, first: int | None, after: Place
) -> dict[str, Page[Row]]:
    """Those who ask to join, are invited or banned, the longest first; empty for whoever may not list them.

    The communities are rows as they were read for the viewer. Of each, no more is read than its page.
    """
    size, back = page_size(first), goes_back(after)
    position = position_at(after, str, str)
    passed = f"{position[0]}:{position[1]}" if position else ""
    managed = [row["id"] for row in communities if may_list_guests(row["viewer_role"], role)]
    spans = [span(roster_of(key, role), passed, back=back) for key in managed]
    places = await read_spans(graph, GUEST_PLACES_BACK if back else GUEST_PLACES, spans, limit=size + 1)
    found = await graph.read(GUESTS_AT, keys=[row["key"] for row in places]) if places else []
    rows = {row["key"]: row for row in found if row["role"] == role}
    ids = [row["id"] for row in communities]
    listed = [rows[row["key"]] for row in places if row["key"] in rows]
    return cut_each(ids, listed, "community_id", size, lambda row: (row["since"], row["id"]), after)


INVITATIONS_OF = """
MATCH (x:Customer {id: $customer_id})-[m:MEMBER_OF {role: 'INVITED'}]->(c:Community)
WHERE c.archived_at IS NULL AND c.id > $after
RETURN c.id AS community_id, m.since AS since, m.invited_by AS invited_by
ORDER BY community_id
LIMIT $limit
"""


async def invitations_of(graph: GraphClient, customer_id: str, *, first: int | None, after: Place) -> Page[Row]:
    """The customer's invitations that wait for an answer."""
    return await page_by_text(graph, INVITATIONS_OF, "community_id", first=first, place=after, customer_id=customer_id)
