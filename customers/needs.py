"""Needs: what customers say that they want, and what rules think that they want, until somebody decides.

One row for a customer and kind of need says until when no rule raises another; whoever changes a need holds that row
first. So a rule and a dismissal at once end as if one had come after the other.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Index, update
from sqlmodel import Field, col, or_, select

from core.audit import record_change
from core.db import Record, Session, changed_rows, insert_into, insert_once, insert_rows, instant, json_column, table_of
from core.errors import BadUserInput, NotFound, Refusal
from core.ids import new_id
from core.outbox import owe_all
from core.paging import Page, Place, cut, newest_first, page_size
from customers.need_definition import NEED_KEY, NeedDefinition, NeedPolicyInvalid, NeedRule
from customers.tag_words import resolved_tags
from customers.tagging import NewTag, carried, tag_customers, take_off
from segments.tagging import Tag, TagFamily

# New needs, of which what follows is to be done.
NEED_FOUND = "need.found"
# The source of what a customer said themself.
DECLARED = "customer"
LONGEST_NAME = 100


# Of the tags of a customer those that confirmed needs have put on.
TAG_SOURCE = "need"


class NeedKindInvalid(BadUserInput):
    code = "NEED_KIND_INVALID"
    en = "This kind of need is not valid."
    zh = "需求类型无效。"


class NeedNotOpen(Refusal):
    code = "NEED_NOT_OPEN"
    en = "This need is not open any more."
    zh = "该需求已处理或已过期。"


class NeedOrigin(StrEnum):
    """EXPLICIT: somebody said so. IMPLICIT: a rule thinks so."""

    EXPLICIT = "EXPLICIT"
    IMPLICIT = "IMPLICIT"


class NeedStatus(StrEnum):
    """SUSPECTED and CONFIRMED are open until they expire, by their date and without anybody touching them."""

    SUSPECTED = "SUSPECTED"
    CONFIRMED = "CONFIRMED"
    DISMISSED = "DISMISSED"
    MET = "MET"
    EXPIRED = "EXPIRED"


class NeedReason(StrEnum):
    """Why a need was dismissed; a code, so that nothing is written about a person here."""

    NOT_WANTED = "NOT_WANTED"
    NOT_NOW = "NOT_NOW"
    HAS_ALREADY = "HAS_ALREADY"
    NOT_SUITABLE = "NOT_SUITABLE"
    WRONG_DATA = "WRONG_DATA"
    OTHER = "OTHER"


OPEN = (NeedStatus.SUSPECTED, NeedStatus.CONFIRMED)


class NeedKind(Record, table=True):
    """A need that customers can have; `tag_key` is the tag of the family NEED that says so of a customer."""

    key: str = Field(primary_key=True)
    name_zh: str
    name_en: str
    tag_key: str | None = None
    created_at: datetime = instant()


class Need(Record, table=True):
    """One need; `evidence` has the values by which a rule saw it, `source` says who told of it."""

    __table_args__ = (
        Index("ix_need_customer", "customer_id", "raised_at", "id"),
        Index("ix_need_status", "status", "raised_at", "id"),
    )

    id: str = Field(primary_key=True)
    customer_id: str
    kind: str = Field(foreign_key="need_kind.key")
    origin: str
    source: str
    rule: str | None = None
    policy_id: str | None = Field(default=None, foreign_key="insight_policy.id")
    confidence_percent: int
    evidence: dict[str, Any] = json_column()
    status: str
    raised_at: datetime = instant()
    expires_at: datetime = instant()
    decided_by: str | None = None
    decided_at: datetime | None = instant(optional=True)
    reason: str | None = None

    def status_at(self, now: datetime) -> NeedStatus:
        return NeedStatus.EXPIRED if self.status in OPEN and self.expires_at <= now else NeedStatus(self.status)


class NeedGuard(Record, table=True):
    """The last need of a customer and kind, and until when no rule raises another."""

    customer_id: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    need_id: str
    blocked_until: datetime = instant()


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A rule that holds for a customer, and the values by which it does."""

    customer_id: str
    rule: NeedRule
    evidence: dict[str, Any]


