"""Referral codes: one active code per customer and programme, which people can read aloud."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, text
from sqlmodel import Field, select

from core.codes import new_code, normal_code
from core.db import Record, Session, insert_once, instant
from core.errors import Refusal
from core.ids import new_id
from referrals.programs import running_program

CODE_LENGTH = 8


class CodeUnknown(Refusal):
    code = "CODE_UNKNOWN"
    en = "There is no such referral code. Please check it."
    zh = "推荐码不存在，请核对。"


class CodeRevoked(Refusal):
    code = "CODE_REVOKED"
    en = "This referral code is no longer valid."
    zh = "该推荐码已失效。"


class CodeStatus(StrEnum):
    """A retired or revoked code still resolves, to a reason."""

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
    """The customer's active code, made at the first asking; raises NotFound, ProgramNotActive."""
    await running_program(session, program_id, now=now)
    for _ in range(5):
        found = await find_code(session, program_id, customer_id)
        if found is not None:
            return found
        row: dict[str, Any] = {
            "id": new_id(),
            "program_id": program_id,
            "customer_id": customer_id,
            "code": new_code(CODE_LENGTH),
            "status": CodeStatus.ACTIVE,
            "created_at": now,
        }
        # Whatever unique index objects, the next round finds what is there or draws another code.
        await insert_once(session, ReferralCode, row)
    raise RuntimeError("five random codes in a row were taken")


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
