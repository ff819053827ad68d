"""Rules of service breaks: their versions, and which of them counts.

A rule is changed under its lock. What a version says never changes, because breaks name it as their reason.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlmodel import Field, col, select

from core.audit import record_change
from core.db import Record, Session, insert_once, instant, json_column
from core.errors import NotFound, Refusal
from core.ids import new_id
from core.paging import Page, Place, by_text, cut, page_size
from segments.conditions import load_vocabulary
from service.break_definition import BreakTerms, ServiceBreakRuleInvalid, parse_break_definition

LONGEST_NAME = 100
MOST_VERSIONS = 100


class ServiceBreakRuleRetired(Refusal):
    code = "SERVICE_BREAK_RULE_RETIRED"
    en = "This rule has ended for good."
    zh = "该规则已停用，不可更改。"


class ServiceBreakRuleNotActive(Refusal):
    code = "SERVICE_BREAK_RULE_NOT_ACTIVE"
    en = "This rule is not active."
    zh = "该规则未启用。"


class BreakRuleStatus(StrEnum):
    """A rule finds breaks while it is active; paused it can come back, retired it never does."""

    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    RETIRED = "RETIRED"


class ServiceBreakRule(Record, table=True):
    """A rule; `version` is the one that counts, for facts that happen from `applies_from` on."""

    id: str = Field(primary_key=True)
    name_zh: str
    name_en: str
    status: str
    version: int | None = None
    applies_from: datetime | None = instant(optional=True)
    created_by: str
    created_at: datetime = instant()


class ServiceBreakRuleVersion(Record, table=True):
    """A definition that never changes once it is written."""

    rule_id: str = Field(primary_key=True, foreign_key="service_break_rule.id")
    version: int = Field(primary_key=True)
    definition: dict[str, Any] = json_column()
    created_by: str
    created_at: datetime = instant()


class ServiceBreakWatch(Record, table=True):
    """That a rule which was ever active looks at facts of this kind."""

    kind: str = Field(primary_key=True)
    rule_id: str = Field(primary_key=True, foreign_key="service_break_rule.id")


@dataclass(frozen=True, slots=True)
class ActiveRule:
    """A rule that finds breaks now, with what its version says."""

    id: str
    version: int
    applies_from: datetime
    terms: BreakTerms


async def create_break_rule(
    session: Session, *, name_zh: str, name_en: str, definition: Any, actor: str, now: datetime
) -> ServiceBreakRule:
    """Draft a rule with its first version; raises ServiceBreakRuleInvalid, ConditionInvalid."""
    terms = parse_break_definition(definition, await load_vocabulary(session))
    rule = ServiceBreakRule(
        id=new_id(),
        name_zh=checked_name("nameZh", name_zh),
        name_en=checked_name("nameEn", name_en),
        status=BreakRuleStatus.DRAFT,
        created_by=actor,
        created_at=now,
    )
    session.add(rule)
    await session.flush()
    await add_version(session, rule.id, terms, version=1, actor=actor, now=now)
    await record_change(session, "service-break-rule", rule.id, "created", actor=actor, now=now)
    return rule


def checked_name(field: str, name: str) -> str:
    name = name.strip()
    if not 1 <= len(name) <= LONGEST_NAME or "\0" in name:
        raise ServiceBreakRuleInvalid(path=(field,), detail=f"1 to {LONGEST_NAME} characters")
    return name


async def add_version(
    session: Session, rule_id: str, terms: BreakTerms, *, version: int, actor: str, now: datetime
) -> None:
    data = terms.definition.model_dump(mode="json")
    session.add(
        ServiceBreakRuleVersion(rule_id=rule_id, version=version, definition=data, created_by=actor, created_at=now)
    )
    await session.flush()


async def update_break_rule(
    session: Session,
    rule_id: str,
    *,
    name_zh: str | None = None,
    name_en: str | None = None,
    definition: Any = None,
    actor: str,
    now: datetime,
) -> ServiceBreakRule:
    """Change names; a definition that differs from the newest becomes a version, which counts once it is activated.

    Raises NotFound, ServiceBreakRuleRetired, ServiceBreakRuleInvalid, ConditionInvalid.
    """
    terms = parse_break_definition(definition, await load_vocabulary(session)) if definition is not None else None
    rule = await lock_rule(session, rule_id)
    if name_zh is not None:
        rule.name_zh = checked_name("nameZh", name_zh)
    if name_en is not None:
        rule.name_en = checked_name("nameEn", name_en)
    newest = (await versions_of(session, [rule_id]))[0]
    if terms is not None and terms.definition.model_dump(mode="json") != newest.definition:
        if newest.version >= MOST_VERSIONS:
            raise ServiceBreakRuleInvalid(path=("definition",), detail=f"a rule has {MOST_VERSIONS} versions at most")
        await add_version(session, rule_id, terms, version=newest.version + 1, actor=actor, now=now)
    session.add(rule)
    await session.flush()
    await record_change(session, "service-break-rule", rule_id, "updated", actor=actor, now=now)
    return rule


async def activate_break_rule(
    session: Session,
    rule_id: str,
    *,
    version: int | None = None,
    applies_from: datetime | None = None,
    actor: str,
    now: datetime,
) -> ServiceBreakRule:
    """Let a version, the newest by default, find breaks by facts that happen from an instant on, by default now.

    What lies before now is found by the next sweep, as far as it goes back. Raises NotFound, ServiceBreakRuleRetired.
    """
    rule = await lock_rule(session, rule_id)
    versions = {row.version: row for row in await versions_of(session, [rule_id])}
    chosen = versions.get(max(versions) if version is None else version)
    if chosen is None:
        raise NotFound(path=("version",))
    terms = parse_break_definition(chosen.definition, await load_vocabulary(session))
    rule.status, rule.version, rule.applies_from = BreakRuleStatus.ACTIVE, chosen.version, applies_from or now
    session.add(rule)
    await session.flush()
    watches = [{"kind": kind, "rule_id": rule_id} for kind in sorted(terms.kinds)]
    await insert_once(session, ServiceBreakWatch, watches)
    await record_change(
        session, "service-break-rule", rule_id, "activated", actor=actor, now=now, version=chosen.version
    )
    return rule


async def pause_break_rule(session: Session, rule_id: str, *, actor: str, now: datetime) -> ServiceBreakRule:
    """Find no breaks until it is activated again; those that are open stay. Raises NotFound, ServiceBreakRuleRetired,
    ServiceBreakRuleNotActive.
    """
    rule = await lock_rule(session, rule_id)
    if rule.status != BreakRuleStatus.ACTIVE:
        raise ServiceBreakRuleNotActive(path=("ruleId",))
    return await put_status(session, rule, BreakRuleStatus.PAUSED, actor=actor, now=now)


async def retire_break_rule(session: Session, rule_id: str, *, actor: str, now: datetime) -> ServiceBreakRule:
    """Find no breaks any more; a rule that is retired already stays so. Raises NotFound."""
    rule = await find_rule(session, rule_id)
    if rule.status == BreakRuleStatus.RETIRED:
        return rule
    return await put_status(session, rule, BreakRuleStatus.RETIRED, actor=actor, now=now)


async def put_status(
    session: Session, rule: ServiceBreakRule, status: BreakRuleStatus, *, actor: str, now: datetime
) -> ServiceBreakRule:
    rule.status = status
    session.add(rule)
    await session.flush()
    await record_change(session, "service-break-rule", rule.id, status.lower(), actor=actor, now=now)
    return rule


async def find_rule(session: Session, rule_id: str) -> ServiceBreakRule:
    """The rule, locked for this transaction and read anew; raises NotFound."""
    statement = select(ServiceBreakRule).where(ServiceBreakRule.id == rule_id).with_for_update()
    found = (await session.exec(statement.execution_options(populate_existing=True))).first()
    if found is None:
        raise NotFound(path=("ruleId",))
    return found


async def lock_rule(session: Session, rule_id: str) -> ServiceBreakRule:
    """The same, of a rule that can still change; raises NotFound, ServiceBreakRuleRetired."""
    rule = await find_rule(session, rule_id)
    if rule.status == BreakRuleStatus.RETIRED:
        raise ServiceBreakRuleRetired(path=("ruleId",))
    return rule


async def versions_of(session: Session, rule_ids: Collection[str]) -> Sequence[ServiceBreakRuleVersion]:
    """All versions of rules, the newest first."""
    statement = select(ServiceBreakRuleVersion).where(col(ServiceBreakRuleVersion.rule_id).in_(list(rule_ids)))
    ordered = statement.order_by(col(ServiceBreakRuleVersion.version).desc())
    return (await session.exec(ordered)).all() if rule_ids else []


async def watched_kinds(session: Session) -> set[str]:
    """The kinds of facts at which some rule looks that is active now."""
    statement = (
        select(ServiceBreakWatch.kind)
        .join(ServiceBreakRule, col(ServiceBreakRule.id) == ServiceBreakWatch.rule_id)
        .where(ServiceBreakRule.status == BreakRuleStatus.ACTIVE)
    )
    return set((await session.exec(statement.distinct())).all())


async def active_rules(session: Session, kinds: Collection[str]) -> Sequence[ActiveRule]:
    """The rules that look at facts of one of these kinds, by the version of each that counts, in the order of ids."""
    version = ServiceBreakRuleVersion
    statement = (
        select(ServiceBreakRule, version)
        .join(
            version, (col(version.rule_id) == ServiceBreakRule.id) & (col(version.version) == ServiceBreakRule.version)
        )
        .where(
            ServiceBreakRule.status == BreakRuleStatus.ACTIVE,
            col(ServiceBreakRule.id).in_(
                select(ServiceBreakWatch.rule_id).where(col(ServiceBreakWatch.kind).in_(sorted(kinds)))
            ),
        )
    )
    rows = (await session.exec(statement.order_by(col(ServiceBreakRule.id)))).all()
    known = await load_vocabulary(session) if rows else None
    found = [
        ActiveRule(rule.id, said.version, rule.applies_from, parse_break_definition(said.definition, known))
        for rule, said in rows
        if known is not None and rule.applies_from is not None
    ]
    # A watch stays when the next version of a rule looks elsewhere.
    return [rule for rule in found if rule.terms.kinds & set(kinds)]


async def rules_by_id(session: Session, ids: Collection[str]) -> Mapping[str, ServiceBreakRule]:
    statement = select(ServiceBreakRule).where(col(ServiceBreakRule.id).in_(sorted(set(ids))))
    return {row.id: row for row in (await session.exec(statement)).all()} if ids else {}


async def list_break_rules(session: Session, *, first: int | None, after: Place) -> Page[ServiceBreakRule]:
    """Rules in the order of their ids."""
    size = page_size(first)
    statement = select(ServiceBreakRule)
    page = by_text(statement, col(ServiceBreakRule.id), size=size, after=after)
    return cut((await session.exec(page)).all(), size, lambda row: (row.id,), after)
