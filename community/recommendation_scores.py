"""Which communities fit a customer and why, computed from sparse matrices without a store.

All customers of a range are scored at once, densely against all communities, in blocks of so many customers that
a block's memory is bounded whatever the number of communities. Nothing depends on how the blocks are cut.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

from graph.export import Catalogue, Incidence

Reason = dict[str, Any]
Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

# Cells of one dense block: 8 MB in single precision, of which about eight are alive at once.
CELLS_AT_ONCE = 2_000_000
# Scores that differ by less are a tie, which the order of ids decides and no order of additions.
SCORE_UNITS = 1_000_000


@dataclass(frozen=True, slots=True)
class Weights:
    """What each kind of evidence, itself between 0 and 1, is worth."""

    co_members: float = 1.0
    tags: float = 0.5
    acquaintances: float = 0.5
    referral_ties: float = 0.5
    popularity: float = 0.01


@dataclass(frozen=True, slots=True)
class ScoringPolicy:
    """How lists are made; the shrinkages are numbers of people or communities that say nothing."""

    weights: Weights = field(default_factory=Weights)
    neighbours: int = 100
    list_length: int = 30
    similarity_shrinkage: float = 5.0
    history_shrinkage: float = 2.0
    tie_shrinkage: float = 5.0
    # A smaller number of acquaintances would tell who they are.
    smallest_count: int = 5
    named_at_most: int = 3


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A community that fits, with what speaks for it, the strongest first."""

    community_id: str
    score: float
    reasons: list[Reason]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of some customers: their rows among all, and who and what they are tied to.

    Tags hold confidences; the other columns are all customers, in the order of the memberships.
    """

    rows: Integers
    tags: csr_array
    acquaintances: csr_array
    referees: csr_array
    referrers: csr_array

    def part(self, start: int, end: int) -> "Evidence":
        chosen = slice(start, end)
        ties = (self.acquaintances[chosen], self.referees[chosen], self.referrers[chosen])
        return Evidence(self.rows[chosen], self.tags[chosen], *ties)


@dataclass(frozen=True, slots=True)
class Model:
    """What scoring needs to know of all customers and communities; `tag_idf` and `about` weigh tags."""

    policy: ScoringPolicy
    catalogue: Catalogue
    members: csr_array
    taken: csr_array
    similarity: csr_array
    tag_idf: Floats
    about: csr_array
    popularity: Floats
    eligible: NDArray[np.bool_]


def fit(policy: ScoringPolicy, catalogue: Catalogue, memberships: Incidence) -> Model:
    """Learn from all memberships what is close to what, and what is popular."""
    taken = memberships.matrix
    # A comparison copies; entries eliminated from a matrix that shares its indices would be lost to both.
    members = csr_array(taken > 0, dtype=np.float32)
    counts = members.sum(axis=0)
    idf = inverse_document_frequency(catalogue.about)
    return Model(
        policy=policy,
        catalogue=catalogue,
        members=members,
        taken=taken,
        similarity=similar_communities(members, policy),
        tag_idf=idf,
        about=csr_array(of_unit_length(csr_array(catalogue.about @ diags_array(idf))).T),
        popularity=(np.log1p(counts) / max(1.0, float(np.log1p(np.max(counts, initial=0))))).astype(np.float32),
        eligible=catalogue.is_public & ~catalogue.is_archived,
    )


def similar_communities(members: csr_array, policy: ScoringPolicy) -> csr_array:
    """The nearest neighbours of each community (rows) by the members that two have in common.

    Cosine n_ij / sqrt(n_i n_j) with k neighbours: Deshpande and Karypis, Item-based top-N recommendation
    algorithms, ACM TOIS 22(1), 2004. Times n_ij / (n_ij + shrinkage), which distrusts what few have in common:
    Bell and Koren, Scalable collaborative filtering with jointly derived neighborhood interpolation weights, 2007.
    """
    by_community = csr_array(members.T)
    sizes = np.diff(by_community.indptr)
    size, roots = len(sizes), np.sqrt(np.maximum(sizes, 1)).astype(np.float32)
    nothing = np.zeros(0, dtype=np.int64)
    found = [(nothing, nothing, np.zeros(0, dtype=np.float32))]
    for start, end in blocks(np.full(size, size, dtype=np.int64)):
        found.append(nearest(by_community, members, roots, start, end, policy))
    rows, columns, values = (np.concatenate(parts) for parts in zip(*found, strict=True))
    matrix = csr_array((values, (rows.astype(np.int32), columns.astype(np.int32))), shape=(size, size))
    matrix.sort_indices()
    return matrix


def nearest(
    by_community: csr_array, members: csr_array, roots: Floats, start: int, end: int, policy: ScoringPolicy
) -> tuple[Integers, Integers, Floats]:
    """The neighbours of the communities from `start` to before `end`: whose, which and how near."""
    common = csr_array(by_community[start:end] @ members).toarray()
    near = common / roots[start:end, None] / roots * (common / (common + policy.similarity_shrinkage + 1e-9))
    near[np.arange(end - start), np.arange(start, end)] = 0.0
    rows, columns = largest(near, policy.neighbours)
    return rows + start, columns, near[rows, columns]


def inverse_document_frequency(about: csr_array) -> Floats:
    """ln((1 + N) / (1 + n)) + 1 for each tag: Salton and Buckley 1988, smoothed so that no tag weighs nothing."""
    frequency = np.diff(about.tocsc().indptr)
    return (np.log(len(about.indptr) / (1 + frequency)) + 1).astype(np.float32)


def of_unit_length(matrix: csr_array) -> csr_array:
    """Each row divided by its Euclidean length; rows of nothing stay so."""
    lengths = np.sqrt(np.asarray((matrix * matrix).sum(axis=1)))
    return csr_array(diags_array((1 / np.where(lengths > 0, lengths, 1)).astype(np.float32)) @ matrix)


def blocks(costs: Integers) -> Iterator[tuple[int, int]]:
    """Consecutive ranges whose costs, in cells, stay within what is held at once; each has one row at least."""
    ends = np.cumsum(costs)
    start = 0
    while start < len(costs):
        before = int(ends[start - 1]) if start else 0
        end = max(start + 1, int(np.searchsorted(ends, before + CELLS_AT_ONCE, side="right")))
        yield start, end
        start = end


def largest(values: Floats, count: int) -> tuple[Integers, Integers]:
    """Rows and columns of up to `count` positive values in each row, the largest first; a tie goes to the first column.

    Value and column together make one whole number for each cell, so that no two are equal.
    """
    width = values.shape[1]
    keys = np.rint(values.astype(np.float64) * SCORE_UNITS).astype(np.int64) * width
    keys -= np.arange(width)
    if count < width:
        columns = np.argpartition(keys, width - count, axis=1)[:, width - count :]
        keys = np.take_along_axis(keys, columns, axis=1)
    else:
        columns = np.broadcast_to(np.arange(width), keys.shape)
    order = np.argsort(-keys, axis=1)
    columns, keys = np.take_along_axis(columns, order, axis=1), np.take_along_axis(keys, order, axis=1)
    rows, places = np.nonzero(keys > 0)
    return rows, columns[rows, places]


def recommend(model: Model, evidence: Evidence) -> Iterator[list[Recommendation]]:
    """A list for each customer of the evidence, in its order."""
    for start, end in blocks(costs_of(model, evidence)):
        yield from recommend_block(model, evidence.part(start, end))


def costs_of(model: Model, evidence: Evidence) -> Integers:
    """Cells per customer: a score for each community, and for each of the list the links that may explain it."""
    lengths = np.diff(model.members.indptr)[evidence.rows] + np.diff(evidence.tags.indptr)
    return len(model.catalogue.communities) + model.policy.list_length * lengths.astype(np.int64)


def recommend_block(model: Model, evidence: Evidence) -> list[list[Recommendation]]:
    """Score all communities for these customers, keep the best and say why."""
    scores = Scores(model, evidence)
    rows, columns = largest(scores.total, model.policy.list_length)
    lists: list[list[Recommendation]] = [[] for _ in evidence.rows]
    totals = np.round(scores.total[rows, columns].astype(np.float64), 6).tolist()
    reasons = scores.reasons(rows, columns)
    ids = model.catalogue.communities
    for row, column, total, why in zip(rows.tolist(), columns.tolist(), totals, reasons, strict=True):
        lists[row].append(Recommendation(ids[column], total, why))
    return lists


class Scores:
    """The scores of some customers (rows) for all communities (columns), by kind and in total."""

    def __init__(self, model: Model, evidence: Evidence) -> None:
        policy, weights = model.policy, model.policy.weights
        self.model = model
        self.members = model.members[evidence.rows]
        self.tags = csr_array(evidence.tags @ diags_array(model.tag_idf))
        self.closed = np.broadcast_to(~model.eligible, (len(evidence.rows), len(model.eligible))).copy()
        self.closed[model.taken[evidence.rows].nonzero()] = True
        self.known = self.dense(evidence.acquaintances @ model.members)
        self.referees = self.dense(evidence.referees @ model.members)
        self.referrers = self.dense(evidence.referrers @ model.members)
        ties = degrees(evidence.referees) + degrees(evidence.referrers)
        self.parts = {
            "CO_MEMBERS": weights.co_members * self.co_members(policy.history_shrinkage),
            "SHARED_TAGS": weights.tags * self.dense(of_unit_length(self.tags) @ model.about),
            "ACQUAINTANCES": weights.acquaintances
            * (self.known / (degrees(evidence.acquaintances) + policy.tie_shrinkage)),
            "REFERRAL_TIES": weights.referral_ties * ((self.referees + self.referrers) / (ties + policy.tie_shrinkage)),
        }
        self.total = sum(self.parts.values(), np.where(self.closed, 0, weights.popularity * model.popularity))

    def dense(self, product: csr_array) -> Floats:
        """Values in single precision, nothing where a community cannot be recommended."""
        values = product.toarray().astype(np.float32, copy=False)
        values[self.closed] = 0.0
        return values

    def co_members(self, shrinkage: float) -> Floats:
        """The sum of nearness to one's communities, relative to one's nearest, trusted as one's history is long."""
        near = self.dense(self.members @ self.model.similarity)
        nearest_of_all = near.max(axis=1, keepdims=True, initial=0)
        lengths = degrees(self.members)
        trust = lengths / (lengths + shrinkage) / np.where(nearest_of_all > 0, nearest_of_all, 1)
        return near * trust.astype(np.float32)

    def reasons(self, rows: Integers, columns: Integers) -> Iterator[list[Reason]]:
        """What speaks for each pair of a customer's row and a community's column, the strongest first."""
        policy, catalogue = self.model.policy, self.model.catalogue
        parts = np.stack([part[rows, columns] for part in self.parts.values()], axis=1)
        orders = np.argsort(-parts, axis=1, kind="stable").tolist()
        kinds = list(self.parts)
        near = strongest_links(self.members, self.model.similarity, rows, columns, policy.named_at_most)
        tags = strongest_links(self.tags, self.model.about, rows, columns, policy.named_at_most)
        counts = np.stack([matrix[rows, columns] for matrix in (self.known, self.referees)], axis=1)
        found = zip(orders, parts.tolist(), near, tags, counts.astype(np.int64).tolist(), strict=True)
        for order, part, communities, shared, (known, referees) in found:
            said = {
                "CO_MEMBERS": {"community_ids": [catalogue.communities[place] for place in communities]},
                "SHARED_TAGS": {"tags": [catalogue.tags[place] for place in shared]},
                "ACQUAINTANCES": {"count": known} if known >= policy.smallest_count else {},
                "REFERRAL_TIES": {"count": referees},
            }
            strongest = [kinds[number] for number in order if part[number] > 0]
            names = dict.fromkeys(spoken(kind, referees) for kind in strongest)
            yield [{"kind": kind, **said[kind]} for kind in names] or [{"kind": "POPULAR"}]


