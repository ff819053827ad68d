"""The pages under docs/ that are made from the code."""

from pathlib import Path

import pytest

from ops.reference import PAGES


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_says_what_the_code_says(path: Path) -> None:
    """Given a page as it stands; when made anew; then it is the same: `make schema` writes it."""
    assert path.read_text() == PAGES[path]()
