"""Referral programmes: versioned definitions of who earns what for which step."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator
from pydantic import Field as Setting
from sqlalchemy import CheckConstraint, update
from sqlmodel import Field, col, select

from core.db import Record, Session, changed_rows, instant, json_column
from core.errors import BadUserInput, NotFound, Refusal
from core.facts import KIND
from core.ids import new_id
from core.paging import Page, cut, decode_cursor, page_size

# Taking money in exchange for placing deposits is forbidden, so no step may reward it.
DEPOSIT_WORDS = ("DEPOSIT", "BALANCE", "SAVING", "AUM")


class ProgramInvalid(BadUserInput):
    code = "PROGRAM_INVALID"
    en = "The referral programme is not valid."
    zh = "推荐计划无效。"


class ProgramNotActive(Refusal):
    code = "PROGRAM_NOT_ACTIVE"
    en = "This referral programme is not running now."
    zh = "该推荐计划当前未开放。"


class ProgramStatus(StrEnum):
    """A programme takes claims while it is active."""

    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    ENDED = "ENDED"


class Attribution(StrEnum):
    """Which click counts when a referee followed several links."""

    FIRST_TOUCH = "FIRST_TOUCH"
    LAST_TOUCH = "LAST_TOUCH"


class Step(BaseModel):
    """One step of qualification: a kind of fact, a deadline in days from attribution, points for each side."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Setting(pattern=r"^[a-z][a-z0-9-]{0,39}$")
    fact_kind: str
    within_days: int | None = Setting(default=None, ge=1, le=3650)
    referrer_points: int = Setting(default=0, ge=0, le=10_000_000)
    referee_points: int = Setting(default=0, ge=0, le=10_000_000)

    @field_validator("fact_kind")
    @classmethod
    def is_lawful(cls, kind: str) -> str:
        if not KIND.fullmatch(kind):
            raise ValueError("capital letters, digits and _")
        if any(word in kind for word in DEPOSIT_WORDS):
            raise ValueError("a deposit or balance cannot be a qualifying step")
        return kind


