"""Pages: a cursor survives inserts, and whatever is no cursor of ours is refused, never an error of ours."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, Integer, MetaData, Table, Text, create_engine, insert, select

from core.paging import (
    Before,
    Falling,
    Page,
    PageInvalid,
    Place,
    cut,
    decode_cursor,
    encode_cursor,
    held_in,
    in_order,
    page_size,
    position_at,
)

keys = st.tuples(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
    st.integers(-(2**53), 2**53),
)


@given(key=keys)
def test_a_cursor_gives_its_key_back(key: tuple[str, int]) -> None:
    assert decode_cursor(encode_cursor(key), str, int) == key


@given(rows=st.lists(keys, max_size=6), size=st.integers(1, 5), backwards=st.booleans())
def test_cursors_are_made_when_they_are_taken_out(rows: list[tuple[str, int]], size: int, backwards: bool) -> None:
    """Given pages of rows; then the cursors of a page, one by one, in slices and as marks of edges, are those of its
    rows, and no key is asked for before."""
    asked: list[tuple[str, int]] = []

    def key(row: tuple[str, int]) -> tuple[str, int]:
        asked.append(row)
        return row

    page = cut(rows, size, key, Before() if backwards else None)
    marks, ends = page.marks(), (page.mark(0), page.mark(-1))
    assert not asked
    expected = [encode_cursor(row) for row in page.rows]
    assert list(page.cursors) == [page.cursors[n] for n in range(len(page.rows))] == expected
    assert list(page.cursors[1:]) == expected[1:] and len(page.cursors) == len(expected)
    assert [str(mark) for mark in marks] == expected
    assert ends == (None, None) if not rows else [str(end) for end in ends] == [expected[0], expected[-1]]


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


ROWS = Table("row", MetaData(), Column("a", Integer), Column("b", Integer), Column("id", Text, primary_key=True))


@given(
    rows=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=12),
    falls=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    size=st.integers(1, 5),
)
def test_a_list_of_several_columns_is_the_same_from_both_ends(
    rows: list[tuple[int, int]], falls: Sequence[bool], size: int
) -> None:
    """Given rows of which many are equal in what they are ordered by first, then pages of any size tell all of them."""
    table = [(*row, f"{number:02}") for number, row in enumerate(rows)]
    expected = table.copy()
    for number in reversed(range(3)):
        expected.sort(key=lambda row: row[number], reverse=falls[number])
    columns = [Falling(column) if falling else column for column, falling in zip(ROWS.c, falls, strict=True)]
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        ROWS.create(connection)
        if table:
            connection.execute(insert(ROWS), [dict(zip("ab", row, strict=False), id=row[2]) for row in table])

        def page_at(place: Place) -> Page[tuple[int, int, str]]:
            position = position_at(place, int, int, str)
            statement = in_order(select(ROWS), *columns, size=size, place=place, position=position)
            return cut([(a, b, id) for a, b, id in connection.execute(statement)], size, list, place)

        for begin, forwards in ((None, True), (Before(), False)):
            found, place, more = list[tuple[int, int, str]](), begin, True
            while more:
                page = page_at(place)
                found = found + page.rows if forwards else page.rows + found
                more = page.has_next if forwards else bool(page.has_previous)
                if more:
                    place = page.cursors[-1] if forwards else Before(page.cursors[0])
            assert found == expected
    engine.dispose()


def test_a_cursor_to_go_back_from_is_refused_where_it_was_given() -> None:
    with pytest.raises(PageInvalid) as caught:
        position_at(Before("nonsense"), str)
    assert caught.value.path == ("before",)


@pytest.mark.parametrize(
    ("bits", "number", "held"), [(16, 40_000, 32_767), (16, -40_000, -32_768), (32, 2**40, 2**31 - 1), (16, 7, 7)]
)
def test_a_number_beyond_a_column_is_the_nearest_in_it(bits: int, number: int, held: int) -> None:
    assert held_in(bits, number) == held
