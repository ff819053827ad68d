"""The public side of a referral link: it records the click, then redirects; and its picture."""

import io
from urllib.parse import urlencode

import segno
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from api.context import Edge
from api.language import language_of
from core.clock import utc_now
from core.errors import Refusal
from referrals.codes import resolve_code
from referrals.links import record_click


async def follow(request: Request) -> Response:
    """Record the click and send the visitor on; a code that does not count answers with its reason.

    The target is always our own page, so the link cannot be bent to another; 302 with no-store keeps
    browsers from skipping the recording next time.
    """
    edge: Edge = request.app.state.edge
    headers = {"Cache-Control": "no-store"}
    try:
        async with edge.database.write() as session:
            code = await resolve_code(session, request.path_params["code"])
            click = await record_click(
                session,
                code,
                channel=request.query_params.get("channel"),
                user_agent=request.headers.get("user-agent", ""),
                is_head=request.method == "HEAD",
                now=utc_now(),
            )
    except Refusal as refusal:
        return PlainTextResponse(refusal.words(language_of(request.headers)), status_code=404, headers=headers)
    query = urlencode({"code": code.code, "click": click.id})
    return RedirectResponse(f"{edge.settings.base_url}/sign-in?{query}", status_code=302, headers=headers)


async def picture(request: Request) -> Response:
    """The link as a QR code, without recording a click."""
    edge: Edge = request.app.state.edge
    try:
        async with edge.database.read() as session:
            code = await resolve_code(session, request.path_params["code"])
    except Refusal as refusal:
        return PlainTextResponse(refusal.words(language_of(request.headers)), status_code=404)
    image = io.BytesIO()
    segno.make(f"{edge.settings.base_url}/r/{code.code}?channel=qr").save(image, kind="svg", scale=6)
    return Response(image.getvalue(), media_type="image/svg+xml", headers={"Cache-Control": "max-age=3600"})


ROUTES = [Route("/r/{code}", follow, methods=["GET", "HEAD"]), Route("/r/{code}/qr.svg", picture)]
