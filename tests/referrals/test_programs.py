"""Programmes: what is not fair or not lawful is refused with the path of the field, and nothing is drafted."""

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import func, select

from core.clock import utc_now
from core.db import Database
from core.errors import NotFound
from referrals.programs import (
    ProgramInvalid,
    ProgramNotActive,
    ReferralProgram,
    activate_program,
    create_program,
    running_program,
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
        ({"steps": [step(referrer_points=-1)]}, ("definition", "steps", "0", "referrerPoints")),
        ({"steps": [step(within_days=0)]}, ("definition", "steps", "0", "withinDays")),
        ({"steps": [step(), step(fact_kind="TWO_KIND")]}, ("definition",)),
        ({"steps": [step(), step(name="two")]}, ("definition",)),
        ({"steps": [step()], "reward_depth": 2}, ("definition",)),
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
    with pytest.raises(ProgramNotActive):
        async with database.write() as session:
            await activate_program(session, program)
    with pytest.raises(NotFound):
        async with database.write() as session:
            await activate_program(session, "no-such")
