"""Calendars over HTTP, and the private address of a customer's own."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Annotated

import strawberry
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.context import Edge, Info
from api.language import language_of
from api.refusals import Refusal, refusals, result_union
from api.relay import split_id
from community.calendar import Revision, calendar_text, feed_events, fingerprint, public_event
from core.clock import utc_now
from core.db import Database
from core.errors import KinshipError, NotFound
from graph.client import Row
from service.calendar_feeds import (
    create_feed,
    feed_of_customer,
    feed_of_token,
    note_content,
    revise,
    revisions_of,
    revoke_feed,
)

NAMES = {"zh": "我的活动", "en": "My events"}
HEADERS = {
    "Cache-Control": "private, no-cache",
    "X-Content-Type-Options": "nosniff",
    # The address of a feed is its secret; nothing that is opened from it learns it, and no search engine keeps it.
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
}


async def feed(request: Request) -> Response:
    """A customer's own calendar; an unknown address and a revoked one are the same nothing."""
    edge: Edge = request.app.state.edge
    now = utc_now()
    async with edge.database.read() as session:
        found = await feed_of_token(session, request.path_params["token"])
    if found is None:
        return nothing()
    events = await feed_events(edge.graph, found.customer_id, now=now)
    revisions = await revised(edge.database, events, now=now)
    body = calendar_text(events, revisions, language=found.language, name=NAMES[found.language])
    etag, modified = etag_of(body), found.modified_at
    if etag != found.etag:
        modified = now
        async with edge.database.write() as session:
            await note_content(session, found, etag, now=now)
    return answer(request, body, etag, modified, "kinship.ics")


async def event(request: Request) -> Response:
    """One event of a community that is not private, by its global id."""
    edge: Edge = request.app.state.edge
    row = await public_event(edge.graph, event_id_of(request.path_params["id"]))
    if row is None:
        return nothing()
    revisions = await revised(edge.database, [row], now=utc_now())
    body = calendar_text([row], revisions, language=language_of(request.headers))
    found = answer(request, body, etag_of(body), revisions[row["id"]].changed_at, "event.ics")
    found.headers["Vary"] = "Accept-Language"
    return found


def event_id_of(value: str) -> str:
    """The local id in an address; for anything else one that no event has."""
    try:
        kind, local = split_id(value)
    except KinshipError:
        return ""
    return local if kind == "Event" else ""


async def revised(database: Database, events: Sequence[Row], *, now: datetime) -> Mapping[str, Revision]:
    """The revision of each event; it is written only where an event has changed since the last reader."""
    fingerprints = {row["id"]: fingerprint(row) for row in events}
    async with database.read() as session:
        known = await revisions_of(session, fingerprints)
    changed = {key: value for key, value in fingerprints.items() if key not in known or known[key].fingerprint != value}
    if changed:
        async with database.write() as session:
            await revise(session, changed, now=now)
            known |= await revisions_of(session, changed)
    return {key: Revision(row.sequence, row.changed_at) for key, row in known.items()}


def etag_of(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def answer(request: Request, body: bytes, etag: str, modified: datetime, filename: str) -> Response:
    """The calendar, or 304 for a reader who has it (RFC 9110, 13.2.2: the tag decides where both are asked)."""
    headers = {**HEADERS, "ETag": etag, "Last-Modified": format_datetime(modified.replace(microsecond=0), usegmt=True)}
    if is_fresh(request.headers, etag, modified):
        return Response(status_code=304, headers=headers)
    headers["Content-Disposition"] = f'inline; filename="{filename}"'
    return Response(body, media_type="text/calendar; charset=utf-8", headers=headers)


def is_fresh(headers: Mapping[str, str], etag: str, modified: datetime) -> bool:
    """Whether the reader's copy is the newest."""
    tags = headers.get("if-none-match")
    if tags is not None:
        return tags.strip() == "*" or etag in [tag.strip().removeprefix("W/") for tag in tags.split(",")]
    try:
        since = parsedate_to_datetime(headers.get("if-modified-since", ""))
        return modified.replace(microsecond=0) <= since
    except (TypeError, ValueError):
        return False


def nothing() -> Response:
    return Response("Not found\n", status_code=404, media_type="text/plain", headers=HEADERS)


ROUTES = [Route("/calendar/{token}.ics", feed), Route("/events/{id}.ics", event)]


@strawberry.type(description="That you have a private calendar address; the address itself is shown once.")
class CalendarFeed:
    created_at: datetime = strawberry.field(description="Since when.")


async def viewer_feed(info: Info) -> CalendarFeed | None:
    """The viewer's feed, if they have one."""
    customer_id = await info.context.viewer_id()
    if customer_id is None:
        return None
    async with info.context.database.read() as session:
        row = await feed_of_customer(session, customer_id)
    return CalendarFeed(created_at=row.created_at) if row else None


@strawberry.type(description="Your calendar has a private address.")
class CreateCalendarFeedSuccess:
    url: str = strawberry.field(description="For your calendar app. It is shown only now: whoever has it reads along.")
    feed: CalendarFeed = strawberry.field(description="Since when it exists.")


@strawberry.type(description="The address works no more.")
class RevokeCalendarFeedSuccess:
    revoked: bool = strawberry.field(description="Always true.")


CreateCalendarFeedResult = Annotated[CreateCalendarFeedSuccess | Refusal, result_union(CreateCalendarFeedSuccess)]
RevokeCalendarFeedResult = Annotated[RevokeCalendarFeedSuccess | Refusal, result_union(RevokeCalendarFeedSuccess)]


@strawberry.type
class CalendarMutations:
    @strawberry.mutation(
        description="Make a private address for your registrations, in the language of this request; an earlier "
        "address stops working."
    )
    @refusals
    async def create_calendar_feed(self, info: Info) -> CreateCalendarFeedResult:
        context = info.context
        customer_id = await context.customer_id()
        async with context.database.write() as session:
            token = await create_feed(session, customer_id, language=context.language, now=context.now)
        url = f"{context.edge.settings.base_url}/calendar/{token}.ics"
        return CreateCalendarFeedSuccess(url=url, feed=CalendarFeed(created_at=context.now))

    @strawberry.mutation(description="Take your private calendar address away.")
    @refusals
    async def revoke_calendar_feed(self, info: Info) -> RevokeCalendarFeedResult:
        customer_id = await info.context.customer_id()
        async with info.context.database.write() as session:
            if not await revoke_feed(session, customer_id):
                raise NotFound
        return RevokeCalendarFeedSuccess(revoked=True)
