"""Merging: nothing is lost and nothing is counted twice, however often it is begun; and the record says what moved."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, func, select

from community.access import MemberRole
from community.reactions import ReactionKind, react
from community.registrations import register_for_event
from core.clock import utc_now
from core.days import months_before
from core.db import Database
from core.facts import Fact, NewFact, record_facts
from core.ids import derived_id, new_id
from core.settings import DEVELOPMENT_ONLY
from customers.access import managers_of
from customers.alerts import AlertGuard
from customers.erasure import CUSTOMER_ERASED, erase, erasure_of
from customers.merging import CUSTOMER_MERGED, CustomerMerge, MergeImpossible
from customers.needs import NeedGuard
from customers.personal import PersonalData, personal_data_of
from customers.profiles import Customer, customer_id_of, survivor_of
from customers.tier_records import TierOverride
from customers.tiers import tier_explain
from graph.client import GraphClient
from graph.eligibility import Tier
from loyalty.lots import LedgerLot
from segments.tagging import CustomerTag
from segments.traits import CustomerTrait
from tests.community.places import add_member, make_community, make_event
from tests.community.writings import write_comment, write_post
from tests.conftest import Addresses
from tests.customers.monthly import LAST, decide_months, make_clients, own_stores, put_balances, tiers_in_graph
from tests.customers.people import Person, import_person, import_rows
from tests.customers.test_tier_overrides import ask, decide
from tests.loyalty.accounts import books_hold, demand, give, spend, standing, take_back, unspend
from tests.worker.test_erasing import ask_merge, kill_effect, settle_all
from worker.handlers import settle
from worker.merging import merge_everywhere, sweep_merged
from worker.work import Stores

pytestmark = pytest.mark.anyio


async def furnish(database: Database, graph: GraphClient, unique: str) -> tuple[Person, Person, dict[str, str]]:
    """Two profiles of one person with something of everything, some of it the same; what is around them by names."""
    keep = await import_person(database, graph, unique, "1", phone=None, email=None, relationship_manager="zhou")
    drop = await import_person(database, graph, unique, "2", document=None, relationship_manager="sun")
    third = await import_person(database, graph, unique, "3")
    await import_rows(
        database,
        graph,
        unique,
        {"kind": "acquaintance", "customer": "2", "other": "3"},
        {"kind": "acquaintance", "customer": "1", "other": "2"},
        {"kind": "consent", "customer": "2", "purpose": "CARE", "channel": "SMS", "status": "GRANTED",
         "given_at": "2026-01-02T03:04:05Z"},
    )  # fmt: skip
    around = {name: await make_community(graph, owner_id=third.customer_id) for name in ("both", "own", "theirs")}
    await add_member(graph, around["both"], keep.customer_id, MemberRole.MEMBER)
    await add_member(graph, around["both"], drop.customer_id, MemberRole.MODERATOR)
    await add_member(graph, around["own"], keep.customer_id, MemberRole.MEMBER)
    await add_member(graph, around["theirs"], drop.customer_id, MemberRole.MEMBER)
    for name, who in (("twice", (keep, drop)), ("once", (drop,))):
        around[name] = await make_event(graph, around["both"], capacity=5)
        for person in who:
            await register_for_event(graph, event_id=around[name], customer_id=person.customer_id, now=utc_now())
    around["post"] = await write_post(graph, around["both"], drop.customer_id)
    await write_comment(graph, around["post"], drop.customer_id)
    for person in (keep, drop):
        await react(
            graph, "Post", around["post"], ReactionKind.LIKE, on=True, customer_id=person.customer_id, now=utc_now()
        )
    await react(graph, "Post", around["post"], ReactionKind.LOVE, on=True, customer_id=drop.customer_id, now=utc_now())
    await know(database, keep.customer_id, drop.customer_id, unique)
    return keep, drop, around


async def know(database: Database, keep: str, drop: str, unique: str) -> None:
    """Points that live, wait and are owed; a fact; and a trait that both have."""
    await give(database, keep, 40)
    await give(database, drop, 100, key=f"{unique}:a", expires_in=timedelta(days=30))
    await give(database, drop, 20, key=f"{unique}:b", available_in=timedelta(days=3))
    now = utc_now()
    async with database.write() as session:
        await record_facts(session, [NewFact("test", unique, "MERGE_TRIED", drop, now, {})], now=now)
        for customer, name, word in (
            (keep, "occupation", "teacher"),
            (drop, "occupation", "pilot"),
            (drop, "city", "上海"),
        ):
            trait = CustomerTrait(
                customer_id=customer, name=name, word=word, source="crm", observed_at=now, recorded_at=now
            )
            session.add(trait)


OUT = """
MATCH (c:Customer {id: $id})-[r]-(x)
RETURN type(r) AS kind, coalesce(x.id, x.key) AS other, r.role AS role
ORDER BY kind, other
"""
COUNTS = """
UNWIND $ids AS id
MATCH (x {id: id})
RETURN id, x.member_count AS members, x.registered AS registered
"""
LIKES = "MATCH (t:Tally {target_id: $id}) RETURN t.kind AS kind, sum(t.count) AS count ORDER BY kind"


async def is_one(database: Database, graph: GraphClient, keep: Person, drop: Person, around: dict[str, str]) -> None:
    """Assert that everything is the survivor's, once."""
    old, new = drop.customer_id, keep.customer_id
    ties = [(row["kind"], row["other"], row["role"]) for row in await graph.read(OUT, id=new)]
    kinds = [kind for kind, _, _ in ties]
    assert [(other, role) for kind, other, role in ties if kind == "MEMBER_OF"] == sorted(
        [(around["both"], "MODERATOR"), (around["own"], "MEMBER"), (around["theirs"], "MEMBER")]
    )
    assert {other for kind, other, _ in ties if kind == "REGISTERED_FOR"} == {around["twice"], around["once"]}
    assert (kinds.count("WROTE"), kinds.count("REACTED"), kinds.count("KNOWS")) == (2, 2, 1)
    assert {other for kind, other, _ in ties if kind == "SERVED_BY"} == {"zhou", "sun"}
    # What the survivor has as well stays under the old id, as it was counted.
    left = [(row["kind"]) for row in await graph.read(OUT, id=old)]
    assert sorted(left) == ["REACTED", "REGISTERED_FOR"]
    counts = {row["id"]: row for row in await graph.read(COUNTS, ids=list(around.values()))}
    assert [counts[around[name]]["members"] for name in ("both", "own", "theirs")] == [2, 2, 2]
    assert [counts[around[name]]["registered"] for name in ("twice", "once")] == [1, 1]
    tallies = {row["kind"]: row["count"] for row in await graph.read(LIKES, id=around["post"])}
    assert (tallies["LIKE"], tallies["LOVE"]) == (2, 1)
    assert await standing(database, old) == (0, 0, 0)
    assert await standing(database, new) == (140, 20, 0)
    await books_hold(database, old, new)
    async with database.read() as session:
        facts = (await session.exec(select(func.count()).where(Fact.customer_id == new))).one()
        words = (await session.exec(select(CustomerTrait).where(CustomerTrait.customer_id == new))).all()
        assert await personal_data_of(session, old) == PersonalData()
        personal = await personal_data_of(session, new)
        assert await customer_id_of(session, keep.source, "2") == await survivor_of(session, old) == new
    assert facts == 1
    assert {row.name: row.word for row in words if row.word} == {"occupation": "teacher", "city": "上海"}
    assert personal is not None
    assert (personal.full_name, personal.phone, personal.email) == (keep.full_name, drop.phone, drop.email)


