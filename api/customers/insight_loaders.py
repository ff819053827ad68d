"""Data loaders of early warning and needs: the rows of a page need few questions for all of them."""

from collections.abc import Sequence

from api.loading import DataLoader, LoaderSet, made_once
from core.db import Database, rows_by_id
from customers.alerts import Alert
from customers.care import served_by
from customers.insight_policies import InsightPolicy, policies_by_id
from customers.needs import NeedKind, need_kinds
from graph.client import GraphClient
from segments.conditions import Vocabulary, load_vocabulary


class InsightLoaders(LoaderSet):
    """The loaders of one operation, each made at its first use."""

    def __init__(self, database: Database, graph: GraphClient) -> None:
        self._database = database
        self._graph = graph
        self._served: DataLoader[str, bool] | None = None

    @made_once
    def policies(self) -> DataLoader[str, InsightPolicy | None]:
        async def load(ids: list[str]) -> list[InsightPolicy | None]:
            async with self._database.read() as session:
                found = await policies_by_id(session, ids)
            return [found.get(key) for key in ids]

        return DataLoader(load_fn=load)

    @made_once
    def alerts(self) -> DataLoader[str, Alert | None]:
        async def load(ids: list[str]) -> list[Alert | None]:
            async with self._database.read() as session:
                found = await rows_by_id(session, Alert, ids)
            return [found.get(key) for key in ids]

        return DataLoader(load_fn=load)

    @made_once
    def need_kinds(self) -> DataLoader[str, NeedKind]:
        async def load(keys: Sequence[str]) -> list[NeedKind]:
            async with self._database.read() as session:
                found = await need_kinds(session)
            return [found[key] for key in keys]

        return DataLoader(load_fn=load)

    @made_once
    def _vocabularies(self) -> DataLoader[str, Vocabulary]:
        async def load(keys: list[str]) -> list[Vocabulary]:
            async with self._database.read() as session:
                return [await load_vocabulary(session)] * len(keys)

        return DataLoader(load_fn=load)

    async def vocabulary(self) -> Vocabulary:
        """The words that conditions name, read once."""
        return await self._vocabularies.load("")

    def served_by(self, employee_id: str) -> DataLoader[str, bool]:
        """Whether the one who asks looks after each of these customers."""

        async def load(ids: list[str]) -> list[bool]:
            found = await served_by(self._graph, employee_id, ids)
            return [key in found for key in ids]

        self._served = self._served or DataLoader(load_fn=load)
        return self._served
