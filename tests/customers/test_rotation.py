"""Rotation: afterwards the old key is needed no more; before that, what it wraps does not open without it."""

import base64
import io
from pathlib import Path

import pytest
from rich.console import Console

from core.clock import utc_now
from core.db import Database
from core.sealing import KeyRing, PersonalDataLocked
from core.settings import DEVELOPMENT_KEY
from customers.personal import PersonalData, made_data_keys, personal_data_of, put_personal
from customers.profiles import Customer
from customers.rotation import left_to_rotate, rotate, rotate_some
from service.complaint_keys import open_words
from service.complaint_records import entries_of
from tests.conftest import Addresses
from tests.databases import migrated_database
from tests.service.complaining import filed

pytestmark = pytest.mark.anyio

NEW = base64.b64encode(b"n" * 32).decode()
OLD_RING, BOTH = KeyRing.parse(f"1:{DEVELOPMENT_KEY}"), KeyRing.parse(f"2:{NEW},1:{DEVELOPMENT_KEY}")
NEW_RING = KeyRing.parse(f"2:{NEW}")
IDS = [f"customer-{number:02}" for number in range(25)]


async def put_people(database: Database) -> None:
    async with database.write() as session:
        people = [Customer(id=id, display_name="x", created_at=utc_now()) for id in IDS]
        session.add_all(people)
        await session.flush()
        keys = await made_data_keys(session, IDS)
        for one in people:
            said = PersonalData(full_name=f"name of {one.id}")
            put_personal(one, PersonalData(), said, keys[one.id], hash_key="test")


async def names(database: Database) -> list[str | None]:
    async with database.read() as session:
        found = [await personal_data_of(session, id) for id in IDS]
    return [one.full_name for one in found if one is not None]


async def test_after_a_rotation_the_old_key_is_needed_no_more(stores: Addresses, tmp_path: Path) -> None:
    """Given 25 customers under key 1; when rotated half-way and again; then key 2 alone opens all of them."""
    url = await migrated_database(stores, tmp_path)
    old, both, new = (Database(url, timeout=60, keys=ring) for ring in (OLD_RING, BOTH, NEW_RING))
    expected = [f"name of {id}" for id in IDS]
    try:
        await put_people(old)
        assert await names(both) == expected
        with pytest.raises(PersonalDataLocked, match="no key 1"):
            await names(new)
        with pytest.raises(PersonalDataLocked, match="no key 1"):
            await rotate(new, Console(file=io.StringIO()))
        # Cut off after one batch, all of them open as before.
        async with both.write() as session:
            assert await rotate_some(session, limit=10) == 10
            assert await left_to_rotate(session) == 15
        assert await names(both) == expected
        said = io.StringIO()
        assert await rotate(both, Console(file=said), batch=10) == 0
        assert said.getvalue().splitlines()[-1] == "5 data keys are wrapped anew, 0 are left"
        assert await names(new) == expected
        with pytest.raises(PersonalDataLocked, match="no key 2"):
            await names(old)
    finally:
        for database in (old, both, new):
            await database.close()


async def test_the_words_of_complaints_open_after_a_rotation(stores: Addresses, tmp_path: Path) -> None:
    """Given three complaints under key 1, when rotated two at a time, then key 2 alone opens what was said in them."""
    url = await migrated_database(stores, tmp_path)
    old, both, new = (Database(url, timeout=60, keys=ring) for ring in (OLD_RING, BOTH, NEW_RING))
    try:
        filed_ones = [await filed(old, customer_id=id, words=f"of {id}") for id in IDS[:3]]
        assert await rotate(both, Console(file=io.StringIO()), batch=2) == 0
        async with new.read() as session:
            logs = await entries_of(session, [one.id for one in filed_ones])
            words = await open_words(session, [entry for log in logs.values() for entry in log])
        assert [words[one.id, 1] for one in filed_ones] == [f"of {id}" for id in IDS[:3]]
    finally:
        for database in (old, both, new):
            await database.close()
