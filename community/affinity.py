"""How near each community is to each other one, learnt from who is a member of what.

A linear autoencoder without self-similarity: Steck, Embarrassingly shallow autoencoders for sparse data (EASE), WWW
2019, with a penalty that grows with a community's own weight: Steck, Autoencoders that don't overfit towards the
identity (EDLAE), NeurIPS 2020. With Y the customers' weights by communities, G = YᵀY, P = (G + λI + p·diag G)⁻¹: the
matrix B = I − P·diag(1/diag P) says, from a customer's row of Y, how near each community is to what the customer has.

Two powers keep the crowd from drowning the rest. Columns of Y are divided by n^s, n being a community's members: what
everybody has tells less of whom it fits. Rows are divided by (m/m̄)^r while learning, m being a customer's memberships
and m̄ their mean: who is in everything tells less of what goes together.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import spotrf, spotri  # pyright: ignore[reportAttributeAccessIssue] - made when imported
from scipy.sparse import csr_array, diags_array, vstack

Floats = NDArray[np.float32]

# Up to so many communities the matrix between all of them is held densely: 1.6 GB in single precision.
LARGEST_DENSE = 20_000
CELLS_AT_ONCE = 16_000_000


@dataclass(frozen=True, slots=True)
class AffinityPolicy:
    """λ, the share p of a community's own weight, the powers s and r, and neighbours beyond what is held densely."""

    regularisation: float = 20.0
    own_share: float = 0.2
    popularity_power: float = 0.15
    activity_power: float = 0.25
    neighbours: int = 400


@dataclass(frozen=True, slots=True)
class Affinity:
    """`scale` is what a community's column of memberships is multiplied by; `between` leads from rows to columns."""

    scale: Floats
    between: Any

    def scores(self, weights: csr_array) -> Floats:
        """How near every community (columns) is to what these customers (rows) have, by their weights."""
        product = csr_array(weights @ diags_array(self.scale)) @ self.between
        return np.asarray(product.toarray() if hasattr(product, "toarray") else product, dtype=np.float32)


def fit_affinity(policy: AffinityPolicy, weights: csr_array) -> Affinity:
    """Learn from customers (rows) by communities (columns); weights above zero, 1 for a plain membership."""
    scale = power(np.bincount(weights.indices, minlength=shape_of(weights)[1]), -policy.popularity_power)
    lengths = np.diff(weights.indptr)
    mean = max(1.0, float(lengths[lengths > 0].mean())) if weights.nnz else 1.0
    activity = power(lengths, -policy.activity_power) * np.float32(mean**policy.activity_power)
    scaled = csr_array(diags_array(activity) @ csr_array(weights @ diags_array(scale)), dtype=np.float32)
    customers, communities = shape_of(scaled)
    if communities > LARGEST_DENSE:
        return Affinity(scale, between_nearest(scaled, policy))
    if not scaled.nnz:
        return Affinity(scale, np.zeros((communities, communities), dtype=np.float32))
    between = between_by_customers if customers < communities else between_by_communities
    return Affinity(scale, between(scaled, policy))


def shape_of(matrix: csr_array) -> tuple[int, int]:
    """Rows and columns; a sparse array's own type leaves open whether it has any."""
    rows, columns = matrix.shape  # pyright: ignore[reportGeneralTypeIssues]
    return rows, columns


def row_numbers(matrix: csr_array) -> NDArray[np.int64]:
    """The row of each entry, in their order."""
    return np.repeat(np.arange(len(matrix.indptr) - 1, dtype=np.int64), np.diff(matrix.indptr))


def entries_kept(matrix: csr_array, kept: NDArray[np.bool_], values: NDArray[Any]) -> csr_array:
    """The matrix of some of its entries, with these values."""
    starts = np.concatenate([[0], np.cumsum(kept)])[matrix.indptr].astype(matrix.indptr.dtype)
    return csr_array((values, matrix.indices[kept], starts), shape=matrix.shape)


def power(counts: NDArray[np.int64], exponent: float) -> Floats:
    """Counts to a power, nothing where there are none."""
    return np.where(counts > 0, np.maximum(counts, 1.0) ** exponent, 0.0).astype(np.float32)


def penalties(scaled: csr_array, policy: AffinityPolicy) -> Floats:
    """λ + p·diag G for each community."""
    own = np.asarray((scaled * scaled).sum(axis=0)).ravel()
    return (policy.regularisation + policy.own_share * own).astype(np.float32)


