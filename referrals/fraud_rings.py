"""Rings: groups of customers who are tied by referrals and by identifiers that few share, found in one pass over all.

Two are linked who share an identifier of weight (see fraud_signals) and have an ancestor in common, at most two
referrals above either, each being their own: so the users of one device who came by one referrer are linked though
the referrer uses another. Groups are the connected components of these links, found as those of a bipartite graph
of customers against pairs of identifier and ancestor, in memory that grows with the uses (`linked_groups` says the
same for a neighbourhood).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, eye_array
from scipy.sparse.csgraph import connected_components

from core.identifiers import IdentifierKind
from graph.client import GraphClient
from graph.export import export_customer_ids, export_referrers
from graph.identifiers import Uses, export_uses
from referrals.fraud_signals import Assessment, FraudPolicy, Identifier, Neighbourhood, Tie, assess

KINDS = tuple(IdentifierKind)


@dataclass(frozen=True, slots=True)
class Ties:
    """All that rings are made of: ids in order, who uses what, and customers (rows) by their referrers (columns)."""

    customers: list[str]
    uses: Uses
    referrers: csr_array


@dataclass(frozen=True, slots=True)
class Ring:
    """Customers in order of id, of whom the last may be referrers who share nothing themselves."""

    members: tuple[str, ...]
    assessment: Assessment


async def export_ties(graph: GraphClient) -> Ties:
    """Read the whole graph's uses and referrals page by page."""
    customers = await export_customer_ids(graph)
    everybody = {customer: number for number, customer in enumerate(customers)}
    uses = await export_uses(graph, customers, KINDS)
    return Ties(customers, uses, await export_referrers(graph, customers, everybody))


class RingSearch:
    """The candidates in all ties, each as a neighbourhood of its own."""

    def __init__(self, ties: Ties, policy: FraudPolicy) -> None:
        self.ties, self.policy = ties, policy
        self.keys, numbers = np.unique(ties.uses.keys, return_inverse=True)
        self.degrees = np.bincount(numbers, minlength=len(self.keys))
        self.kinds = np.zeros(len(self.keys), dtype=np.int8)
        self.kinds[numbers] = ties.uses.kinds
        shape = (len(ties.customers), len(self.keys))
        ones = np.ones(len(numbers), dtype=np.bool_)
        self.incidence = csr_array(coo_array((ones, (ties.uses.customers, numbers)), shape=shape))

    def weights(self) -> NDArray[np.float64]:
        """What each identifier weighs, as `weight_of` has it for one."""
        bases = np.array([self.policy.kinds[kind].base for kind in KINDS])[self.kinds]
        most = np.array([self.policy.kinds[kind].most for kind in KINDS])[self.kinds]
        shared = (self.degrees >= 2) & (self.degrees <= most)
        return np.where(shared, bases / np.log2(np.maximum(self.degrees, 2)), 0.0)

    def groups(self) -> Iterator[NDArray[np.int64]]:
        """The places of customers who are linked, at least `ring_size` together."""
        count = len(self.ties.customers)
        users, places = self.linking_uses()
        if not len(users):
            return
        above = csr_array((eye_array(count, format="csr") + self.ties.referrers).astype(np.bool_))
        above = csr_array((above @ above).astype(np.bool_))
        spans = np.diff(above.indptr)[users]
        # For each use all ancestors of its user: where a run of equal places begins, counting starts anew.
        within = np.arange(spans.sum()) - np.repeat(np.cumsum(spans) - spans, spans)
        ancestors = above.indices[np.repeat(above.indptr[users], spans) + within]
        pairs = np.repeat(places, spans).astype(np.int64) * count + ancestors
        _, nodes, sizes = np.unique(pairs, return_inverse=True, return_counts=True)
        kept = sizes[nodes] > 1
        rows, columns = np.repeat(users, spans)[kept], nodes[kept] + count
        total = count + len(sizes)
        ones = np.ones(len(rows), dtype=np.bool_)
        _, labels = connected_components(coo_array((ones, (rows, columns)), shape=(total, total)), directed=False)
        linked = np.unique(rows)
        order = linked[np.argsort(labels[linked], kind="stable")]
        for group in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
            if len(group) >= self.policy.ring_size:
                yield group

    def linking_uses(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Uses (customer, identifier) of those who are in some referral, by identifiers that weigh enough to link."""
        referrers = self.ties.referrers
        referred = np.diff(referrers.indptr) > 0
        referred[referrers.indices] = True
        uses = coo_array(self.incidence)
        kept = (self.weights() >= self.policy.link)[uses.col] & referred[uses.row]
        return uses.row[kept], uses.col[kept]

    def members(self, group: NDArray[np.int64]) -> list[int]:
        """The group, and who brought two of it or more."""
        brought = np.concatenate([self.above(place) for place in group])
        referrers, counts = np.unique(brought, return_counts=True)
        return sorted({*group.tolist(), *referrers[counts > 1].tolist()})

    def above(self, place: int) -> NDArray[Any]:
        referrers = self.ties.referrers
        return referrers.indices[referrers.indptr[place] : referrers.indptr[place + 1]]

    def neighbourhood(self, members: Sequence[int]) -> Neighbourhood:
        """What these use and how they are tied; an identifier is named by the bits that were exported."""
        ids = self.ties.customers
        identifiers: dict[str, Identifier] = {}
        uses: dict[str, set[str]] = {}
        for place in members:
            own = self.incidence.indices[self.incidence.indptr[place] : self.incidence.indptr[place + 1]]
            uses[ids[place]] = set()
            for number in own.tolist():
                key = f"{int(self.keys[number]):016x}"
                identifiers[key] = Identifier(key, KINDS[self.kinds[number]], int(self.degrees[number]))
                uses[ids[place]].add(key)
        ties = [Tie(ids[above], ids[place]) for place in members for above in self.above(place).tolist()]
        return Neighbourhood(identifiers, uses, ties)


def find_rings(search: RingSearch, groups: Sequence[Sequence[int]], households: Mapping[str, str]) -> Iterator[Ring]:
    """The groups whose score reaches the threshold; `households` are those of their members."""
    for members in groups:
        around = search.neighbourhood(members)
        names = [search.ties.customers[place] for place in members]
        assessment = assess(around, names, households=households, policy=search.policy)
        if assessment.score >= search.policy.threshold:
            yield Ring(tuple(names), assessment)
