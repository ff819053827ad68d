"""Erasure: nothing that tells who somebody was is left in any store, and what others need keeps its shape."""

import asyncio
import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import select

from community.access import MemberRole
from community.feedback import EventFeedback
from community.registrations import register_for_event
from core.audit import ACT_AUDITED, AuditEntry, act
from core.clock import utc_now
from core.db import Database
from core.errors import NotFound
from core.identifiers import IdentifierKind, identifier_key
from core.ids import derived_id, new_id
from core.importing import Batch, Rejection
from core.notices import NOTICE_OWED
from core.outbox import owe
from core.principal import Principal, Role
from core.processes import REPOSITORY, start_leashed
from core.settings import DEVELOPMENT_ONLY
from customers.erasure import CUSTOMER_ERASED, CustomerErasure, ErasureReasonInvalid, erase, erasure_of
from customers.importer import Importer, all_kinds
from customers.merging import CustomerMerge, request_merge
from customers.personal import PersonalData, personal_data_of
from customers.profiles import Customer, customer_id_of, put_customers, sign_up
from customers.records import Account
from customers.restored import erase_again, owe_all_again
from customers.reviews import IdentityReview
from graph.client import GraphClient
from ops.tables import METADATA
from segments.traits import CustomerTrait
from tests.community.places import add_member, make_community, make_event
from tests.community.writings import write_comment, write_post
from tests.conftest import Addresses
from tests.customers.people import Person, import_person, import_rows, row_of
from tests.loyalty.accounts import books_hold, give, standing
from tests.referrals.programs import code_of, make_program
from tests.worker.spoken import speak_of
from worker.handlers import settle
from worker.sweeps import sweep_graph, sweep_outbox
from worker.work import Stores

pytestmark = pytest.mark.anyio

WORD, SPOKEN = "纸飞机", "风筝"


async def furnish(database: Database, graph: GraphClient, unique: str) -> tuple[Person, dict[str, str]]:
    """Somebody of whom there is something in every store; returns also what stands around them."""
    lin = await import_person(database, graph, unique, subject=f"lin-{unique}", relationship_manager="zhou")
    source = unique
    other = await import_person(database, graph, unique, "2", document=None, display_name="别人")
    device = {
        "kind": "identifier",
        "identifier_kind": "DEVICE",
        "value": f"D{unique}",
        "seen_at": "2026-01-02T03:04:05Z",
    }
    report = await import_rows(
        database,
        graph,
        source,
        {"kind": "tag", "key": f"t{unique}", "name_zh": "茶", "name_en": "Tea", "family": "INTEREST"},
        {"kind": "customer_tag", "customer": "1", "tag": f"t{unique}"},
        {"kind": "acquaintance", "customer": "1", "other": "2"},
        {**device, "customer": "1"},
        {
            "kind": "consent",
            "customer": "1",
            "purpose": "CARE",
            "channel": "SMS",
            "status": "GRANTED",
            "given_at": "2026-01-02T03:04:05Z",
            "evidence": f"E{unique}",
        },
    )
    assert report.rejected == 0
    community = await make_community(graph, owner_id=other.customer_id)
    await add_member(graph, community, lin.customer_id, MemberRole.MEMBER)
    post = await write_post(graph, community, lin.customer_id, text=f"{WORD} {unique}")
    theirs = await write_post(graph, community, other.customer_id)
    await write_comment(graph, theirs, lin.customer_id, text=f"{WORD} {unique}")
    event = await make_event(graph, community, capacity=1)
    await register_for_event(graph, event_id=event, customer_id=lin.customer_id, now=utc_now())
    await give(database, lin.customer_id, 100)
    await code_of(database, await make_program(database), lin.customer_id)
    async with database.write() as session:
        session.add(
            EventFeedback(
                id=new_id(),
                event_id=event,
                customer_id=lin.customer_id,
                rating=5,
                comment=f"{WORD} {unique}",
                created_at=utc_now(),
            )
        )
    await speak_of(database, graph, lin.customer_id, other.customer_id, post, f"{SPOKEN} {unique}")
    await settle_all(database, graph)
    return lin, {"community": community, "post": post, "theirs": theirs, "event": event, "other": other.customer_id}


