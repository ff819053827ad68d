"""What recommendations are measured against: each learns from all members and then scores some for all groups.

Each has its usual constants, and those that a set of data decides are chosen on the same hidden memberships as ours.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

from community.affinity import AffinityPolicy, fit_affinity, largest_of_rows, row_numbers, shape_of

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Score = Callable[[csr_array], Floats]
Learn = Callable[[csr_array], Score]

WALKS = 10


def at_random(members: csr_array) -> Score:
    chance = np.random.default_rng(1)
    return lambda own: chance.random((len(own.indptr) - 1, shape_of(members)[1]), dtype=np.float32)


def popularity(members: csr_array) -> Score:
    sizes = members.sum(axis=0).astype(np.float32)
    return lambda own: np.broadcast_to(sizes, (len(own.indptr) - 1, len(sizes))).copy()


def item_neighbours(neighbours: int) -> Learn:
    """Item-kNN by Jaccard's index, the nearest so many of each group."""

    def learn(members: csr_array) -> Score:
        sizes: NDArray[np.float64] = members.sum(axis=0).astype(np.float64)
        near = csr_array(csr_array(members.T) @ members)
        rows = row_numbers(near)
        common = np.asarray(near.data, dtype=np.float64)
        near.data = (common / (sizes[rows] + sizes[near.indices] - common)).astype(np.float32)
        near.data[rows == near.indices] = 0.0
        nearest = largest_of_rows(near, neighbours)
        return lambda own: csr_array(own @ nearest).toarray()

    return learn


def rp3_beta(beta: float) -> Learn:
    """Paudel, Christoffel, Newell and Bernstein, Updatable, accurate, diverse and scalable recommendations, 2016."""

    def learn(members: csr_array) -> Score:
        to_group, to_member = transitions(members)
        sizes = np.maximum(members.sum(axis=0), 1)
        reached = csr_array(csr_array(to_member @ to_group) @ diags_array((1 / sizes**beta).astype(np.float32)))
        return lambda own: csr_array(own @ reached).toarray()

    return learn


def ease(regularisation: float) -> Learn:
    """Steck, Embarrassingly shallow autoencoders for sparse data, WWW 2019."""

    def learn(members: csr_array) -> Score:
        return fit_affinity(AffinityPolicy(regularisation, 0.0, 0.0, 0.0), members).scores

    return learn


def page_rank(restart: float) -> Learn:
    """Personalised PageRank on members and groups: Haveliwala, Topic-sensitive PageRank, 2003; by power iteration."""

    def learn(members: csr_array) -> Score:
        to_group, to_member = transitions(members)
        return lambda own: walked(own, to_group, to_member, restart)

    return learn


def walked(own: csr_array, to_group: csr_array, to_member: csr_array, restart: float) -> Floats:
    """Where walks that begin at one's groups, and begin anew with a chance of `restart`, are found."""
    start = csr_array(diags_array((1 / np.maximum(own.sum(axis=1), 1)).astype(np.float32)) @ own).toarray()
    mass = start
    for _ in range(WALKS):
        mass = np.asarray((1 - restart) * (to_group.T @ (to_member.T @ mass.T)).T + restart * start, dtype=np.float32)
    return mass


def transitions(members: csr_array) -> tuple[csr_array, csr_array]:
    """The chances of a step from members to groups, and from groups to members."""
    lengths, sizes = np.maximum(members.sum(axis=1), 1), np.maximum(members.sum(axis=0), 1)
    to_group = csr_array(diags_array((1 / lengths).astype(np.float32)) @ members)
    return to_group, csr_array(diags_array((1 / sizes).astype(np.float32)) @ csr_array(members.T))


# Each baseline with the constants among which the hidden memberships choose.
BASELINES: Mapping[str, list[Learn]] = {
    "random": [at_random],
    "popularity": [popularity],
    "item-kNN (Jaccard)": [item_neighbours(count) for count in (50, 200, 1_000)],
    "RP3beta": [rp3_beta(beta) for beta in (0.3, 0.5, 0.7, 0.9)],
    "EASE": [ease(value) for value in (10.0, 20.0, 50.0, 100.0, 200.0, 500.0)],
    "PageRank": [page_rank(share) for share in (0.15, 0.5)],
}
