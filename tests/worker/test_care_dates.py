"""Days of profiles become days of customers: from imports, merges and what was there; erasures take them away."""

from datetime import UTC, date, datetime

import pytest
from sqlmodel import col, select

from core.clock import utc_now
from core.db import Database
from core.outbox import Outbox, owe
from core.settings import DEVELOPMENT_ONLY
from customers.care_reads import PROFILE_DAYS_ALL, PROFILE_DAYS_TOLD
from graph.client import GraphClient
from service.care_dates import CareDate, day_of_date
from service.care_mutes import CareMute, MuteReason, mute_care
from service.care_occasions import CareOccasion
from tests.customers.people import import_person, import_rows, row_of
from tests.service.caring import add, solar
from tests.worker.test_erasing import ask_erasure, ask_merge
from worker import care_dates
from worker.care_dates import on_all_days
from worker.sweeps import sweep_outbox
from worker.work import Stores

pytestmark = pytest.mark.anyio


async def days(database: Database, customer_id: str) -> dict[str, tuple[int, int]]:
    async with database.read() as session:
        statement = select(CareDate).where(col(CareDate.customer_id) == customer_id, col(CareDate.removed_at).is_(None))
        rows = (await session.exec(statement)).all()
    found = {row.kind: day_of_date(row, DEVELOPMENT_ONLY) for row in rows}
    return {kind: (day.month, day.day) for kind, day in found.items()}


async def work(database: Database, graph: GraphClient) -> None:
    await sweep_outbox(Stores(database, graph))


async def test_an_import_tells_days_and_a_later_one_corrects_them(
    database: Database, graph: GraphClient, unique: str
) -> None:
    """Given an import, then birthday and anniversary are noted; the same again owes nothing, a correction goes in."""
    row = row_of(unique, birth_date="1988-02-29", customer_since="2015-03-01T16:30:00Z")
    lin = await import_person(
        database, graph, unique, birth_date=row["birth_date"], customer_since=row["customer_since"]
    )
    await work(database, graph)
    # It was half past midnight of the second of March in the bank's zone.
    assert await days(database, lin.customer_id) == {"BIRTHDAY": (2, 29), "WITH_BANK": (3, 2)}
    effects = await told(database, lin.customer_id)
    assert [one.payload for one in effects] == [{"customer_id": lin.customer_id}]
    await import_rows(database, graph, lin.source, row)
    assert len(await told(database, lin.customer_id)) == 1
    await import_rows(database, graph, lin.source, {**row, "birth_date": "1988-03-29"})
    await work(database, graph)
    assert await days(database, lin.customer_id) == {"BIRTHDAY": (3, 29), "WITH_BANK": (3, 2)}


async def told(database: Database, customer_id: str) -> list[Outbox]:
    async with database.read() as session:
        rows = (await session.exec(select(Outbox).where(Outbox.topic == PROFILE_DAYS_TOLD))).all()
    return [row for row in rows if row.payload["customer_id"] == customer_id]


async def test_a_merge_leaves_the_survivors_days_and_fills_what_is_missing(
    database: Database, graph: GraphClient, unique: str
) -> None:
    """Given two profiles that become one, then the survivor has one day of each kind: the own ones, and what lacked."""
    lin = await import_person(database, graph, unique, birth_date=None)
    old = await import_person(database, graph, unique, key="2", birth_date="1990-05-06")
    await work(database, graph)
    assert await days(database, lin.customer_id) == {}
    await ask_merge(database, lin.customer_id, old.customer_id)
    await work(database, graph)
    assert await days(database, lin.customer_id) == {"BIRTHDAY": (5, 6)}
    assert await days(database, old.customer_id) == {}


async def test_an_erasure_takes_all_of_it(database: Database, graph: GraphClient, unique: str) -> None:
    lin = await import_person(database, graph, unique)
    await work(database, graph)
    today = date(2026, 11, 28)
    async with database.write() as session:
        await mute_care(
            session,
            lin.customer_id,
            reason=MuteReason.BEREAVEMENT,
            until=None,
            actor="rm",
            today=today,
            now=datetime(2026, 11, 28, tzinfo=UTC),
        )
    await ask_erasure(database, lin.customer_id)
    await work(database, graph)
    async with database.read() as session:
        for model in (CareDate, CareMute, CareOccasion):
            assert (await session.exec(select(model).where(model.customer_id == lin.customer_id))).all() == []


async def test_what_was_there_before_is_gone_through_page_after_page(
    database: Database, graph: GraphClient, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given profiles without days, when a page fails half-way and all is done twice, then each day is there once."""
    monkeypatch.setattr(care_dates, "PAGE", 2)
    people = [
        await import_person(database, graph, unique, key=str(number), birth_date=f"1990-05-0{number}")
        for number in range(1, 6)
    ]
    now = utc_now()
    after = min(one.customer_id for one in people)
    # Just before the first of them: the others of this database are gone through as well.
    payload = {"after": after[:-1]}
    try:
        async with database.write() as session:
            await on_all_days(session, graph, [payload], now)
            raise RuntimeError
    except RuntimeError:
        pass
    assert await days(database, after) == {}
    for _ in range(2):
        async with database.write() as session:
            await on_all_days(session, graph, [payload], now)
    async with database.write() as session:
        await owe(session, topic=PROFILE_DAYS_ALL, key=unique, payload=payload, now=now)
    await work(database, graph)
    for number, one in enumerate(people, start=1):
        assert (await days(database, one.customer_id))["BIRTHDAY"] == (5, number)


async def test_who_has_said_a_day_keeps_it(database: Database, graph: GraphClient, unique: str) -> None:
    lin = await import_person(database, graph, unique, birth_date="1990-05-06")
    await work(database, graph)
    await add(database, lin.customer_id, solar(5, 7), now=utc_now())
    await import_rows(database, graph, lin.source, row_of(unique, birth_date="1990-05-08"))
    await work(database, graph)
    assert (await days(database, lin.customer_id))["BIRTHDAY"] == (5, 7)
