"""One question to each store and the issuer; a wrong setting becomes one clear line."""

import threading

import httpx
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from core.db import Database
from core.settings import Settings, SettingsError
from graph.ready import wait_for_bolt

PATIENCE_SECONDS = 5.0


async def check_given(settings: Settings) -> None:
    """Ask every part that a setting names once; raises SettingsError for the first that does not answer."""
    for value, check in (
        (settings.neo4j_uri, check_graph),
        (settings.database_url, check_database),
        (settings.redis_url, check_redis),
        (settings.oidc_issuer, check_issuer),
    ):
        if value is not None:
            await check(settings)


async def check_graph(settings: Settings) -> None:
    """Raise SettingsError unless the graph answers a query."""
    uri, user, password = settings.neo4j_uri or "", settings.neo4j_user, settings.neo4j_password.get_secret_value()
    try:
        await wait_for_bolt(uri, user, password, timeout=PATIENCE_SECONDS, database=settings.neo4j_database)
    except (TimeoutError, ValueError, OSError) as error:
        raise SettingsError(f"NEO4J_URI: {uri} cannot be used: {first_line(error)}") from error


async def check_database(settings: Settings) -> None:
    """Raise SettingsError unless the database answers."""
    url = settings.database_url or ""
    try:
        database = Database(url, timeout=PATIENCE_SECONDS)
    except (SQLAlchemyError, ImportError, ValueError) as error:
        raise SettingsError(f"DATABASE_URL: not a database URL that Kinship knows: {first_line(error)}") from error
    try:
        async with database.engine.connect():
            pass
    except (SQLAlchemyError, OSError) as error:
        wait_for_other_threads()
        raise SettingsError(f"DATABASE_URL: the database does not answer: {first_line(error)}") from error
    finally:
        await database.close()


def wait_for_other_threads() -> None:
    """A connection to SQLite that fails leaves a thread, which fails loudly if our loop ends before its last word."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(1)


async def check_redis(settings: Settings) -> None:
    """Raise SettingsError unless Redis answers."""
    try:
        redis = Redis.from_url(settings.redis_url or "", socket_timeout=PATIENCE_SECONDS)
    except ValueError as error:
        raise SettingsError(f"REDIS_URL: {first_line(error)}") from error
    try:
        await redis.ping()
    except (RedisError, OSError) as error:
        raise SettingsError(f"REDIS_URL: Redis does not answer: {first_line(error)}") from error
    finally:
        await redis.aclose()


async def check_issuer(settings: Settings) -> None:
    """Raise SettingsError unless the bank's issuer describes itself under its own name."""
    issuer = settings.oidc_issuer or ""
    address = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    try:
        async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as client:
            answer = await client.get(address)
            found = answer.json().get("issuer") if answer.status_code == 200 else None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, AttributeError) as error:
        raise SettingsError(f"OIDC_ISSUER: {address} does not answer: {first_line(error)}") from error
    if found != issuer:
        raise SettingsError(f"OIDC_ISSUER: {address} does not describe this issuer (status {answer.status_code})")


def first_line(error: BaseException) -> str:
    """The first line of what went wrong, which never holds more than an operator wants to read."""
    text = str(error).strip().splitlines()
    return text[0][:200] if text else type(error).__name__