def spoken(kind: str, referees: int) -> str:
    """The kind of reason that is true: one's own referrer is nobody whom one invited, but somebody one knows."""
    return "ACQUAINTANCES" if kind == "REFERRAL_TIES" and not referees else kind


def degrees(matrix: csr_array) -> Floats:
    """The number of entries of each row, as a column."""
    return np.diff(matrix.indptr).astype(np.float32)[:, None]


def strongest_links(
    left: csr_array, right: csr_array, rows: Integers, columns: Integers, at_most: int
) -> list[list[int]]:
    """What lies between each row and column, the largest `left[row, x] * right[x, column]` first."""
    starts, lengths = left.indptr[rows].astype(np.int64), np.diff(left.indptr)[rows].astype(np.int64)
    pairs = np.repeat(np.arange(len(rows)), lengths)
    offsets = np.arange(len(pairs)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    places = starts[pairs] + offsets
    between = left.indices[places]
    values = left.data[places] * np.asarray(right[between, columns[pairs]])
    linked = values > 0
    pairs, between, values = pairs[linked], between[linked], values[linked]
    order = np.lexsort((between, -values, pairs))
    pairs, between = pairs[order], between[order]
    ranks = np.arange(len(pairs)) - np.searchsorted(pairs, pairs)
    found: list[list[int]] = [[] for _ in rows]
    for pair, place in zip(pairs[ranks < at_most].tolist(), between[ranks < at_most].tolist(), strict=True):
        found[pair].append(place)
    return found
