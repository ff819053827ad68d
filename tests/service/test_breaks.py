"""Service breaks: one for a cause whoever looks, with its proofs, and ended once."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import col, select

from core.db import Database
from core.errors import KinshipError, NotFound
from core.facts import Fact
from core.ids import new_id
from core.outbox import Outbox
from core.tasks import TASK_OVER, TASK_OWED
from service.break_rules import pause_break_rule
from service.breaks import SERVICE_BREAK_DUE, evidence_by_break
from service.recovery import RecoveryInvalid, ServiceBreakEnded, expire_break, note_of, record_recovery
from tests.service.promised import (
    DAY,
    KEY,
    NOON,
    breaks_of,
    happen,
    look,
    make_rule,
    own_kind,
    proofs_of,
    put_fact,
    recover,
    twice_in,
)

pytestmark = pytest.mark.anyio


async def owed(database: Database, key: str) -> dict[str, Outbox]:
    async with database.read() as session:
        return {row.topic: row for row in (await session.exec(select(Outbox).where(Outbox.key == key))).all()}


async def facts_about(database: Database, break_id: str) -> list[str]:
    async with database.read() as session:
        keys = [f"service-break:{break_id}:{name}" for name in ("found", "recovered")]
        rows = (await session.exec(select(Fact).where(col(Fact.key).in_(keys)).order_by(col(Fact.kind)))).all()
    return [row.kind for row in rows]


async def test_what_fails_twice_in_thirty_days_is_a_break(database: Database) -> None:
    """Given two failures 31 days apart and a third, then the third opens one break, proven by both of its window."""
    customer, kind = new_id(), own_kind()
    rule = await make_rule(database, twice_in(30, kind), recover_days=2, expires_days=20)
    assert await happen(database, kind, customer, NOON - 40 * DAY) == []
    second = await put_fact(database, kind, customer, NOON - 9 * DAY)
    assert await look(database, second, now=NOON - 9 * DAY) == []
    third = await put_fact(database, kind, customer)
    (found,) = await look(database, third)
    (row,) = await breaks_of(database, customer)
    assert (row.id, row.rule_id, row.rule_version, row.status, row.broke_at) == (found, rule, 1, "OPEN", NOON)
    assert (row.due_at, row.expires_at) == (NOON + 2 * DAY, NOON + 20 * DAY)
    assert await proofs_of(database, found) == {second, third}
    async with database.read() as session:
        assert [fact.id for fact in (await evidence_by_break(session, [found]))[found]] == [second, third]
    task = (await owed(database, f"recovery:{found}"))[TASK_OWED]
    assert (task.payload["customer_id"], task.payload["subject"]) == (customer, found)
    assert (await owed(database, found))[SERVICE_BREAK_DUE].available_at == NOON + 20 * DAY
    assert await facts_about(database, found) == ["SERVICE_BREAK_FOUND"]


async def test_the_edge_of_the_window_is_that_of_the_language(database: Database) -> None:
    customer, other, kind = new_id(), new_id(), own_kind()
    await make_rule(database, twice_in(30, kind))
    for one, before in ((customer, timedelta(days=30)), (other, timedelta(days=30) - timedelta(microseconds=1))):
        await put_fact(database, kind, one, NOON - before)
    assert await happen(database, kind, customer) == []
    assert len(await happen(database, kind, other)) == 1


async def test_causes_are_told_apart_by_a_field(database: Database) -> None:
    """Given hand-offs declined in two cases, then only the case with two of them is a break, and once for ever."""
    customer, kind = new_id(), own_kind()
    await make_rule(database, twice_in(90, kind), same="complaint")
    assert await happen(database, kind, customer, complaint="A") == []
    assert await happen(database, kind, customer, complaint="B") == []
    assert await happen(database, kind, customer, complaint="") == []
    assert await happen(database, kind, customer, complaint=7) == []
    assert await happen(database, kind, customer) == []
    (found,) = await happen(database, kind, customer, NOON + DAY, complaint="A")
    await recover(database, found, NOON + 2 * DAY)
    assert await happen(database, kind, customer, NOON + 3 * DAY, complaint="A") == []
    assert [row.subject for row in await breaks_of(database, customer)] == ["A"]
    assert len(await proofs_of(database, found)) == 3


async def test_what_happens_before_the_end_belongs_to_a_break_and_what_comes_after_opens_the_next(
    database: Database,
) -> None:
    """Given a break that is recovered, then a late fact of before joins it, and one of after opens another."""
    customer, kind = new_id(), own_kind()
    await make_rule(database, twice_in(30, kind))
    await put_fact(database, kind, customer, NOON - DAY)
    (first,) = await happen(database, kind, customer)
    assert await happen(database, kind, customer, NOON + DAY) == []
    await recover(database, first, NOON + 3 * DAY)
    late = await put_fact(database, kind, customer, NOON + 2 * DAY)
    assert await look(database, late, now=NOON + 4 * DAY) == []
    (second,) = await happen(database, kind, customer, NOON + 5 * DAY)
    assert len(await proofs_of(database, first)) == 4
    assert len(await proofs_of(database, second)) == 1


async def test_a_fact_that_comes_late_makes_a_later_one_a_break(database: Database) -> None:
    customer, kind = new_id(), own_kind()
    await make_rule(database, twice_in(30, kind))
    assert await happen(database, kind, customer) == []
    early = await put_fact(database, kind, customer, NOON - 3 * DAY)
    (found,) = await look(database, early)
    (row,) = await breaks_of(database, customer)
    assert (row.id, row.broke_at) == (found, NOON)


async def test_history_and_rules_that_do_not_count_open_nothing(database: Database) -> None:
    """Given facts of before the rule applies, of long ago, and of a paused rule, then there is no break."""
    customer, kind = new_id(), own_kind()
    rule = await make_rule(database, twice_in(30, kind, 1), applies_from=NOON - DAY)
    before = await put_fact(database, kind, customer, NOON - 2 * DAY)
    assert await look(database, before) == []
    old = await put_fact(database, kind, customer, NOON)
    assert await look(database, old, now=NOON + 91 * DAY) == []
    async with database.write() as session:
        await pause_break_rule(session, rule, actor="admin", now=NOON)
    assert await happen(database, kind, customer) == []


async def test_thirty_workers_open_one_break(pools: list[Database]) -> None:
    """Given thirty failures, each looked at by a worker of its own at once, then there is one break with all proofs."""
    database, customer, kind = pools[0], new_id(), own_kind()
    await make_rule(database, twice_in(30, kind))
    facts = [await put_fact(database, kind, customer, NOON + timedelta(seconds=n)) for n in range(30)]
    looks = (look(pools[n % 4], fact, now=NOON + DAY) for n, fact in enumerate(facts))
    opened = [one for ids in await asyncio.gather(*looks) for one in ids]
    assert len(opened) == 1
    assert [row.id for row in await breaks_of(database, customer)] == opened
    # The first failure alone is no break: what proves it is found by whoever opens, from the first one on.
    assert await proofs_of(database, opened[0]) >= set(facts[1:])


async def test_thirty_workers_that_look_at_the_same_fact_open_one_break(pools: list[Database]) -> None:
    database, customer, kind = pools[0], new_id(), own_kind()
    await make_rule(database, twice_in(30, kind, 1), same="complaint")
    fact = await put_fact(database, kind, customer, complaint="C")
    opened = await asyncio.gather(*(look(pools[n % 4], fact) for n in range(30)))
    assert sum(len(ids) for ids in opened) == 1
    assert len(await breaks_of(database, customer)) == 1


async def test_a_recovery_is_recorded_once_and_given_back_when_said_again(database: Database) -> None:
    customer, kind = new_id(), own_kind()
    await make_rule(database, twice_in(30, kind, 1))
    (found,) = await happen(database, kind, customer)
    first = await recover(database, found, NOON + DAY, " Called back ")
    again = await recover(database, found, NOON + 2 * DAY, "Called back")
    assert (again.ended_at, again.recovered_by) == (first.ended_at, "manager") == (NOON + DAY, "manager")
    assert (first.status, first.actions, first.repair_seconds) == ("RECOVERED", {"codes": ["APOLOGISED"]}, 86_400)
    assert first.note is not None and "Called" not in first.note
    assert note_of(first, KEY) == "Called back"
    for note in (None, "Something else"):
        with pytest.raises(ServiceBreakEnded):
            await recover(database, found, NOON + 2 * DAY, note)
    async with database.write() as session:
        assert not await expire_break(session, found, now=NOON + 60 * DAY)
    assert TASK_OVER in await owed(database, f"recovery:{found}")
    assert await facts_about(database, found) == ["SERVICE_BREAK_FOUND", "SERVICE_BREAK_RECOVERED"]


async def test_of_sixteen_who_repair_and_give_up_at_once_one_ends_it(pools: list[Database]) -> None:
    database, customer, kind = pools[0], new_id(), own_kind()
    await make_rule(database, twice_in(30, kind, 1))
    (found,) = await happen(database, kind, customer)

    async def end(number: int) -> bool:
        try:
            if number % 2:
                async with pools[number % 4].write() as session:
                    return await expire_break(session, found, now=NOON + 30 * DAY)
            row = await recover(pools[number % 4], found, NOON + 30 * DAY, f"note {number}")
            return note_of(row, KEY) == f"note {number}"
        except KinshipError:
            return False

    assert sum(await asyncio.gather(*(end(number) for number in range(16)))) == 1
    (row,) = await breaks_of(database, customer)
    assert row.status in ("RECOVERED", "EXPIRED")


async def test_a_break_is_given_up_when_its_time_is_over(database: Database) -> None:
    customer, kind = new_id(), own_kind()
    await make_rule(database, twice_in(30, kind, 1), expires_days=10)
    (found,) = await happen(database, kind, customer)
    async with database.write() as session:
        assert not await expire_break(session, found, now=NOON + 10 * DAY - timedelta(seconds=1))
        assert await expire_break(session, found, now=NOON + 10 * DAY)
        assert not await expire_break(session, found, now=NOON + 10 * DAY)
    with pytest.raises(ServiceBreakEnded):
        await recover(database, found, NOON + 11 * DAY)
    assert TASK_OVER in await owed(database, f"recovery:{found}")


async def test_a_recovery_says_what_was_done_of_a_break_that_there_is(database: Database) -> None:
    with pytest.raises(NotFound):
        await recover(database, new_id())
    async with database.write() as session:
        with pytest.raises(RecoveryInvalid):
            await record_recovery(session, new_id(), actions=[], note=None, data_key=None, actor="rm", now=NOON)


class Model:
    """Breaks of one customer as a plain reading has them: facts in their order, each looked at when it happens."""

    def __init__(self, days: int, count: int, *, same: bool) -> None:
        self.days, self.count, self.same = days, count, same
        self.facts: list[tuple[int, str]] = []
        self.breaks: list[dict[str, Any]] = []

    def fact(self, at: int, cause: str) -> None:
        self.facts.append((at, cause))
        place = len(self.facts) - 1
        near = [
            n
            for n, (when, what) in enumerate(self.facts)
            if at - self.days < when <= at and (not self.same or what == cause)
        ]
        if len(near) < self.count:
            return
        used = {n for one in self.breaks for n in one["proofs"]}
        for one in self.breaks:
            if one["cause"] == cause if self.same else one["ended"] is None or one["ended"] >= at:
                # At this instant it holds for all that happened then.
                one["proofs"] |= {n for n in near if self.facts[n][0] == at and n not in used} | {place}
                return
        self.breaks.append({"cause": cause, "ended": None, "proofs": {n for n in near if n not in used} | {place}})

    def recover(self, at: int) -> int | None:
        """The place of the first open break, which ends."""
        for place, one in enumerate(self.breaks):
            if one["ended"] is None:
                one["ended"] = at
                return place
        return None


steps = st.lists(
    st.one_of(
        st.tuples(st.just("fact"), st.integers(0, 4), st.sampled_from(["a", "b"])),
        st.tuples(st.just("recover"), st.integers(0, 2), st.just("")),
    ),
    min_size=1,
    max_size=14,
)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(steps=steps, days=st.integers(1, 6), count=st.integers(1, 3), same=st.booleans())
async def test_breaks_are_those_of_a_plain_reading(
    database: Database, steps: Sequence[tuple[str, int, str]], days: int, count: int, same: bool
) -> None:
    """Given facts and recoveries in any order, then breaks and their proofs are the model's."""
    customer, kind, model = new_id(), own_kind(), Model(days, count, same=same)
    await make_rule(database, twice_in(days, kind, count), same="cause" if same else None)
    ids: list[str] = []
    opened: list[str] = []
    today = 0
    for name, wait, cause in steps:
        today += wait
        at = NOON + today * DAY
        if name == "fact":
            model.fact(today, cause)
            ids.append(await put_fact(database, kind, customer, at, cause=cause))
            opened += await look(database, ids[-1], now=at)
        elif (place := model.recover(today)) is not None:
            await recover(database, opened[place], at)
    assert len(opened) == len(model.breaks)
    for break_id, one in zip(opened, model.breaks, strict=True):
        assert await proofs_of(database, break_id) == {ids[n] for n in one["proofs"]}
