"""Codes that people read aloud: typed wrongly in one place they are never taken for another code."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.codes import ALPHABET, new_code, normal_code

codes = st.integers(4, 16).map(new_code)


@given(code=codes)
def test_a_code_is_its_own_normal_form_however_it_is_typed(code: str) -> None:
    assert normal_code(code) == code
    assert normal_code(f" {code[:3].lower()}-{code[3:].lower()} ") == code


@given(code=codes, place=st.integers(0, 15), other=st.sampled_from(ALPHABET))
def test_one_wrong_character_is_always_noticed(code: str, place: int, other: str) -> None:
    place %= len(code)
    if code[place] != other:
        assert normal_code(code[:place] + other + code[place + 1 :]) is None


@pytest.mark.parametrize(
    "text", ["", "ABC", "ÄÖÜ2", "0O1IL", "2" * 33, "<script>", "２３４５", "\0" * 8, "2222\r\n", " " * 101]
)
def test_what_cannot_be_a_code_is_none(text: str) -> None:
    assert normal_code(text) is None


def test_letters_that_only_become_ours_are_not_ours() -> None:
    """Given a code with an S, when it is written with the long s, whose upper case is S, then it is none of ours."""
    code = next(found for found in (new_code(8) for _ in range(1_000)) if "S" in found)
    assert normal_code(code.replace("S", "s", 1)) == code
    assert normal_code(code.replace("S", "ſ", 1)) is None
