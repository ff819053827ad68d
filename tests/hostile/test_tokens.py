"""Forged and odd access tokens beyond those of tests/api/test_auth.py, at the verifier and over HTTP, and keys that
rotate while requests are in flight."""

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from joserfc import jws, jwt

from api import auth
from api.auth import TokenVerifier
from core.errors import Unauthenticated
from core.principal import Principal, Role
from tests.api.conftest import ISSUER, System
from tests.api.conftest import token as good_token
from tests.api.test_auth import NEXT, NOW, RSA, Issuer, claims, issuer, sign, verifier

__all__ = ["issuer", "verifier"]

pytestmark = pytest.mark.anyio


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def signed_text(payload: bytes, header: dict[str, Any] | None = None) -> str:
    """A token whose payload is just this, under a good signature."""
    registry = jws.JWSRegistry(algorithms=["RS256"])
    return jws.serialize_compact(
        header or {"alg": "RS256", "kid": "rsa", "typ": "at+jwt"}, payload, RSA, registry=registry
    )


def parts(**header: Any) -> str:
    """A good token whose header was changed after it was signed."""
    _, payload, signature = sign(claims()).split(".")
    return ".".join(
        (encoded(orjson.dumps({"alg": "RS256", "kid": "rsa", "typ": "at+jwt", **header})), payload, signature)
    )


async def refused(verifier: TokenVerifier, token: str) -> None:
    with pytest.raises(Unauthenticated):
        await verifier.verify(token, NOW)


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", "HS256", "HS512", "RS1", "dir", "RSA-OAEP"])
async def test_an_algorithm_that_is_not_of_the_list_is_no_algorithm(verifier: TokenVerifier, algorithm: str) -> None:
    payload = encoded(orjson.dumps(claims()))
    header = encoded(orjson.dumps({"alg": algorithm, "kid": "rsa", "typ": "at+jwt"}))
    for signature in ("", encoded(b"x" * 256), sign(claims()).rsplit(".", 1)[1]):
        await refused(verifier, f"{header}.{payload}.{signature}")


@pytest.mark.parametrize("alg", [None, 7, ["RS256"], {"RS256": 1}, True])
@pytest.mark.parametrize("kid", ["rsa", None, 7, ["rsa"], {"kid": "rsa"}])
async def test_a_header_of_wrong_types_is_no_header(verifier: TokenVerifier, alg: Any, kid: Any) -> None:
    await refused(verifier, parts(alg=alg, kid=kid))


@pytest.mark.parametrize("kid", ["unknown", "", "../rsa", "rsa\x00", "' OR 1=1", "x" * 3000, "ключ", 7, ["rsa"], None])
async def test_only_a_key_that_is_known_verifies(verifier: TokenVerifier, issuer: Issuer, kid: Any) -> None:
    """Given an issuer with two keys, then a token that names none of them, or none at all, is refused."""
    await refused(verifier, sign(claims(), kid=kid) if isinstance(kid, str) and kid.isascii() else parts(kid=kid))
    assert issuer.asked <= 2


@pytest.mark.parametrize("name", ["jku", "x5u", "jwk", "x5c", "x5t", "zip", "enc", "epk"])
async def test_no_header_says_with_which_key_to_verify(verifier: TokenVerifier, issuer: Issuer, name: str) -> None:
    """Given a token of another's key, which brings that key or names its place, then nobody fetches or takes it."""
    public = NEXT.as_dict(private=False)
    given: dict[str, Any] = {"jwk": public, "x5c": [encoded(NEXT.as_der(private=False))]}
    header = {"alg": "RS256", "kid": "next", "typ": "at+jwt", name: given.get(name, "https://evil.test/keys")}
    registry = jws.JWSRegistry(algorithms=["RS256"], strict_check_header=False)
    forged = jws.serialize_compact(header, orjson.dumps(claims()), NEXT, registry=registry)
    await refused(verifier, forged)
    stolen = jws.serialize_compact({**header, "kid": "rsa"}, orjson.dumps(claims()), NEXT, registry=registry)
    await refused(verifier, stolen)


