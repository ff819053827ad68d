"""`python -m bench.recommendations --edges FILE`: how good recommendations are, beside what everybody else uses.

One group of each member with at least three is hidden, any or the latest; all groups that a member is not in are
ranked, by the code that the worker runs and by the baselines. What a set of data decides (our policy, constants of
baselines) is chosen inside what is left, by hiding once more; nothing is known of the data before.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.sparse import csr_array

from bench.recommendation_baselines import BASELINES, Learn, Score
from bench.recommendation_data import Data, read_data, with_at_least
from community.affinity import shape_of
from community.recommendation_choice import LARGEST_SAMPLE, Hidden, choose, hide, look
from community.recommendation_learning import ScoringPolicy, fit
from community.recommendation_scores import Evidence, recommend
from graph.export import Incidence

Integers = NDArray[np.int64]
Ranked = NDArray[np.int64]

AT = 10
ROWS_AT_ONCE = 500
COLD_SHARE = 0.2
NOBODY = -1


class Holdout(StrEnum):
    ONE = "one"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Quality:
    """Each at 10. Novelty is the mean of -log2 of the share of members in what is shown, Gini that of showings."""

    recall: float
    ndcg: float
    mrr: float
    coverage: float
    novelty: float
    gini: float


COLUMNS = ("recall@10", "nDCG@10", "MRR@10", "coverage", "novelty", "Gini")


def quality(lists: Ranked, held: Integers, members: csr_array) -> Quality:
    """Of lists of 10 (rows; NOBODY where there is none), given what was hidden and what was learnt from."""
    hits = lists == held[:, None]
    found, places = hits.any(axis=1), hits.argmax(axis=1)
    shown = lists[lists != NOBODY]
    count, groups = shape_of(members)
    showings = np.sort(np.bincount(shown, minlength=groups))
    shares = np.maximum(members.sum(axis=0), 1)[shown] / count
    order = np.arange(1, len(showings) + 1)
    return Quality(
        recall=float(found.mean()),
        ndcg=float(np.where(found, 1 / np.log2(places + 2), 0).mean()),
        mrr=float(np.where(found, 1 / (places + 1), 0).mean()),
        coverage=len(np.unique(shown)) / groups,
        novelty=float(-np.log2(shares).mean()),
        gini=float((2 * order - len(order) - 1) @ showings / max(1, len(order) * showings.sum())),
    )


def binary(matrix: csr_array) -> csr_array:
    return csr_array(matrix > 0, dtype=np.float32)


def lists_of(score: Score, own: csr_array) -> Ranked:
    """The ten best that are not one's own yet, ties by number."""
    found: list[Ranked] = []
    for start in range(0, len(own.indptr) - 1, ROWS_AT_ONCE):
        part = own[start : start + ROWS_AT_ONCE]
        scores = score(part)
        scores[part.nonzero()] = -np.inf
        found.append(np.argsort(-scores, axis=1, kind="stable")[:, :AT])
    return np.concatenate(found)


def our_lists(policy: ScoringPolicy, data: Data, memberships: Incidence, evidence: Evidence) -> Ranked:
    """The lists that the worker would write, as far as ten go."""
    model = fit(replace(policy, list_length=AT), data.catalogue, memberships)
    numbers = {group: number for number, group in enumerate(data.catalogue.communities)}
    lists = [[numbers[item.community_id] for item in found] for found in recommend(model, evidence)]
    return np.array([[*found, *[NOBODY] * (AT - len(found))] for found in lists], dtype=np.int64)


def chosen_baseline(candidates: list[Learn], inner: Hidden) -> Learn:
    """The constants that put what was hidden once more highest."""
    if len(candidates) == 1:
        return candidates[0]
    members, own = binary(inner.memberships.matrix), binary(inner.evidence.taken)

    def gain(learn: Learn) -> float:
        scores = learn(members)(own)
        closed = own.toarray() > 0
        scores[closed] = -np.inf
        return look(scores, closed, inner.held).gain

    return max(candidates, key=gain)


Row = tuple[str, Quality, float]


def measure(data: Data, holdout: Holdout, seed: int) -> Iterator[Row]:
    """Each way's name, quality and seconds for one seed."""
    rows = with_at_least(data.memberships.matrix, 3)
    hidden = hide(data.memberships, data.evidence.part_of(rows), rows, latest=holdout is Holdout.TIME, seed=seed)
    yield from compare(data, hidden, rows, latest=holdout is Holdout.TIME, seed=seed)


