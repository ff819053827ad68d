"""Who is asked to refer: nobody with an open complaint, or whose last survey was bad."""

from datetime import timedelta
from typing import Any

import pytest

from core.clock import utc_now
from core.db import Database
from core.facts import NewFact, record_facts
from core.ids import new_id
from referrals.prompting import Silence, referral_prompt
from tests.loyalty.accounts import by_hand
from tests.referrals.programs import make_program

pytestmark = pytest.mark.anyio

SURVEY, FILED, CLOSED = "SURVEY_ANSWERED", "COMPLAINT_FILED", "COMPLAINT_CLOSED"
Told = tuple[str, dict[str, Any]]


async def asked(database: Database, program: str, customer: str | None) -> Silence | None:
    async with database.read() as session:
        return await referral_prompt(session, program_id=program, customer_id=customer, now=utc_now())


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([], None),
        ([(SURVEY, {"score": 7})], None),
        ([(SURVEY, {"score": 6})], Silence.BAD_SURVEY),
        ([(SURVEY, {"score": 0}), (SURVEY, {"score": 9})], None),
        ([(SURVEY, {"score": 10}), (SURVEY, {"score": 3})], Silence.BAD_SURVEY),
        (
            [(SURVEY, {"score": 3}), (SURVEY, {"score": "ten"}), (SURVEY, {}), (SURVEY, {"score": True})],
            Silence.BAD_SURVEY,
        ),
        ([(FILED, {"complaint": "1"})], Silence.OPEN_COMPLAINT),
        ([(FILED, {"complaint": "1"}), (CLOSED, {"complaint": "1"})], None),
        ([(FILED, {"complaint": "1"}), (CLOSED, {"complaint": "2"})], Silence.OPEN_COMPLAINT),
        ([(CLOSED, {"complaint": "1"}), (FILED, {"complaint": "1"})], Silence.OPEN_COMPLAINT),
        (
            [(FILED, {"complaint": "1"}), (FILED, {"complaint": "2"}), (CLOSED, {"complaint": "1"})],
            Silence.OPEN_COMPLAINT,
        ),
        ([(FILED, {"complaint": "1"}), (SURVEY, {"score": 10})], Silence.OPEN_COMPLAINT),
        ([("EVENT_RATED", {"stars": 1})], None),
    ],
)
async def test_what_happened_decides(database: Database, told: list[Told], expected: Silence | None) -> None:
    """Given facts that arrive in the reverse of their order, then the order in which they happened decides."""
    program, customer = await make_program(database), new_id()
    begin = utc_now() - timedelta(days=3)
    facts = [
        NewFact("test", new_id(), kind, customer, begin + timedelta(hours=number), payload)
        for number, (kind, payload) in enumerate(told)
    ]
    for fact in reversed(facts):
        async with database.write() as session:
            await record_facts(session, [fact], now=utc_now())
    assert await asked(database, program, customer) == expected


async def test_nobody_is_asked_for_a_programme_that_takes_nobody(database: Database) -> None:
    program = await make_program(database)
    assert await asked(database, program, None) == Silence.NOT_SIGNED_UP
    await by_hand(database, "UPDATE referral_program SET status = 'PAUSED' WHERE id = :id", id=program)
    assert await asked(database, program, new_id()) == Silence.PROGRAM_NOT_ACTIVE
    assert await asked(database, new_id(), new_id()) == Silence.PROGRAM_NOT_ACTIVE
