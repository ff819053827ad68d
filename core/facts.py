"""Facts about customers, sent by the bank's systems or made by Kinship itself, each kept once."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field, col, select

from core.db import Record, Session, insert_new, instant, json_column
from core.errors import BadUserInput, Forbidden
from core.identifiers import IDENTIFYING_FACTS, identifier_key
from core.ids import derived_id
from core.outbox import owe_all
from core.principal import Principal, Scope

FACT_RECORDED = "fact.recorded"
OWN_SOURCE = "kinship"
KIND = re.compile(r"[A-Z][A-Z0-9_]{1,63}")
MOST_FACTS_AT_ONCE = 500
# Clocks of the bank's systems may run a little ahead of ours; a fact further in the future is a mistake.
LONGEST_LEAD = timedelta(minutes=10)


class FactInvalid(BadUserInput):
    code = "FACT_INVALID"
    en = "A fact is not valid; none of them was recorded."
    zh = "事实数据无效，全部未记录。"


class Fact(Record, table=True):
    """Something that happened to a customer; the sender's `source` and `key` name it for ever."""

    __table_args__ = (
        UniqueConstraint("source", "key"),
        Index("ix_fact_customer", "customer_id", "occurred_at"),
        Index("ix_fact_kind", "kind", "customer_id", "occurred_at", "id"),
        # What happened in a period, of whomever.
        Index("ix_fact_kind_time", "kind", "occurred_at", "id"),
    )

    id: str = Field(primary_key=True)
    source: str
    key: str
    kind: str
    customer_id: str
    occurred_at: datetime = instant()
    recorded_at: datetime = instant()
    payload: dict[str, Any] = json_column()


@dataclass(frozen=True, slots=True)
class NewFact:
    """A fact as it arrives, its customer already resolved to our id."""

    source: str
    key: str
    kind: str
    customer_id: str
    occurred_at: datetime
    payload: dict[str, Any]

    @property
    def id(self) -> str:
        return derived_id("fact", self.source, self.key)


def may_record_facts(principal: Principal) -> None:
    """Only a service client with the scope sends facts; raises Forbidden."""
    if Scope.FACTS_WRITE not in principal.scopes:
        raise Forbidden


def check_fact(fact: NewFact, *, now: datetime, path: tuple[str, ...] = ()) -> None:
    """Raise FactInvalid with the path of the first field that cannot be."""
    for field, value in (("source", fact.source), ("key", fact.key)):
        if not 1 <= len(value) <= 200:
            raise FactInvalid(path=(*path, field), detail="1 to 200 characters")
    if not KIND.fullmatch(fact.kind):
        raise FactInvalid(path=(*path, "kind"), detail="capital letters, digits and _, 2 to 64 characters")
    if fact.occurred_at > now + LONGEST_LEAD:
        raise FactInvalid(path=(*path, "occurredAt"), detail="it lies in the future")


def seal_fact(fact: NewFact, *, hash_key: str, path: tuple[str, ...] = ()) -> NewFact:
    """The fact with a keyed hash in place of the device, card or address that it tells of; raises FactInvalid.

    Such a fact says nothing else, because whatever else it said would be kept as it is.
    """
    kind = IDENTIFYING_FACTS.get(fact.kind)
    if kind is None or not fact.payload:
        return fact
    value = fact.payload.get("value")
    if not isinstance(value, str) or len(fact.payload) > 1:
        raise FactInvalid(path=(*path, "payload"), detail='{"value": …} and nothing else')
    try:
        key = identifier_key(hash_key, kind, value)
    except ValueError as error:
        raise FactInvalid(path=(*path, "payload"), detail=str(error)) from error
    return replace(fact, payload={"identifier": key})


async def record_facts(session: Session, facts: Sequence[NewFact], *, now: datetime, hint: bool = True) -> list[str]:
    """Record the facts that are new and owe their consequences; returns the ids of the new ones.

    Those of a fact that lies ahead are owed from when it happens, as what is decided until then is about it too.
    Without a hint the sweep settles them many at a time, instead of each by a job of its own.
    """
    fresh = {fact.id: fact for fact in facts}
    recorded = await insert_new(session, Fact, [row_of(fact, now) for fact in fresh.values()])
    ahead = {fact_id: at for fact_id in recorded if (at := fresh[fact_id].occurred_at) > now}
    payloads: dict[str, dict[str, Any]] = {
        fact_id: {"fact_id": fact_id, "customer_id": fresh[fact_id].customer_id} for fact_id in recorded
    }
    later = {fact_id: payloads.pop(fact_id) for fact_id in ahead}
    await owe_all(session, topic=FACT_RECORDED, payloads=payloads, now=now, hint=hint)
    await owe_all(session, topic=FACT_RECORDED, payloads=later, now=now, not_before=ahead)
    return recorded


def row_of(fact: NewFact, now: datetime) -> dict[str, Any]:
    """The row of a fact; one that was not sealed is never written."""
    if fact.kind in IDENTIFYING_FACTS and fact.payload.keys() - {"identifier"}:
        raise RuntimeError(f"a fact of kind {fact.kind} is sealed before it is recorded")
    return {
        "id": fact.id,
        "source": fact.source,
        "key": fact.key,
        "kind": fact.kind,
        "customer_id": fact.customer_id,
        "occurred_at": fact.occurred_at,
        "recorded_at": now,
        "payload": fact.payload,
    }


async def facts_of(session: Session, customer_id: str) -> Sequence[Fact]:
    """All facts of a customer in the order in which they happened; ties by id, so that it is always the same."""
    statement = select(Fact).where(Fact.customer_id == customer_id)
    return (await session.exec(statement.order_by(col(Fact.occurred_at), col(Fact.id)))).all()


async def facts_by_customer(session: Session, customer_ids: Sequence[str]) -> dict[str, list[Fact]]:
    """All facts of several customers, each one's in the order in which they happened."""
    found: dict[str, list[Fact]] = {customer_id: [] for customer_id in customer_ids}
    statement = select(Fact).where(col(Fact.customer_id).in_(list(customer_ids)))
    for fact in (await session.exec(statement.order_by(col(Fact.occurred_at), col(Fact.id)))).all():
        found[fact.customer_id].append(fact)
    return found
