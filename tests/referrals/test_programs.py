"""Programmes: what is not fair or not lawful is refused with the path of the field, and nothing is drafted."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import func, select

from core.clock import utc_now
from core.db import Database, Session
from core.errors import NotFound
from referrals.definition import ProgramInvalid, parse_definition
from referrals.programs import (
    BudgetBelowReserved,
    MoneyBudget,
    ProgramEnded,
    ProgramNotActive,
    ReferralProgram,
    activate_program,
    create_program,
    end_program,
    pause_program,
    running_program,
    update_program,
    versions_of,
)
from tests.loyalty.accounts import by_hand
from tests.referrals.programs import STEPS, make_program

pytestmark = pytest.mark.anyio


def step(**more: Any) -> dict[str, Any]:
    return {"name": "one", "fact_kind": "ONE_KIND", "referrer_points": 1, **more}


@pytest.mark.parametrize(
    ("definition", "path"),
    [
        ({}, ("definition", "steps")),
        ({"steps": []}, ("definition", "steps")),
        ({"steps": [step(fact_kind="DEPOSIT_MADE")]}, ("definition", "steps", "0", "factKind")),
        ({"steps": [step(fact_kind="SAVINGS_BALANCE_UP")]}, ("definition", "steps", "0", "factKind")),
        ({"steps": [step(fact_kind="lower")]}, ("definition", "steps", "0", "factKind")),
        ({"steps": [step(fact_kind="REFERRAL_STEP_REACHED")]}, ("definition", "steps", "0", "factKind")),
        ({"steps": [step(reversed_by=["REFERRAL_STEP_UNDONE"])]}, ("definition", "steps", "0", "reversedBy")),
        ({"steps": [step(referrer_points=-1)]}, ("definition", "steps", "0", "referrerPoints")),
        ({"steps": [step(within_days=0)]}, ("definition", "steps", "0", "withinDays")),
        ({"steps": [step(), step(fact_kind="TWO_KIND")]}, ("definition",)),
        ({"steps": [step(), step(name="two")]}, ("definition",)),
        ({"steps": [step()], "reward_depth": 2}, ("definition",)),
        ({"steps": [step()], "reward_depth": 3}, ("definition", "rewardDepth")),
        ({"steps": [step(second_level_points=5)]}, ("definition",)),
        ({"steps": [step(reversed_by=["ONE_KIND"])]}, ("definition",)),
        ({"steps": [step()], "caps": [{"scope": "REFERRER"}]}, ("definition", "caps", "0")),
        ({"steps": [step()], "caps": [{"scope": "PROGRAM", "points": 0}]}, ("definition", "caps", "0", "points")),
        ({"steps": [step()], "caps": [{"scope": "PROGRAM", "points": 1, "step": "x"}]}, ("definition",)),
        ({"steps": [step()], "surprise": 1}, ("definition", "surprise")),
    ],
)
async def test_a_definition_that_cannot_be(database: Database, definition: dict[str, Any], path: tuple[str]) -> None:
    assert await refused(database, definition=definition) == path


async def test_names_dates_and_budget_are_checked(database: Database) -> None:
    assert await refused(database, name_zh=" ") == ("nameZh",)
    assert await refused(database, ends_at=utc_now() - timedelta(days=9)) == ("endsAt",)
    assert await refused(database, budget_points=-1) == ("budgetPoints",)


async def refused(database: Database, **change: Any) -> tuple[str, ...]:
    """The path of the refusal; it also checks that nothing was drafted."""
    count = select(func.count()).select_from(ReferralProgram)
    async with database.read() as session:
        before = (await session.exec(count)).one()
    given: dict[str, Any] = {"name_zh": "计划", "name_en": "Plan", "definition": {"steps": STEPS}}
    given |= {"starts_at": utc_now(), "ends_at": None, "budget_points": None}
    with pytest.raises(ProgramInvalid) as error:
        async with database.write() as session:
            await create_program(session, **{**given, **change}, now=utc_now())
    async with database.read() as session:
        assert (await session.exec(count)).one() == before
    return error.value.path


async def test_only_an_active_programme_inside_its_dates_takes_claims(database: Database) -> None:
    """Given a programme, then its start counts, its end does not, and a draft is not there at all."""
    ends = utc_now() + timedelta(days=1)
    program = await make_program(database, ends_at=ends)
    async with database.read() as session:
        row = await session.get_one(ReferralProgram, program)
        assert await running_program(session, program, now=row.starts_at)
        for instant in (row.starts_at - timedelta(microseconds=1), ends):
            with pytest.raises(ProgramNotActive):
                await running_program(session, program, now=instant)
        with pytest.raises(NotFound):
            await running_program(session, "no-such", now=ends)
    await by_hand(database, "UPDATE referral_program SET status = 'DRAFT' WHERE id = :id", id=program)
    async with database.read() as session:
        with pytest.raises(NotFound):
            await running_program(session, program, now=utc_now())


async def test_an_ended_programme_does_not_start_again(database: Database) -> None:
    program = await make_program(database)
    await by_hand(database, "UPDATE referral_program SET status = 'ENDED' WHERE id = :id", id=program)
    with pytest.raises(ProgramEnded):
        async with database.write() as session:
            await activate_program(session, program)
    with pytest.raises(NotFound):
        async with database.write() as session:
            await activate_program(session, "no-such")


async def test_a_second_level_needs_a_named_approval_and_a_third_is_refused_with_the_reason() -> None:
    steps = [step(second_level_points=5)]
    approved = parse_definition({"steps": steps, "reward_depth": 2, "second_level_approval": "Legal, 2026-11"})
    assert approved.reward_depth == 2
    with pytest.raises(ProgramInvalid) as error:
        parse_definition({"steps": steps, "reward_depth": 3, "second_level_approval": "Legal"})
    assert "pyramid" in (error.value.detail or "")


async def test_an_old_definition_reads_as_caps_of_each_step() -> None:
    """Given the field of before there were caps, then each step keeps its own count of a referrer's rewards."""
    old = parse_definition({"steps": [step(), step(name="two", fact_kind="TWO_KIND")], "rewards_per_referrer": 3})
    assert [(cap.scope, cap.rewards, cap.step) for cap in old.caps] == [("REFERRER", 3, "one"), ("REFERRER", 3, "two")]
    assert parse_definition({"steps": [step()], "rewards_per_referrer": None}).caps == ()


