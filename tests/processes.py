"""What Linux tells about processes: who is alive, who descends from whom, and where they listen."""

import time
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address
from pathlib import Path

PROC = Path("/proc")
LISTEN = "0A"


def is_alive(pid: int) -> bool:
    # A zombie is dead and only waits for whoever adopted it.
    return stat_of(pid)[0] != "Z"


def gone_within(pids: Iterable[int], seconds: float) -> bool:
    """Whether all of them end in that time."""
    left = list(pids)
    deadline = time.monotonic() + seconds
    while (left := [pid for pid in left if is_alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not left


def stat_of(pid: int) -> tuple[str, int]:
    """State and parent of a process; of one that is gone, those of a zombie."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return "Z", 0
    # The name of the program stands in parentheses and may hold anything.
    state, parent = text.rpartition(")")[2].split()[:2]
    return state, int(parent)


def descendants(pid: int) -> dict[int, str]:
    """The living children of a process, and theirs, with their command lines."""
    parents = {int(folder.name): stat_of(int(folder.name))[1] for folder in PROC.glob("[0-9]*")}
    found: list[int] = [pid]
    for parent in found:
        found += [child for child, its in parents.items() if its == parent]
    return {child: command_line(child) for child in found[1:] if is_alive(child)}


def command_line(pid: int) -> str:
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def listeners(pids: Iterable[int]) -> set[tuple[str, int]]:
    """The addresses and TCP ports on which these processes listen."""
    inodes = {inode for pid in pids for inode in sockets_of(pid)}
    rows = [line.split() for name in ("tcp", "tcp6") for line in (PROC / "net" / name).read_text().splitlines()[1:]]
    return {endpoint(row[1]) for row in rows if row[3] == LISTEN and row[9] in inodes}


def sockets_of(pid: int) -> set[str]:
    """The inodes of the sockets that a process holds."""
    links: set[str] = set()
    for path in (PROC / str(pid) / "fd").glob("*"):
        try:
            links.add(str(path.readlink()))
        except FileNotFoundError:
            continue
    return {link.removeprefix("socket:[").removesuffix("]") for link in links if link.startswith("socket:")}


def endpoint(text: str) -> tuple[str, int]:
    """`0100007F:1F90` is 127.0.0.1, port 8000: words of four bytes, each in the machine's own (little) order."""
    words, port = text.split(":")
    raw = b"".join(bytes.fromhex(words[at : at + 8])[::-1] for at in range(0, len(words), 8))
    address = ip_address(raw)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address), int(port, 16)
