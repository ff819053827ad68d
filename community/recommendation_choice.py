"""Which policy fits the data: chosen by hiding one membership of some customers and looking where lists put it.

Nothing is tuned by hand for a population. First the season is tried, because what is near depends on what is near in
time. Then of the affinity's constants each is tried in turn, the others staying: what puts the hidden ones highest
wins, among those whose lists cover a good part more communities than lists without regard to popularity would. Then the
weights of the kinds of evidence are tried in turn in the same way.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from community.affinity import AffinityPolicy, Floats, entries_kept, fit_affinity, row_numbers, shape_of
from community.recommendation_learning import (
    Integers,
    Model,
    ScoringPolicy,
    Weights,
    eligible_of,
    fit,
    members_of,
    weights_of,
)
from community.recommendation_scores import Evidence, Scores, closed_to
from community.recommendation_seasons import SeasonPolicy, fit_season
from graph.export import Catalogue, Incidence

AT = 10
LARGEST_SAMPLE = 2_000
# Lists are to cover so many times the communities that plain affinity covers, as strongly regularised as finds most.
COVERED = 1.2
PLAIN = tuple(
    AffinityPolicy(regularisation=value, own_share=0.0, popularity_power=0.0, activity_power=0.0)
    for value in (10.0, 20.0, 50.0, 100.0, 200.0, 500.0)
)
Tries = Sequence[tuple[str, Sequence[float]]]
TRIED: Tries = (
    ("regularisation", (5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0)),
    ("popularity_power", (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)),
    ("activity_power", (0.0, 0.25, 0.5)),
    ("own_share", (0.0, 0.2, 0.5)),
)
# What goes together in time, and what comes next.
SEASONS: Sequence[SeasonPolicy] = (
    *(SeasonPolicy(from_latest=False, before_days=days, after_days=days) for days in (30.0, 60.0, 120.0)),
    *(SeasonPolicy(from_latest=True, before_days=5.0, after_days=days) for days in (60.0, 120.0, 240.0)),
)
# At 64 what is of another season counts for next to nothing.
SEASON: Tries = (("season", (0.0, 0.5, 1.0, 2.0, 4.0, 16.0, 64.0)),)
WEIGHTS: Tries = (
    *SEASON,
    ("tags", (0.0, 0.05, 0.1, 0.2, 0.5, 1.0)),
    ("acquaintances", (0.0, 0.05, 0.1, 0.2, 0.5, 1.0)),
    ("referral_ties", (0.0, 0.05, 0.1, 0.2, 0.5, 1.0)),
    ("nearby", (0.0, 0.05, 0.1, 0.2, 0.5)),
)
CROWD = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


@dataclass(frozen=True, slots=True)
class Found:
    """How well lists find what was hidden: nDCG at 10, and the share of all communities that they cover."""

    gain: float
    coverage: float


@dataclass(frozen=True, slots=True)
class Hidden:
    """Memberships less one of each of some customers (`rows`), and which it was."""

    memberships: Incidence
    evidence: Evidence
    held: Integers


def hide(memberships: Incidence, evidence: Evidence, rows: Integers, *, latest: bool, seed: int) -> Hidden:
    """Take one membership of each of these customers away, any or the latest; the evidence is of the same customers."""
    members = csr_array(memberships.matrix > 0)
    joined = memberships.joined if latest and memberships.joined.nnz else None
    chance = np.random.default_rng(seed)
    held = np.array([pick(members, joined, row, chance) for row in rows.tolist()], dtype=np.int64)
    own = np.arange(len(rows))
    hidden = replace(
        memberships,
        matrix=without(memberships.matrix, rows, held),
        joined=without(memberships.joined, rows, held),
    )
    shown = replace(evidence, taken=without(evidence.taken, own, held), joined=without(evidence.joined, own, held))
    return Hidden(hidden, shown, held)


def pick(members: csr_array, joined: csr_array | None, row: int, chance: np.random.Generator) -> int:
    own = members.indices[members.indptr[row] : members.indptr[row + 1]]
    if joined is None:
        return int(chance.choice(own))
    days = joined[[row]].toarray().ravel()[own]
    return int(own[np.flatnonzero(days == days.max())[-1]])


def without(matrix: csr_array, rows: Integers, columns: Integers) -> csr_array:
    """The matrix less these entries."""
    width = shape_of(matrix)[1]
    kept = ~np.isin(row_numbers(matrix) * width + matrix.indices, rows * width + columns)
    return entries_kept(matrix, kept, matrix.data[kept])


def look(total: Floats, closed: NDArray[np.bool_], held: Integers) -> Found:
    """Where the hidden ones are among all that could be recommended; what is tied with them is before them by half."""
    own = total[np.arange(len(held)), held][:, None]
    before = (total > own).sum(axis=1) + ((total == own) & ~closed).sum(axis=1) / 2 - 0.5
    gains = np.where(before < AT, 1 / np.log2(np.maximum(before, 0) + 2), 0.0)
    shown = np.argpartition(-total, min(AT, total.shape[1] - 1), axis=1)[:, :AT]
    return Found(float(gains.mean()), len(np.unique(shown)) / total.shape[1])


def choose(
    policy: ScoringPolicy,
    catalogue: Catalogue,
    memberships: Incidence,
    evidence: Evidence,
    rows: Integers,
    *,
    latest: bool = False,
    seed: int = 0,
) -> ScoringPolicy:
    """The policy that fits these customers (`rows` of the memberships, with their evidence) best.

    Each of them has at least two memberships; about two thousand of them are enough.
    """
    hidden = hide(memberships, evidence, rows, latest=latest, seed=seed)
    floor = COVERED * plain_coverage(catalogue, hidden)
    chosen = choose_season(policy, catalogue, hidden, floor) if hidden.memberships.joined.nnz else policy
    chosen = replace(chosen, affinity=choose_affinity(chosen, catalogue, hidden, floor))
    model = fit(chosen, catalogue, hidden.memberships)
    weights = choose_weights(chosen.weights, WEIGHTS, Scores(model, hidden.evidence), hidden.held, floor)
    return replace(chosen, weights=choose_crowd(weights, model, hidden, seed))


def plain_coverage(catalogue: Catalogue, hidden: Hidden) -> float:
    """Which part of all communities the lists cover that are made by plain affinity alone."""
    own, members = weights_of(hidden.evidence.taken), members_of(hidden.memberships.matrix)
    closed = closed_to(hidden.evidence.taken, eligible_of(catalogue))

    def found(plain: AffinityPolicy) -> Found:
        near = fit_affinity(plain, members).scores(own)
        near[closed] = -np.inf
        return look(near, closed, hidden.held)

    return max((found(plain) for plain in PLAIN), key=lambda one: one.gain).coverage


def choose_season(policy: ScoringPolicy, catalogue: Catalogue, hidden: Hidden, floor: float) -> ScoringPolicy:
    """Try each way to tell what is near in time, with each weight."""
    model = fit(policy, catalogue, hidden.memberships)
    best, most = policy, -1.0
    for season in SEASONS:
        tried = replace(policy, season=season)
        learnt = fit_season(season, hidden.memberships.joined)
        scores = Scores(replace(model, policy=tried, season=learnt), hidden.evidence)
        weights = choose_weights(policy.weights, SEASON, scores, hidden.held, floor)
        if (found := look(open_only(scores, weights), scores.closed, hidden.held).gain) > most:
            best, most = replace(tried, weights=weights), found
    return best


def choose_affinity(policy: ScoringPolicy, catalogue: Catalogue, hidden: Hidden, floor: float) -> AffinityPolicy:
    """Try each constant in turn."""
    own, weights = weights_of(hidden.evidence.taken), weights_of(hidden.memberships.matrix)
    closed = closed_to(hidden.evidence.taken, eligible_of(catalogue))
    season = fit_season(policy.season, hidden.memberships.joined).scores(policy.season, hidden.evidence.joined)
    in_season = 1 + policy.weights.season * season

    def worth(affinity: AffinityPolicy) -> tuple[bool, float]:
        """How well this affinity alone finds in its season what was hidden; below the floor, how much it covers."""
        near = np.maximum(fit_affinity(affinity, weights).scores(own), 0) * in_season
        near[closed] = -np.inf
        found = look(near, closed, hidden.held)
        return (True, found.gain) if found.coverage >= floor else (False, found.coverage)

    chosen = policy.affinity
    best = worth(chosen)
    for name, values in TRIED:
        for candidate in others(chosen, name, values):
            if (found := worth(candidate)) > best:
                chosen, best = candidate, found
    return chosen


def others(policy: Any, name: str, values: Sequence[float]) -> Iterator[Any]:
    """The same policy with each other value."""
    return (replace(policy, **{name: value}) for value in values if value != getattr(policy, name))


def choose_weights(weights: Weights, tries: Tries, scores: Scores, held: Integers, floor: float) -> Weights:
    """Try each weight in turn, twice; lists that covered enough are to cover enough, and others no less."""

    def found(candidate: Weights) -> Found:
        return look(open_only(scores, candidate), scores.closed, held)

    least = min(floor, found(weights).coverage)

    def worth(candidate: Weights) -> float:
        at = found(candidate)
        return at.gain if at.coverage >= least else -1.0

    for _ in range(2):
        weights = tried_in_turn(weights, tries, worth)
    return weights


def choose_crowd(weights: Weights, model: Model, hidden: Hidden, seed: int) -> Weights:
    """Try how much little history follows the crowd, with those customers left with one membership."""
    evidence, some = one_only(hidden.evidence, seed)
    scores = Scores(model, evidence)

    def worth(candidate: Weights) -> float:
        return look(open_only(scores, candidate), scores.closed, hidden.held[some]).gain

    return tried_in_turn(weights, (("popularity", CROWD),), worth)


def one_only(evidence: Evidence, seed: int) -> tuple[Evidence, Integers]:
    """The evidence of those who have memberships, as if they had but one of them, and their rows.

    Any one: the first by their ids are the oldest, and those that everybody has.
    """
    members = csr_array(evidence.taken > 0)
    counts = np.diff(members.indptr)
    some = np.flatnonzero(counts)
    chance = np.random.default_rng(seed)
    kept = members.indices[members.indptr[some] + chance.integers(0, counts[some])]
    values = (np.ones(len(some), np.float32), kept, np.arange(len(some) + 1))
    ones = csr_array(values, shape=(len(some), shape_of(members)[1]))
    own = evidence.part_of(some)
    return replace(own, taken=ones, joined=csr_array(own.joined * ones)), some


def tried_in_turn(weights: Weights, values: Tries, worth: Callable[[Weights], float]) -> Weights:
    best = worth(weights)
    for name, tries in values:
        for candidate in others(weights, name, tries):
            if (found := worth(candidate)) > best + 1e-6:
                weights, best = candidate, found
    return weights


def open_only(scores: Scores, weights: Weights) -> Floats:
    """What the weights make of the parts, what cannot be recommended being last."""
    total = scores.combined(weights)
    total[scores.closed] = -np.inf
    return total
