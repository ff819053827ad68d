"""Reads the urlencoded forms of the token and revocation endpoints, and answers in JSON."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson
from authlib.oauth2.rfc6749 import InvalidRequestError, OAuth2Error
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from api.issuer.server import IssuerRequest
from api.pages import SECURITY_HEADERS, policy

LONGEST_FORM = 16_384
MOST_FIELDS = 50


async def read_form(request: Request) -> IssuerRequest:
    """The request as authlib takes it; raises InvalidRequestError for anything but a modest urlencoded form."""
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        raise InvalidRequestError("The body must be application/x-www-form-urlencoded.")
    body = await read_limited(request)
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise InvalidRequestError("The form cannot be read.") from error
    found = IssuerRequest("POST", pairs, request.headers)
    found.refuse_repeated()
    found.refuse_unspeakable()
    return found


async def read_limited(request: Request) -> bytes:
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > LONGEST_FORM:
                raise InvalidRequestError(f"The body is larger than {LONGEST_FORM} bytes.")
            chunks.append(chunk)
    except ClientDisconnect as error:
        raise InvalidRequestError("The client went away.") from error
    return b"".join(chunks)


def json_answer(body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Never stored by default: most answers here carry tokens."""
    shared = {**SECURITY_HEADERS, "Content-Security-Policy": policy(), "Cache-Control": "no-store"}
    answer = Response(orjson.dumps(body), status, media_type="application/json")
    answer.headers.update({**shared, "Pragma": "no-cache", **(headers or {})})
    return answer


def error_answer(error: OAuth2Error) -> Response:
    """The error in the form of RFC 6749, section 5.2."""
    status, body, headers = error()
    return json_answer(body, status, dict(headers))
