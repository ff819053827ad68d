"""What was written beside breaks and surveys follows a person whose profiles become one, and goes with them."""

import pytest
from sqlmodel import col, select

from core.db import Database
from core.ids import new_id
from customers.personal import keys_by_owner, made_data_keys
from graph.client import GraphClient
from service.breaks import ServiceBreak
from service.recovery import RecoveryAction, note_of, record_recovery
from service.survey_rows import Survey
from service.surveys import comment_of, submit_survey
from tests.customers.people import Person, import_person
from tests.service.promised import NOON, happen, make_rule, own_kind, put_survey, twice_in
from tests.worker.test_erasing import ask_erasure, ask_merge, settle_all

pytestmark = pytest.mark.anyio


async def test_words_open_after_a_merge_and_go_with_an_erasure(
    database: Database, graph: GraphClient, unique: str
) -> None:
    """Given notes and comments about a profile that is merged, some of causes that the survivor has as well, then
    all of them open by the survivor's key; and with the survivor's erasure nothing of them is left."""
    keep = await import_person(database, graph, unique, "1", phone=None, email=None)
    drop = await import_person(database, graph, unique, "2", document=None)
    kind = own_kind()
    await make_rule(database, twice_in(30, kind, 1), same="case")
    async with database.write() as session:
        keys = await made_data_keys(session, [keep.customer_id, drop.customer_id])
    for one, case in ((drop, "A"), (keep, "A"), (drop, "B")):
        (id,) = await happen(database, kind, one.customer_id, case=case)
        await repaired(database, id, f"{case} {one.key}", keys[one.customer_id])
    subject = new_id()
    for one in (drop, keep):
        survey = await put_survey(database, one.customer_id, occasion="CASE", subject=subject)
        await answered_with(database, survey, one.customer_id, f"said {one.key}", keys[one.customer_id])
    await ask_merge(database, keep.customer_id, drop.customer_id)
    await settle_all(database, graph)
    assert sorted(await notes_of(database, keep, drop)) == sorted([f"A {drop.key}", f"A {keep.key}", f"B {drop.key}"])
    assert sorted(await comments_of(database, keep, drop)) == sorted([f"said {drop.key}", f"said {keep.key}"])
    await ask_erasure(database, keep.customer_id)
    await settle_all(database, graph)
    assert (await notes_of(database, keep, drop), await comments_of(database, keep, drop)) == ([], [])


async def repaired(database: Database, break_id: str, note: str, data_key: bytes) -> None:
    async with database.write() as session:
        actions = [RecoveryAction.EXPLAINED]
        await record_recovery(session, break_id, actions=actions, note=note, data_key=data_key, actor="rm", now=NOON)


async def answered_with(database: Database, survey_id: str, customer_id: str, comment: str, data_key: bytes) -> None:
    async with database.write() as session:
        await submit_survey(
            session, survey_id, customer_id=customer_id, score=9, comment=comment, data_key=data_key, now=NOON
        )


async def notes_of(database: Database, *people: Person) -> list[str]:
    """The notes about these profiles that open, as the API opens them."""
    ids = [one.customer_id for one in people]
    async with database.read() as session:
        keys = await keys_by_owner(session, ids)
        rows = (await session.exec(select(ServiceBreak).where(col(ServiceBreak.customer_id).in_(ids)))).all()
    opened = [note_of(row, key[1], owner=key[0]) for row in rows if (key := keys.get(row.customer_id))]
    return [one for one in opened if one is not None]


async def comments_of(database: Database, *people: Person) -> list[str]:
    ids = [one.customer_id for one in people]
    async with database.read() as session:
        keys = await keys_by_owner(session, ids)
        rows = (await session.exec(select(Survey).where(col(Survey.customer_id).in_(ids)))).all()
    opened = [comment_of(row, key[1], owner=key[0]) for row in rows if (key := keys.get(row.customer_id))]
    return [one for one in opened if one is not None]
