"""What answers come to: the figures of the literature, groups of which nothing is told, and intervals that hold."""

import random
from collections import Counter
from collections.abc import Sequence
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.db import Database
from core.ids import new_id
from service.survey_figures import FEWEST_ANSWERS, Promotion, Satisfaction
from service.survey_results import PeriodInvalid, ResultGroup, Results, survey_results
from service.survey_rows import SurveyKind
from tests.service.promised import DAY, NOON, put_survey

pytestmark = pytest.mark.anyio

PLACES = iter(range(10**6))


def test_intervals_are_those_of_their_sources() -> None:
    """Given the example of Rocks's adjusted Wald by hand, and Wilson's of 9 in 10, then they come out."""
    found = Promotion(10, 5, 2)
    assert found.score == 30
    # (5.75 - 2.75) / 13 = 0.230769, and the variance (8.5 / 13 - 0.230769²) / 13 = 0.046200.
    assert found.interval.low == pytest.approx(100 * (0.2307692 - 1.959964 * 0.0462008**0.5), abs=0.01)
    assert found.interval.high == pytest.approx(100 * (0.2307692 + 1.959964 * 0.0462008**0.5), abs=0.01)
    # As tables have it: 0.596 to 0.982.
    stars = Satisfaction(10, 9, 44)
    assert (stars.share, stars.mean) == (90, 4.4)
    assert (stars.interval.low, stars.interval.high) == pytest.approx((59.6, 98.2), abs=0.1)


def test_where_all_agree_there_is_still_doubt() -> None:
    assert Promotion(5, 5, 0).interval.low < 90
    assert Promotion(5, 5, 0).interval.high == 100
    assert Satisfaction(5, 5, 25).interval.low < 60


def test_intervals_hold_as_often_as_they_say() -> None:
    """Given 2,000 samples of 40 answers with a known share of each, then about 95 % of intervals hold the truth."""
    chance, held = random.Random(5), 0
    for _ in range(2_000):
        drawn = Counter(chance.choices("pqd", weights=(0.5, 0.3, 0.2), k=40))
        interval = Promotion(40, drawn["p"], drawn["d"]).interval
        held += interval.low <= 30 <= interval.high
    assert 0.93 < held / 2_000 < 0.97


async def answered(
    database: Database, day: int, score: int, kind: str = "NPS", tier: str = "MASS", community: str | None = None
) -> None:
    at = NOON + day * DAY
    await put_survey(
        database,
        new_id(),
        at,
        kind=kind,
        score=score,
        answered_at=at,
        answered_month=date(at.year, at.month, 1),
        tier=tier,
        community_id=community,
    )


async def results(
    database: Database, place: int, kind: SurveyKind, by: ResultGroup = ResultGroup.ALL, days: int = 30
) -> Results:
    since = NOON + place * DAY
    async with database.read() as session:
        return await survey_results(session, kind, since=since, until=since + days * DAY, occasion=None, by=by)


def own_place() -> int:
    """The first of forty days in which no other test answers, centuries ahead."""
    return 100_000 + 40 * next(PLACES)


async def test_groups_of_fewer_than_five_are_not_told_nor_what_betrays_them(database: Database) -> None:
    """Given five and six of two tiers and two of a third, then the five are left out as well: they betray the two."""
    place = own_place()
    for tier, count in (("MASS", 6), ("POTENTIAL", 5), ("VIP", 2)):
        for _ in range(count):
            await answered(database, place, 9, tier=tier)
    found = await results(database, place, SurveyKind.NPS, ResultGroup.TIER)
    assert [(one.key, one.answers) for one in found.groups] == [("MASS", 6)]
    assert found.hidden == 7
    for _ in range(3):
        await answered(database, place, 0, tier="VIP")
    found = await results(database, place, SurveyKind.NPS, ResultGroup.TIER)
    assert [(one.key, one.answers) for one in found.groups] == [("MASS", 6), ("POTENTIAL", 5), ("VIP", 5)]
    assert (await results(database, own_place(), SurveyKind.NPS)).groups == []


async def test_results_are_grouped_by_month_and_community(database: Database) -> None:
    place, one, two = own_place(), new_id(), new_id()
    for community, day, score in ((one, 0, 5), (two, 30, 3)):
        for _ in range(5):
            await answered(database, place + day, score, kind="CSAT", community=community)
    by_community = await results(database, place, SurveyKind.CSAT, ResultGroup.COMMUNITY, 40)
    figures = {group.key: group.satisfaction for group in by_community.groups}
    assert {key: figure and figure.mean for key, figure in figures.items()} == {one: 5, two: 3}
    by_month = await results(database, place, SurveyKind.CSAT, ResultGroup.MONTH, 40)
    first, last = ((NOON + day * DAY).date().replace(day=1) for day in (place, place + 30))
    assert [(group.key, group.answers) for group in by_month.groups] == [(str(first), 5), (str(last), 5)]


async def test_a_period_is_not_longer_than_two_years(database: Database) -> None:
    for days in (0, -1, 732):
        with pytest.raises(PeriodInvalid):
            await results(database, 0, SurveyKind.NPS, days=days)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(scores=st.lists(st.integers(0, 10), min_size=1, max_size=14))
async def test_results_are_those_of_a_plain_reading(database: Database, scores: Sequence[int]) -> None:
    """Given any scores, then counts, score, mean and share are those of a list, or nothing of fewer than five."""
    place = own_place()
    for score in scores:
        await answered(database, place, score)
        await answered(database, place, score % 5 + 1, kind="CSAT")
    nps, csat = [await results(database, place, kind) for kind in (SurveyKind.NPS, SurveyKind.CSAT)]
    if len(scores) < FEWEST_ANSWERS:
        assert (nps.groups, nps.hidden, csat.hidden) == ([], len(scores), len(scores))
        return
    promotion, satisfaction = nps.groups[0].promotion, csat.groups[0].satisfaction
    assert promotion is not None and satisfaction is not None
    kinds = Counter("promoter" if score >= 9 else "passive" if score >= 7 else "detractor" for score in scores)
    assert promotion.score == pytest.approx(100 * (kinds["promoter"] - kinds["detractor"]) / len(scores))
    stars = [score % 5 + 1 for score in scores]
    assert satisfaction.mean == pytest.approx(sum(stars) / len(stars))
    assert satisfaction.share == pytest.approx(100 * sum(star >= 4 for star in stars) / len(stars))
    assert promotion.interval.low <= promotion.interval.high
