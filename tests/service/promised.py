"""Facts, breaks and surveys for tests, as the worker would see and make them; kinds of facts are the test's own."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlmodel import col, select

from core.db import Database
from core.fact_kinds import EVENT_ATTENDED
from core.facts import Fact, NewFact, record_facts
from core.ids import new_id
from core.sealing import new_data_key
from service.break_looks import find_breaks
from service.break_rules import activate_break_rule, create_break_rule
from service.breaks import ServiceBreak, ServiceBreakFact
from service.recovery import RecoveryAction, record_recovery
from service.survey_invitations import invite
from service.survey_policies import active_survey_policy
from service.survey_rows import Survey
from service.surveys import submit_survey

NOON = datetime(2026, 12, 10, 4, tzinfo=UTC)
DAY = timedelta(days=1)
KEY = new_data_key()


def own_kind() -> str:
    """A kind of facts at which no rule of any other test looks."""
    return f"TEST_{new_id().replace('-', '').upper()}"


def twice_in(days: int, kind: str, count: int = 2) -> dict[str, Any]:
    return {"event": {"kind": kind, "within_days": days, "at_least": count}}


async def make_rule(
    database: Database, condition: dict[str, Any], *, applies_from: datetime = NOON - 60 * DAY, **more: Any
) -> str:
    """A rule that is active; returns its id."""
    async with database.write() as session:
        definition = {"condition": condition, **more}
        rule = await create_break_rule(
            session, name_zh="测试", name_en="Test", definition=definition, actor="admin", now=NOON
        )
        await activate_break_rule(session, rule.id, applies_from=applies_from, actor="admin", now=NOON)
    return rule.id


async def put_fact(database: Database, kind: str, customer_id: str, at: datetime = NOON, **payload: Any) -> str:
    """A fact as it is recorded, without what follows from it; returns its id."""
    fact = NewFact("test", new_id(), kind, customer_id, at, payload)
    async with database.write() as session:
        await record_facts(session, [fact], now=max(at, NOON), hint=False)
    return fact.id


async def look(database: Database, *fact_ids: str, now: datetime = NOON) -> list[str]:
    """Look for the breaks that these facts make; returns the ids of the new ones."""
    async with database.write() as session:
        facts = (await session.exec(select(Fact).where(col(Fact.id).in_(fact_ids)))).all()
        return [row.id for row in await find_breaks(session, facts, now=now)]


async def happen(database: Database, kind: str, customer_id: str, at: datetime = NOON, **payload: Any) -> list[str]:
    """A fact that is recorded and looked at; returns the ids of new breaks."""
    return await look(database, await put_fact(database, kind, customer_id, at, **payload), now=at)


async def breaks_of(database: Database, customer_id: str) -> Sequence[ServiceBreak]:
    async with database.read() as session:
        statement = select(ServiceBreak).where(ServiceBreak.customer_id == customer_id)
        return (await session.exec(statement.order_by(col(ServiceBreak.broke_at), col(ServiceBreak.id)))).all()


async def proofs_of(database: Database, break_id: str) -> set[str]:
    async with database.read() as session:
        statement = select(ServiceBreakFact.fact_id).where(ServiceBreakFact.break_id == break_id)
        return set((await session.exec(statement)).all())


async def recover(database: Database, break_id: str, at: datetime = NOON, note: str | None = None) -> ServiceBreak:
    async with database.write() as session:
        return await record_recovery(
            session,
            break_id,
            actions=[RecoveryAction.APOLOGISED],
            note=note,
            data_key=KEY,
            actor="manager",
            now=at,
        )


async def attend(database: Database, customer_id: str, at: datetime = NOON, **payload: Any) -> str:
    """An event attended; returns the id of the fact."""
    return await put_fact(database, EVENT_ATTENDED, customer_id, at, **{"event_id": new_id(), **payload})


async def invited(database: Database, *fact_ids: str, now: datetime = NOON) -> list[str]:
    """Invite after these facts; returns the ids of the surveys."""
    async with database.write() as session:
        facts = (await session.exec(select(Fact).where(col(Fact.id).in_(fact_ids)))).all()
        return await invite(session, facts, now=now)


async def put_survey(database: Database, customer_id: str, at: datetime = NOON, kind: str = "NPS", **more: Any) -> str:
    """A survey that was sent, whatever was sent before; returns its id."""
    async with database.write() as session:
        policy = await active_survey_policy(session)
        row = Survey(
            id=new_id(),
            customer_id=customer_id,
            occasion=more.pop("occasion", "EVENT"),
            subject=more.pop("subject", None) or new_id(),
            kind=kind,
            policy_id=policy.id,
            invited_at=at,
            expires_at=at + 14 * DAY,
            **more,
        )
        session.add(row)
        return row.id


async def answer(
    database: Database, survey_id: str, customer_id: str, score: int, *, at: datetime = NOON, comment: str | None = None
) -> Survey:
    async with database.write() as session:
        return await submit_survey(
            session, survey_id, customer_id=customer_id, score=score, comment=comment, data_key=KEY, now=at
        )


async def survey_at(database: Database, survey_id: str) -> Survey:
    async with database.read() as session:
        return await session.get_one(Survey, survey_id)
