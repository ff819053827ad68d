"""Admitting members: a manager answers requests and invites; who is invited accepts or declines."""

from datetime import datetime

from community.access import MemberRole, is_member
from community.acts import audited
from community.notices import notice
from community.standing import (
    Standing,
    check_eligible,
    check_open,
    customers_in,
    drop_membership,
    lock_for_manager,
    lock_standing,
    put_membership,
)
from core.audit import checked_reason
from core.clock import iso
from core.errors import BadUserInput, NotFound, Refusal
from core.notices import NoticeKind
from graph.client import GraphClient, Transaction
from graph.owed import Effect, owe_effects
from segments.membership import InSegment

# Invitations that wait for an answer; it keeps a community from writing to every customer of the bank.
MOST_INVITATIONS = 200


class AlreadyMember(Refusal):
    code = "ALREADY_MEMBER"
    en = "This customer is a member already."
    zh = "该客户已是成员。"


class AlreadyRequested(Refusal):
    code = "ALREADY_REQUESTED"
    en = "This customer has asked to join: approve the request instead."
    zh = "该客户已提交申请，请直接审批。"


class MemberBanned(Refusal):
    code = "MEMBER_BANNED"
    en = "This customer is banned. Lift the ban first."
    zh = "该客户已被封禁，请先解除封禁。"


class TooManyInvitations(Refusal):
    code = "TOO_MANY_INVITATIONS"
    en = "Too many invitations wait for an answer."
    zh = "待回复的邀请过多。"


class NotInvited(Refusal):
    code = "NOT_INVITED"
    en = "There is no invitation for you any more."
    zh = "邀请不存在或已失效。"


class ReasonInvalid(BadUserInput):
    code = "REASON_INVALID"
    en = "A reason has 1 to 500 characters."
    zh = "理由需为1至500个字符。"


def told(standing: Standing, kind: NoticeKind, now: datetime, **ids: str) -> Effect:
    """A notice to the customer of what has become of them in the community."""
    cause = f"{standing.community_id}:{iso(now)}"
    return notice(kind, standing.customer_id, cause, community_id=standing.community_id, **ids)


def by_manager(
    standing: Standing, action: str, actor_id: str, now: datetime, reason: str | None = None, **details: str | None
) -> Effect:
    """The entry of a manager's act on the customer."""
    subject = f"Customer:{standing.customer_id}"
    return audited(standing.community_id, action, actor=actor_id, subject=subject, now=now, reason=reason, **details)


def check_is_pending(standing: Standing) -> None:
    """Raise NotFound where nobody asks: answered, withdrawn and never asked look alike."""
    if standing.role != MemberRole.PENDING:
        raise NotFound(path=("customerId",))


async def approve_member(
    graph: GraphClient,
    *,
    community_id: str,
    customer_id: str,
    manager_id: str,
    in_segment: InSegment | None = None,
    now: datetime,
) -> None:
    """Admit somebody who asked; approving twice is approving once.

    Raises NotFound, CommunityArchived, or NotEligible where the conditions are not met any more.
    """

    async def work(tx: Transaction) -> None:
        standing = await lock_for_manager(tx, community_id, customer_id, actor_id=manager_id, now=now)
        if is_member(standing.role):
            return
        check_is_pending(standing)
        check_open(standing)
        await check_eligible(standing, "customerId", in_segment)
        await put_membership(tx, standing, MemberRole.MEMBER, now=now)
        effects = [
            by_manager(standing, "APPROVED", manager_id, now),
            told(standing, NoticeKind.MEMBERSHIP_APPROVED, now),
        ]
        await owe_effects(tx, effects, now=now)

    await graph.transact(work, contended=community_id)


async def reject_member(
    graph: GraphClient,
    *,
    community_id: str,
    customer_id: str,
    manager_id: str,
    reason: str | None = None,
    now: datetime,
) -> None:
    """Refuse somebody who asked; the reason stays in the audit trail. Raises NotFound."""
    text = None if reason is None else checked_reason(reason, ReasonInvalid)

    async def work(tx: Transaction) -> None:
        standing = await lock_for_manager(tx, community_id, customer_id, actor_id=manager_id, now=now)
        check_is_pending(standing)
        await drop_membership(tx, standing, now=now)
        effects = [
            by_manager(standing, "REJECTED", manager_id, now, text),
            told(standing, NoticeKind.MEMBERSHIP_REJECTED, now),
        ]
        await owe_effects(tx, effects, now=now)

    await graph.transact(work, contended=community_id)


async def invite_member(
    graph: GraphClient, *, community_id: str, customer_id: str, manager_id: str, now: datetime
) -> None:
    """Invite a customer; inviting twice is inviting once, and eligibility is asked of who accepts.

    To ask it here would tell a manager the customer's tier. Raises NotFound, CommunityArchived, AlreadyMember,
    AlreadyRequested, MemberBanned or TooManyInvitations.
    """

    async def work(tx: Transaction) -> None:
        standing = await lock_for_manager(tx, community_id, customer_id, actor_id=manager_id, now=now)
        check_open(standing)
        if standing.role == MemberRole.INVITED:
            return
        check_may_invite(standing)
        waiting = await customers_in(tx, community_id, [MemberRole.INVITED], limit=MOST_INVITATIONS)
        if len(waiting) >= MOST_INVITATIONS:
            raise TooManyInvitations
        await put_membership(tx, standing, MemberRole.INVITED, now=now, invited_by=manager_id)
        effects = [
            by_manager(standing, "INVITED", manager_id, now),
            told(standing, NoticeKind.INVITED, now, actor_id=manager_id),
        ]
        await owe_effects(tx, effects, now=now)

    await graph.transact(work, contended=community_id)


def check_may_invite(standing: Standing) -> None:
    """Raise what stands against inviting this customer."""
    if not standing.is_known:
        raise NotFound(path=("customerId",))
    if is_member(standing.role):
        raise AlreadyMember(path=("customerId",))
    if standing.role == MemberRole.PENDING:
        raise AlreadyRequested(path=("customerId",))
    if standing.role == MemberRole.BANNED:
        raise MemberBanned(path=("customerId",))


async def accept_invitation(
    graph: GraphClient, *, community_id: str, customer_id: str, in_segment: InSegment | None = None, now: datetime
) -> None:
    """Become a member by invitation; a member who accepts again stays one.

    Raises NotFound for a community that one does not see, NotInvited where one sees it,
    CommunityArchived or NotEligible.
    """

    async def work(tx: Transaction) -> None:
        standing = await lock_standing(tx, community_id, customer_id, now=now)
        if is_member(standing.role):
            return
        check_is_invited(standing)
        check_open(standing)
        await check_eligible(standing, "communityId", in_segment)
        await put_membership(tx, standing, MemberRole.MEMBER, now=now)

    await graph.transact(work, contended=community_id)


async def decline_invitation(graph: GraphClient, *, community_id: str, customer_id: str, now: datetime) -> None:
    """Turn an invitation down; raises NotFound or NotInvited where there is none."""

    async def work(tx: Transaction) -> None:
        standing = await lock_standing(tx, community_id, customer_id, now=now)
        check_is_invited(standing)
        await drop_membership(tx, standing, now=now)

    await graph.transact(work, contended=community_id)


def check_is_invited(standing: Standing) -> None:
    if standing.role == MemberRole.INVITED:
        return
    if standing.is_private and not is_member(standing.role):
        raise NotFound(path=("communityId",))
    raise NotInvited(path=("communityId",))
