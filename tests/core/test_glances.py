"""Glances: one reading statement without a session; it sees what is committed, and outages are named."""

import asyncio

import pytest
from sqlalchemy import func, select
from sqlalchemy.engine import make_url
from sqlmodel import col

from core.db import Database, among
from core.errors import Unavailable
from core.processes import free_port
from loyalty.ledger import LedgerAccount, hold
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio


async def accounts(database: Database, names: list[str]) -> list[str]:
    statement = STATEMENTS[database.is_sqlite]
    return sorted(row.customer_id for row in await database.glance(statement, names=names))


STATEMENTS = {
    is_sqlite: select(col(LedgerAccount.id), col(LedgerAccount.customer_id)).where(
        among(col(LedgerAccount.customer_id), "names", is_sqlite=is_sqlite)
    )
    for is_sqlite in (True, False)
}


async def test_a_glance_sees_what_is_committed_and_counts_as_one_statement(database: Database, unique: str) -> None:
    """Given accounts that are written; then a glance beside the transaction sees none of them before its end and all
    of those that it asks for after it, by one statement."""
    names = [f"{unique}-{number}" for number in range(3)]
    async with database.write() as session:
        await hold(session, names)
        assert await accounts(database, names) == []
    before = database.statements
    assert await accounts(database, [*names[:2], f"{unique}-nobody"]) == names[:2]
    assert await accounts(database, []) == []
    assert database.statements - before == 2


async def test_glances_at_once_have_their_own_rows(database: Database, unique: str) -> None:
    """Given more glances at once than there are connections, of which some are stopped; then each of the others has its
    own row, and so has the next."""
    names = [f"{unique}-{number}" for number in range(40)]
    async with database.write() as session:
        await hold(session, names)
    asked = [asyncio.create_task(accounts(database, [name])) for name in names]
    await asyncio.sleep(0)
    for leaving in asked[::7]:
        leaving.cancel()
    found = await asyncio.gather(*asked, return_exceptions=True)
    for number, name in enumerate(names):
        if number % 7:
            assert found[number] == [name]
        else:
            assert found[number] == [name] or isinstance(found[number], asyncio.CancelledError)
    assert await accounts(database, names[:1]) == names[:1]


async def test_a_connection_that_fell_while_nobody_used_it_is_made_anew(database: Database) -> None:
    """Given a server that has ended the connection of a glance; then the next glance has its rows."""
    if database.is_sqlite:
        pytest.skip("SQLite has no connection that could fall")
    pid = select(func.pg_backend_pid().label("pid"))
    (before,) = await database.glance(pid)
    async with database.write() as session:
        await (await session.connection()).execute(select(func.pg_terminate_backend(before.pid)))
    (after,) = await database.glance(pid)
    assert after.pid != before.pid


async def test_a_server_that_does_not_answer_is_named(stores: Addresses) -> None:
    """Given nobody at the address; then a glance raises Unavailable."""
    away = make_url(stores.database_url)
    if away.get_backend_name() == "sqlite":
        pytest.skip("SQLite has no server")
    database = Database(away.set(port=free_port()).render_as_string(hide_password=False), timeout=2.0)
    with pytest.raises(Unavailable):
        await database.glance(select(func.pg_backend_pid()))
    await database.close()
