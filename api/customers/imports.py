"""Imports by mutation, for what fits into one request; the command takes files of any size."""

import io
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import strawberry

from api.context import Info
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from core.errors import Forbidden
from core.paging import window
from core.principal import Principal, Scope
from customers.import_counts import ImportCount as ImportCountRow
from customers.import_counts import counts_of
from customers.imports import ImportBatch as ImportBatchRow
from customers.imports import Importer, import_report, rejections_of
from customers.imports import ImportRejection as ImportRejectionRow


@strawberry.enum(description="How the rows are written.")
class ImportFormat(StrEnum):
    """The file name endings that the engine tells formats by."""

    JSON_LINES = "jsonl"
    CSV = "csv"


@strawberry.type(description="A row that did not go in.")
class ImportRejection:
    line: int = strawberry.field(description="The line that the row ends on.")
    field: str = strawberry.field(description="The field to blame; empty where it is the whole row.")
    reason: str = strawberry.field(description="Why.")


@strawberry.type(description="What became of the rows of one kind.")
class ImportCount:
    kind: str = strawberry.field(description="The kind; empty for rows that could not be read or are of none.")
    accepted: int = strawberry.field(description="Rows that went in.")
    rejected: int = strawberry.field(description="Rows that did not.")
    unchanged: int | None = strawberry.field(
        description="Accepted rows that told nothing new; null where the kind cannot tell."
    )


@strawberry.type(description="What became of an import.")
class ImportReport(Node):
    source: str = strawberry.field(description="Whose keys the rows carry.")
    external: bool = strawberry.field(description="Whether each row about a person needs a legal basis.")
    accepted: int = strawberry.field(description="Rows that went in.")
    rejected: int = strawberry.field(description="Rows that did not, because something is wrong with them.")
    reviewed: int = strawberry.field(description="Rows that name several customers and wait for a person to decide.")
    started_at: datetime = strawberry.field(description="When it started.")
    finished_at: datetime | None = strawberry.field(description="When it ended; null while it runs or after a crash.")
    local: strawberry.Private[str]

    @strawberry.field(description="The rows that did not go in, in the order of the file.")
    async def rejections(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[ImportRejection]:
        size, place = window(first, after, last, before)
        async with info.context.database.read() as session:
            page = await rejections_of(session, self.local, first=size, after=place)
        return connection(page, place, rejection_of)

    @strawberry.field(description="The counts by kind.")
    async def kinds(self, info: Info) -> list[ImportCount]:
        async with info.context.database.read() as session:
            return [count_of(row) for row in await counts_of(session, self.local)]


def count_of(row: ImportCountRow) -> ImportCount:
    return ImportCount(kind=row.kind, accepted=row.accepted, rejected=row.rejected, unchanged=row.unchanged)


def rejection_of(row: ImportRejectionRow) -> ImportRejection:
    return ImportRejection(line=row.line, field=row.field, reason=row.reason)


def report_of(row: ImportBatchRow) -> ImportReport:
    return ImportReport(
        id=global_id("ImportReport", row.id),
        source=row.source,
        external=row.is_external,
        accepted=row.accepted,
        rejected=row.rejected,
        reviewed=row.reviewed,
        started_at=row.started_at,
        finished_at=row.finished_at,
        local=row.id,
    )


@strawberry.input(description="Rows of one source.")
class ImportBatchInput:
    source: str = strawberry.field(description="Whose keys the rows carry.")
    content: str = strawberry.field(description="The rows; larger files go through the command.")
    format: ImportFormat = strawberry.field(description="How they are written.", default=ImportFormat.JSON_LINES)
    kind: str | None = strawberry.field(
        description="The kind of all rows, where they do not say it: customer, membership, event ...", default=None
    )
    external: bool = strawberry.field(
        description="Whether the data is from outside the bank. A source that was ever external stays so, and each "
        "of its rows about a person says its legal_basis.",
        default=False,
    )


@strawberry.type(description="The good rows are in.")
class ImportBatchSuccess:
    report: ImportReport = strawberry.field(description="How many went in, and what did not.")


ImportBatchResult = Annotated[ImportBatchSuccess | Refusal, result_union(ImportBatchSuccess)]


def may_import(principal: Principal) -> None:
    """Administrators and service clients with the scope import; raises Forbidden."""
    if not principal.is_administrator and Scope.IMPORTS_WRITE not in principal.scopes:
        raise Forbidden


@strawberry.type
class ImportQueries:
    @strawberry.field(description="The report of an import; for administrators and importing service clients.")
    async def import_report(
        self,
        info: Info,
        id: Annotated[
            strawberry.ID, strawberry.argument(description="Global id of the report, as importBatch gave it.")
        ],
    ) -> ImportReport | None:
        may_import(info.context.signed_in())
        async with info.context.database.read() as session:
            row = await import_report(session, local_id("ImportReport", id, "id"))
        return report_of(row) if row else None


@strawberry.type
class ImportMutations:
    @strawberry.mutation(description="Import rows; for administrators and service clients with imports:write.")
    @refusals
    async def import_batch(self, info: Info, input: ImportBatchInput) -> ImportBatchResult:
        context = info.context
        principal = context.signed_in()
        may_import(principal)
        importer = Importer(context.database, context.graph, context.edge.settings.identity_hash_key.get_secret_value())
        row = await importer.run(
            io.BytesIO(input.content.encode()),
            file_name=f"importBatch.{input.format.value}",
            source=input.source,
            kind=input.kind,
            started_by=principal.subject,
            now=context.now,
            external=input.external,
        )
        return ImportBatchSuccess(report=report_of(row))
