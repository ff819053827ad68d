"""Risk assessments: valid to the instant, and no more of them than there may be, whatever number of writers tries."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import col, select

from core.clock import utc_now
from core.days import add_months
from core.db import Database
from core.errors import Refusal
from core.ids import new_id
from core.outbox import Outbox
from service.assessments import (
    RISK_CLASS_CHANGED,
    Answered,
    AssessmentsOfDayUsed,
    AssessmentsOfPeriodUsed,
    HorizonInvalid,
    InteractionNeeded,
    InteractionType,
    assess_suitability,
    current_assessments,
    expiry_of,
)
from service.questionnaire_definition import AnswersInvalid
from service.risk_questionnaires import (
    QuestionnaireStatus,
    RiskQuestionnaire,
    RiskQuestionnaireRetired,
    activate_risk_questionnaire,
    active_questionnaire,
    create_risk_questionnaire,
)
from service.suitability import Liquidity, RiskClass
from tests.service.suiting import ANSWERS, answers_of, assess_one, assessed, assessments_of

pytestmark = pytest.mark.anyio

SHANGHAI = ZoneInfo("Asia/Shanghai")
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


def at(year: int, month: int, day: int, hour: int = 12, minute: int = 0) -> datetime:
    """A wall time of the bank."""
    return datetime(year, month, day, hour, minute, tzinfo=SHANGHAI).astimezone(UTC)


async def attempts(database: Database, customer_id: str, *instants: datetime) -> list[str]:
    """What became of assessments one after the other."""
    found: list[str] = []
    for now in instants:
        try:
            await assess_one(database, customer_id, now=now)
            found.append("ok")
        except Refusal as refusal:
            found.append(refusal.code)
    return found


def test_it_holds_for_twelve_months_of_the_calendar() -> None:
    zone = "Asia/Shanghai"
    assert expiry_of(at(2026, 11, 29, 9, 30), 12, zone) == at(2027, 11, 29, 9, 30)
    assert expiry_of(at(2028, 2, 29), 12, zone) == at(2029, 2, 28)
    # In the bank's zone it is the 1st of March already.
    assert expiry_of(datetime(2026, 2, 28, 17, tzinfo=UTC), 12, zone) == datetime(2027, 2, 28, 17, tzinfo=UTC)


async def test_two_a_day_of_the_bank_and_a_new_day_begins_at_its_midnight(database: Database) -> None:
    customer = new_id()
    day = at(2026, 11, 29, 0, 0)
    found = await attempts(database, customer, day - SECOND, day, day + SECOND, day + DAY - SECOND, day + DAY)
    assert found == ["ok", "ok", "ok", AssessmentsOfDayUsed.code, "ok"]


async def test_eight_in_twelve_months_and_the_ninth_when_the_first_is_a_year_old(database: Database) -> None:
    customer = new_id()
    first = at(2026, 1, 15)
    eight = [first, *(at(2026, month, 15) for month in range(2, 9))]
    assert await attempts(database, customer, *eight) == ["ok"] * 8
    assert (
        await attempts(database, customer, at(2026, 9, 1), at(2027, 1, 14, 23, 59))
        == [AssessmentsOfPeriodUsed.code] * 2
    )
    assert await attempts(database, customer, at(2027, 1, 15, 0, 0), at(2027, 1, 15, 1, 0)) == [
        "ok",
        AssessmentsOfPeriodUsed.code,
    ]


@pytest.mark.parametrize("before", [0, 1])
async def test_many_at_once_are_two_a_day(pools: list[Database], before: int) -> None:
    """Given sixteen writers of four processes; then exactly two assessments of the day are there."""
    customer, now = new_id(), at(2026, 11, 29)
    for _ in range(before):
        await assess_one(pools[0], customer, now=now)

    async def attempt(number: int) -> str:
        return (await attempts(pools[number % 4], customer, now + number * SECOND))[0]

    found = Counter(await asyncio.gather(*(attempt(number) for number in range(16))))
    assert found == {"ok": 2 - before, AssessmentsOfDayUsed.code: 14 + before}
    assert len(await assessments_of(pools[0], customer)) == 2


async def test_many_at_once_are_eight_in_twelve_months(pools: list[Database]) -> None:
    """Given seven in the months before; when sixteen write at once on three days; then one of them is the eighth."""
    customer, now = new_id(), at(2026, 11, 29)
    assert await attempts(pools[0], customer, *(now - number * 30 * DAY for number in range(8, 1, -1))) == ["ok"] * 7

    async def attempt(number: int) -> str:
        return (await attempts(pools[number % 4], customer, now + (number % 3) * DAY))[0]

    found = Counter(await asyncio.gather(*(attempt(number) for number in range(16))))
    assert found == {"ok": 1, AssessmentsOfPeriodUsed.code: 15}
    assert len(await assessments_of(pools[0], customer)) == 8


class PlainCounter:
    """The limits, read from a calendar on the wall."""

    def __init__(self) -> None:
        self.taken: list[datetime] = []

    def take(self, now: datetime) -> bool:
        today = now.astimezone(SHANGHAI).date()
        days = [one.astimezone(SHANGHAI).date() for one in self.taken]
        within = [day for day in days if day > add_months(today, -12)]
        if len(within) >= 8 or sum(day == today for day in days) >= 2:
            return False
        self.taken.append(now)
        return True


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hours=st.lists(st.integers(0, 24 * 60), min_size=1, max_size=25))
async def test_the_limits_are_those_of_a_calendar_on_the_wall(database: Database, hours: list[int]) -> None:
    customer, plain, now = new_id(), PlainCounter(), at(2025, 3, 3)
    for passed in hours:
        now += timedelta(hours=passed)
        assert (await attempts(database, customer, now) == ["ok"]) == plain.take(now)


@pytest.mark.parametrize("risk_class", list(ANSWERS))
async def test_the_first_questionnaire_reaches_every_class(database: Database, risk_class: RiskClass) -> None:
    found = await assess_one(database, new_id(), risk_class)
    assert found.risk_class == risk_class


async def test_the_latest_counts_also_when_it_is_over(database: Database) -> None:
    one, other, now = new_id(), new_id(), at(2026, 11, 29)
    await assess_one(database, one, RiskClass.C5, now=now - 400 * DAY)
    late = await assess_one(database, one, RiskClass.C1, now=now - 380 * DAY)
    async with database.read() as session:
        found = await current_assessments(session, [one, other], now=now)
        before = await current_assessments(session, [one], now=now - 390 * DAY)
    assert {key: row.id for key, row in found.items()} == {one: late.id}
    assert before[one].risk_class == "C5"


async def test_each_owes_one_look_at_what_is_held(database: Database) -> None:
    customer = new_id()
    row = await assess_one(database, customer)
    async with database.read() as session:
        owed = (
            await session.exec(select(Outbox).where(Outbox.topic == RISK_CLASS_CHANGED, Outbox.key == row.id))
        ).one()
    assert owed.payload == {"customer_id": customer}


async def test_what_is_refused_leaves_nothing(database: Database) -> None:
    customer, now = new_id(), utc_now()
    async with database.read() as session:
        active = await active_questionnaire(session)
    good = answers_of(active.parsed(), RiskClass.C3)
    cases: list[tuple[type[Refusal], Answered]] = [
        (RiskQuestionnaireRetired, Answered(new_id(), good, 12, Liquidity.DAILY)),
        (AnswersInvalid, Answered(active.id, {**good, "age": "none-of-these"}, 12, Liquidity.DAILY)),
        (HorizonInvalid, Answered(active.id, good, -1, Liquidity.DAILY)),
        (HorizonInvalid, Answered(active.id, good, 601, Liquidity.DAILY)),
        (InteractionNeeded, Answered(active.id, good, 12, Liquidity.DAILY, entered_by="rm")),
    ]
    for refused, said in cases:
        with pytest.raises(refused):
            async with database.write() as session:
                await assess_suitability(session, customer, said, now=now)
    assert await assessments_of(database, customer) == []
    said = Answered(active.id, good, 12, Liquidity.DAILY, InteractionType.BRANCH, "rm")
    async with database.write() as session:
        row = await assess_suitability(session, customer, said, now=now)
    assert (row.interaction, row.entered_by, row.answers) == ("BRANCH", "rm", good)


async def test_a_new_version_is_answered_from_its_activation_on_and_old_assessments_stay(database: Database) -> None:
    """Given a draft; when eight activate it at once; then one version is active, and is put back for other tests."""
    now = utc_now()
    async with database.write() as session:
        before = await active_questionnaire(session)
        old = await assessed(session, new_id(), RiskClass.C4, now=now)
        draft = await create_risk_questionnaire(session, before.definition, actor="he", now=now)
    assert draft.status == QuestionnaireStatus.DRAFT

    async def activate() -> None:
        async with database.write() as session:
            await activate_risk_questionnaire(session, draft.id, actor="he", now=now)

    await asyncio.gather(*(activate() for _ in range(8)))
    try:
        async with database.read() as session:
            actives = select(RiskQuestionnaire.id).where(col(RiskQuestionnaire.status) == QuestionnaireStatus.ACTIVE)
            assert (await session.exec(actives)).all() == [draft.id]
            found = await current_assessments(session, [old.customer_id], now=now)
        assert found[old.customer_id].questionnaire_id == before.id
        with pytest.raises(RiskQuestionnaireRetired):
            async with database.write() as session:
                said = Answered(before.id, answers_of(before.parsed(), RiskClass.C3), 12, Liquidity.DAILY)
                await assess_suitability(session, new_id(), said, now=now)
        with pytest.raises(RiskQuestionnaireRetired):
            async with database.write() as session:
                await activate_risk_questionnaire(session, before.id, actor="he", now=now)
    finally:
        async with database.write() as session:
            again = await create_risk_questionnaire(session, before.definition, actor="he", now=now)
            await activate_risk_questionnaire(session, again.id, actor="he", now=now)
