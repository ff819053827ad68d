"""Membership lists as matrices, for measuring recommendations without stores.

Edges: `member_id,group_id[,weight][,at]`, `at` in seconds or milliseconds since 1970 or as ISO 8601. Ties: two columns
of members. Tags: `member_id,tag` or `group_id,tag`, each with an optional weight; several files may be given. The
folder of last.fm (HetRec 2011) is read as it is.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from bench.datasets import cells_of
from community.recommendation_order import stable_keys
from community.recommendation_scores import Evidence
from graph.export import Catalogue, Incidence

SECONDS_OF_A_DAY = 86_400
# A number of this size is milliseconds: as seconds it would lie beyond the year 5000.
MILLISECONDS_FROM = 1e11


@dataclass(frozen=True, slots=True)
class Data:
    """Everything that is known, members and groups in order of id."""

    catalogue: Catalogue
    memberships: Incidence
    evidence: Evidence


def read_data(edges: Path, ties: Path | None, tags: Sequence[Path]) -> Data:
    """Read the files; raises ValueError, naming the file and the line, where a cell cannot be read."""
    rows = list(edges_of(edges))
    tied = [pair for pair in (ties_of(ties) if ties else ())]
    tagged = [(kind, *rest) for path in tags for kind, *rest in tags_of(path)]
    members = Numbering([row[0] for row in rows] + [str(one) for kind, one, *_ in tagged if kind == "member_id"])
    groups = Numbering([row[1] for row in rows] + [str(one) for kind, one, *_ in tagged if kind == "group_id"])
    words = Numbering([str(tag) for _, _, tag, _ in tagged])
    taken = members.matrix(groups, [(member, group, weight) for member, group, weight, _ in rows], add=True)
    dated = [(member, group, at) for member, group, _, at in rows if at is not None]
    joined = members.matrix(groups, dated)
    known = members.matrix(members, [(a, b, 1.0) for one, other in tied for a, b in ((one, other), (other, one))])
    nobody = csr_array(known.shape, dtype=np.float32)
    own = {
        kind: [(str(one), str(tag), float(weight)) for each, one, tag, weight in tagged if each == kind]
        for kind in ("member_id", "group_id")
    }
    about = groups.matrix(words, own["group_id"])
    about.data[:] = 1.0
    count = len(groups)
    ages = np.full(count, np.inf, dtype=np.float32)
    public, nowhere = np.ones(count, np.bool_), np.full((count, 2), np.nan)
    catalogue = Catalogue(groups.names, public, ~public, words.names, about, ages, nowhere)
    seeds = stable_keys(members.names)
    evidence = Evidence(taken, joined, members.matrix(words, own["member_id"]), known, nobody, nobody, nobody, seeds)
    return Data(catalogue, Incidence(members.names, groups.names, taken, joined), evidence)


class Numbering:
    """Names in order, and their numbers."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = sorted(set(names))
        self.numbers = {name: number for number, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self.names)

    def matrix(self, other: "Numbering", entries: list[tuple[str, str, float]], *, add: bool = False) -> csr_array:
        """Entries by both numberings, less those to unknown names; of one place the largest, or the sum."""
        found: dict[tuple[int, int], float] = {}
        for one, two, value in entries:
            row, column = self.numbers.get(one), other.numbers.get(two)
            if row is not None and column is not None:
                before = found.get((row, column), 0.0)
                found[row, column] = before + value if add else max(before, value)
        places = np.array(sorted(found), dtype=np.int32).reshape(-1, 2)
        values = np.array([found[row, column] for row, column in places.tolist()], dtype=np.float32)
        return csr_array(coo_array((values, (places[:, 0], places[:, 1])), shape=(len(self), len(other))))


def edges_of(path: Path) -> Iterator[tuple[str, str, float, float | None]]:
    if path.is_dir():
        for user, artist, plays in cells_of(path / "user_artists.dat", 3):
            yield user, artist, float(plays), None
        return
    for line, row in lines_of(path, "member_id", "group_id"):
        weight = number(row.get("weight") or "1", path, line)
        if weight > 0:
            yield row["member_id"], row["group_id"], weight, day(row["at"], path, line) if row.get("at") else None


def ties_of(path: Path) -> Iterator[tuple[str, str]]:
    """Two members a line; the header, whatever it says, is skipped."""
    with path.open(encoding="utf-8", newline="") as file:
        separator = "\t" if "\t" in file.readline() else ","
        yield from ((row[0], row[1]) for row in csv.reader(file, delimiter=separator) if len(row) > 1)


def tags_of(path: Path) -> Iterator[tuple[str, str, str, float]]:
    """Whose tag (`member_id` or `group_id`), of whom, which, and its weight."""
    with path.open(encoding="utf-8", newline="") as file:
        kind = "member_id" if "member_id" in file.readline() else "group_id"
    for line, row in lines_of(path, kind, "tag"):
        yield kind, row[kind], row["tag"], number(row.get("weight") or "1", path, line)


def lines_of(path: Path, *needed: str) -> Iterator[tuple[int, dict[str, str]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        if missing := set(needed) - set(reader.fieldnames or ()):
            raise ValueError(f"{path}: no column {', '.join(sorted(missing))}")
        for row in reader:
            if not all(row.get(name) for name in needed):
                raise ValueError(f"{path}, line {reader.line_num}: {' and '.join(needed)} are needed")
            yield reader.line_num, row


def number(text: str, path: Path, line: int) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{path}, line {line}: {text!r} is no number") from None


def day(text: str, path: Path, line: int) -> float:
    """Days since 1970."""
    try:
        seconds = datetime.fromisoformat(text).timestamp() if not is_number(text) else float(text)
    except ValueError:
        raise ValueError(f"{path}, line {line}: {text!r} is no instant") from None
    return (seconds / 1000 if seconds > MILLISECONDS_FROM else seconds) / SECONDS_OF_A_DAY


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def with_at_least(matrix: csr_array, count: int) -> NDArray[np.int64]:
    """The rows with so many entries."""
    return np.flatnonzero(np.diff(matrix.indptr) >= count).astype(np.int64)
