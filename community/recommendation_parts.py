"""A part of the customers with all that scoring asks of them, as files: for engines that score elsewhere.

Whoever has these files and the model's scores them by `scored_parts`, without a store.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from community.recommendation_models import ModelFolder, Population, get_all, put_all
from community.recommendation_scores import Evidence
from community.recommendations import evidence_of, rows_of
from graph.client import Row
from graph.evidence import Known

HEADER = "header.json"


@dataclass(frozen=True, slots=True)
class Part:
    """Customers in order of id, and what is known of them by the numbers of a model."""

    customers: list[str]
    evidence: Evidence


def save_part(folder: Path, population: Population, known: Known) -> None:
    """Write a part into a folder of its own, its header last."""
    folder.mkdir(parents=True, exist_ok=True)
    header = dict(put_all(folder, "", Part(known.customers, evidence_of(population, known))))
    (folder / HEADER).write_bytes(orjson.dumps(header))


def load_part(folder: Path) -> Part:
    return get_all(folder, "", Part, orjson.loads((folder / HEADER).read_bytes()))


def scored_parts(models: str, run_id: str, folders: Iterable[str]) -> Iterator[tuple[str, list[Row]]]:
    """The lists of each part as they are stored, by its folder; the model is opened once in a process."""
    for folder in folders:
        population = ModelFolder(Path(models)).load(run_id)
        part = load_part(Path(folder))
        yield folder, rows_of(population, part.customers, part.evidence)
