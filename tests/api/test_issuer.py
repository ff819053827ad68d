"""The development issuer, through HTTP and over a real Redis."""

import asyncio
import stat
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from redis.asyncio import Redis

from api.issuer import create_issuer
from api.issuer.keys import KEPT, KeyStore
from api.issuer.personas import PERSONAS, SERVICE_CLIENT_ID, SERVICE_CLIENT_SECRET
from core.settings import Settings, SettingsError
from tests.api.sign_ins import REDIRECT, SignIn, decoded, refused

pytestmark = pytest.mark.anyio

SERVICE = httpx.BasicAuth(SERVICE_CLIENT_ID, SERVICE_CLIENT_SECRET)
GRANT = {"grant_type": "client_credentials"}


def settings_of(folder: Path, **more: Any) -> Settings:
    return Settings(_env_file=None, **{"environment": "test", "data_dir": folder, **more})  # pyright: ignore[reportCallIssue]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path)


@pytest.fixture
async def redis(redis_url: str) -> AsyncGenerator[Redis, None]:
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
async def http(settings: Settings, redis: Redis) -> AsyncGenerator[httpx.AsyncClient, None]:
    transport = httpx.ASGITransport(app=create_issuer(settings, redis))
    async with httpx.AsyncClient(transport=transport, base_url="http://issuer.test") as client:
        yield client


@pytest.fixture
def sign_in(http: httpx.AsyncClient) -> SignIn:
    return SignIn(http)


class TestTheWholeFlow:
    async def test_a_persona_gets_tokens_that_say_who_it_is(self, http: httpx.AsyncClient, sign_in: SignIn) -> None:
        """Given a picked persona, when the code is exchanged, then the tokens carry what the API needs."""
        answer = await sign_in.exchange(await sign_in.code("zhou-min"))
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        tokens = answer.json()
        assert (tokens["token_type"], tokens["expires_in"], tokens["scope"]) == ("Bearer", 900, "openid profile")

        access = await decoded(http, tokens["access_token"])
        assert access.header["typ"] == "at+jwt"
        assert access.claims["exp"] - access.claims["iat"] == 900
        assert access.claims["nbf"] == access.claims["iat"]
        assert access.claims["jti"]
        expected = {
            "iss": "http://127.0.0.1:8000/issuer",
            "aud": "kinship",
            "sub": "zhou-min",
            "roles": ["relationship_manager"],
            "client_id": "kinship-web",
            "scope": "openid profile",
            "name": "周敏",
        }
        assert {name: access.claims[name] for name in expected} == expected

        identity = await decoded(http, tokens["id_token"])
        assert identity.header["typ"] == "JWT"
        assert {name: identity.claims[name] for name in ("aud", "sub", "nonce")} == {
            "aud": "kinship-web",
            "sub": "zhou-min",
            "nonce": "nonce-1",
        }

    async def test_every_persona_can_sign_in(self, http: httpx.AsyncClient, sign_in: SignIn) -> None:
        """Given the personas, when each signs in, then the token has the subject and the roles of that persona."""
        for persona in PERSONAS:
            claims = (await decoded(http, (await sign_in.tokens(persona.key))["access_token"])).claims
            assert (claims["sub"], claims["roles"]) == (persona.subject, sorted(persona.roles))

    async def test_the_redirect_carries_code_and_state(self, sign_in: SignIn) -> None:
        """Given a state with odd characters, when a persona is picked, then it comes back unchanged."""
        answer = await sign_in.pick(state='a b&c="é"#')
        assert answer.headers["location"].startswith(REDIRECT + "?")
        assert parse_qs(urlsplit(answer.headers["location"]).query)["state"] == ['a b&c="é"#']
        assert answer.headers["cache-control"] == "no-store"

    async def test_without_openid_there_is_no_id_token(self, sign_in: SignIn) -> None:
        """Given only OAuth scopes, when the code is exchanged, then no identity is handed out."""
        assert "id_token" not in await sign_in.tokens(scope="profile")

    async def test_discovery_describes_what_there_is(self, http: httpx.AsyncClient) -> None:
        """Given the discovery document, when a client reads it, then issuer, endpoints and methods are right."""
        found = (await http.get("/.well-known/openid-configuration")).json()
        assert found["issuer"] == "http://127.0.0.1:8000/issuer"
        assert found["token_endpoint"] == "http://127.0.0.1:8000/issuer/token"
        assert found["code_challenge_methods_supported"] == ["S256"]


