"""A day of personal data with all that can be logged: `python tests/api/personal_day.py UNIQUE` logs to standard error.

It imports somebody, good and bad; they sign in and ask; staff look, are denied and break the glass; the database
fails; they are erased. What was answered to those who may not see them, errors above all, it prints as JSON, with
everything that the graph holds before and after.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from api.relay import global_id
from core.log import configure_logging
from core.settings import load_settings
from tests.api.conftest import ISSUER, System, running
from tests.api.test_customer360 import BREAK, TRAIL, WHOLE, somebody, staff
from tests.api.test_erasure import ERASE, REPORT
from tests.customers.people import import_rows, row_of

UNIQUE = sys.argv[1]
SABOTAGE = """
CREATE UNIQUE INDEX ux_sabotage ON customer (length(phone_hash)) WHERE display_name LIKE 'sabotage%'
"""
IMPORT = """
mutation($source: String!, $content: String!) {
  importBatch(input: {source: $source, content: $content}) {
    ... on ImportBatchSuccess { report { accepted rejected reviewed rejections { edges { node { field reason } } } } }
    ... on Refusal { code message }
  }
}
"""


async def graph_of(system: System) -> list[str]:
    rows = await system.edge.graph.read("MATCH (n) RETURN properties(n) AS said", timeout=60)
    rows += await system.edge.graph.read("MATCH ()-[r]->() RETURN properties(r) AS said", timeout=60)
    return [str(row["said"]) for row in rows]


async def day(system: System) -> dict[str, Any]:
    lin = await somebody(system, UNIQUE)
    id = global_id("Customer", lin.customer_id)
    admin, sun, zhou = (
        system.caller("he-jing", "administrator"),
        staff(system, f"sun-{UNIQUE}"),
        staff(system, f"zhou-{UNIQUE}"),
    )
    good = row_of(UNIQUE)
    # Each field is wrong once, beside all that is right.
    wrong = [
        good | {"key": "2", "birth_date": f"{lin.birth_date}x"},
        good | {"key": "3", "phone": f"{lin.phone}{lin.phone}"},
        good | {"key": "4", "email": f"{lin.email} {lin.full_name}"},
        good | {"key": "5", "document": "x", "full_name": lin.full_name * 30},
        good | {"key": "6", "secret": lin.document},
        good | {"key": "7", "phone_verified": lin.phone},
    ]
    rows = [
        json.dumps(row, ensure_ascii=False) for row in (*wrong, good | {"key": "8", "document": f"{lin.document}Z"})
    ]
    told: list[Any] = [await admin.ask(IMPORT, source=UNIQUE, content="\n".join(rows))]
    told += [(await caller.post(IMPORT, {"source": UNIQUE, "content": rows[0]})).json() for caller in (sun, zhou)]
    seen = [await caller.ask(WHOLE, id=id) for caller in (zhou, system.caller(f"lin-{UNIQUE}", "customer"))]
    told += [(await sun.post(WHOLE, {"id": id})).json(), await sun.ask(BREAK, id=id, reason="Zhou is on leave")]
    seen.append(await sun.ask(WHOLE, id=id))
    told.append((await admin.post(ERASE, {"id": id, "reason": f"{lin.full_name} asks"})).json())
    # What nobody expected is logged with its statement: here the second such row clashes.
    async with system.edge.database.write() as session:
        await (await session.connection()).exec_driver_sql(SABOTAGE)
    try:
        for place in range(2):
            row = row_of(UNIQUE, f"s{place}", display_name="sabotage", full_name=lin.full_name, document=None)
            body = {"source": UNIQUE, "content": json.dumps({**row, "phone_verified": False}, ensure_ascii=False)}
            told.append((await admin.post(IMPORT, body)).json())
    finally:
        async with system.edge.database.write() as session:
            await (await session.connection()).exec_driver_sql("DROP INDEX ux_sabotage")
    before = await graph_of(system)
    told += [await admin.ask(ERASE, id=id, reason="A-17"), await admin.ask(TRAIL, customer=id)]
    await system.work()
    told += [await admin.ask(WHOLE, id=id), await admin.ask(REPORT, id=id), await admin.ask(TRAIL, customer=id)]
    again = await import_rows(system.edge.database, system.edge.graph, UNIQUE, good)
    assert (again.accepted, again.rejected) == (0, 1)
    return {
        "told": told,
        "seen": seen,
        "graph": before + await graph_of(system),
        "secrets": lin.secrets,
        "customer": lin.customer_id,
    }


async def main() -> None:
    settings = load_settings().model_copy(update={"oidc_issuer": ISSUER, "operation_timeout_seconds": 30.0})
    async with running(settings) as system:
        print(json.dumps(await day(system)))


configure_logging(os.environ["LOG_LEVEL"])
asyncio.run(main())
