"""GraphQL over HTTP by GET: the operation in the address, for queries only (section 5.2 of the draft of 2025)."""

import hashlib

from graphql import OperationType
from starlette.datastructures import QueryParams

from api.context import Context
from api.server import Operation, RequestInvalid, operation_of, parse_json

JSON_PARAMETERS = ("variables", "extensions")
FRESH_SECONDS = 60
# Whoever has signed in, reads another language or wants another media type is answered something else.
VARY = "Authorization, Accept, Accept-Language"


def operation_in_address(parameters: QueryParams) -> Operation:
    """The operation that the query of the address holds; raises RequestInvalid."""
    if any("\0" in value for value in parameters.values()):
        raise RequestInvalid("Text must not contain the character NUL.")
    data = {
        name: parse_json(value.encode()) if name in JSON_PARAMETERS else value for name, value in parameters.items()
    }
    return operation_of(data)


def refuse_in_address(operation: Operation, context: Context) -> None:
    """Raise RequestInvalid, with 405, where this has to be sent by POST.

    A link, an image or a proxy that asks again must never be able to act, however it came by the address. In production
    an address names registered documents only, and tells nothing of who has signed in: it ends up in logs and caches.
    """
    if context.document.kind(operation.name) is OperationType.MUTATION:
        raise RequestInvalid("A mutation is sent by POST.", 405)
    is_production = context.edge.settings.environment == "production"
    if is_production and (context.bearer is not None or operation.query is not None):
        raise RequestInvalid("Send this by POST.", 405)


def cacheable(answer: bytes, known: str) -> tuple[bytes, int, dict[str, str]]:
    """The body, status and headers of what anybody may be told: kept for a minute, and not sent again to who has it.

    `known` is the header If-None-Match (RFC 9110, section 13.1.2).
    """
    tag = f'"{hashlib.sha256(answer).hexdigest()[:32]}"'
    headers = {"Cache-Control": f"public, max-age={FRESH_SECONDS}", "ETag": tag, "Vary": VARY}
    is_known = tag in [one.strip().removeprefix("W/") for one in known.split(",")] or known.strip() == "*"
    return (b"", 304, headers) if is_known else (answer, 200, headers)
