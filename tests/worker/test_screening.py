"""Screening by the worker: cut off anywhere it is done once, nothing lets go in time, and rings are found over all."""

from datetime import timedelta

import pytest
from sqlmodel import col, select

from core.clock import utc_now
from core.db import Database
from core.outbox import Outbox, owed
from graph.client import GraphClient
from referrals.fraud_cases import members_of_cases
from referrals.rewards import REWARD_MADE, ReferralReward
from tests.referrals.programs import rewards_of
from tests.referrals.suspects import DEVICE, cases_of, refer, share
from worker.handlers import HANDLERS, settle
from worker.screening import search_rings
from worker.sweeps import sweep_outbox
from worker.work import Stores, Work

pytestmark = pytest.mark.anyio


async def made_effects(database: Database, program: str) -> list[str]:
    """The effects that screen a programme's rewards."""
    keys = [reward.key for reward in await rewards_of(database, program)]
    statement = select(Outbox.id).where(Outbox.topic == REWARD_MADE, col(Outbox.key).in_(keys))
    async with database.read() as session:
        return list((await session.exec(statement)).all())


async def test_a_screening_that_is_cut_off_is_done_once(
    graph: GraphClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a worker that ends after the screening and before its commit; when tried again; then one case holds."""
    program, lin, people = await refer(graph, database)
    screen = HANDLERS[REWARD_MADE]

    async def cut_off(work: Work) -> None:
        await screen(work)
        raise ConnectionResetError

    stores = Stores(database, graph)
    effects = await made_effects(database, program)
    with monkeypatch.context() as cut:
        cut.setitem(HANDLERS, REWARD_MADE, cut_off)
        assert [await settle(stores, effect) for effect in effects] == [False, False]
    assert await cases_of(database, [lin, *people]) == []
    assert {(reward.status, reward.case_id) for reward in await rewards_of(database, program)} == {("PENDING", None)}

    assert [await settle(stores, effect) for effect in effects] == [True, True]
    assert [await settle(stores, effect) for effect in effects] == [False, False]
    (case,) = await cases_of(database, [lin, *people])
    assert {(reward.status, reward.case_id) for reward in await rewards_of(database, program)} == {("PENDING", case.id)}


async def test_nothing_that_is_held_is_ever_due(graph: GraphClient, database: Database) -> None:
    """Given held rewards; when the worker has settled all; then nothing of them is owed, now or in ten years."""
    program, _, _ = await refer(graph, database)
    await sweep_outbox(Stores(database, graph))
    rewards = await rewards_of(database, program)
    assert {reward.status for reward in rewards} == {"PENDING"}
    async with database.read() as session:
        due = [row_id for _, row_id in await owed(session, now=utc_now() + timedelta(days=3_650), limit=10_000)]
        payloads = (await session.exec(select(Outbox.payload).where(col(Outbox.id).in_(due)))).all()
    ids = {reward.id for reward in rewards}
    assert not [payload for payload in payloads if payload.get("reward_id") in ids]


async def test_rings_are_searched_over_all_and_hold_what_is_not_issued(graph: GraphClient, database: Database) -> None:
    """Given rewards that were approved before their accounts turned out to share a device; then a search holds them."""
    program, lin, people = await refer(graph, database, cards=0, referees=7)
    stores = Stores(database, graph)
    for effect in await made_effects(database, program):
        await settle(stores, effect)
    assert {reward.status for reward in await rewards_of(database, program)} == {"APPROVED"}
    await share(graph, DEVICE, *people)

    first = await search_rings(database, graph)
    again = await search_rings(database, graph)

    (case,) = await cases_of(database, [lin])
    async with database.read() as session:
        members = {member.customer_id for member in await members_of_cases(session, [case.id])}
    held: list[ReferralReward] = await rewards_of(database, program)
    assert first["rings"] == again["rings"] >= 1
    assert (case.kind, case.status, members) == ("RING", "OPEN", {lin, *people})
    assert {(reward.status, reward.case_id) for reward in held} == {("PENDING", case.id)}
    await sweep_outbox(stores)
    assert {reward.status for reward in await rewards_of(database, program)} == {"PENDING"}