async def settle_all(database: Database, graph: GraphClient) -> None:
    stores = Stores(database, graph)
    await sweep_graph(stores)
    await sweep_outbox(stores)


async def ask_erasure(database: Database, customer_id: str, reason: str = "asked in writing, A-17") -> CustomerErasure:
    async with database.write() as session:
        return await erase(
            session, customer_id, actor="he-jing", reason=reason, hash_key=DEVELOPMENT_ONLY, now=utc_now()
        )


async def ask_merge(database: Database, survivor: str, merged: str) -> CustomerMerge:
    async with database.write() as session:
        return await request_merge(
            session, survivor, merged, actor="he", reason="one person", hash_key=DEVELOPMENT_ONLY, now=utc_now()
        )


async def whole_of(database: Database, graph: GraphClient) -> str:
    """Everything that both stores hold, as one text."""
    found: list[str] = []
    async with database.read() as session:
        connection = await session.connection()
        for name in METADATA.tables:
            rows = (await connection.execute(text(f'SELECT * FROM "{name}"'))).all()  # noqa: S608 - our own names
            found += [str(tuple(row)) for row in rows]
    found += [str(row) for row in await graph.read("MATCH (n) RETURN properties(n) AS n", timeout=60)]
    found += [str(row) for row in await graph.read("MATCH ()-[r]->() RETURN properties(r) AS r", timeout=60)]
    return "\n".join(found)


def told_of(lin: Person, unique: str, whole: str) -> list[str]:
    """What of a customer is still told: what is personal, what they wrote, how sources and the sign-in name them."""
    names = (
        f"lin-{unique}",
        f"顾客{unique[-6:]}",
        f"{WORD} {unique}",
        f"{SPOKEN} {unique}",
        f"E{unique}",
        f"('{unique}', '1'",
    )
    return [secret for secret in (*lin.secrets, *names) if secret in whole]


MEMBERS = """
MATCH (c:Community {id: $community})
OPTIONAL MATCH (:Customer {id: $id})-[k:KNOWS]-()
OPTIONAL MATCH (p:Post {id: $theirs})
RETURN c.member_count AS members, count(k) AS known
"""
NODE = "MATCH (c:Customer {id: $id}) RETURN c.display_name AS name, c.since AS since, c.erased AS erased"


async def test_nothing_that_tells_who_it_was_is_left(database: Database, graph: GraphClient, unique: str) -> None:
    """Given a customer with something everywhere; when erased; then nothing of it is left, and the shape holds."""
    lin, around = await furnish(database, graph, unique)
    before = told_of(lin, unique, await whole_of(database, graph))
    # What is personal was in no table and no node before either; the words and names were.
    assert set(before).isdisjoint(lin.secrets)
    assert len(before) == 6
    report = await ask_erasure(database, lin.customer_id)
    assert report.finished_at is None
    async with database.read() as session:
        assert await personal_data_of(session, lin.customer_id) == PersonalData()
        assert await customer_id_of(session, "oidc", f"lin-{unique}") is None
    await settle_all(database, graph)

    assert told_of(lin, unique, await whole_of(database, graph)) == []
    (node,) = await graph.read(NODE, id=lin.customer_id)
    assert node == {"name": "—", "since": None, "erased": True}
    (shape,) = await graph.read(MEMBERS, community=around["community"], theirs=around["theirs"], id=lin.customer_id)
    assert shape == {"members": 1, "known": 1}
    assert await standing(database, lin.customer_id) == (0, 0, 0)
    await books_hold(database, lin.customer_id)
    async with database.read() as session:
        done = await erasure_of(session, lin.customer_id)
    assert done is not None
    assert done.finished_at is not None
    expected = {
        "personal_key destroyed": 1,
        "customer_alias deleted, keyed hashes kept": 2,
        "customer_trait.customer_id": 1,
        "event_feedback.customer_id": 1,
        "consent.customer_id": 1,
        "referral codes revoked": 2,
        "points forfeited": 210,
        "graph: registrations given back": 1,
        "graph: memberships ended": 1,
        "graph: posts and comments emptied": 2,
        "graph: manager, tags and devices cut off": 4,
    }
    assert {place: done.places.get(place) for place in expected} == expected


