"""Running an operation as a stream of answers: one for a query, one for each event of a subscription."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import strawberry
from graphql import GraphQLError, OperationType, get_operation_ast, parse

from api.context import Context
from api.schema import MOST_TOKENS
from api.server import Operation, answer_of, execute

# An answer, and whether the operation ran at all.
Answer = tuple[dict[str, Any], bool]


def is_subscription(operation: Operation) -> bool:
    """Whether this asks for a stream; what is wrong with a document is said by its execution."""
    try:
        document = parse(operation.query, max_tokens=MOST_TOKENS)
    except GraphQLError:
        return False
    node = get_operation_ast(document, operation.name)
    return node is not None and node.operation is OperationType.SUBSCRIPTION


async def answers(schema: strawberry.Schema, operation: Operation, context: Context) -> AsyncGenerator[Answer, None]:
    """The answers in order; closed early, it stops the resolver that makes them."""
    if not is_subscription(operation):
        yield await execute(schema, operation, context)
        return
    context.streams = True
    stream = await schema.subscribe(
        operation.query,
        variable_values=operation.variables,
        context_value=context,
        operation_name=operation.name,
    )
    ran = False
    async with aclosing(stream) as results:  # pyright: ignore[reportArgumentType] - it is an async generator
        async for result in results:
            answer, whole = answer_of(result.data, result.errors or [], context)
            ran = ran or whole
            yield answer, ran
