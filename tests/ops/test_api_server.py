"""The API's own server: what it asks of the kernel, and that it serves as the README starts it."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from core.processes import REPOSITORY, free_port
from ops import api_server
from ops.api_server import limit_unread
from tests.conftest import Addresses


def test_the_kernel_gives_up_a_client_that_never_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a client that lives and does not read, then what was accepted from it holds little, and ends by itself."""
    monkeypatch.setattr(api_server, "UNREAD_SECONDS", 1)
    with socket.socket() as listener, socket.socket() as client:
        limit_unread(listener)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.connect(listener.getsockname())
        accepted, _ = listener.accept()
        with accepted:
            accepted.setblocking(False)
            sent, began = 0, time.monotonic()
            with pytest.raises(OSError, match="timed out"):
                while time.monotonic() - began < 20:
                    try:
                        sent += accepted.send(b"x" * 65_536)
                    except BlockingIOError:
                        time.sleep(0.05)
            assert 0 < sent < 4 * api_server.UNREAD_BYTES


def test_it_serves_as_in_production(stores: Addresses, redis_url: str, tmp_path: Path) -> None:
    """Given the command of the README's production; when it runs with nobody at its input; then it answers, and ends
    when it is told to."""
    (command,) = re.findall(r"python -m (ops\.api_server .*?) +#", (REPOSITORY / "README.md").read_text())
    port = free_port()
    places = {"REDIS_URL": redis_url, "DATA_DIR": str(tmp_path), "OIDC_ISSUER": "https://issuer.test"}
    environment = {**os.environ, **stores.environment(), **places, "HOST": "127.0.0.1", "PORT": str(port)}
    log = tmp_path / "log"
    with log.open("wb") as written:
        server = subprocess.Popen(
            [sys.executable, "-m", *command.split()],
            env=environment,
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stderr=written,
        )
    try:
        asked = {"query": "{ __typename }"}
        for _ in range(300):
            try:
                answer = httpx.post(f"http://127.0.0.1:{port}/graphql", json=asked, timeout=30)
                break
            except httpx.TransportError:
                assert server.poll() is None, log.read_text()
                time.sleep(0.2)
        else:
            pytest.fail(log.read_text())
        assert answer.json()["data"] == {"__typename": "Query"}
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == -signal.SIGTERM
    finally:
        server.kill()
        server.wait()
