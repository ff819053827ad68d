"""Revision 0013 numbers the entries that there are, keeps them append-only, and lets a posting fill several lots."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from core.clock import utc_now
from core.db import Database
from loyalty.trial_balance import trial_balance
from migrations.sql_migrations import is_sql_current, upgrade_sql
from tests.conftest import Addresses
from tests.databases import empty_database
from tests.migrations.test_referral_channels_backfill import migrated

pytestmark = pytest.mark.anyio

ACCOUNT = "INSERT INTO ledger_account (id, kind, customer_id, balance) VALUES (:id, :kind, :customer, :balance)"
POSTING = """
INSERT INTO ledger_posting (id, key, kind, cause_kind, cause_id, occurred_at, booked_at)
VALUES (:id, :id, 'EARN', 'TEST', :id, :now, :now)
"""
ENTRY = "INSERT INTO ledger_entry (id, posting_id, account_id, points) VALUES (:id, :posting, :account, :points)"
LOT = """
INSERT INTO ledger_lot (id, customer_id, posting_id, points, remaining, earned_at, available_at, expires_at, released)
VALUES (:id, :customer, :posting, :points, :left, :now, :now, :now, :released)
"""
DEBIT = "INSERT INTO lot_debit (id, posting_id, lot_id, points) VALUES (:id, :posting, :lot, :points)"
ENTRIES = "SELECT id, position, balance_after FROM ledger_entry ORDER BY id"
ACCOUNTS = "SELECT id, last_position FROM ledger_account ORDER BY id"


async def test_entries_from_before_are_numbered(stores: Addresses, tmp_path: Path) -> None:
    """Given two customers with entries of before, then each account counts its own, and the books are proven."""
    database = Database(await empty_database(stores, tmp_path), timeout=60)
    try:
        await migrated(database, "0012")
        await fill(database)
        await migrated(database, "0013")
        await is_numbered(database)
        await migrated(database, "0012", down=True)
        await upgrade_sql(database)
        assert await is_sql_current(database)
        await is_numbered(database)
    finally:
        await database.close()


async def fill(database: Database) -> None:
    now = utc_now()

    async def put(statement: str, **values: Any) -> None:
        await connection.execute(text(statement), values | ({"now": now} if ":now" in statement else {}))

    async with database.write() as session:
        connection = await session.connection()
        for id, kind, customer, balance in (
            ("lin:available", "AVAILABLE", "lin", 7),
            ("sun:available", "AVAILABLE", "sun", 0),
            ("sun:pending", "PENDING", "sun", 5),
            ("house:issuance", "ISSUANCE", None, None),
        ):
            await put(ACCOUNT, id=id, kind=kind, customer=customer, balance=balance)
        for number, (account, points) in enumerate(
            (("lin:available", 10), ("sun:pending", 5), ("lin:available", -4), ("lin:available", 1))
        ):
            await put(POSTING, id=f"p{number}")
            await put(ENTRY, id=f"e{number}-a", posting=f"p{number}", account=account, points=points)
            await put(ENTRY, id=f"e{number}-b", posting=f"p{number}", account="house:issuance", points=-points)
        for number, (customer, points, left, released) in enumerate(
            (("lin", 10, 6, True), ("sun", 5, 5, False), ("", 0, 0, True), ("lin", 1, 1, True))
        ):
            if customer:
                posting = f"p{number}"
                await put(
                    LOT,
                    id=f"l{number}",
                    customer=customer,
                    posting=posting,
                    points=points,
                    left=left,
                    released=released,
                )
        await put(DEBIT, id="d", posting="p2", lot="l0", points=4)


async def is_numbered(database: Database) -> None:
    async with database.read() as session:
        connection = await session.connection()
        found = {id: (position, balance) for id, position, balance in (await connection.execute(text(ENTRIES))).all()}
        counted = {id: last for id, last in (await connection.execute(text(ACCOUNTS))).all()}
        proof = await trial_balance(session)
    assert {id: pair for id, pair in found.items() if id.endswith("a")} == {
        "e0-a": (1, 10),
        "e1-a": (1, 5),
        "e2-a": (2, 6),
        "e3-a": (3, 7),
    }
    assert {pair for id, pair in found.items() if id.endswith("b")} == {(None, None)}
    assert counted == {"house:issuance": None, "lin:available": 3, "sun:available": 0, "sun:pending": 1}
    assert (proof.holds, proof.findings, proof.entries) == (True, {}, 8)
    with pytest.raises(DBAPIError, match="append-only"):
        async with database.write() as session:
            await (await session.connection()).execute(text("UPDATE ledger_entry SET position = 9"))