async def test_everything_becomes_the_survivors_once(database: Database, graph: GraphClient, unique: str) -> None:
    """Given two profiles with something everywhere; when merged, settled and asked again; then all is there once."""
    keep, drop, around = await furnish(database, graph, unique)
    merge = await ask_merge(database, keep.customer_id, drop.customer_id)
    await settle_all(database, graph)
    await is_one(database, graph, keep, drop, around)
    async with database.read() as session:
        done = await session.get_one(CustomerMerge, merge.id)
        lots = (await session.exec(select(LedgerLot).where(LedgerLot.customer_id == keep.customer_id))).all()
        expiries = {lot.points: lot.expires_at for lot in lots}
        before = (await session.exec(select(LedgerLot).where(LedgerLot.customer_id == drop.customer_id))).all()
    assert done.finished_at is not None
    assert {lot.points: lot.expires_at for lot in before if lot.points in (100, 20)} == {
        points: expiries[points] for points in (100, 20)
    }
    expected = {"points": 120, "fact.customer_id": 1, "consent.customer_id": 1, "graph: memberships": 2}
    assert {name: done.moved.get(name) for name in expected} == expected
    assert done.moved["customer_trait.customer_id, the survivor's stands"] == 2
    assert (await ask_merge(database, keep.customer_id, drop.customer_id)).moved == done.moved
    # A row of the other source goes to the survivor, and so does what is refunded later.
    report = await import_rows(database, graph, unique, {"kind": "customer", "key": "2", "display_name": "x"})
    assert report.accepted == 1


