"""Run a command that dies with its parent: `python core/leash.py PARENT_PID USER COMMAND…` (USER `-`: as we are).

Linux: the kernel sends SIGKILL to the command when the thread that started it is gone, which also
holds when that parent was itself killed by SIGKILL. The setting survives `exec`, so that this
process becomes the command and costs nothing. Elsewhere a watcher polls the parent.
"""

import ctypes
import os
import pwd
import signal
import subprocess
import sys
import time

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, user, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    if user != "-":
        become(user)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
            sys.exit(f"leash: prctl failed: {os.strerror(ctypes.get_errno())}")
        # The parent may have died before the setting took hold.
        if os.getppid() != parent:
            sys.exit("leash: the parent is gone")
        os.execvp(command[0], command)  # noqa: S606 - the command is ours, never a user's
    watch(parent, command)


def become(user: str) -> None:
    """Give up root for another user; before the leash is put on, because a change of user takes it off."""
    account = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


def watch(parent: int, command: list[str]) -> None:
    """Poll the parent twice a second and take the command down with it."""
    child = subprocess.Popen(command)  # noqa: S603 - the command is ours, never a user's
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    while child.poll() is None:
        if os.getppid() != parent:
            child.kill()
        time.sleep(0.5)
    sys.exit(child.returncode)


if __name__ == "__main__":
    main()
