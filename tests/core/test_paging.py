"""Pages: a cursor survives inserts, and whatever is no cursor of ours is refused, never an error of ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.paging import Page, PageInvalid, cut, decode_cursor, encode_cursor, page_size

keys = st.tuples(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
    st.integers(-(2**53), 2**53),
)


@given(key=keys)
def test_a_cursor_gives_its_key_back(key: tuple[str, int]) -> None:
    assert decode_cursor(encode_cursor(key), str, int) == key


@given(text=st.text(max_size=30))
def test_any_other_text_is_refused(text: str) -> None:
    try:
        decoded = decode_cursor(text, str)
    except PageInvalid as error:
        assert error.path == ("after",)
    else:
        assert decoded is not None
        assert type(decoded[0]) is str


def test_what_no_store_takes_is_in_no_cursor() -> None:
    for key in (["a\0", 1], ["a", 2**63], ["a", 2**64 - 1]):
        with pytest.raises(PageInvalid):
            decode_cursor(encode_cursor(key), str, int)


def test_a_cursor_of_another_list_is_refused() -> None:
    with pytest.raises(PageInvalid):
        decode_cursor(encode_cursor(["a", 1]), str)
    with pytest.raises(PageInvalid):
        decode_cursor(encode_cursor([True]), int)


@pytest.mark.parametrize("first", [0, -1, 101, 10**9])
def test_a_size_outside_the_bounds_is_refused(first: int) -> None:
    with pytest.raises(PageInvalid):
        page_size(first)


@given(rows=st.lists(st.integers(0, 99), max_size=30), size=st.integers(1, 20))
def test_a_page_keeps_its_size_and_tells_whether_more_follow(rows: list[int], size: int) -> None:
    page = cut(rows[: size + 1], size, lambda row: (row,))
    assert page.rows == rows[:size]
    assert page.has_next == (len(rows) > size)
    assert len(page.cursors) == len(page.rows)


def test_an_empty_page_is_made_by_its_subscripted_name() -> None:
    assert Page[int]([], [], has_next=False) == Page([], [], has_next=False)
