"""The pages under docs/ that are made from the code."""

import re
from pathlib import Path

import pytest

from api.errors import CODES
from core.errors import every_error
from core.processes import REPOSITORY
from ops.reference import PAGES, ROOMS, load_rooms

# A code in a literal of the extensions of an error, or on one of our classes of errors.
LITERAL = re.compile(r"""["']code["']: ["']([A-Z][A-Z_]+)["']""")
OF_CLASS = re.compile(r"""^    code = ["']([A-Z][A-Z_]+)["']$""", re.MULTILINE)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_says_what_the_code_says(path: Path) -> None:
    """Given a page as it stands; when made anew; then it is the same: `make schema` writes it."""
    assert path.read_text() == PAGES[path]()


def test_every_code_that_can_be_answered_is_in_the_reference() -> None:
    """Given the source of every room, then each code in it stands on the page, and none of ours is a class unseen."""
    page = (REPOSITORY / "docs" / "errors.md").read_text()
    listed = set(re.findall(r"^\| `([A-Z][A-Z_0-9]+)` \|", page, flags=re.MULTILINE))
    sources = [path.read_text() for room in ROOMS for path in (REPOSITORY / room).rglob("*.py")]
    extensions = {code for text in sources for code in LITERAL.findall(text)}
    assert extensions <= set(CODES) <= listed
    load_rooms()
    classes = {error.code for error in every_error()}
    assert {code for text in sources for code in OF_CLASS.findall(text)} <= classes <= listed
    assert listed == classes | set(CODES)
