"""What is near in time: the definition, long absence, steps of any number, and what the memberships make of it."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import coo_array, csr_array

import community.recommendation_seasons as seasons
from community.recommendation_choice import SEASONS, choose
from community.recommendation_learning import ScoringPolicy
from community.recommendation_scores import Evidence
from community.recommendation_seasons import LATELY_DAYS, SeasonPolicy, fit_season
from graph.export import Incidence
from tests.community.plain_scores import World
from tests.community.test_recommendation_scores import catalogue_of, names

NEXT = SeasonPolicy(from_latest=True, before_days=5.0, after_days=100.0)


def days(*rows: dict[int, float], communities: int = 4) -> csr_array:
    """The day on which each customer joined each community."""
    found = [(row, community, day) for row, own in enumerate(rows) for community, day in own.items()]
    numbers = np.array(found, dtype=np.float64).reshape(-1, 3).T
    places = (numbers[0].astype(np.int64), numbers[1].astype(np.int64))
    return csr_array(coo_array((numbers[2].astype(np.float32), places), shape=(len(rows), communities)))


def test_what_comes_next_is_nearer_than_what_was_before() -> None:
    """Given joinings before and after one's latest; then the mean of both ways of fading, and nothing without days."""
    season = fit_season(NEXT, days({0: 1_000.0, 1: 1_100.0}, {0: 1_000.0, 2: 995.0}, {1: 1_000.0}))
    (found, nobody) = season.scores(NEXT, days({0: 900.0, 3: 1_000.0}, {}))

    after = np.exp(-1)
    assert found == pytest.approx([1.0, (1 + after) / 2, np.exp(-1), 0.0], abs=1e-6)
    assert not nobody.any()


def test_from_all_of_ones_joinings_the_mean_counts() -> None:
    policy = replace(NEXT, from_latest=False, before_days=100.0)
    season = fit_season(policy, days({0: 1_000.0}, {1: 1_100.0}))
    (found,) = season.scores(policy, days({2: 1_000.0, 3: 1_100.0}))

    assert found == pytest.approx([(1 + np.exp(-1)) / 2] * 2 + [0.0, 0.0], abs=1e-6)


def test_who_was_long_away_counts_as_of_late() -> None:
    """Given a model for today; then who joined long ago counts like who joined lately, others by their own."""
    joined = days({0: 1_000.0}, {1: 2_000.0})
    season = fit_season(NEXT, joined, today=2_000.0)
    old, lately, now = season.scores(NEXT, days({2: 1_000.0}, {2: 2_000.0 - LATELY_DAYS}, {2: 2_000.0}))

    assert old == pytest.approx(lately)
    assert old[1] == pytest.approx(np.exp(-LATELY_DAYS / 100.0), abs=1e-6)
    assert now[1] == pytest.approx(1.0)
    assert fit_season(NEXT, joined).scores(NEXT, days({2: 1_000.0}))[0, 0] == pytest.approx(1.0)


def test_parts_and_steps_may_be_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given parts of three joinings, the same; given few steps, what is far from the middle counts as at its end."""
    chance = np.random.default_rng(4)
    joined = days(*({int(c): float(chance.integers(0, 900)) for c in chance.integers(0, 4, 3)} for _ in range(50)))
    whole = fit_season(NEXT, joined)
    monkeypatch.setattr(seasons, "JOININGS_AT_ONCE", 3)
    assert (fit_season(NEXT, joined).nearness == whole.nearness).all()

    monkeypatch.setattr(seasons, "MOST_STEPS", 10)
    few = fit_season(NEXT, joined)
    assert len(few.nearness) == 21
    early, first = few.scores(NEXT, days({0: -5_000.0}, {0: few.first * few.width}))
    assert (early == first).all()


def test_many_communities_have_wider_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given twice as many communities as a dense matrix allows; then half as many steps; none without days."""
    joined = days({0: 0.0, 1: 400.0})
    fine = fit_season(NEXT, joined)
    monkeypatch.setattr(seasons, "LARGEST_DENSE", 2)

    assert (len(fine.nearness), len(fit_season(NEXT, joined).nearness)) == (81, 41)
    assert not fit_season(NEXT, days({}, {})).scores(NEXT, days({}, {})).any()


@pytest.mark.parametrize("latest", [True, False])
def test_the_memberships_choose_what_is_near_in_time(latest: bool) -> None:
    """Given thirty communities, of which people join four, one after the other, as each is founded.

    Then the latest is found by what comes next; any of them, by what goes together.
    """
    chance = np.random.default_rng(6)
    starts = chance.integers(0, 27, 300).tolist()
    joined = days(*({c: 20.0 * c for c in range(start, start + 4)} for start in starts), communities=30)
    taken = csr_array((np.ones_like(joined.data), joined.indices, joined.indptr), shape=joined.shape)
    world = World(people=300, communities=30, tags=1)
    nobody, words = csr_array((300, 300), dtype=np.float32), csr_array((300, 1), dtype=np.float32)
    evidence = Evidence(taken, joined, words, nobody, nobody, nobody, nobody, np.zeros(300, np.uint64))
    memberships = Incidence(names("c", 300), names("k", 30), taken, joined)
    chosen = choose(ScoringPolicy(), catalogue_of(world), memberships, evidence, np.arange(300), latest=latest, seed=3)

    assert chosen.season in SEASONS
    assert chosen.season.from_latest is latest
    assert chosen.weights.season > 0