async def test_what_comes_to_the_old_id_later_follows(database: Database, graph: GraphClient, unique: str) -> None:
    """Given points that were spent before a merge and a debt; when they are refunded after it; then they follow."""
    keep = await import_person(database, graph, unique, "1")
    drop = await import_person(database, graph, unique, "2", document=None)
    await give(database, drop.customer_id, 50, key=f"{unique}:a")
    spent = await spend(database, drop.customer_id, 30)
    await give(database, drop.customer_id, 10, key=f"{unique}:b")
    await take_back(database, demand(drop.customer_id, f"{unique}:a", 50))
    owed = await standing(database, drop.customer_id)
    assert owed == (0, 0, 20)
    await give(database, keep.customer_id, 5)
    await ask_merge(database, keep.customer_id, drop.customer_id)
    await settle_all(database, graph)
    assert await standing(database, drop.customer_id) == (0, 0, 0)
    assert await standing(database, keep.customer_id) == (0, 0, 15)
    await unspend(database, drop.customer_id, spent, 30, now=utc_now())
    assert sum(await standing(database, drop.customer_id)) == 30
    for _ in range(2):
        await sweep_merged(database)
    assert await standing(database, drop.customer_id) == (0, 0, 0)
    assert await standing(database, keep.customer_id) == (15, 0, 0)
    await books_hold(database, keep.customer_id, drop.customer_id)


@pytest.mark.parametrize("point", [2, 6, 13, 18])
async def test_killed_half_way_it_goes_on(
    stores: Addresses, database: Database, graph: GraphClient, unique: str, tmp_path: Path, point: int
) -> None:
    keep, drop, around = await furnish(database, graph, unique)
    merge = await ask_merge(database, keep.customer_id, drop.customer_id)
    await kill_effect(stores, tmp_path, CUSTOMER_MERGED, merge.id, point)
    row_id = derived_id("outbox", CUSTOMER_MERGED, merge.id)
    await asyncio.gather(*(settle(Stores(database, graph), row_id) for _ in range(3)))
    await settle_all(database, graph)
    await is_one(database, graph, keep, drop, around)