class TestCodes:
    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"code_verifier": "w" * 43}, "invalid_grant"),
            ({"code_verifier": None}, "invalid_request"),
            ({"code_verifier": "short"}, "invalid_request"),
            ({"redirect_uri": "http://127.0.0.1:9/callback"}, "invalid_grant"),
            ({"redirect_uri": None}, "invalid_grant"),
            ({"code": "made.up"}, "invalid_grant"),
            ({"code": None}, "invalid_request"),
            ({"client_id": "unknown"}, "invalid_client"),
            ({"grant_type": "password"}, "unsupported_grant_type"),
            ({"grant_type": None}, "unsupported_grant_type"),
        ],
    )
    async def test_an_exchange_that_is_not_right_is_refused(
        self, sign_in: SignIn, changes: dict[str, str | None], error: str
    ) -> None:
        """Given a good code, when anything else of the exchange is wrong, then there are no tokens."""
        refused(await sign_in.exchange(await sign_in.code(), **changes), error)

    async def test_a_wrong_verifier_uses_up_the_code(self, sign_in: SignIn) -> None:
        """Given somebody tried a code with a wrong verifier, when the right one comes, then it is too late."""
        code = await sign_in.code()
        refused(await sign_in.exchange(code, code_verifier="w" * 43), "invalid_grant")
        refused(await sign_in.exchange(code), "invalid_grant")

    async def test_a_code_used_twice_ends_the_sign_in(self, sign_in: SignIn) -> None:
        """Given an exchanged code, when it comes again, then it is refused and the refresh token is dead too."""
        code = await sign_in.code()
        tokens = (await sign_in.exchange(code)).json()
        refused(await sign_in.exchange(code), "invalid_grant")
        refused(await sign_in.refresh(tokens["refresh_token"]), "invalid_grant")

    async def test_of_ten_exchanges_at_once_one_succeeds(self, sign_in: SignIn) -> None:
        """Given one code, when ten requests bring it at the same time, then exactly one gets tokens."""
        for _ in range(5):
            code = await sign_in.code()
            answers = await asyncio.gather(*(sign_in.exchange(code) for _ in range(10)))
            assert sorted(answer.status_code for answer in answers) == [200] + [400] * 9

    async def test_codes_expire(self, sign_in: SignIn, redis: Redis) -> None:
        """Given a code, when Redis is asked, then it lives for a minute at most, and not under its own name."""
        code = await sign_in.code()
        keys = [key async for key in redis.scan_iter("issuer:*")]
        assert keys
        for key in keys:
            assert code.split(".")[0].encode() not in key
            assert code.encode() not in b"".join((await redis.hgetall(key)).values())  # pyright: ignore[reportGeneralTypeIssues]
            assert 0 < await redis.ttl(key) <= 12 * 3600