def between_by_communities(scaled: csr_array, policy: AffinityPolicy) -> Floats:
    """B by the inverse of a matrix of communities by communities, in its own memory."""
    size = shape_of(scaled)[1]
    gram = np.zeros((size, size), dtype=np.float32, order="F")
    by_community = csr_array(scaled.T)
    for start, end in row_blocks(size):
        gram[:, start:end] = csr_array(by_community[start:end] @ scaled).toarray().T
    gram[np.arange(size), np.arange(size)] += penalties(scaled, policy)
    inverse = inverted(gram)
    inverse /= -np.diagonal(inverse).copy()
    np.fill_diagonal(inverse, 0.0)
    return np.ascontiguousarray(inverse)


def between_by_customers(scaled: csr_array, policy: AffinityPolicy) -> Floats:
    """The same B where customers are fewer, by the identity of Woodbury.

    With Λ the penalties, Z = YΛ^(-1/2) and C = Zᵀ(I + ZZᵀ)⁻¹Z: P = Λ^(-1/2)(I − C)Λ^(-1/2).
    """
    customers, communities = shape_of(scaled)
    roots = np.sqrt(penalties(scaled, policy))
    by_community = csr_array((scaled @ diags_array(1 / roots)).T)
    gram = np.asfortranarray(csr_array(by_community.T @ by_community).toarray())
    gram[np.arange(customers), np.arange(customers)] += 1.0
    solved = np.asarray(by_community @ inverted(gram)).T
    own = np.asarray(by_community.T.multiply(solved).sum(axis=0)).ravel()
    after = roots / (1.0 - own)
    between = np.empty((communities, communities), dtype=np.float32)
    for start, end in row_blocks(communities):
        between[start:end] = (by_community[start:end] @ solved) * after / roots[start:end, None]
    np.fill_diagonal(between, 0.0)
    return between


def between_nearest(scaled: csr_array, policy: AffinityPolicy) -> csr_array:
    """For more communities than a matrix between all of them allows: the cosine, of each its nearest neighbours.

    Deshpande and Karypis, Item-based top-N recommendation algorithms, ACM TOIS 22(1), 2004; λ distrusts the small.
    """
    size = shape_of(scaled)[1]
    by_community = csr_array(scaled.T)
    roots = np.sqrt(np.asarray((scaled * scaled).sum(axis=0)).ravel() + policy.regularisation).astype(np.float32)
    parts: list[csr_array] = []
    for start, end in row_blocks(size):
        common = csr_array(by_community[start:end] @ scaled)
        rows = row_numbers(common)
        common.data = (common.data / roots[start + rows] / roots[common.indices]).astype(np.float32)
        common.data[common.indices == start + rows] = 0.0
        parts.append(largest_of_rows(common, policy.neighbours))
    return csr_array(vstack(parts, format="csr", dtype=np.float32))


def largest_of_rows(matrix: csr_array, count: int) -> csr_array:
    """Each row's largest entries above zero, the others gone; of equal ones the first columns stay."""
    rows = row_numbers(matrix)
    values: Floats = np.asarray(matrix.data, dtype=np.float32)
    order = np.lexsort((matrix.indices, -values, rows))
    ranks = np.arange(len(order)) - matrix.indptr[rows[order]]
    kept = np.sort(order[(ranks < count) & (values[order] > 0)])
    return csr_array((values[kept], (rows[kept], matrix.indices[kept])), shape=shape_of(matrix))


def pairs_in_common(members: csr_array, least: int) -> NDArray[np.bool_] | csr_array:
    """Which two communities (rows, columns) have at least so many members in common."""
    by_community = csr_array(members.T)
    size = len(by_community.indptr) - 1
    if size > LARGEST_DENSE:
        common = csr_array(by_community @ members)
        return csr_array(common >= max(1, least))
    found = np.empty((size, size), dtype=np.bool_)
    for start, end in row_blocks(size):
        found[start:end] = csr_array(by_community[start:end] @ members).toarray() >= least
    return found


def inverted(matrix: Floats) -> Floats:
    """The inverse of a symmetric positive definite matrix, in its place; raises ArithmeticError."""
    factor, failed = spotrf(matrix, lower=1, overwrite_a=1, clean=0)
    inverse, singular = spotri(factor, lower=1, overwrite_c=1)
    if failed or singular:
        raise ArithmeticError("not positive definite: the regularisation is too small")
    for start, end in row_blocks(len(inverse)):
        inverse[start:end, end:] = inverse[end:, start:end].T
        square = np.tril(inverse[start:end, start:end])
        inverse[start:end, start:end] = square + np.tril(square, -1).T
    return inverse


def row_blocks(size: int) -> Iterator[tuple[int, int]]:
    """Ranges of rows so that a block of them, across all columns, stays within what is held at once."""
    step = max(1, CELLS_AT_ONCE // max(1, size))
    for start in range(0, size, step):
        yield start, min(size, start + step)
