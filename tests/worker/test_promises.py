"""What follows from facts for promises: once however often the worker does it, and whenever it is killed."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select

from core.clock import utc_now
from core.db import Database
from core.fact_kinds import EVENT_ATTENDED, REDEMPTION_FAILED, REDEMPTION_FULFILLED, REGISTRATION_ABANDONED
from core.facts import Fact, NewFact, record_facts
from core.ids import derived_id, new_id
from core.messages import MESSAGE_OWED
from core.notices import NOTICE_OWED
from core.outbox import Outbox, owe
from core.processes import REPOSITORY
from core.tasks import TASK_OWED
from core.traces import all_traces, erase_traces, move_traces, rows_naming
from customers.alert_definition import parse_alert_definition
from customers.profiles import Customer
from graph.client import GraphClient
from segments.condition_sql import matches
from segments.conditions import load_vocabulary, parse_condition
from segments.traits import CustomerTrait
from service.break_sweeps import LONGEST_PAGE, ServiceBreakSweep, advance_break_sweep, next_facts, open_break_sweep
from service.breaks import ServiceBreak
from service.happenings import SERVICE_LOOK
from service.survey_rows import Survey
from tests.conftest import Addresses
from tests.customers.insight import make_people
from tests.databases import own_database
from tests.loyalty.redeeming import fail, fulfil, reserve_one
from tests.service.promised import (
    DAY,
    NOON,
    answer,
    breaks_of,
    happen,
    make_rule,
    own_kind,
    proofs_of,
    put_fact,
    put_survey,
    recover,
    survey_at,
    twice_in,
)
from worker.handlers import settle
from worker.promises import on_service_looks
from worker.service_breaks import are_breaks_due, sweep_breaks
from worker.work import Stores

pytestmark = pytest.mark.anyio

SCRIPT = REPOSITORY / "tests" / "worker" / "killed_promise.py"


def run_killed(stores: Addresses, url: str, work: str, point: str, number: int) -> int:
    environment = {**os.environ, **stores.environment(), "DATABASE_URL": url}
    command = [sys.executable, str(SCRIPT), work, point, str(number)]
    return subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, check=False).returncode


async def settle_all(database: Database, graph: GraphClient, topic: str, *keys: str) -> None:
    for key in keys:
        await settle(Stores(database, graph), derived_id("outbox", topic, key))


async def record(database: Database, *facts: NewFact) -> list[str]:
    async with database.write() as session:
        await record_facts(session, facts, now=utc_now(), hint=False)
    return [fact.id for fact in facts]


async def settle_facts(database: Database, graph: GraphClient, *fact_ids: str) -> None:
    """What the worker does of facts: look whom they concern, and then look at them."""
    await settle_all(database, graph, "fact.recorded", *fact_ids)
    await settle_all(database, graph, SERVICE_LOOK, *fact_ids)


async def owed_about(database: Database, topic: str, customer_id: str) -> list[Outbox]:
    async with database.read() as session:
        rows = (await session.exec(select(Outbox).where(Outbox.topic == topic))).all()
    return [row for row in rows if row.payload.get("customer_id") == customer_id]


async def facts_of(database: Database, customer_id: str, *kinds: str) -> Sequence[Fact]:
    async with database.read() as session:
        statement = select(Fact).where(Fact.customer_id == customer_id, col(Fact.kind).in_(kinds))
        return (await session.exec(statement.order_by(col(Fact.occurred_at)))).all()


async def surveys_of(database: Database, customer_id: str) -> Sequence[Survey]:
    async with database.read() as session:
        return (await session.exec(select(Survey).where(Survey.customer_id == customer_id))).all()


def fact(kind: str, customer_id: str, at: datetime | None = None, **payload: Any) -> NewFact:
    return NewFact("test", new_id(), kind, customer_id, at or utc_now(), payload)


async def test_a_redemption_that_fails_twice_is_a_break_by_the_rule_that_is_shipped(
    graph: GraphClient, database: Database
) -> None:
    """Given two redemptions that their partner cannot fulfil, then there is one break, whoever settles how often."""
    customer = new_id()
    for _ in range(2):
        _, redemption = await reserve_one(database, customer)
        assert await fail(database, redemption) == "FAILED"
    facts = await facts_of(database, customer, REDEMPTION_FAILED)
    assert [one.payload["status"] for one in facts] == ["FAILED", "FAILED"]
    for _ in range(2):
        await settle_facts(database, graph, *(one.id for one in facts))
        async with database.write() as session:
            payloads = [{"fact_id": one.id, "customer_id": customer} for one in facts]
            await on_service_looks(session, graph, payloads, utc_now())
    (row,) = await breaks_of(database, customer)
    assert await proofs_of(database, row.id) == {one.id for one in facts}
    assert len(await owed_about(database, TASK_OWED, customer)) == 1
    assert len(await facts_of(database, customer, "SERVICE_BREAK_FOUND")) == 1


async def test_a_redemption_that_is_fulfilled_is_asked_about(graph: GraphClient, database: Database) -> None:
    customer = new_id()
    _, redemption = await reserve_one(database, customer)
    assert await fulfil(database, redemption) == "FULFILLED"
    (found,) = await facts_of(database, customer, REDEMPTION_FULFILLED, REDEMPTION_FAILED)
    for _ in range(2):
        await settle_facts(database, graph, found.id)
    (survey,) = await surveys_of(database, customer)
    assert (survey.occasion, survey.kind, survey.subject) == ("REDEMPTION", "CSAT", redemption)
    assert len(await owed_about(database, MESSAGE_OWED, customer)) == 1


@pytest.mark.parametrize("kind", ["OFFER_EXPIRED", "PAYMENT_FAILED"])
async def test_a_registration_that_comes_to_nothing_is_a_break_of_its_event(
    graph: GraphClient, database: Database, kind: str
) -> None:
    """Given the notice of an abandoned registration, settled twice, then there are one fact and one break."""
    customer, event, key = new_id(), new_id(), f"test:{new_id()}"
    payload = {"customer_id": customer, "kind": kind, "data": {"event_id": event}}
    for _ in range(2):
        async with database.write() as session:
            await owe(session, topic=NOTICE_OWED, key=key, payload=payload, now=utc_now())
        await settle_all(database, graph, NOTICE_OWED, key)
    (found,) = await facts_of(database, customer, REGISTRATION_ABANDONED)
    assert found.payload == {"event_id": event, "why": kind}
    await settle_facts(database, graph, found.id)
    assert [row.subject for row in await breaks_of(database, customer)] == [event]


async def test_a_score_is_a_trait_that_conditions_ask_for(graph: GraphClient, database: Database) -> None:
    """Given a 9 and an earlier 3 that comes late, then the newest is the trait, by which alerts may find detractors."""
    customer = new_id()
    now = utc_now()
    for score, at in ((9, now), (3, now - DAY)):
        survey = await put_survey(database, customer, now - 2 * DAY)
        await answer(database, survey, customer, score, at=at)
        await settle_facts(database, graph, derived_id("fact", "kinship", f"survey:{survey}"))
    async with database.read() as session:
        trait = await session.get_one(CustomerTrait, (customer, "nps", ""))
        assert (trait.number, trait.observed_at) == (9, now)
        known = await load_vocabulary(session)
        tree = {"trait": {"name": "nps", "lte": 6}}
        assert not await matches(session, parse_condition(tree, known), customer, now=now)
        rule = {"key": "detractor", "name_zh": "贬损者", "name_en": "Detractor", "condition": tree}
        assert parse_alert_definition({"conditions": [rule]}, known).conditions[0].key == "detractor"


@pytest.mark.parametrize("point", ["before-commit", "after-commit"])
async def test_killed_while_it_opens_a_break_there_is_one(
    stores: Addresses, graph: GraphClient, database: Database, point: str
) -> None:
    """Given a worker that dies before or after the commit that opens, then another does it once."""
    customer, kind = new_id(), own_kind()
    await make_rule(database, twice_in(30, kind, 1), applies_from=utc_now() - DAY)
    (found,) = await record(database, fact(kind, customer))
    await settle_all(database, graph, "fact.recorded", found)
    owed = derived_id("outbox", SERVICE_LOOK, found)
    assert await asyncio.to_thread(run_killed, stores, stores.database_url, owed, point, 1) == -signal.SIGKILL
    assert len(await breaks_of(database, customer)) == (point == "after-commit")
    await settle_all(database, graph, SERVICE_LOOK, found)
    assert len(await breaks_of(database, customer)) == 1
    assert len(await owed_about(database, TASK_OWED, customer)) == 1


async def test_nothing_begins_about_the_erased(graph: GraphClient, stores: Addresses, tmp_path: Path) -> None:
    async with own_database(stores, tmp_path) as database:
        (customer,) = await make_people(database, 1)
        kind = own_kind()
        await make_rule(database, twice_in(30, kind, 1), applies_from=utc_now() - DAY)
        facts = await record(database, fact(kind, customer), fact(EVENT_ATTENDED, customer, event_id=new_id()))
        async with database.write() as session:
            (await session.get_one(Customer, customer)).erased_at = utc_now()
        await settle_facts(database, graph, *facts)
        assert (await breaks_of(database, customer), await surveys_of(database, customer)) == ([], [])


async def missed(database: Database, count: int) -> tuple[list[str], str]:
    """So many customers with two facts each of before their rule was activated; their ids, and the rule's."""
    people, kind = sorted(new_id() for _ in range(count)), own_kind()
    for one in people:
        for days in (9, 8):
            await put_fact(database, kind, one, NOON - days * DAY)
    rule = await make_rule(database, twice_in(30, kind), applies_from=NOON - 20 * DAY)
    return people, rule


