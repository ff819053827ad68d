"""`python -m bench.graphql_bounds`: what bounds our speed from above, as servers beside ours.

`driver`: the same server and driver with nothing between them, one reading statement and its rows as JSON. `constants`:
ours as it is, over a graph that keeps what it has read and does not ask for it again.
"""

import asyncio
import os
import re
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, LiteralString

import orjson

from api.app import create_app
from core.settings import load_settings
from graph.client import GraphClient, Row
from ops.api_server import serve

EVERYTHING = """
MATCH (c:Community {id: $id})
RETURN c AS community, COLLECT { MATCH (x)-[m:MEMBER_OF]->(c) RETURN {name: x.display_name, role: m.role} } AS members,
       COLLECT { MATCH (c)-[:HOSTS]->(e) RETURN properties(e) } AS events
"""
# Also within another value, as in the place in an order from which a page begins.
INSTANT = re.compile(rb"\d{4}-\d\d-\d\dT[0-9:.]+Z")
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Driver:
    """An application that answers whatever it is asked with one community by one statement."""

    def __init__(self) -> None:
        self.graph = GraphClient.of(load_settings())
        self.id = os.environ["BENCH_COMMUNITY"]

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        if scope["type"] != "http":
            return
        await receive()
        (row,) = await self.graph.read(EVERYTHING, id=self.id)
        body = orjson.dumps({**row, "community": dict(row["community"])})
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def keep_what_is_read() -> None:
    """Let the graph answer from memory what it has been asked before, at whichever instant."""
    read = GraphClient.read
    kept: dict[tuple[str, bytes], list[Row]] = {}

    async def remembered(
        self: GraphClient, query: LiteralString, *, timeout: float | None = None, **parameters: Any
    ) -> list[Row]:
        key = (query, INSTANT.sub(b"", orjson.dumps(parameters, default=str)))
        if key not in kept:
            kept[key] = await read(self, query, timeout=timeout, **parameters)
        await asyncio.sleep(0)
        return kept[key]

    GraphClient.read = remembered


def main() -> None:
    settings = load_settings()
    if sys.argv[1] == "constants":
        keep_what_is_read()
        serve(create_app(), settings)
    else:
        serve(Driver(), settings)


if __name__ == "__main__":
    main()
