"""The GraphQL tour: example documents that the README shows, the explorer offers and a test runs."""

from pathlib import Path
from typing import Any

import orjson

FOLDER = Path(__file__).parent


def tour_documents() -> list[dict[str, Any]]:
    """The documents in their order, each with its name, its persona and example variables."""
    found: list[dict[str, Any]] = []
    for path in sorted(FOLDER.glob("*.graphql")):
        variables = path.with_suffix(".json")
        found.append(
            {
                "name": path.stem,
                "document": path.read_text(),
                "variables": orjson.loads(variables.read_bytes()) if variables.exists() else {},
            }
        )
    return found
