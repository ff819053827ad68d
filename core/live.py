"""Live updates: a bell on Redis that tells whoever listens that something changed; what it is, they read anew.

A message may be lost with Redis. So it never carries what is owed, only a hint and the ids to look at.
"""

from typing import Any

import orjson
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

PREFIX = "kinship:live:"


class Bell:
    """Rings on channels such as `event:{id}`, `community:{id}`, `customer:{id}`."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis

    async def ring(self, channel: str, message: dict[str, Any]) -> None:
        """Tell the listeners; without Redis nobody is told, and nothing else fails."""
        try:
            await self.redis.publish(PREFIX + channel, orjson.dumps(message))
        except (RedisError, OSError) as error:
            log.warning("live_unavailable", channel=channel.split(":")[0], error=type(error).__name__)
