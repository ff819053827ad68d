"""What is learnt of all customers and communities before anybody's list is made: closeness, tags, popularity, season.

Computed from sparse matrices without a store; what is learnt is kept as files (community/recommendation_models.py).
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

from community.affinity import (
    Affinity,
    AffinityPolicy,
    Floats,
    entries_kept,
    fit_affinity,
    pairs_in_common,
    row_numbers,
)
from community.recommendation_order import NONE, Hashes, OrderPolicy, stable_keys
from community.recommendation_places import Places, places_of
from community.recommendation_seasons import Season, SeasonPolicy, fit_season
from graph.export import Catalogue, Incidence

Integers = NDArray[np.int64]

# So many tags of a community count when lists are to be diverse.
TELLING_TAGS = 3


@dataclass(frozen=True, slots=True)
class Weights:
    """What each kind of evidence, itself between 0 and 1, is worth."""

    co_members: float = 1.0
    season: float = 2.0
    tags: float = 0.5
    acquaintances: float = 0.1
    referral_ties: float = 0.1
    nearby: float = 0.05
    popularity: float = 0.05


@dataclass(frozen=True, slots=True)
class ScoringPolicy:
    """How lists are made; the shrinkages are numbers of people or communities that say nothing."""

    weights: Weights = field(default_factory=Weights)
    affinity: AffinityPolicy = field(default_factory=AffinityPolicy)
    order: OrderPolicy = field(default_factory=OrderPolicy)
    season: SeasonPolicy = field(default_factory=SeasonPolicy)
    list_length: int = 30
    history_shrinkage: float = 2.0
    tie_shrinkage: float = 5.0
    # A smaller number of people would tell who they are.
    smallest_count: int = 5
    named_at_most: int = 3


@dataclass(frozen=True, slots=True)
class Model:
    """What scoring needs to know of all customers and communities; `tag_idf` and `about` weigh tags.

    `season` says how near in time communities are to a joining; `many_common` which pairs of communities have so many
    members in common that the number tells nothing of one of them; `telling` are the rarest tags of each (NONE where
    there are fewer), and `keys` stand for it where chance decides.
    """

    policy: ScoringPolicy
    catalogue: Catalogue
    members: csr_array
    affinity: Affinity
    many_common: NDArray[np.bool_] | csr_array
    season: Season
    places: Places
    tag_idf: Floats
    about: csr_array
    popularity: Floats
    eligible: NDArray[np.bool_]
    telling: Integers
    keys: Hashes


def fit(policy: ScoringPolicy, catalogue: Catalogue, memberships: Incidence, *, today: float = 0.0) -> Model:
    """Learn from all memberships what is close to what, what is popular, and when.

    `today` is the day since 1970 for which lists are made; without it each customer's are for their latest joining.
    """
    members = members_of(memberships.matrix)
    counts = members.sum(axis=0)
    idf = inverse_document_frequency(catalogue.about)
    return Model(
        policy=policy,
        catalogue=catalogue,
        members=members,
        affinity=fit_affinity(policy.affinity, weights_of(memberships.matrix)),
        many_common=pairs_in_common(members, policy.smallest_count),
        season=fit_season(policy.season, memberships.joined, today=today),
        places=places_of(catalogue.points),
        tag_idf=idf,
        about=weighted_tags(catalogue.about, idf),
        popularity=(np.log1p(counts) / max(1.0, float(np.log1p(np.max(counts, initial=0))))).astype(np.float32),
        eligible=eligible_of(catalogue),
        telling=telling_tags(catalogue.about, idf),
        keys=stable_keys(catalogue.communities),
    )


def eligible_of(catalogue: Catalogue) -> NDArray[np.bool_]:
    """Which communities may be recommended at all."""
    return catalogue.is_public & ~catalogue.is_archived


def members_of(taken: csr_array) -> csr_array:
    """1 for a membership, and nothing for another role."""
    # A comparison copies; entries eliminated from a matrix that shares its indices would be lost to both.
    return csr_array(taken > 0, dtype=np.float32)


def weights_of(taken: csr_array) -> csr_array:
    """What memberships weigh: the logarithm of what is done there, relative to the customer's mean.

    Somebody who does everything a hundred times says no more by it than who does everything once.
    """
    size = len(taken.indptr) - 1
    rows = row_numbers(taken)
    kept = taken.data > 0
    logarithms = np.log1p(np.where(kept, taken.data, 0.0))
    sums = np.bincount(rows, logarithms, minlength=size)
    means = sums / np.maximum(np.bincount(rows[kept], minlength=size), 1)
    return entries_kept(taken, kept, (logarithms[kept] / means[rows[kept]]).astype(np.float32))


def inverse_document_frequency(about: csr_array) -> Floats:
    """ln((1 + N) / (1 + n)) + 1 for each tag: Salton and Buckley 1988, smoothed so that no tag weighs nothing."""
    frequency = np.diff(about.tocsc().indptr)
    return (np.log(len(about.indptr) / (1 + frequency)) + 1).astype(np.float32)


def weighted_tags(about: csr_array, idf: Floats) -> csr_array:
    """Tags (rows) by communities, each community's tags being of unit length together."""
    return csr_array(of_unit_length(csr_array(about @ diags_array(idf))).T)


def telling_tags(about: csr_array, idf: Floats) -> Integers:
    """Of each community the numbers of its rarest tags, less those about which half of all communities are."""
    count, width = len(about.indptr) - 1, TELLING_TAGS
    rows = row_numbers(about)
    common = np.bincount(about.indices, minlength=len(idf)) * 2 > max(count, 1)
    kept = ~common[about.indices]
    rows, tags = rows[kept], about.indices[kept].astype(np.int64)
    order = np.lexsort((tags, -idf[tags], rows))
    rows, tags = rows[order], tags[order]
    ranks = np.arange(len(rows)) - np.searchsorted(rows, rows)
    found = np.full((count, width), NONE, dtype=np.int64)
    found[rows[ranks < width], ranks[ranks < width]] = tags[ranks < width]
    return found


def of_unit_length(matrix: csr_array) -> csr_array:
    """Each row divided by its Euclidean length; rows of nothing stay so."""
    lengths = np.sqrt(np.asarray((matrix * matrix).sum(axis=1)))
    return csr_array(diags_array((1 / np.where(lengths > 0, lengths, 1)).astype(np.float32)) @ matrix)
