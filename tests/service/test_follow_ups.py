"""Follow-ups in their stores: one task however many look and log at once, and days that move as they should."""

import asyncio
from datetime import datetime, timedelta

import pytest

from core.db import Database
from core.fact_kinds import INTERACTION_LOGGED
from core.ids import new_id
from core.messages import MESSAGE_OWED
from core.tasks import TASK_OWED, TaskKind
from core.traces import all_traces, move_traces
from graph.eligibility import Tier
from service.follow_up_definition import InteractionKind, Obligation
from service.follow_ups import FOLLOW_UP_MISSED, merge_follow_ups, retier
from service.task_ends import cancel_task, complete_task
from service.task_words import CancelReason
from service.tasks import TaskOutcome, TaskStatus
from tests.service.serving import (
    DAY,
    NOON,
    TODAY,
    facts_about,
    follow_ups,
    logged,
    look_on,
    owed,
    set_tier,
    settle_tasks,
    tasks_of,
)

pytestmark = pytest.mark.anyio

PHONE, VISIT, BROADCAST = InteractionKind.PHONE, InteractionKind.FACE_TO_FACE, InteractionKind.BROADCAST


async def vip(database: Database) -> str:
    customer = new_id()
    await set_tier(database, customer, Tier.VIP)
    return customer


async def test_a_tier_is_owed_its_contacts_from_the_day_of_the_first_look(database: Database) -> None:
    some_vip, potential, mass = await vip(database), new_id(), new_id()
    await set_tier(database, potential, Tier.POTENTIAL)
    await look_on(database, [some_vip, potential, mass], NOON)
    found = await follow_ups(database, some_vip)
    assert {name: row.next_on for name, row in found.items()} == {
        "CONTACT": TODAY + 30 * DAY,
        "FACE_TO_FACE": TODAY + 90 * DAY,
    }
    assert {name: row.next_on for name, row in (await follow_ups(database, potential)).items()} == {
        "CONTACT": TODAY + 90 * DAY
    }
    (row,) = (await follow_ups(database, mass)).values()
    assert row.next_on is not None and TODAY < row.next_on <= TODAY + 180 * DAY


async def test_what_was_logged_before_the_first_look_counts(database: Database) -> None:
    customer = await vip(database)
    await logged(database, customer, PHONE, NOON, at=NOON - 20 * DAY)
    await look_on(database, [customer], NOON)
    found = await follow_ups(database, customer)
    assert (found["CONTACT"].next_on, found["CONTACT"].last_on) == (TODAY + 10 * DAY, TODAY - 20 * DAY)
    assert (found["FACE_TO_FACE"].next_on, found["FACE_TO_FACE"].last_on) == (TODAY + 90 * DAY, None)


async def test_logging_moves_the_day_and_a_broadcast_never_does(database: Database) -> None:
    """Given a VIP, then a call moves the contact alone, a visit both, and a broadcast nothing."""
    customer = await vip(database)
    await look_on(database, [customer], NOON)

    async def days() -> list[object]:
        return [row.next_on for _, row in sorted((await follow_ups(database, customer)).items())]

    await logged(database, customer, BROADCAST, NOON + 5 * DAY)
    assert await days() == [TODAY + 30 * DAY, TODAY + 90 * DAY]
    await logged(database, customer, PHONE, NOON + 5 * DAY)
    assert await days() == [TODAY + 35 * DAY, TODAY + 90 * DAY]
    await logged(database, customer, VISIT, NOON + 7 * DAY)
    assert await days() == [TODAY + 37 * DAY, TODAY + 97 * DAY]
    await logged(database, customer, PHONE, NOON + 8 * DAY, at=NOON + 2 * DAY)
    assert await days() == [TODAY + 37 * DAY, TODAY + 97 * DAY]
    told = await facts_about(database, customer, INTERACTION_LOGGED)
    assert sorted(one["kind"] for one in told) == ["BROADCAST", "FACE_TO_FACE", "PHONE", "PHONE"]


