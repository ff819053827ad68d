"""Writes the pages under docs/ that are made from the code: every stable code, and the GraphQL tour."""

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

from api.errors import CODES
from api.tour import FOLDER, tour_documents
from core.errors import Refusal, every_error
from core.processes import REPOSITORY
from segments.condition_schema import condition_schema

ROOMS = ("core", "segments", "customers", "community", "referrals", "loyalty", "service", "api")
ERRORS_HEAD = """# Codes

Made by `make schema` from the code; a test compares it. A **refusal** is a member of the mutation's union
(`Refusal { code message path }`); an **error** stands in `errors[]`, with `extensions.code` for its family and
`extensions.reason` for the code of the second table. `extensions.inputPath` is the path of the argument to blame.

## `extensions.code`

| Code | What it means |
|---|---|
"""
REASONS_HEAD = """
## `Refusal.code` and `extensions.reason`

| Code | Kind | English | 中文 |
|---|---|---|---|
"""


def load_rooms() -> None:
    """Import every module, so that every class of error exists."""
    for room in ROOMS:
        package = import_module(room)
        for module in walk_packages(package.__path__, f"{room}."):
            import_module(module.name)


def errors_page() -> str:
    """Every code with its words, from the classes that carry them."""
    load_rooms()
    families = [f"| `{code}` | {meaning} |" for code, meaning in CODES.items()]
    # Two rooms may refuse by one code, each in its own words.
    reasons = {
        f"| `{error.code}` | {'refusal' if issubclass(error, Refusal) else 'error'} | {error.en} | {error.zh} |"
        for error in every_error()
    }
    return ERRORS_HEAD + "\n".join(families) + "\n" + REASONS_HEAD + "\n".join(sorted(reasons)) + "\n"


TOUR_HEAD = """# The GraphQL tour

Made by `make schema` from `api/tour/`; a test compares it, and another runs every document in this order on a fresh
demonstration bank. `python -m ops.tour` walks it over HTTP; the explorer (`/graphiql`) offers it as examples.
一次走完主要流程：文档按顺序执行，第一行注明由谁执行。

Each document begins with who asks. A variable `{"$from": DOCUMENT, "path": PATH}` stands for what that earlier
document was answered at that path inside `data`: lists come first, ids come from them. `{"$now": "+PT1H"}` is the
instant that lies so far ahead.
"""


def tour_page() -> str:
    """Every document with its example variables."""
    return TOUR_HEAD + "".join(section(step) for step in tour_documents())


def section(step: dict[str, Any]) -> str:
    text = f"\n## {step['name']}\n\n```graphql\n{step['document']}```\n"
    if step["variables"]:
        variables = (FOLDER / f"{step['name']}.json").read_text()
        text += f"\n```json\n{variables}```\n"
    return text


def schema_page() -> str:
    """The JSON Schema of conditions."""
    return json.dumps(condition_schema(), indent=2) + "\n"


PAGES: dict[Path, Callable[[], str]] = {
    REPOSITORY / "docs" / "errors.md": errors_page,
    REPOSITORY / "docs" / "tour.md": tour_page,
    REPOSITORY / "docs" / "condition.schema.json": schema_page,
}


def main() -> None:
    for path, make in PAGES.items():
        path.write_text(make())


if __name__ == "__main__":
    main()
