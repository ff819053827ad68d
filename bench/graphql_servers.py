"""The servers of bench/graphql.py as processes, and the issuer whose tokens ours takes."""

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil
from joserfc import jwk, jwt

from bench.stores import Stores
from core.clock import utc_now
from core.processes import REPOSITORY, free_port, start_leashed, stop

PEER = Path(__file__).parent / "peer"
START_SECONDS = 60.0
LOAD_SECONDS = 120.0
KEY = jwk.RSAKey.generate_key(2048, {"kid": "bench", "use": "sig", "alg": "RS256"}, private=True)


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers on a port."""

    process: subprocess.Popen[bytes]
    port: int

    def busy_seconds(self) -> float:
        """What its process has spent on a processor until now."""
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system

    def ask(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> httpx.Response:
        return httpx.post(f"http://127.0.0.1:{self.port}/graphql", json=body, headers=dict(headers), timeout=30)


@contextmanager
def issuer() -> Generator[str, None, None]:
    """An issuer of access tokens that publishes its key."""

    class Discovery(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys = {"keys": [KEY.as_dict(private=False)]}
            about = {"issuer": address, "jwks_uri": f"{address}/jwks"}
            body = orjson.dumps(keys if self.path == "/jwks" else about)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: it is asked once."""

    server = HTTPServer(("127.0.0.1", 0), Discovery)
    address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield address
    finally:
        server.shutdown()
        server.server_close()


def token(issued_by: str, subject: str) -> str:
    """A customer's token, who is an administrator too: only staff see a downline by its names."""
    now = int(utc_now().timestamp())
    claims = {"iss": issued_by, "aud": "kinship", "sub": subject, "iat": now, "exp": now + 86_400}
    return jwt.encode(
        {"alg": "RS256", "kid": "bench", "typ": "at+jwt"}, {**claims, "roles": ["customer", "administrator"]}, KEY
    )


@contextmanager
def ours(stores: Stores, redis: str, issued_by: str, *module: str, **more: str) -> Generator[Server, None, None]:
    """Our API as the supervisor starts it, or another module over the same settings."""
    port = free_port()
    environment = {
        **stores.environment(),
        "REDIS_URL": redis,
        "OIDC_ISSUER": issued_by,
        "PORT": str(port),
        "DATA_DIR": str(stores.folder),
        "LOG_LEVEL": "INFO",
        "COST_PER_MINUTE": str(10**9),
        **more,
    }
    command = [sys.executable, "-m", *(module or ("ops.api_server",))]
    log = stores.folder / f"server-{port}.log"
    process = start_leashed(command, log=log, env=environment, stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(b"go\n")
    process.stdin.flush()
    with answering(process, port, log) as server:
        yield server


@contextmanager
def peer(stores: Stores, issued_by: str | None = None) -> Generator[Server, None, None]:
    """The peer, installed once beside its lock file; with an issuer it looks at tokens and has rules."""
    npm, node = shutil.which("npm"), shutil.which("node")
    assert npm and node, "the peer needs Node.js and npm"
    if not (PEER / "node_modules").exists():
        subprocess.run([npm, "ci"], cwd=PEER, check=True)
    port = free_port()
    log = stores.folder / f"peer-{port}.log"
    environment = {**stores.environment(), "PORT": str(port), "NODE_ENV": "production"}
    if issued_by:
        environment["JWKS"] = f"{issued_by}/jwks"
    process = start_leashed([node, str(PEER / "server.mjs")], log=log, env=environment)
    with answering(process, port, log) as server:
        yield server


@contextmanager
def answering(process: subprocess.Popen[bytes], port: int, log: Path) -> Generator[Server, None, None]:
    """The server once it answers anything at all; raises RuntimeError with its log where it does not."""
    server = Server(process, port)
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                server.ask({"query": "{ __typename }"}, {})
                break
            except httpx.TransportError as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(log.read_text()[-2_000:]) from error
                time.sleep(0.1)
        yield server
    finally:
        stop(process)


def told_to_load(order: Mapping[str, Any]) -> dict[str, Any]:
    """What a load as `bench.graphql_load` knows it came to."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.graphql_load"],
        input=orjson.dumps(order),
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
        timeout=LOAD_SECONDS,
    )
    return orjson.loads(done.stdout)
