"""Tiers that staff set by hand: one asks, another approves, and from then until it ends it covers what is computed.

It beats no risk, unless the policy says so. When it ends, the computed tier shows at once: whoever asks for an instant
is told by the instant, and the rows and the graph follow by an effect that is owed for then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import update
from sqlmodel import col, select

from core import outbox
from core.audit import LONGEST_REASON, checked_reason, record_change
from core.clock import as_utc
from core.db import Session, changed_rows, insert_once
from core.errors import BadUserInput, NotFound, Refusal
from core.ids import new_id
from core.paging import Page, Place, cut, newest_first, page_size
from customers.tier_policies import active_policy
from customers.tier_records import OverrideStatus, TierCause, TierOverride
from customers.tier_standing import (
    TIER_PROJECTED,
    Cause,
    Standing,
    end_of_override,
    lock_standings,
    put_standings,
    record_changes,
    settle_shown,
)
from graph.eligibility import Tier

TIER_OVERRIDE_DUE = "tier.override_due"
LONGEST_OVERRIDE = timedelta(days=366)


class TierOverrideInvalid(BadUserInput):
    code = "TIER_OVERRIDE_INVALID"
    en = (
        f"An override needs a reason of 1 to {LONGEST_REASON} characters, and ends within {LONGEST_OVERRIDE.days} days."
    )
    zh = f"手动定级需填写1至{LONGEST_REASON}个字符的理由，且须在{LONGEST_OVERRIDE.days}天内到期。"


class TierOverridePending(Refusal):
    code = "TIER_OVERRIDE_PENDING"
    en = "Another override of this customer waits for its approval."
    zh = "该客户已有待审批的手动定级。"


class TierOverrideNeedsAnother(Refusal):
    code = "TIER_OVERRIDE_NEEDS_ANOTHER"
    en = "Somebody else than who asked for it has to decide."
    zh = "须由申请人以外的人员处理。"


class TierOverrideDecided(Refusal):
    code = "TIER_OVERRIDE_DECIDED"
    en = "This override has been decided already."
    zh = "该手动定级已处理。"


class TierOverrideOver(Refusal):
    code = "TIER_OVERRIDE_OVER"
    en = "This override does not count any more."
    zh = "该手动定级已失效。"


@dataclass(frozen=True, slots=True)
class NewOverride:
    """What somebody of the staff asks for."""

    customer_id: str
    tier: Tier
    reason: str
    expires_at: datetime


async def override_tier(session: Session, new: NewOverride, *, actor: str, now: datetime) -> TierOverride:
    """Ask for an override, which waits for a second person; raises TierOverrideInvalid, TierOverridePending."""
    reason = checked_reason(new.reason, TierOverrideInvalid)
    if not now < new.expires_at <= now + LONGEST_OVERRIDE:
        raise TierOverrideInvalid(path=("expiresAt",))
    row: dict[str, Any] = {
        "id": new_id(),
        "customer_id": new.customer_id,
        "tier": new.tier,
        "reason": reason,
        "status": OverrideStatus.PENDING,
        "requested_by": actor,
        "requested_at": now,
        "expires_at": new.expires_at,
    }
    await reject_late(session, new.customer_id, now=now)
    if not await insert_once(session, TierOverride, row):
        raise TierOverridePending(path=("customerId",))
    found = await session.get_one(TierOverride, row["id"])
    await note(session, found, "requested", actor=actor, reason=reason, now=now)
    return found


async def reject_late(session: Session, customer_id: str, *, now: datetime) -> None:
    """Reject what waited for its approval until it would have been over: nobody can approve it any more."""
    late = update(TierOverride).where(
        col(TierOverride.customer_id) == customer_id,
        col(TierOverride.status) == OverrideStatus.PENDING,
        col(TierOverride.expires_at) <= now,
    )
    await changed_rows(
        session,
        late.values(status=OverrideStatus.REJECTED, decided_by="kinship", decided_at=now, decision_reason="expired"),
    )


async def note(session: Session, row: TierOverride, action: str, *, actor: str, reason: str, now: datetime) -> None:
    """Audit an act on an override, in the area of its customer."""
    details = {"override_id": row.id, "tier": row.tier, "expires_at": as_utc(row.expires_at).isoformat()}
    await record_change(
        session, "customer", row.customer_id, f"tier_override_{action}", actor=actor, now=now, reason=reason, **details
    )


async def decide_override(
    session: Session, override_id: str, status: OverrideStatus, *, actor: str, reason: str, now: datetime
) -> TierOverride:
    """Approve or reject what waits, once; the same decision by the same person again is the first answer.

    Who asked may reject it, by which they withdraw it, and never approve. An approved one replaces the one that counted
    before. Raises NotFound, TierOverrideNeedsAnother, TierOverrideDecided, TierOverrideOver where it would have ended
    by now.
    """
    reason = checked_reason(reason, TierOverrideInvalid)
    row, standing = await hold_override(session, override_id, now=now)
    if row.status != OverrideStatus.PENDING:
        if (row.status, row.decided_by) != (status, actor):
            raise TierOverrideDecided(path=("overrideId",))
        return row
    if status == OverrideStatus.APPROVED and row.requested_by == actor:
        raise TierOverrideNeedsAnother(path=("overrideId",))
    if status == OverrideStatus.APPROVED and as_utc(row.expires_at) <= now:
        raise TierOverrideOver(path=("overrideId",))
    if status == OverrideStatus.APPROVED:
        await end_others(session, row, actor=actor, now=now)
    row.status, row.decided_by, row.decided_at, row.decision_reason = status, actor, now, reason
    await session.flush()
    await note(session, row, status.lower(), actor=actor, reason=reason, now=now)
    if status == OverrideStatus.APPROVED:
        await begin(session, row, standing, now=now)
    return row


async def hold_override(session: Session, override_id: str, *, now: datetime) -> tuple[TierOverride, Standing]:
    """The override and its customer's standing, both held; raises NotFound.

    The standing comes first everywhere, so that an approval and the end of the override before wait in no circle.
    """
    while True:
        customer_id = await customer_of_override(session, override_id)
        standing = (await lock_standings(session, [customer_id], now=now))[customer_id]
        row = await lock_override(session, override_id)
        # A merge may have given it to another customer meanwhile.
        if row.customer_id == customer_id:
            return row, standing


async def lock_override(session: Session, override_id: str) -> TierOverride:
    """The override, held for this transaction and read anew; raises NotFound."""
    statement = select(TierOverride).where(TierOverride.id == override_id).with_for_update()
    found = (await session.exec(statement.execution_options(populate_existing=True))).first()
    if found is None:
        raise NotFound(path=("overrideId",))
    return found


async def customer_of_override(session: Session, override_id: str) -> str:
    """Whose tier it is about; raises NotFound."""
    found = await session.get(TierOverride, override_id, populate_existing=True)
    if found is None:
        raise NotFound(path=("overrideId",))
    return found.customer_id


async def requester_of_override(session: Session, override_id: str) -> str | None:
    """Who asked for it; None where there is none."""
    found = await session.get(TierOverride, override_id)
    return found.requested_by if found else None


async def end_others(session: Session, row: TierOverride, *, actor: str, now: datetime) -> None:
    """End the override that counted before, in favour of this one."""
    others = update(TierOverride).where(
        col(TierOverride.customer_id) == row.customer_id, col(TierOverride.status) == OverrideStatus.APPROVED
    )
    await changed_rows(
        session, others.values(status=OverrideStatus.ENDED, ended_by=actor, ended_at=now, end_reason="replaced")
    )


async def begin(session: Session, row: TierOverride, standing: Standing, *, now: datetime) -> None:
    """Let an override count from now on; its end is owed for when it expires."""
    standing.override_id, standing.override_tier = row.id, row.tier
    standing.overridden_until = as_utc(row.expires_at)
    await show(session, standing, Cause(f"override:{row.id}", TierCause.OVERRIDE, override_id=row.id), now=now)
    payload = {"override_id": row.id}
    await outbox.owe(
        session, topic=TIER_OVERRIDE_DUE, key=row.id, payload=payload, now=now, not_before=as_utc(row.expires_at)
    )


async def show(session: Session, standing: Standing, why: Cause, *, now: datetime) -> None:
    """Bring the shown tier of a customer who is held up to date, and owe it to the graph."""
    beats_risk = (await active_policy(session)).parsed().overrides_beat_risk
    change = settle_shown(standing, why, now, beats_risk=beats_risk)
    await put_standings(session, [standing])
    if change is not None:
        await record_changes(session, [change], now=now)
        payload = {"customer_ids": [standing.customer_id]}
        await outbox.owe(session, topic=TIER_PROJECTED, key=why.key, payload=payload, now=now)


async def end_override(session: Session, override_id: str, *, actor: str, reason: str, now: datetime) -> TierOverride:
    """End an override before its time; ended already it stays so. Raises NotFound, TierOverrideOver for one that
    never counted."""
    reason = checked_reason(reason, TierOverrideInvalid)
    row, standing = await hold_override(session, override_id, now=now)
    if row.status in (OverrideStatus.PENDING, OverrideStatus.REJECTED):
        raise TierOverrideOver(path=("overrideId",))
    if row.status == OverrideStatus.APPROVED:
        await finish(session, row, standing, actor=actor, reason=reason, now=now)
        await note(session, row, "ended", actor=actor, reason=reason, now=now)
    return row


async def expire_override(session: Session, override_id: str, *, now: datetime) -> None:
    """Take note that an override is over; nothing where it was ended before, is not over, or went with its customer."""
    if await session.get(TierOverride, override_id) is None:
        return
    row, standing = await hold_override(session, override_id, now=now)
    if row.status == OverrideStatus.APPROVED and as_utc(row.expires_at) <= now:
        await finish(session, row, standing, actor="kinship", reason="expired", now=now)


async def finish(
    session: Session, row: TierOverride, standing: Standing, *, actor: str, reason: str, now: datetime
) -> None:
    """Let the computed tier show again."""
    row.status, row.ended_by, row.ended_at, row.end_reason = OverrideStatus.ENDED, actor, now, reason
    await session.flush()
    if standing.override_id != row.id:
        return
    standing.override_id = standing.override_tier = standing.overridden_until = None
    await show(session, standing, end_of_override(row.id), now=now)


async def list_overrides(
    session: Session,
    *,
    status: OverrideStatus | None = None,
    customer_ids: Sequence[str] | None = None,
    first: int | None,
    after: Place,
) -> Page[TierOverride]:
    """Overrides of these customers, or of all, the latest first."""
    size = page_size(first)
    statement = select(TierOverride)
    if status is not None:
        statement = statement.where(TierOverride.status == status)
    if customer_ids is not None:
        statement = statement.where(col(TierOverride.customer_id).in_(customer_ids))
    page = newest_first(statement, col(TierOverride.requested_at), col(TierOverride.id), size=size, after=after)
    rows = (await session.exec(page)).all()
    return cut(rows, size, lambda row: (row.requested_at.isoformat(), row.id), after)
