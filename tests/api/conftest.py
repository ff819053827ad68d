"""The application over real stores, with an issuer at the outer socket whose keys the tests hold."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwk, jwt
from starlette.applications import Starlette

from api.app import create_app
from api.auth import TokenVerifier
from api.context import Edge
from core.clock import utc_now
from core.settings import Settings
from tests.conftest import COST_PER_MINUTE, Addresses
from tests.databases import own_database
from worker.sweeps import sweep_graph, sweep_outbox
from worker.work import Stores

ISSUER = "https://issuer.test"
# The token of a caller outlasts the longest run of fuzzing, which would ask on with a bad one.
CALLER_SECONDS = 7 * 86_400
KEY = jwk.RSAKey.generate_key(2048, {"kid": "test", "use": "sig", "alg": "RS256"}, private=True)


def answer_as_issuer(request: httpx.Request) -> httpx.Response:
    if request.url.path.endswith("/.well-known/openid-configuration"):
        return httpx.Response(200, json={"issuer": ISSUER, "jwks_uri": f"{ISSUER}/jwks"})
    return httpx.Response(200, json={"keys": [KEY.as_dict(private=False)]})


def token(subject: str, *roles: str, scope: str = "", seconds: int = 600) -> str:
    """An access token of the test issuer that is good for that long."""
    now = int(utc_now().timestamp())
    claims = {
        "iss": ISSUER,
        "aud": "kinship",
        "sub": subject,
        "iat": now,
        "exp": now + seconds,
        "roles": list(roles),
        "scope": scope,
    }
    return jwt.encode({"alg": "RS256", "kid": "test", "typ": "at+jwt"}, claims, KEY)


@dataclass
class Caller:
    """Somebody who sends GraphQL documents over HTTP."""

    http: httpx.AsyncClient
    headers: dict[str, str]

    async def post(self, document: str, variables: dict[str, Any] | None = None) -> httpx.Response:
        body = {"query": document, "variables": variables or {}}
        return await self.http.post("/graphql", json=body, headers=self.headers)

    async def ask(self, document: str, **variables: Any) -> dict[str, Any]:
        """The data of an answer without errors."""
        answer = (await self.post(document, variables)).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    async def fail(self, document: str, **variables: Any) -> dict[str, Any]:
        """The first error of an answer that has one."""
        answer = (await self.post(document, variables)).json()
        assert answer.get("errors"), answer
        return answer["errors"][0]


@dataclass
class System:
    """The running application and its worker, for one test."""

    edge: Edge
    http: httpx.AsyncClient
    settings: Settings
    app: Starlette

    def caller(self, subject: str | None, *roles: str, scope: str = "", language: str = "en") -> Caller:
        headers = {"Accept-Language": language}
        if subject is not None:
            headers["Authorization"] = f"Bearer {token(subject, *roles, scope=scope, seconds=CALLER_SECONDS)}"
        return Caller(self.http, headers)

    async def customer(self, name: str) -> Caller:
        """Somebody who has signed in and up."""
        caller = self.caller(name, "customer")
        answer = await caller.ask(SIGN_UP, name=name[-20:])
        assert answer["signUp"]["__typename"] == "SignUpSuccess", answer
        return caller

    async def work(self) -> None:
        """What the worker's sweep does."""
        stores = Stores(self.edge.database, self.edge.graph)
        await sweep_graph(stores)
        await sweep_outbox(stores)


SIGN_UP = """
mutation($name: String!) {
  signUp(input: {displayName: $name}) { __typename ... on Refusal { code } }
}
"""


def settings_for(stores: Addresses, redis_url: str, data_dir: Path) -> Settings:
    return Settings(
        _env_file=None,  # pyright: ignore[reportCallIssue] - pydantic-settings takes it at run time
        environment="test",
        neo4j_uri=stores.neo4j_uri,
        neo4j_user=stores.neo4j_user,
        neo4j_password=stores.neo4j_password,  # pyright: ignore[reportArgumentType] - it is made a secret
        neo4j_database=stores.neo4j_database,
        database_url=stores.database_url,
        redis_url=redis_url,
        oidc_issuer=ISSUER,
        data_dir=data_dir,
        operation_timeout_seconds=30,
        cost_per_minute=COST_PER_MINUTE,
        # Tests count statements: what is shown is written when they say so.
        recommendation_flush_seconds=0,
    )


@asynccontextmanager
async def running(settings: Settings) -> AsyncGenerator[System, None]:
    """The application as it runs, with the test issuer's keys."""
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        issuer = httpx.AsyncClient(transport=httpx.MockTransport(answer_as_issuer))
        app.state.verifier = TokenVerifier(settings, issuer)
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with issuer, httpx.AsyncClient(transport=transport, base_url="http://kinship.test", timeout=60) as http:
            yield System(app.state.edge, http, settings, app)


@pytest.fixture
async def system(stores: Addresses, redis_url: str, tmp_path: Path) -> AsyncGenerator[System, None]:
    async with running(settings_for(stores, redis_url, tmp_path)) as found:
        yield found


@pytest.fixture
async def own_system(stores: Addresses, redis_url: str, tmp_path: Path) -> AsyncGenerator[System, None]:
    """The application over a database of the test's own, for what is everybody's: rules, policies, runs and looks."""
    async with own_database(stores, tmp_path) as database:
        settings = settings_for(stores, redis_url, tmp_path).model_copy(update={"database_url": database.url})
        async with running(settings) as found:
            yield found


Ask = Callable[..., Awaitable[dict[str, Any]]]
