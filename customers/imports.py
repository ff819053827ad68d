"""Imports: `python -m customers.imports FILE…` and what the mutation `importBatch` runs.

The rooms' kinds of rows are collected by name, because siblings do not import each other.
"""

import asyncio
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, BinaryIO, ClassVar

import typer
from pydantic import AwareDatetime, field_validator
from pydantic import Field as Setting
from rich.console import Console
from rich.progress import Progress
from sqlalchemy import Index, update
from sqlmodel import Field, col, select

from core.clock import iso, utc_now
from core.db import Database, Record, Session, changed_rows, insert_once, instant
from core.errors import BadUserInput, KinshipError
from core.ids import derived_id, new_id
from core.importing import (
    Batch,
    ImportKind,
    ImportRow,
    Numbered,
    Rejection,
    read_csv,
    read_json_lines,
    unresolved,
    validate,
)
from core.paging import Page, cut, decode_cursor, page_size
from core.settings import Settings, SettingsError, load_settings
from customers.identity import identity_hash, normal_email, normal_phone
from customers.profiles import SIGN_IN, Customer, CustomerAlias, customer_ids_of, put_customers
from customers.tags import TagFamily
from graph.client import GraphClient

ROOMS = ("customers.imports", "community.imports", "referrals.imports")
BATCH_ROWS = 1_000

Key = Annotated[str, Setting(min_length=1, max_length=200)]
Name = Annotated[str, Setting(min_length=1, max_length=200)]


class TagRow(ImportRow):
    """A tag that customers and communities can carry."""

    key: Annotated[str, Setting(pattern=r"^[a-z][a-z0-9-]{0,59}$")]
    name_zh: Name
    name_en: Name
    family: TagFamily


class CustomerRow(ImportRow):
    """A person as one source knows them; `document` is hashed with a key and never stored."""

    key: Key
    display_name: Annotated[str, Setting(min_length=1, max_length=60)]
    full_name: Annotated[str, Setting(max_length=120)] | None = None
    phone: str | None = None
    email: str | None = None
    birth_date: date | None = None
    document: Annotated[str, Setting(min_length=4, max_length=60)] | None = None
    customer_since: AwareDatetime | None = None
    subject: Key | None = None
    relationship_manager: Key | None = None

    @field_validator("phone")
    @classmethod
    def read_phone(cls, text: str | None) -> str | None:
        return normal_phone(text)

    @field_validator("email")
    @classmethod
    def read_email(cls, text: str | None) -> str | None:
        return normal_email(text)


class CustomerTagRow(ImportRow):
    """A tag on a customer, with where it comes from and how sure it is."""

    customer_fields: ClassVar[tuple[str, ...]] = ("customer",)

    customer: Key
    tag: Key
    origin: Name = "import"
    confidence: float = Setting(default=1.0, ge=0, le=1)
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class AcquaintanceRow(ImportRow):
    """Two customers who know each other; it holds both ways."""

    customer_fields: ClassVar[tuple[str, ...]] = ("customer", "other")

    customer: Key
    other: Key


PUT_TAGS = """
UNWIND $rows AS row
MERGE (t:Tag {key: row.key})
SET t.name_zh = row.name_zh, t.name_en = row.name_en, t.family = row.family
"""


async def write_tags(batch: Batch[TagRow]) -> list[Rejection]:
    await batch.graph.write(PUT_TAGS, timeout=60, rows=[item.row.model_dump(mode="json") for item in batch.rows])
    return []


