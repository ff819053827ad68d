"""Imports: `python -m customers.imports FILE…`; what the mutation `importBatch` runs is the importer itself.

The tables stand in a module of their own, because this one also runs as `__main__` and would define them twice.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from core.clock import utc_now
from core.db import Database
from core.errors import KinshipError
from core.settings import Settings, SettingsError, load_settings
from customers.importer import ImportBatch, Importer, ImportRejection, import_report, rejections_of
from graph.client import GraphClient

__all__ = ["ImportBatch", "ImportRejection", "Importer", "import_files", "import_report", "rejections_of"]


async def import_files(
    settings: Settings,
    files: Sequence[Path],
    *,
    source: str,
    kind: str | None,
    console: Console,
    external: bool = False,
) -> list[ImportBatch]:
    """Import files one after the other with a progress bar, by the stores that the settings name."""
    if settings.database_url is None:
        raise SettingsError("DATABASE_URL: set it, or let `make run` start the system and import through the API")
    database = Database(settings.database_url, keys=settings.key_ring)
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
                                file,
                                file_name=path.name,
                                source=source,
                                kind=kind,
                                started_by="command",
                                now=utc_now(),
                                external=external,
                            )
                        )
    finally:
        await database.close()
    return reports


def main(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False)],
    source: Annotated[str, typer.Option(help="Whose keys the rows carry.")] = "import",
    kind: Annotated[str | None, typer.Option(help="The kind of all rows, where the rows do not say it.")] = None,
    external: Annotated[bool, typer.Option(help="Data from outside the bank: rows need a legal basis.")] = False,
) -> None:
    """Import customers, their records and traits, tags, communities, events, registrations and facts from files."""
    console = Console(stderr=True)
    try:
        imported = import_files(load_settings(), files, source=source, kind=kind, console=console, external=external)
        reports = asyncio.run(imported)
    except (SettingsError, KinshipError) as error:
        console.print(f"[red]{error}[/red]")
        sys.exit(2)
    for report in reports:
        console.print(
            f"{report.file_name}: {report.accepted} accepted, {report.rejected} rejected (report {report.id})"
        )


if __name__ == "__main__":
    typer.run(main)
