"""Live updates: a bell on Redis that tells whoever listens that something changed; what it is, they read anew.

A message may be lost with Redis. So it never carries what is owed, only a hint and the ids to look at. Whoever falls
behind, was deaf for a moment or comes back catches up from the history of the channel (`core.history`).
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Hashable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from core.db import Session
from core.errors import Unavailable
from core.history import PREFIX, CursorExpired, Gap, Heard, Hint, History, cursor_of, heard_in, id_in, place

log = structlog.get_logger(__name__)

# So many hints wait for who does not keep up; what comes then, they read from the history.
MOST_HINTS = 64
# How long a listener waits for Redis to confirm; without Redis they listen to what comes after it is back.
CONFIRM_SECONDS = 1.0
# A connection that is silent for longer than three pings is dead, whatever TCP believes.
PING_SECONDS = 10.0
SILENCE_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 5.0

# The key of Session.info under which what is to be told waits for the commit.
TOLD = "told"


def tell(session: Session, channel: str, hint: Hint) -> None:
    """Let listeners of a channel hear of this change; whoever opened the transaction rings once it is committed."""
    session.info.setdefault(TOLD, []).append((channel, hint))


def told(session: Session) -> list[tuple[str, Hint]]:
    """What is to be told of a transaction, once."""
    return session.info.pop(TOLD, [])


def latest(heard: Sequence[Heard], key: Callable[[Hint], Hashable]) -> list[Heard]:
    """Of those that say the same only the last, in their order: who has that one has all before it."""
    last = {key(one.hint): number for number, one in enumerate(heard)}
    return [one for number, one in enumerate(heard) if last[key(one.hint)] == number]


class Listener:
    """What one subscriber has still to hear, each once and in its order, bounded whatever they do.

    An empty hint says that some may have been missed. Who comes back after a cursor is not told so: for them it is
    CursorExpired.
    """

    def __init__(self, history: History, channel: str, position: str | None, *, resumes: bool = False) -> None:
        self._history = history
        self._channel = channel
        self._position = position
        self._resumes = resumes
        self._is_behind = resumes
        self._waiting: deque[Heard] = deque()
        self._news = asyncio.Event()
        if resumes:
            self._news.set()

    def put(self, heard: Heard) -> None:
        if len(self._waiting) >= MOST_HINTS:
            self._is_behind = True
        if not self._is_behind:
            self._waiting.append(heard)
        self._news.set()

    def fall_behind(self) -> None:
        """Something may have been rung that was not heard."""
        self._is_behind = True
        self._news.set()

    def cursor(self, heard: Heard) -> str | None:
        """From where somebody goes on who has all up to this one."""
        return cursor_of(self._channel, heard.id)

    async def take(self) -> list[Heard]:
        """All that has come since the last time, waiting until there is something; raises CursorExpired, Unavailable.

        Those two only at the first time, and only for who comes back.
        """
        while True:
            await self._news.wait()
            if self._is_behind and not self._waiting:
                await self._catch_up()
            found = self._new()
            if not self._is_behind:
                self._news.clear()
            if found:
                return found

    def _new(self) -> list[Heard]:
        """What waits and was not taken before."""
        found: list[Heard] = []
        for heard in self._waiting:
            if heard.id and self._position and place(heard.id) <= place(self._position):
                continue
            found.append(heard)
            self._position = heard.id or self._position
        self._waiting.clear()
        return found

    async def _catch_up(self) -> None:
        # What is rung from here on waits behind what is read.
        self._is_behind = False
        try:
            missed = await self._history.since(self._channel, self._position)
        except Gap as error:
            if self._resumes:
                raise CursorExpired(path=("after",)) from error
            missed = [Heard({})]
        except Unavailable:
            if self._resumes:
                raise
            missed = [Heard({})]
        self._resumes = False
        self._waiting.extendleft(reversed(missed))


@dataclass(slots=True)
class Channel:
    """Who listens to a channel, whether the present connection hears it, and whether it was deaf before."""

    listeners: set[Listener] = field(default_factory=set[Listener])
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    missed: bool = False

    def deliver(self, heard: Heard) -> None:
        for listener in self.listeners:
            listener.put(heard)

    def begin(self) -> None:
        """The connection hears the channel from now on; whoever listened before may have missed something."""
        self.heard.set()
        if self.missed:
            self.missed = False
            for listener in self.listeners:
                listener.fall_behind()

    def end(self) -> None:
        self.heard.clear()
        self.missed = True


class Bell:
    """Rings on channels such as `event:{id}`, `community:{id}`, `customer:{id}`, and hears others ring.

    One connection per process hears for all listeners of the process; it is opened for the first of them.
    """

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self._history = History(redis)
        self._channels: dict[str, Channel] = {}
        self._wanted = asyncio.Event()
        self._hearing: asyncio.Task[None] | None = None

    async def ring(self, channel: str, message: Hint) -> None:
        """Tell the listeners; without Redis nobody is told, and nothing else fails."""
        await self._history.ring(channel, message)

    @asynccontextmanager
    async def listen(self, name: str, after: str | None = None) -> AsyncGenerator[Listener, None]:
        """Hear a channel inside the block: whatever is rung after its start is heard, or after a cursor of it.

        Raises CursorInvalid for a cursor of anything else.
        """
        position = await self._history.end(name) if after is None else id_in(after, name)
        if self._hearing is None:
            self._hearing = asyncio.create_task(self._hear())
        listener = Listener(self._history, name, position, resumes=after is not None)
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
            channel.deliver(heard_in(data))
