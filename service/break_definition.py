"""What a version of a rule of service breaks says: which events are a break, and by when it is to be repaired."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict
from pydantic import Field as Setting

from core.definitions import read_definition
from core.errors import BadUserInput
from core.fact_kinds import SERVICE_BREAK_FOUND, SERVICE_BREAK_RECOVERED
from segments.condition_events import events_that_make_true
from segments.conditions import Condition, Vocabulary, parse_condition

# What breaks themselves cause is no reason for one: a rule would find its own findings, for ever.
OWN_KINDS = frozenset({SERVICE_BREAK_FOUND, SERVICE_BREAK_RECOVERED})
# Rules look back no further; sweeps go as far.
LONGEST_WINDOW_DAYS = 90


class ServiceBreakRuleInvalid(BadUserInput):
    code = "SERVICE_BREAK_RULE_INVALID"
    en = "The rule of service breaks is not valid."
    zh = "服务断点规则无效。"


class BreakDefinition(BaseModel):
    """A condition over events; with `same` only those count together whose payloads say the same there.

    A break is to be repaired in so many days of 24 hours, and given up after `expires_days`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    condition: dict[str, Any]
    same: Annotated[str, Setting(pattern=r"^[a-z][a-z0-9_]{0,39}$")] | None = None
    recover_days: Annotated[int, Setting(ge=1, le=90)] = 3
    expires_days: Annotated[int, Setting(ge=1, le=365)] = 30


@dataclass(frozen=True, slots=True)
class BreakTerms:
    """A definition as it is used: its condition read by the present vocabulary, and the kinds of facts that trigger."""

    definition: BreakDefinition
    condition: Condition
    kinds: frozenset[str]
    window: timedelta


def parse_break_definition(data: Any, known: Vocabulary) -> BreakTerms:
    """Read a definition; raises ServiceBreakRuleInvalid, ConditionInvalid, both with a path."""
    definition = read_definition(BreakDefinition, data, ServiceBreakRuleInvalid)
    condition = parse_condition(definition.condition, known, path=("definition", "condition"))
    events = list(events_that_make_true(condition))
    where = ("definition", "condition")
    if not events:
        raise ServiceBreakRuleInvalid(path=where, detail="it asks for at least one event")
    days = max(event.within_days for event in events)
    if days > LONGEST_WINDOW_DAYS:
        raise ServiceBreakRuleInvalid(path=where, detail=f"events of {LONGEST_WINDOW_DAYS} days at most")
    kinds = frozenset(event.kind for event in events)
    if kinds & OWN_KINDS:
        raise ServiceBreakRuleInvalid(path=where, detail="no events that breaks themselves cause")
    if definition.expires_days < definition.recover_days:
        raise ServiceBreakRuleInvalid(path=("definition", "expiresDays"), detail="not before recoverDays")
    return BreakTerms(definition, condition, kinds, timedelta(days=days))
