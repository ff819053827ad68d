"""What a template of action plans says: dated steps, who does each, and what starts a plan by itself."""

from datetime import date, timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic import Field as Setting

from core.business_calendar import Calendar, add_working_days
from core.definitions import read_definition
from core.errors import BadUserInput
from core.principal import Role
from graph.eligibility import TIERS
from segments.conditions import Vocabulary, parse_condition
from service.calendars import FIRST_CALENDAR_ID

Name = Annotated[str, Setting(min_length=1, max_length=100, pattern=r"^[^\x00]*\S[^\x00]*$")]
Text = Annotated[str, Setting(min_length=1, max_length=500, pattern=r"^[^\x00]*\S[^\x00]*$")]
MOST_STEPS = 20


class ActionPlanTemplateInvalid(BadUserInput):
    code = "ACTION_PLAN_TEMPLATE_INVALID"
    en = "The template of action plans is not valid."
    zh = "行动计划模板无效。"


class DayKind(StrEnum):
    """Which days an offset counts."""

    CALENDAR = "CALENDAR"
    WORKING = "WORKING"


class Doer(StrEnum):
    """Who does a step: who looks after the customer, or whoever has the role."""

    RELATIONSHIP_MANAGER = "RELATIONSHIP_MANAGER"
    COMPLAINTS_OFFICER = "COMPLAINTS_OFFICER"
    ADMINISTRATOR = "ADMINISTRATOR"

    @property
    def role(self) -> str | None:
        """The role for which a task waits; null where it has an owner."""
        return None if self == Doer.RELATIONSHIP_MANAGER else str(Role[self.name])


class TriggerKind(StrEnum):
    """What starts a plan by itself: a customer enters a tier, a need is found, an alert is raised."""

    TIER_ENTERED = "TIER_ENTERED"
    NEED_FOUND = "NEED_FOUND"
    ALERT_RAISED = "ALERT_RAISED"


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Step(Part):
    """One step, so many days after the plan begins; it is to be done within `within_days` from then.

    Where its condition does not hold on that day, it is skipped.
    """

    text_zh: Text
    text_en: Text
    offset: Annotated[int, Setting(ge=0, le=730)]
    days: DayKind = DayKind.CALENDAR
    within_days: Annotated[int, Setting(ge=0, le=90)] = 0
    who: Doer = Doer.RELATIONSHIP_MANAGER
    condition: dict[str, Any] | None = None

    def day(self, begins_on: date, calendar: Calendar) -> date:
        """The day of the step; of those in working days the one of offset 0 is the first that is worked."""
        if self.days == DayKind.CALENDAR:
            return begins_on + timedelta(days=self.offset)
        return add_working_days(calendar, begins_on, self.offset)


class Trigger(Part):
    """What starts a plan: `value` is the tier, the key of the need, or the cause of the alert."""

    on: TriggerKind
    value: Annotated[str, Setting(min_length=1, max_length=100, pattern=r"^[A-Z][A-Z0-9_]*$")]

    @model_validator(mode="after")
    def known_tier(self) -> "Trigger":
        if self.on == TriggerKind.TIER_ENTERED and self.value not in TIERS:
            raise ValueError(f"one of {', '.join(TIERS)}")
        return self


class TemplateDefinition(Part):
    """A plan started by its trigger is for those alone who meet the condition then; by hand it is for anybody.

    Working days are those of the calendar, head office's where none is named.
    """

    name_zh: Name
    name_en: Name
    calendar_id: Annotated[str, Setting(min_length=36, max_length=36)] = FIRST_CALENDAR_ID
    steps: Annotated[tuple[Step, ...], Setting(min_length=1, max_length=MOST_STEPS)]
    trigger: Trigger | None = None
    condition: dict[str, Any] | None = None


def parse_template(data: Any, known: Vocabulary) -> TemplateDefinition:
    """Read a definition with its conditions; raises ActionPlanTemplateInvalid, ConditionInvalid, both with a path."""
    found = read_definition(TemplateDefinition, data, ActionPlanTemplateInvalid)
    if found.condition is not None:
        parse_condition(found.condition, known, path=("definition", "condition"))
    for place, step in enumerate(found.steps):
        if step.condition is not None:
            parse_condition(step.condition, known, path=("definition", "steps", str(place), "condition"))
    return found
