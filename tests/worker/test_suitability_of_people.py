"""What becomes of assessments, reviews and advice when people are merged or erased, or keys rotate."""

import base64
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import col, select

from core.clock import utc_now
from core.db import Database
from core.ids import new_id
from core.sealing import KeyRing, PersonalDataLocked
from core.settings import DEVELOPMENT_KEY
from customers.rotation import left_to_rotate, rotate_some
from graph.client import GraphClient
from service.advice import AdviceThread, all_asked, ask_advisor
from service.advice_notes import AdviceNote, NoteWords, draft_advice_note, export_advice, publish_advice_note
from service.assessments import RiskAssessment, current_assessment
from service.suitability import ProductRisk, RiskClass
from service.suitability_findings import SuitabilityFinding
from service.tasks import Task, TaskStatus
from tests.conftest import Addresses
from tests.customers.people import Person, import_person, import_rows
from tests.databases import migrated_database
from tests.service.suiting import assess_one, rate
from tests.worker.test_erasing import ask_erasure, ask_merge, settle_all, whole_of

pytestmark = pytest.mark.anyio

WORD = "海棠花"


async def hold(database: Database, graph: GraphClient, person: Person, code: str, amount: str = "1000.00") -> None:
    row = {
        "kind": "holding",
        "customer": person.key,
        "key": f"{person.key}-{code}",
        "product": code,
        "product_kind": "FUND",
        "amount": amount,
        "currency": "CNY",
        "observed_at": utc_now().isoformat(),
    }
    report = await import_rows(database, graph, person.source, row)
    assert report.accepted == 1


async def advise(database: Database, customer_id: str, product: str, words: str) -> str:
    """A question with its note, published; returns the thread's id."""
    now = utc_now()
    async with database.write() as session:
        thread = await ask_advisor(session, customer_id, f"{words}？", now=now)
        note = await draft_advice_note(session, thread, NoteWords(product, f"{words}。"), actor="rm", now=now)
        await publish_advice_note(session, note.id, actor="rm", now=now)
    return thread.id


async def reviews(database: Database, customer_id: str) -> list[str]:
    async with database.read() as session:
        mine = select(Task.status).where(Task.customer_id == customer_id, Task.kind == "SUITABILITY_REVIEW")
        return sorted((await session.exec(mine)).all())


async def test_two_profiles_that_become_one(database: Database, graph: GraphClient, unique: str) -> None:
    """Given two with the same misfit, and one with another; then one review of each is left, by the latest class."""
    keep = await import_person(database, graph, unique, "1", document=None)
    drop = await import_person(database, graph, unique, "2", document=None)
    both, risky = f"B-{unique}", f"R-{unique}"
    for code in (both, risky):
        await rate(database, code, ProductRisk.R1)
    for person in (keep, drop):
        await hold(database, graph, person, both)
    await hold(database, graph, drop, risky)
    await assess_one(database, keep.customer_id, RiskClass.C2)
    await assess_one(database, drop.customer_id, RiskClass.C4)
    await advise(database, drop.customer_id, both, WORD)
    await rate(database, both, ProductRisk.R5)
    await rate(database, risky, ProductRisk.R4)
    await settle_all(database, graph)
    assert (await reviews(database, keep.customer_id), await reviews(database, drop.customer_id)) == (
        ["OPEN"],
        ["OPEN"],
    )
    # The class that the one who goes was given last is the person's.
    await assess_one(database, drop.customer_id, RiskClass.C3)
    await ask_merge(database, keep.customer_id, drop.customer_id)
    for _ in range(2):
        await settle_all(database, graph)
    async with database.read() as session:
        found = await current_assessment(session, keep.customer_id, now=utc_now() + timedelta(seconds=1))
        mine = select(SuitabilityFinding.product).where(
            SuitabilityFinding.customer_id == keep.customer_id, col(SuitabilityFinding.ended_at).is_(None)
        )
        products = sorted((await session.exec(mine)).all())
        (thread,) = await export_advice(session, keep.customer_id)
    assert found is not None and found.risk_class == "C3"
    assert products == [both, risky]
    assert await reviews(database, keep.customer_id) == ["DONE", "OPEN", "OPEN"]
    # What was sealed opens under the new id.
    assert (thread["questions"][0]["text"], thread["notes"][0]["rationale"]) == (f"{WORD}？", f"{WORD}。")
    assert await reviews(database, drop.customer_id) == []


