"""Sealing: what is sealed opens by its key, for its owner and column alone."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ids import is_id
from core.sealing import KeyRing, PersonalDataLocked, blind_hash, keyed_id, new_data_key, seal, unseal

KEYS = {number: base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2)}


@given(st.text(max_size=60))
def test_what_is_sealed_opens_for_its_owner_and_column_alone(text: str) -> None:
    key = new_data_key()
    sealed = seal(key, text, owner="a", column="phone")
    assert unseal(key, sealed, owner="a", column="phone") == text
    assert sealed != seal(key, text, owner="a", column="phone")
    for data_key, owner, column in ((key, "b", "phone"), (key, "a", "email"), (new_data_key(), "a", "phone")):
        with pytest.raises(PersonalDataLocked):
            unseal(data_key, sealed, owner=owner, column=column)
    for changed in (sealed[:-8], "", "!", base64.b64encode(bytes(40)).decode()):
        with pytest.raises(PersonalDataLocked):
            unseal(key, changed, owner="a", column="phone")


def test_the_first_key_writes_and_all_of_them_read() -> None:
    old, both = KeyRing.parse(f"1:{KEYS[1]}"), KeyRing.parse(f" 2:{KEYS[2]}, 1:{KEYS[1]}")
    data_key = new_data_key()
    wrapped = old.wrap(data_key, "a")
    assert both.unwrap(1, wrapped, "a") == data_key
    assert both.newest == 2
    with pytest.raises(PersonalDataLocked, match="PERSONAL_DATA_KEYS has no key 1"):
        KeyRing.parse(f"2:{KEYS[2]}").unwrap(1, wrapped, "a")
    with pytest.raises(PersonalDataLocked):
        both.unwrap(1, wrapped, "b")
    assert KEYS[1] not in f"{both!r}"
    assert str(bytes([1]) * 32) not in f"{both!r}"


def test_hashes_of_each_use_and_key_are_apart_and_ids_are_ids() -> None:
    values = {blind_hash(key, use, "x") for key in ("k", "l") for use in ("phone", "email", "erased-alias")}
    assert len(values) == 6
    ids = {keyed_id(key, "customer", *parts) for key in ("k", "l") for parts in (("a", "bc"), ("ab", "c"))}
    assert len(ids) == 4
    assert all(is_id(one) and one[14] == "8" and one[19] in "89ab" for one in ids)
    assert keyed_id("k", "customer", "a") == keyed_id("k", "customer", "a")