async def found_of(database: Database, people: Sequence[str]) -> list[int]:
    return [len(await breaks_of(database, one)) for one in people]


async def test_the_sweep_finds_what_was_missed_once(stores: Addresses, tmp_path: Path) -> None:
    async with own_database(stores, tmp_path) as database:
        people, _ = await missed(database, 5)
        assert await are_breaks_due(database, now=NOON)
        assert await sweep_breaks(database, now=NOON, page=3) == 5
        assert not await are_breaks_due(database, now=NOON)
        assert await sweep_breaks(database, now=NOON) == 0
        assert await sweep_breaks(database, now=NOON + DAY) == 0
        assert await found_of(database, people) == [1] * 5
        async with database.read() as session:
            row = await session.get_one(ServiceBreakSweep, NOON.date())
        assert (row.facts, row.found, row.finished_at is not None) == (10, 5, True)


@pytest.mark.parametrize("point", ["before-commit", "after-commit"])
async def test_a_sweep_that_is_killed_goes_on(stores: Addresses, tmp_path: Path, point: str) -> None:
    """Given sweeps that die at their second page twice, when one goes on, then each customer has one break."""
    async with own_database(stores, tmp_path) as database:
        people, _ = await missed(database, 6)
        for _ in range(2):
            code = await asyncio.to_thread(run_killed, stores, database.url, "sweep", point, 2)
            assert code == -signal.SIGKILL
        await sweep_breaks(database, now=NOON, page=2)
        assert await found_of(database, people) == [1] * 6


