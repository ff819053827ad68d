"""A customer's standing in a community: read under the community's lock, and written in one way only."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from community.access import MANAGERS, MEMBERS, MemberRole, Visibility, is_member
from community.recommendation_due import recommendation_due
from core.clock import iso
from core.errors import NotFound, Refusal
from core.ids import new_id
from graph.client import Row, Transaction
from graph.eligibility import HELD_TAGS, NotEligible, is_eligible
from graph.listed import DROP_LISTED, PUT_LISTED
from graph.owed import OWE_ALSO, Effect, owed_rows
from segments.membership import InSegment

# Owed where somebody may not come to the community's events any more, where it closes, and where it becomes private;
# community/departures.py settles them.
MEMBER_BARRED = "member.barred"
COMMUNITY_ARCHIVED = "community.archived"
COMMUNITY_HIDDEN = "community.hidden"

# Members are read page by page: a member's `page` is `{community}:{n}`, and a page holds this many tickets.
TICKETS_A_PAGE = 16


class CommunityArchived(Refusal):
    code = "COMMUNITY_ARCHIVED"
    en = "This community is closed."
    zh = "该社群已归档。"


class LastOwner(Refusal):
    code = "LAST_OWNER"
    en = "The last owner stays. Please make somebody else an owner first."
    zh = "最后一位群主不能退出，请先转让群主。"


@dataclass(frozen=True, slots=True)
class Standing:
    """What a customer is to a community, and what whoever acts on them is; `role` is None once a ban is over.

    `held` is the role that the relationship in the graph carries, None where there is none.
    """

    community_id: str
    customer_id: str
    visibility: str
    join_policy: str
    archived_at: str | None
    minimum_tier: str | None
    required_tags: list[str]
    segment_id: str | None
    next_ticket: int
    invitation_code: str | None
    invitation_expires_at: str | None
    actor_role: str | None
    is_known: bool
    tier: str | None
    tags: list[str]
    held: str | None
    role: str | None
    since: str | None
    ticket: int | None

    @property
    def key(self) -> str:
        return f"{self.community_id}:{self.customer_id}"

    @property
    def is_private(self) -> bool:
        return self.visibility == Visibility.PRIVATE


# The first write is to the community's node: it takes the lock under which the rest is read and counted. Each end of
# a relationship is bound first: asked for in one pattern, the embedded engine walks through all members.
LOCK_STANDING = (
    """
MATCH (c:Community {id: $community_id})
SET c.touched_at = $now
WITH c
OPTIONAL MATCH (a:Customer {id: $actor_id})
OPTIONAL MATCH (a)-[n:MEMBER_OF]->(c)
OPTIONAL MATCH (me:Customer {id: $customer_id})
OPTIONAL MATCH (me)-[m:MEMBER_OF]->(c)
RETURN c.visibility AS visibility, c.join_policy AS join_policy, c.archived_at AS archived_at,
       c.minimum_tier AS minimum_tier, coalesce(c.required_tags, []) AS required_tags,
       c.segment_id AS segment_id, coalesce(c.next_ticket, 0) AS next_ticket, c.invitation_code AS invitation_code,
       c.invitation_expires_at AS invitation_expires_at, n.role AS actor_role, me.id IS NOT NULL AS is_known,
       me.tier AS tier, """
    + HELD_TAGS
    + """ AS tags, m.role AS held, m.since AS since, m.ticket AS ticket, m.banned_until AS banned_until
"""
)


async def lock_standing(
    tx: Transaction, community_id: str, customer_id: str, *, actor_id: str | None = None, now: datetime
) -> Standing:
    """Lock the community and read the customer's standing in it; raises NotFound where it is absent."""
    instant = iso(now)
    rows = await tx.run(
        LOCK_STANDING, community_id=community_id, customer_id=customer_id, actor_id=actor_id or "", now=instant
    )
    if not rows:
        raise NotFound(path=("communityId",))
    row = dict(rows[0])
    until = row.pop("banned_until")
    is_over = row["held"] == MemberRole.BANNED and until is not None and until <= instant
    return Standing(**row, community_id=community_id, customer_id=customer_id, role=None if is_over else row["held"])


async def lock_for_manager(
    tx: Transaction, community_id: str, customer_id: str, *, actor_id: str, now: datetime
) -> Standing:
    """The same for an act of a manager; raises NotFound for everybody else, as if there were no community."""
    standing = await lock_standing(tx, community_id, customer_id, actor_id=actor_id, now=now)
    if standing.actor_role not in MANAGERS:
        raise NotFound(path=("communityId",))
    return standing


def barring(community_id: str, customer_id: str) -> Effect:
    """What it owes that a ban, or the loss of a private community, takes coming events away from a customer."""
    ids = {"community_id": community_id, "customer_id": customer_id}
    return Effect(MEMBER_BARRED, f"{community_id}:{customer_id}:{new_id()}", ids)


def check_open(standing: Standing) -> None:
    """Raise CommunityArchived where nobody comes in any more."""
    if standing.archived_at is not None:
        raise CommunityArchived(path=("communityId",))


async def check_eligible(standing: Standing, path: str, in_segment: InSegment | None) -> None:
    """Raise NotEligible where the community's conditions are not met; who cannot ask about a segment is told no."""
    met = is_eligible(standing.tier, standing.tags, standing.minimum_tier, standing.required_tags)
    if met and standing.segment_id is not None:
        met = in_segment is not None and await in_segment(standing.segment_id, standing.customer_id)
    if not met:
        raise NotEligible(path=(path,))