async def raise_needs(session: Session, found: Sequence[Suspicion], policy_id: str, *, now: datetime) -> int:
    """Raise those that nothing stands against, one for each customer and kind; returns how many."""
    wanted: dict[tuple[str, str], tuple[str, Suspicion]] = {}
    for one in found:
        # The rules come in their order, and the first of them that speaks for a need raises it.
        wanted.setdefault((one.customer_id, one.rule.need), (new_id(), one))
    # In one order everywhere: two writers wait for each other and never in a circle.
    ordered = [wanted[key] for key in sorted(wanted)]
    put, guard = insert_into(session, NeedGuard), table_of(NeedGuard).c
    statement = put.on_conflict_do_update(
        index_elements=["customer_id", "kind"],
        set_={name: put.excluded[name] for name in ("need_id", "blocked_until")},
        where=guard.blocked_until <= now,
    )
    guards = [
        {
            "customer_id": one.customer_id,
            "kind": one.rule.need,
            "need_id": need_id,
            "blocked_until": now + timedelta(days=one.rule.expires_days),
        }
        for need_id, one in ordered
    ]
    passed = {row.need_id for row in await insert_rows(session, statement.returning(guard.need_id), guards)}
    rows = [suspected(need_id, one, policy_id, now) for need_id, one in ordered if need_id in passed]
    await insert_rows(session, insert_into(session, Need).returning(table_of(Need).c.id), rows)
    await owe_found(session, [row["id"] for row in rows], now=now)
    return len(rows)


async def owe_found(session: Session, need_ids: Sequence[str], *, now: datetime) -> None:
    """Let what follows from new needs be done, in one effect for all of them."""
    if need_ids:
        payload = {"need_ids": list(need_ids)}
        await owe_all(session, topic=NEED_FOUND, payloads={need_ids[0]: payload}, now=now)


def suspected(need_id: str, one: Suspicion, policy_id: str, now: datetime) -> dict[str, Any]:
    return {
        "id": need_id,
        "customer_id": one.customer_id,
        "kind": one.rule.need,
        "origin": NeedOrigin.IMPLICIT,
        "source": "policy",
        "rule": one.rule.key,
        "policy_id": policy_id,
        "confidence_percent": one.rule.confidence_percent,
        "evidence": one.evidence,
        "status": NeedStatus.SUSPECTED,
        "raised_at": now,
        "expires_at": now + timedelta(days=one.rule.expires_days),
    }


async def hold_guard(session: Session, customer_id: str, kind: str, *, now: datetime) -> NeedGuard:
    """The guard, made where there is none and held from now on: needs of a customer and kind change in turns."""
    row = {"customer_id": customer_id, "kind": kind, "need_id": "", "blocked_until": now}
    await insert_once(session, NeedGuard, row, "customer_id", "kind")
    statement = select(NeedGuard).where(NeedGuard.customer_id == customer_id, NeedGuard.kind == kind)
    return (await session.exec(statement.with_for_update().execution_options(populate_existing=True))).one()


async def declare_need(
    session: Session, customer_id: str, kind: str, definition: NeedDefinition, *, source: str, actor: str, now: datetime
) -> Need:
    """Note what a customer said, to us or to their manager; what a rule thought already becomes what they said.

    It counts also where the need was dismissed before: people change their minds. Raises NotFound for an unknown kind.
    """
    if not re.fullmatch(NEED_KEY, kind) or await session.get(NeedKind, kind) is None:
        raise NotFound(path=("kind",))
    guard = await hold_guard(session, customer_id, kind, now=now)
    known = await session.get(Need, guard.need_id, populate_existing=True)
    expires_at = now + timedelta(days=definition.declared_days)
    if known is not None and known.status_at(now) in OPEN:
        if known.origin == NeedOrigin.EXPLICIT:
            return known
        known.origin, known.source, known.confidence_percent = NeedOrigin.EXPLICIT, source, 100
        known.expires_at = guard.blocked_until = max(known.expires_at, expires_at)
        return await decide(session, known, NeedStatus.CONFIRMED, actor=actor, now=now)
    need = Need(
        id=new_id(),
        customer_id=customer_id,
        kind=kind,
        origin=NeedOrigin.EXPLICIT,
        source=source,
        confidence_percent=100,
        evidence={},
        status=NeedStatus.CONFIRMED,
        raised_at=now,
        expires_at=expires_at,
    )
    session.add(need)
    guard.need_id, guard.blocked_until = need.id, expires_at
    await session.flush()
    await tag_need(session, need, set_by=actor, now=now)
    await owe_found(session, [need.id], now=now)
    await record_change(session, "need", need.id, "declared", actor=actor, now=now, kind_of_need=kind)
    return need


