"""Customers as imports make them, with all that is personal, for tests that look for it."""

import io
from dataclasses import dataclass
from typing import Any

import orjson

from core.clock import utc_now
from core.db import Database
from core.settings import DEVELOPMENT_ONLY
from customers.importer import ImportBatch, Importer
from customers.profiles import customer_id_of
from graph.client import GraphClient


@dataclass(frozen=True)
class Person:
    """One customer of a source, with what is personal in the forms in which it was told."""

    source: str
    key: str
    customer_id: str
    full_name: str
    phone: str
    email: str
    document: str
    birth_date: str

    @property
    def secrets(self) -> tuple[str, ...]:
        """What may be read nowhere."""
        return (self.full_name, self.phone, self.phone[3:], self.email, self.document, self.birth_date)


async def import_rows(database: Database, graph: GraphClient, source: str, *rows: dict[str, Any]) -> ImportBatch:
    importer = Importer(database, graph, DEVELOPMENT_ONLY)
    content = b"".join(orjson.dumps(row) + b"\n" for row in rows)
    return await importer.run(
        io.BytesIO(content), file_name="x.jsonl", source=source, kind=None, started_by="test", now=utc_now()
    )


def row_of(unique: str, key: str = "1", **more: Any) -> dict[str, Any]:
    """A row with everything that is personal; nobody else has the same."""
    number = int(unique.replace("-", "")[-10:] or "0", 16) + len(key) + ord(key[0])
    return {
        "kind": "customer",
        "key": key,
        "display_name": f"顾客{unique[-6:]}",
        "full_name": f"欧阳{unique[-12:]}{key}",
        "phone": f"+86138{number % 10**8:08d}",
        "phone_verified": True,
        "email": f"secret{unique[-12:]}{key}@example.com",
        "email_verified": True,
        "document": f"DOC{unique[-12:]}{key}".upper(),
        "birth_date": f"19{number % 70 + 20}-0{number % 9 + 1}-1{number % 9}",
        **more,
    }


async def import_person(database: Database, graph: GraphClient, unique: str, key: str = "1", **more: Any) -> Person:
    row = row_of(unique, key, **more)
    report = await import_rows(database, graph, unique, row)
    assert report.accepted == 1
    async with database.read() as session:
        customer_id = await customer_id_of(session, unique, key)
    assert customer_id is not None
    told = {name: row[name] for name in ("full_name", "phone", "email", "document", "birth_date")}
    return Person(unique, key, customer_id, **told)
