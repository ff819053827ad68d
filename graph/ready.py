"""Waiting until a graph answers a query, which is later than its port opens."""

import asyncio
import time

import neo4j
from neo4j.exceptions import AuthError, ConfigurationError, DriverError, Neo4jError


async def wait_for_bolt(uri: str, user: str, password: str, *, timeout: float, database: str | None = None) -> None:
    """Return once a query is answered; raises TimeoutError with the last cause, ValueError when hopeless."""
    # The driver also takes http, which is another protocol with a preview's warnings.
    if not uri.startswith(("bolt", "neo4j")):
        raise ValueError("it must begin with bolt:// or neo4j://, or one of their encrypted forms")
    deadline = time.monotonic() + timeout
    auth = (user, password) if password else None
    try:
        driver = neo4j.AsyncGraphDatabase.driver(
            uri, auth=auth, connection_timeout=2.0, notifications_min_severity="OFF"
        )
    except (ConfigurationError, ValueError) as error:
        raise ValueError(str(error)) from error
    async with driver:
        while True:
            try:
                # Without the driver's own retries, which wait for seconds where we ask again at once.
                async with asyncio.timeout(5), driver.session(database=database or None) as session:
                    await (await session.run("RETURN 1 AS one")).consume()
                return
            except AuthError as error:
                raise ValueError("user or password are refused") from error
            except (DriverError, Neo4jError, TimeoutError, OSError) as error:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"no answer within {timeout:.0f} s: {error}") from error
            await asyncio.sleep(0.1)