async def test_one_overdue_task_that_is_missed_once_and_over_with_the_contact(database: Database) -> None:
    """Given a VIP whom nobody calls, then forty days of looks open one task and miss it once; a call ends it."""
    customer = await vip(database)
    for day in range(41):
        await look_on(database, [customer], NOON + day * DAY)
        await settle_tasks(database, [customer], now=NOON + day * DAY)
    (task,) = await tasks_of(database, customer)
    assert (task.kind, task.status, task.priority) == (TaskKind.FOLLOW_UP, TaskStatus.OPEN, 2)
    # It was opened on day 30, and is to be done until the end of day 33 in Shanghai.
    assert task.due_at == NOON.replace(hour=16) + 33 * DAY
    (missed,) = await facts_about(database, customer, FOLLOW_UP_MISSED)
    assert missed == {"obligation": "CONTACT", "day": str(TODAY + 34 * DAY)}
    await logged(database, customer, PHONE, NOON + 41 * DAY)
    (task,) = await tasks_of(database, customer)
    assert (task.status, task.outcome, task.ended_by) == (TaskStatus.DONE, TaskOutcome.CONTACTED, "rm")
    row = (await follow_ups(database, customer))["CONTACT"]
    assert (row.next_on, row.opened_on, row.missed_on, row.number) == (TODAY + 71 * DAY, None, None, 2)


async def test_a_call_between_the_look_and_its_task_leaves_no_task_behind(database: Database) -> None:
    """Given a task that is owed and not opened yet, when the customer is called, then opening it opens nothing."""
    customer = await vip(database)
    await look_on(database, [customer], NOON)
    await look_on(database, [customer], NOON + 30 * DAY)
    await logged(database, customer, PHONE, NOON + 30 * DAY)
    await settle_tasks(database, [customer], now=NOON + 30 * DAY)
    assert [one.status for one in await tasks_of(database, customer)] == [TaskStatus.DONE]


async def test_an_ended_task_begins_the_next_cycle(database: Database) -> None:
    """Given two VIPs with a task, when one is done and one reached nobody, then the next is in 30 days and in 7."""
    done, tried = await vip(database), await vip(database)
    now = NOON + 30 * DAY
    for at in (NOON, now):
        await look_on(database, [done, tried], at)
    await settle_tasks(database, [done, tried], now=now)
    for customer, outcome in ((done, TaskOutcome.DONE), (tried, TaskOutcome.NOT_REACHED)):
        (task,) = await tasks_of(database, customer)
        for _ in range(2):
            async with database.write() as session:
                await complete_task(session, task.id, outcome=outcome, actor="rm", now=now)
    days = [(await follow_ups(database, one))["CONTACT"].next_on for one in (done, tried)]
    assert days == [TODAY + 60 * DAY, TODAY + 37 * DAY]
    await look_on(database, [done, tried], NOON + 37 * DAY)
    await settle_tasks(database, [done, tried], now=NOON + 37 * DAY)
    assert [len(await tasks_of(database, one)) for one in (done, tried)] == [1, 2]
    (_, second) = await tasks_of(database, tried)
    async with database.write() as session:
        await cancel_task(session, second.id, reason=CancelReason.CUSTOMER_DECLINED, actor="rm", now=NOON + 37 * DAY)
    assert (await follow_ups(database, tried))["CONTACT"].next_on == TODAY + 67 * DAY


