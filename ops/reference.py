"""Writes docs/errors.md, the list of every stable code, from the classes that carry them."""

from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

from core.errors import KinshipError, Refusal, every_error
from core.processes import REPOSITORY

ROOMS = ("core", "customers", "community", "referrals", "loyalty", "service", "api")
PAGE = REPOSITORY / "docs" / "errors.md"
HEAD = """# Codes

Made by `make schema` from the code; a test compares it. A **refusal** is a member of the mutation's union
(`Refusal { code message path }`); an **error** stands in `errors[]`, with `extensions.code` for its family
(UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, BAD_USER_INPUT, UNAVAILABLE) and `extensions.reason` for the code below.

| Code | Kind | English | 中文 |
|---|---|---|---|
"""


def load_rooms() -> None:
    """Import every module, so that every class of error exists."""
    for room in ROOMS:
        package = import_module(room)
        for module in walk_packages(package.__path__, f"{room}."):
            import_module(module.name)


def page() -> str:
    """The text of the page."""
    load_rooms()
    errors: dict[str, type[KinshipError]] = {error.code: error for error in every_error()}
    rows = [
        f"| `{code}` | {'refusal' if issubclass(error, Refusal) else 'error'} | {error.en} | {error.zh} |"
        for code, error in sorted(errors.items())
    ]
    return HEAD + "\n".join(rows) + "\n"


def main(path: Path = PAGE) -> None:
    path.write_text(page())


if __name__ == "__main__":
    main()
