"""GraphQL over HTTP by GET: the operation in the address, for queries only (section 5.2 of the draft of 2025)."""

from graphql import GraphQLError, OperationType, get_operation_ast, parse
from starlette.datastructures import QueryParams

from api.schema import MOST_TOKENS
from api.server import Operation, RequestInvalid, operation_of, parse_json

JSON_PARAMETERS = ("variables", "extensions")


def operation_in_address(parameters: QueryParams) -> Operation:
    """The operation that the query of the address holds; raises RequestInvalid, with 405 where it changes something.

    A link, an image or a proxy that asks again must never be able to act, however it came by the address.
    """
    if any("\0" in value for value in parameters.values()):
        raise RequestInvalid("Text must not contain the character NUL.")
    data = {
        name: parse_json(value.encode()) if name in JSON_PARAMETERS else value for name, value in parameters.items()
    }
    operation = operation_of(data)
    if is_mutation(operation):
        raise RequestInvalid("A mutation is sent by POST.", 405)
    return operation


def is_mutation(operation: Operation) -> bool:
    """Whether this would change something; what is wrong with a document is said by its execution."""
    try:
        document = parse(operation.query, max_tokens=MOST_TOKENS)
    except GraphQLError:
        return False
    node = get_operation_ast(document, operation.name)
    return node is not None and node.operation is OperationType.MUTATION
