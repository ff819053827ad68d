"""Policies of surveys: numbered versions of which one is active; who is asked, what, and how often at most.

Which one is active is said by one row, and changed under its lock: so there is never none and never two.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, field_validator
from pydantic import Field as Setting
from sqlalchemy import UniqueConstraint, func
from sqlmodel import Field, select

from core.audit import record_change
from core.db import Record, Session, instant, json_column
from core.definitions import read_definition
from core.errors import BadUserInput, NotFound, Refusal
from core.ids import new_id
from core.paging import Page, Place
from core.versions import newest_versions
from service.survey_rows import SurveyKind, SurveyOccasion

# The one row that says which policy counts.
CHOICE = "SURVEYS"
# After what happened longer ago no policy asks.
LATEST_DAYS = 30


class SurveyPolicyInvalid(BadUserInput):
    code = "SURVEY_POLICY_INVALID"
    en = "The policy of surveys is not valid."
    zh = "问卷策略无效。"


class SurveyPolicyNotDraft(Refusal):
    code = "SURVEY_POLICY_NOT_DRAFT"
    en = "This policy is or was active already. Please create a new one."
    zh = "该问卷策略已启用或已停用，请新建策略。"


class SurveyPolicyStatus(StrEnum):
    """A draft becomes active once; the one that was active before is retired for good."""

    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    RETIRED = "RETIRED"


class AskedAfter(BaseModel):
    """What is asked after an occasion, and of how many of a hundred."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    occasion: SurveyOccasion
    kind: SurveyKind
    percent: Annotated[int, Setting(ge=0, le=100)] = 100


class SurveyDefinition(BaseModel):
    """Days are of 24 hours: between two invitations of a customer, to answer one, and how old an occasion may be."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    quiet_days: Annotated[int, Setting(ge=0, le=365)] = 14
    expires_days: Annotated[int, Setting(ge=1, le=90)] = 14
    latest_days: Annotated[int, Setting(ge=1, le=LATEST_DAYS)] = 7
    asked: Annotated[tuple[AskedAfter, ...], Setting(max_length=len(SurveyOccasion))] = ()

    @field_validator("asked")
    @classmethod
    def each_once(cls, asked: tuple[AskedAfter, ...]) -> tuple[AskedAfter, ...]:
        if len({one.occasion for one in asked}) != len(asked):
            raise ValueError("each occasion once")
        return asked

    def after(self, occasion: SurveyOccasion) -> AskedAfter | None:
        return next((one for one in self.asked if one.occasion == occasion), None)


class SurveyPolicy(Record, table=True):
    """One version; its definition never changes, because surveys name it."""

    __table_args__ = (UniqueConstraint("number"),)

    id: str = Field(primary_key=True)
    number: int
    definition: dict[str, Any] = json_column()
    created_by: str
    created_at: datetime = instant()
    activated_by: str | None = None
    activated_at: datetime | None = instant(optional=True)
    retired_at: datetime | None = instant(optional=True)

    @property
    def status(self) -> SurveyPolicyStatus:
        if self.activated_at is None:
            return SurveyPolicyStatus.DRAFT
        return SurveyPolicyStatus.ACTIVE if self.retired_at is None else SurveyPolicyStatus.RETIRED

    def parsed(self) -> SurveyDefinition:
        return SurveyDefinition.model_validate(self.definition)


class SurveyPolicyChoice(Record, table=True):
    """The active policy; the migration chose the first one."""

    name: str = Field(primary_key=True)
    policy_id: str = Field(foreign_key="survey_policy.id")


async def active_survey_policy(session: Session) -> SurveyPolicy:
    choice = await session.get_one(SurveyPolicyChoice, CHOICE, populate_existing=True)
    return await session.get_one(SurveyPolicy, choice.policy_id, populate_existing=True)


async def lock_choice(session: Session) -> SurveyPolicyChoice:
    """The choice, held for this transaction: versions are numbered and activated one after the other."""
    statement = select(SurveyPolicyChoice).where(SurveyPolicyChoice.name == CHOICE).with_for_update()
    return (await session.exec(statement.execution_options(populate_existing=True))).one()


async def create_survey_policy(session: Session, definition: Any, *, actor: str, now: datetime) -> SurveyPolicy:
    """Draft the next version; raises SurveyPolicyInvalid."""
    said = read_definition(SurveyDefinition, definition, SurveyPolicyInvalid)
    await lock_choice(session)
    newest: Any = select(func.max(SurveyPolicy.number))
    number = (await session.exec(newest)).one() or 0
    row = SurveyPolicy(
        id=new_id(), number=number + 1, definition=said.model_dump(mode="json"), created_by=actor, created_at=now
    )
    session.add(row)
    await session.flush()
    await record_change(session, "survey-policy", row.id, "created", actor=actor, now=now)
    return row


async def activate_survey_policy(session: Session, policy_id: str, *, actor: str, now: datetime) -> SurveyPolicy:
    """Let a draft decide from now on; raises NotFound, SurveyPolicyNotDraft."""
    choice = await lock_choice(session)
    chosen = await session.get(SurveyPolicy, policy_id, populate_existing=True)
    if chosen is None:
        raise NotFound(path=("policyId",))
    if chosen.status != SurveyPolicyStatus.DRAFT:
        raise SurveyPolicyNotDraft(path=("policyId",))
    former = await session.get_one(SurveyPolicy, choice.policy_id, populate_existing=True)
    former.retired_at = now
    chosen.activated_by, chosen.activated_at = actor, now
    choice.policy_id = chosen.id
    await session.flush()
    await record_change(session, "survey-policy", policy_id, "activated", actor=actor, now=now)
    return chosen


async def list_survey_policies(session: Session, *, first: int | None, after: Place) -> Page[SurveyPolicy]:
    """The versions, the newest first."""
    return await newest_versions(session, select(SurveyPolicy), SurveyPolicy.number, first=first, after=after)
