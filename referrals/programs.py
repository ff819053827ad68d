"""Referral programmes: their versions, budgets and life from draft to end."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, update
from sqlmodel import Field, col, select

from core.db import Record, Session, changed_rows, instant, json_column
from core.errors import BadUserInput, NotFound, Refusal
from core.ids import new_id
from core.paging import Page, Place, by_text, cut, page_size
from referrals.definition import ProgramDefinition, ProgramInvalid, parse_definition
from referrals.entitlement import Budget

LARGEST_AMOUNT = 10**15


class ProgramNotActive(Refusal):
    code = "PROGRAM_NOT_ACTIVE"
    en = "This referral programme is not running now."
    zh = "该推荐计划当前未开放。"


class ProgramNotNamed(BadUserInput):
    code = "PROGRAM_NOT_NAMED"
    en = "Several programmes are running: name one of them."
    zh = "有多个推荐计划正在进行，请指定其一。"


class ProgramEnded(Refusal):
    code = "PROGRAM_ENDED"
    en = "This referral programme has ended for good."
    zh = "该推荐计划已结束，不可更改。"


class BudgetBelowReserved(Refusal):
    code = "BUDGET_BELOW_RESERVED"
    en = "More than this budget is promised already."
    zh = "预算低于已承诺的奖励。"


class ProgramStatus(StrEnum):
    """A programme takes claims while it is active; paused it keeps its promises, ended it never starts again."""

    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    ENDED = "ENDED"


UNENDED = (ProgramStatus.DRAFT, ProgramStatus.ACTIVE, ProgramStatus.PAUSED)


class ReferralProgram(Record, table=True):
    """A programme; its budget is reserved with each reward and never overshot.

    `amount_per_thousand` is what 1,000 points are worth and `budget_amount` the limit, both in minor units of
    `currency`; `reserved_worth` is in thousandths of the minor unit.
    """

    __table_args__ = (
        CheckConstraint("reserved_points >= 0", name="ck_referral_program_reserved"),
        CheckConstraint("budget_points IS NULL OR reserved_points <= budget_points", name="ck_referral_program_budget"),
        CheckConstraint(
            "budget_amount IS NULL OR reserved_worth <= budget_amount * 1000", name="ck_referral_program_amount"
        ),
    )

    id: str = Field(primary_key=True)
    name_zh: str
    name_en: str
    status: str
    active_version: int | None = None
    starts_at: datetime = instant()
    ends_at: datetime | None = instant(optional=True)
    budget_points: int | None = Field(default=None, sa_type=BigInteger)
    budget_amount: int | None = Field(default=None, sa_type=BigInteger)
    currency: str | None = None
    amount_per_thousand: int = Field(default=0, sa_type=BigInteger)
    reserved_points: int = Field(default=0, sa_type=BigInteger)
    reserved_worth: int = Field(default=0, sa_type=BigInteger)
    created_at: datetime = instant()

    @property
    def budget(self) -> Budget:
        return Budget(
            self.budget_points,
            self.budget_amount,
            self.amount_per_thousand,
            self.reserved_points,
            self.reserved_worth,
        )


class ReferralProgramVersion(Record, table=True):
    """A definition that never changes once it is written; rewards name it."""

    program_id: str = Field(primary_key=True, foreign_key="referral_program.id")
    version: int = Field(primary_key=True)
    definition: dict[str, Any] = json_column()
    created_at: datetime = instant()

    def parsed(self) -> ProgramDefinition:
        return ProgramDefinition.model_validate(self.definition)


@dataclass(frozen=True, slots=True)
class MoneyBudget:
    """A limit in money, and what 1,000 points are worth; both in minor units of the currency (ISO 4217)."""

    amount: int
    amount_per_thousand: int
    currency: str


async def create_program(
    session: Session,
    *,
    name_zh: str,
    name_en: str,
    definition: dict[str, Any],
    starts_at: datetime,
    ends_at: datetime | None,
    budget_points: int | None,
    now: datetime,
    money: MoneyBudget | None = None,
    program_id: str | None = None,
) -> str:
    """Draft a programme with its first version; returns its id. Raises ProgramInvalid."""
    parsed = parse_definition(definition)
    program = ReferralProgram(
        id=program_id or new_id(),
        name_zh=checked_name("nameZh", name_zh),
        name_en=checked_name("nameEn", name_en),
        status=ProgramStatus.DRAFT,
        starts_at=starts_at,
        ends_at=ends_at,
        budget_points=budget_points,
        created_at=now,
    )
    set_money(program, money)
    check_program(program)
    session.add(program)
    await session.flush()
    await add_version(session, program.id, parsed, version=1, now=now)
    return program.id


def checked_name(field: str, name: str) -> str:
    if not 1 <= len(name.strip()) <= 200:
        raise ProgramInvalid(path=(field,), detail="1 to 200 characters")
    return name.strip()


def set_money(program: ReferralProgram, money: MoneyBudget | None) -> None:
    program.budget_amount = money.amount if money else None
    program.amount_per_thousand = money.amount_per_thousand if money else 0
    program.currency = money.currency if money else None


def check_program(program: ReferralProgram) -> None:
    """Raise ProgramInvalid for dates or budgets that cannot be."""
    if program.ends_at is not None and program.ends_at <= program.starts_at:
        raise ProgramInvalid(path=("endsAt",), detail="after startsAt")
    if program.budget_points is not None and not 0 <= program.budget_points <= LARGEST_AMOUNT:
        raise ProgramInvalid(path=("budgetPoints",), detail=f"0 to {LARGEST_AMOUNT}")
    if program.budget_amount is None:
        return
    if not 0 <= program.budget_amount <= LARGEST_AMOUNT:
        raise ProgramInvalid(path=("budgetMoney", "amount"), detail=f"0 to {LARGEST_AMOUNT}")
    if not 1 <= program.amount_per_thousand <= 1_000_000_000:
        raise ProgramInvalid(path=("budgetMoney", "amountPerThousandPoints"), detail="1 to 1000000000")
    currency = program.currency or ""
    if not (len(currency) == 3 and currency.isascii() and currency.isalpha() and currency.isupper()):
        raise ProgramInvalid(path=("budgetMoney", "currency"), detail="three capital letters (ISO 4217)")


async def add_version(
    session: Session, program_id: str, definition: ProgramDefinition, *, version: int, now: datetime
) -> None:
    data = definition.model_dump(mode="json")
    session.add(ReferralProgramVersion(program_id=program_id, version=version, definition=data, created_at=now))
    await session.flush()


async def lock_program(session: Session, program_id: str) -> ReferralProgram:
    """The programme, locked for this transaction and read anew; raises NotFound."""
    statement = select(ReferralProgram).where(ReferralProgram.id == program_id).with_for_update()
    found = (await session.exec(statement.execution_options(populate_existing=True))).first()
    if found is None:
        raise NotFound(path=("programId",))
    return found


async def update_program(
    session: Session, program_id: str, changes: dict[str, Any], *, definition: dict[str, Any] | None, now: datetime
) -> None:
    """Change names, dates and budget (`changes` by column, `money` for all of the money budget), or add a version.

    A definition that differs from the newest becomes a version, which takes no claims before it is activated.
    Raises NotFound, ProgramEnded, ProgramInvalid, BudgetBelowReserved.
    """
    parsed = parse_definition(definition) if definition is not None else None
    program = await lock_program(session, program_id)
    if program.status == ProgramStatus.ENDED:
        raise ProgramEnded(path=("programId",))
    for name, value in changes.items():
        if name == "money":
            set_money(program, value)
        else:
            setattr(program, name, value)
    program.name_zh, program.name_en = checked_name("nameZh", program.name_zh), checked_name("nameEn", program.name_en)
    check_program(program)
    if program.budget_points is not None and program.budget_points < program.reserved_points:
        raise BudgetBelowReserved(path=("budgetPoints",))
    if program.budget_amount is not None and program.budget_amount * 1000 < program.reserved_worth:
        raise BudgetBelowReserved(path=("budgetMoney",))
    await session.flush()
    newest = await newest_version(session, program_id)
    if parsed is not None and newest is not None and parsed != newest.parsed():
        await add_version(session, program_id, parsed, version=newest.version + 1, now=now)


async def newest_version(session: Session, program_id: str) -> ReferralProgramVersion | None:
    statement = select(ReferralProgramVersion).where(ReferralProgramVersion.program_id == program_id)
    return (await session.exec(statement.order_by(col(ReferralProgramVersion.version).desc()).limit(1))).first()


async def activate_program(session: Session, program_id: str, *, version: int | None = None) -> None:
    """Let a version, the newest by default, take claims from now on; rewards already made keep theirs.

    Raises NotFound, ProgramEnded.
    """
    if version is None:
        newest = await newest_version(session, program_id)
        version = newest.version if newest else None
    elif await session.get(ReferralProgramVersion, (program_id, version)) is None:
        raise NotFound(path=("version",))
    if version is None:
        raise NotFound(path=("programId",))
    await turn_program(session, program_id, ProgramStatus.ACTIVE, UNENDED, active_version=version)


async def pause_program(session: Session, program_id: str) -> None:
    """Take no claims for a while; what was promised is kept. Raises NotFound, ProgramEnded, ProgramNotActive."""
    await turn_program(session, program_id, ProgramStatus.PAUSED, (ProgramStatus.ACTIVE, ProgramStatus.PAUSED))


async def end_program(session: Session, program_id: str, *, now: datetime) -> None:
    """Take no claims any more, for ever; what was promised is kept. Raises NotFound."""
    program = await lock_program(session, program_id)
    if program.status == ProgramStatus.ENDED:
        return
    program.status = ProgramStatus.ENDED
    # The window stays one that can be: a programme that never began has no end before its start.
    if program.starts_at < now and (program.ends_at is None or program.ends_at > now):
        program.ends_at = now
    await session.flush()


async def turn_program(
    session: Session, program_id: str, status: ProgramStatus, allowed: Collection[ProgramStatus], **values: Any
) -> None:
    guarded = update(ReferralProgram).where(
        col(ReferralProgram.id) == program_id, col(ReferralProgram.status).in_(list(allowed))
    )
    if await changed_rows(session, guarded.values(status=status, **values)):
        return
    program = await session.get(ReferralProgram, program_id)
    if program is None:
        raise NotFound(path=("programId",))
    raise (ProgramEnded if program.status == ProgramStatus.ENDED else ProgramNotActive)(path=("programId",))


async def running_program(session: Session, program_id: str, *, now: datetime) -> ReferralProgram:
    """The programme if it takes claims at `now` (start inclusive, end exclusive); raises NotFound, ProgramNotActive."""
    program = await session.get(ReferralProgram, program_id)
    if program is None or program.status == ProgramStatus.DRAFT:
        raise NotFound(path=("programId",))
    ended = program.ends_at is not None and program.ends_at <= now
    if program.status != ProgramStatus.ACTIVE or now < program.starts_at or ended:
        raise ProgramNotActive(path=("programId",))
    return program


async def the_program(session: Session) -> ReferralProgram | None:
    """The active programme where there is exactly one, for whoever names none; raises ProgramNotNamed for several."""
    statement = select(ReferralProgram).where(ReferralProgram.status == ProgramStatus.ACTIVE).limit(2)
    found = (await session.exec(statement)).all()
    if len(found) > 1:
        raise ProgramNotNamed(path=("programId",))
    return found[0] if found else None


async def definition_of(session: Session, program_id: str, version: int) -> ProgramDefinition:
    row = await session.get_one(ReferralProgramVersion, (program_id, version))
    return row.parsed()


async def versions_of(session: Session, program_id: str) -> list[ReferralProgramVersion]:
    """All versions, the newest first; people write them, so there are few."""
    statement = select(ReferralProgramVersion).where(ReferralProgramVersion.program_id == program_id)
    return list((await session.exec(statement.order_by(col(ReferralProgramVersion.version).desc()).limit(100))).all())


async def list_programs(
    session: Session, *, with_drafts: bool, first: int | None, after: Place
) -> Page[ReferralProgram]:
    """Programmes in the order of their ids; drafts only for whoever may see them."""
    size = page_size(first)
    statement = select(ReferralProgram)
    if not with_drafts:
        statement = statement.where(ReferralProgram.status != ProgramStatus.DRAFT)
    page = by_text(statement, col(ReferralProgram.id), size=size, after=after)
    return cut((await session.exec(page)).all(), size, lambda program: (program.id,), after)
