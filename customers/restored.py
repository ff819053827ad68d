"""After a restore: `python -m customers.restored` erases again whom the copy does not know to be erased.

The reports of erasures are backed up together with the data keys, so that the latest ones are there. Where the graph is
older than the database, `--all` has everything owed again for every report: what is done already finds nothing.
"""

import asyncio
import sys

from rich.console import Console
from sqlmodel import col, select

from core.batches import in_batches
from core.clock import iso, utc_now
from core.db import Database, Session
from core.errors import KinshipError
from core.settings import SettingsError, load_settings
from customers.erasure import CustomerErasure, destroy, owe_again
from customers.merging import merged_ids_of
from customers.profiles import Customer, is_present
from customers.resolution import take_turn

BATCH = 100


async def erase_again(session: Session, *, hash_key: str, limit: int = BATCH) -> int:
    """Erase up to so many profiles whose ids are in a report and who are not erased; returns how many.

    In a copy from before a merge an old id is a profile of its own. With it goes all that had led to it by then.
    """
    await take_turn(session)
    now, done = utc_now(), 0
    reports = (await session.exec(select(CustomerErasure).order_by(col(CustomerErasure.id)))).all()
    by_id = {one: report for report in reports for one in (report.customer_id, *report.ids)}
    for some in in_batches(sorted(by_id), BATCH):
        found = select(Customer).where(col(Customer.id).in_(some), is_present()).order_by(col(Customer.id))
        for customer in (await session.exec(found.limit(limit - done).with_for_update())).all():
            await destroy(session, customer, hash_key=hash_key, now=now)
            ids, report = [customer.id, *await merged_ids_of(session, customer.id)], by_id[customer.id]
            if customer.id != report.customer_id:
                # It leads on again, as it did when they were erased.
                customer.merged_into = report.customer_id
            await owe_again(session, report, ids, cause=iso(now), now=now)
            done += 1
        if done == limit:
            break
    await session.flush()
    return done


async def owe_all_again(session: Session, *, after: str, limit: int = BATCH) -> str | None:
    """Owe all of the next reports again; returns the last one's id, None after the last of all."""
    now = utc_now()
    statement = select(CustomerErasure).where(CustomerErasure.id > after).order_by(col(CustomerErasure.id))
    reports = (await session.exec(statement.limit(limit).with_for_update())).all()
    for report in reports:
        await owe_again(
            session, report, [report.customer_id, *report.ids.keys() - {report.customer_id}], cause=iso(now), now=now
        )
    await session.flush()
    return reports[-1].id if reports else None


async def main(console: Console, *, everybody: bool) -> None:
    settings = load_settings()
    if settings.database_url is None:
        raise SettingsError("DATABASE_URL: it names the database that was restored")
    database = Database(settings.database_url, keys=settings.key_ring)
    try:
        total, hash_key = 0, settings.identity_hash_key.get_secret_value()
        while True:
            async with database.write() as session:
                done = await erase_again(session, hash_key=hash_key)
            total += done
            if not done:
                break
        last: str | None = "" if everybody else None
        while last is not None:
            async with database.write() as session:
                last = await owe_all_again(session, after=last)
        console.print(f"{total} customers are erased again; the worker does the rest")
    finally:
        await database.close()


if __name__ == "__main__":
    told = Console(stderr=True)
    try:
        asyncio.run(main(told, everybody=sys.argv[1:] == ["--all"]))
    except (SettingsError, KinshipError) as error:
        told.print(f"[red]{error}[/red]")
        sys.exit(2)
