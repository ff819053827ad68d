"""Lines of the log: each says whom it is about, whichever way it is written, and the level lets them through or not."""

import asyncio
import logging

import orjson
import pytest
import structlog

from core.log import STEPS, WRITTEN, Lines, add_to_lines, begin_lines


def written(capture: pytest.CaptureFixture[bytes]) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in capture.readouterr().err.splitlines()]


def test_a_line_in_one_step_is_that_of_structlog(
    capsysbinary: pytest.CaptureFixture[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    """Given the same line by structlog and in one step, then both say the same but for the moment, in the same form."""
    begin_lines(request_id="one")
    add_to_lines(subject="lin")
    with caplog.at_level(logging.INFO):
        usual = structlog.wrap_logger(Lines("here"), [*STEPS, WRITTEN], wrapper_class=structlog.BoundLogger)
        usual.info("met", of=3)
        Lines("here").say("met", of=3)
    first, second = written(capsysbinary)
    assert {**first, "timestamp": ""} == {**second, "timestamp": ""}
    assert first["request_id"] == "one" and first["subject"] == "lin" and first["level"] == "info"
    assert len(str(first["timestamp"])) == len(str(second["timestamp"]))
    begin_lines()


def test_a_level_that_is_higher_lets_nothing_through(
    capsysbinary: pytest.CaptureFixture[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    """Given that only warnings are wanted, then nothing is written."""
    with caplog.at_level(logging.WARNING):
        Lines("here").say("met")
    assert written(capsysbinary) == []


def test_what_lines_say_is_of_a_task_and_of_those_that_it_begins(
    capsysbinary: pytest.CaptureFixture[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    """Given two requests at once that begin tasks; then each line says its own request, and the next request's lines
    say nothing of the one before."""

    async def request(name: str) -> None:
        begin_lines(request_id=name)
        Lines("here").say("begun")
        await asyncio.sleep(0)
        add_to_lines(subject=f"of {name}")
        await asyncio.create_task(below())

    async def below() -> None:
        Lines("here").say("below")

    async def both() -> None:
        await asyncio.gather(request("a"), request("b"))
        begin_lines(request_id="c")
        Lines("here").say("after")

    with caplog.at_level(logging.INFO):
        asyncio.run(both())
    lines = written(capsysbinary)
    told = {(line["event"], line["request_id"], line.get("subject")) for line in lines}
    expected = {("begun", name, None) for name in "ab"} | {("below", name, f"of {name}") for name in "ab"}
    assert told == expected | {("after", "c", None)}