@pytest.mark.parametrize("crit", [[], ["exp"], ["b64"], "b64", None, ["unknown"]])
async def test_what_must_be_understood_is_not(verifier: TokenVerifier, crit: Any) -> None:
    await refused(verifier, parts(crit=crit))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b"7",
        b'"text"',
        b"{",
        b"\xff\xfe",
        b'{"sub": "lin"',
        b"[" * 5_000,
        b'{"exp": 1' + b"0" * 5_000 + b"}",
    ],
)
async def test_a_payload_that_is_no_object_is_no_token(verifier: TokenVerifier, payload: bytes) -> None:
    await refused(verifier, signed_text(payload))


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", ["Infinity", "-Infinity", "NaN", "1e999", "[]", "{}", "true", "null", '"1"', "1e308"])
async def test_a_time_that_is_no_time_is_refused(verifier: TokenVerifier, name: str, value: str) -> None:
    """Given a signed token with an odd time, then it is refused."""
    given = orjson.dumps(claims(nbf=NOW)).decode()
    number = {"exp": NOW + 600, "nbf": NOW, "iat": NOW}[name]
    odd = given.replace(f'"{name}":{number}', f'"{name}":{value}')
    assert odd != given
    await refused(verifier, signed_text(odd.encode()))


@pytest.mark.parametrize("levels", [500, 900, 990, 1_000, 1_020, 1_500])
async def test_a_deep_header_is_no_header(verifier: TokenVerifier, levels: int) -> None:
    """Given a header that nests as deep as one reader still reads and another does not, then it is refused as any."""
    deep = '{"alg":"RS256","kid":"rsa","typ":"at+jwt","x":' + "[" * levels + "]" * levels + "}"
    await refused(verifier, f"{encoded(deep.encode())}.{encoded(orjson.dumps(claims()))}.{encoded(b'x' * 256)}")


async def test_of_claims_that_are_said_twice_the_last_counts(verifier: TokenVerifier) -> None:
    """Given claims that are said twice, then the last of them counts everywhere, as RFC 7519 (section 4) allows."""
    given = orjson.dumps(claims()).decode()
    for first, last in (("other", "kinship"), ("kinship", "other")):
        twice = given.replace('"aud":"kinship"', f'"aud":"{first}","aud":"{last}"')
        token = signed_text(twice.encode())
        if last == "kinship":
            assert (await verifier.verify(token, NOW)).subject == "lin"
        else:
            await refused(verifier, token)


@pytest.mark.parametrize(
    "roles",
    [
        7,
        True,
        {"administrator": True},
        [["administrator"]],
        [{"administrator": 1}],
        [None, 7, 1.5],
        "administrators",
        "customer administrator",
        ["ADMINISTRATOR"],
        [" administrator"],
        [],
        "",
    ],
)
async def test_roles_of_wrong_types_are_no_roles(verifier: TokenVerifier, roles: Any) -> None:
    assert (await verifier.verify(sign(claims(roles=roles)), NOW)).roles == frozenset()


@pytest.mark.parametrize("name", ["scope", "scp"])
@pytest.mark.parametrize("scopes", [7, True, {"facts:write": 1}, [["facts:write"]], [{"a": 1}], [None], ""])
async def test_scopes_of_wrong_types_are_no_scopes(verifier: TokenVerifier, name: str, scopes: Any) -> None:
    assert (await verifier.verify(sign(claims(**{name: scopes})), NOW)).scopes == frozenset()


async def test_a_role_beside_odd_ones_counts(verifier: TokenVerifier) -> None:
    found = await verifier.verify(sign(claims(roles=[{}, [], "customer", 7, "administrator!"])), NOW)
    assert found.roles == {Role.CUSTOMER}


@pytest.mark.parametrize("audience", [7, True, {}, {"kinship": 1}, [], [None], [["kinship"]], [{"a": 1}], "kinship "])
async def test_an_audience_of_wrong_types_is_none(verifier: TokenVerifier, audience: Any) -> None:
    await refused(verifier, sign(claims(aud=audience)))


