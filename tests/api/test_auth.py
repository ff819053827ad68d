"""Access tokens: what is not a good token of our issuer for us, now, is refused; keys rotate under load."""

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import orjson
import pytest
from joserfc import jwk, jwt

from api import auth
from api.auth import TokenVerifier, bearer
from core.errors import Unauthenticated, Unavailable
from core.principal import Role
from core.settings import Settings

pytestmark = pytest.mark.anyio

ISSUER = "https://bank.test/realms/main"
NOW = 1_780_000_000
RSA = jwk.RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"}, private=True)
NEXT = jwk.RSAKey.generate_key(2048, {"kid": "next", "use": "sig"}, private=True)
CURVE = jwk.ECKey.generate_key("P-256", {"kid": "ec", "use": "sig"}, private=True)


class Issuer:
    """An issuer at the socket: it counts who asks, and can be away, slow, or somebody else."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = [RSA.as_dict(private=False), CURVE.as_dict(private=False)]
        self.name = ISSUER
        self.asked = 0
        self.is_away = False

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.is_away:
            raise httpx.ConnectError("away")
        await asyncio.sleep(0.01)
        if request.url.path.endswith("/openid-configuration"):
            self.asked += 1
            return httpx.Response(200, json={"issuer": self.name, "jwks_uri": f"{ISSUER}/jwks"})
        return httpx.Response(200, json={"keys": self.keys})


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
async def verifier(issuer: Issuer) -> AsyncGenerator[TokenVerifier, None]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(issuer)) as http:
        yield TokenVerifier(Settings(environment="test", oidc_issuer=ISSUER), http)


def claims(**change: Any) -> dict[str, Any]:
    """The claims of a good token, with changes; None leaves a claim out."""
    good = {"iss": ISSUER, "aud": "kinship", "sub": "lin", "iat": NOW, "exp": NOW + 600, "roles": ["customer"]}
    return {name: value for name, value in {**good, **change}.items() if value is not None}


def sign(given: dict[str, Any], *, key: Any = RSA, **header: Any) -> str:
    protected = {"alg": "RS256", "kid": "rsa", "typ": "at+jwt", **header}
    named = {name: value for name, value in protected.items() if value is not None}
    return jwt.encode(named, given, key, algorithms=["RS256", "ES256", "PS256", "HS256"])


async def test_a_good_token_names_its_bearer(verifier: TokenVerifier) -> None:
    token = sign(claims(scope="facts:write imports:write", roles=["customer", "administrator", "made-up"]))
    principal = await verifier.verify(token, NOW)
    assert principal.subject == "lin"
    assert principal.roles == {Role.CUSTOMER, Role.ADMINISTRATOR}
    assert principal.scopes == {"facts:write", "imports:write"}
    assert principal.expires_at == NOW + 600


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://elsewhere.test"},
        {"iss": None},
        {"aud": "another"},
        {"aud": ["another", "third"]},
        {"aud": None},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 300},
        {"exp": NOW - 30},
        {"exp": None},
        {"exp": "tomorrow"},
        {"nbf": NOW + 31},
        {"iat": NOW + 31},
        {"nonce": "of an ID token"},
        {"at_hash": "of an ID token"},
    ],
)
async def test_claims_that_are_not_good_are_refused(verifier: TokenVerifier, change: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        await verifier.verify(sign(claims(**change)), NOW)


@pytest.mark.parametrize("change", [{"exp": NOW - 29}, {"nbf": NOW + 30}, {"aud": ["x", "kinship"]}])
async def test_clocks_may_differ_by_the_leeway(verifier: TokenVerifier, change: dict[str, Any]) -> None:
    assert (await verifier.verify(sign(claims(**change)), NOW)).subject == "lin"


def forged(header: dict[str, Any], secret: bytes | None) -> str:
    """A token made by hand: unsigned, or signed with the public key as if it were a shared secret."""
    parts = [base64.urlsafe_b64encode(orjson.dumps(part)).rstrip(b"=") for part in (header, claims())]
    body = b".".join(parts)
    signature = hmac.new(secret, body, hashlib.sha256).digest() if secret is not None else b""
    return (body + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


async def test_forged_tokens_are_refused(verifier: TokenVerifier) -> None:
    """Given the usual forgeries, then none of them is a token."""
    public = RSA.as_pem(private=False)
    good = sign(claims())
    other = jwk.RSAKey.generate_key(2048, {"kid": "rsa"}, private=True)
    for token in (
        forged({"alg": "none", "kid": "rsa"}, None),
        forged({"alg": "HS256", "kid": "rsa"}, public),
        sign(claims(), key=other),
        sign(claims(), key=CURVE, alg="ES256", kid="rsa"),
        sign(claims(), typ="id_token+jwt"),
        good[:-8] + "AAAAAAAA",
        good.rsplit(".", 1)[0] + ".",
        good + "x" * 9000,
        "a.b.c",
        "..",
        "",
        "é.é.é",
    ):
        with pytest.raises(Unauthenticated):
            await verifier.verify(token, NOW)


async def test_other_algorithms_of_the_list_work(verifier: TokenVerifier) -> None:
    assert (await verifier.verify(sign(claims(), key=CURVE, alg="ES256", kid="ec"), NOW)).subject == "lin"


async def test_a_hundred_first_requests_fetch_the_keys_once(verifier: TokenVerifier, issuer: Issuer) -> None:
    token = sign(claims())
    await asyncio.gather(*(verifier.verify(token, NOW) for _ in range(100)))
    assert issuer.asked == 1


async def test_a_new_key_is_found_and_made_up_ids_do_not_flood_the_issuer(
    verifier: TokenVerifier, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given known keys, when a rotated key appears, then one request finds it, and made-up ids cost none."""
    await verifier.verify(sign(claims()), NOW)
    monkeypatch.setattr(auth, "COOL_DOWN_SECONDS", 0.2)
    time.sleep(0.21)  # noqa: ASYNC251 - nothing else runs
    issuer.keys.append(NEXT.as_dict(private=False))
    rotated = sign(claims(), key=NEXT, kid="next")
    await asyncio.gather(*(verifier.verify(rotated, NOW) for _ in range(50)))
    assert issuer.asked == 2
    monkeypatch.setattr(auth, "COOL_DOWN_SECONDS", 60)
    for number in range(50):
        with pytest.raises(Unauthenticated):
            await verifier.verify(sign(claims(), kid=f"made-up-{number}"), NOW)
    assert issuer.asked == 2


