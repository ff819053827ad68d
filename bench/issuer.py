"""An issuer for measurements: a key of its own, published over HTTP, and access tokens for whomever."""

import json
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwk, jwt

KEY = jwk.RSAKey.generate_key(2048, {"kid": "bench", "use": "sig", "alg": "RS256"}, private=True)
TOKEN_SECONDS = 3_600


class Metadata(BaseHTTPRequestHandler):
    """What a verifier asks: the discovery document and the keys."""

    def do_GET(self) -> None:
        address = f"http://{self.headers['Host']}"
        keys = {"keys": [KEY.as_dict(private=False)]}
        found = keys if self.path == "/jwks" else {"issuer": address, "jwks_uri": f"{address}/jwks"}
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(found).encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the measurement prints its own lines."""


@contextmanager
def serving_issuer() -> Generator[str, None, None]:
    """The issuer's address, while it is served."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def access_token(issuer: str, subject: str) -> str:
    now = int(time.time())
    claims = {"iss": issuer, "aud": "kinship", "sub": subject, "iat": now, "exp": now + TOKEN_SECONDS}
    return jwt.encode({"alg": "RS256", "kid": "bench", "typ": "at+jwt"}, claims, KEY)