async def write_customers(batch: Batch[CustomerRow]) -> list[Rejection]:
    """Put the profiles in, resolving each by alias, then by identity hash, else as a new customer."""
    hashes = {
        item.row.key: identity_hash(batch.hash_key, item.row.document) for item in batch.rows if item.row.document
    }
    ids = dict(batch.customers)
    by_hash = await ids_by_hash(batch.session, list(hashes.values()))
    rejected: list[Rejection] = []
    resolved: list[tuple[CustomerRow, str, str | None]] = []
    for item in batch.rows:
        document = hashes.get(item.row.key)
        known = ids.get(item.row.key)
        if known and document and by_hash.get(document, known) != known:
            rejected.append(Rejection(item.line, "document", "another customer has this document: to be reviewed"))
            continue
        customer_id = known or by_hash.get(document or "") or derived_id("customer", batch.source, item.row.key)
        ids[item.row.key] = customer_id
        if document:
            by_hash[document] = customer_id
        resolved.append((item.row, customer_id, document))
    customers = await put_profiles(batch, resolved)
    await put_aliases(batch, ids)
    await put_customers(batch.graph, customers)
    await put_managers(batch, ids)
    return rejected


async def ids_by_hash(session: Session, hashes: Sequence[str]) -> dict[str, str]:
    statement = select(Customer.identity_hash, Customer.id).where(col(Customer.identity_hash).in_(list(hashes)))
    return {key: customer_id for key, customer_id in (await session.exec(statement)).all() if key}


async def put_profiles(
    batch: Batch[CustomerRow], resolved: Sequence[tuple[CustomerRow, str, str | None]]
) -> list[Customer]:
    """Make or complete profiles: a later row adds what is missing and corrects what it states."""
    ids = {customer_id for _, customer_id, _ in resolved}
    known = (await batch.session.exec(select(Customer).where(col(Customer.id).in_(ids)))).all()
    customers = {customer.id: customer for customer in known}
    for row, customer_id, document in resolved:
        customer = customers.get(customer_id)
        if customer is None:
            customer = Customer(id=customer_id, display_name=row.display_name, created_at=batch.now)
            customers[customer_id] = customer
        stated = row.model_dump(include={"display_name", "full_name", "phone", "email", "birth_date", "customer_since"})
        for name, value in stated.items():
            if value is not None:
                setattr(customer, name, value)
        customer.identity_hash = document or customer.identity_hash
    batch.session.add_all(customers.values())
    await batch.session.flush()
    return list(customers.values())


async def put_aliases(batch: Batch[CustomerRow], ids: Mapping[str, str]) -> None:
    aliases: list[dict[str, Any]] = []
    for item in batch.rows:
        customer_id = ids.get(item.row.key)
        if customer_id is None:
            continue
        aliases.append({"source": batch.source, "key": item.row.key, "customer_id": customer_id})
        if item.row.subject:
            aliases.append({"source": SIGN_IN, "key": item.row.subject, "customer_id": customer_id})
    if aliases:
        await insert_once(batch.session, CustomerAlias, aliases, "source", "key")


PUT_MANAGERS = """
UNWIND $rows AS row
MATCH (c:Customer {id: row.customer_id})
MERGE (e:Employee {id: row.employee_id})
MERGE (c)-[:SERVED_BY]->(e)
"""


async def put_managers(batch: Batch[CustomerRow], ids: Mapping[str, str]) -> None:
    rows = [
        {"customer_id": ids[item.row.key], "employee_id": item.row.relationship_manager}
        for item in batch.rows
        if item.row.relationship_manager and item.row.key in ids
    ]
    if rows:
        await batch.graph.write(PUT_MANAGERS, timeout=60, rows=rows)


PUT_CUSTOMER_TAGS = """
UNWIND $rows AS row
MATCH (c:Customer {id: row.customer_id}), (t:Tag {key: row.tag})
MERGE (c)-[r:TAGGED]->(t)
SET r.source = row.origin, r.confidence = row.confidence, r.since = row.since, r.until = row.until
RETURN row.line AS line
"""


async def write_customer_tags(batch: Batch[CustomerTagRow]) -> list[Rejection]:
    rows = [
        {
            "line": item.line,
            "customer_id": batch.customers[item.row.customer],
            "tag": item.row.tag,
            "origin": item.row.origin,
            "confidence": item.row.confidence,
            "since": iso(item.row.since or batch.now) if item.row.since else None,
            "until": iso(item.row.until) if item.row.until else None,
        }
        for item in batch.rows
    ]
    written = {row["line"] for row in await batch.graph.write(PUT_CUSTOMER_TAGS, timeout=60, rows=rows)}
    return [Rejection(item.line, "tag", "unknown tag") for item in batch.rows if item.line not in written]