async def test_a_token_that_was_good_is_looked_at_again(
    verifier: TokenVerifier, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a token that was verified; when it expires, or its key is withdrawn or becomes another under the same id;
    then it is refused, and what is like it but for its signature was never taken."""
    token = sign(claims())
    head, body, signature = token.split(".")
    for _ in range(2):
        assert (await verifier.verify(token, NOW)).subject == "lin"
    with pytest.raises(Unauthenticated):
        await verifier.verify(f"{head}.{body}.{signature[::-1]}", NOW)
    with pytest.raises(Unauthenticated):
        await verifier.verify(token, NOW + 10_000)
    assert (await verifier.verify(token, NOW)).expires_at == NOW + 600

    monkeypatch.setattr(auth, "KEYS_DIE_SECONDS", -1)
    monkeypatch.setattr(auth, "COOL_DOWN_SECONDS", 0)
    for keys in ([CURVE.as_dict(private=False)], [{**NEXT.as_dict(private=False), "kid": "rsa"}]):
        issuer.keys = keys
        monkeypatch.setattr(auth, "KEYS_DIE_SECONDS", -1)
        with pytest.raises((Unauthenticated, Unavailable)):
            await verifier.verify(token, NOW)
        monkeypatch.setattr(auth, "KEYS_DIE_SECONDS", 86_400)
        with pytest.raises(Unauthenticated):
            await verifier.verify(token, NOW)


async def test_no_more_tokens_are_remembered_than_a_few(
    verifier: TokenVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "MOST_VERIFIED", 3)
    tokens = [sign(claims(sub=f"lin-{number}")) for number in range(9)]
    for token in tokens * 2:
        assert (await verifier.verify(token, NOW)).subject.startswith("lin-")
    assert len(verifier._verified) == 3  # pyright: ignore[reportPrivateUsage] - it is what fills the memory


async def test_an_issuer_that_is_away_is_not_the_callers_fault(verifier: TokenVerifier, issuer: Issuer) -> None:
    issuer.is_away = True
    with pytest.raises(Unavailable):
        await verifier.verify(sign(claims()), NOW)


async def test_known_keys_go_on_while_the_issuer_is_away(
    verifier: TokenVerifier, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await verifier.verify(sign(claims()), NOW)
    issuer.is_away = True
    monkeypatch.setattr(auth, "KEYS_LIVE_SECONDS", -1)
    monkeypatch.setattr(auth, "COOL_DOWN_SECONDS", 0)
    for _ in range(3):
        assert (await verifier.verify(sign(claims()), NOW)).subject == "lin"
        await asyncio.sleep(0.02)
    monkeypatch.setattr(auth, "KEYS_DIE_SECONDS", -1)
    with pytest.raises(Unavailable):
        await verifier.verify(sign(claims()), NOW)


async def test_an_issuer_under_another_name_is_not_believed(verifier: TokenVerifier, issuer: Issuer) -> None:
    issuer.name = "https://elsewhere.test"
    with pytest.raises(Unavailable):
        await verifier.verify(sign(claims()), NOW)


async def test_symmetric_and_encryption_keys_are_left_out(verifier: TokenVerifier, issuer: Issuer) -> None:
    shared = jwk.OctKey.generate_key(256, {"kid": "shared"})
    issuer.keys = [
        {**shared.as_dict(private=True), "use": "sig"},
        {**RSA.as_dict(private=False), "use": "enc"},
        CURVE.as_dict(private=False),
    ]
    with pytest.raises(Unauthenticated):
        await verifier.verify(sign(claims()), NOW)
    assert (await verifier.verify(sign(claims(), key=CURVE, alg="ES256", kid=None), NOW)).subject == "lin"


async def test_roles_come_from_where_the_issuer_keeps_them(issuer: Issuer) -> None:
    settings = Settings(environment="test", oidc_issuer=ISSUER, oidc_roles_claim="realm_access.roles")
    async with httpx.AsyncClient(transport=httpx.MockTransport(issuer)) as http:
        verifier = TokenVerifier(settings, http)
        nested = sign(claims(realm_access={"roles": ["administrator"]}))
        assert (await verifier.verify(nested, NOW)).roles == {Role.ADMINISTRATOR}
        assert (await verifier.verify(sign(claims(realm_access=["x"])), NOW)).roles == frozenset()


@pytest.mark.parametrize(
    ("header", "token"),
    [("Bearer abc", "abc"), ("bearer  abc ", "abc"), ("Basic abc", None), ("Bearer ", None), ("", None)],
)
def test_the_authorization_header(header: str, token: str | None) -> None:
    assert bearer({"authorization": header}) == token
