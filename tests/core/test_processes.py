"""The leash: what we start dies with us, also when we are killed without a chance to clean up."""

import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

from core.processes import REPOSITORY, start_leashed, stop, write_private
from tests.processes import gone_within, is_alive

PARENT = """
import sys, time
from pathlib import Path
from core.processes import start_leashed
child = start_leashed([sys.executable, "-c", "import time; time.sleep(600)"], log=None)
print(child.pid, flush=True)
time.sleep(600)
"""


def test_a_child_dies_when_its_parent_is_killed() -> None:
    """Given a parent with a leashed child, when the parent gets SIGKILL, then the child is gone at once."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_alive(child)
        parent.send_signal(signal.SIGKILL)
    assert gone_within([child], 5)


DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
"""


def test_a_child_that_ignores_the_request_to_end_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "deaf.log"
    child = start_leashed([sys.executable, "-c", DEAF], log=log)
    while "deaf" not in log.read_text():
        time.sleep(0.02)
    stop(child, patience=0.3)
    assert child.returncode == -signal.SIGKILL


FATHER = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid, flush=True)
time.sleep(600)
"""


def test_a_child_that_has_to_be_killed_takes_its_own_children_along(tmp_path: Path) -> None:
    """Given a deaf child with a child of its own that knows no leash, when it is stopped, then both are gone."""
    log = tmp_path / "father.log"
    child = start_leashed([sys.executable, "-c", FATHER], log=log)
    while not log.read_text().endswith("\n"):
        time.sleep(0.02)
    stop(child, patience=0.3)
    assert gone_within([int(log.read_text())], 5)


def test_a_child_can_be_spoken_to(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    child = start_leashed([sys.executable, "-c", "print(input())"], log=log, stdin=subprocess.PIPE)
    child.communicate(b"said\n", timeout=20)
    assert log.read_text() == "said\n"


def test_output_goes_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "child.log"
    child = start_leashed([sys.executable, "-c", "print('written')"], log=log)
    assert child.wait(20) == 0
    assert log.read_text() == "written\n"


def test_a_private_file_is_its_owners_alone(tmp_path: Path) -> None:
    write_private(tmp_path / "secret", "text")
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