# One relationship per pair, from the smaller id to the larger, so that told from either side it is one.
PUT_ACQUAINTANCES = """
UNWIND $rows AS row
MATCH (a:Customer {id: row.one}), (b:Customer {id: row.other})
MERGE (a)-[:KNOWS]->(b)
"""


async def write_acquaintances(batch: Batch[AcquaintanceRow]) -> list[Rejection]:
    rejected: list[Rejection] = []
    pairs: set[tuple[str, str]] = set()
    for item in batch.rows:
        one, other = sorted((batch.customers[item.row.customer], batch.customers[item.row.other]))
        if one == other:
            rejected.append(Rejection(item.line, "other", "the same customer"))
        else:
            pairs.add((one, other))
    rows = [{"one": one, "other": other} for one, other in sorted(pairs)]
    await batch.graph.write(PUT_ACQUAINTANCES, timeout=60, rows=rows)
    return rejected


KINDS = (
    ImportKind("tag", TagRow, write_tags),
    ImportKind("customer", CustomerRow, write_customers),
    ImportKind("customer_tag", CustomerTagRow, write_customer_tags),
    ImportKind("acquaintance", AcquaintanceRow, write_acquaintances),
)


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
    accepted: int = 0
    rejected: int = 0
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
        self, file: BinaryIO, *, file_name: str, source: str, kind: str | None, started_by: str, now: datetime
    ) -> ImportBatch:
        """Import a file in batches of a thousand rows; returns its finished report.

        Raises SourceInvalid. Killed half-way and run again, it ends the same.
        """
        if not 1 <= len(source) <= 100 or source == SIGN_IN:
            raise SourceInvalid(path=("source",), detail=f"1 to 100 characters, not {SIGN_IN!r}")
        report = ImportBatch(
            id=new_id(), source=source, file_name=file_name[:200], started_by=started_by, started_at=now
        )
        async with self.database.write() as session:
            session.add(ImportBatch.model_validate(report.model_dump()))
        rows = read_csv(file, kind) if file_name.lower().endswith(".csv") else read_json_lines(file, kind)
        while chunk := await asyncio.to_thread(lambda: list(islice(rows, BATCH_ROWS))):
            await self._write_chunk(report, [(raw.line, raw.kind, validate(self.kinds, raw)) for raw in chunk], now)
            self.progress(len(chunk))
        return await self._finish(report)

    async def _write_chunk(
        self, report: ImportBatch, items: Iterable[tuple[int, str, ImportRow | Rejection]], now: datetime
    ) -> None:
        """Write a chunk in one SQL transaction, kind after kind; the graph's part is safe to repeat."""
        rejected: list[Rejection] = []
        buffers: dict[str, list[Numbered[Any]]] = defaultdict(list)
        total = 0
        for line, kind, item in items:
            total += 1
            if isinstance(item, Rejection):
                rejected.append(item)
            else:
                buffers[kind].append(Numbered(line, item))
        async with self.database.write() as session:
            for kind in self.kinds.values():
                if buffers[kind.name]:
                    rejected += await self._write_kind(session, report.source, kind, buffers[kind.name], now)
            report.accepted += total - len(rejected)
            report.rejected += len(rejected)
            await note(session, report, rejected)

    async def _write_kind(
        self, session: Session, source: str, kind: ImportKind, rows: list[Numbered[Any]], now: datetime
    ) -> list[Rejection]:
        names = kind.row.customer_fields or (("key",) if kind.name == "customer" else ())
        keys = sorted({str(getattr(item.row, name)) for item in rows for name in names})
        customers = await customer_ids_of(session, source, keys) if keys else {}
        rejections = {item.line: unresolved(item, customers) for item in rows}
        rejected = [rejection for rejection in rejections.values() if rejection]
        kept = [item for item in rows if rejections[item.line] is None]
        batch = Batch(session, self.graph, source, kept, customers, now, self.hash_key)
        return rejected + (await kind.write(batch) if kept else [])

    async def _finish(self, report: ImportBatch) -> ImportBatch:
        report.finished_at = utc_now()
        async with self.database.write() as session:
            finished = update(ImportBatch).where(col(ImportBatch.id) == report.id)
            await changed_rows(session, finished.values(finished_at=report.finished_at))
        return report


