"""`python -m bench.sockets --sockets 2000`: WebSockets on one process, each with a subscription to one community.

The server is a process as it runs anywhere, the sockets are held by others. Printed are the memory for each socket, the
time from an event to the first, the middle and the last of its subscribers, and the server's processor time.
"""

import asyncio
import json
import os
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Any, cast

import httpx
import typer
from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from api.relay import global_id
from bench.issuer import access_token, serving_issuer
from bench.members import put_community
from bench.stores import Stores, embedded_stores
from core.history import KEPT_PREFIX, cursor_of
from core.live import Bell
from core.processes import free_port, start_leashed, stop
from core.redis_server import redis_url, start_redis, wait_for_redis

# A process of clients holds so many, so that none is busier than the server.
SOCKETS_OF_A_PROCESS = 1_000
LONGEST_WAIT = 120.0
QUIET_SECONDS = 30
TICKS = os.sysconf("SC_CLK_TCK")

Process = subprocess.Popen[bytes]


def memory_of(process: Process) -> int:
    """Bytes that are resident."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def seconds_of(process: Process) -> float:
    """Processor time so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def write(process: Process, line: str) -> None:
    pipe = cast(IO[bytes], process.stdin)
    rest = memoryview(line.encode() + b"\n")
    while rest:
        rest = rest[pipe.write(rest) :]
    pipe.flush()


@contextmanager
def serving(stores: Stores, redis: str, issuer: str) -> Generator[tuple[Process, int], None, None]:
    """The API as a process, and its port."""
    port = free_port()
    environment = {**stores.environment(), "REDIS_URL": redis, "OIDC_ISSUER": issuer, "PORT": str(port)}
    environment |= {"DATA_DIR": str(stores.folder), "LOG_LEVEL": "WARNING"}
    log = stores.folder / "api.log"
    server = start_leashed([sys.executable, "-m", "ops.api_server"], log=log, env=environment, stdin=subprocess.PIPE)
    write(server, "go")
    try:
        wait_until_ready(f"http://127.0.0.1:{port}/readyz", log)
        yield server, port
    except SystemExit:
        Console().print(log.read_text()[-4000:])
        raise
    finally:
        stop(server, patience=10)


def wait_until_ready(address: str, log: Path) -> None:
    deadline = time.monotonic() + LONGEST_WAIT
    while time.monotonic() < deadline:
        try:
            if httpx.get(address, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise SystemExit(f"the API is not ready:\n{log.read_text()[-2000:]}")


class Clients:
    """Processes that hold sockets."""

    def __init__(self) -> None:
        self.processes: list[Process] = []

    def open(self, port: int, community: str, tokens: list[str]) -> None:
        """Open a socket for each token, and wait until all are open."""
        for start in range(0, len(tokens), SOCKETS_OF_A_PROCESS):
            command = [sys.executable, "-m", "bench.socket_clients"]
            # Without a buffer here, whether something is to be read is what the kernel says.
            some = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
            told = {
                "address": f"ws://127.0.0.1:{port}/graphql",
                "community": global_id("Community", community),
                "tokens": tokens[start : start + SOCKETS_OF_A_PROCESS],
            }
            write(some, json.dumps(told))
            self.processes.append(some)
        if sum(self.hear(some)["opened"] for some in self.processes) != len(tokens):
            raise SystemExit("not every socket was opened")

    def have_news(self, *, seconds: float) -> bool:
        """Whether each process has heard something on all of its sockets within this time."""
        pipes = [cast(IO[bytes], some.stdout) for some in self.processes]
        deadline = time.monotonic() + seconds
        return all(select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0] for pipe in pipes)

    def hear(self, some: Process) -> dict[str, Any]:
        """The next thing that a process says; raises SystemExit where a subscription has failed."""
        told = json.loads(cast(IO[bytes], some.stdout).readline())
        if "failed" in told:
            raise SystemExit(f"a subscription has failed: {told['failed']}")
        return told

    def times(self, cursor: str) -> list[float]:
        """When a message came to each socket; waits until it came to all."""
        found: list[float] = []
        for some in self.processes:
            told: dict[str, Any] = {}
            while told.get("cursor") != cursor:
                told = self.hear(some)
            found += told["times"]
        return sorted(found)

    def close(self) -> None:
        for some in self.processes:
            cast(IO[bytes], some.stdin).close()
            some.wait(60)


async def ring(bell: Bell, channel: str, number: int) -> tuple[float, str]:
    """Ring once; returns when, and the cursor of what is heard."""
    began = time.monotonic()
    await bell.ring(channel, {"kind": "MEMBERS", "number": number})
    ((id, _),) = await bell.redis.xrevrange(KEPT_PREFIX + channel, count=1)
    return began, str(cursor_of(channel, id.decode()))


