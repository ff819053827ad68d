"""Nearness of communities: one answer by whichever matrix is inverted, and lists without a dense matrix."""

import numpy as np
import pytest
from scipy.sparse import csr_array

import community.affinity as affinity
from community.affinity import AffinityPolicy, between_by_communities, between_by_customers, fit_affinity
from community.recommendation_choice import choose, hide
from community.recommendation_learning import ScoringPolicy, fit
from community.recommendation_scores import Evidence, recommend
from graph.export import Catalogue, Incidence
from tests.community.test_recommendation_scores import crowd, evidence_of, lists_of, matrix, names, taken_of


def some_weights(customers: int, communities: int, seed: int = 3) -> csr_array:
    chance = np.random.default_rng(seed)
    found = chance.random((customers, communities)) * (chance.random((customers, communities)) < 0.2)
    return csr_array(found.astype(np.float32))


@pytest.mark.parametrize("shape", [(60, 40), (40, 60), (5, 5)])
def test_both_inverses_are_one(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Given more customers or more communities; then both ways lead to the same matrix, in blocks of any size."""
    weights = some_weights(*shape)
    whole = between_by_communities(weights, AffinityPolicy())
    monkeypatch.setattr(affinity, "CELLS_AT_ONCE", 100)

    assert between_by_communities(weights, AffinityPolicy()) == pytest.approx(whole, abs=1e-6)
    assert between_by_customers(weights, AffinityPolicy()) == pytest.approx(whole, abs=1e-5)
    assert np.diagonal(whole).any() is np.False_


def test_what_nobody_is_in_is_near_to_nothing() -> None:
    weights = some_weights(30, 20).toarray()
    weights[:, 7] = 0.0
    found = fit_affinity(AffinityPolicy(), csr_array(weights))

    assert found.scale[7] == 0.0
    assert not found.between[7].any()
    assert not found.between[:, 7].any()
    assert not fit_affinity(AffinityPolicy(), csr_array((3, 4), dtype=np.float32)).between.any()


def test_too_many_communities_have_neighbours_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given that forty communities are too many for a dense matrix; then lists come from few neighbours of each."""
    dense = lists_of(crowd(5))
    monkeypatch.setattr(affinity, "LARGEST_DENSE", 10)
    near = fit_affinity(AffinityPolicy(neighbours=3), some_weights(60, 40)).between
    sparse = lists_of(crowd(5))

    assert max(np.diff(near.indptr)) == 3
    assert len(sparse) == len(dense) == 60
    assert sum(map(len, sparse)) > 200
    assert {reason["kind"] for found in sparse for item in found for reason in item.reasons} >= {"CO_MEMBERS"}


def test_what_is_hidden_is_gone_and_the_latest_can_be_chosen() -> None:
    """Given memberships with days; when one of each is hidden; then it is in no matrix, and the latest if asked."""
    world = crowd(4)
    pairs = sorted(world.members)
    days = {pair: float(18_000 + number) for number, pair in enumerate(pairs)}
    taken, joined = taken_of(world), matrix(days, 60, 40)
    rows = np.flatnonzero(np.diff(csr_array(taken > 0).indptr) >= 2)
    memberships = Incidence(names("c", 60), names("k", 40), taken, joined)
    hidden = hide(memberships, evidence_of(world, rows.tolist()), rows, latest=True, seed=1)

    for place, row in enumerate(rows.tolist()):
        held = int(hidden.held[place])
        assert days[row, held] == max(day for (who, _), day in days.items() if who == row)
        assert hidden.memberships.matrix[row, held] == hidden.evidence.taken[place, held] == 0
    assert hidden.memberships.matrix.nnz == taken.nnz - len(rows)


def test_a_policy_is_chosen_inside_the_data() -> None:
    """Given two halves of a town that share nothing; then a policy is chosen, the same again, that parts them."""
    chance = np.random.default_rng(2)
    town = np.zeros((200, 40), dtype=np.float32)
    for who in range(200):
        town[who, chance.choice(np.arange(20) + 20 * (who % 2), 6, replace=False)] = 1.0
    taken = csr_array(town)
    nothing, nobody = csr_array((200, 40), dtype=np.float32), csr_array((200, 200), dtype=np.float32)
    words = csr_array((200, 1), dtype=np.float32)
    evidence = Evidence(taken, nothing, words, nobody, nobody, nobody, nobody, np.zeros(200, np.uint64))
    catalogue = Catalogue(
        names("k", 40),
        np.ones(40, np.bool_),
        np.zeros(40, np.bool_),
        ["t"],
        csr_array((40, 1), dtype=np.float32),
        np.full(40, np.inf, np.float32),
        np.full((40, 2), np.nan),
    )
    memberships = Incidence(names("c", 200), names("k", 40), taken, nothing)
    rows = np.arange(200)
    chosen = choose(ScoringPolicy(), catalogue, memberships, evidence, rows, seed=5)

    assert choose(ScoringPolicy(), catalogue, memberships, evidence, rows, seed=5) == chosen
    model = fit(chosen, catalogue, memberships)
    for who, found in enumerate(recommend(model, evidence)):
        assert {int(item.community_id[1:]) // 20 for item in found[:10]} == {who % 2}
