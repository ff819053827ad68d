"""The API as a process: under the supervisor it loads while the stores start, and serves once it is told that they are
ready; with `--at-once` it serves without being told, as in production."""

import gc
import socket
import sys
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp

from api.app import create_app
from core.processes import allow_many_files
from core.settings import Settings, load_settings
from ops.one_write import OneWriteProtocol

# Requests under way have so long to end after SIGTERM; no new ones are taken.
GRACE_SECONDS = 5
# What was sent and is not read for so long ends the connection; it is longer than a live client is given.
UNREAD_SECONDS = 30
UNREAD_BYTES = 262_144
AT_ONCE = "--at-once"


def limit_unread(listener: socket.socket) -> None:
    """Bound what the kernel holds for a client that does not read, and for how long; what is accepted inherits it.

    The server closes such a connection only when all is sent, which is never.
    """
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_SECONDS * 1_000)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD_BYTES)


def spare_collector() -> None:
    """Let the garbage collector pass by the schema and all else that stays: to walk through it takes 0.1 s each time.

    What comes with requests is little and mostly freed without it, so it looks less often, too.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


def main() -> None:
    # The end of the input without a word means that the supervisor has given up.
    if AT_ONCE not in sys.argv[1:] and not sys.stdin.readline():
        return
    allow_many_files()
    serve(create_app(), load_settings())


def serve(app: ASGIApp, settings: Settings) -> None:
    """Serve until told to stop; exits with 1 where it could not begin."""
    spare_collector()
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=OneWriteProtocol,
        # Whose word is taken for where a request comes from is uvicorn's FORWARDED_ALLOW_IPS: by itself this machine's.
        log_config=None,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        # A message of a WebSocket is refused before it is read whole; the API itself is as strict as it is with bodies.
        ws_max_size=settings.max_body_bytes,
        # It takes two fifths of the memory of a socket, and live messages are short.
        ws_per_message_deflate=False,
    )
    listener = config.bind_socket()
    limit_unread(listener)
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    if not server.started:
        sys.exit(1)


if __name__ == "__main__":
    main()
