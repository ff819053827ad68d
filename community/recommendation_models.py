"""What a run has learnt, as files: written beside and renamed, so that nobody reads half, and read without a copy.

Each array is a file of its own, opened as memory that all processes of a machine share; a sparse matrix is three.
What is no array stands in a header of JSON. Every field of a model is kept so, whichever it has.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import numpy as np
import orjson
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse

from community.recommendation_learning import Model, ScoringPolicy
from community.recommendation_policies import RunPlan

# Folders of runs that are kept: that of the last one, and of the one before for whoever has it open.
KEPT = 2


@dataclass(frozen=True, slots=True)
class Chosen:
    """The policy that the memberships chose, and the day since 1970 on which they did; before 1970 nothing was."""

    policy: ScoringPolicy = field(default_factory=ScoringPolicy)
    day: float = -1.0


@dataclass(frozen=True, slots=True)
class Population:
    """The model, the customers (ids in order, packed) by whose numbers it names members, and the plan of the run."""

    customers: NDArray[np.bytes_]
    model: Model
    plan: RunPlan = field(default_factory=RunPlan)
    chosen: Chosen = field(default_factory=Chosen)


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """Where a machine keeps its models, by the ids of their runs."""

    path: Path

    def of(self, run_id: str) -> Path:
        return self.path / run_id

    def has(self, run_id: str) -> bool:
        return (self.of(run_id) / HEADER).exists()

    def save(self, run_id: str, population: Population) -> None:
        """Keep a model; where another process has kept the same run's meanwhile, that one stays."""
        self.path.mkdir(parents=True, exist_ok=True)
        partial = self.path / f".partial-{run_id}-{os.getpid()}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        header = dict(put_all(partial, "", population))
        (partial / HEADER).write_bytes(orjson.dumps(header))
        try:
            partial.rename(self.of(run_id))
        except OSError:
            if not self.has(run_id):
                # It is of another release, which cannot be read.
                shutil.rmtree(self.of(run_id))
                partial.rename(self.of(run_id))
            shutil.rmtree(partial, ignore_errors=True)

    def load(self, run_id: str) -> Population:
        """Open a model, once per process and run; raises FileNotFoundError where this machine has none."""
        folder = self.of(run_id)
        if folder not in OPENED:
            header = orjson.loads((folder / HEADER).read_bytes())
            population = get_all(folder, "", Population, header)
            OPENED.clear()
            OPENED[folder] = population
        return OPENED[folder]

    def last_chosen(self) -> Chosen:
        """What the model before chose; nothing where this machine has none."""
        for run in sorted((path.name for path in self.path.glob("[!.]*") if path.is_dir()), reverse=True):
            if self.has(run):
                return self.load(run).chosen
        return Chosen()

    def forget_old(self) -> None:
        """Remove all but the latest; who has one open reads on, because its files go with the last that holds them."""
        runs = sorted(path for path in self.path.glob("[!.]*") if path.is_dir())
        partial = [path for path in self.path.glob(".partial-*") if not is_running(path)]
        for path in [*runs[:-KEPT], *partial]:
            shutil.rmtree(path, ignore_errors=True)


def names_of(kind: Any) -> Iterator[str]:
    """The fields of a dataclass with their kinds, and those of the dataclasses among them."""
    hints = get_type_hints(kind)
    for one in fields(kind):
        yield f"{one.name}:{hints[one.name]}"
        if is_dataclass(hints[one.name]):
            yield from names_of(hints[one.name])


def header_of(kind: type[Any]) -> str:
    """The name of the header of what is kept of a kind; another release with other fields does not find it."""
    return f"header-{blake2b(orjson.dumps(list(names_of(kind))), digest_size=6).hexdigest()}.json"


HEADER = header_of(Population)
# The one model that this process has open.
OPENED: dict[Path, Population] = {}


def is_running(partial: Path) -> bool:
    """Whether the process that writes this folder is alive on this machine."""
    return Path("/proc", partial.name.rpartition("-")[2]).exists()


def put_all(folder: Path, prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Write the arrays of a dataclass; yields what the header says of each field, by its path."""
    for one in fields(value):
        name, found = f"{prefix}{one.name}", getattr(value, one.name)
        if is_dataclass(found):
            yield from put_all(folder, f"{name}.", found)
        elif issparse(found):
            # Read-only files cannot be put in order later.
            found.sum_duplicates()
            for part in ("data", "indices", "indptr"):
                np.save(folder / f"{name}.{part}.npy", getattr(found, part))
            yield name, {"sparse": list(found.shape)}
        elif isinstance(found, np.ndarray):
            np.save(folder / f"{name}.npy", found)
            yield name, {"dense": list(found.shape)}
        else:
            yield name, {"value": found}


T = TypeVar("T")


def get_all(folder: Path, prefix: str, kind: type[T], header: dict[str, Any]) -> T:
    """Read a dataclass as it was put."""
    hints = get_type_hints(kind)
    found: dict[str, Any] = {}
    for one in fields(kind):  # pyright: ignore[reportArgumentType] - it is a dataclass, like all that is put
        name, hint = f"{prefix}{one.name}", hints[one.name]
        found[one.name] = (
            get_one(folder, name, header[name]) if name in header else get_all(folder, f"{name}.", hint, header)
        )
    return kind(**found)


def get_one(folder: Path, name: str, said: dict[str, Any]) -> Any:
    if "value" in said:
        return said["value"]
    if "dense" in said:
        return opened_array(folder / f"{name}.npy")
    parts = (opened_array(folder / f"{name}.{part}.npy") for part in ("data", "indices", "indptr"))
    matrix = csr_array(tuple(parts), shape=tuple(said["sparse"]), copy=False)
    # It was in order when it was written; to look again would read all of it.
    matrix.has_sorted_indices = matrix.has_canonical_format = True
    return matrix


def opened_array(path: Path) -> NDArray[Any]:
    """An array that stays in its file until it is asked for."""
    return np.asarray(np.load(path, mmap_mode="r"))
