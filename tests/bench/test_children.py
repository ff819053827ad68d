"""A measured command: its own peak memory, what it says, and its failure."""

import os
import sys

import pytest

from bench.children import run_child


def python(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


def test_the_peak_is_the_command_s_own() -> None:
    """Given a large process that starts a small command and one of 200 MiB; then each has its own peak."""
    ballast = bytearray(os.urandom(1) * (120 * 1024**2))
    small = run_child(python("pass"), os.environ)
    large = run_child(python("x = bytearray(b'1' * (100 * 1024 ** 2))"), os.environ)

    assert len(ballast) / 1024**2 == 120
    assert small.peak_mib < 60
    assert large.peak_mib > 180


def test_a_failure_comes_with_the_last_words() -> None:
    """Given a command that ends with an error; then what it said last is in the exception."""
    with pytest.raises(RuntimeError, match=r"ended with 3: .*the reason"):
        run_child(python("import sys; sys.stderr.write('the reason'); sys.exit(3)"), os.environ)
