"""Joining and leaving communities."""

from datetime import datetime

from community.access import MANAGERS, MODERATORS, MemberRole, is_member
from community.acts import audited
from community.communities import JoinPolicy
from community.invitation_links import InvitationInvalid, is_good
from community.notices import notice
from community.standing import (
    Standing,
    barring,
    check_eligible,
    check_not_last_owner,
    check_open,
    customers_in,
    drop_membership,
    lock_standing,
    put_membership,
)
from core.clock import iso
from core.errors import BadUserInput, NotFound, Refusal
from core.notices import NoticeKind
from graph.client import GraphClient, Transaction
from graph.owed import Effect, owe_effects
from segments.membership import InSegment

LONGEST_MESSAGE = 500
# A request waits until a manager answers it; beyond this many a community is not asked any more.
MOST_REQUESTS = 1_000
# Of more managers than this, some are not told of a request; all of them see it in the list.
MOST_TOLD = 50


class JoinByInvitation(Refusal):
    code = "JOIN_NOT_OPEN"
    en = "This community takes new members by invitation only."
    zh = "该社群仅接受邀请加入。"


class Banned(Refusal):
    code = "BANNED"
    en = "You cannot join this community."
    zh = "您无法加入该社群。"


class TooManyRequests(Refusal):
    code = "TOO_MANY_REQUESTS"
    en = "Too many people are waiting for an answer from this community. Please try again later."
    zh = "该社群待处理的申请过多，请稍后再试。"


class RequestMessageInvalid(BadUserInput):
    code = "REQUEST_MESSAGE_INVALID"
    en = "A message has 1 to 500 characters."
    zh = "留言需为1至500个字符。"


async def join_community(
    graph: GraphClient,
    *,
    community_id: str,
    customer_id: str,
    message: str | None = None,
    invitation_code: str | None = None,
    in_segment: InSegment | None = None,
    now: datetime,
) -> MemberRole:
    """Become a member, or ask to be one where a manager decides; returns what one is now. Doing it twice is once.

    Who is invited, or has the code of an invitation link, becomes a member whatever the policy. Raises NotFound for a
    community that is absent or private, and Banned, CommunityArchived, JoinByInvitation, NotEligible,
    InvitationInvalid or TooManyRequests.
    """
    text = checked_message(message)

    async def work(tx: Transaction) -> MemberRole:
        standing = await lock_standing(tx, community_id, customer_id, now=now)
        if is_member(standing.role):
            return MemberRole(standing.role or "")
        by_link = invitation_code is not None and is_good(
            invitation_code, standing.invitation_code, standing.invitation_expires_at, now
        )
        await check_may_join(standing, in_segment, by_link=by_link)
        if invitation_code is not None and not by_link:
            raise InvitationInvalid(path=("invitationCode",))
        role = MemberRole.MEMBER if by_link else role_by_joining(standing)
        if role == MemberRole.MEMBER:
            await put_membership(tx, standing, role, now=now)
        elif standing.role != MemberRole.PENDING:
            await request_membership(tx, standing, text, now)
        return role

    return await graph.transact(work, contended=community_id)


def checked_message(message: str | None) -> str | None:
    """The words that go with a request, without space around; raises RequestMessageInvalid."""
    if message is None:
        return None
    text = message.strip()
    if not 1 <= len(text) <= LONGEST_MESSAGE:
        raise RequestMessageInvalid(path=("message",))
    return text


async def check_may_join(standing: Standing, in_segment: InSegment | None, *, by_link: bool = False) -> None:
    """Raise the refusal that stands against becoming a member; who is one already is no concern of this."""
    # To a banned customer a private community does not exist, whatever link they have.
    hidden = standing.is_private and standing.role != MemberRole.INVITED
    if not standing.is_known or (hidden and (not by_link or standing.role == MemberRole.BANNED)):
        raise NotFound(path=("communityId",))
    if standing.role == MemberRole.BANNED:
        raise Banned(path=("communityId",))
    check_open(standing)
    await check_eligible(standing, "communityId", in_segment)


def role_by_joining(standing: Standing) -> MemberRole:
    """What one who may join becomes; raises JoinByInvitation where that takes an invitation."""
    if standing.role == MemberRole.INVITED or standing.join_policy == JoinPolicy.OPEN:
        return MemberRole.MEMBER
    if standing.join_policy == JoinPolicy.INVITE and standing.role != MemberRole.PENDING:
        raise JoinByInvitation(path=("communityId",))
    return MemberRole.PENDING


async def request_membership(tx: Transaction, standing: Standing, message: str | None, now: datetime) -> None:
    """File the request and tell those who decide on it; raises TooManyRequests."""
    waiting = await customers_in(tx, standing.community_id, [MemberRole.PENDING], limit=MOST_REQUESTS)
    if len(waiting) >= MOST_REQUESTS:
        raise TooManyRequests(path=("communityId",))
    await put_membership(tx, standing, MemberRole.PENDING, now=now, message=message)
    managers = await customers_in(tx, standing.community_id, MANAGERS, limit=MOST_TOLD)
    cause = f"{standing.key}:{iso(now)}"
    ids = {"community_id": standing.community_id, "requester_id": standing.customer_id}
    await owe_effects(
        tx, [notice(NoticeKind.MEMBERSHIP_REQUESTED, manager, cause, **ids) for manager in managers], now=now
    )


async def leave_community(graph: GraphClient, *, community_id: str, customer_id: str, now: datetime) -> None:
    """End the membership or withdraw the request; raises NotFound where there is neither, LastOwner."""

    async def work(tx: Transaction) -> None:
        standing = await lock_standing(tx, community_id, customer_id, now=now)
        if not is_member(standing.role) and standing.role != MemberRole.PENDING:
            raise NotFound(path=("communityId",))
        await check_not_last_owner(tx, standing, "communityId")
        await drop_membership(tx, standing, now=now)
        lost = [barring(community_id, customer_id)] if standing.is_private and is_member(standing.role) else []
        await owe_effects(tx, [*resignation(standing, now), *lost], now=now)

    await graph.transact(work, contended=community_id)


def resignation(standing: Standing, now: datetime) -> list[Effect]:
    """That somebody with an office leaves concerns the owners; that a member does is a member's own affair."""
    if standing.role not in (*MODERATORS, MemberRole.EXPERT):
        return []
    subject = f"Customer:{standing.customer_id}"
    actor = standing.customer_id
    return [audited(standing.community_id, "RESIGNED", actor=actor, subject=subject, now=now, role=standing.role)]
