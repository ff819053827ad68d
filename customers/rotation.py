"""Rotation of the keys of personal data: `python -m customers.rotation` wraps all data keys by the newest key.

Afterwards, and after `python -m service.webhook_rotation`, the older keys can be taken out of PERSONAL_DATA_KEYS. What
is sealed stays as it is: the data keys, by which it is sealed, do not change.
"""

import asyncio
import sys
from importlib import import_module

from rich.console import Console
from sqlalchemy import Table, func, update
from sqlalchemy import select as sql_select
from sqlmodel import SQLModel

from core.db import Database, Session, changed_rows, ring_of, table_of
from core.errors import KinshipError
from core.settings import SettingsError, load_settings

BATCH = 1_000


# Rooms with keys that the ring wraps: each says by WRAPPED_KEYS in which table they are, and by which column's value
# they are wrapped. They are collected by name, because siblings do not import each other.
ROOMS = ("customers.personal", "service.advice", "service.complaint_keys")


def wrapped_keys() -> list[tuple[type[SQLModel], str]]:
    return [import_module(room).WRAPPED_KEYS for room in ROOMS]


async def rotate_some(session: Session, *, limit: int = BATCH) -> int:
    """Wrap up to so many data keys by the newest key; returns how many. Raises PersonalDataLocked where one is lost."""
    done = 0
    for model, owner in wrapped_keys():
        done += await rotate_table(session, table_of(model), owner, limit=limit - done)
    return done


async def rotate_table(session: Session, table: Table, owner: str, *, limit: int) -> int:
    """Likewise of one table; `owner` is the column that names whose a key is."""
    ring, whose = ring_of(session), table.c[owner]
    statement = sql_select(whose, table.c.wrapped, table.c.key_id).where(table.c.key_id != ring.newest).order_by(whose)
    connection = await session.connection()
    held = statement.limit(limit).with_for_update(skip_locked=True)
    rows = (await connection.execute(held)).all() if limit else []
    for name, wrapped, key_id in rows:
        # Of a customer who is erased meanwhile there is no row to change.
        anew = ring.wrap(ring.unwrap(key_id, wrapped, name), name)
        await changed_rows(session, update(table).where(whose == name).values(wrapped=anew, key_id=ring.newest))
    return len(rows)


async def left_to_rotate(session: Session) -> int:
    """How many data keys an older key wraps."""
    newest, left = ring_of(session).newest, 0
    connection = await session.connection()
    for model, _ in wrapped_keys():
        table = table_of(model)
        older = sql_select(func.count()).select_from(table).where(table.c.key_id != newest)
        left += (await connection.execute(older)).scalar_one()
    return left


async def rotate(database: Database, console: Console, *, batch: int = BATCH) -> int:
    """Rotate batch by batch, each in a transaction of its own, so that cut off it goes on; returns how many are left.

    Those that another process has at the moment are left.
    """
    while True:
        async with database.write() as session:
            done = await rotate_some(session, limit=batch)
        async with database.read() as session:
            left = await left_to_rotate(session)
        console.print(f"{done} data keys are wrapped anew, {left} are left")
        if not done or not left:
            return left


async def main(console: Console) -> int:
    settings = load_settings()
    if settings.database_url is None:
        raise SettingsError("DATABASE_URL: it names the database whose keys are rotated")
    database = Database(settings.database_url, keys=settings.key_ring)
    try:
        return await rotate(database, console)
    finally:
        await database.close()


if __name__ == "__main__":
    told = Console(stderr=True)
    try:
        sys.exit(1 if asyncio.run(main(told)) else 0)
    except (SettingsError, KinshipError) as error:
        told.print(f"[red]{error}[/red]")
        sys.exit(2)
