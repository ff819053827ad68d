"""Referrals that look like fraud, and those that do not, for tests of screening and reviews."""

from collections.abc import Sequence

from sqlmodel import col, select

from core.clock import utc_now
from core.db import Database
from core.identifiers import IdentifierKind
from core.ids import new_id
from core.principal import Principal, Role
from customers.identifiers import Sighting, put_uses
from graph.client import GraphClient
from referrals.fraud_cases import FraudCase, FraudCaseMember
from referrals.fraud_signals import FraudPolicy
from referrals.reviews import ReviewDecision, review_reward
from referrals.rewards import ReferralReward
from referrals.screening import screen_rewards
from referrals.settlement import approve_rewards
from tests.referrals.programs import claim, code_of, make_people, make_program, rewards_of, settle, tell

DEVICE, CARD, ADDRESS = IdentifierKind.DEVICE, IdentifierKind.CARD, IdentifierKind.ADDRESS
ADMIN = Principal("admin", frozenset({Role.ADMINISTRATOR}), frozenset(), 0)


async def share(graph: GraphClient, kind: IdentifierKind, *people: str) -> str:
    """An identifier that all of these use; returns its key."""
    key = new_id().replace("-", "")
    await put_uses(graph, [Sighting(person, kind, key, utc_now()) for person in people])
    return key


async def refer(
    graph: GraphClient, database: Database, *, cards: int = 1, referees: int = 1
) -> tuple[str, str, list[str]]:
    """A programme, a referrer and referees who share so many cards with the referrer and are verified."""
    program = await make_program(database)
    lin, *people = await make_people(graph, referees + 1)
    code = await code_of(database, program, lin)
    for referee in people:
        for _ in range(cards):
            await share(graph, CARD, lin, referee)
        await claim(database, graph, code, referee)
        await tell(database, referee, "IDENTITY_VERIFIED")
        await settle(database, referee)
    return program, lin, people


async def screen_all(
    graph: GraphClient, database: Database, program: str, *, emails: dict[str, str | None] | None = None
) -> list[ReferralReward]:
    """Screen every reward of a programme; returns how they stand then."""
    for reward in await rewards_of(database, program):
        await screen_one(graph, database, reward.id, emails=emails)
    return await rewards_of(database, program)


async def screen_one(
    graph: GraphClient, database: Database, reward_id: str, *, emails: dict[str, str | None] | None = None
) -> None:
    """Approve or hold a reward, as the worker does."""
    async with database.write() as session:
        row = await session.get_one(ReferralReward, reward_id)
        found = await screen_rewards(session, graph, [row], emails=emails or {}, policy=FraudPolicy(), now=utc_now())
        await approve_rewards(session, found, now=utc_now())


async def held(graph: GraphClient, database: Database) -> tuple[str, str, list[ReferralReward]]:
    """A programme and its referrer, of whose one referral two rewards are held."""
    program, lin, _ = await refer(graph, database)
    rewards = await screen_all(graph, database, program)
    assert [reward.status for reward in rewards] == ["PENDING", "PENDING"]
    return program, lin, rewards


async def review(
    database: Database,
    reward: ReferralReward,
    decision: ReviewDecision,
    *,
    by: Principal = ADMIN,
    reason: str = "seen the papers",
    fraud: bool = False,
) -> ReferralReward:
    async with database.write() as session:
        return await review_reward(
            session,
            reward_id=reward.id,
            decision=decision,
            reason=reason,
            referral_is_fraud=fraud,
            reviewer=by,
            now=utc_now(),
        )


async def cases_of(database: Database, customers: Sequence[str]) -> list[FraudCase]:
    """The cases in which any of these customers is, the oldest first."""
    ids = select(FraudCaseMember.case_id).where(col(FraudCaseMember.customer_id).in_(customers))
    async with database.read() as session:
        statement = select(FraudCase).where(col(FraudCase.id).in_(ids)).order_by(col(FraudCase.opened_at))
        return list((await session.exec(statement)).all())
