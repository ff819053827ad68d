"""Referral codes: one active code per customer and programme, which people can read aloud."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, func, text
from sqlmodel import Field, col, select

from core.audit import LONGEST_REASON, act, checked_reason, record_act
from core.codes import new_code, normal_code
from core.db import Record, Session, insert_once, instant
from core.errors import BadUserInput, NotFound, Refusal
from core.ids import new_id
from core.paging import Page, Place, cut, newest_first, page_size
from core.principal import Principal
from referrals.programs import running_program

CODE_LENGTH = 8
# New codes for one customer and programme in any 24 hours, the very first among them.
MOST_NEW_CODES = 5
A_DAY = timedelta(hours=24)


class CodeUnknown(Refusal):
    code = "CODE_UNKNOWN"
    en = "There is no such referral code. Please check it."
    zh = "推荐码不存在，请核对。"


class CodeRevoked(Refusal):
    code = "CODE_REVOKED"
    en = "This referral code is no longer valid."
    zh = "该推荐码已失效。"


class TooManyCodes(Refusal):
    code = "TOO_MANY_CODES"
    en = "You have had too many new codes today. Please try again tomorrow."
    zh = "今日更换推荐码次数过多，请明天再试。"


class RevocationInvalid(BadUserInput):
    code = "REVOCATION_INVALID"
    en = "Please say why the code is revoked."
    zh = "请说明停用推荐码的原因。"


class CodeStatus(StrEnum):
    """A retired code still counts in links and claims; a revoked one only resolves, to a reason."""

    ACTIVE = "ACTIVE"
    RETIRED = "RETIRED"
    REVOKED = "REVOKED"


class ReferralCode(Record, table=True):
    """A code in its normal form (upper case), which is what makes it unique without regard to case."""

    __table_args__ = (
        Index(
            "ux_referral_code_active",
            "program_id",
            "customer_id",
            unique=True,
            sqlite_where=text("status = 'ACTIVE'"),
            postgresql_where=text("status = 'ACTIVE'"),
        ),
        Index("ix_referral_code_owner", "program_id", "customer_id", "created_at", "id"),
    )

    id: str = Field(primary_key=True)
    program_id: str = Field(foreign_key="referral_program.id")
    customer_id: str = Field(index=True)
    code: str = Field(unique=True)
    status: str
    created_at: datetime = instant()


async def find_code(session: Session, program_id: str, customer_id: str) -> ReferralCode | None:
    """The customer's active code."""
    statement = select(ReferralCode).where(
        ReferralCode.program_id == program_id,
        ReferralCode.customer_id == customer_id,
        ReferralCode.status == CodeStatus.ACTIVE,
    )
    return (await session.exec(statement)).first()


async def referral_code(session: Session, *, program_id: str, customer_id: str, now: datetime) -> ReferralCode:
    """The customer's active code, made at the first asking; raises NotFound, ProgramNotActive, TooManyCodes."""
    await running_program(session, program_id, now=now)
    for _ in range(5):
        found = await find_code(session, program_id, customer_id)
        if found is not None:
            return found
        await draw_code(session, program_id, customer_id, now)
    raise RuntimeError("five random codes in a row were taken")


async def draw_code(session: Session, program_id: str, customer_id: str, now: datetime) -> bool:
    """Make an active code; False where a unique index objects: somebody has this one, or the customer has another.

    Raises TooManyCodes. They are counted after the insertion, because whoever makes another code waits for it.
    """
    row: dict[str, Any] = {
        "id": new_id(),
        "program_id": program_id,
        "customer_id": customer_id,
        "code": new_code(CODE_LENGTH),
        "status": CodeStatus.ACTIVE,
        "created_at": now,
    }
    if not await insert_once(session, ReferralCode, row):
        return False
    made = select(func.count()).where(
        col(ReferralCode.program_id) == program_id,
        col(ReferralCode.customer_id) == customer_id,
        col(ReferralCode.created_at) > now - A_DAY,
    )
    if (await session.exec(made)).one() > MOST_NEW_CODES:
        raise TooManyCodes
    return True


