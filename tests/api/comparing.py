"""Every answer made twice, by compiled selections and by graphql-core alone, and held against each other."""

import dataclasses
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import orjson
import pytest
from graphql import ExecutionResult, GraphQLField, GraphQLObjectType, OperationType

from api import execution
from api.documents import Document
from api.execution import Schema

Run = Callable[..., Any]


def bytes_of(result: Any) -> bytes:
    """The answer with its errors as they are before they are masked: their words, their places and what raised them."""
    errors = [{**error.formatted, "raised": repr(error.original_error)} for error in result.errors or ()]
    return orjson.dumps({"data": result.data, "errors": errors}, default=repr)


async def plain(schema: Schema, document: Document, variables: Any, name: str | None, context: Any) -> Any:
    """The answer of strawberry and graphql-core alone."""
    return await schema.execute(document.text, variable_values=variables, context_value=context, operation_name=name)


def compare_all(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """From now on let every operation be run both ways; the list grows with the names of what was compared.

    A mutation acts once: what its root fields bring in the first run, they bring again in the second. Anything else is
    run twice, so that the second is by functions that were generated.
    """
    monkeypatch.setattr(execution, "HOT_RUNS", 1)
    compiled: Run = Schema.run
    compared: list[str] = []

    async def run(
        schema: Schema, document: Document, variables: Mapping[str, Any] | None, name: str | None, context: Any
    ) -> ExecutionResult:
        acted = document.kind(name) is OperationType.MUTATION
        with once(schema) if acted else nothing():
            expected = await plain(schema, document, variables, name, dataclasses.replace(context))
            found = await compiled(schema, document, variables, name, context)
        assert bytes_of(found) == bytes_of(expected), document.text
        if not acted:
            again = await compiled(schema, document, variables, name, dataclasses.replace(context))
            assert bytes_of(again) == bytes_of(expected), document.text
        compared.append(name or "")
        return found

    monkeypatch.setattr(Schema, "run", run)
    return compared


@contextmanager
def nothing() -> Generator[None, None, None]:
    yield


@contextmanager
def once(schema: Schema) -> Generator[None, None, None]:
    """Let mutations act in the first run within the block, and tell what came of it in the second."""
    fields = cast(GraphQLObjectType, schema.core.mutation_type).fields
    own = {name: field.resolve for name, field in fields.items()}
    told: dict[tuple[str, ...], Any] = {}
    for field in fields.values():
        field.resolve = recorded(field, told)
    try:
        yield
    finally:
        for name, field in fields.items():
            field.resolve = own[name]


def recorded(field: GraphQLField, told: dict[Any, Any]) -> Run:
    """The field's resolver, which does in the second run what it does to the context, and nothing else."""
    act: Any = field.resolve

    async def resolve(source: Any, info: Any, **arguments: Any) -> Any:
        place = tuple(info.path.as_list())
        if place not in told:
            try:
                told[place] = await act(source, info, **arguments), info.context.now
            except Exception as error:  # noqa: BLE001 - it is raised again below, in either run
                told[place] = error, info.context.now
        else:
            info.context.renew()
        found, info.context.now = told[place]
        if isinstance(found, Exception):
            raise found
        return found

    return resolve
