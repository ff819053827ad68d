"""Invitation links: a code that makes a member of whoever has it, until it ends or is replaced or taken back.

A community has one at a time. The code names the community and a key that the community's node carries, so that a new
link makes the old one worthless, and a code that is not good is as if it were none.
"""

import hmac
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from community.access import MANAGERS
from community.acts import audited
from community.standing import check_open, lock_standing
from core.clock import iso, parse_instant
from core.errors import BadUserInput, NotFound, Refusal
from core.ids import opaque, raw_of
from graph.client import GraphClient, Row, Transaction
from graph.owed import owe_effects

KEY_BYTES = 16
LONGEST_DAYS = 90


class InvitationInvalid(Refusal):
    code = "INVITATION_INVALID"
    en = "This invitation is not valid any more. Please ask for a new one."
    zh = "邀请已失效，请索取新的邀请。"


class ValidDaysInvalid(BadUserInput):
    code = "VALID_DAYS_INVALID"
    en = "A link is valid for 1 to 90 days."
    zh = "邀请链接有效期需为1至90天。"


@dataclass(frozen=True, slots=True)
class InvitationLink:
    """A code and until when it is good."""

    code: str
    expires_at: datetime


def code_of(community_id: str, key: bytes) -> str:
    return opaque(uuid.UUID(community_id).bytes + key)


def community_of_code(code: str) -> str | None:
    """The community that a code is for; None for what is no code of ours."""
    try:
        raw = raw_of(code)
    except ValueError:
        return None
    return str(uuid.UUID(bytes=raw[:16])) if len(raw) == 16 + KEY_BYTES else None


def is_good(code: str, stored: str | None, expires_at: str | None, now: datetime) -> bool:
    """Whether this is the community's present code; compared in constant time."""
    if stored is None or expires_at is None or expires_at <= iso(now) or not code.isascii():
        return False
    return hmac.compare_digest(code, stored)


SET_LINK = "MATCH (c:Community {id: $id}) SET c.invitation_code = $code, c.invitation_expires_at = $expires_at"


async def create_invitation_link(
    graph: GraphClient, *, community_id: str, manager_id: str, valid_days: int, now: datetime
) -> InvitationLink:
    """A new link, which replaces the one before; raises NotFound, CommunityArchived or ValidDaysInvalid."""
    if not 1 <= valid_days <= LONGEST_DAYS:
        raise ValidDaysInvalid(path=("validDays",))
    link = InvitationLink(code_of(community_id, secrets.token_bytes(KEY_BYTES)), now + timedelta(days=valid_days))

    async def work(tx: Transaction) -> None:
        standing = await lock_standing(tx, community_id, manager_id, now=now)
        if standing.role not in MANAGERS:
            raise NotFound(path=("communityId",))
        check_open(standing)
        await put_link(tx, community_id, link, actor=manager_id, now=now)

    await graph.transact(work, contended=community_id)
    return link


async def revoke_invitation_link(graph: GraphClient, *, community_id: str, manager_id: str, now: datetime) -> None:
    """Take the link back; raises NotFound, also where there is none."""

    async def work(tx: Transaction) -> None:
        standing = await lock_standing(tx, community_id, manager_id, now=now)
        if standing.role not in MANAGERS or standing.invitation_code is None:
            raise NotFound(path=("communityId",))
        await put_link(tx, community_id, None, actor=manager_id, now=now)

    await graph.transact(work, contended=community_id)


async def put_link(
    tx: Transaction, community_id: str, link: InvitationLink | None, *, actor: str, now: datetime
) -> None:
    """Write the link or its end, with its entry; the code itself is in no trail."""
    code, expires_at = (link.code, iso(link.expires_at)) if link else (None, None)
    await tx.run(SET_LINK, id=community_id, code=code, expires_at=expires_at)
    action = "INVITATION_LINK_CREATED" if link else "INVITATION_LINK_REVOKED"
    subject = f"Community:{community_id}"
    entry = audited(community_id, action, actor=actor, subject=subject, now=now, expires_at=expires_at)
    await owe_effects(tx, [entry], now=now)


READ_INVITATION = """
MATCH (c:Community {id: $id})
WHERE c.archived_at IS NULL
RETURN c.id AS id, c.name_zh AS name_zh, c.name_en AS name_en, c.purpose_zh AS purpose_zh, c.purpose_en AS purpose_en,
       c.member_count AS member_count, c.invitation_code AS code, c.invitation_expires_at AS expires_at
"""


async def read_invitation(graph: GraphClient, code: str, *, now: datetime) -> Row | None:
    """What a link tells its holder of the community; None where the code is not good."""
    community_id = community_of_code(code)
    rows = await graph.read(READ_INVITATION, id=community_id) if community_id else []
    if not rows or not is_good(code, rows[0]["code"], rows[0]["expires_at"], now):
        return None
    return {**rows[0], "expires_at": parse_instant(rows[0]["expires_at"])}
