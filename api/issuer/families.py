"""A family is one sign-in: its code, then its refresh tokens one after the other, in Redis.

Of each family exactly one secret is good at any time. Whoever shows another one of it (a code used twice, a
refresh token that was rotated away) shows that it was copied, and the family ends (RFC 6749, section 4.1.2;
RFC 9700, section 4.14.2).
"""

import hashlib
import secrets
from collections.abc import Awaitable
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

import orjson
from redis.asyncio import Redis

from api.issuer.authlib_bases import AuthorizationCodeMixin, TokenMixin
from api.issuer.clients import Client

Kind = Literal["code", "refresh"]

CODE_SECONDS = 60
REFRESH_SECONDS = 12 * 3600

# Redis runs a script as one step, so of any number of requests with one secret exactly one gets 1.
ADVANCE = """
local good = redis.call('HGET', KEYS[1], 'good')
if not good then return 0 end
if good ~= ARGV[1] then redis.call('DEL', KEYS[1]) return 0 end
redis.call('HSET', KEYS[1], 'good', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""


@dataclass(frozen=True, slots=True)
class Family(AuthorizationCodeMixin, TokenMixin):
    """What was granted at the sign-in; `signed_in` is in seconds since 1970."""

    client_id: str
    subject: str
    scope: str
    redirect_uri: str
    code_challenge: str
    nonce: str | None
    signed_in: int

    # The code extension reads the method of each code; there is one.
    @property
    def code_challenge_method(self) -> str:
        return "S256"

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def check_client(self, client: Client) -> bool:
        return self.client_id == client.client_id


def first_secret() -> str:
    """The code of a new family: the family's name, which its later secrets share, and a secret."""
    return next_secret(secrets.token_urlsafe(16))


def next_secret(previous: str) -> str:
    """A new secret of the same family."""
    return f"{previous.partition('.')[0]}.{secrets.token_urlsafe(32)}"


class Families:
    """The living families; Redis sees neither their names nor their secrets, only hashes."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._advance = redis.register_script(ADVANCE)

    async def start(self, code: str, family: Family) -> None:
        key = key_of(code)
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.hset(key, mapping={"good": digest("code", code), "family": orjson.dumps(asdict(family))})
            pipeline.expire(key, CODE_SECONDS)
            await pipeline.execute()

    async def find(self, kind: Kind, secret: str) -> Family | None:
        """The family in which this secret is good now; a secret that was good once ends its family."""
        fields = await cast(Awaitable[dict[bytes, bytes]], self._redis.hgetall(key_of(secret)))
        if not fields:
            return None
        if fields[b"good"].decode() != digest(kind, secret):
            await self.end(secret)
            return None
        return Family(**cast(dict[str, Any], orjson.loads(fields[b"family"])))

    async def advance(self, kind: Kind, secret: str, successor: str) -> bool:
        """Use up the secret in favour of its successor; False when somebody else already has."""
        arguments = [digest(kind, secret), digest("refresh", successor), REFRESH_SECONDS]
        return await cast(Awaitable[int], self._advance(keys=[key_of(secret)], args=arguments)) == 1

    async def end(self, secret: str) -> None:
        """End the family of this secret, whether the secret is still good or not."""
        await self._redis.delete(key_of(secret))


def key_of(secret: str) -> str:
    name = secret.partition(".")[0]
    return f"issuer:family:{hashlib.sha256(name.encode()).hexdigest()}"


def digest(kind: Kind, secret: str) -> str:
    return hashlib.sha256(f"{kind}:{secret}".encode()).hexdigest()
