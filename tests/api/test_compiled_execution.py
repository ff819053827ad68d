"""Compiled execution answers byte for byte as graphql-core does, errors and their paths among it, and leaves to it
what it does not know."""

import asyncio
import dataclasses
import gc
from collections.abc import Generator
from dataclasses import dataclass
from functools import cache, wraps
from typing import Any, cast

import pytest
from graphql.execution import Executor
from hypothesis import event, given
from hypothesis import strategies as st

from api import completing, execution
from api.documents import NO_DOCUMENT, Document, Documents
from api.execution import MOST_VARIANTS, Schema
from api.schema import build_schema
from api.tour import tour_documents
from ops.tour import Visitor, walk
from tests.access.documents import OPERATIONS, ROOTS, document_of
from tests.access.given import given_of
from tests.access.world import ROLES
from tests.api.comparing import bytes_of, compare_all, plain
from tests.api.drawn_documents import LEFT_OUT, documents, variables
from tests.api.orchard import FAULTS, Box, Branch, Colour, Fruit, Leaf, Size, branches, orchard
from tests.hostile.conftest import SOCKETS_LEFT, Prey, prey
from tests.hostile.judge import fuzzed
from tests.hostile.test_documents import FATAL
from tests.hostile.values import selection_of
from tests.ops.test_tour import Bank, bank, empty_stores

__all__ = ["bank", "empty_stores", "prey"]


pytestmark = [
    SOCKETS_LEFT,
    pytest.mark.timeout(1200),
    # Where null may not be, graphql-core gives up what waits beside it, some of which has not begun: either way alike.
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
]


@dataclass
class Context:
    """As much of a request's context as errors are told by."""

    root: Any
    document: Document = NO_DOCUMENT


@cache
def planted() -> tuple[Schema, Documents]:
    schema = orchard()
    return schema, Documents(schema.core, introspection=True, kept=0)


@pytest.fixture(autouse=True)
def collected() -> Generator[None, None, None]:
    """What was given up is found while it is known to be harmless: neither after the last test nor within a function
    that sees no `__import__`, as those of named tuples do, by which Python would say so."""
    gc.disable()
    yield
    gc.collect()
    gc.enable()


