"""Earning rules: their versions, and from when on which of them counts.

What counts when is said by turns, which are only ever added: a turn counts from its instant on, and a later turn beats
an earlier one from its own instant on. So a version that is to begin next month is planned by a turn, a pause is a turn
without a version, and what a fact meets depends on when it happened alone.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Index
from sqlmodel import Field, col, select

from core.db import Record, Session, insert_once, instant, json_column
from core.errors import NotFound, Refusal
from core.ids import new_id
from core.paging import Page, Place, by_text, cut, page_size
from loyalty.earning_course import RuleVersion, Span, spans_of
from loyalty.earning_definition import EarningDefinition, EarningRuleInvalid, parse_earning_definition

LONGEST_NAME = 200
MOST_VERSIONS = 100


class EarningRuleRetired(Refusal):
    code = "EARNING_RULE_RETIRED"
    en = "This earning rule has ended for good."
    zh = "该积分规则已停用，不可更改。"


class EarningRuleNotActive(Refusal):
    code = "EARNING_RULE_NOT_ACTIVE"
    en = "This earning rule is not active."
    zh = "该积分规则未启用。"


class EarningRuleStatus(StrEnum):
    """A rule earns by its versions while it is active; paused it can come back, retired it never does."""

    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    RETIRED = "RETIRED"


class EarningRule(Record, table=True):
    """A rule; its id stays the same whatever its versions say."""

    id: str = Field(primary_key=True)
    name_zh: str
    name_en: str
    status: str
    created_at: datetime = instant()


class EarningRuleVersion(Record, table=True):
    """A definition that never changes once it is written; earnings name it."""

    rule_id: str = Field(primary_key=True, foreign_key="earning_rule.id")
    version: int = Field(primary_key=True)
    definition: dict[str, Any] = json_column()
    created_at: datetime = instant()

    def parsed(self) -> EarningDefinition:
        return EarningDefinition.model_validate(self.definition)


class EarningRuleTurn(Record, table=True):
    """From `effective_from` on this version counts, none where it is empty; of two turns the later number decides."""

    rule_id: str = Field(primary_key=True, foreign_key="earning_rule.id")
    number: int = Field(primary_key=True)
    version: int | None = None
    effective_from: datetime = instant()
    created_at: datetime = instant()


class EarningRuleWatch(Record, table=True):
    """That a rule which was ever active looks at facts of this kind, to earn by them or to take back."""

    __table_args__ = (Index("ix_earning_rule_watch_rule", "rule_id"),)

    kind: str = Field(primary_key=True)
    rule_id: str = Field(primary_key=True, foreign_key="earning_rule.id")


@dataclass(frozen=True)
class Timeline:
    """A rule with all that decides about facts: its turns by number, and the versions that they name."""

    rule_id: str
    turns: Sequence[EarningRuleTurn]
    versions: dict[int, RuleVersion]
    reversing: frozenset[str]
    # Spans of an instant are asked for again and again, and calendars are slow.
    known: dict[datetime, list[Span]] = field(default_factory=dict[datetime, list[Span]])

    def at(self, instant: datetime) -> RuleVersion | None:
        number = version_at(self.turns, instant)
        return None if number is None else self.versions[number]

    def spans(self, instant: datetime) -> Sequence[Span]:
        if instant not in self.known:
            self.known[instant] = spans_of([one.definition for one in self.versions.values()], instant)
        return self.known[instant]


def version_at(turns: Sequence[EarningRuleTurn], instant: datetime) -> int | None:
    """The number of the version that counts at an instant, by a rule's turns in the order of their numbers."""
    return next((turn.version for turn in reversed(turns) if turn.effective_from <= instant), None)


async def create_earning_rule(
    session: Session,
    *,
    name_zh: str,
    name_en: str,
    definition: Any,
    now: datetime,
    rule_id: str | None = None,
) -> str:
    """Draft a rule with its first version; returns its id. Raises EarningRuleInvalid."""
    parsed = parse_earning_definition(definition)
    rule = EarningRule(
        id=rule_id or new_id(),
        name_zh=checked_name("nameZh", name_zh),
        name_en=checked_name("nameEn", name_en),
        status=EarningRuleStatus.DRAFT,
        created_at=now,
    )
    session.add(rule)
    await session.flush()
    await add_version(session, rule.id, parsed, version=1, now=now)
    return rule.id