async def test_of_merges_at_once_one_wins_and_none_goes_in_a_circle(
    database: Database, graph: GraphClient, unique: str
) -> None:
    """Given three profiles and merges of all pairs both ways at once; then each old id leads to one who stays."""
    people = [(await import_person(database, graph, unique, key, document=None)).customer_id for key in "123"]
    pairs = [(one, two) for one in people for two in people if one != two]
    outcomes: list[Any] = await asyncio.gather(
        *(ask_merge(database, one, two) for one, two in pairs), return_exceptions=True
    )
    done = [one for one in outcomes if isinstance(one, CustomerMerge)]
    assert all(isinstance(one, CustomerMerge | MergeImpossible) for one in outcomes)
    await settle_all(database, graph)
    async with database.read() as session:
        statement = select(Customer).where(col(Customer.id).in_(people))
        rows = (await session.exec(statement)).all()
        ends = {await survivor_of(session, id) for id in people}
    assert len(ends) == 1
    assert len(done) == 2
    assert [row.id for row in rows if row.merged_into is None] == list(ends)
    with pytest.raises(MergeImpossible):
        await ask_merge(database, people[0], people[0])


async def test_a_merge_that_comes_after_the_survivors_erasure_leaves_nothing(
    database: Database, graph: GraphClient, unique: str
) -> None:
    """Given a merge that is owed; when the survivor is erased first, the old id after it; then nothing is left."""
    keep, drop, _ = await furnish(database, graph, unique)
    merge = await ask_merge(database, keep.customer_id, drop.customer_id)
    async with database.write() as session:
        await erase(session, keep.customer_id, actor="he", reason="A-1", hash_key=DEVELOPMENT_ONLY, now=utc_now())
    stores = Stores(database, graph)
    await settle(stores, derived_id("outbox", CUSTOMER_ERASED, keep.customer_id))
    async with database.read() as session:
        report = await erasure_of(session, keep.customer_id)
    # It is not done before the old id is.
    assert report is not None
    assert report.finished_at is None
    await settle(stores, derived_id("outbox", CUSTOMER_MERGED, merge.id))
    await settle_all(database, graph)
    ids = [keep.customer_id, drop.customer_id]
    async with database.read() as session:
        for model in (CustomerTag, CustomerTrait):
            left = select(func.count()).select_from(model).where(col(model.customer_id).in_(ids))
            assert (await session.exec(left)).one() == 0
        report = await erasure_of(session, keep.customer_id)
    assert report is not None
    assert report.finished_at is not None
    assert report.places["old id 1: graph: node emptied"] == 1
    assert [await managers_of(graph, id) for id in ids] == [[], []]


async def test_of_merges_in_a_chain_nothing_is_left_in_the_middle(
    database: Database, graph: GraphClient, unique: str
) -> None:
    """Given a merge that is being carried out; when its survivor is merged meanwhile; then all goes to the last."""
    one, two, three = [await import_person(database, graph, unique, key, document=None) for key in "123"]
    await know(database, two.customer_id, one.customer_id, unique)
    merge = await ask_merge(database, two.customer_id, one.customer_id)

    async def go_on() -> None:
        later = await ask_merge(database, three.customer_id, two.customer_id)
        await settle(Stores(database, graph), derived_id("outbox", CUSTOMER_MERGED, later.id))

    async with database.write() as session:
        await merge_everywhere(session, graph, merge.id, now=utc_now())
        task = asyncio.create_task(go_on())
        await asyncio.wait([task], timeout=1)
    await task
    await settle_all(database, graph)
    async with database.read() as session:
        found = (await session.exec(select(CustomerTrait.customer_id).where(CustomerTrait.source == "crm"))).all()
        facts = (await session.exec(select(Fact.customer_id).where(Fact.key == unique))).all()
    assert three.customer_id in found
    assert {one.customer_id, two.customer_id}.isdisjoint(found)
    assert list(facts) == [three.customer_id]
    assert await standing(database, two.customer_id) == (0, 0, 0)


