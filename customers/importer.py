"""The importer: reads a file in batches, writes each with every room's kinds, and keeps a report.

The rooms' kinds of rows are collected by name, because siblings do not import each other.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib import import_module
from itertools import islice
from typing import Any, BinaryIO

from sqlalchemy import Index, update
from sqlmodel import Field, col, select

from core.clock import utc_now
from core.db import Database, Record, Session, changed_rows, insert_once, instant
from core.errors import BadUserInput
from core.ids import new_id
from core.importing import (
    Batch,
    Hold,
    ImportKind,
    ImportRow,
    Numbered,
    Rejection,
    Write,
    read_csv,
    read_json_lines,
    unresolved,
    validate,
)
from core.paging import Page, Place, cut, held_in, in_order, page_size, position_at
from customers.import_counts import Counts
from customers.profiles import SIGN_IN, customer_ids_of
from customers.sources import note_source
from graph.client import GraphClient

ROOMS = (
    "customers.rows",
    "customers.trait_rows",
    "customers.record_rows",
    "customers.complaint_rows",
    "customers.identifiers",
    "customers.consents",
    "community.imports",
    "referrals.imports",
    "service.product_rows",
)
BATCH_ROWS = 1_000


def all_kinds() -> dict[str, ImportKind]:
    """Every room's kinds, in the order in which a mixed batch is written."""
    return {kind.name: kind for room in ROOMS for kind in import_module(room).KINDS}


class SourceInvalid(BadUserInput):
    code = "IMPORT_SOURCE_INVALID"
    en = "The source's name is not valid."
    zh = "数据来源名称无效。"


class ImportBatch(Record, table=True):
    """The report of one import."""

    id: str = Field(primary_key=True)
    source: str
    file_name: str
    started_by: str
    is_external: bool = False
    accepted: int = 0
    rejected: int = 0
    reviewed: int = 0
    started_at: datetime = instant()
    finished_at: datetime | None = instant(optional=True)


class ImportRejection(Record, table=True):
    """A row that did not go in."""

    __table_args__ = (Index("ix_import_rejection_batch", "batch_id", "line", "id"),)

    id: str = Field(primary_key=True)
    batch_id: str = Field(foreign_key="import_batch.id")
    line: int
    field: str
    reason: str


