"""Access tokens of any OIDC issuer: found by discovery, verified by its keys, read as a Principal."""

import asyncio
import base64
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import httpx
import orjson
import structlog
from joserfc import jwk, jwt
from joserfc.errors import JoseError

from core.clock import utc_now
from core.errors import Unauthenticated, Unavailable
from core.principal import Principal, Role
from core.settings import Settings

log = structlog.get_logger(__name__)

LONGEST_TOKEN = 8_192
LONGEST_SUBJECT = 255
# The end of the year 9999 in seconds since 1970.
LATEST = 253_402_300_799
# How long keys are used before they are fetched again, so that a key the issuer has withdrawn stops working.
KEYS_LIVE_SECONDS = 600.0
# After this long without an answer of the issuer even known keys are no longer trusted.
KEYS_DIE_SECONDS = 86_400.0
# At most one request to the issuer in this time: tokens with made-up key ids must not become a flood.
COOL_DOWN_SECONDS = 10.0
# So many tokens are remembered as verified: at most 8 KiB each, those that came first go first.
MOST_VERIFIED = 2_000
# RFC 9068 names access tokens at+jwt; many issuers write JWT or nothing, and none calls an ID token so.
ACCEPTED_TYPES = frozenset({"at+jwt", "application/at+jwt", "jwt", ""})
# What only an ID token carries (OpenID Connect Core, sections 2 and 3.1.3.6).
ID_TOKEN_CLAIMS = frozenset({"nonce", "at_hash", "c_hash"})


@dataclass(frozen=True, slots=True)
class Keys:
    """The issuer's signature keys by id, and when we got them (monotonic seconds)."""

    by_id: Mapping[str, jwk.Key]
    fetched: float


@dataclass(slots=True)
class Verified:
    """A token whose signature was found good by a key; whether it is good now is asked each time."""

    key_id: str
    algorithm: str
    key: jwk.Key
    claims: Mapping[str, Any]
    # Made once the claims were found good.
    principal: Principal | None = None


class TokenVerifier:
    """Verifies access tokens; one per process, safe to share between tasks."""

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        self._settings = settings
        self._http = http
        self._keys: Keys | None = None
        # To verify a signature takes longer than all else of this; a key that was fetched anew verifies anew.
        self._verified: OrderedDict[str, Verified] = OrderedDict()
        self._tried = float("-inf")
        self._refreshing = asyncio.Lock()
        self._renewal: asyncio.Task[Keys] | None = None

    async def verify(self, raw: str, now: float | None = None) -> Principal:
        """The bearer of the token; `now` is in seconds since 1970.

        Raises Unauthenticated for a token that is not good, Unavailable when the issuer's keys cannot be had.
        """
        known = self._verified.get(raw)
        if known is None:
            header = header_of(raw)
            key_id, algorithm = str(header.get("kid", "")), str(header["alg"])
        else:
            key_id, algorithm = known.key_id, known.algorithm
        key = await self._key(key_id, algorithm)
        if known is None or known.key is not key:
            known = self._remember(raw, Verified(key_id, algorithm, key, self._claims(raw, key)))
        seconds = int(utc_now().timestamp() if now is None else now)
        if known.principal is None:
            check_claims(known.claims, self._settings, seconds)
            known.principal = principal_of(known.claims, self._settings)
        # What else was checked of it does not change.
        elif problem := time_problem(known.claims, seconds, self._settings.oidc_leeway_seconds):
            raise Unauthenticated(detail=problem)
        return known.principal

    def _claims(self, raw: str, key: jwk.Key) -> Mapping[str, Any]:
        """What a token says whose signature is good; raises Unauthenticated."""
        try:
            return jwt.decode(raw, key, algorithms=list(self._settings.oidc_algorithms)).claims
        except (JoseError, ValueError, RecursionError) as error:
            # The library reads JSON by recursion, also that of a header whose signature nobody has looked at yet.
            raise Unauthenticated(detail="the token's signature is not good") from error

    def _remember(self, raw: str, found: Verified) -> Verified:
        self._verified[raw] = found
        if len(self._verified) > MOST_VERIFIED:
            self._verified.popitem(last=False)
        return found

    async def _key(self, key_id: str, algorithm: str) -> jwk.Key:
        if algorithm not in self._settings.oidc_algorithms:
            raise Unauthenticated(detail="the token's algorithm is not allowed")
        keys = self._keys
        if keys is None or age(keys) > KEYS_DIE_SECONDS or not find_key(keys, key_id):
            keys = await self._refresh(keys)
        elif age(keys) > KEYS_LIVE_SECONDS and (self._renewal is None or self._renewal.done()):
            # Nobody waits for an issuer that is slow or away, as long as its keys are not too old.
            self._renewal = asyncio.create_task(self._refresh(keys))
        key = find_key(keys, key_id)
        if key is None:
            raise Unauthenticated(detail="the token's key is not known")
        if key.alg not in (None, algorithm):
            raise Unauthenticated(detail="the token's algorithm is not that of its key")
        return key

    async def _refresh(self, seen: Keys | None) -> Keys:
        """Fetch the keys once for all who wait; inside the cool-down, or when it fails, those at hand."""
        async with self._refreshing:
            if self._keys is not None and self._keys is not seen:
                return self._keys
            if time.monotonic() - self._tried >= COOL_DOWN_SECONDS:
                self._tried = time.monotonic()
                try:
                    self._keys = Keys(await fetch_keys(self._http, self._settings.issuer_url), time.monotonic())
                except (httpx.HTTPError, JoseError, ValueError, KeyError, TypeError) as error:
                    log.warning("issuer_unavailable", error=f"{type(error).__name__}: {error}")
                    if self._keys is None:
                        # Nobody can sign in until it answers, so ask again soon.
                        self._tried = time.monotonic() - COOL_DOWN_SECONDS + 1
            if self._keys is None or age(self._keys) > KEYS_DIE_SECONDS:
                raise Unavailable(detail="the sign-in service does not answer")
            return self._keys


