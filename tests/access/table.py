"""The policy as docs/access.md states it: one row for every field of the roots, one column for every role."""

from collections.abc import Mapping

from core.processes import REPOSITORY
from tests.access.world import ROLES

PAGE = REPOSITORY / "docs" / "access.md"
# What a cell may say; those who are refused come first.
REFUSED = {"sign in", "sign up", "forbidden", "absent", "not theirs"}
ANSWERED = {"yes", "nothing"}


def policy() -> Mapping[str, Mapping[str, str]]:
    """What each role is answered to each operation; raises for a page that is not what it should be."""
    found: dict[str, dict[str, str]] = {}
    for line in PAGE.read_text().splitlines():
        if not line.startswith("| `"):
            continue
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        operation = name.strip("`")
        if operation in found or len(cells) != len(ROLES) or not set(cells) <= REFUSED | ANSWERED:
            raise ValueError(f"docs/access.md: {line}")
        found[operation] = dict(zip(ROLES, cells, strict=True))
    return found


def row_of(operation: str, cells: Mapping[str, str]) -> str:
    """A row as it stands in the page."""
    return f"| `{operation}` | {' | '.join(cells[role] for role in ROLES)} |"