class TestAuthorization:
    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
            ({"code_challenge": None}, "invalid_request"),
            ({"code_challenge": "short"}, "invalid_request"),
            ({"code_challenge_method": "plain"}, "invalid_request"),
            ({"code_challenge_method": None}, "invalid_request"),
            ({"scope": "openid facts:write"}, "invalid_scope"),
            ({"scope": "everything"}, "invalid_scope"),
            ({"response_type": "token"}, "unsupported_response_type"),
            ({"prompt": "none"}, "login_required"),
        ],
    )
    async def test_errors_go_back_to_a_registered_client(
        self, http: httpx.AsyncClient, sign_in: SignIn, changes: dict[str, str | None], error: str
    ) -> None:
        """Given a known client and address, when the request is wrong, then the redirect says why, with the state."""
        answer = await http.get("/authorize", params=sign_in.query(**changes))
        assert answer.status_code == 303, answer.text
        assert answer.headers["location"].startswith(REDIRECT + "?")
        told = parse_qs(urlsplit(answer.headers["location"]).query)
        assert (told["error"], told["state"]) == ([error], ["state-1"])
        assert (await sign_in.pick(**changes)).headers["location"] == answer.headers["location"]

    @pytest.mark.parametrize(
        "changes",
        [
            {"client_id": "unknown"},
            {"client_id": None},
            {"client_id": SERVICE_CLIENT_ID},
            {"redirect_uri": None},
            {"redirect_uri": "https://evil.example/sign-in/callback"},
            {"redirect_uri": REDIRECT + "/"},
            {"redirect_uri": REDIRECT + "?next=1"},
            {"redirect_uri": REDIRECT + "#x"},
            {"redirect_uri": "http://127.0.0.1:8000@evil.example/callback"},
            {"redirect_uri": "http://127.0.0.1:1/callback\n"},
            {"redirect_uri": "http://127.0.0.1.evil.example:1/callback"},
            {"redirect_uri": "https://127.0.0.1:1/callback"},
            {"redirect_uri": 'http://evil.example/"é\\'},
            {"redirect_uri": "javascript:alert(1)"},
            {"redirect_uri": "https://evil.example/", "response_type": "token"},
            {"redirect_uri": "https://evil.example/", "prompt": "none"},
        ],
    )
    async def test_nobody_is_sent_to_an_unregistered_address(
        self, http: httpx.AsyncClient, sign_in: SignIn, changes: dict[str, str | None]
    ) -> None:
        """Given a client or address that is not registered, when asked, then there is an error page, no redirect."""
        for answer in (
            await http.get("/authorize", params=sign_in.query(**changes)),
            await sign_in.pick(**changes),
        ):
            assert answer.status_code == 400
            assert "location" not in answer.headers
            assert "<script" not in answer.text

    @pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
    async def test_native_tools_may_listen_on_any_loopback_port(self, sign_in: SignIn, host: str) -> None:
        """Given a tool on a port of its own, when it signs somebody in, then the code comes there."""
        address = f"http://{host}:54321/callback"
        code = await sign_in.code(redirect_uri=address)
        assert (await sign_in.exchange(code, redirect_uri=address)).status_code == 200

    async def test_repeated_parameters_are_refused(self, http: httpx.AsyncClient, sign_in: SignIn) -> None:
        """Given two redirect addresses, when asked, then neither is used."""
        pairs = httpx.QueryParams([*sign_in.query().items(), ("redirect_uri", "https://evil.example/")])
        answer = await http.get("/authorize", params=pairs)
        assert (answer.status_code, answer.headers.get("location")) == (400, None)

    async def test_the_page_offers_all_personas_in_both_languages(
        self, http: httpx.AsyncClient, sign_in: SignIn
    ) -> None:
        """Given a browser's language, when the page is shown, then it speaks it and offers the other one."""
        pages: dict[str, str] = {}
        for language in ("zh", "en"):
            headers = {"Accept-Language": language}
            text = pages[language] = (await http.get("/authorize", params=sign_in.query(), headers=headers)).text
            assert f'<html lang="{"zh-CN" if language == "zh" else "en"}">' in text
            assert all(f'value="{persona.key}"' in text for persona in PERSONAS)
            assert f"ui_locales={'en' if language == 'zh' else 'zh'}" in text
        assert "选择登录身份" in pages["zh"]
        assert "Who do you want to be?" in pages["en"]
        switched = await http.get(
            "/authorize", params=sign_in.query(ui_locales="en"), headers={"Accept-Language": "zh"}
        )
        assert '<html lang="en">' in switched.text

    async def test_a_hint_marks_its_persona(self, http: httpx.AsyncClient, sign_in: SignIn) -> None:
        """Given a login hint, when the page is shown, then that persona has the focus, and only that one."""
        text = (await http.get("/authorize", params=sign_in.query(login_hint="he-jing"))).text
        assert 'value="he-jing" autofocus' in text
        assert text.count("autofocus") == 1

    async def test_the_page_allows_no_script_and_no_frame(self, http: httpx.AsyncClient, sign_in: SignIn) -> None:
        """Given hostile values in the query, when the page is shown, then nothing of them can run."""
        answer = await http.get("/authorize", params=sign_in.query(state='"><script>alert(1)</script>'))
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "script-src" not in policy
        assert "<script" not in answer.text
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"

    async def test_an_unknown_persona_gets_the_page_again(self, sign_in: SignIn) -> None:
        """Given a form with somebody we do not know, when sent, then nobody is signed in."""
        answer = await sign_in.pick("nobody")
        assert (answer.status_code, answer.headers.get("location")) == (200, None)


