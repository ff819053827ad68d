"""Programmes, people and claims for tests of referrals."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import col, select

from core.clock import utc_now
from core.db import Database
from core.facts import NewFact, record_facts
from core.ids import new_id
from graph.client import GraphClient
from referrals.attribution import Person, Referral
from referrals.claiming import claim_referral
from referrals.codes import ReferralCode, referral_code
from referrals.programs import MoneyBudget, activate_program, create_program
from referrals.rewards import ReferralReward
from referrals.settlement import settle_referees

STEPS = [
    {"name": "verified", "fact_kind": "IDENTITY_VERIFIED", "referrer_points": 300, "referee_points": 100},
    {"name": "first-event", "fact_kind": "EVENT_ATTENDED", "referrer_points": 200, "within_days": 90},
]

PUT_CUSTOMERS = "UNWIND $ids AS id MERGE (c:Customer {id: id}) ON CREATE SET c.display_name = 'Test'"


async def make_program(
    database: Database,
    *,
    steps: Sequence[dict[str, Any]] = STEPS,
    budget_points: int | None = None,
    ends_at: datetime | None = None,
    money: MoneyBudget | None = None,
    **definition: Any,
) -> str:
    """An active programme; returns its id."""
    now = utc_now()
    async with database.write() as session:
        program = await create_program(
            session,
            name_zh="邀友有礼",
            name_en="Bring a friend",
            definition={"steps": list(steps), **definition},
            starts_at=now - timedelta(days=365),
            ends_at=ends_at,
            budget_points=budget_points,
            money=money,
            now=now,
        )
        await activate_program(session, program)
    return program


async def make_people(graph: GraphClient, count: int) -> list[str]:
    """Nodes of that many customers; returns their ids."""
    ids = [new_id() for _ in range(count)]
    await graph.write(PUT_CUSTOMERS, ids=ids)
    return ids


async def code_of(database: Database, program: str, customer_id: str) -> ReferralCode:
    async with database.write() as session:
        return await referral_code(session, program_id=program, customer_id=customer_id, now=utc_now())


def person(customer_id: str, **more: Any) -> Person:
    """Somebody of whom nothing is known but what a test says."""
    known: dict[str, Any] = {"customer_since": None, "identity_hash": None, "phone_hash": None, "email_hash": None}
    return Person(customer_id, **{**known, **more})


def finder(*known: Person) -> Callable[[str], Awaitable[Person | None]]:
    """A look-up of people; whom a test has not described is somebody without details."""
    people = {one.customer_id: one for one in known}

    async def find(customer_id: str) -> Person | None:
        return people.get(customer_id, person(customer_id))

    return find


async def claim(
    database: Database,
    graph: GraphClient,
    code: ReferralCode,
    referee: Person | str,
    *,
    click_ids: Sequence[str] = (),
    referrer: Person | None = None,
    now: datetime | None = None,
) -> str:
    """Claim as the API does; returns the referral's id."""
    async with database.write() as session:
        return await claim_referral(
            session,
            graph,
            typed_code=code.code,
            click_ids=click_ids,
            referee=referee if isinstance(referee, Person) else person(referee),
            find_person=finder(*([referrer] if referrer else [])),
            now=now or utc_now(),
        )


async def tell(database: Database, customer_id: str, kind: str, *, at: datetime | None = None) -> str:
    """Record a fact; returns its id."""
    at = at or utc_now()
    fact = NewFact("test", new_id(), kind, customer_id, at, {})
    async with database.write() as session:
        await record_facts(session, [fact], now=max(at, utc_now()))
    return fact.id


async def settle(database: Database, customer_id: str) -> None:
    """Settle a referee's facts, as the worker does."""
    async with database.write() as session:
        await settle_referees(session, {customer_id: None}, now=utc_now())


async def rewards_of(database: Database, program: str, **only: str) -> list[ReferralReward]:
    """The rewards of a programme by their keys; `customer_id` and `referee_id` narrow them down."""
    statement = select(ReferralReward).where(ReferralReward.program_id == program).order_by(col(ReferralReward.key))
    if "customer_id" in only:
        statement = statement.where(ReferralReward.customer_id == only["customer_id"])
    if "referee_id" in only:
        statement = statement.join(Referral).where(Referral.referee_id == only["referee_id"])
    async with database.read() as session:
        return list((await session.exec(statement)).all())