@dataclass(slots=True)
class Importer:
    """Runs one import after the other over the same stores."""

    database: Database
    graph: GraphClient
    hash_key: str
    kinds: dict[str, ImportKind] = field(default_factory=all_kinds)
    progress: Callable[[int], None] = lambda rows: None

    async def run(
        self,
        file: BinaryIO,
        *,
        file_name: str,
        source: str,
        kind: str | None,
        started_by: str,
        now: datetime,
        external: bool = False,
    ) -> ImportBatch:
        """Import a file in batches of a thousand rows; returns its finished report.

        A source that was ever called external is so for good, and its rows about people need a legal basis.

        Raises SourceInvalid. Killed half-way and run again, it ends the same.
        """
        if not 1 <= len(source) <= 100 or source == SIGN_IN:
            raise SourceInvalid(path=("source",), detail=f"1 to 100 characters, not {SIGN_IN!r}")
        report = ImportBatch(
            id=new_id(), source=source, file_name=file_name[:200], started_by=started_by, started_at=now
        )
        async with self.database.write() as session:
            report.is_external = await note_source(session, source, external=external, now=now)
            session.add(ImportBatch.model_validate(report.model_dump()))
        rows = read_csv(file, kind) if file_name.lower().endswith(".csv") else read_json_lines(file, kind)
        counts = Counts(report.id)
        while chunk := await asyncio.to_thread(lambda: list(islice(rows, BATCH_ROWS))):
            items = [(raw.line, raw.kind, validate(self.kinds, raw, external=report.is_external)) for raw in chunk]
            await self._write_chunk(report, counts, items, now)
            self.progress(len(chunk))
        return await self._finish(report)

    async def _write_chunk(
        self,
        report: ImportBatch,
        counts: Counts,
        items: Iterable[tuple[int, str, ImportRow | Rejection]],
        now: datetime,
    ) -> None:
        """Write a chunk in one SQL transaction, kind after kind; the graph's part is safe to repeat."""
        rejected: list[Rejection] = []
        buffers: dict[str, list[Numbered[Any]]] = defaultdict(list)
        for line, kind, item in items:
            if isinstance(item, Rejection):
                rejected.append(item)
                counts.add(kind if kind in self.kinds else "", rejected=1)
            else:
                buffers[kind].append(Numbered(line, item))
        later: list[tuple[str, Write, Batch[Any]]] = []
        async with self.database.write() as session:
            for kind in self.kinds.values():
                if buffers[kind.name]:
                    batch, refused = await self._batch(session, report.source, kind, buffers[kind.name], now)
                    refused += await kind.write(batch) if batch.rows else []
                    later += [(kind.name, write, without(batch, refused)) for write in kind.then]
                    rejected += refused
                    taken, held = len(buffers[kind.name]) - len(refused), held_among(refused)
                    unchanged = batch.tally.get("unchanged")
                    counts.add(kind.name, accepted=taken, rejected=len(refused) - held, unchanged=unchanged)
            await note(session, report, counts, rejected)
        lost: set[int] = set()
        for name, write, batch in later:
            lost |= await self._write_later(report, counts, name, write, batch, lost)

    async def _write_later(
        self,
        report: ImportBatch,
        counts: Counts,
        kind: str,
        write: Write,
        batch: Batch[Any],
        lost: Collection[int],
    ) -> set[int]:
        """Write what follows a commit; returns the lines that it rejects."""
        async with self.database.write() as session:
            rows = [item for item in batch.rows if item.line not in lost]
            rejected = await write(replace(batch, session=session, rows=rows)) if rows else []
            held = held_among(rejected)
            counts.add(kind, accepted=-len(rejected), rejected=len(rejected) - held)
            await note(session, report, counts, rejected)
        return {rejection.line for rejection in rejected}

    async def _batch(
        self, session: Session, source: str, kind: ImportKind, rows: list[Numbered[Any]], now: datetime
    ) -> tuple[Batch[Any], list[Rejection]]:
        """The rows whose customers are known, and the rejections of the others."""
        names = kind.row.customer_fields or (("key",) if kind.name == "customer" else ())
        keys = sorted({str(getattr(item.row, name)) for item in rows for name in names})
        customers = await customer_ids_of(session, source, keys, hold=True) if keys else {}
        unknown = [rejection for item in rows if (rejection := unresolved(item, customers))]
        batch = Batch(session, self.graph, source, rows, customers, now, self.hash_key)
        return without(batch, unknown), unknown

    async def _finish(self, report: ImportBatch) -> ImportBatch:
        report.finished_at = utc_now()
        async with self.database.write() as session:
            finished = update(ImportBatch).where(col(ImportBatch.id) == report.id)
            await changed_rows(session, finished.values(finished_at=report.finished_at))
        return report


def without(batch: Batch[Any], rejected: Sequence[Rejection]) -> Batch[Any]:
    """The batch less the rows that were rejected."""
    lines = {rejection.line for rejection in rejected}
    return replace(batch, rows=[item for item in batch.rows if item.line not in lines]) if lines else batch


def held_among(rejected: Sequence[Rejection]) -> int:
    """How many of the rows that did not go in wait for a person."""
    return sum(isinstance(rejection, Hold) for rejection in rejected)


async def note(session: Session, report: ImportBatch, counts: Counts, rejected: Sequence[Rejection]) -> None:
    """Keep the counts and the rows that did not go in together with those that did."""
    report.accepted, report.rejected = counts.accepted.total(), counts.rejected.total()
    report.reviewed += held_among(rejected)
    counted = update(ImportBatch).where(col(ImportBatch.id) == report.id)
    totals = {"accepted": report.accepted, "rejected": report.rejected, "reviewed": report.reviewed}
    await changed_rows(session, counted.values(**totals))
    await counts.keep(session)
    if rejected:
        rows = [
            {"id": new_id(), "batch_id": report.id, "line": r.line, "field": r.field[:100], "reason": r.reason[:300]}
            for r in rejected
        ]
        await insert_once(session, ImportRejection, rows, "id")


async def import_report(session: Session, batch_id: str) -> ImportBatch | None:
    return await session.get(ImportBatch, batch_id)


async def rejections_of(session: Session, batch_id: str, *, first: int | None, after: Place) -> Page[ImportRejection]:
    """The rejected rows of an import in the order of the file."""
    size, position = page_size(first), position_at(after, int, str)
    if position is not None:
        position = (held_in(32, position[0]), position[1])
    statement = select(ImportRejection).where(ImportRejection.batch_id == batch_id)
    columns = (col(ImportRejection.line), col(ImportRejection.id))
    page = in_order(statement, *columns, size=size, place=after, position=position)
    return cut((await session.exec(page)).all(), size, lambda row: (row.line, row.id), after)
