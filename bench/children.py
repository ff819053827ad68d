"""A command as a process of its own, and what it took."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.processes import REPOSITORY

# A small process between: Linux counts what a process had before it became the command, which would be our memory.
BETWEEN = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_maxrss, used.ru_utime + used.ru_stime)
sys.exit(code)
"""


@dataclass(frozen=True, slots=True)
class Child:
    """A command that ended well: its seconds, those on a processor, its peak memory in MiB, and its standard error."""

    seconds: float
    busy_seconds: float
    peak_mib: float
    said: str


def run_child(command: Sequence[str], environment: Mapping[str, str]) -> Child:
    """Run a command to its end; raises RuntimeError with its last words when it fails."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-S", "-c", BETWEEN, *command],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2_000:]}")
    peak_kib, busy = done.stdout.split()
    return Child(time.monotonic() - began, float(busy), int(peak_kib) / 1024, done.stderr)
