"""Customers to recommend to, in a graph that others use too, with runs in a database and a folder of their own."""

from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

import community.recommendations as recommendations
from community.access import MemberRole
from community.recommendation_models import ModelFolder
from community.recommendation_runs import RecommendationRange, RecommendationRun
from graph.client import GraphClient, Row
from tests.community.places import add_member, make_community, make_customers
from tests.conftest import Addresses
from tests.databases import own_database
from worker.work import Stores


@dataclass(frozen=True)
class Town:
    """Nine customers with the same taste: all but the first are in every community, the first in one.

    What is wanted fits equally well: which of it comes first is left to the last digits of what was learnt.
    """

    stores: Stores
    folder: ModelFolder
    customers: list[str]
    joined: str
    wanted: list[str]

    @property
    def viewer(self) -> str:
        return self.customers[0]


@asynccontextmanager
async def made_town(stores: Addresses, graph: GraphClient, folder: Path) -> AsyncGenerator[Town, None]:
    async with own_database(stores, folder) as database:
        customers = sorted(await make_customers(graph, 9))
        joined, *wanted = [await make_community(graph) for _ in range(4)]
        for customer in customers:
            await add_member(graph, joined, customer, MemberRole.MEMBER)
        for community in wanted:
            for customer in customers[1:]:
                await add_member(graph, community, customer, MemberRole.MEMBER)
        # As the processes have it whose data folder is this one.
        yield Town(Stores(database, graph), ModelFolder(folder / "recommendations"), customers, joined, wanted)


async def runs_of(stores: Stores) -> tuple[Sequence[RecommendationRun], Sequence[RecommendationRange]]:
    """All runs and their pieces, the earliest first."""
    async with stores.database.read() as session:
        runs = (await session.exec(select(RecommendationRun).order_by(RecommendationRun.id))).all()
        pieces = select(RecommendationRange).order_by(RecommendationRange.run_id, RecommendationRange.number)  # pyright: ignore[reportArgumentType] - a column
        return runs, (await session.exec(pieces)).all()


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the list of each customer is written from now on, by this process."""
    found: Counter[str] = Counter()
    write = recommendations.write_lists

    async def counted(graph: GraphClient, rows: Sequence[Row], **given: Any) -> int:
        found.update(row["customer_id"] for row in rows)
        return await write(graph, rows, **given)

    monkeypatch.setattr(recommendations, "write_lists", counted)
    return found


ALL_CUSTOMERS = """
MATCH (c:Customer)
WHERE c.erased IS NULL AND c.merged_into IS NULL
RETURN count(c) AS customers
"""


async def count_customers(graph: GraphClient) -> int:
    return (await graph.read(ALL_CUSTOMERS))[0]["customers"]
