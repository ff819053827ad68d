"""The ASGI application: routes, request ids, health, and the stores' life from start to end."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import cache
from ssl import SSLContext
from typing import Any

import httpx
import orjson
import structlog
from arq import create_pool
from arq.connections import ArqRedis, RedisSettings
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import signin
from api.admission import Admission
from api.auth import TokenVerifier
from api.community import calendar
from api.context import Edge
from api.documents import Documents
from api.gate import Gate
from api.http import graphql
from api.issuer import create_issuer
from api.live.seats import Seats
from api.live.websocket import serve_live
from api.loyalty import statements
from api.referrals import links
from api.schema import build_schema
from api.tour import tour_documents
from api.trusted import TrustedDocuments
from community.live import event_seats, readers
from community.recommendation_exposures import Exposures
from core.budget import Budget
from core.db import Database
from core.ids import derived_id, new_id
from core.live import Bell
from core.log import Lines, begin_lines, configure_logging
from core.outage import Outage
from core.outbox import hints_for
from core.rate import Guesses
from core.settings import Settings, SettingsError, load_settings
from customers.profiles import identities
from graph.client import GraphClient
from migrations.graph_migrations import pending_migrations
from migrations.sql_migrations import is_sql_current

log = structlog.get_logger(__name__)
lines = Lines(__name__)

GRAPHQL = "/graphql"
QUEUE = "kinship"
READY_TIMEOUT_SECONDS = 2.0


def create_app(settings: Settings | None = None) -> Starlette:
    """The application for these settings; the stores are opened when it starts, not before."""
    chosen = settings or load_settings()
    if settings is None:
        configure_logging(chosen.log_level)
    if chosen.database_url is None or chosen.redis_url is None or chosen.neo4j_uri is None:
        raise SettingsError("NEO4J_URI, DATABASE_URL and REDIS_URL: set them, or start the system with make run")
    redis: Redis = Redis.from_url(chosen.redis_url)
    app = Application(routes=routes(chosen, redis), lifespan=lifespan)
    # It would send whoever adds a slash to an address on the host that they name themselves.
    app.router.redirect_slashes = False
    app.state.settings = chosen
    app.state.redis = redis
    app.state.schema = build_schema()
    app.add_middleware(RequestLog)
    return app


class Application(Starlette):
    """Starlette, with a shorter way to what is asked most: the layers between cost as much as running an operation."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._graphql = ServerErrorMiddleware(RequestLog(answer_graphql))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == GRAPHQL and scope["method"] == "POST":
            scope["app"] = self
            await self._graphql(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


async def answer_graphql(scope: Scope, receive: Receive, send: Send) -> None:
    response = await graphql(Request(scope, receive, send))
    await response(scope, receive, send)


def routes(settings: Settings, redis: Redis) -> list[BaseRoute]:
    found: list[BaseRoute] = [
        Route(GRAPHQL, graphql, methods=["GET", "POST"]),
        WebSocketRoute(GRAPHQL, serve_live),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        *links.ROUTES,
        *calendar.ROUTES,
        *statements.ROUTES,
        *signin.routes(settings),
    ]
    if settings.environment != "production":
        found += [Route("/", home), Route("/tour.json", tour)]
    if settings.embedded_issuer:
        found.append(Mount("/issuer", create_issuer(settings, redis)))
    return found


@cache
def authorities() -> SSLContext:
    """Whose certificates are believed; to read them all takes longer than everything else that a start does."""
    return httpx.create_ssl_context()


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncGenerator[None, None]:
    """Open the stores, refuse to start on an old schema, and close everything in the end."""
    settings: Settings = app.state.settings
    # arq's pool waits for Redis at its start; the queue is only a hint, so it is opened at its first use.
    queue = Queue(settings.redis_url or "")
    database = Database(
        settings.database_url or "",
        pool_size=settings.database_pool_size,
        wake=queue.wake,
        keys=settings.key_ring,
        zone=settings.loyalty_time_zone,
    )
    graph = GraphClient.of(settings)
    http = httpx.AsyncClient(timeout=5.0, verify=authorities())
    bell = Bell(app.state.redis)
    try:
        if not await is_sql_current(database) or await pending_migrations(graph):
            raise SettingsError("the stores are not migrated: run python -m ops.migrate")
        guesses = Guesses(app.state.redis)
        exposures = Exposures(database)
        app.state.edge = Edge(
            settings=settings,
            database=database,
            graph=graph,
            enqueue=queue.enqueue,
            ring=bell.ring,
            listen=bell.listen,
            guesses=guesses,
            exposures=exposures,
            identities=identities(database),
            readers=readers(graph),
            event_seats=event_seats(graph),
        )
        app.state.bell = bell
        app.state.seats = Seats(most=settings.streams_at_once)
        app.state.admission = admission_of(app, database)
        app.state.gate = Gate(
            settings.operations_at_once,
            most_waiting=settings.operations_waiting,
            patience=settings.operation_timeout_seconds / 2,
        )
        app.state.verifier = TokenVerifier(settings, http)
        app.state.queue = queue
        async with flushing(exposures, settings.recommendation_flush_seconds):
            yield
    finally:
        await bell.close()
        await queue.close()
        await http.aclose()
        await graph.close()
        await database.close()
        await app.state.redis.aclose()


def admission_of(app: Starlette, database: Database) -> Admission:
    settings: Settings = app.state.settings
    documents = Documents(app.state.schema.core, introspection=settings.environment != "production")
    trusted = TrustedDocuments(settings, database, app.state.redis)
    return Admission(documents, trusted, Budget(app.state.redis, settings.cost_per_minute))


@asynccontextmanager
async def flushing(exposures: Exposures, seconds: float) -> AsyncGenerator[None, None]:
    """Write who was shown what by the second (0: not by itself), and once more in the end."""

    ending = asyncio.Event()

    async def flush_again_and_again() -> None:
        while not ending.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(ending.wait(), seconds or None)
            try:
                await exposures.flush()
            except Exception:
                # What is wrong with one flush is no reason to count nothing from then on.
                log.exception("flush_failed")

    # Ended between two flushes and never within one, which would lose what it holds.
    task = asyncio.create_task(flush_again_and_again())
    try:
        yield
    finally:
        ending.set()
        await task


class Queue:
    """The way to the workers; whatever cannot be enqueued is left to the sweep."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._outage = Outage("queue")
        self._pool: ArqRedis | None = None
        self._opening = asyncio.Lock()

    async def wake(self, row_ids: Any) -> None:
        """Hint at outbox rows that are due."""
        for ids in hints_for(row_ids):
            await self.enqueue("settle_outbox", *ids)

    async def enqueue(self, job: str, *arguments: str) -> None:
        """Ask for a job about these things; asked twice while it waits, it runs once."""

        async def ask() -> None:
            pool = await self._open()
            await pool.enqueue_job(job, *arguments, _job_id=derived_id(job, *arguments), _queue_name=QUEUE)

        await self._outage.asked(ask)

    async def _open(self) -> ArqRedis:
        async with self._opening:
            if self._pool is None:
                settings = RedisSettings.from_dsn(self._url)
                settings.conn_retries = 0
                settings.conn_timeout = 1
                self._pool = await create_pool(settings, default_queue_name=QUEUE)
            return self._pool

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.aclose()


async def home(_: Request) -> Response:
    return RedirectResponse("/sign-in")


async def tour(_: Request) -> Response:
    """The example documents of the explorer: those of the README."""
    return Response(orjson.dumps(tour_documents()), media_type="application/json")


async def healthz(_: Request) -> Response:
    """The process is alive; it says nothing of the stores."""
    return Response(b'{"status":"ok"}', media_type="application/json")


async def readyz(request: Request) -> Response:
    """Each store answers within two seconds, or the answer is 503 and names those that do not."""
    edge: Edge = request.app.state.edge
    names = ("graph", "sql", "redis")
    checks = (ask_graph(edge), ask_sql(edge), request.app.state.redis.ping())
    answers = await asyncio.gather(*(is_ready(check) for check in checks))
    stores = dict(zip(names, ("ok" if answer else "unavailable" for answer in answers), strict=True))
    body = orjson.dumps({"status": "ok" if all(answers) else "unavailable", "stores": stores})
    return Response(body, status_code=200 if all(answers) else 503, media_type="application/json")


async def ask_graph(edge: Edge) -> None:
    await edge.graph.read("RETURN 1 AS one", timeout=READY_TIMEOUT_SECONDS)


async def ask_sql(edge: Edge) -> None:
    async with edge.database.read() as session:
        await session.connection()


async def is_ready(check: Coroutine[Any, Any, Any]) -> bool:
    try:
        async with asyncio.timeout(READY_TIMEOUT_SECONDS):
            await check
    except Exception as error:  # noqa: BLE001 - whatever a store does wrong, it is not ready
        log.warning("store_not_ready", error=f"{type(error).__name__}: {error}")
        return False
    return True


class RequestLog:
    """Gives each request an id (the caller's own, if it is a plain one), answers it, and logs one line."""

    def __init__(self, app: ASGIApp, clock: Callable[[], float] = time.perf_counter) -> None:
        self.app = app
        self.clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        request_id = (
            given if 8 <= len(given) <= 64 and given.replace("-", "").isalnum() and given.isascii() else new_id()
        )
        scope["request_id"] = request_id
        begin_lines(request_id=request_id)
        started, status = self.clock(), 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        finally:
            elapsed = round((self.clock() - started) * 1000, 1)
            lines.say("request", method=scope["method"], path=path_of(scope), status=status, milliseconds=elapsed)


def path_of(scope: Scope) -> str:
    """The path without what may be secret in it: a code, a calendar and a statement belong to a person."""
    path: str = scope["path"]
    return next((f"{prefix}…" for prefix in ("/r/", "/calendar/", "/statements/") if path.startswith(prefix)), path)
