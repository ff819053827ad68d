"""Which policy fits the data: chosen by hiding one membership of some customers and looking where lists put it.

Nothing is tuned by hand for a population. Of the affinity's constants each is tried in turn, the others staying: what
puts the hidden ones highest wins, among those whose lists cover a good part more communities than lists without regard
to popularity would. Then the weights of the kinds of evidence are tried in turn in the same way.
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
from graph.export import Catalogue, Incidence

AT = 10
LARGEST_SAMPLE = 1_000
# Lists are to cover so many times the communities that plain affinity covers.
COVERED = 1.15
PLAIN = AffinityPolicy(regularisation=50.0, own_share=0.0, popularity_power=0.0, activity_power=0.0)
TRIED: Sequence[tuple[str, Sequence[float]]] = (
    ("regularisation", (5.0, 10.0, 20.0, 40.0, 80.0, 160.0)),
    ("popularity_power", (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)),
    ("activity_power", (0.0, 0.25, 0.5)),
    ("own_share", (0.0, 0.2, 0.5)),
)
WEIGHTS: Sequence[tuple[str, Sequence[float]]] = (
    ("season", (0.0, 0.5, 1.0, 2.0, 4.0)),
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

    Each of them has at least two memberships; about a thousand of them are enough.
    """
    hidden = hide(memberships, evidence, rows, latest=latest, seed=seed)
    chosen = replace(policy, affinity=choose_affinity(policy.affinity, catalogue, hidden))
    model = fit(chosen, catalogue, hidden.memberships)
    chosen = replace(chosen, weights=choose_weights(chosen.weights, Scores(model, hidden.evidence), hidden.held))
    return replace(chosen, weights=choose_crowd(chosen.weights, model, hidden))


def choose_affinity(chosen: AffinityPolicy, catalogue: Catalogue, hidden: Hidden) -> AffinityPolicy:
    """Try each constant in turn."""
    own, weights = weights_of(hidden.evidence.taken), weights_of(hidden.memberships.matrix)
    closed = closed_to(hidden.evidence.taken, eligible_of(catalogue))

    def tried(affinity: AffinityPolicy, learnt_from: csr_array) -> Found:
        """How well this affinity alone finds what was hidden."""
        near = fit_affinity(affinity, learnt_from).scores(own)
        near[closed] = -np.inf
        return look(near, closed, hidden.held)

    floor = COVERED * tried(PLAIN, members_of(hidden.memberships.matrix)).coverage

    def worth(found: Found) -> tuple[bool, float]:
        return (True, found.gain) if found.coverage >= floor else (False, found.coverage)

    best = worth(tried(chosen, weights))
    for name, values in TRIED:
        for candidate in others(chosen, name, values):
            if (found := worth(tried(candidate, weights))) > best:
                chosen, best = candidate, found
    return chosen


def others(policy: Any, name: str, values: Sequence[float]) -> Iterator[Any]:
    """The same policy with each other value."""
    return (replace(policy, **{name: value}) for value in values if value != getattr(policy, name))


def choose_weights(weights: Weights, scores: Scores, held: Integers) -> Weights:
    """Try each weight in turn, twice."""

    def worth(candidate: Weights) -> float:
        return look(open_only(scores, candidate), scores.closed, held).gain

    for _ in range(2):
        weights = tried_in_turn(weights, WEIGHTS, worth)
    return weights


def choose_crowd(weights: Weights, model: Model, hidden: Hidden) -> Weights:
    """Try how much little history follows the crowd, with those customers left with one membership."""
    evidence, some = first_only(hidden.evidence)
    scores = Scores(model, evidence)

    def worth(candidate: Weights) -> float:
        return look(open_only(scores, candidate), scores.closed, hidden.held[some]).gain

    return tried_in_turn(weights, (("popularity", CROWD),), worth)


def first_only(evidence: Evidence) -> tuple[Evidence, Integers]:
    """The evidence of those who have memberships, as if they had but their first, and their rows."""
    members = csr_array(evidence.taken > 0)
    some = np.flatnonzero(np.diff(members.indptr))
    kept = members.indices[members.indptr[some]]
    values = (np.ones(len(some), np.float32), kept, np.arange(len(some) + 1))
    ones = csr_array(values, shape=(len(some), shape_of(members)[1]))
    own = evidence.part_of(some)
    return replace(own, taken=ones, joined=csr_array(own.joined * ones)), some


def tried_in_turn(
    weights: Weights, values: Sequence[tuple[str, Sequence[float]]], worth: Callable[[Weights], float]
) -> Weights:
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
