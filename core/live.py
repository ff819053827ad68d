"""Live updates: a bell on Redis that tells whoever listens that something changed; what it is, they read anew.

A message may be lost with Redis. So it never carries what is owed, only a hint and the ids to look at.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from core.db import Session
from core.outage import Outage

log = structlog.get_logger(__name__)

PREFIX = "kinship:live:"
# Who does not keep up loses the oldest hints; what they read is the newest state all the same.
MOST_HINTS = 64
# How long a listener waits for Redis to confirm; without Redis they listen to what comes after it is back.
CONFIRM_SECONDS = 1.0
# A connection that is silent for longer than three pings is dead, whatever TCP believes.
PING_SECONDS = 10.0
SILENCE_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 5.0

Hint = dict[str, Any]

# The key of Session.info under which what is to be told waits for the commit.
TOLD = "told"


def tell(session: Session, channel: str, hint: Hint) -> None:
    """Let listeners of a channel hear of this change; whoever opened the transaction rings once it is committed."""
    session.info.setdefault(TOLD, []).append((channel, hint))


def told(session: Session) -> list[tuple[str, Hint]]:
    """What is to be told of a transaction, once."""
    return session.info.pop(TOLD, [])


class Listener:
    """What one subscriber has still to hear. An empty hint says that some may have been missed."""

    def __init__(self) -> None:
        self._hints: deque[Hint] = deque(maxlen=MOST_HINTS)
        self._news = asyncio.Event()

    def put(self, hint: Hint) -> None:
        self._hints.append(hint)
        self._news.set()

    async def take(self) -> list[Hint]:
        """All that has come since the last time; waits until there is something."""
        await self._news.wait()
        self._news.clear()
        hints = list(self._hints)
        self._hints.clear()
        return hints


@dataclass(slots=True)
class Channel:
    """Who listens to a channel, whether the present connection hears it, and whether it was deaf before."""

    listeners: set[Listener] = field(default_factory=set[Listener])
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    missed: bool = False

    def deliver(self, hint: Hint) -> None:
        for listener in self.listeners:
            listener.put(hint)

    def begin(self) -> None:
        """The connection hears the channel from now on; whoever listened before may have missed something."""
        self.heard.set()
        if self.missed:
            self.missed = False
            self.deliver({})

    def end(self) -> None:
        self.heard.clear()
        self.missed = True


class Bell:
    """Rings on channels such as `event:{id}`, `community:{id}`, `customer:{id}`, and hears others ring.

    One connection per process hears for all listeners of the process; it is opened for the first of them.
    """

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        # Whoever listens is told that something was missed when its connection is back, and not before.
        self._outage = Outage("live", pause=0.5)
        self._channels: dict[str, Channel] = {}
        self._wanted = asyncio.Event()
        self._hearing: asyncio.Task[None] | None = None

    async def ring(self, channel: str, message: Hint) -> None:
        """Tell the listeners; without Redis nobody is told, and nothing else fails."""
        await self._outage.asked(lambda: self.redis.publish(PREFIX + channel, orjson.dumps(message)))

    @asynccontextmanager
    async def listen(self, name: str) -> AsyncGenerator[Listener, None]:
        """Hear a channel inside the block: whatever is rung after its start is heard."""
        if self._hearing is None:
            self._hearing = asyncio.create_task(self._hear())
        listener = Listener()
        channel = self._channels.setdefault(name, Channel())
        channel.listeners.add(listener)
        self._wanted.set()
        try:
            await self._confirm(channel)
            yield listener
        finally:
            channel.listeners.discard(listener)
            self._wanted.set()

    async def _confirm(self, channel: Channel) -> None:
        try:
            async with asyncio.timeout(CONFIRM_SECONDS):
                await channel.heard.wait()
        except TimeoutError:
            channel.missed = True

    def listeners(self, name: str) -> int:
        """How many listen to a channel in this process."""
        channel = self._channels.get(name)
        return len(channel.listeners) if channel else 0

    async def close(self) -> None:
        if self._hearing is not None:
            self._hearing.cancel()
            await asyncio.gather(self._hearing, return_exceptions=True)

    async def _hear(self) -> None:
        """Keep a connection for as long as the process lives, and a new one whenever it breaks."""
        pause = 0.1
        while True:
            try:
                async with self.redis.pubsub() as pubsub, asyncio.TaskGroup() as tasks:
                    await pubsub.connect()
                    pause = 0.1
                    tasks.create_task(self._tune(pubsub))
                    tasks.create_task(self._receive(pubsub))
            except* (RedisError, OSError) as errors:
                log.warning("live_unavailable", error=type(errors.exceptions[0]).__name__)
            except* Exception:
                # Whatever else goes wrong, a process must not stay deaf.
                log.exception("live_failed")
            for channel in self._channels.values():
                channel.end()
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _tune(self, pubsub: PubSub) -> None:
        """Subscribe this connection to what has listeners, and to nothing else."""
        tuned: set[str] = set()
        while True:
            self._wanted.clear()
            for name in [name for name, channel in self._channels.items() if not channel.listeners]:
                del self._channels[name]
            wanted = set(self._channels)
            if new := wanted - tuned:
                await pubsub.subscribe(*(PREFIX + name for name in new))
            if old := tuned - wanted:
                await pubsub.unsubscribe(*(PREFIX + name for name in old))
            tuned = wanted
            try:
                async with asyncio.timeout(PING_SECONDS):
                    await self._wanted.wait()
            except TimeoutError:
                await pubsub.ping()

    async def _receive(self, pubsub: PubSub) -> None:
        while True:
            # What it gives is typed as whatever Redis may say; of these two kinds it is bytes.
            message: Any = await pubsub.get_message(timeout=SILENCE_SECONDS)
            if message is None:
                raise OSError("Redis is silent")
            if message["type"] in ("message", "subscribe"):
                self._pass_on(message["type"], message["channel"].decode().removeprefix(PREFIX), message["data"])

    def _pass_on(self, kind: str, name: str, data: Any) -> None:
        channel = self._channels.get(name)
        if channel is None:
            return
        if kind == "subscribe":
            channel.begin()
        else:
            channel.deliver(orjson.loads(data))