async def test_rows_of_the_same_source_do_not_bring_somebody_back(
    database: Database, graph: GraphClient, unique: str
) -> None:
    """Given an erased customer; when the source sends the row again and they sign up again; then it is somebody new."""
    lin = await import_person(database, graph, unique, subject=f"lin-{unique}")
    await ask_erasure(database, lin.customer_id)
    await settle_all(database, graph)
    row = row_of(unique, "1", subject=f"lin-{unique}")
    again = await import_rows(database, graph, unique, row, {**row, "key": "9", "document": None, "subject": None})
    assert (again.accepted, again.rejected, again.reviewed) == (1, 1, 0)
    async with database.write() as session:
        principal = Principal(f"lin-{unique}", frozenset({Role.CUSTOMER}), frozenset(), 0)
        new = await sign_up(session, principal, display_name="新", hash_key=DEVELOPMENT_ONLY, now=utc_now())
        assert await customer_id_of(session, unique, "9") not in (lin.customer_id, new.id, None)
    assert new.id != lin.customer_id


async def test_what_is_owed_meanwhile_says_nothing_of_the_erased(
    database: Database, graph: GraphClient, unique: str
) -> None:
    """Given a notice and an act that are owed; when whom they concern is erased first; then neither has words."""
    old = await import_person(database, graph, unique, "2", document=None)
    lin = await import_person(database, graph, unique)
    await ask_merge(database, lin.customer_id, old.customer_id)
    await settle_all(database, graph)
    await ask_erasure(database, lin.customer_id)
    await settle_all(database, graph)
    words, now = f"{SPOKEN} {unique}", utc_now()
    async with database.write() as session:
        for person in (lin, old):
            told = {"customer_id": person.customer_id, "kind": "EVENT_MESSAGE", "data": {"text": words}}
            await owe(session, topic=NOTICE_OWED, key=new_id(), payload=told, now=now)
            entry = act(
                area=f"community:{unique}",
                actor="x",
                action="BANNED",
                subject=f"Customer:{person.customer_id}",
                at=now,
                reason=words,
            )
            await owe(session, topic=ACT_AUDITED, key=new_id(), payload=entry, now=now)
    await settle_all(database, graph)
    assert words not in await whole_of(database, graph)
    async with database.read() as session:
        acts = (await session.exec(select(AuditEntry.action).where(AuditEntry.area == f"community:{unique}"))).all()
    assert list(acts) == ["BANNED", "BANNED"]


async def test_a_row_that_was_held_does_not_go_to_somebody_else(
    database: Database, graph: GraphClient, unique: str
) -> None:
    """Given a row that may be of two, one of them by an old id; when that one is erased; then it is refused."""
    old = await import_person(database, graph, unique, "1", phone=None, email=None)
    lin = await import_person(database, graph, unique, "2", phone=None, email=None)
    await import_person(database, graph, unique, "3", document=None)
    other = row_of(unique, "3")
    row = {**other, "key": "4", "document": old.document}
    assert (await import_rows(database, graph, unique, row)).reviewed == 1
    await ask_merge(database, lin.customer_id, old.customer_id)
    await settle_all(database, graph)
    await ask_erasure(database, lin.customer_id)
    await settle_all(database, graph)
    again = await import_rows(database, graph, unique, row)
    assert (again.accepted, again.rejected, again.reviewed) == (0, 1, 0)
    async with database.read() as session:
        (review,) = (await session.exec(select(IdentityReview).where(IdentityReview.source == unique))).all()
    assert (review.key, review.reason) == ("", None)


