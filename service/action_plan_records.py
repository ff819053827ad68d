"""The tables of action plans: templates that never change, plans of customers, and the dated steps of each."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, SmallInteger, UniqueConstraint, text
from sqlmodel import Field

from core.db import Record, instant, json_column
from service.action_plan_definition import TemplateDefinition

ALIVE = text("status = 'ACTIVE'")


class PlanStatus(StrEnum):
    """A plan is done when its last step has ended."""

    ACTIVE = "ACTIVE"
    DONE = "DONE"
    CANCELLED = "CANCELLED"


class StepStatus(StrEnum):
    """PENDING waits for its day, OPEN has a task; the others are final."""

    PENDING = "PENDING"
    OPEN = "OPEN"
    DONE = "DONE"
    SKIPPED = "SKIPPED"
    CANCELLED = "CANCELLED"


UNFINISHED = (StepStatus.PENDING, StepStatus.OPEN)


class ActionPlanTemplate(Record, table=True):
    """One template; retired, it starts no plan any more, and those that it has started go on."""

    __table_args__ = (Index("ix_action_plan_template_trigger", "trigger_on", "trigger_value"),)

    id: str = Field(primary_key=True)
    definition: dict[str, Any] = json_column()
    trigger_on: str | None = None
    trigger_value: str | None = None
    created_by: str
    created_at: datetime = instant()
    retired_by: str | None = None
    retired_at: datetime | None = instant(optional=True)

    def parsed(self) -> TemplateDefinition:
        return TemplateDefinition.model_validate(self.definition)


class ActionPlan(Record, table=True):
    """A plan of one customer; `cause` names for ever what started it, and a customer has one active of a template."""

    __table_args__ = (
        Index(
            "uq_action_plan_active",
            "customer_id",
            "template_id",
            unique=True,
            sqlite_where=ALIVE,
            postgresql_where=ALIVE,
        ),
        UniqueConstraint("template_id", "cause"),
        Index("ix_action_plan_customer", "customer_id", "started_at", "id"),
        Index("ix_action_plan_calendar", "calendar_id", "status", "id"),
    )

    id: str = Field(primary_key=True)
    customer_id: str
    template_id: str = Field(foreign_key="action_plan_template.id")
    calendar_id: str = Field(foreign_key="business_calendar.id")
    cause: str
    status: str
    begins_on: date
    started_by: str
    started_at: datetime = instant()
    ended_by: str | None = None
    ended_at: datetime | None = instant(optional=True)
    reason: str | None = None


class ActionPlanStep(Record, table=True):
    """One step of a plan, whose task is about it; while `is_provisional`, its day may still move."""

    __table_args__ = (UniqueConstraint("plan_id", "position"), Index("ix_action_plan_step_customer", "customer_id"))

    id: str = Field(primary_key=True)
    plan_id: str = Field(foreign_key="action_plan.id")
    customer_id: str
    position: int = Field(sa_type=SmallInteger)
    status: str
    due_on: date
    is_provisional: bool = False
    ended_at: datetime | None = instant(optional=True)