OTHER_OWNERS = """
MATCH (x)-[m:MEMBER_OF]->()
WHERE m.roster = $roster AND m.key <> $key
RETURN count(m) AS owners
"""


async def check_not_last_owner(tx: Transaction, standing: Standing, path: str) -> None:
    """Raise LastOwner where the community would be left without an owner."""
    if standing.role != MemberRole.OWNER:
        return
    roster = roster_of(standing.community_id, MemberRole.OWNER)
    others = await tx.run(OTHER_OWNERS, roster=roster, key=standing.key)
    if not others[0]["owners"]:
        raise LastOwner(path=(path,))


def page_of(community_id: str, ticket: int) -> str:
    return f"{community_id}:{ticket // TICKETS_A_PAGE}"


def roster_of(community_id: str, role: str) -> str:
    """Under which name those of a role are found, for all roles but that of a plain member."""
    return f"{community_id}:{role}"


def marks_of(community_id: str, role: str, ticket: int | None) -> Row:
    """The properties by which a membership is found: the page of a member, the roster of who is more or less."""
    return {
        "role": role,
        "ticket": ticket,
        "page": None if ticket is None else page_of(community_id, ticket),
        "roster": None if role == MemberRole.MEMBER else roster_of(community_id, role),
    }


# Of those in other roles there may be any number, so they stand in lists, by the time since when they do.
LISTED_ROLES = (MemberRole.PENDING, MemberRole.INVITED, MemberRole.BANNED)


def listed(community_id: str, customer_id: str, role: str, since: str) -> Row:
    """The place of somebody who asks to join, is invited or banned."""
    return {"customer_id": customer_id, "roll": f"{roster_of(community_id, role)}:{since}:{customer_id}"}


CREATE_MEMBERSHIP = (
    """
MATCH (x:Customer {id: $customer_id}), (c:Community {id: $community_id})
CREATE (x)-[m:MEMBER_OF {key: $key}]->(c)
SET m += $properties, c.member_count = c.member_count + $added, c.next_ticket = $next_ticket
"""
    + OWE_ALSO
)

# Found by its key alone: with labels at its ends the embedded engine would not take the index.
UPDATE_MEMBERSHIP = (
    """
MATCH (x)-[m:MEMBER_OF]->(c)
WHERE m.key = $key
SET m += $properties, c.member_count = c.member_count + $added, c.next_ticket = $next_ticket
"""
    + OWE_ALSO
)

# What only some roles have; a membership that changes forgets what its last role had.
PASSING: Row = {
    "message": None,
    "invited_by": None,
    "banned_by": None,
    "banned_until": None,
    "reason": None,
}


async def put_membership(
    tx: Transaction, standing: Standing, role: MemberRole, *, now: datetime, **details: Any
) -> None:
    """Give the customer this role, with what belongs to it; the lock must be held.

    A member keeps `since` and place when the role changes; who becomes one gets the next ticket. What they are
    recommended is computed anew, unless they were a member and are one.
    """
    was, becomes = is_member(standing.held), role in MEMBERS
    ticket = (standing.ticket if was else standing.next_ticket) if becomes else None
    since = standing.since if was and becomes and standing.since else iso(now)
    properties = {
        **PASSING,
        **marks_of(standing.community_id, role, ticket),
        "since": since,
        **details,
    }
    names = {
        "key": standing.key,
        "properties": properties,
        "added": int(becomes) - int(was),
        "next_ticket": standing.next_ticket + int(becomes and not was),
        "owed": [] if was and becomes else owed_rows([recommendation_due(standing.customer_id, now)], now=now),
    }
    await keep_listed(tx, standing, role, since)
    if standing.held is None:
        names |= {"customer_id": standing.customer_id, "community_id": standing.community_id}
        await tx.run(CREATE_MEMBERSHIP, **names)
    else:
        await tx.run(UPDATE_MEMBERSHIP, **names)


async def keep_listed(tx: Transaction, standing: Standing, role: MemberRole | None, since: str) -> None:
    """Give or take the place in a list that goes with the role; None is no role at all."""
    if role is not None and role in LISTED_ROLES:
        place = listed(standing.community_id, standing.customer_id, role, since)
        await tx.run(PUT_LISTED, rows=[{"key": standing.key, "listed": place}])
    elif standing.held in LISTED_ROLES:
        await tx.run(DROP_LISTED, keys=[standing.key])


DROP_MEMBERSHIP = (
    """
MATCH (x)-[m:MEMBER_OF]->(c)
WHERE m.key = $key
SET c.member_count = c.member_count - $removed
DELETE m
"""
    + OWE_ALSO
)


async def drop_membership(tx: Transaction, standing: Standing, *, now: datetime) -> None:
    """End what there is between the customer and the community; the lock must be held."""
    await keep_listed(tx, standing, None, "")
    owed = owed_rows([recommendation_due(standing.customer_id, now)], now=now)
    await tx.run(DROP_MEMBERSHIP, key=standing.key, removed=int(is_member(standing.held)), owed=owed)


IN_ROLES = """
MATCH (x)-[m:MEMBER_OF]->()
WHERE m.roster IN $rosters
RETURN x.id AS id
LIMIT $limit
"""


async def customers_in(tx: Transaction, community_id: str, roles: list[MemberRole], *, limit: int) -> list[str]:
    """Up to `limit` customers in these roles, which must not be that of a plain member."""
    rosters = [roster_of(community_id, role) for role in roles]
    return [row["id"] for row in await tx.run(IN_ROLES, rosters=rosters, limit=limit)]
