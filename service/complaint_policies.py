"""Versions of the policy of complaints: drafted, then active until the next one is; a complaint keeps its own."""

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlmodel import select

from core.db import Session, rows_by_id
from core.errors import Refusal
from core.ids import derived_id
from core.paging import Page, Place
from core.versions import Version, activate_version, active_version, draft_version, newest_versions, one_active
from segments.vocabulary import load_vocabulary
from service.calendars import calendars_by_id
from service.complaint_policy import ComplaintDefinition, ComplaintPolicyInvalid, parse_complaint_definition

# The migration writes the first version under this id, active from the beginning.
FIRST_POLICY_ID = derived_id("complaint_policy", "first")


class ComplaintPolicyRetired(Refusal):
    code = "COMPLAINT_POLICY_RETIRED"
    en = "This policy was replaced; draft a new one that says the same."
    zh = "该投诉时限策略已被替换，请新建内容相同的策略。"


class ComplaintPolicyStatus(StrEnum):
    """One policy is active; the one that it replaces is retired for good."""

    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    RETIRED = "RETIRED"


class ComplaintPolicy(Version, table=True):
    """A version, whose definition never changes, because the clocks of complaints go by it."""

    __table_args__ = (one_active("complaint_policy"),)

    def parsed(self) -> ComplaintDefinition:
        return ComplaintDefinition.model_validate(self.definition)


async def create_complaint_policy(session: Session, definition: Any, *, actor: str, now: datetime) -> ComplaintPolicy:
    """Draft the next version; raises ComplaintPolicyInvalid, ConditionInvalid."""
    parsed = parse_complaint_definition(definition, await load_vocabulary(session))
    calendars = await calendars_by_id(session, {level.calendar_id for level in parsed.levels})
    for place, level in enumerate(parsed.levels):
        if level.calendar_id not in calendars:
            path = ("definition", "levels", str(place), "calendarId")
            raise ComplaintPolicyInvalid(path=path, detail="there is no such calendar")
    return await draft_version(
        session, ComplaintPolicy, parsed, area="complaint-policy", invalid=ComplaintPolicyInvalid, actor=actor, now=now
    )


async def activate_complaint_policy(session: Session, policy_id: str, *, actor: str, now: datetime) -> ComplaintPolicy:
    """Let complaints that are filed from now on go by this version. Raises NotFound, ComplaintPolicyRetired."""
    return await activate_version(
        session,
        ComplaintPolicy,
        policy_id,
        area="complaint-policy",
        retired=ComplaintPolicyRetired,
        actor=actor,
        now=now,
    )


async def active_policy(session: Session) -> ComplaintPolicy:
    """The version by which a complaint that is filed now goes; the migration has seen to it that there is one."""
    return await active_version(session, ComplaintPolicy)


async def definitions_by_id(session: Session, ids: Collection[str]) -> dict[str, ComplaintDefinition]:
    return {id: row.parsed() for id, row in (await rows_by_id(session, ComplaintPolicy, ids)).items()}


async def list_policies(session: Session, *, first: int | None, after: Place) -> Page[ComplaintPolicy]:
    """The versions, the newest first."""
    return await newest_versions(session, select(ComplaintPolicy), ComplaintPolicy.version, first=first, after=after)
