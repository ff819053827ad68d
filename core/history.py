"""What was rung of late, kept in Redis for who comes back: one capped stream for each channel, in one order for all.

Nothing that is owed is here. What may be missing in it is never guessed: whoever asks from a place that it does not
hold, or from before a moment at which it may have lost something, is told so, and reads the stores instead.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, cast

import orjson
import structlog
from redis.asyncio import Redis

from core.errors import BadUserInput, KinshipError, Unavailable
from core.outage import Outage
from core.paging import PageInvalid, decode_cursor, encode_cursor

log = structlog.get_logger(__name__)

PREFIX = "kinship:live:"
KEPT_PREFIX = "kinship:kept:"
# The instant of the first hint after one that could not be rung: who comes back from before it may have missed that.
LOST = "kinship:kept-lost"
# A channel keeps this many hints at least, until so long after the last of them.
KEPT_HINTS = 1_000
KEPT_SECONDS = 3_600
# Redis tells its uptime in whole seconds; whoever goes on from this soon after its start is told that much is missing.
UPTIME_MARGIN_MS = 1_000
READERS_AT_ONCE = 16
# What channels of these are about is kept in SQL, in an order of its own.
UNKEPT = ("customer:",)

# In one step, so that the order of what is kept is that of what is heard.
RING = """
local id = ''
if ARGV[3] ~= '0' then
  id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'hint', ARGV[2])
  redis.call('EXPIRE', KEYS[1], ARGV[4])
end
if ARGV[5] == '1' then
  local now = redis.call('TIME')
  redis.call('SET', KEYS[2], string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000)), 'EX', ARGV[4])
end
redis.call('PUBLISH', ARGV[1], '{"id":"' .. id .. '","hint":' .. ARGV[2] .. '}')
return 1
"""

Hint = dict[str, Any]


class CursorExpired(KinshipError):
    """What came after the cursor is not known any more, or not for certain."""

    code = "CURSOR_EXPIRED"
    en = "Too much has happened since, or too long ago. Please read anew and follow without a cursor."
    zh = "游标已过期：请重新读取数据，并以不带游标的方式订阅。"


class CursorInvalid(BadUserInput):
    code = "CURSOR_INVALID"
    en = "This is not a cursor of this subscription."
    zh = "这不是该订阅的游标。"


class Heard(NamedTuple):
    """A hint and its place in its channel, if it was kept. An empty hint stands for what may be missing."""

    hint: Hint
    id: str | None = None


class Gap(Exception):
    """Something may be missing."""


def cursor_of(channel: str, id: str | None) -> str | None:
    """From where somebody goes on who has all up to here; None where the place is not known."""
    return encode_cursor((channel, id)) if id else None


def id_in(cursor: str, channel: str) -> str:
    """The place that a cursor of this channel names; raises CursorInvalid for any other."""
    try:
        found = decode_cursor(cursor, str, str)
    except PageInvalid as error:
        raise CursorInvalid(path=("after",)) from error
    if found is None or found[0] != channel or not is_id(str(found[1])):
        raise CursorInvalid(path=("after",))
    return str(found[1])


def is_id(text: str) -> bool:
    parts = text.split("-")
    return len(parts) == 2 and all(part.isascii() and part.isdecimal() and len(part) < 20 for part in parts)


def place(id: str) -> tuple[int, int]:
    """The order of ids, which is that of milliseconds and of numbers within each."""
    milliseconds, _, number = id.partition("-")
    return int(milliseconds), int(number)


class History:
    """Rings, and remembers what was rung; one for each process, which knows what it itself could not ring."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._ring = redis.register_script(RING)
        self._outage = Outage("live", pause=0.5)
        # Many who come at once must neither make Redis look as if it were away nor keep anybody from ringing: they take
        # turns, and patience begins with the turn.
        self._reading = Outage("history", pause=0.5)
        self._turns = asyncio.Semaphore(READERS_AT_ONCE)
        self._has_lost = False

    async def ring(self, channel: str, hint: Hint) -> None:
        """Tell whoever listens; without Redis nobody is told, which the next ring lets be known."""
        kept = 0 if channel.startswith(UNKEPT) else KEPT_HINTS
        arguments = [PREFIX + channel, orjson.dumps(hint), kept, KEPT_SECONDS, int(self._has_lost)]
        keys = [KEPT_PREFIX + channel, LOST]
        self._has_lost = await self._outage.asked(lambda: self._ring(keys=keys, args=arguments)) is None

    async def end(self, channel: str) -> str | None:
        """The place of the last hint; None where there is none, or Redis does not answer."""
        if channel.startswith(UNKEPT):
            return None
        read = self._redis.xrevrange
        rows = await self._asked(lambda: read(KEPT_PREFIX + channel, count=1))
        return rows[0][0].decode() if rows else None

    async def since(self, channel: str, id: str | None) -> list[Heard]:
        """What was rung after a place, the oldest first; raises Gap, and Unavailable where Redis does not answer."""
        if id is None or channel.startswith(UNKEPT):
            raise Gap

        async def ask() -> list[Any]:
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.xrange(KEPT_PREFIX + channel, min=id)
                pipeline.get(LOST)
                pipeline.info("server")
                pipeline.time()
                return await pipeline.execute()

        found = await self._asked(ask)
        if found is None:
            raise Unavailable
        rows, lost, server, (seconds, _) = found
        # What a Redis that was killed had not written yet is gone, and nobody knows what that was.
        started = (seconds - server["uptime_in_seconds"]) * 1000 + UPTIME_MARGIN_MS
        if place(id)[0] < max(started, int(lost or 0)) or not rows or rows[0][0].decode() != id:
            raise Gap
        return [Heard(orjson.loads(fields[b"hint"]), key.decode()) for key, fields in rows[1:]]

    async def _asked(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        async with self._turns:
            return await self._reading.asked(ask)


def heard_in(message: bytes) -> Heard:
    """What a message on a channel says."""
    found = cast(dict[str, Any], orjson.loads(message))
    return Heard(found["hint"], found["id"] or None)
