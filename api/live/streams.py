"""Running an operation as a stream of answers: one for a query, one for each event of a subscription."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import strawberry
from graphql import OperationType

from api.context import Context
from api.server import Operation, answer_of, execute

# An answer, and whether the operation ran at all.
Answer = tuple[dict[str, Any], bool]


async def answers(schema: strawberry.Schema, operation: Operation, context: Context) -> AsyncGenerator[Answer, None]:
    """The answers in order; closed early, it stops the resolver that makes them."""
    context.streams = True
    if context.document.kind(operation.name) is not OperationType.SUBSCRIPTION:
        yield await execute(schema, operation, context)
        return
    problems = context.document.problems(operation.name, context.cost, streams=True)
    if problems:
        yield answer_of(None, problems, context)
        return
    stream = await schema.subscribe(
        context.document.text,
        variable_values=operation.variables,
        context_value=context,
        operation_name=operation.name,
    )
    ran = False
    async with aclosing(stream) as results:  # pyright: ignore[reportArgumentType] - it is an async generator
        async for result in results:
            answer, whole = answer_of(result.data, result.errors or [], context)
            ran = ran or whole
            if context.cursor is not None:
                answer["extensions"] = {"cursor": context.cursor}
            yield answer, ran
