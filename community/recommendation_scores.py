"""Which communities fit a customer and why, computed from sparse matrices without a store.

All customers of a range are scored at once, densely against all communities, in blocks of so many customers that
a block's memory is bounded whatever the number of communities. Nothing depends on how the blocks are cut.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

from community.affinity import Floats
from community.recommendation_learning import Integers, Model, Weights, of_unit_length, weights_of
from community.recommendation_order import NONE, Hashes, ordered
from community.recommendation_places import by_place, kilometres_at_most, nearness

Reason = dict[str, Any]

# Cells of one dense block: 8 MB in single precision, of which about eight are alive at once.
CELLS_AT_ONCE = 2_000_000
# Scores that differ by less are a tie, which the order of ids decides and no order of additions.
SCORE_UNITS = 1_000_000
# So many times as many communities as are shown are looked at, and so many of those that are new besides.
CANDIDATES = 2
NEW_CANDIDATES = 3


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A community that fits, with what speaks for it, the strongest first."""

    community_id: str
    score: float
    reasons: list[Reason]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of some customers (rows) when they are scored: what they are in, and who and what they are tied to.

    `taken` is above zero for a membership, by how much is done there, and -1 for another role; `joined` holds the days
    (since 1970) of memberships. Tags hold confidences; the columns of ties are all customers, in the order of the
    memberships that were learnt from; `open_referees` are those who let others see what they are members of. `seeds`
    stand for chance (`recommendation_order.seeds_of`).
    """

    taken: csr_array
    joined: csr_array
    tags: csr_array
    acquaintances: csr_array
    referees: csr_array
    open_referees: csr_array
    referrers: csr_array
    seeds: Hashes

    def part(self, start: int, end: int) -> "Evidence":
        return self.part_of(slice(start, end))

    def part_of(self, chosen: slice | Integers) -> "Evidence":
        return Evidence(*(getattr(self, each.name)[chosen] for each in fields(self)))


def closed_to(taken: csr_array, eligible: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which communities (columns) are not for these customers (rows): not eligible, or theirs in whichever role."""
    closed = np.broadcast_to(~eligible, (len(taken.indptr) - 1, len(eligible))).copy()
    closed[taken.nonzero()] = True
    return closed


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

    Values are compared in whole units; all that may be equal to the last one that counts are looked at.
    """
    width = values.shape[1]
    least = np.full(len(values), 0.5 / SCORE_UNITS, dtype=np.float32)
    if count < width:
        cut = np.partition(values, width - count, axis=1)[:, width - count]
        least = np.maximum(least, cut - np.float32(1.5 / SCORE_UNITS))
    rows, columns = np.nonzero(values >= least[:, None])
    keys = np.rint(values[rows, columns].astype(np.float64) * SCORE_UNITS).astype(np.int64)
    order = np.lexsort((columns, -keys, rows))
    rows, columns = rows[order], columns[order]
    ranks = np.arange(len(rows)) - np.searchsorted(rows, rows)
    kept = (ranks < count) & (keys[order] > 0)
    return rows[kept], columns[kept]


def recommend(model: Model, evidence: Evidence) -> Iterator[list[Recommendation]]:
    """A list for each customer of the evidence, in its order."""
    for start, end in blocks(costs_of(model, evidence)):
        yield from recommend_block(model, evidence.part(start, end))


def costs_of(model: Model, evidence: Evidence) -> Integers:
    """Cells per customer: a score for each community, and for each of the list the links that may explain it."""
    lengths = np.diff(evidence.taken.indptr) + np.diff(evidence.tags.indptr)
    return len(model.catalogue.communities) + model.policy.list_length * lengths.astype(np.int64)


def recommend_block(model: Model, evidence: Evidence) -> list[list[Recommendation]]:
    """Score all communities for these customers, keep the best in their order and say why."""
    scores = Scores(model, evidence)
    shown = shown_of(model, scores.total, evidence.seeds)
    rows, places = np.nonzero(shown != NONE)
    columns = shown[rows, places]
    lists: list[list[Recommendation]] = [[] for _ in evidence.taken.indptr[1:]]
    totals = np.round(scores.total[rows, columns].astype(np.float64), 6).tolist()
    reasons = scores.reasons(rows, columns)
    ids = model.catalogue.communities
    for row, column, total, why in zip(rows.tolist(), columns.tolist(), totals, reasons, strict=True):
        lists[row].append(Recommendation(ids[column], total, why))
    return lists


def shown_of(model: Model, total: Floats, seeds: Hashes) -> Integers:
    """The communities of each list in the order in which they are shown; NONE where it is shorter."""
    policy, ages = model.policy, model.catalogue.ages
    best = candidates(total, policy.list_length * CANDIDATES)
    new = np.flatnonzero(model.eligible & (ages < policy.order.new_days))
    if new.size and policy.order.explored:
        newest = candidates(total[:, new], NEW_CANDIDATES)
        newest = np.where(newest == NONE, NONE, new[newest])
        seen = (newest[:, :, None] == best[:, None, :]).any(axis=2)
        best = np.concatenate([best, np.where(seen, NONE, newest)], axis=1)
    rounded = np.round(np.take_along_axis(total, np.maximum(best, 0), axis=1).astype(np.float64), 6)
    return ordered(
        rounded.astype(np.float32),
        best,
        tags=model.telling,
        ages=ages,
        keys=model.keys,
        seeds=seeds,
        length=policy.list_length,
        policy=policy.order,
    )


def candidates(total: Floats, count: int) -> Integers:
    """Each row's best columns, NONE where there are fewer."""
    found = np.full((len(total), min(count, total.shape[1])), NONE, dtype=np.int64)
    rows, columns = largest(total, count)
    found[rows, np.arange(len(rows)) - np.searchsorted(rows, rows)] = columns
    return found