async def test_another_tier_moves_the_day_and_ends_what_is_due_no_more(database: Database) -> None:
    """Given a VIP with a task, when they fall to POTENTIAL, then it is over, and one face to face is owed no more."""
    customer = await vip(database)
    await logged(database, customer, PHONE, NOON)
    await look_on(database, [customer], NOON)
    await look_on(database, [customer], NOON + 30 * DAY)
    await settle_tasks(database, [customer], now=NOON + 30 * DAY)
    await set_tier(database, customer, Tier.POTENTIAL)
    async with database.write() as session:
        await retier(session, [customer], now=NOON + 31 * DAY)
    found = await follow_ups(database, customer)
    assert (found["CONTACT"].next_on, found["CONTACT"].days) == (TODAY + 90 * DAY, 90)
    assert found["FACE_TO_FACE"].ended_on == TODAY + 31 * DAY
    assert [(one.status, one.outcome) for one in await tasks_of(database, customer)] == [
        (TaskStatus.DONE, TaskOutcome.NO_LONGER_DUE)
    ]
    await set_tier(database, customer, Tier.VIP)
    async with database.write() as session:
        await retier(session, [customer], now=NOON + 60 * DAY)
    found = await follow_ups(database, customer)
    assert found["CONTACT"].next_on == TODAY + 30 * DAY
    assert (found["FACE_TO_FACE"].ended_on, found["FACE_TO_FACE"].next_on) == (None, TODAY + 150 * DAY)
    await look_on(database, [customer], NOON + 60 * DAY)
    await settle_tasks(database, [customer], now=NOON + 60 * DAY)
    assert [one.status for one in await tasks_of(database, customer)] == [TaskStatus.DONE, TaskStatus.OPEN]


async def test_customers_without_a_manager_are_sent_a_message_in_each_cycle(database: Database) -> None:
    customer = new_id()
    for day in range(0, 400, 5):
        await look_on(database, [customer], NOON + day * DAY)
    async with database.read() as session:
        assert 2 <= len(await owed(session, MESSAGE_OWED, [customer])) <= 3
        assert await owed(session, TASK_OWED, [customer]) == []


async def test_many_who_look_and_log_at_once_leave_one_task(pools: list[Database]) -> None:
    """Given a VIP who is due, when sixteen look at once, then one task is owed; when eight log, it is over once."""
    database = pools[0]
    customer = await vip(database)
    await look_on(database, [customer], NOON)
    now = NOON + 30 * DAY
    await asyncio.gather(*(look_on(pools[number % 4], [customer], now) for number in range(16)))
    async with database.read() as session:
        assert len(await owed(session, TASK_OWED, [customer])) == 1
    await settle_tasks(database, [customer], now=now)

    async def act(number: int) -> None:
        pool = pools[number % 4]
        if number % 2:
            await look_on(pool, [customer], now)
        else:
            await logged(pool, customer, PHONE, now, key=f"call-{number % 4}")

    await asyncio.gather(*(act(number) for number in range(16)))
    (task,) = await tasks_of(database, customer)
    assert task.status == TaskStatus.DONE
    row = (await follow_ups(database, customer))["CONTACT"]
    assert (row.next_on, row.number, row.opened_on) == (TODAY + 60 * DAY, 2, None)
    # Two keys were sent four times each.
    assert len(await facts_about(database, customer, INTERACTION_LOGGED)) == 2


async def test_the_first_look_and_the_first_call_at_once_agree(pools: list[Database]) -> None:
    """Given customers of whom nobody knows anything, when looks and calls come at once, then each call counts."""
    customers = [await vip(pools[0]) for _ in range(12)]

    async def look_at_all(pool: Database) -> None:
        await look_on(pool, customers, NOON)

    await asyncio.gather(
        *(look_at_all(pool) for pool in pools),
        *(logged(pools[number % 4], one, VISIT, NOON, at=NOON - 9 * DAY) for number, one in enumerate(customers)),
    )
    for one in customers:
        found = await follow_ups(pools[0], one)
        assert [(row.last_on, row.number) for row in found.values()] == [(TODAY - 9 * DAY, 1)] * 2
        assert {row.next_on for row in found.values()} == {TODAY + 21 * DAY, TODAY + 81 * DAY}


async def test_of_many_who_end_a_task_one_does(pools: list[Database]) -> None:
    """Given an open task, when sixteen complete or cancel it at once, then one of them does, and one cycle begins."""
    customer = await vip(pools[0])
    now = NOON + 30 * DAY
    for at in (NOON, now):
        await look_on(pools[0], [customer], at)
    (task_id,) = await settle_tasks(pools[0], [customer], now=now)

    async def end(number: int) -> str:
        async with pools[number % 4].write() as session:
            if number % 2:
                row = await cancel_task(session, task_id, reason=CancelReason.OTHER, actor=f"rm-{number}", now=now)
            else:
                row = await complete_task(session, task_id, outcome=TaskOutcome.DONE, actor=f"rm-{number}", now=now)
            return row.ended_by or ""

    ends = await asyncio.gather(*(end(number) for number in range(16)), return_exceptions=True)
    assert len([one for one in ends if isinstance(one, str)]) == 1
    assert {type(one).__name__ for one in ends if not isinstance(one, str)} == {"TaskEnded"}
    assert (await follow_ups(pools[0], customer))["CONTACT"].number == 2