def compare(data: Data, hidden: Hidden, rows: Integers, *, latest: bool, seed: int) -> Iterator[Row]:
    """All ways on the same hidden memberships; `rows` are those of whom they are."""
    members, own = binary(hidden.memberships.matrix), binary(hidden.evidence.taken)
    chance = np.random.default_rng(seed + 1_000)
    able = with_at_least(hidden.memberships.matrix, 2)
    sample = np.sort(chance.choice(able, min(LARGEST_SAMPLE, len(able)), replace=False))
    evidence = evidence_of(data, hidden).part_of(sample)
    inner = hide(hidden.memberships, evidence, sample, latest=latest, seed=seed)
    for name, candidates in BASELINES.items():
        yield timed(name, lambda found=candidates: lists_of(chosen_baseline(found, inner)(members), own), hidden)

    def ours() -> Ranked:
        policy = choose(ScoringPolicy(), data.catalogue, hidden.memberships, evidence, sample, latest=latest, seed=seed)
        Console(stderr=True).print(f"seed {seed}: {policy.affinity} {policy.weights}")
        return our_lists(policy, data, hidden.memberships, hidden.evidence)

    yield timed("ours", ours, hidden)


def evidence_of(data: Data, hidden: Hidden) -> Evidence:
    """The evidence of everybody, less what is hidden."""
    return replace(data.evidence, taken=hidden.memberships.matrix, joined=hidden.memberships.joined)


def timed(name: str, lists: Callable[[], Ranked], hidden: Hidden) -> Row:
    began = time.perf_counter()
    found = quality(lists(), hidden.held, binary(hidden.memberships.matrix))
    return name, found, time.perf_counter() - began


def cold(data: Data, seed: int, *, kept: int) -> Iterator[Row]:
    """A fifth of the members left with one membership, or with none and their tags; one of the others is hidden."""
    able = with_at_least(data.memberships.matrix, 2)
    if not kept:
        able = np.intersect1d(able, with_at_least(data.evidence.tags, 1))
    chance = np.random.default_rng(seed)
    rows = np.sort(chance.choice(able, int(len(able) * COLD_SHARE), replace=False))
    hidden = hide(data.memberships, data.evidence.part_of(rows), rows, latest=False, seed=seed)
    left = hidden.memberships
    while (more := with_at_least(left.matrix[rows], kept + 1)).size:
        again = hide(left, hidden.evidence.part_of(more), rows[more], latest=False, seed=seed)
        left = again.memberships
        hidden = replace(hidden, evidence=replace(hidden.evidence, taken=left.matrix[rows], joined=left.joined[rows]))
    yield from compare(data, replace(hidden, memberships=left), rows, latest=False, seed=seed)


def table_of(title: str, runs: list[list[Row]]) -> Table:
    """Means over the seeds, with standard deviations where there are several."""
    table = Table("way", *COLUMNS, "s", title=title, title_justify="left")
    for rows in zip(*runs, strict=True):
        name, found, seconds = rows[0][0], [row[1] for row in rows], [row[2] for row in rows]
        cells = [cell([getattr(one, column) for one in found]) for column in Quality.__slots__]
        table.add_row(name, *cells, f"{statistics.mean(seconds):.0f}")
    return table


def cell(values: list[float]) -> str:
    spread = f" ±{statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{spread}"


def main(
    edges: Annotated[Path, typer.Option(help="Memberships: CSV, or the folder of last.fm.", exists=True)],
    ties: Annotated[Path | None, typer.Option(help="Two columns of members who know each other.", exists=True)] = None,
    tags: Annotated[list[Path] | None, typer.Option(help="Tags of members or groups.", exists=True)] = None,
    holdout: Annotated[Holdout, typer.Option(help="What is hidden: any one membership, or the latest.")] = Holdout.ONE,
    seed: Annotated[int, typer.Option(help="The first seed.")] = 0,
    seeds: Annotated[int, typer.Option(help="How many seeds.", min=1)] = 3,
    cold_start: Annotated[bool, typer.Option(help="Also members with one membership, and with tags only.")] = True,
) -> None:
    """Measure recommendations beside baselines."""
    data = read_data(edges, ties, tags or [])
    members, groups = shape_of(data.memberships.matrix)
    console = Console(width=160)
    console.print(f"{members:,} members, {groups:,} groups, {data.memberships.matrix.nnz:,} memberships")
    chosen = range(seed, seed + seeds)
    console.print(table_of(f"One hidden ({holdout})", [list(measure(data, holdout, each)) for each in chosen]))
    if cold_start:
        console.print(table_of("With one membership", [list(cold(data, each, kept=1)) for each in chosen]))
        if data.evidence.tags.nnz:
            console.print(table_of("With tags only", [list(cold(data, each, kept=0)) for each in chosen]))


if __name__ == "__main__":
    typer.run(main)
