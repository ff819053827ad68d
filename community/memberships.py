"""Joining and leaving communities."""

from collections.abc import Sequence
from datetime import datetime

from community.access import IS_MEMBER, MemberRole, Visibility, is_member
from core.clock import iso
from core.errors import NotFound, Refusal
from core.paging import Page, cut_each, decode_cursor, page_size
from graph.client import GraphClient, Row, Transaction


class CommunityArchived(Refusal):
    code = "COMMUNITY_ARCHIVED"
    en = "This community is closed."
    zh = "该社群已归档。"


class JoinByInvitation(Refusal):
    code = "JOIN_NOT_OPEN"
    en = "This community takes new members by request or invitation only."
    zh = "该社群仅接受申请或邀请加入。"


class Banned(Refusal):
    code = "BANNED"
    en = "You cannot join this community."
    zh = "您无法加入该社群。"


class LastOwner(Refusal):
    code = "LAST_OWNER"
    en = "The last owner cannot leave. Please make somebody else an owner first."
    zh = "最后一位群主不能退出，请先转让群主。"


# The first write is to the community's node: it takes the lock under which the rest is read and counted.
LOCK_COMMUNITY = """
MATCH (c:Community {id: $community_id})
SET c.touched_at = $now
WITH c
OPTIONAL MATCH (:Customer {id: $customer_id})-[m:MEMBER_OF]->(c)
RETURN c.visibility AS visibility, c.join_policy AS join_policy, c.archived_at AS archived_at, m.role AS role
"""

JOIN = """
MATCH (me:Customer {id: $customer_id}), (c:Community {id: $community_id})
CREATE (me)-[:MEMBER_OF {key: $key, role: $role, since: $now}]->(c)
SET c.member_count = c.member_count + 1
"""


async def join_community(graph: GraphClient, *, community_id: str, customer_id: str, now: datetime) -> None:
    """Make the customer a member; a member who joins again stays one.

    Raises NotFound for a community that is absent or private, CommunityArchived, JoinByInvitation or Banned.
    """
    instant = iso(now)

    async def work(tx: Transaction) -> None:
        rows = await tx.run(LOCK_COMMUNITY, community_id=community_id, customer_id=customer_id, now=instant)
        if not may_join(rows):
            return
        key = f"{community_id}:{customer_id}"
        await tx.run(
            JOIN, community_id=community_id, customer_id=customer_id, key=key, role=MemberRole.MEMBER, now=instant
        )

    await graph.transact(work, contended=community_id)


def may_join(rows: list[Row]) -> bool:
    """Whether a membership is still to be made; raises the refusal that stands against it."""
    if not rows:
        raise NotFound(path=("communityId",))
    community = rows[0]
    role = community["role"]
    if is_member(role):
        return False
    if community["visibility"] == Visibility.PRIVATE:
        raise NotFound(path=("communityId",))
    if role == MemberRole.BANNED:
        raise Banned(path=("communityId",))
    if community["archived_at"] is not None:
        raise CommunityArchived(path=("communityId",))
    if community["join_policy"] != "OPEN":
        raise JoinByInvitation(path=("communityId",))
    return True


OTHER_OWNERS = """
MATCH (o:Customer)-[m:MEMBER_OF {role: 'OWNER'}]->(:Community {id: $community_id})
WHERE o.id <> $customer_id
RETURN count(m) AS owners
"""

LEAVE = """
MATCH (:Customer {id: $customer_id})-[m:MEMBER_OF]->(c:Community {id: $community_id})
SET c.member_count = c.member_count - 1
DELETE m
"""


async def leave_community(graph: GraphClient, *, community_id: str, customer_id: str, now: datetime) -> None:
    """End the membership; raises NotFound where there is none, LastOwner for the only owner."""

    async def work(tx: Transaction) -> None:
        rows = await tx.run(LOCK_COMMUNITY, community_id=community_id, customer_id=customer_id, now=iso(now))
        role = rows[0]["role"] if rows else None
        if not is_member(role):
            raise NotFound(path=("communityId",))
        if role == MemberRole.OWNER:
            others = await tx.run(OTHER_OWNERS, community_id=community_id, customer_id=customer_id)
            if not others[0]["owners"]:
                raise LastOwner(path=("communityId",))
        await tx.run(LEAVE, community_id=community_id, customer_id=customer_id)

    await graph.transact(work, contended=community_id)


MEMBERS_OF = (
    """
UNWIND $community_ids AS community_id
MATCH (k:Community {id: community_id})
CALL (k) {
  MATCH (k)<-[m:MEMBER_OF]-(c:Customer)
  WHERE """
    + IS_MEMBER
    + """ AND (m.since > $since OR (m.since = $since AND c.id > $id))
  RETURN c.id AS id, c.display_name AS display_name, m.role AS role, m.since AS since
  ORDER BY m.since, c.id
  LIMIT $limit
}
RETURN community_id, id, display_name, role, since
ORDER BY since, id
"""
)


async def members_of(
    graph: GraphClient, community_ids: Sequence[str], *, first: int | None, after: str | None
) -> dict[str, Page[Row]]:
    """Members of each community in the order in which they joined."""
    size = page_size(first)
    position = decode_cursor(after, str, str) or ("", "")
    ids = list(community_ids)
    rows = await graph.read(MEMBERS_OF, community_ids=ids, since=position[0], id=position[1], limit=size + 1)
    return cut_each(ids, rows, "community_id", size, lambda row: (row["since"], row["id"]))


ROLES = """
UNWIND $community_ids AS id
MATCH (:Customer {id: $customer_id})-[m:MEMBER_OF]->(:Community {id: id})
RETURN id, m.role AS role
"""


async def roles_of(graph: GraphClient, customer_id: str, community_ids: list[str]) -> dict[str, str]:
    """The customer's role in each of the communities that have one."""
    rows = await graph.read(ROLES, customer_id=customer_id, community_ids=community_ids)
    return {row["id"]: row["role"] for row in rows}