async def test_of_two_profiles_the_survivor_knows_the_later_contact(database: Database) -> None:
    """Given a merge, then the other's task is over, and the survivor's day is that of the later contact of both."""
    survivor, merged = await vip(database), await vip(database)
    await look_on(database, [survivor, merged], NOON)
    await look_on(database, [survivor, merged], NOON + 30 * DAY)
    await settle_tasks(database, [survivor, merged], now=NOON + 30 * DAY)
    await logged(database, merged, VISIT, NOON + 30 * DAY, at=NOON + 29 * DAY)
    async with database.write() as session:
        await merge_follow_ups(session, merged, survivor, now=NOON + 30 * DAY)
    found = await follow_ups(database, survivor)
    assert found[Obligation.CONTACT].next_on == TODAY + 59 * DAY
    for one in (survivor, merged):
        assert [task.status for task in await tasks_of(database, one)] == [TaskStatus.DONE]


@pytest.mark.parametrize("tier", [Tier.VIP, Tier.MASS])
async def test_a_survivor_whom_nobody_looked_at_keeps_no_task_that_nobody_finds(database: Database, tier: Tier) -> None:
    """Given a VIP with tasks, merged into somebody without rows, then they are over, what is owed begins anew with the
    contacts that moved, and the task of the new cycle is found when it is done."""
    survivor, merged = new_id(), await vip(database)
    await set_tier(database, survivor, tier)
    now = NOON + 90 * DAY
    await look_on(database, [merged], NOON)
    await logged(database, merged, PHONE, NOON + 10 * DAY)
    await look_on(database, [merged], now)
    await settle_tasks(database, [merged], now=now)
    assert [task.status for task in await tasks_of(database, merged)] == [TaskStatus.OPEN] * 2
    await merge(database, merged, survivor, now)
    tasks = await tasks_of(database, survivor)
    assert [(task.status, task.outcome) for task in tasks] == [(TaskStatus.DONE, TaskOutcome.NO_LONGER_DUE)] * 2
    await look_on(database, [survivor], now)
    found = await follow_ups(database, survivor)
    assert found[Obligation.CONTACT].ended_on is None and found[Obligation.CONTACT].last_on == TODAY + 10 * DAY
    assert (found[Obligation.FACE_TO_FACE].ended_on is None) == (tier == Tier.VIP)
    await settle_tasks(database, [survivor], now=now)
    # VIPs are owed a call and have not had one for eighty days; of the others nobody is called.
    still = [task for task in await tasks_of(database, survivor) if task.status == TaskStatus.OPEN]
    assert len(still) == (1 if tier == Tier.VIP else 0)
    for task in still:
        async with database.write() as session:
            await complete_task(session, task.id, outcome=TaskOutcome.CONTACTED, actor="rm", now=now)
        row = (await follow_ups(database, survivor))[Obligation.CONTACT]
        assert (row.opened_on, row.next_on) == (None, TODAY + 120 * DAY)


async def merge(database: Database, merged: str, survivor: str, now: datetime) -> None:
    """What a merge does with follow-ups and all that names the other profile."""
    async with database.write() as session:
        await merge_follow_ups(session, merged, survivor, now=now)
        await move_traces(session, list(all_traces()), merged, survivor)


async def test_a_page_where_nothing_is_due_costs_three_statements(database: Database) -> None:
    """Given customers who were looked at, then a day on which nothing is due reads tiers, rows and the policy."""
    customers = [await vip(database) for _ in range(20)]
    await look_on(database, customers, NOON)
    before = database.statements
    await look_on(database, customers, NOON + timedelta(days=1))
    assert database.statements - before == 3