async def test_who_is_erased_leaves_nothing_under_old_ids(database: Database, graph: GraphClient, unique: str) -> None:
    keep, drop, _ = await furnish(database, graph, unique)
    await ask_merge(database, keep.customer_id, drop.customer_id)
    await settle_all(database, graph)
    async with database.write() as session:
        await erase(session, keep.customer_id, actor="he", reason="A-1", hash_key=DEVELOPMENT_ONLY, now=utc_now())
    await settle_all(database, graph)
    ids = [keep.customer_id, drop.customer_id]
    async with database.read() as session:
        for model in (CustomerTag, CustomerTrait):
            statement = select(func.count()).select_from(model).where(col(model.customer_id).in_(ids))
            assert (await session.exec(statement)).one() == 0
        merge = (await session.exec(select(CustomerMerge).where(CustomerMerge.merged_id == drop.customer_id))).one()
        assert merge.reason == ""
    assert await standing(database, keep.customer_id) == (0, 0, 0)
    await books_hold(database, *ids)
    with pytest.raises(MergeImpossible):
        await ask_merge(database, keep.customer_id, (await import_person(database, graph, new_id())).customer_id)


async def test_tiers_and_overrides_follow_and_explain_themselves(
    stores: Addresses, graph: GraphClient, tmp_path: Path
) -> None:
    """Given pairs of which one or both were decided; when merged; then the survivor's tier is in both stores, what
    staff set for the other goes on to count, and every decision still is what its month made of it."""
    async with own_stores(stores, graph, tmp_path) as own:
        keep, drop, fresh, gone, set_too, set_by_hand = ids = await make_clients(own, 6)
        last, before = LAST, months_before(LAST)
        await put_balances(own.database, {keep: [None, 600_000], drop: [600_000, 10], gone: [600_000, 600_000]})
        await decide_months(own, before, last)
        kept = await decide(own, await ask(own, drop, Tier.POTENTIAL))
        ended = await decide(own, await ask(own, set_by_hand))
        await decide(own, await ask(own, set_too, Tier.POTENTIAL))
        left = [await ask(own, one) for one in (set_too, set_by_hand)]
        for survivor, merged in ((keep, drop), (fresh, gone), (set_too, set_by_hand)):
            await ask_merge(own.database, survivor, merged)
        await settle_all(own.database, graph)
        async with own.database.read() as session:
            for one in ids:
                for month in (before, last, None):
                    await tier_explain(session, one, month)
            found = await tier_explain(session, fresh)
            overrides = {row.id: row for row in (await session.exec(select(TierOverride))).all()}
        assert found is not None and (found.month, found.decision.tier) == (last, Tier.VIP)
        assert await tiers_in_graph(graph, [keep, fresh, set_too]) == ["POTENTIAL", "VIP", "POTENTIAL"]
        assert (overrides[kept.id].customer_id, overrides[kept.id].status) == (keep, "APPROVED")
        assert (overrides[ended.id].status, overrides[ended.id].end_reason) == ("ENDED", "merged")
        assert [overrides[one].status for one in left] == ["PENDING", "REJECTED"]


async def test_a_merge_shortens_no_dismissal(database: Database, graph: GraphClient, unique: str) -> None:
    """Given guards of both profiles for one need and one cause; then of each the later stands, whoever's it was."""
    for later in (True, False):
        keep = await import_person(database, graph, new_id(), "1")
        drop = await import_person(database, graph, new_id(), "2", document=None)
        now = utc_now()
        async with database.write() as session:
            for one, at in ((keep.customer_id, now), (drop.customer_id, now + timedelta(days=1 if later else -1))):
                session.add(NeedGuard(customer_id=one, kind="PENSION", need_id=one, blocked_until=at))
                session.add(AlertGuard(customer_id=one, cause="DORMANT", subject="", alert_id=one, raised_at=at))
        await ask_merge(database, keep.customer_id, drop.customer_id)
        await settle_all(database, graph)
        wanted = drop.customer_id if later else keep.customer_id
        async with database.read() as session:
            need = await session.get_one(NeedGuard, (keep.customer_id, "PENSION"))
            alert = await session.get_one(AlertGuard, (keep.customer_id, "DORMANT"))
        assert (need.need_id, alert.alert_id) == (wanted, wanted)