async def test_who_signs_up_after_a_merge_and_an_erasure_is_somebody_new(
    database: Database, graph: GraphClient, unique: str
) -> None:
    """Given a profile by sign-in that became one with another, which was erased; when they come; then all is new."""
    principal = Principal(f"lin-{unique}", frozenset({Role.CUSTOMER}), frozenset(), 0)
    async with database.write() as session:
        old = await sign_up(session, principal, display_name="旧", hash_key=DEVELOPMENT_ONLY, now=utc_now())
    await put_customers(graph, [old])
    lin = await import_person(database, graph, unique)
    await ask_merge(database, lin.customer_id, old.id)
    await ask_erasure(database, lin.customer_id)
    await settle_all(database, graph)
    async with database.write() as session:
        new = await sign_up(session, principal, display_name="新", hash_key=DEVELOPMENT_ONLY, now=utc_now())
        assert await customer_id_of(session, "oidc", principal.subject) == new.id
    assert new.id not in (old.id, lin.customer_id)
    assert (new.merged_into, new.display_name) == (None, "新")


async def test_what_is_being_imported_goes_in_before_an_erasure(
    database: Database, graph: GraphClient, unique: str
) -> None:
    """Given an import that knows whose its rows are; when they are erased meanwhile; then nothing of it is left."""
    lin = await import_person(database, graph, unique)
    asked: list[asyncio.Task[CustomerErasure]] = []
    kinds = all_kinds()

    async def write_late(batch: Batch[Any]) -> list[Rejection]:
        asked.append(asyncio.create_task(ask_erasure(database, lin.customer_id)))
        await asyncio.wait(asked, timeout=1)
        if asked[0].done():
            await settle_all(database, graph)
        return await kinds["account"].write(batch)

    late = replace(kinds["account"], write=write_late)
    importer = Importer(database, graph, DEVELOPMENT_ONLY, kinds={**kinds, "account": late})
    row = (
        b'{"key": "a", "customer": "1", "account_kind": "CURRENT", "currency": "CNY",'
        b' "observed_at": "2026-01-02T03:04:05Z"}'
    )
    report = await importer.run(
        io.BytesIO(row), file_name="x.jsonl", source=unique, kind="account", started_by="test", now=utc_now()
    )
    assert report.accepted == 1
    await asked[0]
    await settle_all(database, graph)
    async with database.read() as session:
        assert (await session.exec(select(Account).where(Account.source == unique))).all() == []


async def test_a_reason_that_names_the_person_is_refused(database: Database, graph: GraphClient, unique: str) -> None:
    lin = await import_person(database, graph, unique)
    for told in (lin.full_name, lin.phone, lin.email.upper(), lin.birth_date, " ", "x" * 501):
        with pytest.raises(ErasureReasonInvalid):
            await ask_erasure(database, lin.customer_id, reason=f"{told} asked" if told.strip() else told)
    with pytest.raises(NotFound):
        await ask_erasure(database, new_id())
    async with database.read() as session:
        assert await erasure_of(session, lin.customer_id) is None
        assert (await session.get_one(Customer, lin.customer_id)).erased_at is None


async def test_two_who_ask_at_once_and_again_get_one_report(
    database: Database, graph: GraphClient, unique: str
) -> None:
    lin = await import_person(database, graph, unique)
    reports = await asyncio.gather(*(ask_erasure(database, lin.customer_id) for _ in range(6)))
    assert len({report.id for report in reports}) == 1
    row_id = derived_id("outbox", CUSTOMER_ERASED, lin.customer_id)
    await asyncio.gather(*(settle(Stores(database, graph), row_id) for _ in range(3)))
    async with database.read() as session:
        first = await erasure_of(session, lin.customer_id)
    assert first is not None
    assert first.finished_at is not None
    assert (await ask_erasure(database, lin.customer_id)).places == first.places


async def kill_effect(stores: Addresses, folder: Path, topic: str, key: str, point: int) -> None:
    """Settle an effect in a process that dies after so many answers of the graph."""
    script, log = str(REPOSITORY / "tests" / "worker" / "killed_effect.py"), folder / "killed.log"
    process = start_leashed([sys.executable, script, topic, key, str(point)], log=log, env=stores.environment())
    assert await asyncio.to_thread(process.wait, 60) == -9, log.read_text()[-2000:]


