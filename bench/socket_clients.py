"""One process of `bench.sockets` that holds many WebSockets, each with a subscription, and notes when messages come."""

import asyncio
import json
import os
import sys
import time
from collections import defaultdict
from contextlib import AsyncExitStack
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from core.processes import allow_many_files

FOLLOW = "subscription($id: ID!) { communityActivity(communityId: $id) { kind } }"
# As many at once open their connection: a server's queue of new ones is not endless.
OPENING_AT_ONCE = 50


class Crowd:
    """The sockets of this process, and for each message, by its cursor, when it came to each of them."""

    def __init__(self, address: str, community: str, tokens: list[str]) -> None:
        self.address = address
        self.community = community
        self.tokens = tokens
        self.came: dict[str, list[float]] = defaultdict(list)
        self.turns = asyncio.Semaphore(OPENING_AT_ONCE)

    async def run(self) -> None:
        """Open all, say so, and go on until the input ends."""
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            opened = await asyncio.gather(*(self.open(stack, token) for token in self.tokens))
            print(json.dumps({"opened": len(opened)}), flush=True)
            listening = [tasks.create_task(self.listen(socket)) for socket in opened]
            await asyncio.to_thread(sys.stdin.read)
            for task in listening:
                task.cancel()

    async def open(self, stack: AsyncExitStack, token: str) -> ClientConnection:
        async with self.turns:
            protocol = [Subprotocol("graphql-transport-ws")]
            # Their own pings would be as much work for the server as its own.
            socket = await stack.enter_async_context(
                connect(self.address, subprotocols=protocol, proxy=None, ping_interval=None, open_timeout=120)
            )
            await say(socket, type="connection_init", payload={"Authorization": f"Bearer {token}"})
            await socket.recv()
            variables = {"id": self.community}
            await say(socket, type="subscribe", id="1", payload={"query": FOLLOW, "variables": variables})
            return socket

    async def listen(self, socket: ClientConnection) -> None:
        while True:
            message = json.loads(await socket.recv())
            if message["type"] != "next" or "errors" in message["payload"]:
                print(json.dumps({"failed": message}), flush=True)
                # The thread that waits for the end of the input would keep this process.
                os._exit(1)
            # Without a cursor it says that something may have been missed, while all were coming at once.
            if (cursor := message["payload"].get("extensions", {}).get("cursor")) is None:
                continue
            times = self.came[cursor]
            times.append(time.monotonic())
            if len(times) == len(self.tokens):
                print(json.dumps({"cursor": cursor, "times": times}), flush=True)


async def say(socket: ClientConnection, **message: Any) -> None:
    await socket.send(json.dumps(message))


def main() -> None:
    allow_many_files()
    told = json.loads(sys.stdin.readline())
    asyncio.run(Crowd(told["address"], told["community"], told["tokens"]).run())


if __name__ == "__main__":
    main()
