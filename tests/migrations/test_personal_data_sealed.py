"""Revision 0017 seals what stood in plain text, and nothing of it is found in the files any more."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from core.db import Database
from core.settings import DEVELOPMENT_ONLY
from customers.personal import PersonalData, personal_data_of
from customers.profiles import contact_hash
from migrations.sql_migrations import is_sql_current, upgrade_sql
from tests.conftest import RING, Addresses
from tests.databases import empty_database
from tests.migrations.test_referral_channels_backfill import migrated

pytestmark = pytest.mark.anyio

PLAIN = """
INSERT INTO customer (id, display_name, full_name, phone, email, birth_date, created_at)
VALUES (:id, 'Lin', :name, :phone, :email, :born, :now)
"""
READ = "SELECT full_name, phone, email, birth_date, phone_hash, email_hash FROM customer ORDER BY id"
SECRETS = ("林美华", "+8613900000001", "meihua@example.com", "1970-05-17")


async def test_what_was_plain_is_sealed_and_can_be_opened(stores: Addresses, tmp_path: Path) -> None:
    """Given profiles of before, with and without personal data, then they open; down and up again it is the same."""
    database = Database(await empty_database(stores, tmp_path), timeout=60, keys=RING)
    try:
        await migrated(database, "0016")
        born: Any = "1970-05-17" if database.is_sqlite else datetime(1970, 5, 17, tzinfo=UTC).date()
        await put(database, "a", *SECRETS[:3], born)
        await put(database, "b", None, None, None, None)
        await migrated(database, "0017")
        await is_sealed(database)
        await migrated(database, "0016", down=True)
        assert [str(one) for one in (await rows(database, READ.replace(", phone_hash, email_hash", "")))[0]] == [
            *SECRETS
        ]
        await upgrade_sql(database)
        assert await is_sql_current(database)
        await is_sealed(database)
    finally:
        await database.close()
    if database.is_sqlite:
        kept = bytes_of(tmp_path)
        assert b"customer_trait" in kept
        assert [secret for secret in SECRETS if secret.encode() in kept] == []


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def put(database: Database, id: str, name: Any, phone: Any, email: Any, born: Any) -> None:
    values = {"id": id, "name": name, "phone": phone, "email": email, "born": born, "now": datetime.now(UTC)}
    async with database.write() as session:
        await (await session.connection()).execute(text(PLAIN), values)


async def rows(database: Database, statement: str) -> list[Any]:
    async with database.read() as session:
        return list((await (await session.connection()).execute(text(statement))).all())


async def is_sealed(database: Database) -> None:
    one, other = await rows(database, READ)
    assert [secret for secret in SECRETS if secret in str(one)] == []
    assert tuple(one[4:]) == (
        contact_hash(DEVELOPMENT_ONLY, "phone", SECRETS[1]),
        contact_hash(DEVELOPMENT_ONLY, "email", SECRETS[2]),
    )
    assert tuple(other) == (None,) * 6
    async with database.read() as session:
        opened = await personal_data_of(session, "a")
        assert await personal_data_of(session, "b") == PersonalData()
    assert opened is not None
    assert (opened.full_name, opened.phone, opened.email, str(opened.birth_date)) == SECRETS
    assert "美华" not in repr(opened)
    months = await rows(database, "SELECT customer_id, name, day, source FROM customer_trait")
    assert [(row[0], row[1], str(row[2]), row[3]) for row in months] == [("a", "born", "1970-05-01", "profile")]
