"""Policies of care: numbered versions, of which one is active. Its slot is unique, so there is never a second one."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic import Field as Setting
from sqlalchemy import func, update
from sqlmodel import Field, col, select

from core.audit import record_change
from core.db import Record, Session, changed_rows, instant, json_column
from core.errors import BadUserInput, NotFound, Refusal
from core.ids import new_id
from core.paging import Page, Place
from core.versions import newest_versions
from graph.eligibility import Tier
from service.care_calendar import Festival

ACTIVE = "active"


ALL = tuple(Tier)


class CareDefinition(BaseModel):
    """Whom festivals are for, how long before a day staff are told, and at which hour people are greeted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hour: Annotated[int, Setting(ge=0, le=20)] = 9
    task_days: Annotated[int, Setting(ge=1, le=14)] = 3
    festivals: dict[Festival, tuple[Tier, ...]] = {}


STANDARD_CARE = CareDefinition(
    festivals={
        Festival.SPRING_FESTIVAL: ALL,
        Festival.MID_AUTUMN: ALL,
        Festival.NATIONAL_DAY: ALL,
        Festival.NEW_YEAR: ALL,
        Festival.DRAGON_BOAT: (Tier.POTENTIAL, Tier.VIP),
        Festival.LANTERN: (Tier.VIP,),
        Festival.DOUBLE_NINTH: (Tier.VIP,),
    }
)


class CarePolicyInvalid(BadUserInput):
    code = "CARE_POLICY_INVALID"
    en = "This is no policy of care."
    zh = "关怀策略无效。"


class CarePolicyNotDraft(Refusal):
    code = "CARE_POLICY_NOT_DRAFT"
    en = "This policy is or was active already, or another one has become so. Please create a new one."
    zh = "该策略已启用或已停用，或其他策略刚刚启用，请新建策略。"


class CarePolicy(Record, table=True):
    """One version; its definition never changes."""

    id: str = Field(primary_key=True)
    number: int = Field(unique=True)
    slot: str | None = Field(default=None, unique=True)
    definition: dict[str, Any] = json_column()
    created_by: str
    created_at: datetime = instant()
    activated_by: str | None = None
    activated_at: datetime | None = instant(optional=True)
    retired_at: datetime | None = instant(optional=True)


def parsed(definition: Any) -> CareDefinition:
    """Raises CarePolicyInvalid, with the field to blame."""
    try:
        return CareDefinition.model_validate(definition)
    except ValidationError as error:
        first = error.errors()[0]
        place = tuple(str(part) for part in first["loc"])
        raise CarePolicyInvalid(path=("definition", *place), detail=first["msg"]) from None


async def active_care(session: Session) -> CareDefinition:
    """What the active version says."""
    statement = select(CarePolicy.definition).where(CarePolicy.slot == ACTIVE)
    return CareDefinition.model_validate((await session.exec(statement)).one())


async def lock_active(session: Session) -> CarePolicy:
    """The active version, held for this transaction: versions are numbered and activated one after the other."""
    statement = select(CarePolicy).where(CarePolicy.slot == ACTIVE).with_for_update()
    found = (await session.exec(statement.execution_options(populate_existing=True))).first()
    if found is None:
        # Another one became active while we waited for the row that was.
        raise CarePolicyNotDraft(path=("policyId",))
    return found


async def create_care_policy(session: Session, definition: Any, *, actor: str, now: datetime) -> CarePolicy:
    """Draft the next version; raises CarePolicyInvalid."""
    said = parsed(definition)
    await lock_active(session)
    newest: Any = select(func.max(CarePolicy.number))
    number = (await session.exec(newest)).one() or 0
    row = CarePolicy(
        id=new_id(), number=number + 1, definition=said.model_dump(mode="json"), created_by=actor, created_at=now
    )
    session.add(row)
    await record_change(session, "care-policy", row.id, "created", actor=actor, now=now, number=row.number)
    await session.flush()
    return row


async def activate_care_policy(session: Session, policy_id: str, *, actor: str, now: datetime) -> CarePolicy:
    """Let a draft decide from now on; what is planned stays planned. Raises NotFound, CarePolicyNotDraft."""
    former = await lock_active(session)
    chosen = await session.get(CarePolicy, policy_id, populate_existing=True)
    if chosen is None:
        raise NotFound(path=("policyId",))
    if chosen.activated_at is not None:
        raise CarePolicyNotDraft(path=("policyId",))
    retired = update(CarePolicy).where(col(CarePolicy.id) == former.id)
    await changed_rows(session, retired.values(slot=None, retired_at=now))
    chosen.slot, chosen.activated_by, chosen.activated_at = ACTIVE, actor, now
    await record_change(session, "care-policy", chosen.id, "activated", actor=actor, now=now, number=chosen.number)
    await session.flush()
    return chosen


async def list_care_policies(session: Session, *, first: int | None, after: Place) -> Page[CarePolicy]:
    """The versions, the newest first."""
    return await newest_versions(session, select(CarePolicy), CarePolicy.number, first=first, after=after)