async def confirm_need(session: Session, need_id: str, *, actor: str, now: datetime) -> Need:
    """Say that a suspected need is one; raises NotFound, NeedNotOpen."""
    need, _ = await hold_need(session, need_id, now=now)
    if need.status_at(now) != NeedStatus.SUSPECTED:
        raise NeedNotOpen(path=("needId",))
    return await decide(session, need, NeedStatus.CONFIRMED, actor=actor, now=now)


async def dismiss_need(
    session: Session, need_id: str, definition: NeedDefinition, *, reason: NeedReason, actor: str, now: datetime
) -> Need:
    """Say that it is none: no rule raises it again for `dismissed_days`. Raises NotFound, NeedNotOpen."""
    until = now + timedelta(days=definition.dismissed_days)
    return await end_need(session, need_id, NeedStatus.DISMISSED, until, reason=reason, actor=actor, now=now)


async def meet_need(session: Session, need_id: str, definition: NeedDefinition, *, actor: str, now: datetime) -> Need:
    """Say that the customer has by now what they needed. Raises NotFound, NeedNotOpen."""
    until = now + timedelta(days=definition.met_days)
    return await end_need(session, need_id, NeedStatus.MET, until, reason=None, actor=actor, now=now)


async def end_need(
    session: Session,
    need_id: str,
    status: NeedStatus,
    blocked_until: datetime,
    *,
    reason: NeedReason | None,
    actor: str,
    now: datetime,
) -> Need:
    need, guard = await hold_need(session, need_id, now=now)
    if need.status_at(now) not in OPEN:
        raise NeedNotOpen(path=("needId",))
    guard.blocked_until = blocked_until
    need.reason = reason
    return await decide(session, need, status, actor=actor, now=now)


async def find_need(session: Session, need_id: str) -> Need:
    found = await session.get(Need, need_id, populate_existing=True)
    if found is None:
        raise NotFound(path=("needId",))
    return found


async def hold_need(session: Session, need_id: str, *, now: datetime) -> tuple[Need, NeedGuard]:
    """The need as it is by now, with its guard held; raises NotFound."""
    found = await find_need(session, need_id)
    guard = await hold_guard(session, found.customer_id, found.kind, now=now)
    return await find_need(session, need_id), guard


async def tag_need(session: Session, need: Need, *, set_by: str, now: datetime) -> None:
    """Let the customer carry the tag of a confirmed need until it expires or ends, where its kind has one.

    A tag that somebody else has put on stays.
    """
    kind = await session.get_one(NeedKind, need.kind)
    known = (await resolved_tags(session, {kind.tag_key})).get(kind.tag_key) if kind.tag_key else None
    if known is None:
        return
    if need.status_at(now) == NeedStatus.CONFIRMED:
        found = await carried(session, need.customer_id, known.keys, now=now)
        if any(row.source != TAG_SOURCE for row in found):
            return
        tag = NewTag(need.customer_id, known.tag.key, known.tag.family, source=TAG_SOURCE, until=need.expires_at)
        await tag_customers(session, [tag], set_by=set_by, now=now)
    else:
        await take_off(session, need.customer_id, known.keys, source=TAG_SOURCE, now=now)


async def decide(session: Session, need: Need, status: NeedStatus, *, actor: str, now: datetime) -> Need:
    """Change the status of a need whose guard is held."""
    need.status, need.decided_by, need.decided_at = status, actor, now
    await session.flush()
    await tag_need(session, need, set_by=actor, now=now)
    await record_change(
        session, "need", need.id, status.lower(), actor=actor, now=now, reason=need.reason, kind_of_need=need.kind
    )
    return need


