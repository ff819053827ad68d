"""Policies of how customers are served: numbered versions of which one of each kind is active.

Which one is active is said by one row of each kind, and changed under its lock: so there is never none and never two.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import UniqueConstraint, func
from sqlmodel import Field, col, select

from core.audit import record_change
from core.db import Record, Session, instant, json_column
from core.errors import NotFound, Refusal
from core.ids import new_id
from core.paging import Page, Place
from core.versions import newest_versions


class ServicePolicyNotDraft(Refusal):
    code = "SERVICE_POLICY_NOT_DRAFT"
    en = "This policy is or was active already. Please create a new one."
    zh = "该策略已启用或已停用，请新建策略。"


class ServicePolicyKind(StrEnum):
    """What a policy is about."""

    FOLLOW_UPS = "FOLLOW_UPS"
    ENTITLEMENTS = "ENTITLEMENTS"


class ServicePolicyStatus(StrEnum):
    """A draft becomes active once; the one that was active before is retired for good."""

    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    RETIRED = "RETIRED"


class ServicePolicy(Record, table=True):
    """One version; its definition never changes, because what was done by it names it."""

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
    def status(self) -> ServicePolicyStatus:
        if self.activated_at is None:
            return ServicePolicyStatus.DRAFT
        return ServicePolicyStatus.ACTIVE if self.retired_at is None else ServicePolicyStatus.RETIRED


class ServicePolicyChoice(Record, table=True):
    """The active policy of a kind; the migration chose the first ones."""

    kind: str = Field(primary_key=True)
    policy_id: str = Field(foreign_key="service_policy.id")


async def active_policy(session: Session, kind: ServicePolicyKind) -> ServicePolicy:
    chosen = select(ServicePolicy).join(
        ServicePolicyChoice, col(ServicePolicyChoice.policy_id) == col(ServicePolicy.id)
    )
    return (await session.exec(chosen.where(ServicePolicyChoice.kind == kind))).one()


async def lock_choice(session: Session, kind: ServicePolicyKind) -> ServicePolicyChoice:
    """The choice, held for this transaction: versions are numbered and activated one after the other."""
    statement = select(ServicePolicyChoice).where(ServicePolicyChoice.kind == kind).with_for_update()
    return (await session.exec(statement.execution_options(populate_existing=True))).one()


async def create_policy(
    session: Session, kind: ServicePolicyKind, definition: dict[str, Any], *, actor: str, now: datetime
) -> ServicePolicy:
    """Draft the next version of a definition that was parsed before."""
    await lock_choice(session, kind)
    newest: Any = select(func.max(ServicePolicy.number)).where(ServicePolicy.kind == kind)
    number = (await session.exec(newest)).one() or 0
    row = ServicePolicy(
        id=new_id(), kind=kind, number=number + 1, definition=definition, created_by=actor, created_at=now
    )
    session.add(row)
    await session.flush()
    await record_change(session, area_of(kind), row.id, "created", actor=actor, now=now, number=row.number)
    return row


async def activate_policy(
    session: Session, kind: ServicePolicyKind, policy_id: str, *, actor: str, now: datetime
) -> ServicePolicy:
    """Let a draft decide from now on. Raises NotFound, ServicePolicyNotDraft."""
    choice = await lock_choice(session, kind)
    chosen = await session.get(ServicePolicy, policy_id, populate_existing=True)
    if chosen is None or chosen.kind != kind:
        raise NotFound(path=("policyId",))
    if chosen.status != ServicePolicyStatus.DRAFT:
        raise ServicePolicyNotDraft(path=("policyId",))
    former = await session.get_one(ServicePolicy, choice.policy_id, populate_existing=True)
    former.retired_at = now
    chosen.activated_by, chosen.activated_at = actor, now
    choice.policy_id = chosen.id
    await session.flush()
    await record_change(session, area_of(kind), chosen.id, "activated", actor=actor, now=now, number=chosen.number)
    return chosen


def area_of(kind: ServicePolicyKind) -> str:
    return {
        ServicePolicyKind.FOLLOW_UPS: "follow-up-policy",
        ServicePolicyKind.ENTITLEMENTS: "entitlement-policy",
    }[kind]


async def list_policies(
    session: Session, kind: ServicePolicyKind, *, first: int | None, after: Place
) -> Page[ServicePolicy]:
    """The versions of a kind, the newest first."""
    of_kind = select(ServicePolicy).where(ServicePolicy.kind == kind)
    return await newest_versions(session, of_kind, ServicePolicy.number, first=first, after=after)
