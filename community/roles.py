"""Roles of members: who may give which to whom."""

from datetime import datetime

from community.access import MEMBERS, MODERATORS, MemberRole, is_member
from community.admissions import by_manager, told
from community.standing import (
    Standing,
    check_not_last_owner,
    customers_in,
    lock_for_manager,
    lock_standing,
    put_membership,
)
from core.clock import iso
from core.errors import BadUserInput, NotFound, Refusal
from core.notices import NoticeKind
from graph.client import GraphClient, Transaction
from graph.owed import owe_effects

# Owners, managers, moderators and experts of one community together.
OFFICES = [*MODERATORS, MemberRole.EXPERT]
MOST_OFFICES = 100
# Communities that one customer owns at a time, archived ones left out.
MOST_OWNED = 20

# Whom one outranks, one may remove and ban; owners may do it to each other too.
RANKS = {
    MemberRole.OWNER: 4,
    MemberRole.MANAGER: 3,
    MemberRole.MODERATOR: 2,
    MemberRole.EXPERT: 2,
    MemberRole.MEMBER: 1,
}


class RoleInvalid(BadUserInput):
    code = "ROLE_INVALID"
    en = "This is no role that a member can be given."
    zh = "不能授予该角色。"


class Outranked(Refusal):
    code = "OUTRANKED"
    en = "Your role does not allow this for this customer."
    zh = "您的角色不能对该客户执行此操作。"


class TooManyOffices(Refusal):
    code = "TOO_MANY_OFFICES"
    en = "This community has as many owners, managers, moderators and experts as there may be."
    zh = "该社群的管理人员已达上限。"


class OwnsTooMany(Refusal):
    code = "OWNS_TOO_MANY"
    en = "One customer cannot own more communities at a time."
    zh = "可拥有的社群数量已达上限。"


def rank_of(role: str | None) -> int:
    """How high a role stands; 0 for who is no member."""
    return RANKS[MemberRole(role)] if is_member(role) else 0


def may_set_role(actor_role: str | None, role: str | None, new_role: str, *, is_self: bool) -> bool:
    """Whether an owner or manager may turn a member's `role` into `new_role`.

    An owner gives every role but EXPERT, which is the bank's to give; a manager gives MODERATOR and MEMBER to those,
    and may step down.
    """
    if new_role == MemberRole.EXPERT and role != new_role:
        return False
    if actor_role == MemberRole.OWNER:
        return True
    simple = (MemberRole.MODERATOR, MemberRole.MEMBER)
    return actor_role == MemberRole.MANAGER and new_role in simple and (role in simple or is_self)


def outranks(actor_role: str | None, role: str | None) -> bool:
    """Whether who has `actor_role` may remove or ban who has `role`, None for an outsider."""
    return actor_role == MemberRole.OWNER or rank_of(actor_role) > rank_of(role)


async def update_membership_role(
    graph: GraphClient,
    *,
    community_id: str,
    customer_id: str,
    role: MemberRole,
    manager_id: str,
    is_bank: bool = False,
    now: datetime,
) -> None:
    """Give a member another role; the same one again changes nothing. The bank's administrators may give every role.

    Raises RoleInvalid, NotFound, Outranked, LastOwner, TooManyOffices or OwnsTooMany.
    """
    if role not in MEMBERS:
        raise RoleInvalid(path=("role",))

    async def work(tx: Transaction) -> None:
        lock = lock_standing if is_bank else lock_for_manager
        standing = await lock(tx, community_id, customer_id, actor_id=manager_id, now=now)
        if not is_member(standing.role):
            raise NotFound(path=("customerId",))
        is_self = manager_id == customer_id
        if not is_bank and not may_set_role(standing.actor_role, standing.role, role, is_self=is_self):
            raise Outranked(path=("customerId",))
        if standing.role == role:
            return
        await check_not_last_owner(tx, standing, "customerId")
        await check_limits(tx, standing, role, now)
        await put_membership(tx, standing, role, now=now)
        details = {"from": standing.role, "to": role}
        effects = [by_manager(standing, "ROLE_CHANGED", manager_id, now, **details)]
        if not is_self:
            effects.append(told(standing, NoticeKind.ROLE_CHANGED, now, role=role))
        await owe_effects(tx, effects, now=now)

    await graph.transact(work, contended=community_id)


async def check_limits(tx: Transaction, standing: Standing, role: MemberRole, now: datetime) -> None:
    """Raise TooManyOffices or OwnsTooMany where the new role would pass a limit."""
    if role != MemberRole.MEMBER and standing.role == MemberRole.MEMBER:
        holders = await customers_in(tx, standing.community_id, OFFICES, limit=MOST_OFFICES)
        if len(holders) >= MOST_OFFICES:
            raise TooManyOffices(path=("role",))
    if role == MemberRole.OWNER:
        await check_owns_few(tx, standing.customer_id, standing.community_id, now, "customerId")


# The first write is to the customer's node: under its lock the communities are counted.
OWNED = """
MATCH (x:Customer {id: $customer_id})
SET x.touched_at = $now
WITH x
OPTIONAL MATCH (x)-[m:MEMBER_OF {role: 'OWNER'}]->(c:Community)
WHERE c.id <> $community_id AND c.archived_at IS NULL
RETURN x.id AS id, count(c) AS owned
"""


async def check_owns_few(tx: Transaction, customer_id: str, community_id: str, now: datetime, *path: str) -> None:
    """Raise OwnsTooMany where the customer owns the most without this community, NotFound for an unknown one."""
    rows = await tx.run(OWNED, customer_id=customer_id, community_id=community_id, now=iso(now))
    if not rows:
        raise NotFound(path=path)
    if rows[0]["owned"] >= MOST_OWNED:
        raise OwnsTooMany(path=path)