class ProgramDefinition(BaseModel):
    """What a version of a programme says; spans are in days, rewards in whole points."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: tuple[Step, ...] = Setting(min_length=1, max_length=10)
    attribution: Attribution = Attribution.LAST_TOUCH
    click_window_days: int = Setting(default=30, ge=1, le=365)
    late_claim_days: int = Setting(default=14, ge=0, le=365)
    hold_days: int = Setting(default=0, ge=0, le=365)
    expires_days: int = Setting(default=730, ge=1, le=3650)
    rewards_per_referrer: int | None = Setting(default=None, ge=1)
    reward_depth: int = 1

    @model_validator(mode="after")
    def is_fair(self) -> "ProgramDefinition":
        names = [step.name for step in self.steps]
        kinds = [step.fact_kind for step in self.steps]
        if len(set(names)) != len(names) or len(set(kinds)) != len(kinds):
            raise ValueError("steps need different names and kinds of fact")
        if self.reward_depth != 1:
            raise ValueError("rewards are paid at depth 1")
        return self


class ReferralProgram(Record, table=True):
    """A programme; the budget in points is reserved with each reward and never overshot."""

    __table_args__ = (
        CheckConstraint("reserved_points >= 0", name="ck_referral_program_reserved"),
        CheckConstraint("budget_points IS NULL OR reserved_points <= budget_points", name="ck_referral_program_budget"),
    )

    id: str = Field(primary_key=True)
    name_zh: str
    name_en: str
    status: str
    active_version: int | None = None
    starts_at: datetime = instant()
    ends_at: datetime | None = instant(optional=True)
    budget_points: int | None = None
    reserved_points: int = 0
    created_at: datetime = instant()


class ReferralProgramVersion(Record, table=True):
    """A definition that never changes once it is written; rewards name it."""

    program_id: str = Field(primary_key=True, foreign_key="referral_program.id")
    version: int = Field(primary_key=True)
    definition: dict[str, Any] = json_column()
    created_at: datetime = instant()

    def parsed(self) -> ProgramDefinition:
        return ProgramDefinition.model_validate(self.definition)


def parse_definition(data: dict[str, Any]) -> ProgramDefinition:
    """Read a definition; raises ProgramInvalid with the path of the first field that cannot be."""
    try:
        return ProgramDefinition.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        path = ("definition", *(camel(str(part)) for part in first["loc"]))
        raise ProgramInvalid(path=path, detail=first["msg"].removeprefix("Value error, ")) from error


def camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(word.capitalize() for word in tail)


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
    program_id: str | None = None,
) -> str:
    """Draft a programme with its first version; returns its id. Raises ProgramInvalid."""
    parsed = parse_definition(definition)
    for field, name in (("nameZh", name_zh), ("nameEn", name_en)):
        if not 1 <= len(name.strip()) <= 200:
            raise ProgramInvalid(path=(field,), detail="1 to 200 characters")
    if ends_at is not None and ends_at <= starts_at:
        raise ProgramInvalid(path=("endsAt",), detail="after startsAt")
    if budget_points is not None and budget_points < 0:
        raise ProgramInvalid(path=("budgetPoints",), detail="not below zero")
    program = ReferralProgram(
        id=program_id or new_id(),
        name_zh=name_zh.strip(),
        name_en=name_en.strip(),
        status=ProgramStatus.DRAFT,
        starts_at=starts_at,
        ends_at=ends_at,
        budget_points=budget_points,
        created_at=now,
    )
    session.add(program)
    await session.flush()
    await add_version(session, program.id, parsed, version=1, now=now)
    return program.id


async def add_version(
    session: Session, program_id: str, definition: ProgramDefinition, *, version: int, now: datetime
) -> None:
    data = definition.model_dump(mode="json")
    session.add(ReferralProgramVersion(program_id=program_id, version=version, definition=data, created_at=now))
    await session.flush()


async def activate_program(session: Session, program_id: str) -> None:
    """Let the newest version take claims; rewards already made keep theirs. Raises NotFound, ProgramNotActive."""
    newest = select(ReferralProgramVersion.version).where(ReferralProgramVersion.program_id == program_id)
    version = (await session.exec(newest.order_by(col(ReferralProgramVersion.version).desc()))).first()
    if version is None:
        raise NotFound(path=("programId",))
    startable = update(ReferralProgram).where(
        col(ReferralProgram.id) == program_id, col(ReferralProgram.status) != ProgramStatus.ENDED
    )
    if not await changed_rows(session, startable.values(status=ProgramStatus.ACTIVE, active_version=version)):
        raise ProgramNotActive(path=("programId",))


async def running_program(session: Session, program_id: str, *, now: datetime) -> ReferralProgram:
    """The programme if it takes claims at `now` (start inclusive, end exclusive); raises NotFound, ProgramNotActive."""
    program = await session.get(ReferralProgram, program_id)
    if program is None or program.status == ProgramStatus.DRAFT:
        raise NotFound(path=("programId",))
    ended = program.ends_at is not None and program.ends_at <= now
    if program.status != ProgramStatus.ACTIVE or now < program.starts_at or ended:
        raise ProgramNotActive(path=("programId",))
    return program


async def definition_of(session: Session, program_id: str, version: int) -> ProgramDefinition:
    row = await session.get_one(ReferralProgramVersion, (program_id, version))
    return row.parsed()


async def list_programs(session: Session, *, first: int | None, after: str | None) -> Page[ReferralProgram]:
    """Programmes that are or were running, in the order of their ids."""
    size = page_size(first)
    position = decode_cursor(after, str)
    statement = select(ReferralProgram).where(ReferralProgram.status != ProgramStatus.DRAFT)
    if position:
        statement = statement.where(ReferralProgram.id > str(position[0]))
    rows = (await session.exec(statement.order_by(col(ReferralProgram.id)).limit(size + 1))).all()
    return cut(rows, size, lambda program: (program.id,))
