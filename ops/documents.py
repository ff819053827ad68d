"""Trusted documents by command: `python -m ops.documents register manifest.json --client ios@3.2`, and `withdraw ID…`.

A manifest is what the tools of Apollo Client (generate-persisted-query-manifest) or the Relay compiler write. Every
document is made ready as if it were asked for: what does not fit the schema or its limits is not registered, and
neither is anything else of the same manifest.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from graphql import GraphQLError

from api.documents import Document, Documents
from api.schema import build_schema
from core.clock import utc_now
from core.db import Database, Session
from core.errors import KinshipError
from core.settings import SettingsError, load_settings
from core.trusted_documents import LONGEST_ID, NewDocument, register_documents, withdraw_documents

APOLLO = "apollo-persisted-query-manifest"

commands = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)


class ManifestInvalid(Exception):
    """Its text says which entry is wrong, and how."""


def read_manifest(data: Any) -> list[NewDocument]:
    """The documents of a manifest of either kind, without their names; raises ManifestInvalid."""
    if not isinstance(data, dict):
        raise ManifestInvalid("a manifest is a JSON object")
    if data.get("format") == APOLLO:
        entries = data.get("operations")
        if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
            raise ManifestInvalid("operations: a list of objects is expected")
        pairs = [(one.get("id"), one.get("body")) for one in entries]
    else:
        pairs = list(data.items())
    found = [checked(number, document_id, text) for number, (document_id, text) in enumerate(pairs)]
    if len({one.id for one in found}) < len(found):
        raise ManifestInvalid("an id stands there twice")
    return found


def checked(number: int, document_id: Any, text: Any) -> NewDocument:
    if not isinstance(document_id, str) or not 1 <= len(document_id) <= LONGEST_ID or not document_id.isascii():
        raise ManifestInvalid(f"entry {number}: an id is text of 1 to {LONGEST_ID} characters")
    if not isinstance(text, str) or not text.strip():
        raise ManifestInvalid(f"{document_id}: the document is no text")
    return NewDocument(document_id, "", text)


def fitting(documents: Sequence[NewDocument], ready: Callable[[str], Document]) -> list[NewDocument]:
    """The documents with the names of their operations; raises ManifestInvalid where one could not be run."""
    found: list[NewDocument] = []
    for one in documents:
        made = ready(one.text)
        problems: Sequence[GraphQLError] = made.errors
        if problems:
            raise ManifestInvalid(f"{one.id}: {problems[0].message}")
        if len(made.operations) != 1:
            raise ManifestInvalid(f"{one.id}: one operation is expected, not {len(made.operations)}")
        found.append(NewDocument(one.id, next(iter(made.operations)), one.text))
    return found


def on_database(work: Callable[[Session], Awaitable[Sequence[str]]]) -> Sequence[str]:
    """Do something in one transaction of the database that the settings name."""

    async def run() -> Sequence[str]:
        settings = load_settings()
        if settings.database_url is None:
            raise SettingsError("DATABASE_URL: it names the database to register in")
        database = Database(settings.database_url)
        try:
            async with database.write() as session:
                return await work(session)
        finally:
            await database.close()

    try:
        return asyncio.run(run())
    except (SettingsError, KinshipError) as error:
        typer.echo(error, err=True)
        raise typer.Exit(2) from error


@commands.command()
def register(
    manifest: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="What the client's tool wrote.")],
    client: Annotated[str, typer.Option(help="Which client was built with it, such as ios@3.2.")],
) -> None:
    """Register the documents of a manifest; those that are known already stay as they are."""
    documents = Documents(build_schema().core, introspection=False)
    try:
        found = fitting(read_manifest(orjson.loads(manifest.read_bytes())), documents.ready)
    except (ManifestInvalid, orjson.JSONDecodeError) as error:
        typer.echo(f"{manifest}: {error}", err=True)
        raise typer.Exit(2) from error
    new = on_database(lambda session: register_documents(session, found, client=client, now=utc_now()))
    typer.echo(f"{len(new)} registered, {len(found) - len(new)} known already")


@commands.command()
def withdraw(ids: Annotated[list[str], typer.Argument(help="Ids of documents that nobody may run any more.")]) -> None:
    """Let nobody run these documents any more, within a minute."""
    ended = on_database(lambda session: withdraw_documents(session, ids, now=utc_now()))
    typer.echo(f"{len(ended)} withdrawn")


if __name__ == "__main__":
    commands()
