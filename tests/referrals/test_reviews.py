"""Reviews: each held reward is decided once, by somebody who has no part in it, and the case with the last one."""

import asyncio
from collections import Counter

import pytest
from sqlmodel import col, select

from core.audit import AuditEntry
from core.clock import utc_now
from core.db import Database
from core.errors import KinshipError, NotFound
from core.outbox import Outbox
from core.principal import Principal, Role
from graph.client import GraphClient
from referrals.attribution import Referral
from referrals.fraud_cases import FraudCase, review_queue
from referrals.programs import ReferralProgram
from referrals.reviews import AlreadyReviewed, OwnReward, ReviewDecision, RewardNotHeld, decide_case
from referrals.rewards import REWARD_APPROVED, ReferralReward
from tests.referrals.programs import rewards_of
from tests.referrals.suspects import ADMIN, cases_of, held, refer, review, screen_all

pytestmark = pytest.mark.anyio
APPROVE, DENY = ReviewDecision.APPROVE, ReviewDecision.DENY


async def reserved(database: Database, program: str) -> int:
    async with database.read() as session:
        return (await session.get_one(ReferralProgram, program)).reserved_points


async def owed_for(database: Database, reward: ReferralReward) -> int:
    statement = select(Outbox).where(Outbox.topic == REWARD_APPROVED, col(Outbox.key).startswith(reward.key))
    async with database.read() as session:
        return len((await session.exec(statement)).all())


async def case_of(database: Database, reward: ReferralReward) -> FraudCase:
    async with database.read() as session:
        return await session.get_one(FraudCase, reward.case_id)


async def test_approval_owes_the_points_and_denial_frees_the_budget(graph: GraphClient, database: Database) -> None:
    """Given two held rewards; when one is approved and one denied; then the case is confirmed and both are audited."""
    program, _, (first, second) = await held(graph, database)
    before = await reserved(database, program)
    approved = await review(database, first, APPROVE, reason="  mother and daughter ")
    assert (approved.status, approved.review_reason, approved.reviewed_by) == (
        "APPROVED",
        "mother and daughter",
        "admin",
    )
    assert (await case_of(database, first)).status == "OPEN"
    denied = await review(database, second, DENY)
    case = await case_of(database, first)
    assert (denied.status, denied.reason) == ("CANCELLED", "DENIED")
    assert (case.status, case.decided_by, case.reason) == ("CONFIRMED", "admin", "seen the papers")
    assert await reserved(database, program) == before - second.points
    assert (await owed_for(database, first), await owed_for(database, second)) == (1, 0)
    async with database.read() as session:
        statement = select(AuditEntry).where(AuditEntry.area == f"fraud_case:{case.id}").order_by(col(AuditEntry.at))
        acts = (await session.exec(statement)).all()
    assert [(one.action, one.subject) for one in acts] == [("REWARD_APPROVED", first.id), ("REWARD_DENIED", second.id)]


async def test_a_case_of_which_all_is_approved_is_cleared(graph: GraphClient, database: Database) -> None:
    _, lin, rewards = await held(graph, database)
    for reward in rewards:
        await review(database, reward, APPROVE)
    assert [case.status for case in await cases_of(database, [lin])] == ["CLEARED"]


async def test_reviewers_at_once_decide_once(graph: GraphClient, database: Database) -> None:
    program, _, (reward, _) = await held(graph, database)
    before = await reserved(database, program)
    decisions = [APPROVE, DENY] * 4
    outcomes = await asyncio.gather(*(review(database, reward, one) for one in decisions), return_exceptions=True)
    counted = Counter("decided" if isinstance(one, ReferralReward) else type(one).__name__ for one in outcomes)
    assert counted == {"decided": 1, AlreadyReviewed.__name__: 7}
    (kept,) = [one for one in await rewards_of(database, program) if one.id == reward.id]
    freed = before - await reserved(database, program)
    assert (kept.status, freed) in (("APPROVED", 0), ("CANCELLED", reward.points))