class TestRefreshTokens:
    async def test_each_refresh_gives_a_new_token(self, http: httpx.AsyncClient, sign_in: SignIn) -> None:
        """Given a sign-in, when it is refreshed again and again, then every token is new and the person the same."""
        tokens = await sign_in.tokens("sun-lan")
        seen = {tokens["refresh_token"]}
        for _ in range(3):
            tokens = (await sign_in.refresh(tokens["refresh_token"])).json()
            seen.add(tokens["refresh_token"])
            claims = (await decoded(http, tokens["access_token"])).claims
            assert (claims["sub"], claims["roles"]) == ("sun-lan", ["complaints_officer"])
        assert len(seen) == 4

    async def test_a_reused_token_ends_the_family(self, sign_in: SignIn) -> None:
        """Given a rotated token, when it comes again, then it and its successor are both refused."""
        first = (await sign_in.tokens())["refresh_token"]
        second = (await sign_in.refresh(first)).json()["refresh_token"]
        third = (await sign_in.refresh(second)).json()["refresh_token"]
        refused(await sign_in.refresh(first), "invalid_grant")
        refused(await sign_in.refresh(third), "invalid_grant")

    async def test_another_sign_in_lives_on(self, sign_in: SignIn) -> None:
        """Given two sign-ins of one person, when one is ended by reuse, then the other still refreshes."""
        one, other = await sign_in.tokens(), await sign_in.tokens()
        await sign_in.refresh(one["refresh_token"])
        refused(await sign_in.refresh(one["refresh_token"]), "invalid_grant")
        assert (await sign_in.refresh(other["refresh_token"])).status_code == 200

    async def test_of_ten_refreshes_at_once_one_succeeds(self, sign_in: SignIn) -> None:
        """Given one token, when ten requests bring it at once, then one succeeds and the family ends."""
        for _ in range(3):
            token = (await sign_in.tokens())["refresh_token"]
            answers = await asyncio.gather(*(sign_in.refresh(token) for _ in range(10)))
            good = [answer.json() for answer in answers if answer.status_code == 200]
            assert len(good) == 1
            refused(await sign_in.refresh(good[0]["refresh_token"]), "invalid_grant")

    async def test_scope_may_shrink_and_not_grow(self, sign_in: SignIn) -> None:
        """Given granted scopes, when fewer are asked for, then these are given; more are refused, and cost nothing."""
        token = (await sign_in.tokens(scope="openid profile"))["refresh_token"]
        refused(await sign_in.refresh(token, scope="openid facts:write"), "invalid_scope")
        narrow = (await sign_in.refresh(token, scope="profile")).json()
        assert narrow["scope"] == "profile"
        assert (await sign_in.refresh(narrow["refresh_token"])).json()["scope"] == "openid profile"

    async def test_another_client_cannot_use_it(self, http: httpx.AsyncClient, sign_in: SignIn) -> None:
        """Given a person's token, when the bank's system brings it, then it is refused."""
        form = {"grant_type": "refresh_token", "refresh_token": (await sign_in.tokens())["refresh_token"]}
        refused(await http.post("/token", data=form, auth=SERVICE), "unauthorized_client")

    async def test_a_code_is_no_refresh_token(self, sign_in: SignIn) -> None:
        """Given a code, when it is used to refresh, then it is refused."""
        refused(await sign_in.refresh(await sign_in.code()), "invalid_grant")

    async def test_a_revoked_token_is_dead(self, http: httpx.AsyncClient, sign_in: SignIn) -> None:
        """Given a sign-out, when its token comes again, then it is refused; revoking nonsense succeeds."""
        token = (await sign_in.tokens())["refresh_token"]
        for given in (token, token, "nonsense"):
            answer = await http.post("/revoke", data={"token": given, "client_id": "kinship-web"})
            assert answer.status_code == 200
        refused(await sign_in.refresh(token), "invalid_grant")


