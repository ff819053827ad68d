"""What the API's own server asks of the kernel."""

import socket
import time

import pytest

from ops import api_server
from ops.api_server import limit_unread


def test_the_kernel_gives_up_a_client_that_never_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a client that lives and does not read, then what was accepted from it holds little, and ends by itself."""
    monkeypatch.setattr(api_server, "UNREAD_SECONDS", 1)
    with socket.socket() as listener, socket.socket() as client:
        limit_unread(listener)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.connect(listener.getsockname())
        accepted, _ = listener.accept()
        with accepted:
            accepted.setblocking(False)
            sent, began = 0, time.monotonic()
            with pytest.raises(OSError, match="timed out"):
                while time.monotonic() - began < 20:
                    try:
                        sent += accepted.send(b"x" * 65_536)
                    except BlockingIOError:
                        time.sleep(0.05)
            assert 0 < sent < 4 * api_server.UNREAD_BYTES