async def test_keys_rotate_while_requests_are_in_flight(
    verifier: TokenVerifier, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a hundred requests with the old key and as many with the new one, all at once, when the issuer rotates;
    then one fetch is enough for all, those of both keys pass while it publishes both, and the old one ends with it."""
    await verifier.verify(sign(claims()), NOW)
    monkeypatch.setattr(auth, "COOL_DOWN_SECONDS", 0.0)
    issuer.keys.append(NEXT.as_dict(private=False))
    old, new = sign(claims()), sign(claims(sub="wu"), key=NEXT, kid="next")
    asked = [verifier.verify(token, NOW) for _ in range(100) for token in (old, new)]
    found = await asyncio.gather(*asked)
    assert [one.subject for one in found] == ["lin", "wu"] * 100
    assert issuer.asked == 2
    issuer.keys = [NEXT.as_dict(private=False)]
    monkeypatch.setattr(auth, "KEYS_LIVE_SECONDS", -1.0)
    answers = await asyncio.gather(*(verifier.verify(new, NOW) for _ in range(100)))
    assert {one.subject for one in answers} == {"wu"}
    await asyncio.sleep(0.1)
    monkeypatch.setattr(auth, "KEYS_LIVE_SECONDS", 600.0)
    await refused(verifier, old)
    assert (await verifier.verify(new, NOW)).subject == "wu"


async def test_an_unknown_key_among_many_fails_alone(
    verifier: TokenVerifier, monkeypatch: pytest.MonkeyPatch, issuer: Issuer
) -> None:
    """Given good tokens and such of an unknown key, all at once on a fresh verifier, then only the latter fail."""
    monkeypatch.setattr(auth, "COOL_DOWN_SECONDS", 60.0)
    good, bad = sign(claims()), sign(claims(), key=NEXT, kid="next")
    answers = await asyncio.gather(
        *(verifier.verify(token, NOW) for _ in range(50) for token in (good, bad)), return_exceptions=True
    )
    assert [type(one) for one in answers] == [Principal, Unauthenticated] * 50
    assert issuer.asked == 1


Change = Callable[[str], str]
CHANGES: dict[str, Change] = {
    "cut": lambda token: token[:-1],
    "no signature": lambda token: token.rsplit(".", 1)[0] + ".",
    "other payload": lambda token: ".".join((token.split(".")[0], encoded(b"{}"), token.split(".")[2])),
    "huge": lambda token: token + "A" * 20_000,
    "quoted": lambda token: f'"{token}"',
    "twice": lambda token: f"{token} {token}",
    "comma": lambda token: f"{token}, {token}",
    "five parts": lambda token: f"{token}.a.b",
    "not ASCII": lambda token: f"{token}é",
}


@pytest.mark.parametrize("change", CHANGES)
async def test_over_http_each_is_a_401_that_says_no_more(system: System, change: str) -> None:
    """Given a good token, changed, then each is answered alike: 401, a challenge, and no words of libraries."""
    header = f"Bearer {CHANGES[change](good_token('lin', 'customer'))}".encode()
    answer = await system.http.post("/graphql", json={"query": "{ __typename }"}, headers={b"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    (error,) = answer.json()["errors"]
    assert error["extensions"] == {"code": "UNAUTHENTICATED"}
    assert "joserfc" not in error["message"] and "Error" not in error["message"]


async def test_over_http_many_at_once_pass_while_keys_rotate(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given fifty requests of each key at once, then those of the key that is there pass, and of the other none."""
    monkeypatch.setattr(auth, "COOL_DOWN_SECONDS", 0.0)
    told = {"iss": ISSUER, "aud": "kinship", "sub": "wu", "exp": 32_503_680_000, "roles": ["customer"]}
    foreign = jwt.encode({"alg": "RS256", "kid": "next"}, told, NEXT)

    async def status(bearer: str) -> int:
        headers = {"Authorization": f"Bearer {bearer}"}
        return (await system.http.post("/graphql", json={"query": "{ __typename }"}, headers=headers)).status_code

    own = good_token("lin", "customer")
    answers = await asyncio.gather(*(status(bearer) for _ in range(50) for bearer in (own, foreign)))
    assert answers == [200, 401] * 50