class TestClientCredentials:
    async def test_the_service_gets_its_scopes(self, http: httpx.AsyncClient) -> None:
        """Given the right secret, when asked by either method, then there is a service token without refresh."""
        secret = {"client_id": SERVICE_CLIENT_ID, "client_secret": SERVICE_CLIENT_SECRET}
        by_basic = await http.post("/token", data=GRANT, auth=SERVICE)
        by_post = await http.post("/token", data={**GRANT, **secret})
        for answer in (by_basic, by_post):
            assert answer.status_code == 200
            assert answer.headers["cache-control"] == "no-store"
            assert "refresh_token" not in answer.json()
            claims = (await decoded(http, answer.json()["access_token"])).claims
            assert (claims["sub"], claims["roles"]) == (SERVICE_CLIENT_ID, ["service"])
            assert claims["scope"] == answer.json()["scope"] == "facts:write imports:write"

    async def test_one_scope_is_enough_and_others_are_refused(self, http: httpx.AsyncClient) -> None:
        """Given scopes, when one of its own is asked for, then only that is given; others are refused."""
        answer = await http.post("/token", data={**GRANT, "scope": "facts:write"}, auth=SERVICE)
        assert answer.json()["scope"] == "facts:write"
        for scope in ("openid", "facts:write profile", "everything"):
            refused(await http.post("/token", data={**GRANT, "scope": scope}, auth=SERVICE), "invalid_scope")

    @pytest.mark.parametrize("header", ["Basic !!!", "Basic /w==", "Basic", "Basic é", "Bearer x", "Basic Zm9v"])
    async def test_unreadable_credentials_are_a_401(self, http: httpx.AsyncClient, header: str) -> None:
        """Given a broken Authorization header, when asked, then the answer names the scheme."""
        answer = await http.post("/token", data=GRANT, headers={b"Authorization": header.encode()})
        refused(answer, "invalid_client", 401)
        assert answer.headers["www-authenticate"].startswith("Basic")

    async def test_a_wrong_secret_is_refused(self, http: httpx.AsyncClient) -> None:
        """Given wrong secrets, when asked by either method, then the client is not known."""
        wrong = httpx.BasicAuth(SERVICE_CLIENT_ID, "wrong")
        refused(await http.post("/token", data=GRANT, auth=wrong), "invalid_client", 401)
        form = {**GRANT, "client_id": SERVICE_CLIENT_ID, "client_secret": "fälsch"}
        refused(await http.post("/token", data=form), "invalid_client", 401)
        refused(await http.post("/token", data={**GRANT, "client_id": SERVICE_CLIENT_ID}), "invalid_client", 401)

    async def test_the_public_client_may_not(self, http: httpx.AsyncClient) -> None:
        """Given no secret, when the web client asks in its own name, then it may not."""
        refused(await http.post("/token", data={**GRANT, "client_id": "kinship-web"}), "unauthorized_client")


