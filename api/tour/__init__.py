"""The GraphQL tour: example documents that the README shows, the explorer offers and a test runs in their order."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from core.clock import iso

# Hours or minutes from now, as ISO 8601 writes a duration.
AHEAD = re.compile(r"\+PT(\d{1,6})([HM])")

FOLDER = Path(__file__).parent
AS = "# As: "


def tour_documents() -> list[dict[str, Any]]:
    """The documents in their order, each with its name, its persona and example variables."""
    found: list[dict[str, Any]] = []
    for path in sorted(FOLDER.glob("*.graphql")):
        variables = path.with_suffix(".json")
        document = path.read_text()
        found.append(
            {
                "name": path.stem,
                "persona": document.partition("\n")[0].removeprefix(AS),
                "document": document,
                "variables": orjson.loads(variables.read_bytes()) if variables.exists() else {},
            }
        )
    return found


def resolved(value: Any, answers: Mapping[str, Any], *, now: datetime) -> Any:
    """The variables with each `{"$from": document, "path": …}` replaced by what that document's answer has there.

    `{"$now": "+PT1H"}` is the instant that lies so far ahead. `answers` holds the data of each answered document by
    its name. Raises LookupError where one has not been answered, or has nothing at the path, and ValueError for a
    duration of another form. The explorer does the same in `static/tour.js`.
    """
    if isinstance(value, dict):
        if "$from" in value:
            return part_of(answers[value["$from"]], value["path"])
        if "$now" in value:
            return iso(now + duration_of(value["$now"]))
        return {name: resolved(part, answers, now=now) for name, part in value.items()}
    if isinstance(value, list):
        return [resolved(part, answers, now=now) for part in value]
    return value


def duration_of(text: str) -> timedelta:
    found = AHEAD.fullmatch(text)
    if found is None:
        raise ValueError(f"{text} is not hours or minutes ahead, such as +PT1H")
    count = int(found[1])
    return timedelta(hours=count) if found[2] == "H" else timedelta(minutes=count)


def part_of(data: Any, path: str) -> Any:
    """What stands at a dotted path of names and of places in lists."""
    for step in path.split("."):
        if not isinstance(data, dict | list):
            raise LookupError(path)
        data = data[int(step)] if isinstance(data, list) else data[step]
    return data