async def note(session: Session, report: ImportBatch, rejected: Sequence[Rejection]) -> None:
    """Keep the counts and the rejected rows together with the rows that went in."""
    counted = update(ImportBatch).where(col(ImportBatch.id) == report.id)
    await changed_rows(session, counted.values(accepted=report.accepted, rejected=report.rejected))
    if rejected:
        rows = [
            {"id": new_id(), "batch_id": report.id, "line": r.line, "field": r.field[:100], "reason": r.reason[:300]}
            for r in rejected
        ]
        await insert_once(session, ImportRejection, rows, "id")


async def import_report(session: Session, batch_id: str) -> ImportBatch | None:
    return await session.get(ImportBatch, batch_id)


async def rejections_of(
    session: Session, batch_id: str, *, first: int | None, after: str | None
) -> Page[ImportRejection]:
    """The rejected rows of an import in the order of the file."""
    size = page_size(first)
    position = decode_cursor(after, int, str)
    statement = select(ImportRejection).where(ImportRejection.batch_id == batch_id)
    if position:
        line, last = int(position[0]), str(position[1])
        later = col(ImportRejection.line) > line
        statement = statement.where(later | ((col(ImportRejection.line) == line) & (col(ImportRejection.id) > last)))
    rows = (
        await session.exec(statement.order_by(col(ImportRejection.line), col(ImportRejection.id)).limit(size + 1))
    ).all()
    return cut(rows, size, lambda row: (row.line, row.id))


async def import_files(
    settings: Settings, files: Sequence[Path], *, source: str, kind: str | None, console: Console
) -> list[ImportBatch]:
    """Import files one after the other with a progress bar, by the stores that the settings name."""
    if settings.database_url is None:
        raise SettingsError("DATABASE_URL: set it, or let `make run` start the system and import through the API")
    database = Database(settings.database_url)
    reports: list[ImportBatch] = []
    try:
        async with GraphClient.of(settings) as graph:
            importer = Importer(database, graph, settings.identity_hash_key.get_secret_value())
            with Progress(console=console, transient=True) as progress:
                for path in files:
                    task = progress.add_task(path.name, total=None)
                    importer.progress = lambda rows, task=task: progress.advance(task, rows)
                    with path.open("rb") as file:
                        reports.append(
                            await importer.run(
                                file, file_name=path.name, source=source, kind=kind, started_by="command", now=utc_now()
                            )
                        )
    finally:
        await database.close()
    return reports


def main(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False)],
    source: Annotated[str, typer.Option(help="Whose keys the rows carry.")] = "import",
    kind: Annotated[str | None, typer.Option(help="The kind of all rows, where the rows do not say it.")] = None,
) -> None:
    """Import customers, tags, communities, memberships, events, registrations and facts from files."""
    console = Console(stderr=True)
    try:
        reports = asyncio.run(import_files(load_settings(), files, source=source, kind=kind, console=console))
    except (SettingsError, KinshipError) as error:
        console.print(f"[red]{error}[/red]")
        sys.exit(2)
    for report in reports:
        console.print(
            f"{report.file_name}: {report.accepted} accepted, {report.rejected} rejected (report {report.id})"
        )


if __name__ == "__main__":
    # Imported by its own name, so that the tables and kinds exist once and not as those of `__main__` too.
    typer.run(import_module("customers.imports").main)