class Scores:
    """The scores of some customers (rows) for all communities (columns), by kind and in total."""

    def __init__(self, model: Model, evidence: Evidence) -> None:
        self.model = model
        self.weights = weights_of(evidence.taken)
        self.places = by_place(self.weights, model.places)
        self.tags = csr_array(evidence.tags @ diags_array(model.tag_idf))
        self.closed = closed_to(evidence.taken, model.eligible)
        self.known, self.referees, self.open_referees = (
            self.dense(ties @ model.members)
            for ties in (evidence.acquaintances, evidence.referees, evidence.open_referees)
        )
        self.parts = self.by_kind(evidence)
        self.total = self.combined(model.policy.weights)

    def by_kind(self, evidence: Evidence) -> dict[str, Floats]:
        """Each kind of evidence between 0 and 1, before it is weighed."""
        policy, model = self.model.policy, self.model
        ties = degrees(evidence.referees) + degrees(evidence.referrers)
        invited_or_inviting = self.referees + self.dense(evidence.referrers @ model.members)
        parts = {
            "CO_MEMBERS": self.co_members(),
            "SEASON": self.season(evidence.joined),
            "SHARED_TAGS": self.dense(of_unit_length(self.tags) @ model.about),
            "ACQUAINTANCES": share_of(self.known, degrees(evidence.acquaintances), policy.tie_shrinkage),
            "REFERRAL_TIES": share_of(invited_or_inviting, ties, policy.tie_shrinkage),
        }
        # Where nobody has a place there is nothing to add, for as many communities as there are.
        return parts | ({"NEARBY": self.nearby()} if self.places.nnz else {})

    def combined(self, weights: Weights) -> Floats:
        """The kinds by their weights: what is near is nearer in its season, and little history follows the crowd."""
        lengths = degrees(self.weights)
        trust = lengths / (lengths + self.model.policy.history_shrinkage)
        near = self.parts["CO_MEMBERS"] * (1 + weights.season * self.parts["SEASON"])
        largest_of_all = near.max(axis=1, keepdims=True, initial=0)
        near *= weights.co_members * trust / np.where(largest_of_all > 0, largest_of_all, 1)
        self.weighed = {
            "CO_MEMBERS": near,
            "SHARED_TAGS": weights.tags * self.parts["SHARED_TAGS"],
            "ACQUAINTANCES": weights.acquaintances * self.parts["ACQUAINTANCES"],
            "REFERRAL_TIES": weights.referral_ties * self.parts["REFERRAL_TIES"],
        }
        if "NEARBY" in self.parts:
            self.weighed["NEARBY"] = weights.nearby * self.parts["NEARBY"]
        crowd = np.where(self.closed, 0, weights.popularity * (1 - trust) * self.model.popularity)
        return sum(self.weighed.values(), crowd.astype(np.float32))

    def dense(self, product: csr_array) -> Floats:
        """Values in single precision, nothing where a community cannot be recommended."""
        values = product.toarray().astype(np.float32, copy=False)
        values[self.closed] = 0.0
        return values

    def co_members(self) -> Floats:
        """How near communities are to the customer's, relative to the nearest; what is far counts as nothing."""
        near = np.maximum(self.model.affinity.scores(self.weights), 0.0)
        near[self.closed] = 0.0
        nearest = near.max(axis=1, keepdims=True, initial=0)
        near /= np.where(nearest > 0, nearest, 1)
        return near

    def nearby(self) -> Floats:
        """How near communities are to where one's own usually meet."""
        near = nearness(self.places, self.model.places)
        near[self.closed] = 0.0
        return near

    def season(self, joined: csr_array) -> Floats:
        """How near in time one's own joinings are to those of each community's members."""
        found = self.model.season.scores(self.model.policy.season, joined)
        found[self.closed] = 0.0
        return found

    def reasons(self, rows: Integers, columns: Integers) -> Iterator[list[Reason]]:
        """What speaks for each pair of a customer's row and a community's column, the strongest first.

        What would tell of fewer people than `smallest_count` is not said, although it counts.
        """
        policy, catalogue = self.model.policy, self.model.catalogue
        parts = np.stack([part[rows, columns] for part in self.weighed.values()], axis=1)
        orders = np.argsort(-parts, axis=1, kind="stable").tolist()
        kinds = list(self.weighed)
        near, far = self.nearest(rows, columns), self.kilometres(rows, columns)
        tags = strongest_links(self.tags, self.model.about, rows, columns, policy.named_at_most)
        counted = (self.known, self.referees, self.open_referees)
        counts = np.stack([matrix[rows, columns] for matrix in counted], axis=1).astype(np.int64).tolist()
        found = zip(orders, parts.tolist(), near, tags, counts, far, strict=True)
        for order, part, communities, shared, people, distance in found:
            said: dict[str, dict[str, Any] | None] = {
                "CO_MEMBERS": {"community_ids": [catalogue.communities[place] for place in communities]},
                "SHARED_TAGS": {"tags": [catalogue.tags[place] for place in shared]},
                **said_of_people(*people, least=policy.smallest_count),
                "NEARBY": {"kilometres": distance},
            }
            if not communities:
                said["CO_MEMBERS"] = None
            kept = ((kinds[number], said[kinds[number]]) for number in order if part[number] > 0)
            yield [{"kind": kind, **what} for kind, what in kept if what is not None] or [{"kind": "POPULAR"}]

    def kilometres(self, rows: Integers, columns: Integers) -> list[int]:
        """How far each recommendation is at most from the nearest of one's own communities, where it is near to any."""
        places, found = self.model.places, np.zeros(len(rows), dtype=np.float32)
        there = places.of[columns]
        some = np.flatnonzero(there != NONE)
        links = strongest_links(csr_array(self.places > 0, dtype=np.float32), places.near, rows[some], there[some], 1)
        near = [(place, link[0]) for place, link in zip(some.tolist(), links, strict=True) if link]
        if near:
            pairs, nearest = np.array(near, dtype=np.int64).T
            found[pairs] = places.near[nearest, there[pairs]]
        return kilometres_at_most(found).tolist()

    def nearest(self, rows: Integers, columns: Integers) -> list[list[int]]:
        """Those of one's communities that brought each recommendation, less those with few members in common."""
        between = self.model.affinity.between
        scaled = csr_array(self.weights @ diags_array(self.model.affinity.scale))
        links = strongest_links(scaled, between, rows, columns, self.model.policy.named_at_most)
        many = self.model.many_common
        return [
            [place for place in found if many[place, column]]
            for found, column in zip(links, columns.tolist(), strict=True)
        ]


def said_of_people(known: int, referees: int, open_referees: int, *, least: int) -> dict[str, dict[str, Any] | None]:
    """What may be said of people one knows and people one invited: only many, or those who let it be seen."""
    invited = referees if referees >= least else open_referees
    return {
        "ACQUAINTANCES": {"count": known} if known >= least else None,
        "REFERRAL_TIES": {"count": invited} if invited else None,
    }


def share_of(counts: Floats, people: Floats, shrinkage: float) -> Floats:
    """Which part of somebody's people are members; few people count as if there were some more who are not."""
    return (counts / (people + shrinkage)).astype(np.float32)


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
