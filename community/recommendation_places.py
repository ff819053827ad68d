"""How near communities are to where a customer's own ones usually meet, in few steps of kilometres.

A customer's place is not known and not asked for: that a bank knows a home by its town is a word in SQL, which no map
belongs to, and where somebody came to is theirs. The communities in which a customer takes part say where that is.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from community.affinity import Floats
from community.recommendation_order import NONE
from community.search_keys import EARTH_RADIUS

Integers = NDArray[np.int64]

# Distances are told and count by steps, up to four of them; what is farther is not near at all.
STEP = 25
STEPS = 4
ROWS_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class Places:
    """`of` is the number of each community's place, NONE where it has none; `near` says how near places are.

    Of two places within 25, 50, 75 and 100 km: 1, 3/4, 1/2 and 1/4.
    """

    of: Integers
    near: csr_array


def places_of(points: NDArray[np.float64]) -> Places:
    """Of communities (rows) by their latitudes and longitudes, which are no numbers where there is no place."""
    known = ~np.isnan(points).any(axis=1)
    places, numbers = np.unique(points[known], axis=0, return_inverse=True)
    of = np.full(len(points), NONE, dtype=np.int64)
    of[known] = numbers.reshape(-1)
    parts = [csr_array((0, len(places)), dtype=np.float32)]
    for start in range(0, len(places), ROWS_AT_ONCE):
        steps = np.maximum(np.ceil(kilometres(places[start : start + ROWS_AT_ONCE], places) / STEP), 1)
        parts.append(csr_array(np.maximum(STEPS + 1 - steps, 0).astype(np.float32) / STEPS))
    return Places(of, csr_array(vstack(parts, format="csr", dtype=np.float32)))


def kilometres(some: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Along the great circle between points (rows, columns); as `search_keys.distance` of two."""
    north, other_north = np.radians(some[:, None, 0]), np.radians(others[None, :, 0])
    east = np.radians(others[None, :, 1] - some[:, None, 1])
    chord = np.sin((other_north - north) / 2) ** 2 + np.cos(north) * np.cos(other_north) * np.sin(east / 2) ** 2
    return 2 * EARTH_RADIUS * np.arcsin(np.sqrt(np.minimum(1.0, chord)))


def by_place(weights: csr_array, places: Places) -> csr_array:
    """What customers (rows) have by community, as what they have by place (columns)."""
    known = np.flatnonzero(places.of != NONE)
    ones = np.ones(len(known), dtype=np.float32)
    shape = (len(places.of), len(places.near.indptr) - 1)
    return csr_array(weights @ csr_array((ones, (known, places.of[known])), shape=shape))


def nearness(own: csr_array, places: Places) -> Floats:
    """How near every community (columns) is to these customers' places (rows, by weight): the mean over them.

    Nothing for a community without a place, and for all of them where a customer has none.
    """
    found = np.zeros((len(own.indptr) - 1, len(places.of)), dtype=np.float32)
    known = np.flatnonzero(places.of != NONE)
    if known.size and own.nnz:
        totals = np.asarray(own.sum(axis=1), dtype=np.float32)[:, None]
        shares = csr_array(own @ places.near).toarray() / np.where(totals > 0, totals, 1)
        found[:, known] = shares[:, places.of[known]]
    return found


def kilometres_at_most(near: Floats) -> Integers:
    """The distance that a nearness above zero stands for."""
    return np.rint(STEP * (STEPS + 1 - near * STEPS)).astype(np.int64)
