"""Vouchers: the codes of fulfilled redemptions, shown at a counter by their owners and used there once."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, update
from sqlmodel import col, select

from core.audit import act, record_act
from core.codes import normal_code
from core.db import Session, changed_rows
from core.errors import Forbidden, Refusal
from core.paging import Page, Place, cut, newest_first, page_size
from core.principal import Principal, Scope
from loyalty.redemption_records import Redemption, RedemptionStatus

LONGEST_CODE = 200


class VoucherUnknown(Refusal):
    """No voucher has this code, or one of another reward: both look alike."""

    code = "VOUCHER_UNKNOWN"
    en = "This is no voucher of ours for this reward."
    zh = "券码无效。"


class VoucherUsed(Refusal):
    code = "VOUCHER_USED"
    en = "This voucher has been used."
    zh = "该券已使用。"


class VoucherExpired(Refusal):
    code = "VOUCHER_EXPIRED"
    en = "This voucher is no longer valid."
    zh = "该券已过期。"


class VoucherStatus(StrEnum):
    """Whether a voucher can be shown at a counter."""

    VALID = "VALID"
    USED = "USED"
    EXPIRED = "EXPIRED"


def voucher_status(row: Redemption, now: datetime) -> VoucherStatus:
    if row.used_at is not None:
        return VoucherStatus.USED
    over = row.voucher_until is not None and row.voucher_until <= now
    return VoucherStatus.EXPIRED if over else VoucherStatus.VALID


def may_use_vouchers(principal: Principal) -> None:
    """Administrators use vouchers, and the systems of counters with the scope; raises Forbidden."""
    if not principal.is_administrator and Scope.REDEMPTIONS_WRITE not in principal.scopes:
        raise Forbidden


async def codes_given(session: Session, codes: Sequence[str]) -> set[str]:
    """Those of these codes that are vouchers already."""
    if not codes:
        return set()
    statement = select(Redemption.voucher_code).where(col(Redemption.voucher_code).in_(list(codes)))
    return {code for code in (await session.exec(statement)).all() if code}


def has_status(status: VoucherStatus, now: datetime) -> ColumnElement[bool]:
    """The same as `voucher_status`, for queries."""
    if status == VoucherStatus.USED:
        return col(Redemption.used_at).is_not(None)
    over = col(Redemption.voucher_until) <= now
    ended = over if status == VoucherStatus.EXPIRED else col(Redemption.voucher_until).is_(None) | ~over
    return col(Redemption.used_at).is_(None) & ended


async def vouchers_of(
    session: Session,
    customer_id: str,
    *,
    status: VoucherStatus | None,
    first: int | None,
    after: Place,
    now: datetime,
) -> Page[Redemption]:
    """A customer's vouchers, the latest first; those of one status, or all of them."""
    size = page_size(first)
    statement = select(Redemption).where(
        Redemption.customer_id == customer_id,
        Redemption.status == RedemptionStatus.FULFILLED,
        col(Redemption.voucher_code).is_not(None),
    )
    if status is not None:
        statement = statement.where(has_status(status, now))
    page = newest_first(statement, col(Redemption.redeemed_at), col(Redemption.id), size=size, after=after)
    rows = (await session.exec(page)).all()
    return cut(rows, size, lambda row: (row.redeemed_at.isoformat(), row.id), after)


async def voucher_by_code(session: Session, code: str, *, reward_id: str | None) -> Redemption:
    """The voucher that was typed or scanned, of this reward where one is named; raises VoucherUnknown.

    A partner's code is taken as it is; one of ours in any case, with spaces or hyphens between.
    """
    typed = code.strip()
    codes = [typed, normal_code(typed)] if len(typed) <= LONGEST_CODE and "\0" not in typed else []
    found = {row.voucher_code: row for row in await vouchers_by_code(session, [one for one in codes if one])}
    row = next((found[one] for one in codes if one in found), None)
    if row is None or reward_id not in (None, row.reward_id):
        raise VoucherUnknown(path=("code",))
    return row


async def vouchers_by_code(session: Session, codes: Sequence[str]) -> Sequence[Redemption]:
    if not codes:
        return []
    statement = select(Redemption).where(
        col(Redemption.voucher_code).in_(list(codes)), Redemption.status == RedemptionStatus.FULFILLED
    )
    return (await session.exec(statement)).all()


async def use_voucher(session: Session, redemption_id: str, *, actor: str, now: datetime) -> Redemption:
    """Mark a voucher as used, once; raises VoucherUsed or VoucherExpired.

    Of many at once one does it: the guard is in the statement, not in what was read before.
    """
    valid = update(Redemption).where(col(Redemption.id) == redemption_id, has_status(VoucherStatus.VALID, now))
    used = await changed_rows(session, valid.values(used_at=now, used_by=actor))
    row = await session.get_one(Redemption, redemption_id, populate_existing=True)
    if not used:
        raise (VoucherUsed if row.used_at is not None else VoucherExpired)(path=("code",))
    entry = act(
        area=f"redemption:{row.id}",
        actor=actor,
        action="VOUCHER_USED",
        subject=row.id,
        at=now,
        concerns=row.customer_id,
    )
    await record_act(session, f"voucher:{row.id}:used", entry)
    return row
