"""Figures of the service: those of a plain reading of what was put, each of its period alone."""

import statistics
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.db import Database
from core.fact_kinds import COMPLAINT_FILED, COMPLAINT_FIRST_RESPONSE_LATE, FOLLOW_UP_MISSED, INTERACTION_LOGGED
from core.ids import new_id
from service.kpis import Kpis, Repair, program_kpis
from service.recovery import expire_break
from service.survey_results import PeriodInvalid
from service.survey_rows import SurveyKind
from tests.service.promised import (
    DAY,
    NOON,
    answer,
    happen,
    make_rule,
    own_kind,
    put_fact,
    put_survey,
    recover,
    twice_in,
)

pytestmark = pytest.mark.anyio

PLACES = iter(range(10**6))


def own_start() -> datetime:
    """The first of a hundred days in which no other test does anything, centuries ahead."""
    return NOON + (400_000 + 200 * next(PLACES)) * DAY


async def kpis(database: Database, since: datetime, days: int = 100) -> Kpis:
    async with database.read() as session:
        return await program_kpis(session, since=since, until=since + days * DAY)


async def test_breaks_are_counted_by_rule_with_the_median_of_their_repair(database: Database) -> None:
    """Given five breaks, three repaired in 1, 2 and 5 days, two of them in time, then the median is 2 days."""
    start, kind = own_start(), own_kind()
    rule = await make_rule(database, twice_in(30, kind, 1), applies_from=start, recover_days=3, expires_days=10)
    found = [(await happen(database, kind, new_id(), start))[0] for _ in range(5)]
    for break_id, days in zip(found, (1, 2, 5), strict=False):
        await recover(database, break_id, start + days * DAY)
    async with database.write() as session:
        assert await expire_break(session, found[3], now=start + 10 * DAY)
    await happen(database, kind, new_id(), start + 100 * DAY)
    (row,) = (await kpis(database, start)).breaks
    assert (row.rule_id, row.found, row.open, row.recovered, row.expired, row.in_time) == (rule, 5, 1, 3, 1, 2)
    assert row.median_seconds == 2 * 86_400
    await recover(database, found[4], start + 3 * DAY)
    (row,) = (await kpis(database, start)).breaks
    assert (row.in_time, row.median_seconds) == (3, 2.5 * 86_400)


async def test_satisfaction_is_told_apart_by_whether_breaks_were_repaired_before_the_answer(database: Database) -> None:
    """Given five who answered after the repair, five before it and five without a break, then each has its score."""
    start, kind = own_start(), own_kind()
    await make_rule(database, twice_in(30, kind, 1), applies_from=start)
    for score, repaired_after in ((9, 1), (3, 5), (8, None)):
        for _ in range(5):
            customer = new_id()
            found = "" if repaired_after is None else (await happen(database, kind, customer, start))[0]
            survey = await put_survey(database, customer, start)
            if repaired_after == 1:
                await recover(database, found, start + DAY)
            await answer(database, survey, customer, score, at=start + 2 * DAY)
            if repaired_after == 5:
                await recover(database, found, start + 5 * DAY)
    figures = (await kpis(database, start)).satisfaction
    scores = {key: result.promotion and result.promotion.score for key, result in figures.items()}
    nps = SurveyKind.NPS
    assert scores == {(nps, Repair.REPAIRED): 100, (nps, Repair.UNREPAIRED): -100, (nps, Repair.NONE): 0}


async def test_nothing_is_told_of_four_answers(database: Database) -> None:
    start = own_start()
    for _ in range(4):
        customer = new_id()
        await answer(database, await put_survey(database, customer, start), customer, 9, at=start)
    assert (await kpis(database, start)).satisfaction == {}


async def test_invitations_and_facts_are_counted_in_their_period(database: Database) -> None:
    start = own_start()
    for number in range(4):
        customer = new_id()
        survey = await put_survey(database, customer, start)
        if number:
            await answer(database, survey, customer, 9, at=start)
    await put_survey(database, new_id(), start + 100 * DAY)
    for kind, count in (
        (COMPLAINT_FILED, 3),
        (COMPLAINT_FIRST_RESPONSE_LATE, 1),
        (INTERACTION_LOGGED, 2),
        (FOLLOW_UP_MISSED, 1),
    ):
        for _ in range(count):
            await put_fact(database, kind, new_id(), start + timedelta(hours=1))
        await put_fact(database, kind, new_id(), start + 100 * DAY)
        await put_fact(database, kind, new_id(), start - timedelta(seconds=1))
    found = await kpis(database, start)
    assert (found.invited, found.answered) == (4, 3)
    assert found.facts == {
        "COMPLAINT_FILED": 3,
        "COMPLAINT_CLOSED": 0,
        "COMPLAINT_FIRST_RESPONSE_LATE": 1,
        "INTERACTION_LOGGED": 2,
        "FOLLOW_UP_MISSED": 1,
    }


async def test_a_period_is_not_longer_than_a_year(database: Database) -> None:
    for days in (0, 367):
        with pytest.raises(PeriodInvalid):
            await kpis(database, NOON, days)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(seconds=st.lists(st.integers(0, 86_400), min_size=1, max_size=9))
async def test_medians_are_those_of_a_plain_reading(database: Database, seconds: Sequence[int]) -> None:
    start, kind = own_start(), own_kind()
    await make_rule(database, twice_in(30, kind, 1), applies_from=start)
    for one in seconds:
        (found,) = await happen(database, kind, new_id(), start)
        await recover(database, found, start + timedelta(seconds=one))
    (row,) = (await kpis(database, start)).breaks
    assert row.median_seconds == pytest.approx(statistics.median(seconds))
