"""What a policy of complaints says: levels of service, of which the first that a customer meets is theirs."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, field_validator
from pydantic import Field as Setting
from sqlalchemy import literal, true
from sqlalchemy import select as sql_select

from core.db import Session, zone_of
from core.definitions import read_definition
from core.errors import BadUserInput
from segments.condition_sql import compiled
from segments.conditions import Vocabulary, load_vocabulary, parse_condition
from service.calendars import FIRST_CALENDAR_ID
from service.complaint_clocks import Terms

MOST_MINUTES = 60 * 24 * 366
Minutes = Annotated[int, Setting(ge=1, le=MOST_MINUTES)]
Name = Annotated[str, Setting(min_length=1, max_length=100)]


class ComplaintPolicyInvalid(BadUserInput):
    code = "COMPLAINT_POLICY_INVALID"
    en = "The policy of complaints is not valid."
    zh = "投诉时限策略无效。"


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Level(Part):
    """What is promised to whom: minutes of the calendar's open time; a smaller `priority` is served first.

    Whoever is in the green channel is said to be so. A level without a condition is everybody's.
    """

    key: Annotated[str, Setting(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
    name_zh: Name
    name_en: Name
    condition: dict[str, Any] | None = None
    green_channel: bool = False
    priority: Annotated[int, Setting(ge=1, le=9)] = 5
    first_response_minutes: Minutes
    next_update_minutes: Minutes
    solution_minutes: Minutes
    calendar_id: Annotated[str, Setting(min_length=36, max_length=36)] = FIRST_CALENDAR_ID


class ComplaintDefinition(Part):
    """Levels in the order in which they are tried, and what the law gives: calendar days by number of extensions.

    `most_open` is how many complaints that are not closed a customer may have when they file one themselves.
    """

    levels: Annotated[tuple[Level, ...], Setting(min_length=1, max_length=20)]
    warn_percent: Annotated[int, Setting(ge=1, le=99)] = 80
    statutory_days: Annotated[
        tuple[Annotated[int, Setting(ge=1, le=365)], ...], Setting(min_length=1, max_length=5)
    ] = (
        15,
        30,
        60,
    )
    statutory_warning_days: Annotated[int, Setting(ge=1, le=30)] = 3
    most_open: Annotated[int, Setting(ge=1, le=1_000)] = 5

    @field_validator("levels")
    @classmethod
    def end_with_everybody(cls, levels: tuple[Level, ...]) -> tuple[Level, ...]:
        if len({level.key for level in levels}) != len(levels):
            raise ValueError("two levels have one key")
        if [level.condition is None for level in levels] != [False] * (len(levels) - 1) + [True]:
            raise ValueError("the last level, and no other, is without a condition")
        return levels

    @field_validator("statutory_days")
    @classmethod
    def grow(cls, days: tuple[int, ...]) -> tuple[int, ...]:
        if list(days) != sorted(set(days)):
            raise ValueError("each longer than the one before")
        return days

    def level(self, key: str) -> Level:
        return next(level for level in self.levels if level.key == key)

    def terms(self, key: str) -> Terms:
        """What is promised to a level."""
        level = self.level(key)
        return Terms(
            first_response=level.first_response_minutes,
            next_update=level.next_update_minutes,
            solution=level.solution_minutes,
            warn_percent=self.warn_percent,
            statutory_days=self.statutory_days,
            statutory_warning_days=self.statutory_warning_days,
        )


def parse_complaint_definition(data: Any, known: Vocabulary) -> ComplaintDefinition:
    """Read a definition with its conditions; raises ComplaintPolicyInvalid, ConditionInvalid, both with a path."""
    found = read_definition(ComplaintDefinition, data, ComplaintPolicyInvalid)
    for place, level in enumerate(found.levels):
        if level.condition is not None:
            parse_condition(level.condition, known, path=("definition", "levels", str(place), "condition"))
    return found


async def level_for(session: Session, definition: ComplaintDefinition, customer_id: str, *, now: datetime) -> Level:
    """The first level whose condition the customer meets now, by one question for all of them."""
    levels: Sequence[Level] = definition.levels
    if len(levels) == 1:
        return levels[0]
    known = await load_vocabulary(session)
    conditions = [
        true()
        if level.condition is None
        else compiled(parse_condition(level.condition, known), literal(customer_id), now=now, zone=zone_of(session))
        for level in levels
    ]
    answers = (await (await session.connection()).execute(sql_select(*conditions))).one()
    return next(level for level, is_met in zip(levels, answers, strict=True) if is_met)
