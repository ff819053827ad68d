"""The route /graphql over HTTP: who asks, what they ask, whether it may run now, and its one answer or its stream."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import orjson
from graphql import OperationType
from starlette.datastructures import State
from starlette.requests import Request
from starlette.responses import Response

from api.admission import Admission, headers_for, status_for
from api.auth import bearer
from api.context import Context
from api.errors import request_error
from api.get import cacheable, operation_in_address, refuse_in_address
from api.language import language_of
from api.live.sse import EventStream, gone, wants_stream
from api.server import (
    Operation,
    RequestInvalid,
    bad_request,
    execute,
    preferred_type,
    read_operation,
    respond,
    status_of,
)
from core.clock import utc_now
from core.errors import KinshipError, Unauthenticated
from core.failures import look_at_failure
from core.log import add_to_lines
from core.loops import running_loop
from core.time_limits import alarm_after


async def graphql(request: Request) -> Response:
    """Run one operation for whoever the token names; no token is somebody unknown, a bad one is refused."""
    state = request.app.state
    headers = headers_of(request)
    media_type = preferred_type(headers.get("accept", ""))
    context = Context(
        edge=state.edge,
        bearer=None,
        language=language_of(headers),
        now=utc_now(),
        request_id=request.scope["request_id"],
    )
    admission: Admission = state.admission
    # HEAD is GET without the body.
    is_get = request.method != "POST"
    try:
        if is_get:
            operation = operation_in_address(request.query_params)
        else:
            operation = await read_operation(request, headers, state.settings)
        context.operation_name = operation.name
        await recognise(request, headers, context)
        await admission.admit(operation, context, client_of(request))
        if is_get:
            refuse_in_address(operation, context)
        if wants_stream(headers):
            context.resume_after = headers.get("last-event-id") or None
            return EventStream(state.schema, operation, context, state.seats)
        async with state.gate:
            answer, ran = await run_for(request, operation, context)
    except RequestInvalid as error:
        allow = {"Allow": "POST"} if error.status == 405 else None
        return respond(bad_request(error), error.status, media_type, allow)
    except KinshipError as error:
        told = admission.headers(None) | headers_for(error)
        return respond(request_error(error, context), status_for(error), media_type, told)
    if is_get and context.bearer is None and ran and "errors" not in answer:
        return respond_to_anybody(answer, request, media_type)
    answer["extensions"] = {"cost": cost_of(context, admission)}
    return respond(answer, status_of(answer, ran, media_type), media_type, admission.headers(context.left))


def headers_of(request: Request) -> Mapping[str, str]:
    """The request's headers by their names in small letters, the first of each name: read at once, as five of them are
    asked for."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(request.scope["headers"])}


def respond_to_anybody(answer: dict[str, Any], request: Request, media_type: str) -> Response:
    """The answer to who has not signed in, which caches may keep and give to others like them."""
    body, status, headers = cacheable(orjson.dumps(answer), request.headers.get("if-none-match", ""))
    return Response(body, status, headers, f"{media_type}; charset=utf-8")


async def recognise(request: Request, headers: Mapping[str, str], context: Context) -> None:
    """Take in who asks; raises Unauthenticated for a bad token, and for a stream without one."""
    token = bearer(headers)
    if token is None and wants_stream(headers):
        raise Unauthenticated
    if token is not None:
        principal = await request.app.state.verifier.verify(token)
        add_to_lines(subject=principal.subject)
        context.bearer = principal


async def run_for(request: Request, operation: Operation, context: Context) -> tuple[dict[str, Any], bool]:
    """The answer for a client that waits for it: a query whose client has gone is stopped, which frees the stores.

    A mutation goes on to its end. Half of one is always mended, but its client may have left only to ask again.
    """
    state: State = request.app.state
    if context.document.kind(operation.name) is OperationType.MUTATION:
        return await execute(state.schema, operation, context)
    running = cast("asyncio.Task[Any]", asyncio.current_task(running_loop()))
    leaving: asyncio.Task[None] | None = None
    is_over = False

    def stop_if_gone(left: asyncio.Task[None]) -> None:
        if not is_over and not left.cancelled():
            look_at_failure(left)
            running.cancel()

    def watch() -> None:
        nonlocal leaving
        leaving = asyncio.create_task(gone(request.receive))
        leaving.add_done_callback(stop_if_gone)

    # Most are answered before anybody could leave, and are spared the task.
    later = alarm_after(WATCH_AFTER_SECONDS, watch)
    try:
        return await execute(state.schema, operation, context)
    except asyncio.CancelledError:
        # What it held of the stores has been given back by now, before anybody else is let in.
        if leaving is None or not leaving.done():
            raise
        running.uncancel()
        raise RequestInvalid("The client went away.", CLIENT_CLOSED) from None
    finally:
        is_over = True
        later.lift()
        if leaving is not None:
            leaving.cancel()


# Whether the client of an operation is still there is looked at once it has taken so long.
WATCH_AFTER_SECONDS = 0.2
# As nginx has it; nobody reads the answer, but the log tells.
CLIENT_CLOSED = 499


def client_of(request: Request) -> str:
    return request.client.host if request.client else "unknown"


def cost_of(context: Context, admission: Admission) -> dict[str, int]:
    """What the operation was reckoned to cost, of what there is each minute; what is left of it is in the headers, so
    that the same question has the same answer."""
    return {"requested": context.cost, "limit": admission.budget.most}