class TestForms:
    async def test_odd_bodies_are_refused(self, http: httpx.AsyncClient) -> None:
        """Given bodies that are no form, when sent, then each is an invalid request and never an error of ours."""
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        for body in (
            b"grant_type=a&grant_type=b",
            b"a=%ff",
            b"\xff",
            b"x=" + b"y" * 20_000,
            b"grant_type=%22%0a",
            b"&a" * 60,
        ):
            refused(await http.post("/token", content=body, headers=form), "invalid_request")
        refused(await http.post("/token", json=GRANT), "invalid_request")
        assert (await http.get("/token")).status_code == 405

    async def test_without_redis_the_answer_is_503(self, settings: Settings) -> None:
        """Given a Redis that is away, when a code is exchanged, then the client is told to come again."""
        async with Redis.from_url("redis://127.0.0.1:1/0") as away:
            transport = httpx.ASGITransport(app=create_issuer(settings, away))
            async with httpx.AsyncClient(transport=transport, base_url="http://issuer.test") as http:
                refused(await SignIn(http).exchange("a.b"), "temporarily_unavailable", 503)


class TestKeys:
    async def test_keys_are_private_on_disk_and_public_on_the_wire(
        self, http: httpx.AsyncClient, settings: Settings
    ) -> None:
        """Given the key file, when looked at, then only its owner may read it, and the JWKS holds public parts only."""
        path = settings.data_dir / "issuer" / "keys.json"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        (key,) = (await http.get("/jwks")).json()["keys"]
        assert set(key) == {"kty", "n", "e", "kid", "use", "alg"}
        assert (key["kty"], key["use"], key["alg"]) == ("RSA", "sig", "RS256")
        assert [found.name for found in path.parent.iterdir()] == ["keys.json"]

    async def test_keys_live_through_a_restart(self, sign_in: SignIn, settings: Settings, redis: Redis) -> None:
        """Given a token, when the issuer starts anew over the same folder, then the token is still good."""
        raw = (await sign_in.tokens())["access_token"]
        transport = httpx.ASGITransport(app=create_issuer(settings, redis))
        async with httpx.AsyncClient(transport=transport, base_url="http://issuer.test") as again:
            assert (await decoded(again, raw)).claims["sub"] == "lin-yue"

    def test_processes_that_start_at_once_agree(self, tmp_path: Path) -> None:
        """Given an empty folder, when four processes make their keys in it at once, then all have the same one."""
        program = (
            "import sys, pathlib; from api.issuer.keys import KeyStore; "
            "print(KeyStore(pathlib.Path(sys.argv[1])).current().signer.kid)"
        )
        command = [sys.executable, "-c", program, str(tmp_path / "issuer")]
        started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
        found = {process.communicate(timeout=60)[0].strip() for process in started}
        assert [process.returncode for process in started] == [0] * 4
        assert len(found) == 1

    async def test_rotation_keeps_older_tokens_good(
        self, http: httpx.AsyncClient, sign_in: SignIn, settings: Settings
    ) -> None:
        """Given a token, when another process rotates the key, then new tokens use it and the old one still counts."""
        before = await decoded(http, old := (await sign_in.tokens())["access_token"])
        (store := KeyStore(settings.data_dir / "issuer")).rotate()
        after = await decoded(http, (await sign_in.tokens())["access_token"])
        assert after.header["kid"] != before.header["kid"]
        assert (await decoded(http, old)).claims == before.claims
        path = settings.data_dir / "issuer" / "keys.json"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        for _ in range(KEPT):
            store.rotate()
        kids = [key["kid"] for key in (await http.get("/jwks")).json()["keys"]]
        assert len(set(kids)) == KEPT
        assert before.header["kid"] not in kids


async def test_production_is_refused(tmp_path: Path, redis: Redis) -> None:
    """Given production settings, when the issuer is made, then it refuses and leaves no key behind."""
    with pytest.raises(SettingsError, match="production"):
        create_issuer(settings_of(tmp_path, environment="production"), redis)
    assert not (tmp_path / "issuer").exists()
