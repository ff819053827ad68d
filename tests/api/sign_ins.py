"""A client of the development issuer, as a browser and an application are one together."""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from joserfc import jwk, jwt

REDIRECT = "http://127.0.0.1:8000/sign-in/callback"


def challenge_of(verifier: str) -> str:
    """RFC 7636, section 4.2: S256."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


@dataclass
class SignIn:
    """One authorization request, with the verifier that belongs to it."""

    http: httpx.AsyncClient
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    def query(self, **changes: str | None) -> dict[str, str]:
        """The parameters of a good request; None leaves one out."""
        parameters: dict[str, str | None] = {
            "response_type": "code",
            "client_id": "kinship-web",
            "redirect_uri": REDIRECT,
            "scope": "openid profile",
            "state": "state-1",
            "nonce": "nonce-1",
            "code_challenge": challenge_of(self.verifier),
            "code_challenge_method": "S256",
            **changes,
        }
        return {name: value for name, value in parameters.items() if value is not None}

    async def pick(self, persona: str = "lin-yue", /, **changes: str | None) -> httpx.Response:
        return await self.http.post("/authorize", params=self.query(**changes), data={"persona": persona})

    async def code(self, persona: str = "lin-yue", /, **changes: str | None) -> str:
        answer = await self.pick(persona, **changes)
        assert answer.status_code == 303, answer.text
        return parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]

    async def exchange(self, code: str, /, **changes: str | None) -> httpx.Response:
        form: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "client_id": "kinship-web",
            "redirect_uri": REDIRECT,
            "code_verifier": self.verifier,
            **changes,
        }
        return await self.http.post("/token", data={name: text for name, text in form.items() if text is not None})

    async def tokens(self, persona: str = "lin-yue", /, **changes: str | None) -> dict[str, Any]:
        answer = await self.exchange(await self.code(persona, **changes))
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def refresh(self, token: str, **changes: str | None) -> httpx.Response:
        form: dict[str, str | None] = {
            "grant_type": "refresh_token",
            "refresh_token": token,
            "client_id": "kinship-web",
            **changes,
        }
        return await self.http.post("/token", data={name: text for name, text in form.items() if text is not None})


async def decoded(http: httpx.AsyncClient, raw: str) -> jwt.Token:
    """The token, if a key that the issuer publishes has signed it."""
    keys = jwk.KeySet.import_key_set((await http.get("/jwks")).json())
    return jwt.decode(raw, keys, algorithms=["RS256"])


def refused(answer: httpx.Response, error: str, status: int = 400) -> None:
    """Check the form of RFC 6749, section 5.2."""
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"
