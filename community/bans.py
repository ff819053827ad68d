"""Removing members, banning customers, for ever or until a day, and lifting bans."""

from datetime import datetime

from community.access import GUESTS, MODERATORS, MemberRole, is_member, may_see
from community.acts import SYSTEM, audited
from community.admissions import ReasonInvalid, by_manager, told
from community.roles import Outranked, outranks
from community.standing import (
    Standing,
    barring,
    check_not_last_owner,
    drop_membership,
    lock_standing,
    put_membership,
)
from core.audit import checked_reason
from core.clock import iso
from core.errors import BadUserInput, NotFound
from core.notices import NoticeKind
from graph.client import GraphClient, Transaction
from graph.owed import Effect, owe_effects

BAN_ENDED = "ban.ended"


class UntilInvalid(BadUserInput):
    code = "UNTIL_INVALID"
    en = "A ban ends in the future, or never."
    zh = "封禁结束时间须晚于当前时间。"


async def lock_for_moderator(
    tx: Transaction, community_id: str, customer_id: str, *, actor_id: str, now: datetime
) -> Standing:
    """The standing of a customer for an act against them; raises NotFound for who is no moderator, Outranked."""
    standing = await lock_standing(tx, community_id, customer_id, actor_id=actor_id, now=now)
    if standing.actor_role not in MODERATORS:
        raise NotFound(path=("communityId",))
    if actor_id == customer_id or not outranks(standing.actor_role, standing.role):
        raise Outranked(path=("customerId",))
    return standing


async def remove_member(
    graph: GraphClient,
    *,
    community_id: str,
    customer_id: str,
    moderator_id: str,
    reason: str | None = None,
    now: datetime,
) -> None:
    """End somebody's membership, or take an invitation back; they may join again.

    Raises NotFound, Outranked or LastOwner.
    """
    text = None if reason is None else checked_reason(reason, ReasonInvalid)

    async def work(tx: Transaction) -> None:
        standing = await lock_for_moderator(tx, community_id, customer_id, actor_id=moderator_id, now=now)
        if standing.role not in GUESTS:
            raise NotFound(path=("customerId",))
        await check_not_last_owner(tx, standing, "customerId")
        await drop_membership(tx, standing, now=now)
        effects = [by_manager(standing, "REMOVED", moderator_id, now, text, role=standing.role)]
        if is_member(standing.role):
            effects.append(told(standing, NoticeKind.REMOVED, now))
            effects += [barring(community_id, customer_id)] if standing.is_private else []
        await owe_effects(tx, effects, now=now)

    await graph.transact(work, contended=community_id)


async def ban_member(
    graph: GraphClient,
    *,
    community_id: str,
    customer_id: str,
    moderator_id: str,
    reason: str,
    until: datetime | None = None,
    now: datetime,
) -> None:
    """Ban any customer, member or not; to ban again replaces reason and end.

    Raises ReasonInvalid, UntilInvalid, NotFound, Outranked or LastOwner.
    """
    text = checked_reason(reason, ReasonInvalid)
    if until is not None and until <= now:
        raise UntilInvalid(path=("until",))
    ends = iso(until) if until else None

    async def work(tx: Transaction) -> None:
        standing = await lock_for_moderator(tx, community_id, customer_id, actor_id=moderator_id, now=now)
        if not standing.is_known:
            raise NotFound(path=("customerId",))
        await check_not_last_owner(tx, standing, "customerId")
        details = {"reason": text, "banned_by": moderator_id, "banned_until": ends}
        await put_membership(tx, standing, MemberRole.BANNED, now=now, **details)
        effects = [by_manager(standing, "BANNED", moderator_id, now, text, role=standing.role, until=ends)]
        await owe_effects(tx, [*effects, *consequences(standing, until, now)], now=now)

    await graph.transact(work, contended=community_id)


def consequences(standing: Standing, until: datetime | None, now: datetime) -> list[Effect]:
    """A notice to whom knows the community, seats given back, and the end of the ban.

    A private community stays unknown to outsiders.
    """
    effects = [barring(standing.community_id, standing.customer_id)]
    knows = may_see(standing.visibility, standing.role) or standing.role == MemberRole.PENDING
    if knows:
        effects.append(told(standing, NoticeKind.BANNED, now, **({"until": iso(until)} if until else {})))
    if until is not None:
        ids = {"community_id": standing.community_id, "customer_id": standing.customer_id}
        effects.append(Effect(BAN_ENDED, f"{standing.key}:{iso(until)}", ids, due_at=until))
    return effects


async def unban_member(
    graph: GraphClient, *, community_id: str, customer_id: str, moderator_id: str, now: datetime
) -> None:
    """Lift a ban: the customer is an outsider again and may join. Raises NotFound where there is no ban."""

    async def work(tx: Transaction) -> None:
        standing = await lock_standing(tx, community_id, customer_id, actor_id=moderator_id, now=now)
        if standing.actor_role not in MODERATORS:
            raise NotFound(path=("communityId",))
        if standing.held != MemberRole.BANNED:
            raise NotFound(path=("customerId",))
        await drop_membership(tx, standing, now=now)
        await owe_effects(tx, [by_manager(standing, "UNBANNED", moderator_id, now)], now=now)

    await graph.transact(work, contended=community_id)


async def end_ban(graph: GraphClient, *, community_id: str, customer_id: str, now: datetime) -> None:
    """Forget a ban whose time is over; nothing where it was lifted, prolonged or followed by something else."""

    async def work(tx: Transaction) -> None:
        try:
            standing = await lock_standing(tx, community_id, customer_id, now=now)
        except NotFound:
            return
        if standing.held != MemberRole.BANNED or standing.role is not None:
            return
        await drop_membership(tx, standing, now=now)
        subject = f"Customer:{customer_id}"
        await owe_effects(tx, [audited(community_id, "BAN_ENDED", actor=SYSTEM, subject=subject, now=now)], now=now)

    await graph.transact(work, contended=community_id)
