"""Running an operation as a stream of answers: one for a query, one for each event of a subscription."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from graphql import GraphQLError, OperationType

from api.context import Context
from api.errors import present, request_error
from api.execution import Schema
from api.server import Operation, answer_of, execute
from core.errors import KinshipError

# An answer, and whether the operation ran at all.
Answer = tuple[dict[str, Any], bool]


async def answers(schema: Schema, operation: Operation, context: Context) -> AsyncGenerator[Answer, None]:
    """The answers in order; closed early, it stops the resolver that makes them."""
    context.streams = True
    if context.document.kind(operation.name) is not OperationType.SUBSCRIPTION:
        yield await execute(schema, operation, context)
        return
    problems = context.document.problems(operation.name, context.cost, streams=True)
    if problems:
        yield answer_of(None, problems, context)
        return
    await context.begin_message()
    try:
        async with aclosing(followed(schema, operation, context)) as found:
            async for answer in found:
                # Whoever reads slowly does so in their own time.
                context.end_turn()
                yield answer
    finally:
        context.end_turn()


async def followed(schema: Schema, operation: Operation, context: Context) -> AsyncGenerator[Answer, None]:
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


def failure(error: Exception, context: Context) -> list[dict[str, Any]]:
    """The errors of an operation that failed on its way: ours with their codes, unknown ones masked and logged."""
    if isinstance(error, KinshipError):
        return request_error(error, context)["errors"]
    return [present(GraphQLError("failed", original_error=error), context)]
