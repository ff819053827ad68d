"""Check-in codes: good for five minutes, for one registration, and for nothing that anybody changed."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from community.checkin_codes import LEEWAY, LIFETIME, CodeExpired, CodeInvalid, make_code, read_code
from core.clock import utc_now
from core.ids import new_id

KEY = "a key of the tests"
EVENT, CUSTOMER, NOW = new_id(), new_id(), utc_now()
CODE = make_code(KEY, event_id=EVENT, customer_id=CUSTOMER, now=NOW)


def test_a_code_names_its_registration_while_it_lives() -> None:
    assert timedelta(minutes=4, seconds=59) <= CODE.expires_at - NOW <= LIFETIME
    for at in (NOW, CODE.expires_at, CODE.expires_at + LEEWAY, NOW - timedelta(seconds=59)):
        assert read_code(KEY, CODE.text, scanned_at=at) == (EVENT, CUSTOMER)


@pytest.mark.parametrize("wait", [LIFETIME + LEEWAY, timedelta(days=400), -LEEWAY - timedelta(seconds=2)])
def test_a_code_is_of_no_use_before_and_after(wait: timedelta) -> None:
    with pytest.raises(CodeExpired):
        read_code(KEY, CODE.text, scanned_at=NOW + wait)


def test_another_key_makes_another_code() -> None:
    with pytest.raises(CodeInvalid):
        read_code("another key", CODE.text, scanned_at=NOW)


@given(place=st.integers(0, len(CODE.text) - 2), char=st.sampled_from("ABCabc012-_"))
def test_a_changed_character_makes_it_invalid(place: int, char: str) -> None:
    changed = CODE.text[:place] + char + CODE.text[place + 1 :]
    if changed != CODE.text:
        with pytest.raises(CodeInvalid):
            read_code(KEY, changed, scanned_at=NOW)


@given(text=st.text(max_size=300))
def test_any_other_text_is_invalid_and_nothing_worse(text: str) -> None:
    with pytest.raises(CodeInvalid):
        read_code(KEY, text, scanned_at=NOW)