@pytest.fixture(params=["walked", "generated", "generated apart"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """By functions that walk, which the first runs of a document take, and by those that are generated for it: of all
    that is below in one, or, as what is long is, each by itself."""
    monkeypatch.setattr(execution, "HOT_RUNS", 10**9 if request.param == "walked" else 1)
    if request.param == "generated apart":
        monkeypatch.setattr(completing, "LONGEST_WITHIN", 60)


@pytest.fixture(scope="module")
def runner() -> Generator[asyncio.Runner, None, None]:
    """An event loop of its own: what hypothesis raises while it draws would end one that runs whole tests."""
    with asyncio.Runner() as found:
        yield found


async def both(schema: Schema, document: Document, given: dict[str, Any], context: Any) -> tuple[bytes, bytes]:
    """The answer of graphql-core alone, and that of the compiled selections."""
    context.document = document
    expected = await plain(schema, document, given, None, context)
    return bytes_of(expected), bytes_of(await schema.run(document, given, None, context))


@pytest.mark.usefixtures("way")
@fuzzed(400)
@given(data=st.data())
def test_any_document_over_any_data(runner: asyncio.Runner, data: st.DataObject) -> None:
    """Given any valid document and data in which anything may be wrong; then both answer the same bytes, twice."""
    schema, ready = planted()
    document = ready.ready(data.draw(documents(schema.core, 4), label="document"))
    event("invalid" if document.errors else "valid")
    if document.errors:
        return
    context = Context(data.draw(branches, label="data"))
    sent = data.draw(variables, label="variables")
    for _ in range(2):
        expected, found = runner.run(both(schema, document, sent, context))
        event("without errors" if expected.endswith(b'"errors":[]}') else "with errors")
        assert found == expected


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of the fields that graphql-core is left to execute from now on."""
    execute_field: Any = Executor.execute_field
    left: list[str] = []

    def execute(self: Any, parent: Any, source: Any, details: Any, path: Any, context: Any) -> Any:
        left.append(".".join(str(part) for part in path.as_list()))
        return execute_field(self, parent, source, details, path, context)

    monkeypatch.setattr(Executor, "execute_field", execute)
    return left


EVERYTHING = """
query($with: Boolean!) {
  root {
    name label leaf { ...All } maybe { text } leaves { number } gaps { flag } boxed { content { name } others { at } }
    named { name ... on Leaf { day } } crowd { __typename label } grown { ... on Fruit { sweet } } basket { __typename }
    first { ids } later(times: 3) { matrix } branch { name fruit { juice name seed { ...All } } }
    branches { name skipped: name @skip(if: $with) ownFruit { juice name } fruit { juice name } leaves { ...All } }
    fruit { juice name }
    stored { name sweet seeds { ...All } }
  }
}
fragment All on Leaf { name text number ratio flag colour size at day big thing ids matrix }
"""


def leaf_of(**changes: Any) -> Leaf:
    usual: dict[str, Any] = {
        **{"name": "n", "text": None, "number": 1, "ratio": 0.5, "flag": True, "colour": Colour.DARK_RED},
        **{"size": Size.SMALL, "at": "2026-11-29T08:00:00Z", "day": None, "big": 2**40, "thing": {"a": [1]}},
        **{"ids": ["x"], "matrix": [[1, None]]},
    }
    return Leaf(**{**usual, **changes})


def fruit_of(**changes: Any) -> Fruit:
    usual: dict[str, Any] = {"name": "f", "sweet": None, "seed": leaf_of()}
    return Fruit(**{**usual, **changes})


def branch_of(*inner: Branch, **changes: Any) -> Branch:
    leaf, fruit = leaf_of(), fruit_of()
    usual: dict[str, Any] = {
        **{"name": "b", "leaf": leaf, "maybe": None, "leaves": [leaf], "gaps": [None, leaf], "named": leaf},
        **{"crowd": [leaf, fruit], "grown": leaf, "basket": [leaf, None], "fruit": [fruit, fruit]},
        **{"boxed": Box[Leaf](content=leaf, others=[leaf]), "hidden": list(inner)},
    }
    return Branch(**{**usual, **changes})


@pytest.mark.parametrize("yes", [True, False])
def test_what_is_data_never_reaches_graphql_core(
    runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch, yes: bool
) -> None:
    """Given data without faults, when everything is asked for, then graphql-core executes hardly a field; with one
    fault it executes the fields of the objects around it."""
    schema, ready = planted()
    document = ready.ready(EVERYTHING)
    # Before it is counted, so that what was generated is counted too.
    monkeypatch.setattr(execution, "HOT_RUNS", 1)
    runner.run(schema.run(document, {"with": yes}, None, Context(branch_of(branch_of()), document)))
    left = counted(monkeypatch)
    sound = Context(branch_of(branch_of()), document)
    answer = runner.run(schema.run(document, {"with": yes}, None, sound))
    assert answer.data is not None and answer.errors is None
    assert answer.data["root"]["later"] == [{"matrix": [[1, None]]}] * 3
    assert ("skipped" in answer.data["root"]["branches"][0]) is not yes
    # A method whose objects have more to resolve is the one thing here that is left to it.
    assert left == ["root.branches.0.ownFruit"]
    faulty = Context(branch_of(branch_of(), maybe=leaf_of(text=7)), document)
    answer = runner.run(schema.run(document, {"with": yes}, None, faulty))
    assert answer.data is not None and answer.errors is None
    assert answer.data["root"]["maybe"] == {"text": "7"}
    assert "root.maybe.text" in left and len(left) < 40


@pytest.mark.parametrize("way_of_making", [1, 10**9])
def test_what_is_at_hand_is_not_resolved(
    runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch, way_of_making: int
) -> None:
    """Given objects that have at hand what they would resolve; then no resolver runs for it. Where one of them has not,
    or what it has is wrong, all are walked through, and the answer is graphql-core's."""
    schema, ready = planted()
    document = ready.ready("{ root { name stored { name seeds { text number } } } }")
    monkeypatch.setattr(execution, "HOT_RUNS", way_of_making)
    resolved: list[Fruit] = []
    seeds: Any = cast(Any, Fruit).__strawberry_definition__.get_field("seeds").base_resolver
    resolve = seeds.wrapped_func

    @wraps(resolve)
    async def counted_seeds(self: Fruit) -> Any:
        resolved.append(self)
        return await resolve(self)

    for kept, resolves in (([leaf_of()], False), ([], False), (None, True), ([leaf_of(text=7)], True), (7, True)):
        context = Context(branch_of(fruit=[fruit_of(kept=[leaf_of()]), fruit_of(kept=kept)]))
        monkeypatch.setattr(seeds, "wrapped_func", resolve)
        expected, found = runner.run(both(schema, document, {}, context))
        assert found == expected
        monkeypatch.setattr(seeds, "wrapped_func", counted_seeds)
        resolved.clear()
        assert bytes_of(runner.run(schema.run(document, {}, None, context))) == expected
        assert bool(resolved) is resolves, kept


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("kind", [Leaf, Fruit, Branch])
def test_each_fault_in_each_place(runner: asyncio.Runner, kind: type) -> None:
    """Given each fault in each attribute of one object that is reached in all ways, then both answer the same."""
    schema, ready = planted()
    document = ready.ready(EVERYTHING)
    runner.run(both(schema, document, {"with": True}, Context(branch_of())))
    for place in (one for one in dataclasses.fields(kind) if one.init):
        for fault in FAULTS:
            changes = {place.name: fault}
            leaf = leaf_of(**changes if kind is Leaf else {})
            fruit = fruit_of(seed=leaf) if kind is not Fruit else fruit_of(**changes)
            usual: dict[str, Any] = {"leaves": [leaf], "fruit": [fruit_of(), fruit]}
            inner = branch_of(**{**usual, **(changes if kind is Branch else {})})
            root = branch_of(inner, branch_of(), leaf=leaf, crowd=[fruit, leaf], fruit=[fruit, fruit_of()])
            expected, found = runner.run(both(schema, document, {"with": True}, Context(root)))
            assert found == expected, changes


def test_variants_by_conditions_are_bounded_and_hold_no_other_variables(runner: asyncio.Runner) -> None:
    """Given one document sent with more conditions than are kept, then its plans stay few; and two who send the same
    conditions share one."""
    schema, ready = planted()
    names = [f"c{number}" for number in range(6)]
    head = ", ".join(f"${name}: Boolean!" for name in names)
    fields = " ".join(f"{name}: name @include(if: ${name})" for name in names)
    document = ready.ready(
        f"query({head}, $times: Int) {{ root {{ end: name {fields} later(times: $times) {{ name }} }} }}"
    )
    assert document.errors == ()
    for number in range(64):
        sent = {name: bool(number >> bit & 1) for bit, name in enumerate(names)}
        expected, found = runner.run(both(schema, document, {**sent, "times": number % 3}, Context(branch_of())))
        assert found == expected
        assert len(document.plans) <= MOST_VARIANTS
    kept = dict(document.plans)
    runner.run(both(schema, document, {**dict.fromkeys(names, True), "times": 9}, Context(branch_of())))
    assert document.plans == kept


@pytest.mark.anyio
async def test_every_document_of_the_tour(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a fresh bank, when the tour is walked in both languages, then each answer is the same by both ways."""
    compared = compare_all(monkeypatch)
    await walk(bank.visitor, work=bank.work, show=bank.show)
    assert len(compared) == len(bank.shown) == len(tour_documents())
    chinese = Visitor(bank.http, "zh")
    await walk(chinese, work=bank.work, show=bank.show)
    assert len(compared) == 2 * len(tour_documents())


READ = sorted(name for name, root in OPERATIONS.items() if root == "query" and name not in LEFT_OUT)
ACTED = sorted(name for name, root in OPERATIONS.items() if root == "mutation" and name not in FATAL)


@fuzzed(60)
@given(data=st.data())
def test_drawn_documents_of_the_whole_schema(prey: Prey, monkeypatch: pytest.MonkeyPatch, data: st.DataObject) -> None:
    """Given documents drawn from the whole schema and anybody's rights; then each answer is the same by both ways."""
    role = data.draw(st.sampled_from(ROLES), label="role")
    text = data.draw(documents(build_schema().core, 4), label="document")
    sent = data.draw(variables, label="variables")
    with monkeypatch.context() as patched:
        compared = compare_all(patched)
        prey.run(prey.caller(role).post(text, sent))
    event("valid" if compared else "invalid")


@fuzzed(80)
@given(data=st.data())
def test_every_operation_of_the_whole_schema(prey: Prey, monkeypatch: pytest.MonkeyPatch, data: st.DataObject) -> None:
    """Given any operation with good arguments and anybody's rights, asked for all that an answer has some levels down;
    then it is the same by both ways."""
    operation = data.draw(st.sampled_from(READ) | st.sampled_from(ACTED), label="operation")
    role = data.draw(st.sampled_from(ROLES), label="role")
    given = given_of(prey.world, operation, role)
    shown = selection_of(ROOTS[OPERATIONS[operation]][operation].type, data.draw(st.integers(1, 3)))
    document, sent = document_of(operation, prey.world.ids, given, shown)
    with monkeypatch.context() as patched:
        compared = compare_all(patched)
        prey.run(prey.caller(role).post(document, sent))
    event("compared" if compared else "refused")
