"""Revision 0011 counts the clicks that there are, within the bound of channels, and names the channel of each claim."""

from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, text

from core.clock import utc_now
from core.db import Database
from core.ids import new_id
from migrations.sql_migrations import alembic_config, is_sql_current, schema_change, upgrade_sql
from referrals.channels import Sharing, sharing_of
from referrals.links import MOST_CHANNELS
from tests.conftest import Addresses
from tests.databases import empty_database

pytestmark = pytest.mark.anyio

PROGRAM = """
INSERT INTO referral_program (id, name_zh, name_en, status, starts_at, reserved_points, created_at)
VALUES ('p', '计划', 'Plan', 'ACTIVE', :now, 0, :now)
"""
CODE = """
INSERT INTO referral_code (id, program_id, customer_id, code, status, created_at)
VALUES (:id, 'p', :customer, :id, :status, :now)
"""
CLICK = """
INSERT INTO referral_click (id, code_id, channel, is_robot, clicked_at) VALUES (:id, :code, :channel, :robot, :now)
"""
REFERRAL = """
INSERT INTO referral (id, program_id, version, referrer_id, referee_id, code_id, click_id, status, attributed_from,
  claimed_at)
VALUES (:id, 'p', 1, 'lin', :id, 'old', :click, 'OPEN', :now, :now)
"""


async def migrated(database: Database, revision: str, *, down: bool = False) -> None:
    def run(connection: Connection) -> None:
        (command.downgrade if down else command.upgrade)(alembic_config(connection), revision)

    async with schema_change(database) as connection:
        await connection.run_sync(run)


async def test_clicks_and_claims_from_before_are_counted(stores: Addresses, tmp_path: Path) -> None:
    """Given clicks by sixty channels of two codes of one owner, then 49 are kept by name, the others as `other`."""
    database = Database(await empty_database(stores, tmp_path), timeout=60)
    try:
        await migrated(database, "0008")
        await fill(database)
        await migrated(database, "0010")
        assert await numbers(database) == expected()
        await migrated(database, "0008", down=True)
        await upgrade_sql(database)
        assert await is_sql_current(database)
        assert await numbers(database) == expected()
    finally:
        await database.close()


async def fill(database: Database) -> None:
    now = utc_now()

    async def put(statement: str, **values: Any) -> None:
        await connection.execute(text(statement), values | ({"now": now} if ":now" in statement else {}))

    async with database.write() as session:
        connection = await session.connection()
        await put(PROGRAM)
        for code, customer, status in (("old", "lin", "RETIRED"), ("new", "lin", "ACTIVE"), ("sun", "sun", "ACTIVE")):
            await put(CODE, id=code, customer=customer, status=status)
        for code, channel, robot, count in (
            ("old", "wechat", False, 3),
            ("new", "wechat", False, 2),
            ("new", "wechat", True, 4),
            ("sun", "qr", False, 1),
            *(("old" if n % 2 else "new", f"c-{n:02}", False, 1) for n in range(60)),
        ):
            for number in range(count):
                key = f"{code}-{channel}-{number}-{robot}"
                await put(CLICK, id=key, code=code, channel=channel, robot=robot)
        await put(REFERRAL, id="by-link", click="old-wechat-0-False")
        await put(REFERRAL, id="by-folded-link", click="old-c-59-0-False")
        await put(REFERRAL, id="typed", click=None)


async def numbers(database: Database) -> dict[str, list[Sharing]]:
    async with database.read() as session:
        found = await sharing_of(session, [("p", "lin"), ("p", "sun"), ("p", new_id())])
    return {owner[1]: channels for owner, channels in found.items() if channels}


def expected() -> dict[str, list[Sharing]]:
    kept = MOST_CHANNELS - 2
    return {
        "lin": [
            Sharing("other", 60 - kept, 0, 1),
            Sharing("wechat", 5, 4, 1),
            Sharing(None, claims=1),
            *(Sharing(f"c-{n:02}", 1) for n in range(kept)),
        ],
        "sun": [Sharing("qr", 1)],
    }