@pytest.mark.parametrize("point", [2, 9, 10])
async def test_killed_half_way_it_goes_on(
    stores: Addresses, database: Database, graph: GraphClient, unique: str, tmp_path: Path, point: int
) -> None:
    """Given an erasure killed after so many answers of the graph; when a worker comes; then nothing is left."""
    lin, around = await furnish(database, graph, unique)
    await ask_erasure(database, lin.customer_id)
    await kill_effect(stores, tmp_path, CUSTOMER_ERASED, lin.customer_id, point)
    async with database.read() as session:
        report = await erasure_of(session, lin.customer_id)
    assert report is not None
    assert report.finished_at is None
    await settle_all(database, graph)
    assert told_of(lin, unique, await whole_of(database, graph)) == []
    key = identifier_key(DEVELOPMENT_ONLY, IdentifierKind.DEVICE, f"D{unique}")
    assert await graph.read("MATCH (i:Identifier {key: $key}) RETURN i.key AS key", key=key) == []
    (shape,) = await graph.read(MEMBERS, community=around["community"], theirs=around["theirs"], id=lin.customer_id)
    assert shape == {"members": 1, "known": 1}


async def test_a_copy_from_before_opens_nothing_beside_the_keys_of_after(
    database: Database, graph: GraphClient, unique: str, tmp_path: Path
) -> None:
    """Given rows as they stood before an erasure; when put beside the keys of after; then they do not open."""
    lin = await import_person(database, graph, unique)
    async with database.read() as session:
        kept = (await session.get_one(Customer, lin.customer_id)).model_dump()
    await ask_erasure(database, lin.customer_id)
    await settle_all(database, graph)
    async with database.write() as session:
        row = await session.get_one(Customer, lin.customer_id)
        for name, value in kept.items():
            setattr(row, name, value)
        session.add(row)
        await session.flush()
        assert await personal_data_of(session, lin.customer_id) == PersonalData()
        assert row.phone is not None
    # The copy does not know that they were erased, but the report does, which is kept with the keys.
    async with database.write() as session:
        assert await erase_again(session, hash_key=DEVELOPMENT_ONLY) == 1
    await settle_all(database, graph)
    assert told_of(lin, unique, await whole_of(database, graph)) == []
    async with database.write() as session:
        assert await erase_again(session, hash_key=DEVELOPMENT_ONLY) == 0


@pytest.mark.parametrize("is_merged", [True, False])
async def test_after_a_restore_old_ids_are_erased_as_well(
    database: Database, graph: GraphClient, unique: str, *, is_merged: bool
) -> None:
    """Given rows from before an erasure, or before a merge too; when erased again; then nothing is under any id."""
    old = await import_person(database, graph, unique, "2", document=None)
    lin = await import_person(database, graph, unique)
    async with database.read() as session:
        kept = [await session.get_one(Customer, one.customer_id) for one in (old, lin)]
        copies = [row.model_dump() | {"erased_at": None} for row in kept]
    await ask_merge(database, lin.customer_id, old.customer_id)
    await settle_all(database, graph)
    await ask_erasure(database, lin.customer_id)
    await settle_all(database, graph)
    async with database.write() as session:
        # A copy from after the merge has the old one empty.
        for copy in copies[is_merged:]:
            row = await session.get_one(Customer, copy["id"])
            for name, value in copy.items():
                setattr(row, name, value)
            session.add(row)
        await session.flush()
        now = utc_now()
        word, source = f"{WORD} {unique}", "crm"
        session.add(
            CustomerTrait(
                customer_id=old.customer_id, name="city", word=word, source=source, observed_at=now, recorded_at=now
            )
        )
    async with database.write() as session:
        assert await erase_again(session, hash_key=DEVELOPMENT_ONLY) == (1 if is_merged else 2)
    await settle_all(database, graph)
    assert told_of(lin, unique, await whole_of(database, graph)) == []
    async with database.read() as session:
        report = await erasure_of(session, lin.customer_id)
    assert report is not None
    assert report.finished_at is not None
    async with database.write() as session:
        assert await erase_again(session, hash_key=DEVELOPMENT_ONLY) == 0
        last = ""
        while (last := await owe_all_again(session, after=last) or "") != "":
            pass
    async with database.read() as session:
        owed = await erasure_of(session, lin.customer_id)
    assert owed is not None
    assert list(owed.ids.values()) == [None, None]
    await settle_all(database, graph)