async def rotate_code(session: Session, *, program_id: str, customer_id: str, now: datetime) -> ReferralCode:
    """Retire the customer's active code and make a new one; what was attributed by the old one stays.

    Of several at once each finds the code of the one before it, so that one active code is left.
    Raises NotFound, ProgramNotActive, TooManyCodes.
    """
    await running_program(session, program_id, now=now)
    retired: list[str] = []
    # Who waited for another's rotation looks again; as many as the limit lets through can come before.
    for _ in range(MOST_NEW_CODES + 5):
        old = await lock_active(session, program_id, customer_id)
        if old is not None:
            old.status = CodeStatus.RETIRED
            await session.flush()
            retired.append(old.id)
        if await draw_code(session, program_id, customer_id, now):
            break
    found = await find_code(session, program_id, customer_id)
    if found is None:
        raise RuntimeError("a rotated code is there")
    await audit_code(session, found, "CODE_ROTATED", actor=customer_id, now=now, retired=retired)
    return found


async def lock_active(session: Session, program_id: str, customer_id: str) -> ReferralCode | None:
    """The customer's active code, held for this transaction; None also where it has just ceased to be active."""
    statement = select(ReferralCode).where(
        ReferralCode.program_id == program_id,
        ReferralCode.customer_id == customer_id,
        ReferralCode.status == CodeStatus.ACTIVE,
    )
    return (await session.exec(held(statement))).first()


def held(statement: Any) -> Any:
    """The same rows as they stand now, held for this transaction; clicks, which refer to them, do not wait."""
    return statement.with_for_update(key_share=True).execution_options(populate_existing=True)


def may_manage(code: ReferralCode, principal: Principal) -> bool:
    """Whether somebody may revoke a code and see its numbers: its owner and administrators."""
    return principal.is_administrator or principal.customer_id == code.customer_id


async def revoke_code(
    session: Session, code_id: str, *, principal: Principal, reason: str, now: datetime
) -> ReferralCode:
    """Let a code count no more, from now on; revoked again, nothing changes. Raises NotFound, RevocationInvalid."""
    code = (await session.exec(held(select(ReferralCode).where(ReferralCode.id == code_id)))).first()
    if code is None or not may_manage(code, principal):
        raise NotFound(path=("codeId",))
    given = checked_reason(reason, RevocationInvalid, detail=f"1 to {LONGEST_REASON} characters")
    if code.status != CodeStatus.REVOKED:
        code.status = CodeStatus.REVOKED
        await session.flush()
        actor = principal.customer_id or principal.subject
        await audit_code(session, code, "CODE_REVOKED", actor=actor, now=now, reason=given)
    return code


async def audit_code(
    session: Session,
    code: ReferralCode,
    action: str,
    *,
    actor: str,
    now: datetime,
    reason: str | None = None,
    **details: Any,
) -> None:
    """What happened to a code, once; the trail of its programme keeps it."""
    entry = act(
        area=f"referral-program:{code.program_id}",
        actor=actor,
        action=action,
        subject=f"referral-code:{code.id}",
        at=now,
        concerns=code.customer_id,
        reason=reason,
        **details,
    )
    await record_act(session, f"referral-code:{code.id}:{action}", entry)


async def codes_of_customer(
    session: Session, *, program_id: str, customer_id: str, first: int | None, after: Place
) -> Page[ReferralCode]:
    """The customer's codes in a programme, retired and revoked ones too, the latest first."""
    size = page_size(first)
    statement = select(ReferralCode).where(
        ReferralCode.program_id == program_id, ReferralCode.customer_id == customer_id
    )
    page = newest_first(statement, col(ReferralCode.created_at), col(ReferralCode.id), size=size, after=after)
    rows = (await session.exec(page)).all()
    return cut(rows, size, lambda row: (row.created_at.isoformat(), row.id), after)


async def code_by_text(session: Session, typed: str, *, principal: Principal) -> ReferralCode | None:
    """The code that these letters are, whatever has become of it, for its owner and administrators."""
    normal = normal_code(typed)
    if normal is None:
        return None
    found = (await session.exec(select(ReferralCode).where(ReferralCode.code == normal))).first()
    return found if found is not None and may_manage(found, principal) else None


async def resolve_code(session: Session, typed: str) -> ReferralCode:
    """The code that a person typed; raises CodeUnknown or CodeRevoked.

    A code retired by rotation still counts: it is printed on leaflets.
    """
    normal = normal_code(typed)
    if normal is None:
        raise CodeUnknown(path=("code",))
    found = (await session.exec(select(ReferralCode).where(ReferralCode.code == normal))).first()
    if found is None:
        raise CodeUnknown(path=("code",))
    if found.status == CodeStatus.REVOKED:
        raise CodeRevoked(path=("code",))
    return found