def checked_name(field: str, name: str) -> str:
    name = name.strip()
    if not 1 <= len(name) <= LONGEST_NAME or "\0" in name:
        raise EarningRuleInvalid(path=(field,), detail=f"1 to {LONGEST_NAME} characters")
    return name


async def add_version(
    session: Session, rule_id: str, definition: EarningDefinition, *, version: int, now: datetime
) -> None:
    data = definition.model_dump(mode="json")
    session.add(EarningRuleVersion(rule_id=rule_id, version=version, definition=data, created_at=now))
    await session.flush()


async def update_earning_rule(
    session: Session,
    rule_id: str,
    *,
    name_zh: str | None = None,
    name_en: str | None = None,
    definition: Any = None,
    now: datetime,
) -> None:
    """Change names; a definition that differs from the newest becomes a version, which earns once it is activated.

    Raises NotFound, EarningRuleRetired, EarningRuleInvalid.
    """
    parsed = parse_earning_definition(definition) if definition is not None else None
    rule = await lock_rule(session, rule_id)
    if name_zh is not None:
        rule.name_zh = checked_name("nameZh", name_zh)
    if name_en is not None:
        rule.name_en = checked_name("nameEn", name_en)
    newest = await newest_version(session, rule_id)
    if parsed is not None and parsed != newest.parsed():
        if newest.version >= MOST_VERSIONS:
            raise EarningRuleInvalid(path=("definition",), detail=f"a rule has {MOST_VERSIONS} versions at most")
        await add_version(session, rule_id, parsed, version=newest.version + 1, now=now)
    await session.flush()


async def activate_earning_rule(
    session: Session,
    rule_id: str,
    *,
    version: int | None = None,
    effective_from: datetime | None = None,
    now: datetime,
) -> int:
    """Let a version, the newest by default, count for facts that happen from an instant on; returns its number.

    Facts that have earned keep what they earned. An instant in the past is for facts that are yet to come, and asks
    nothing again. Raises NotFound, EarningRuleRetired.
    """
    rule = await lock_rule(session, rule_id)
    chosen = await newest_version(session, rule_id)
    if version is not None:
        found = await session.get(EarningRuleVersion, (rule_id, version))
        if found is None:
            raise NotFound(path=("version",))
        chosen = found
    rule.status = EarningRuleStatus.ACTIVE
    watches = [{"kind": kind, "rule_id": rule_id} for kind in sorted(chosen.parsed().watched_kinds)]
    await insert_once(session, EarningRuleWatch, watches)
    await add_turn(session, rule_id, chosen.version, effective_from or now, now=now)
    return chosen.version


async def pause_earning_rule(session: Session, rule_id: str, *, now: datetime) -> None:
    """Earn nothing by facts that happen from now on, until it is activated again.

    Raises NotFound, EarningRuleRetired, EarningRuleNotActive.
    """
    rule = await lock_rule(session, rule_id)
    if rule.status != EarningRuleStatus.ACTIVE:
        raise EarningRuleNotActive(path=("ruleId",))
    rule.status = EarningRuleStatus.PAUSED
    await add_turn(session, rule_id, None, now, now=now)


async def retire_earning_rule(session: Session, rule_id: str, *, now: datetime) -> None:
    """Earn nothing by facts that happen from now on, for ever; what was earned can still be taken back.

    Raises NotFound; a rule that is retired already stays so.
    """
    rule = await find_rule(session, rule_id)
    if rule.status == EarningRuleStatus.RETIRED:
        return
    rule.status = EarningRuleStatus.RETIRED
    await add_turn(session, rule_id, None, now, now=now)


async def add_turn(
    session: Session, rule_id: str, version: int | None, effective_from: datetime, *, now: datetime
) -> None:
    """Add the next turn; the caller holds the rule."""
    number = len(await turns_of(session, [rule_id])) + 1
    turn = EarningRuleTurn(
        rule_id=rule_id, number=number, version=version, effective_from=effective_from, created_at=now
    )
    session.add(turn)
    await session.flush()


