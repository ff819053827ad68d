"""The API under the supervisor: it loads while the stores start, and serves once it is told that they are ready."""

import sys

import uvicorn

from api.app import create_app
from core.settings import load_settings

# Requests under way have so long to end after SIGTERM; no new ones are taken.
GRACE_SECONDS = 5


def main() -> None:
    # The end of the input without a word means that the supervisor has given up.
    if not sys.stdin.readline():
        return
    settings = load_settings()
    uvicorn.run(
        create_app(),
        host=settings.host,
        port=settings.port,
        log_config=None,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        # A message of a WebSocket is refused before it is read whole; the API itself is as strict as it is with bodies.
        ws_max_size=settings.max_body_bytes,
    )


if __name__ == "__main__":
    main()
