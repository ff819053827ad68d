"""One mapping from what went wrong to what a client is told."""

from typing import Any

import structlog
from graphql import GraphQLError, GraphQLSyntaxError

from api.context import Context
from core.errors import BadUserInput, Forbidden, KinshipError, Refusal, Unauthenticated, Unavailable
from core.history import CursorExpired

log = structlog.get_logger(__name__)

# Every `extensions.code`, with what it means: the families that tools know, and what is said of requests as a whole.
CODES = {
    "UNAUTHENTICATED": "Nobody is signed in, or the token is not good. Over HTTP a bad token is a 401.",
    "FORBIDDEN": "Whoever is signed in may not do this.",
    "NOT_FOUND": "There is no such thing, or not for whoever asks: both look alike.",
    "BAD_USER_INPUT": "An argument is not valid: an id, a page, a value against the rules or one that no store keeps.",
    "REFUSAL": "The rules refuse it, where no union of a mutation can say so; `reason` has the refusal's code.",
    "UNAVAILABLE": "A store did not answer, or the time for one operation is over: try again in a moment.",
    "GRAPHQL_PARSE_FAILED": "The document is no GraphQL.",
    "GRAPHQL_VALIDATION_FAILED": "The document, or what its variables hold, does not fit the schema.",
    "DOCUMENT_TOO_LARGE": "The document is deeper or larger than the limits.",
    "OPERATION_TOO_COSTLY": "The operation may cost more than any one may: ask for smaller pages.",
    "BAD_REQUEST": "The request is none of GraphQL over HTTP: body, media type or method.",
    "CURSOR_EXPIRED": "What came after a subscription's cursor is not known any more: read anew, follow without it.",
    "SLOW_CONSUMER": "The last event of a stream whose messages were not read in time: follow again after its cursor.",
    "TOO_MANY_SUBSCRIPTIONS": "As many operations run on this connection as one may hold.",
    "INTERNAL_SERVER_ERROR": "Something nobody expected; our logs know what, by the `requestId`.",
}


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
    for base in (Unauthenticated, Forbidden, BadUserInput, Unavailable, CursorExpired):
        if isinstance(error, base):
            return base.code
    return "NOT_FOUND" if error.code == "NOT_FOUND" else Refusal.__name__.upper()


def request_error(error: KinshipError, context: Context) -> dict[str, Any]:
    """An error of the request as a whole, in the form of a GraphQL answer."""
    return {"errors": [{"message": error.words(context.language), "extensions": {"code": error.code}}]}
