"""A model as files is the model, whichever kind of matrices it has, and nobody reads half of one."""

import os
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array, issparse

import community.recommendation_models as recommendation_models
from community.recommendation_learning import Model, ScoringPolicy, Weights, fit
from community.recommendation_models import HEADER, Chosen, ModelFolder, Population, get_all, header_of, put_all
from community.recommendation_scores import Evidence, recommend
from community.recommendation_updates import laid_over
from core.ids import new_id
from graph.evidence import Charter
from graph.export import Incidence, Numbers, packed
from tests.community.plain_scores import World
from tests.community.test_recommendation_scores import catalogue_of, evidence_of, joined_of, names, taken_of

WORLD = World(
    people=30,
    communities=12,
    tags=5,
    members=frozenset((who, c) for who in range(30) for c in range(12) if (who * 7 + c * 5) % 4 == 0),
    about=frozenset((c, c % 5) for c in range(12)),
    tagged={(who, who % 5): 0.5 for who in range(30)},
    knows=frozenset((who, who + 1) for who in range(29)),
)
POLICY = ScoringPolicy(weights=Weights(tags=0.25), list_length=4)


def learnt() -> Population:
    ids = names("c", WORLD.people)
    incidence = Incidence(ids, names("k", WORLD.communities), taken_of(WORLD), joined_of(WORLD))
    return Population(packed(ids), fit(POLICY, catalogue_of(WORLD), incidence))


def with_sparse(model: Model) -> Model:
    """As it is where communities are too many for a dense matrix between them."""
    affinity = replace(model.affinity, between=csr_array(model.affinity.between))
    return replace(model, affinity=affinity, many_common=csr_array(model.many_common))


def evidence() -> Evidence:
    return evidence_of(WORLD, list(range(WORLD.people)))


def assert_same(one: Any, other: Any) -> None:
    """The same values of the same kinds, field by field."""
    for field in fields(one):
        found, wanted = getattr(one, field.name), getattr(other, field.name)
        if is_dataclass(wanted):
            assert_same(found, wanted)
        elif issparse(wanted):
            assert found.dtype == wanted.dtype
            assert found.shape == wanted.shape
            assert (found.toarray() == wanted.toarray()).all()
        elif isinstance(wanted, np.ndarray):
            assert found.dtype == wanted.dtype
            assert np.array_equal(found, wanted, equal_nan=wanted.dtype.kind == "f")
        else:
            assert found == wanted


@pytest.mark.parametrize("kind", [lambda model: model, with_sparse], ids=["dense", "sparse"])
def test_a_model_survives_as_files(tmp_path: Path, kind: Callable[[Model], Model]) -> None:
    """Given a model with dense or sparse nearness; when kept and opened; then the same, mapped and read-only."""
    population = replace(learnt(), model=kind(learnt().model))
    folder, run = ModelFolder(tmp_path / "models"), new_id()
    assert not folder.has(run)
    folder.save(run, population)
    found = folder.load(run)

    assert_same(found, population)
    assert found is folder.load(run)
    between: Any = found.model.affinity.between
    large: Any = between.data if issparse(between) else between
    assert is_mapped(large)
    assert not large.flags.writeable
    assert list(recommend(found.model, evidence())) == list(recommend(population.model, evidence()))


def is_mapped(array: Any) -> bool:
    """Whether an array lies in a file, at whichever remove."""
    while array is not None and not isinstance(array, np.memmap):
        array = array.base
    return array is not None


def test_the_first_who_keeps_a_model_of_a_run_is_the_one(tmp_path: Path) -> None:
    """Given two processes that have learnt the same; then the second finds the first's, and nothing is left beside."""
    folder, run = ModelFolder(tmp_path), new_id()
    folder.save(run, learnt())
    before = (folder.of(run) / HEADER).stat().st_ino
    folder.save(run, learnt())

    assert (folder.of(run) / HEADER).stat().st_ino == before
    assert [path.name for path in tmp_path.iterdir()] == [run]


