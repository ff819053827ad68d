"""The leash: what we start dies with us, also when we are killed without a chance to clean up."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

from core.processes import REPOSITORY, start_leashed, stop, write_private

PARENT = """
import sys, time
from pathlib import Path
from core.processes import start_leashed
child = start_leashed([sys.executable, "-c", "import time; time.sleep(600)"], log=None)
print(child.pid, flush=True)
time.sleep(600)
"""


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie is dead and only waits for whoever adopted it.
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


def gone_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_alive(pid)


def test_a_child_dies_when_its_parent_is_killed() -> None:
    """Given a parent with a leashed child, when the parent gets SIGKILL, then the child is gone at once."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_alive(child)
        parent.send_signal(signal.SIGKILL)
    assert gone_within(child, 5)


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


def test_output_goes_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "child.log"
    child = start_leashed([sys.executable, "-c", "print('written')"], log=log)
    assert child.wait(20) == 0
    assert log.read_text() == "written\n"


def test_a_private_file_is_its_owners_alone(tmp_path: Path) -> None:
    write_private(tmp_path / "secret", "text")
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
