"""Ids: what is one, told apart from everything else that Python would take for one."""

import uuid

from hypothesis import example, given
from hypothesis import strategies as st

from core.ids import derived_id, is_id, new_id

HEXADECIMAL = "0123456789abcdefABCDEF-"


def by_the_library(text: str) -> bool:
    """Whether it is the usual writing of the UUID that Python reads in it."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


@given(
    st.uuids().map(str) | st.uuids().map(lambda one: str(one).upper()) | st.text(HEXADECIMAL, max_size=38) | st.text()
)
@example("{6e1c2d0e-8f3a-5b7c-9d4e-2f1a3b5c7d9e}")
@example("urn:uuid:6e1c2d0e-8f3a-5b7c-9d4e-2f1a3b5c7d9e")
@example("6e1c2d0e8f3a5b7c9d4e2f1a3b5c7d9e")
@example("6e1c2d0e-8f3a-5b7c-9d4e-2f1a3b5c7d9e\n")
@example("６e1c2d0e-8f3a-5b7c-9d4e-2f1a3b5c7d9e")
@example("6e1c2d0e-8f3a-5b7c-9d4e-2f1a3b5c7d9_")
def test_an_id_is_what_the_library_writes(text: str) -> None:
    assert is_id(text) is by_the_library(text)


def test_ours_are_ids() -> None:
    assert is_id(new_id()) and is_id(derived_id("a", "b"))