def age(keys: Keys) -> float:
    return time.monotonic() - keys.fetched


async def fetch_keys(http: httpx.AsyncClient, issuer: str) -> dict[str, jwk.Key]:
    """The issuer's signature keys (OpenID Connect Discovery 1.0); raises for anything unlike them."""
    discovered = (await http.get(f"{issuer}/.well-known/openid-configuration")).raise_for_status().json()
    if str(discovered["issuer"]).rstrip("/") != issuer.rstrip("/"):
        raise ValueError("the discovery document is another issuer's")
    found = (await http.get(str(discovered["jwks_uri"]))).raise_for_status().json()
    keys: dict[str, jwk.Key] = {}
    for data in found["keys"]:
        # A symmetric key would let everybody who knows it sign, and encryption keys sign nothing.
        if data.get("kty") in ("RSA", "EC", "OKP") and data.get("use", "sig") == "sig":
            keys[str(data.get("kid", ""))] = jwk.import_key(data)
    if not keys:
        raise ValueError("the issuer publishes no signature key")
    return keys


def find_key(keys: Keys, key_id: str) -> jwk.Key | None:
    """The key of this id; a token without one is good only where the issuer has a single key."""
    if not key_id and len(keys.by_id) == 1:
        return next(iter(keys.by_id.values()))
    return keys.by_id.get(key_id)


def header_of(raw: str) -> dict[str, Any]:
    """The protected header, read before anything is trusted; raises Unauthenticated."""
    if len(raw) > LONGEST_TOKEN or raw.count(".") != 2 or not raw.isascii():
        raise Unauthenticated(detail="this is not an access token")
    part = raw.split(".", 1)[0]
    try:
        header = orjson.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except ValueError as error:
        raise Unauthenticated(detail="this is not an access token") from error
    if not isinstance(header, dict) or not isinstance(header.get("alg"), str):
        raise Unauthenticated(detail="this is not an access token")
    if str(header.get("typ", "")).lower() not in ACCEPTED_TYPES or "crit" in header:
        raise Unauthenticated(detail="this is not an access token")
    return cast(dict[str, Any], header)


def principal_of(claims: Mapping[str, Any], settings: Settings) -> Principal:
    """The bearer of a token that says this, once it was checked."""
    return Principal(
        subject=claims["sub"],
        roles=roles_of(claims, settings.oidc_roles_claim),
        scopes=scopes_of(claims),
        expires_at=int(claims["exp"]),
    )


def check_claims(claims: Mapping[str, Any], settings: Settings, now: int) -> None:
    """Raise Unauthenticated unless the token is for us, from our issuer, and good now (RFC 7519, 9068)."""
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    subject = claims.get("sub")
    problem = None
    if str(claims.get("iss", "")).rstrip("/") != settings.issuer_url.rstrip("/"):
        problem = "the token is another issuer's"
    elif settings.oidc_audience not in audiences:
        problem = "the token is for somebody else"
    elif not isinstance(subject, str) or not 1 <= len(subject) <= LONGEST_SUBJECT:
        problem = "the token names no subject"
    elif not ID_TOKEN_CLAIMS.isdisjoint(claims):
        problem = "an ID token is no access token"
    problem = problem or time_problem(claims, now, settings.oidc_leeway_seconds)
    if problem:
        raise Unauthenticated(detail=problem)


def time_problem(claims: Mapping[str, Any], now: int, leeway: int) -> str | None:
    """Why the token is not good at `now`, with a leeway for clocks that differ; both in seconds."""
    expires, begins, issued = claims.get("exp"), claims.get("nbf", 0), claims.get("iat", 0)
    if not all(is_time(value) for value in (expires, begins, issued)):
        return "the token's times are not numbers"
    if cast(float, expires) <= now - leeway:
        return "the token has expired"
    if max(cast(float, begins), cast(float, issued)) > now + leeway:
        return "the token is not good yet"
    return None


def is_time(value: object) -> bool:
    """Whether a claim is an instant up to the year 9999; infinity and NaN, which Python reads in JSON, are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LATEST


def roles_of(claims: Mapping[str, Any], path: str) -> frozenset[Role]:
    """Our roles among those at the dotted path (`realm_access.roles`); others mean nothing to us."""
    value: Any = claims
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    names: Sequence[Any] = [value] if isinstance(value, str) else value if isinstance(value, list) else ()
    return frozenset(Role(name) for name in names if isinstance(name, str) and name in set(Role))


def scopes_of(claims: Mapping[str, Any]) -> frozenset[str]:
    """Scopes in either form: one text (RFC 9068) or a list (`scp`)."""
    value = claims.get("scope", claims.get("scp", ""))
    words: Sequence[Any] = value.split() if isinstance(value, str) else value if isinstance(value, list) else ()
    return frozenset(word for word in words if isinstance(word, str))


def bearer(headers: Mapping[str, str]) -> str | None:
    """The token of the Authorization header; None where there is none of the Bearer kind."""
    kind, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" and token.strip() else None
