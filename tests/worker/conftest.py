"""What other rooms' tests have left owed is not waited for here: a sweep settles the longest waiting first."""

import asyncio

import pytest
from sqlalchemy import text

from tests.conftest import Addresses

FORGET = "UPDATE outbox SET settled_at = created_at, available_at = NULL WHERE settled_at IS NULL"


@pytest.fixture(autouse=True)
def nothing_owed(request: pytest.FixtureRequest) -> None:
    """Begin each test with an empty outbox: a sweep takes 40 s at most, and thousands of effects take longer."""
    if "stores" in request.fixturenames:
        asyncio.run(forget(request.getfixturevalue("stores")))


async def forget(stores: Addresses) -> None:
    database = stores.database()
    try:
        async with database.write() as session:
            connection = await session.connection()
            await connection.execute(text(FORGET))
    finally:
        await database.close()
