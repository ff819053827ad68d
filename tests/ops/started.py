"""The system as `make run` starts it, on a data folder and a port of the test's own."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from api.issuer.personas import SERVICE_CLIENT_ID, SERVICE_CLIENT_SECRET
from core.processes import REPOSITORY, free_port
from core.settings import Settings
from tests.api.sign_ins import SignIn
from tests.processes import descendants, gone_within

PATIENCE_SECONDS = 120.0
LAST_LINE = "Ctrl-C stops everything."


class Started:
    """One supervisor, what it says, and what it has started."""

    def __init__(self, data: Path, port: int, customers: int, variables: Mapping[str, str]) -> None:
        self.data = data
        self.base = f"http://127.0.0.1:{port}"
        self.said = data.with_name(f"{data.name}-{time.monotonic_ns()}.out")
        self.complained = self.said.with_suffix(".err")
        self.began = time.monotonic()
        with self.said.open("w") as said, self.complained.open("w") as complained:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ops.supervisor", "--customers", str(customers)],
                cwd=REPOSITORY,
                env={**surroundings(), **variables, "DATA_DIR": str(data), "PORT": str(port)},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=complained,
            )

    def wait_for_welcome(self, patience: float = PATIENCE_SECONDS) -> float:
        """Wait until everything has started; returns the seconds to the first answered query."""
        while not self.answers():
            assert self.process.poll() is None, self.complained.read_text()
            assert time.monotonic() < self.began + patience, (self.data / "logs" / "api.log").read_text()
            time.sleep(0.05)
        seconds = time.monotonic() - self.began
        while LAST_LINE not in self.said.read_text():
            assert self.process.poll() is None, self.complained.read_text()
            time.sleep(0.05)
        return seconds

    def answers(self) -> bool:
        try:
            return httpx.post(f"{self.base}/graphql", json={"query": "{ __typename }"}).status_code == 200
        except httpx.TransportError:
            return False

    def children(self) -> dict[int, str]:
        return descendants(self.process.pid)

    def child(self, part: str) -> int:
        """The one child whose command line ends so, or begins with such a program; waits until it is there."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            found = [pid for pid, command in self.children().items() if is_it(command, part)]
            if found:
                return found[0]
            time.sleep(0.02)
        raise AssertionError(f"there is no {part} among {self.children()}")

    def end(self, number: signal.Signals) -> int:
        """Send the signal and wait; returns the exit code, and fails when a child is left after that."""
        children = self.children()
        self.process.send_signal(number)
        code = self.process.wait(60)
        assert gone_within(children, 10), {pid: text for pid, text in children.items() if not gone_within([pid], 0)}
        return code

    def ask(self, token: str, query: str, **variables: Any) -> dict[str, Any]:
        """The data of an answer without errors; raises httpx.TransportError when the API is gone."""
        answer = httpx.post(
            f"{self.base}/graphql",
            json={"query": query, "variables": variables},
            headers={"Authorization": f"Bearer {token}"},
            timeout=20,
        ).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def service_token(self) -> str:
        """The bank's own system, by client credentials."""
        answer = httpx.post(
            f"{self.base}/issuer/token",
            data={"grant_type": "client_credentials"},
            auth=(SERVICE_CLIENT_ID, SERVICE_CLIENT_SECRET),
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["access_token"]

    def persona_token(self, persona: str) -> str:
        """A person who has picked a persona on the issuer's page, by code and PKCE."""
        return asyncio.run(self._persona_token(persona))

    async def _persona_token(self, persona: str) -> str:
        callback = f"{self.base}/sign-in/callback"
        async with httpx.AsyncClient(base_url=f"{self.base}/issuer") as http:
            sign_in = SignIn(http)
            code = await sign_in.code(persona, redirect_uri=callback)
            return (await sign_in.exchange(code, redirect_uri=callback)).json()["access_token"]


def is_it(command: str, part: str) -> bool:
    """Whether this is the process, and no longer the leash that becomes it."""
    program = command.partition(" ")[0]
    return "leash.py" not in command and (program.endswith(f"/{part}") or command.endswith(f" -m {part}"))


def surroundings() -> dict[str, str]:
    """Our environment without any setting."""
    settings = {name.upper() for name in Settings.model_fields}
    return {name: value for name, value in os.environ.items() if name.upper() not in settings}


@contextmanager
def started(
    data: Path, variables: Mapping[str, str] | None = None, *, port: int | None = None, customers: int = 0
) -> Generator[Started, None, None]:
    """A system that starts; nothing of it is left afterwards, whatever the test has done to it."""
    system = Started(data, port or free_port(), customers, variables or {})
    try:
        yield system
    finally:
        # Killing the supervisor is enough: that is what the leash is for.
        system.process.kill()
        system.process.wait()
