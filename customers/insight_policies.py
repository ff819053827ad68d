"""Policies of early warning and of needs: numbered versions of which one of each kind is active.

Which one is active is said by one row of each kind, and changed under its lock: so there is never none and never two.
"""

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import UniqueConstraint, func
from sqlmodel import Field, select

from core.db import Record, Session, instant, json_column, rows_by_id
from core.errors import NotFound, Refusal
from core.ids import new_id
from core.paging import Page, Place
from core.versions import newest_versions


class PolicyNotDraft(Refusal):
    code = "POLICY_NOT_DRAFT"
    en = "This policy is or was active already. Please create a new one."
    zh = "该策略已启用或已停用，请新建策略。"


class PolicyKind(StrEnum):
    """What a policy is about."""

    ALERTS = "ALERTS"
    NEEDS = "NEEDS"


class PolicyStatus(StrEnum):
    """A draft becomes active once; the one that was active before is retired for good."""

    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    RETIRED = "RETIRED"


class InsightPolicy(Record, table=True):
    """One version; its definition never changes, because alerts and needs name it as their reason."""

    __table_args__ = (UniqueConstraint("kind", "number"),)

    id: str = Field(primary_key=True)
    kind: str
    number: int
    definition: dict[str, Any] = json_column()
    created_by: str
    created_at: datetime = instant()
    activated_by: str | None = None
    activated_at: datetime | None = instant(optional=True)
    retired_at: datetime | None = instant(optional=True)

    @property
    def status(self) -> PolicyStatus:
        if self.activated_at is None:
            return PolicyStatus.DRAFT
        return PolicyStatus.ACTIVE if self.retired_at is None else PolicyStatus.RETIRED


class InsightPolicyChoice(Record, table=True):
    """The active policy of a kind; the migration chose the first ones."""

    kind: str = Field(primary_key=True)
    policy_id: str = Field(foreign_key="insight_policy.id")


async def active_policy(session: Session, kind: PolicyKind) -> InsightPolicy:
    choice = await session.get_one(InsightPolicyChoice, kind.value, populate_existing=True)
    return await session.get_one(InsightPolicy, choice.policy_id, populate_existing=True)


async def lock_choice(session: Session, kind: PolicyKind) -> InsightPolicyChoice:
    """The choice, held for this transaction: versions are numbered and activated one after the other."""
    statement = select(InsightPolicyChoice).where(InsightPolicyChoice.kind == kind).with_for_update()
    return (await session.exec(statement.execution_options(populate_existing=True))).one()


async def create_policy(
    session: Session, kind: PolicyKind, definition: dict[str, Any], *, actor: str, now: datetime
) -> InsightPolicy:
    """Draft the next version of a definition that was parsed before."""
    await lock_choice(session, kind)
    newest: Any = select(func.max(InsightPolicy.number)).where(InsightPolicy.kind == kind)
    number = (await session.exec(newest)).one() or 0
    row = InsightPolicy(
        id=new_id(), kind=kind, number=number + 1, definition=definition, created_by=actor, created_at=now
    )
    session.add(row)
    await session.flush()
    return row


async def activate_policy(
    session: Session, kind: PolicyKind, policy_id: str, *, actor: str, now: datetime
) -> InsightPolicy:
    """Let a draft decide from now on; what the former one raised stays. Raises NotFound, PolicyNotDraft."""
    choice = await lock_choice(session, kind)
    chosen = await find_policy(session, kind, policy_id)
    if chosen.status != PolicyStatus.DRAFT:
        raise PolicyNotDraft(path=("policyId",))
    former = await session.get_one(InsightPolicy, choice.policy_id, populate_existing=True)
    former.retired_at = now
    chosen.activated_by, chosen.activated_at = actor, now
    choice.policy_id = chosen.id
    await session.flush()
    return chosen


async def find_policy(session: Session, kind: PolicyKind, policy_id: str) -> InsightPolicy:
    """The policy of this kind as it is by now; raises NotFound."""
    found = await session.get(InsightPolicy, policy_id, populate_existing=True)
    if found is None or found.kind != kind:
        raise NotFound(path=("policyId",))
    return found


async def policies_by_id(session: Session, ids: Collection[str]) -> dict[str, InsightPolicy]:
    return await rows_by_id(session, InsightPolicy, ids)


async def list_policies(session: Session, kind: PolicyKind, *, first: int | None, after: Place) -> Page[InsightPolicy]:
    """The versions of a kind, the newest first."""
    of_kind = select(InsightPolicy).where(InsightPolicy.kind == kind)
    return await newest_versions(session, of_kind, InsightPolicy.number, first=first, after=after)
