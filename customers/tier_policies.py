"""Versions of the tier policy: drafted, then active until the next one is; a run keeps the one it began with."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlmodel import select

from core.db import Session
from core.errors import NotFound, Refusal
from core.ids import derived_id
from core.paging import Page, Place
from core.versions import Version, activate_version, active_version, draft_version, newest_versions, one_active
from customers.tier_policy import TierDefinition, TierPolicyInvalid, parse_tier_definition

# The migration writes the first version under this id, active from the beginning.
FIRST_POLICY_ID = derived_id("tier_policy", "first")


class TierPolicyRetired(Refusal):
    code = "TIER_POLICY_RETIRED"
    en = "This tier policy was replaced; draft a new one that says the same."
    zh = "该分层策略已被替换，请新建内容相同的策略。"


class TierPolicyStatus(StrEnum):
    """One policy is active; the one that it replaces is retired for good."""

    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    RETIRED = "RETIRED"


class TierPolicy(Version, table=True):
    """A version of the policy, whose definition never changes once it is written."""

    __table_args__ = (one_active("tier_policy"),)

    def parsed(self) -> TierDefinition:
        return TierDefinition.model_validate(self.definition)


async def create_tier_policy(session: Session, definition: Any, *, actor: str, now: datetime) -> TierPolicy:
    """Draft the next version; raises TierPolicyInvalid."""
    parsed = parse_tier_definition(definition)
    return await draft_version(
        session, TierPolicy, parsed, area="tier-policy", invalid=TierPolicyInvalid, actor=actor, now=now
    )


async def activate_tier_policy(session: Session, policy_id: str, *, actor: str, now: datetime) -> TierPolicy:
    """Let runs that begin from now on use this version; an active one stays so, and nothing is noted again.

    Raises NotFound, TierPolicyRetired.
    """
    return await activate_version(
        session, TierPolicy, policy_id, area="tier-policy", retired=TierPolicyRetired, actor=actor, now=now
    )


async def active_policy(session: Session) -> TierPolicy:
    """The version by which runs that begin now decide; the migration has seen to it that there is one."""
    return await active_version(session, TierPolicy)


async def find_policy(session: Session, policy_id: str) -> TierPolicy:
    """The version; raises NotFound."""
    found = await session.get(TierPolicy, policy_id)
    if found is None:
        raise NotFound(path=("policyId",))
    return found


async def list_policies(session: Session, *, first: int | None, after: Place) -> Page[TierPolicy]:
    """The versions, the newest first."""
    return await newest_versions(session, select(TierPolicy), TierPolicy.version, first=first, after=after)