def in_status(status: NeedStatus, now: datetime) -> ColumnElement[bool]:
    """The condition that a need has this status now."""
    if status == NeedStatus.EXPIRED:
        return col(Need.status).in_(OPEN) & (col(Need.expires_at) <= now)
    alive = col(Need.expires_at) > now
    return (col(Need.status) == status) & alive if status in OPEN else col(Need.status) == status


def is_told(need: Need, now: datetime) -> bool:
    """Whether the customer knows of the need, because they told of it or somebody has confirmed it with them."""
    return need.origin == NeedOrigin.EXPLICIT or need.status_at(now) == NeedStatus.CONFIRMED


@dataclass(frozen=True, slots=True)
class NeedFilter:
    """Which needs are wanted; null: all. `told` are those that the customer has told of, or confirmed to somebody."""

    customer_ids: Collection[str] | None = None
    status: NeedStatus | None = None
    kind: str | None = None
    origin: NeedOrigin | None = None
    told: bool = False


async def list_needs(
    session: Session, wanted: NeedFilter, *, now: datetime, first: int | None, after: Place
) -> Page[Need]:
    """Needs, the latest first."""
    size = page_size(first)
    statement = select(Need)
    if wanted.customer_ids is not None:
        statement = statement.where(col(Need.customer_id).in_(wanted.customer_ids))
    if wanted.status is not None:
        statement = statement.where(in_status(wanted.status, now))
    if wanted.kind is not None:
        statement = statement.where(Need.kind == wanted.kind)
    if wanted.origin is not None:
        statement = statement.where(Need.origin == wanted.origin)
    if wanted.told:
        told = or_(col(Need.origin) == NeedOrigin.EXPLICIT, in_status(NeedStatus.CONFIRMED, now))
        statement = statement.where(told)
    page = newest_first(statement, col(Need.raised_at), col(Need.id), size=size, after=after)
    return cut((await session.exec(page)).all(), size, lambda row: (row.raised_at.isoformat(), row.id), after)


async def need_kinds(session: Session) -> Mapping[str, NeedKind]:
    """All kinds by their keys; they are few."""
    return {row.key: row for row in (await session.exec(select(NeedKind).order_by(col(NeedKind.key)))).all()}


async def check_kinds(session: Session, definition: NeedDefinition) -> None:
    """Raise NeedPolicyInvalid for a rule about a need that nobody can have."""
    known = await need_kinds(session)
    for place, rule in enumerate(definition.rules):
        if rule.need not in known:
            raise NeedPolicyInvalid(path=("definition", "rules", str(place), "need"), detail="there is no such need")


async def put_need_kind(
    session: Session, *, key: str, name_zh: str, name_en: str, tag_key: str | None, actor: str, now: datetime
) -> NeedKind:
    """Add a kind, or change its words and tag; raises NeedKindInvalid."""
    if not re.fullmatch(NEED_KEY, key):
        raise NeedKindInvalid(path=("key",), detail="capital letters, digits and _, 2 to 60 characters")
    for field, name in (("nameZh", name_zh), ("nameEn", name_en)):
        if not 1 <= len(name.strip()) <= LONGEST_NAME or "\0" in name:
            raise NeedKindInvalid(path=(field,), detail=f"1 to {LONGEST_NAME} characters")
    if tag_key is not None:
        tag = None if "\0" in tag_key else await session.get(Tag, tag_key)
        if tag is None or tag.family != TagFamily.NEED or tag.merged_into is not None:
            raise NeedKindInvalid(path=("tagKey",), detail="a tag of the family NEED that was not merged into another")
    row = {"key": key, "name_zh": name_zh, "name_en": name_en, "tag_key": tag_key}
    if not await insert_once(session, NeedKind, row | {"created_at": now}, "key"):
        await changed_rows(session, update(NeedKind).where(col(NeedKind.key) == key).values(**row))
    await record_change(session, "need-kind", key, "put", actor=actor, now=now, tag=tag_key)
    return await session.get_one(NeedKind, key, populate_existing=True)