async def test_nobody_reviews_what_is_their_own(graph: GraphClient, database: Database) -> None:
    program, lin, rewards = await held(graph, database)
    for customer_id in {lin, *(reward.customer_id for reward in rewards)}:
        own = Principal("admin", frozenset({Role.ADMINISTRATOR}), frozenset(), 0, customer_id=customer_id)
        for reward in rewards:
            with pytest.raises(OwnReward):
                await review(database, reward, APPROVE, by=own)
        with pytest.raises(OwnReward):
            async with database.write() as session:
                case_id = str(rewards[0].case_id)
                await decide_case(session, case_id=case_id, decision=DENY, reason="x", reviewer=own, now=utc_now())
    assert await rewards_of(database, program) == rewards


@pytest.mark.parametrize("role", [Role.CUSTOMER, Role.RELATIONSHIP_MANAGER, Role.SERVICE, Role.COMPLAINTS_OFFICER])
async def test_who_may_not_review_finds_nothing(graph: GraphClient, database: Database, role: Role) -> None:
    program, _, rewards = await held(graph, database)
    with pytest.raises(NotFound):
        await review(database, rewards[0], APPROVE, by=Principal("x", frozenset({role}), frozenset(), 0))
    assert await rewards_of(database, program) == rewards


async def test_what_is_not_held_is_not_reviewed_and_a_reason_is_needed(graph: GraphClient, database: Database) -> None:
    program, _, _ = await refer(graph, database, cards=0)
    before = await rewards_of(database, program)
    with pytest.raises(RewardNotHeld):
        await review(database, before[0], DENY)
    after = await screen_all(graph, database, program)
    with pytest.raises(RewardNotHeld):
        await review(database, after[0], DENY)
    for reason, decision, fraud in ((" ", DENY, False), ("x" * 501, DENY, False), ("x", APPROVE, True)):
        with pytest.raises(KinshipError, match="REVIEW_INVALID"):
            await review(database, after[0], decision, reason=reason, fraud=fraud)
    assert await rewards_of(database, program) == after


async def test_a_referral_confirmed_as_fraud_is_rejected_with_all_its_rewards(
    graph: GraphClient, database: Database
) -> None:
    """Given two held rewards; when one is denied as fraud; then both are gone, and the case is confirmed."""
    program, lin, (first, second) = await held(graph, database)
    await review(database, first, DENY, fraud=True)
    rewards = {reward.id: (reward.status, reward.reason) for reward in await rewards_of(database, program)}
    assert rewards == {first.id: ("CANCELLED", "DENIED"), second.id: ("CANCELLED", "FRAUD")}
    assert await reserved(database, program) == 0
    async with database.read() as session:
        referral = await session.get_one(Referral, first.referral_id)
    assert (referral.status, referral.reason) == ("REJECTED", "FRAUD")
    assert [case.status for case in await cases_of(database, [lin])] == ["CONFIRMED"]


async def test_a_whole_case_is_decided_in_one_act_and_only_once(graph: GraphClient, database: Database) -> None:
    program, lin, people = await refer(graph, database, referees=3)
    rewards = await screen_all(graph, database, program)
    case_id = str(rewards[0].case_id)

    async def decide(decision: ReviewDecision) -> FraudCase:
        async with database.write() as session:
            return await decide_case(
                session, case_id=case_id, decision=decision, reason="a farm", reviewer=ADMIN, now=utc_now()
            )

    outcomes = await asyncio.gather(*(decide(one) for one in (DENY, APPROVE, DENY)), return_exceptions=True)
    decided = [one for one in outcomes if isinstance(one, FraudCase)]
    assert Counter(type(one).__name__ for one in outcomes) == {"FraudCase": 1, AlreadyReviewed.__name__: 2}
    statuses = {reward.status for reward in await rewards_of(database, program)}
    assert (decided[0].status, statuses) in (("CONFIRMED", {"CANCELLED"}), ("CLEARED", {"APPROVED"}))
    assert len(await cases_of(database, [lin, *people])) == 1


async def test_the_queue_shows_the_oldest_first(graph: GraphClient, database: Database) -> None:
    _, _, rewards = await held(graph, database)
    seen: list[ReferralReward] = []
    after = None
    while True:
        async with database.read() as session:
            page = await review_queue(session, first=7, after=after)
        seen += page.rows
        if not page.has_next:
            break
        after = page.cursors[-1]
    assert seen == sorted(seen, key=lambda row: (row.created_at, row.id))
    assert {row.id for row in rewards} <= {row.id for row in seen}
    assert all(row.status == "PENDING" and row.case_id for row in seen)
