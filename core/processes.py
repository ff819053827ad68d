"""Start and stop the services that we run ourselves; each is leashed, so none outlives us."""

import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def start_leashed(
    command: Sequence[str],
    *,
    log: Path | None,
    env: Mapping[str, str] | None = None,
    cwd: Path = REPOSITORY,
    user: str | None = None,
    stdin: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Start a command in a process group of its own that is killed when this process ends.

    Output is appended to `log`, or shared with us where it is None; `user` is for root only. It must be
    called from a thread that lives as long as the process (the main thread): the kernel watches that thread.
    """
    launcher = [sys.executable, str(REPOSITORY / "core" / "leash.py"), str(os.getpid()), user or "-", *command]
    environment = {**os.environ, **(env or {})}
    if log is None:
        return subprocess.Popen(  # noqa: S603 - the command is ours
            launcher, cwd=cwd, env=environment, start_new_session=True, stdin=stdin
        )
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - the command is ours
            launcher,
            cwd=cwd,
            env=environment,
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def stop(process: subprocess.Popen[bytes], *, patience: float = 10.0) -> None:
    """Ask the process to end, wait `patience` seconds, then kill it; returns when it is gone."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        # Its whole group: what it started itself has had no chance to be stopped by it.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def allow_many_files() -> None:
    """Raise this process's soft limit of open files, which is often a thousand, to the hard one: a socket is a file."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def free_port() -> int:
    """A loopback TCP port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, from its first byte on."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