@dataclass(frozen=True, slots=True)
class Moment:
    """What the server has used of memory (bytes) and processor (seconds) by now."""

    memory: int
    processor: float

    @classmethod
    def of(cls, server: Process) -> "Moment":
        return cls(memory_of(server), seconds_of(server))


def measure(stores: Stores, redis: str, sockets: int, events: int) -> Table:
    """Open the sockets, let events happen, and say what that took."""
    community = asyncio.run(put_place(stores))
    channel = f"community:{community}"
    with ExitStack() as stack:
        issuer = stack.enter_context(serving_issuer())
        server, port = stack.enter_context(serving(stores, redis, issuer))
        runner = stack.enter_context(asyncio.Runner())
        bell = Bell(Redis.from_url(redis))
        stack.callback(lambda: runner.run(bell.redis.aclose()))
        # What is loaded and compiled once is not of the sockets.
        clients = stack.enter_context(opened(port, community, [access_token(issuer, "first")]))
        settle(runner, bell, channel, clients, 1)
        moments = [Moment.of(server)]
        began = time.monotonic()
        tokens = [access_token(issuer, f"s{number}") for number in range(sockets)]
        clients = stack.enter_context(opened(port, community, tokens))
        opening = time.monotonic() - began
        settle(runner, bell, channel, clients, sockets)
        moments.append(Moment.of(server))
        waits = [wait_for_all(runner, bell, channel, clients, number) for number in range(events)]
        moments.append(Moment.of(server))
        time.sleep(QUIET_SECONDS)
        moments.append(Moment.of(server))
    return table_of(sockets, opening, moments, waits)


def table_of(sockets: int, opening: float, moments: list[Moment], waits: list[list[float]]) -> Table:
    before, settled, after, later = moments
    table = Table("What", "Value", title=f"{sockets} sockets on one process", title_justify="left")
    table.add_row("memory before", f"{before.memory / 2**20:.0f} MiB")
    table.add_row("memory for each socket", f"{(settled.memory - before.memory) / sockets / 1024:.1f} KiB")
    table.add_row("the same after the events", f"{(after.memory - before.memory) / sockets / 1024:.1f} KiB")
    table.add_row("opening all", f"{opening:.1f} s")
    for name, column in zip(("first", "middle", "last"), zip(*waits, strict=True), strict=True):
        millis = [seconds * 1000 for seconds in column]
        table.add_row(f"from an event to the {name}", f"{statistics.median(millis):.0f} ms, at most {max(millis):.0f}")
    each = (after.processor - settled.processor) / sockets / len(waits)
    table.add_row("processor time for each message", f"{each * 1000:.2f} ms")
    idle = (later.processor - after.processor) / QUIET_SECONDS
    table.add_row("processor while nothing happens", f"{idle * 100:.1f} %")
    return table


@contextmanager
def opened(port: int, community: str, tokens: list[str]) -> Generator[Clients, None, None]:
    """Sockets, one for each token, until the end of the block."""
    clients = Clients()
    try:
        clients.open(port, community, tokens)
        yield clients
    finally:
        clients.close()


def wait_for_all(runner: asyncio.Runner, bell: Bell, channel: str, clients: Clients, number: int) -> list[float]:
    """Let something happen; how long it took to the first, the middle and the last."""
    began, cursor = runner.run(ring(bell, channel, number))
    times = clients.times(cursor)
    return [one - began for one in (times[0], times[len(times) // 2], times[-1])]


def settle(runner: asyncio.Runner, bell: Bell, channel: str, clients: Clients, sockets: int) -> None:
    """Return once everybody listens, which is told from something that came to all.

    Each message is work for every socket, so they are given the time to begin before the first.
    """
    time.sleep(2 + sockets / 200)
    for number in range(5):
        runner.run(ring(bell, channel, -2 - number))
        if clients.have_news(seconds=30):
            break
    clients.times(runner.run(ring(bell, channel, -1))[1])


async def put_place(stores: Stores) -> str:
    async with stores.graph() as graph:
        return await put_community(graph, [])


def main(
    sockets: Annotated[int, typer.Option(help="How many sockets.")] = 2_000,
    events: Annotated[int, typer.Option(help="How many events.")] = 5,
) -> None:
    with embedded_stores() as stores:
        port, folder = free_port(), stores.folder / "redis"
        server = start_redis(folder, port=port, log=stores.folder / "redis.log")
        try:
            wait_for_redis(url := redis_url(folder, port))
            Console().print(measure(stores, url, sockets, events))
        finally:
            stop(server)


if __name__ == "__main__":
    typer.run(main)
