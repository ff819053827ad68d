"""Walks the GraphQL tour over HTTP as its personas: `python -m ops.tour [ADDRESS]`, and says what was answered.

It signs in as a browser and an application would: authorization code with PKCE for a person, client credentials
for the bank's system. With `--token PERSONA` it does only that and prints the access token.
"""

import argparse
import asyncio
import base64
import hashlib
import json
import secrets
import sys
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from api.issuer.clients import CALLBACK_PATH
from api.issuer.personas import SERVICE_CLIENT_ID, SERVICE_CLIENT_SECRET, WEB_CLIENT_ID
from api.tour import resolved, tour_documents
from core.clock import utc_now
from core.settings import load_settings

# Documents that show what follows from earlier ones; the worker looks for what is owed every few seconds.
AFTER_WORK = frozenset({"16-points", "26-what-is-new", "27-search", "46-first-step"})
WORK_SECONDS = 7.0


class TourError(Exception):
    """The tour cannot go on; the text says where and why."""


class Visitor:
    """Signs in once as each persona, and asks in their names."""

    def __init__(self, http: httpx.AsyncClient, language: str = "en") -> None:
        self._http = http
        self._language = language
        self._tokens: dict[str, str] = {}

    async def token(self, persona: str) -> str:
        """An access token; raises TourError where there is no development issuer or it does not know the persona."""
        if persona not in self._tokens:
            form = service_form() if persona == SERVICE_CLIENT_ID else await self._code_form(persona)
            answer = await self._http.post("/issuer/token", data=form)
            if answer.status_code != 200:
                raise TourError(f"no token for {persona}: {answer.status_code} {answer.text[:200]}")
            self._tokens[persona] = answer.json()["access_token"]
        return self._tokens[persona]

    async def _code_form(self, persona: str) -> dict[str, str]:
        """Pick the persona on the issuer's page; the verifier (RFC 7636) proves who asked for the code."""
        verifier = secrets.token_urlsafe(48)
        redirect = str(self._http.base_url).rstrip("/") + CALLBACK_PATH
        query = {
            "response_type": "code",
            "client_id": WEB_CLIENT_ID,
            "redirect_uri": redirect,
            "scope": "openid profile",
            "state": secrets.token_urlsafe(16),
            "code_challenge": challenge_of(verifier),
            "code_challenge_method": "S256",
        }
        answer = await self._http.post("/issuer/authorize", params=query, data={"persona": persona})
        returned = parse_qs(urlsplit(answer.headers.get("location", "")).query)
        if returned.get("state") != [query["state"]] or "code" not in returned:
            raise TourError(f"cannot sign in as {persona}: {answer.status_code}")
        return {
            "grant_type": "authorization_code",
            "code": returned["code"][0],
            "client_id": WEB_CLIENT_ID,
            "redirect_uri": redirect,
            "code_verifier": verifier,
        }

    async def ask(self, persona: str, document: str, variables: dict[str, Any]) -> dict[str, Any]:
        """The whole answer, errors and all."""
        headers = {"Authorization": f"Bearer {await self.token(persona)}", "Accept-Language": self._language}
        body = {"query": document, "variables": variables}
        return (await self._http.post("/graphql", json=body, headers=headers)).json()


def challenge_of(verifier: str) -> str:
    """RFC 7636, section 4.2: S256."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def service_form() -> dict[str, str]:
    return {
        "grant_type": "client_credentials",
        "client_id": SERVICE_CLIENT_ID,
        "client_secret": SERVICE_CLIENT_SECRET,
    }


async def walk(
    visitor: Visitor, *, work: Callable[[], Awaitable[None]], show: Callable[[dict[str, Any], Any], None]
) -> dict[str, Any]:
    """Run every document; returns their data by name. Raises TourError at the first answer with errors.

    `work` is awaited where the worker has to have done its part.
    """
    answers: dict[str, Any] = {}
    for step in tour_documents():
        name = step["name"]
        if name in AFTER_WORK:
            await work()
        try:
            variables = resolved(step["variables"], answers, now=utc_now())
        except LookupError as error:
            raise TourError(f"{name}: an earlier answer lacks {error}: was the tour walked before?") from error
        answer = await visitor.ask(step["persona"], step["document"], variables)
        show(step, answer)
        if answer.get("errors"):
            raise TourError(f"{name}: {answer['errors'][0]['message']}")
        answers[name] = answer["data"]
    return answers


def print_answer(step: dict[str, Any], answer: Any) -> None:
    print(f"\n{step['name']}, as {step['persona']}\n{json.dumps(answer, ensure_ascii=False, indent=2)}", flush=True)


async def settled() -> None:
    print("\n… the worker settles what is owed", flush=True)
    await asyncio.sleep(WORK_SECONDS)


async def run(address: str, persona: str | None) -> None:
    async with httpx.AsyncClient(base_url=address, timeout=30) as http:
        visitor = Visitor(http)
        if persona is not None:
            print(await visitor.token(persona))
        else:
            await walk(visitor, work=settled, show=print_answer)


def main() -> None:
    parser = argparse.ArgumentParser(description="Walk the GraphQL tour, or get an access token for one persona.")
    parser.add_argument("address", nargs="?", default=load_settings().base_url, help="where Kinship answers")
    parser.add_argument("--token", metavar="PERSONA", help="print an access token and do nothing else")
    arguments = parser.parse_args()
    try:
        asyncio.run(run(arguments.address.rstrip("/"), arguments.token))
    except (TourError, httpx.HTTPError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