async def test_a_changed_definition_is_a_new_version_that_waits_to_be_activated(database: Database) -> None:
    program = await make_program(database)
    changed = {"steps": [step(referrer_points=7)]}
    async with database.write() as session:
        await update_program(session, program, {"name_en": "New"}, definition=changed, now=utc_now())
        await update_program(session, program, {}, definition=changed, now=utc_now())
    async with database.read() as session:
        row = await session.get_one(ReferralProgram, program)
        assert (row.name_en, row.active_version) == ("New", 1)
        assert [version.version for version in await versions_of(session, program)] == [2, 1]
    async with database.write() as session:
        await activate_program(session, program)
    async with database.write() as session:
        await activate_program(session, program, version=1)
        with pytest.raises(NotFound):
            await activate_program(session, program, version=9)
    async with database.read() as session:
        assert (await session.get_one(ReferralProgram, program)).active_version == 1


async def test_a_programme_goes_from_active_to_paused_and_back_and_ends_for_good(database: Database) -> None:
    program = await make_program(database)
    now = utc_now()

    async def act(turn: Callable[[Session], Awaitable[None]]) -> str:
        async with database.write() as session:
            await turn(session)
        async with database.read() as session:
            return (await session.get_one(ReferralProgram, program)).status

    assert await act(lambda session: pause_program(session, program)) == "PAUSED"
    with pytest.raises(ProgramNotActive):
        async with database.read() as session:
            await running_program(session, program, now=now)
    assert await act(lambda session: activate_program(session, program)) == "ACTIVE"
    assert await act(lambda session: end_program(session, program, now=now)) == "ENDED"
    assert await act(lambda session: end_program(session, program, now=now)) == "ENDED"
    for turn in (
        lambda session: pause_program(session, program),
        lambda session: update_program(session, program, {"name_en": "Late"}, definition=None, now=now),
    ):
        with pytest.raises(ProgramEnded):
            await act(turn)


async def test_a_draft_cannot_be_paused_and_a_budget_not_be_cut_below_what_is_promised(database: Database) -> None:
    program = await make_program(database, budget_points=100)
    await by_hand(database, "UPDATE referral_program SET reserved_points = 60 WHERE id = :id", id=program)
    with pytest.raises(BudgetBelowReserved):
        async with database.write() as session:
            await update_program(session, program, {"budget_points": 59}, definition=None, now=utc_now())
    async with database.write() as session:
        await update_program(session, program, {"budget_points": 60}, definition=None, now=utc_now())
    await by_hand(database, "UPDATE referral_program SET status = 'DRAFT' WHERE id = :id", id=program)
    with pytest.raises(ProgramNotActive):
        async with database.write() as session:
            await pause_program(session, program)


@pytest.mark.parametrize(
    ("money", "path"),
    [
        (MoneyBudget(-1, 1000, "CNY"), ("budgetMoney", "amount")),
        (MoneyBudget(1, 0, "CNY"), ("budgetMoney", "amountPerThousandPoints")),
        (MoneyBudget(1, 1000, "cny"), ("budgetMoney", "currency")),
    ],
)
async def test_a_budget_in_money_is_checked(database: Database, money: MoneyBudget, path: tuple[str, ...]) -> None:
    assert await refused(database, money=money) == path
