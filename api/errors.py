"""One mapping from what went wrong to what a client is told."""

from typing import Any

import structlog
from graphql import GraphQLError, GraphQLSyntaxError

from api.context import Context
from core.errors import BadUserInput, Forbidden, KinshipError, Refusal, Unauthenticated, Unavailable

log = structlog.get_logger(__name__)


def present(error: GraphQLError, context: Context) -> dict[str, Any]:
    """The error as it goes out: ours with code and words, unknown ones masked and logged."""
    formatted: dict[str, Any] = dict(error.formatted)
    formatted["extensions"] = extensions_of(error, context)
    original = error.original_error
    if isinstance(original, KinshipError):
        formatted["message"] = original.words(context.language)
    elif is_unexpected(error):
        log.error("unexpected_error", path=error.path, exc_info=original)
        formatted["message"] = (
            "内部错误，请稍后再试。" if context.language == "zh" else "Something went wrong on our side."
        )
    return formatted


def is_unexpected(error: GraphQLError) -> bool:
    """Whether this is nobody's intention: an exception that is neither ours nor a coercion of a value."""
    return error.original_error is not None and not isinstance(error.original_error, GraphQLError | KinshipError)


def extensions_of(error: GraphQLError, context: Context) -> dict[str, Any]:
    original = error.original_error
    if isinstance(original, KinshipError):
        found: dict[str, Any] = {"code": family(original), "reason": original.code}
        if original.path:
            found["inputPath"] = list(original.path)
        return found
    if isinstance(error, GraphQLSyntaxError):
        return {"code": "GRAPHQL_PARSE_FAILED"}
    if is_unexpected(error):
        return {"code": "INTERNAL_SERVER_ERROR", "requestId": context.request_id}
    if error.extensions and "code" in error.extensions:
        return dict(error.extensions)
    # Before execution it is a document that does not fit the schema, during it a value that does not fit.
    return {"code": "BAD_USER_INPUT" if error.path or not error.nodes else "GRAPHQL_VALIDATION_FAILED"}


def family(error: KinshipError) -> str:
    """The code that tools know; our own, finer one stands beside it as `reason`."""
    for base in (Unauthenticated, Forbidden, BadUserInput, Unavailable):
        if isinstance(error, base):
            return base.code
    return "NOT_FOUND" if error.code == "NOT_FOUND" else Refusal.__name__.upper()


def request_error(error: KinshipError, context: Context) -> dict[str, Any]:
    """An error of the request as a whole, in the form of a GraphQL answer."""
    return {"errors": [{"message": error.words(context.language), "extensions": {"code": error.code}}]}
