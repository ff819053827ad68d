"""The public side of a referral link: it records the click, then redirects; and its picture."""

import io
from urllib.parse import urlencode

import segno
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from api.context import Edge
from api.language import language_of
from api.referrals.guesses import LINK_GUESSES, address_of
from core.clock import utc_now
from core.errors import KinshipError, NotFound, Refusal, Unavailable
from core.rate import TooManyGuesses
from referrals.codes import CodeRevoked, CodeUnknown, ReferralCode, resolve_code
from referrals.links import record_click

HEADERS = {
    # Kept by nobody: the next opening is a click of its own, and a revoked code stops at once.
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
STATUSES: dict[type[KinshipError], int] = {CodeRevoked: 410, TooManyGuesses: 429, Unavailable: 503}
# Browsers say by these that nobody has opened the page yet; the first is the older name, the last that of Firefox.
PURPOSES = ("purpose", "sec-purpose", "x-purpose", "x-moz")


async def follow(request: Request) -> Response:
    """Record the click and send the visitor on; a code that does not count answers with its reason.

    The target is our own page under the address that the settings say, so that the link cannot be bent to another,
    neither by its words nor by its headers. 302 with no-store: browsers skip the recording of what is permanent.
    """
    edge: Edge = request.app.state.edge
    try:
        code = await resolved(request)
        async with edge.database.write() as session:
            click = await record_click(
                session,
                code,
                channel=request.query_params.get("channel"),
                user_agent=request.headers.get("user-agent", ""),
                is_head=request.method == "HEAD",
                is_prefetch=is_prefetch(request),
                now=utc_now(),
            )
    except (Refusal, Unavailable) as error:
        return refused(request, error)
    query = urlencode({"code": code.code, "click": click.id})
    return RedirectResponse(f"{edge.settings.base_url}/sign-in?{query}", status_code=302, headers=HEADERS)


async def picture(request: Request) -> Response:
    """The link as a QR code, without recording a click; to guess by it is to guess by the link."""
    edge: Edge = request.app.state.edge
    try:
        code = await resolved(request)
    except (Refusal, Unavailable) as error:
        return refused(request, error)
    image = io.BytesIO()
    segno.make(f"{edge.settings.base_url}/r/{code.code}?channel=qr").save(image, kind="svg", scale=6)
    headers = {**HEADERS, "Cache-Control": "private, max-age=3600"}
    return Response(image.getvalue(), media_type="image/svg+xml", headers=headers)


async def resolved(request: Request) -> ReferralCode:
    """The code in the address; raises CodeUnknown, CodeRevoked, TooManyGuesses."""
    edge: Edge = request.app.state.edge
    allowed = edge.guesses.allowed(LINK_GUESSES, address_of(request), wrong=CodeUnknown)
    # A session for reading, so that who guesses keeps no writer waiting.
    async with allowed, edge.database.read() as session:
        return await resolve_code(session, request.path_params["code"])


def is_prefetch(request: Request) -> bool:
    """Whether a browser only prepares for a visit, or draws a preview."""
    said = [request.headers.get(name, "").lower() for name in PURPOSES]
    return any(word in purpose for purpose in said for word in ("prefetch", "prerender", "preview"))


def refused(request: Request, error: KinshipError) -> Response:
    """The reason in the visitor's language."""
    headers = dict(HEADERS)
    if isinstance(error, TooManyGuesses):
        headers["Retry-After"] = str(error.seconds)
    # What is unavailable says in its detail which store it was, and that is not for visitors.
    shown = Unavailable() if isinstance(error, Unavailable) else error
    words = shown.words(language_of(request.headers))
    return PlainTextResponse(words, status_code=STATUSES.get(type(error), 404), headers=headers)


async def nothing(_: Request) -> Response:
    """Anything else below /r/; by itself Starlette would send on to an address made of the Host header."""
    return PlainTextResponse(NotFound.en, status_code=404, headers=HEADERS)


ROUTES = [
    Route("/r/{code}", follow, methods=["GET", "HEAD"]),
    Route("/r/{code}/", follow, methods=["GET", "HEAD"]),
    Route("/r/{code}/qr.svg", picture),
    Route("/r/{rest:path}", nothing),
]
