"""GraphQL over HTTP: one request, one operation, one JSON answer (GraphQL over HTTP, draft of 2025)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from graphql import GraphQLError, OperationType
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from api.context import Context
from api.errors import present
from api.execution import Schema
from core.begun import Rest, begun
from core.errors import Unavailable
from core.settings import Settings
from core.time_limits import within
from core.trusted_documents import LONGEST_ID
from graph.together import reading_together

log = structlog.get_logger(__name__)

GRAPHQL_JSON = "application/graphql-response+json"
PLAIN_JSON = "application/json"


class RequestInvalid(Exception):
    """A request that is no GraphQL request; `status` is the HTTP answer."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Operation:
    """What the client wants run: a document by its text, by its id, or by both (which registers it, where allowed)."""

    query: str | None
    variables: dict[str, Any] | None
    name: str | None
    document_id: str | None = None


async def read_operation(request: Request, headers: Mapping[str, str], settings: Settings) -> Operation:
    """Read and check the body; raises RequestInvalid for anything that is not one operation."""
    media_type = headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type != PLAIN_JSON:
        raise RequestInvalid("Send the operation as application/json.", 415)
    try:
        # A small body is there with its head, and to read it takes neither time nor a limit.
        body = begun(read_body(request, settings.max_body_bytes))
        if isinstance(body, Rest):
            with within(settings.operation_timeout_seconds):
                body = await body
    except TimeoutError as error:
        raise RequestInvalid("The body did not come in time.", 408) from error
    return operation_of(parse_json(body))


# How NUL is written in a document's own strings, besides the way that JSON has for it.
NUL_ESCAPE = re.compile(r"\\u\{0+\}|\\u0000")


def parse_json(text: bytes) -> Any:
    """What a client sent as JSON; NUL is refused here, because no store takes it."""
    if b"\\u0000" in text:
        raise RequestInvalid("Text must not contain the character NUL.")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise RequestInvalid("The body is not JSON.") from error


def operation_of(data: Any) -> Operation:
    """The operation in a parsed request; raises RequestInvalid for anything else."""
    if not isinstance(data, dict):
        raise RequestInvalid("The body must be a JSON object with a query.")
    query, variables, name = data.get("query"), data.get("variables"), data.get("operationName")
    document_id = document_id_of(data)
    if query is None and document_id is None:
        raise RequestInvalid("The field query must be text.")
    if query is not None and (not isinstance(query, str) or not query.strip()):
        raise RequestInvalid("The field query must be text.")
    if query is not None and NUL_ESCAPE.search(query):
        raise RequestInvalid("Text must not contain the character NUL.")
    if variables is not None and not isinstance(variables, dict):
        raise RequestInvalid("The field variables must be an object.")
    if name is not None and not isinstance(name, str):
        raise RequestInvalid("The field operationName must be text.")
    if data.get("extensions") is not None and not isinstance(data["extensions"], dict):
        raise RequestInvalid("The field extensions must be an object.")
    return Operation(query, variables, name, document_id)


def document_id_of(data: dict[str, Any]) -> str | None:
    """The id of the document, as the draft of GraphQL over HTTP, Relay's and Apollo's tools send it."""
    extensions = data.get("extensions")
    persisted = extensions.get("persistedQuery") if isinstance(extensions, dict) else None
    hashed = persisted.get("sha256Hash") if isinstance(persisted, dict) else None
    given = next((one for one in (data.get("documentId"), data.get("doc_id"), hashed) if one is not None), None)
    if given is not None and not (isinstance(given, str) and 1 <= len(given) <= LONGEST_ID and given.isascii()):
        raise RequestInvalid(f"The id of a document is text of 1 to {LONGEST_ID} characters.")
    return given


async def read_body(request: Request, limit: int) -> bytes:
    """The body, read no further than the limit."""
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise RequestInvalid(f"The body is larger than {limit} bytes.", 413)
            chunks.append(chunk)
    except ClientDisconnect as error:
        raise RequestInvalid("The client went away.") from error
    return b"".join(chunks)


async def execute(schema: Schema, operation: Operation, context: Context) -> tuple[dict[str, Any], bool]:
    """Run what the context holds ready inside its time budget; returns the answer and whether it ran at all."""
    problems = context.document.problems(operation.name, context.cost, streams=context.streams)
    if problems:
        return answer_of(None, problems, context)
    try:
        with within(context.edge.settings.operation_timeout_seconds):
            async with reading_together():
                if context.document.kind(operation.name) is OperationType.QUERY:
                    await context.meet()
                result = await schema.run(context.document, operation.variables, operation.name, context)
                await context.end_reading_ahead()
    except TimeoutError:
        late = GraphQLError("late", original_error=Unavailable(detail="the time budget is used up"))
        return {"data": None, "errors": [present(late, context)]}, True
    finally:
        context.stop_reading_ahead()
        context.let_go()
    return answer_of(result.data, result.errors or [], context)


def answer_of(data: Any, errors: Sequence[GraphQLError], context: Context) -> tuple[dict[str, Any], bool]:
    """The answer as it goes out, and whether the operation ran at all."""
    answer: dict[str, Any] = {}
    ran = data is not None or any(error.path for error in errors)
    if ran:
        answer["data"] = data
    if errors:
        answer["errors"] = [present(error, context) for error in errors]
    return answer, ran


def preferred_type(accept: str) -> str:
    """The media type of the answer: the modern one for clients that name it, else plain JSON."""
    return GRAPHQL_JSON if GRAPHQL_JSON in accept else PLAIN_JSON


def respond(answer: dict[str, Any], status: int, media_type: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        orjson.dumps(answer),
        status_code=status,
        media_type=f"{media_type}; charset=utf-8",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


def bad_request(error: RequestInvalid) -> dict[str, Any]:
    """The answer to what is no GraphQL request."""
    return {"errors": [{"message": str(error), "extensions": {"code": "BAD_REQUEST"}}]}


def status_of(answer: dict[str, Any], ran: bool, media_type: str) -> int:
    """200 for what ran; a document that did not is 400, but 200 by the older media type (section 6.4)."""
    if ran or media_type == PLAIN_JSON:
        return 200
    return 400 if "errors" in answer else 200