async def find_rule(session: Session, rule_id: str) -> EarningRule:
    """The rule, locked for this transaction and read anew; raises NotFound."""
    statement = select(EarningRule).where(EarningRule.id == rule_id).with_for_update()
    found = (await session.exec(statement.execution_options(populate_existing=True))).first()
    if found is None:
        raise NotFound(path=("ruleId",))
    return found


async def lock_rule(session: Session, rule_id: str) -> EarningRule:
    """The same, of a rule that can still change; raises NotFound, EarningRuleRetired."""
    rule = await find_rule(session, rule_id)
    if rule.status == EarningRuleStatus.RETIRED:
        raise EarningRuleRetired(path=("ruleId",))
    return rule


async def newest_version(session: Session, rule_id: str) -> EarningRuleVersion:
    statement = select(EarningRuleVersion).where(EarningRuleVersion.rule_id == rule_id)
    return (await session.exec(statement.order_by(col(EarningRuleVersion.version).desc()).limit(1))).one()


async def versions_of(session: Session, rule_ids: Collection[str]) -> Sequence[EarningRuleVersion]:
    """All versions of rules, the newest first."""
    statement = select(EarningRuleVersion).where(col(EarningRuleVersion.rule_id).in_(list(rule_ids)))
    return (await session.exec(statement.order_by(col(EarningRuleVersion.version).desc()))).all() if rule_ids else []


async def turns_of(session: Session, rule_ids: Collection[str]) -> Sequence[EarningRuleTurn]:
    """All turns of rules by their numbers."""
    statement = select(EarningRuleTurn).where(col(EarningRuleTurn.rule_id).in_(list(rule_ids)))
    return (await session.exec(statement.order_by(col(EarningRuleTurn.number)))).all() if rule_ids else []


async def watched_kinds(session: Session, kinds: Collection[str]) -> dict[str, list[str]]:
    """Those of these kinds at which rules look that were ever active, with the ids of the rules."""
    statement = select(EarningRuleWatch).where(col(EarningRuleWatch.kind).in_(list(kinds)))
    found: dict[str, list[str]] = defaultdict(list)
    for one in (await session.exec(statement.order_by(col(EarningRuleWatch.rule_id)))).all():
        found[one.kind].append(one.rule_id)
    return found


async def timelines_of(
    session: Session, rule_ids: Collection[str], *, at: datetime | None = None
) -> dict[str, Timeline]:
    """Rules with their turns and the versions that were ever active, by id; with `at` only the one that counts then."""
    turns: dict[str, list[EarningRuleTurn]] = {rule_id: [] for rule_id in sorted(rule_ids)}
    for turn in await turns_of(session, rule_ids):
        turns[turn.rule_id].append(turn)
    wanted = {
        rule_id: {turn.version for turn in found} if at is None else {version_at(found, at)}
        for rule_id, found in turns.items()
    }
    versions: dict[str, dict[int, RuleVersion]] = defaultdict(dict)
    for row in await versions_of(session, rule_ids):
        if row.version in wanted[row.rule_id]:
            versions[row.rule_id][row.version] = RuleVersion(row.version, row.parsed())
    return {rule_id: timeline(rule_id, found, versions[rule_id]) for rule_id, found in turns.items()}


def timeline(rule_id: str, turns: Sequence[EarningRuleTurn], versions: dict[int, RuleVersion]) -> Timeline:
    reversing = frozenset(kind for one in versions.values() for kind in one.definition.reversed_by)
    return Timeline(rule_id, turns, versions, reversing)


async def list_earning_rules(
    session: Session, *, with_others: bool, first: int | None, after: Place
) -> Page[EarningRule]:
    """Rules in the order of their ids; those that are not active only for whoever may see them."""
    size = page_size(first)
    statement = select(EarningRule)
    if not with_others:
        statement = statement.where(EarningRule.status == EarningRuleStatus.ACTIVE)
    page = by_text(statement, col(EarningRule.id), size=size, after=after)
    return cut((await session.exec(page)).all(), size, lambda rule: (rule.id,), after)
