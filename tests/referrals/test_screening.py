"""Screening: little evidence lets a reward go, much of it holds the reward in one case, and a household explains."""

import asyncio

import pytest

from core.clock import utc_now
from core.db import Database
from graph.client import GraphClient
from referrals.fraud_cases import members_of_cases
from referrals.fraud_rings import Ring
from referrals.fraud_signals import Assessment, FraudPolicy, PathStep, Signal
from referrals.households import declare_household
from referrals.reviews import ReviewDecision
from referrals.rewards import ReferralReward
from referrals.screening import hold_ring, screen_reward
from tests.referrals.programs import claim, code_of, make_people, rewards_of, settle, tell
from tests.referrals.suspects import DEVICE, cases_of, held, refer, review, screen_all, share

pytestmark = pytest.mark.anyio


async def test_a_referral_of_strangers_is_approved(graph: GraphClient, database: Database) -> None:
    program, lin, people = await refer(graph, database, cards=0)
    assert [reward.status for reward in await screen_all(graph, database, program)] == ["APPROVED", "APPROVED"]
    assert await cases_of(database, [lin, *people]) == []


async def test_a_shared_card_holds_both_sides_in_one_case_with_its_path(graph: GraphClient, database: Database) -> None:
    """Given a card of two; when both rewards are screened twice; then one case holds both and shows the path."""
    program, lin, people = await refer(graph, database)
    await screen_all(graph, database, program)
    rewards = await screen_all(graph, database, program)
    (case,) = await cases_of(database, [lin, *people])
    assert [(reward.status, reward.case_id) for reward in rewards] == [("PENDING", case.id)] * 2
    assert (case.kind, case.status, round(case.score, 6)) == ("PAIR", "OPEN", 0.6)
    (signal,) = case.signals
    ends = {step.customer_id for step in (signal.path[0], signal.path[2])}
    assert (signal.name, ends) == ("SHARED_CARD", {lin, *people})
    assert (signal.path[1].identifier_kind, signal.path[1].degree) == ("CARD", 2)
    async with database.read() as session:
        assert {member.customer_id for member in await members_of_cases(session, [case.id])} == {lin, *people}


async def test_an_exempted_card_is_no_evidence_between_the_members_of_a_household(
    graph: GraphClient, database: Database
) -> None:
    program, lin, people = await refer(graph, database)
    async with database.write() as session:
        await declare_household(session, customer_ids=[lin, *people], reason="one flat", actor="admin", now=utc_now())
    assert [reward.status for reward in await screen_all(graph, database, program)] == ["APPROVED", "APPROVED"]


async def test_alike_e_mail_addresses_add_to_the_score(graph: GraphClient, database: Database) -> None:
    """Given a shared device (0.4); when the addresses are alike too; then it is held, and not by the device alone."""
    program, lin, (wu,) = await refer(graph, database, cards=0)
    await share(graph, DEVICE, lin, wu)
    emails: dict[str, str | None] = {lin: "li.hongmei@163.com", wu: "lihongmei2@qq.com"}
    rewards = await screen_all(graph, database, program, emails=emails)
    (case,) = await cases_of(database, [lin])
    assert {reward.status for reward in rewards} == {"PENDING"}
    assert [signal.name for signal in case.signals] == ["SHARED_DEVICE", "SIMILAR_EMAIL"]


async def test_a_farm_grows_in_one_case_as_it_is_screened(graph: GraphClient, database: Database) -> None:
    """Given eight on one device who came by one referrer; when screened in turn; then one case of all nine."""
    program, lin, people = await refer(graph, database, cards=0, referees=8)
    await share(graph, DEVICE, *people)
    rewards = await screen_all(graph, database, program)
    (case,) = await cases_of(database, [lin])
    async with database.read() as session:
        members = await members_of_cases(session, [case.id])
    assert {reward.case_id for reward in rewards} == {case.id}
    assert case.kind == "RING"
    assert {member.customer_id for member in members} == {lin, *people}
    assert {signal.name for signal in case.signals} >= {"SHARED_DEVICE", "DEVICE_VELOCITY"}


async def test_screenings_at_once_make_one_case(graph: GraphClient, database: Database) -> None:
    program, lin, people = await refer(graph, database, referees=4)

    async def screen(reward: ReferralReward) -> None:
        async with database.write() as session:
            row = await session.get_one(ReferralReward, reward.id)
            await screen_reward(session, graph, row, emails={}, policy=FraudPolicy(), now=utc_now())

    await asyncio.gather(*(screen(reward) for reward in await rewards_of(database, program)))
    (case,) = await cases_of(database, [lin, *people])
    assert {reward.case_id for reward in await rewards_of(database, program)} == {case.id}


async def test_what_was_cleared_is_not_held_again_unless_there_is_something_new(
    graph: GraphClient, database: Database
) -> None:
    """Given a pair that was cleared; then its next step is approved; with a new device it is held."""
    program, lin, rewards = await held(graph, database)
    for reward in rewards:
        await review(database, reward, ReviewDecision.APPROVE)
    referee = next(reward.customer_id for reward in rewards if reward.customer_id != lin)
    await tell(database, referee, "EVENT_ATTENDED")
    await settle(database, referee)
    later = [one for one in await screen_all(graph, database, program) if one.step == "first-event"]
    assert [(one.status, one.case_id) for one in later] == [("APPROVED", None)]

    (sun,) = await make_people(graph, 1)
    await share(graph, DEVICE, lin, sun)
    await share(graph, DEVICE, lin, sun)
    await claim(database, graph, await code_of(database, program, lin), sun)
    await tell(database, sun, "IDENTITY_VERIFIED")
    await settle(database, sun)
    fresh = [one for one in await screen_all(graph, database, program) if one.case_id not in {None, rewards[0].case_id}]
    assert {one.status for one in fresh} == {"PENDING"}
    assert [case.status for case in await cases_of(database, [lin])] == ["CLEARED", "OPEN"]


def ring_of(*members: str) -> Ring:
    path = (PathStep(customer_id=members[0]), PathStep("USES", None, "DEVICE", len(members), "abcd1234"))
    return Ring(tuple(sorted(members)), Assessment(0.8, (Signal("SHARED_DEVICE", 0.3, path=path),)))


async def test_a_ring_holds_what_its_members_have_not_been_given_yet_and_a_release_issues_it(
    graph: GraphClient, database: Database
) -> None:
    """Given approved rewards; when a ring is found twice; then one case holds them, and approval owes them anew."""
    program, lin, people = await refer(graph, database, cards=0)
    await screen_all(graph, database, program)
    for _ in range(2):
        async with database.write() as session:
            await hold_ring(session, ring_of(lin, *people), now=utc_now())
    (case,) = await cases_of(database, [lin])
    rewards = await rewards_of(database, program)
    assert [(reward.status, reward.case_id) for reward in rewards] == [("PENDING", case.id)] * 2
    for reward in rewards:
        await review(database, reward, ReviewDecision.APPROVE)
    assert {reward.status for reward in await rewards_of(database, program)} == {"APPROVED"}
    async with database.write() as session:
        assert await hold_ring(session, ring_of(lin, *people), now=utc_now()) is None
    assert [case.status for case in await cases_of(database, [lin])] == ["CLEARED"]