async def test_of_sweeps_at_once_one_gives_way(stores: Addresses, tmp_path: Path) -> None:
    async with own_database(stores, tmp_path) as database:
        people, _ = await missed(database, 6)
        found = await asyncio.gather(*(sweep_breaks(database, now=NOON, page=2) for _ in range(4)))
        assert sum(found) == 6
        assert await found_of(database, people) == [1] * 6
        async with database.write() as session:
            row = await open_break_sweep(session, zone=database.zone, now=NOON + DAY)
            assert row is not None
            facts = await next_facts(session, row, now=NOON + DAY, limit=2)
            assert await advance_break_sweep(session, row, facts, now=NOON + DAY)
        assert not await are_breaks_due(database, now=NOON + DAY + LONGEST_PAGE - timedelta(seconds=1))
        assert await are_breaks_due(database, now=NOON + DAY + LONGEST_PAGE)


async def test_an_erasure_takes_words_and_leaves_counts(database: Database) -> None:
    """Given a break with a note and an answer with a comment, then both stay without their words, and are exported."""
    customer, kind = new_id(), own_kind()
    await make_rule(database, twice_in(30, kind, 1))
    (found,) = await happen(database, kind, customer)
    await recover(database, found, NOON, "Called back")
    survey = await put_survey(database, customer)
    await answer(database, survey, customer, 9, comment="Fine")
    async with database.read() as session:
        shown = await rows_naming(session, list(all_traces()), customer, [])
        assert [row["score"] for row in shown["survey.customer_id"]] == [9]
        assert "note" not in shown["service_break.customer_id"][0]
        assert "comment" not in shown["survey.customer_id"][0]
    for _ in range(2):
        async with database.write() as session:
            await erase_traces(session, list(all_traces()), customer)
    (row,) = await breaks_of(database, customer)
    assert (row.note, row.actions) == (None, {"codes": ["APOLOGISED"]})
    answered = await survey_at(database, survey)
    assert (answered.comment, answered.score) == (None, 9)


async def test_a_merge_moves_breaks_and_surveys(database: Database) -> None:
    """Given one case that is a break of both profiles, then the survivor's stands, and the other stays where it was."""
    merged, survivor, kind = new_id(), new_id(), own_kind()
    await make_rule(database, twice_in(30, kind, 1), same="case")
    for one, case in ((merged, "A"), (survivor, "A"), (merged, "B")):
        await happen(database, kind, one, case=case)
    survey = await put_survey(database, merged)
    for _ in range(2):
        async with database.write() as session:
            await move_traces(session, list(all_traces()), merged, survivor)
    assert sorted(row.subject for row in await breaks_of(database, survivor)) == ["A", "B"]
    assert [row.subject for row in await breaks_of(database, merged)] == ["A"]
    assert (await survey_at(database, survey)).customer_id == survivor


async def test_statements_do_not_grow_with_the_facts(graph: GraphClient, stores: Addresses, tmp_path: Path) -> None:
    """Given two facts without a break and then twenty, then looking at them costs as many statements."""
    async with own_database(stores, tmp_path) as database:
        kind = own_kind()
        await make_rule(database, twice_in(30, kind), applies_from=utc_now() - DAY)
        costs: list[int] = []
        for count in (2, 20):
            facts = [fact(kind, new_id()) for _ in range(count)]
            await record(database, *facts)
            before = database.statements
            async with database.write() as session:
                payloads = [{"fact_id": one.id, "customer_id": one.customer_id} for one in facts]
                await on_service_looks(session, graph, payloads, utc_now())
            costs.append(database.statements - before)
        assert costs[0] == costs[1]
        async with database.read() as session:
            assert (await session.exec(select(ServiceBreak))).all() == []
