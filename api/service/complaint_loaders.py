"""Data loaders of complaints: the logs, marks and accused of a page need one question each for all of them."""

from collections.abc import Sequence

from api.loading import DataLoader, LoaderSet, made_once
from core.db import Database, rows_by_id
from service.complaint_keys import open_words
from service.complaint_policies import definitions_by_id
from service.complaint_policy import ComplaintDefinition
from service.complaint_records import Complaint, ComplaintEntry, ComplaintMark, accused_of, entries_of, marks_of
from service.complaint_tasks import complaints_of_marks

Said = Sequence[tuple[ComplaintEntry, str | None]]


class ComplaintLoaders(LoaderSet):
    """The loaders of one operation, each made at its first use."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @made_once
    def rows(self) -> DataLoader[str, Complaint | None]:
        async def load(ids: list[str]) -> list[Complaint | None]:
            async with self._database.read() as session:
                found = await rows_by_id(session, Complaint, ids)
            return [found.get(id) for id in ids]

        return DataLoader(load_fn=load)

    @made_once
    def accused(self) -> DataLoader[str, frozenset[str]]:
        async def load(ids: list[str]) -> list[frozenset[str]]:
            async with self._database.read() as session:
                found = await accused_of(session, ids)
            return [found[id] for id in ids]

        return DataLoader(load_fn=load)

    @made_once
    def logs(self) -> DataLoader[str, Said]:
        """The entries of complaints with what was said."""

        async def load(ids: list[str]) -> list[Said]:
            async with self._database.read() as session:
                found = await entries_of(session, ids)
                words = await open_words(session, [entry for log in found.values() for entry in log])
            return [[(entry, words.get((id, entry.number))) for entry in found[id]] for id in ids]

        return DataLoader(load_fn=load)

    @made_once
    def marks(self) -> DataLoader[str, Sequence[ComplaintMark]]:
        async def load(ids: list[str]) -> list[Sequence[ComplaintMark]]:
            async with self._database.read() as session:
                found = await marks_of(session, ids)
            return [found[id] for id in ids]

        return DataLoader(load_fn=load)

    @made_once
    def policies(self) -> DataLoader[str, ComplaintDefinition]:
        async def load(ids: list[str]) -> list[ComplaintDefinition]:
            async with self._database.read() as session:
                found = await definitions_by_id(session, ids)
            return [found[id] for id in ids]

        return DataLoader(load_fn=load)

    @made_once
    def of_marks(self) -> DataLoader[str, str | None]:
        """The complaint of which a mark tells."""

        async def load(ids: list[str]) -> list[str | None]:
            async with self._database.read() as session:
                found = await complaints_of_marks(session, ids)
            return [found.get(id) for id in ids]

        return DataLoader(load_fn=load)