async def test_of_the_erased_no_words_are_left(database: Database, graph: GraphClient, unique: str) -> None:
    """Given an assessment, a misfit and advice; when erased; then the class is left, and neither answers nor words."""
    lin = await import_person(database, graph, unique)
    code, word = f"F-{unique}", f"{WORD}{unique[-12:]}"
    await rate(database, code, ProductRisk.R1)
    await hold(database, graph, lin, code)
    await assess_one(database, lin.customer_id, RiskClass.C2)
    thread_id = await advise(database, lin.customer_id, code, word)
    await rate(database, code, ProductRisk.R5)
    await settle_all(database, graph)
    assert await reviews(database, lin.customer_id) == ["OPEN"]
    await ask_erasure(database, lin.customer_id)
    await settle_all(database, graph)
    async with database.read() as session:
        (kept,) = (
            await session.exec(select(RiskAssessment).where(RiskAssessment.customer_id == lin.customer_id))
        ).all()
        assert await session.get(AdviceThread, thread_id) is None
        for model in (AdviceNote, SuitabilityFinding):
            rows = select(model).where(col(model.customer_id) == lin.customer_id)
            assert (await session.exec(rows)).all() == []
    assert (kept.answers, kept.risk_class) == ({}, "C2")
    assert word not in await whole_of(database, graph)


async def test_an_import_that_ends_a_holding_ends_its_review(
    database: Database, graph: GraphClient, unique: str
) -> None:
    lin = await import_person(database, graph, unique)
    code = f"F-{unique}"
    await rate(database, code, ProductRisk.R1)
    await hold(database, graph, lin, code)
    await rate(database, code, ProductRisk.R5)
    await settle_all(database, graph)
    assert await reviews(database, lin.customer_id) == [TaskStatus.OPEN]
    await hold(database, graph, lin, code, "0")
    await settle_all(database, graph)
    assert await reviews(database, lin.customer_id) == [TaskStatus.DONE]


async def test_threads_open_by_the_new_key_alone_after_a_rotation(stores: Addresses, tmp_path: Path) -> None:
    new_key = base64.b64encode(b"n" * 32).decode()
    rings = [f"1:{DEVELOPMENT_KEY}", f"2:{new_key},1:{DEVELOPMENT_KEY}", f"2:{new_key}"]
    url = await migrated_database(stores, tmp_path)
    old, both, new = (Database(url, timeout=60, keys=KeyRing.parse(ring)) for ring in rings)
    customer, now = new_id(), utc_now()
    try:
        async with old.write() as session:
            for number in range(5):
                await ask_advisor(session, customer, f"{WORD}{number}", now=now + timedelta(seconds=number))

        async def words(database: Database) -> list[str]:
            async with database.read() as session:
                mine = select(AdviceThread).where(AdviceThread.customer_id == customer)
                threads = (await session.exec(mine.order_by(col(AdviceThread.opened_at)))).all()
                asked = await all_asked(session, threads)
            return [asked[one.id][0].text for one in threads]

        with pytest.raises(PersonalDataLocked):
            await words(new)
        for left in (2, 0):
            async with both.write() as session:
                await rotate_some(session, limit=3)
                assert await left_to_rotate(session) == left
        assert await words(new) == await words(both) == [f"{WORD}{number}" for number in range(5)]
    finally:
        for database in (old, both, new):
            await database.close()
