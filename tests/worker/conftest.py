"""What other rooms' tests have left owed is not waited for here: a sweep settles the longest waiting first."""

import asyncio

import pytest
from sqlalchemy import text

from tests.conftest import Addresses

FORGET = "UPDATE outbox SET settled_at = created_at, available_at = NULL WHERE settled_at IS NULL"
FORGET_IN_GRAPH = (
    "MATCH ()-[r:REGISTERED_FOR {settled: false}]->() SET r.settled = true",
    "MATCH ()-[r:REFERRED {settled: false}]->() SET r.settled = true",
    "MATCH (o:Owed) DELETE o",
    "MATCH (e:Event) WHERE e.offer_due IS NOT NULL REMOVE e.offer_due",
)


@pytest.fixture(autouse=True)
def nothing_owed(request: pytest.FixtureRequest) -> None:
    """Begin each test with nothing owed in either store: a sweep takes 40 s at most, thousands of effects longer."""
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
    async with stores.graph() as graph:
        for statement in FORGET_IN_GRAPH:
            await graph.write(statement, timeout=60)
