"""Earning rules and facts for tests; kinds of facts are new with each test, because rules stay for the others."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlmodel import col, select

from core.clock import utc_now
from core.db import Database
from core.facts import Fact, NewFact, record_facts
from core.ids import new_id
from loyalty.earning import earn_for_facts
from loyalty.earning_caps import Earning
from loyalty.earning_rules import activate_earning_rule, create_earning_rule

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def kind_of(name: str, unique: str) -> str:
    """A kind of fact that no other test uses."""
    return f"{name}_{unique[-12:].upper()}"


async def make_rule(
    database: Database, definition: dict[str, Any], *, effective_from: datetime = LONG_AGO, rule_id: str | None = None
) -> str:
    """An active rule; returns its id."""
    async with database.write() as session:
        made = await create_earning_rule(
            session, name_zh="规则", name_en="Rule", definition=definition, now=utc_now(), rule_id=rule_id
        )
        await activate_earning_rule(session, made, effective_from=effective_from, now=utc_now())
    return made


def fact_of(customer_id: str, kind: str, *, at: datetime | None = None, key: str = "", **payload: Any) -> NewFact:
    return NewFact("test", key or new_id(), kind, customer_id, at or utc_now(), payload)


async def tell(database: Database, *facts: NewFact, now: datetime | None = None) -> list[str]:
    """Record facts; returns their ids."""
    async with database.write() as session:
        await record_facts(session, facts, now=now or utc_now())
    return [fact.id for fact in facts]


async def earn(database: Database, fact_ids: Sequence[str], *, now: datetime | None = None) -> None:
    """Let the rules see these facts, as the worker does."""
    async with database.write() as session:
        facts = (await session.exec(select(Fact).where(col(Fact.id).in_(list(fact_ids))))).all()
        await earn_for_facts(session, facts, now=now or utc_now())


async def tell_and_earn(database: Database, *facts: NewFact, now: datetime | None = None) -> None:
    await earn(database, await tell(database, *facts, now=now), now=now)


async def earnings(database: Database, *customers: str) -> list[Earning]:
    """What these customers earned, in the order in which it happened."""
    statement = select(Earning).where(col(Earning.customer_id).in_(customers))
    async with database.read() as session:
        return list((await session.exec(statement.order_by(col(Earning.occurred_at), col(Earning.id)))).all())