def test_half_a_model_is_none_and_old_ones_go(tmp_path: Path) -> None:
    """Given a process that died while it wrote, and four models; then it is not to be read, and two are left."""
    folder, runs = ModelFolder(tmp_path), [new_id() for _ in range(4)]
    dead, alive = (tmp_path / f".partial-{new_id()}-{pid}" for pid in (2**22 + 1, os.getpid()))
    for path in (dead, alive):
        path.mkdir()
    for run in runs:
        folder.save(run, learnt())
    kept = folder.load(runs[0])
    folder.forget_old()

    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([alive.name, *runs[2:]])
    assert list(recommend(kept.model, evidence()))
    with pytest.raises(FileNotFoundError):
        folder.load(new_id())


def test_a_model_of_another_release_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a model with other fields, of this run and of the one before; then it is learnt anew."""
    folder, runs = ModelFolder(tmp_path), [new_id() for _ in range(2)]
    with monkeypatch.context() as patch:
        patch.setattr(recommendation_models, "HEADER", "header.json")
        for run in runs:
            folder.save(run, replace(learnt(), chosen=Chosen(POLICY, 20_000.0)))
        assert folder.last_chosen().day == 20_000.0
    # As in the process of the next release, which has opened none.
    recommendation_models.OPENED.clear()
    assert not any(folder.has(run) for run in runs)
    assert folder.last_chosen() == Chosen()
    folder.save(runs[1], learnt())
    assert folder.has(runs[1])
    assert_same(folder.load(runs[1]), learnt())


def test_what_is_kept_names_what_it_is_made_of() -> None:
    """Given two kinds of which one has a field more, or another within; then their headers differ."""
    kinds = [Nothing, Something, Whole, WholeToo]
    assert len({header_of(kind) for kind in kinds}) == len(kinds)
    assert header_of(Population) == HEADER


@dataclass(frozen=True)
class Nothing:
    """What has no entries at all."""

    ids: np.ndarray[Any, Any]
    matrix: csr_array
    names: list[str]


@dataclass(frozen=True)
class Something:
    """The same with other names."""

    ids: np.ndarray[Any, Any]
    matrix: csr_array
    words: list[str]


@dataclass(frozen=True)
class Whole:
    part: Nothing


@dataclass(frozen=True)
class WholeToo:
    part: Something


def test_what_is_empty_survives_too(tmp_path: Path) -> None:
    nothing = Nothing(packed([]), csr_array((0, 3), dtype=np.float32), [])
    assert_same(get_all(tmp_path, "", Nothing, dict(put_all(tmp_path, "", nothing))), nothing)


def test_numbers_of_ids() -> None:
    """Given ids in order; then each has its place, and what is longer, shorter or not there has none."""
    ids = sorted(["b", "bb", "ccc", "社"])
    assert Numbers(ids).of(["社", "b", "ccc", "bb", "bbb", "cccc", "", "a", "z", "社区"]).tolist() == [
        *(3, 0, 2, 1),
        *(-1, -1, -1, -1, -1, -1),
    ]
    assert Numbers(ids).of([]).tolist() == []
    assert Numbers([]).of(["a"]).tolist() == [-1]


def test_what_communities_say_by_now_is_laid_over_a_model() -> None:
    """Given a changed community, a closed one and two that are new; then as if the model had learnt their words."""
    population = learnt()
    charters = [Charter("k001", True, ["t004"]), Charter("k002", False, []), Charter("n1", True, ["t001", "new"])]
    since = laid_over(population, [*charters, Charter("n2", False, ["t001"])])
    about = population.model.catalogue.about.toarray()
    about[1], about[2] = [0, 0, 0, 0, 1], 0

    model = since.population.model
    assert (model.catalogue.about.toarray() == about).all()
    assert model.eligible.tolist() == [place != 2 for place in range(12)]
    assert (population.model.eligible == 1).all()
    assert since.newer is not None
    assert since.newer.catalogue.communities == ["n1"]
    weights = dict(zip(since.newer.catalogue.tags, since.newer.about.toarray()[:, 0].tolist(), strict=True))
    assert 0 < weights["t001"] < weights["new"] < 1
    assert laid_over(population, []).newer is None
