"""The care of a day: who is greeted when, who is left in peace and why, and that whatever dies, it ends the same."""

import asyncio
import os
import signal
import subprocess
import sys
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from core.days import end_of_day
from core.db import Database
from core.facts import NewFact, record_facts
from core.processes import REPOSITORY
from core.traces import move_traces
from customers.consents import ConsentStatus
from graph.eligibility import Tier
from service.care_calendar import CareCalendar, CareDay
from service.care_dates import CARE_DATE_ADDED, remove_care_date
from service.care_kinds import CareKind
from service.care_mutes import MuteReason, mute_care, unmute_care
from service.care_occasions import CareGreeting
from service.care_policies import CareDefinition, activate_care_policy, create_care_policy
from service.care_runs import LEASE, CareRun
from service.traces import TRACES
from tests.conftest import Addresses
from tests.customers.insight import leave, make_people, put_tier
from tests.databases import own_database
from tests.service.caring import (
    DAY,
    LONG_AGO,
    ZONE,
    add,
    allow,
    care,
    greeted,
    living_in,
    nine,
    occasions,
    outcomes,
    owed,
    put_dates,
    say,
    solar,
    tasks_for,
)
from worker.care import is_care_due
from worker.care_dates import on_dates_added

pytestmark = pytest.mark.anyio

SCRIPT = REPOSITORY / "tests" / "worker" / "killed_care.py"
# A Thursday without festivals around it.
BORN = date(2026, 6, 11)
BEFORE = nine(BORN) - 3 * DAY
BIRTHDAY = CareKind.BIRTHDAY
OWED: list[tuple[str, str | None]] = [("OWED", None)]


async def set_policy(database: Database, **said: Any) -> None:
    async with database.write() as session:
        row = await create_care_policy(session, CareDefinition(**said).model_dump(mode="json"), actor="a", now=LONG_AGO)
        await activate_care_policy(session, row.id, actor="a", now=LONG_AGO)


async def test_a_birthday_is_greeted_at_nine_and_staff_know_three_days_before(
    stores: Addresses, tmp_path: Path
) -> None:
    """Given a birthday, then a task is owed three days before, and the greeting at nine and not a moment before."""
    async with own_database(stores, tmp_path) as database:
        one, other = await make_people(database, 2)
        await allow(database, one, other)
        ids = await put_dates(database, (one, BIRTHDAY, solar(6, 11)), (other, BIRTHDAY, solar(6, 12)))
        assert await care(database, BEFORE - DAY) == 0 and await tasks_for(database) == []
        assert await care(database, BEFORE) == 0 and await tasks_for(database) == [one]
        task = (await owed(database, "task.owed"))[0].payload
        assert (task["kind"], task["due_at"]) == ("CARE", end_of_day(BORN, ZONE).isoformat())
        assert await care(database, nine(BORN) - timedelta(seconds=1)) == 0
        assert await care(database, nine(BORN)) == 1
        for later in (0, 1, 5):
            assert await care(database, nine(BORN) + timedelta(hours=later)) == 0
        (message,) = await owed(database)
        assert message.key == f"care:{ids[0]}:2026"
        assert message.payload == {
            "category": "CARE",
            "customer_id": one,
            "template": "care.birthday",
            "subject": task["subject"],
            "values": {},
            "expires_at": end_of_day(BORN, ZONE).isoformat(),
        }
        assert await tasks_for(database) == sorted([one, other])


async def test_nine_is_nine_where_the_customer_is(stores: Addresses, tmp_path: Path) -> None:
    """Given people from the first zone of the earth to the last, then each is greeted at nine of their own day."""
    zones = ("Pacific/Kiritimati", "Asia/Shanghai", "Europe/Berlin", "America/New_York", "Pacific/Pago_Pago")
    async with own_database(stores, tmp_path) as database:
        people = await make_people(database, len(zones))
        await allow(database, *people)
        await put_dates(database, *((one, BIRTHDAY, solar(6, 11)) for one in people))
        chosen = living_in(dict(zip(people, zones, strict=True)))
        found: dict[str, datetime] = {}
        hour = nine(BORN) - 4 * DAY
        while hour < nine(BORN) + 2 * DAY:
            before = {one for one, _ in await greeted(database)}
            await care(database, hour, zones=chosen)
            found |= {one: hour for one, _ in await greeted(database) if one not in before}
            hour += timedelta(minutes=60)
        assert [found[one] for one in people] == [nine(BORN, zone) for zone in zones]


async def test_who_has_moved_since_is_greeted_by_their_new_clock(stores: Addresses, tmp_path: Path) -> None:
    async with own_database(stores, tmp_path) as database:
        (one,) = await make_people(database, 1)
        await allow(database, one)
        await put_dates(database, (one, BIRTHDAY, solar(6, 11)))
        await care(database, BEFORE)
        moved = living_in({one: "America/New_York"})
        assert await care(database, nine(BORN), zones=moved) == 0
        assert await care(database, nine(BORN, "America/New_York") - timedelta(seconds=1), zones=moved) == 0
        assert await care(database, nine(BORN, "America/New_York"), zones=moved) == 1


async def test_each_silence_keeps_its_reason(stores: Addresses, tmp_path: Path) -> None:
    """Given one customer for each reason, all with the same birthday, then one of them is greeted."""
    async with own_database(stores, tmp_path) as database:
        people = await make_people(database, 12)
        fine, mourning, over, angry, calm, silent, revoked, denied, again, erased, merged, late = people
        await allow(database, *(one for one in people if one not in (silent, denied)))
        await put_dates(database, *((one, BIRTHDAY, solar(6, 11)) for one in people))
        await care(database, BEFORE)
        async with database.write() as session:
            for one, until in ((mourning, None), (over, BORN - DAY)):
                await mute_care(
                    session,
                    one,
                    reason=MuteReason.BEREAVEMENT,
                    until=until,
                    actor="rm",
                    today=BORN - 3 * DAY,
                    now=BEFORE,
                )
            facts = [fact(angry, "COMPLAINT_FILED", "1"), fact(calm, "COMPLAINT_FILED", "2")]
            await record_facts(session, [*facts, fact(calm, "COMPLAINT_CLOSED", "2")], now=BEFORE)
        await say(database, revoked, again, status=ConsentStatus.REVOKED, at=BEFORE)
        await say(database, denied, status=ConsentStatus.DENIED, at=BEFORE)
        await allow(database, again, at=BEFORE + DAY)
        # Only one channel is left.
        await say(database, late, status=ConsentStatus.REVOKED, at=BEFORE)
        await say(database, late, status=ConsentStatus.GRANTED, at=BEFORE + DAY, channel="APP")
        await leave(database, erased, merged, fine)

        assert await care(database, nine(BORN)) == 5
        assert await outcomes(database, people) == [
            OWED,
            [("SUPPRESSED", "MUTED")],
            OWED,
            [("SUPPRESSED", "OPEN_COMPLAINT")],
            OWED,
            [("SUPPRESSED", "NO_CONSENT")],
            [("SUPPRESSED", "CONSENT_REVOKED")],
            [("SUPPRESSED", "NO_CONSENT")],
            OWED,
            [("SUPPRESSED", "GONE")],
            [("SUPPRESSED", "GONE")],
            OWED,
        ]
        assert {one for one, _ in await greeted(database)} == {fine, over, calm, again, late}


def fact(customer_id: str, kind: str, name: str) -> NewFact:
    key = f"{name}:{kind}"
    return NewFact("desk", key, kind, customer_id, BEFORE, {"complaint": name})


async def test_staff_are_told_of_nobody_who_mourns_or_does_not_allow_it(stores: Addresses, tmp_path: Path) -> None:
    """Given a mute and a refusal, then no task; a complaint leaves it to staff. A mute ends the task that is there."""
    async with own_database(stores, tmp_path) as database:
        mourning, refusing, angry, later = people = await make_people(database, 4)
        await allow(database, mourning, angry, later)
        await put_dates(database, *((one, BIRTHDAY, solar(6, 11)) for one in people))
        async with database.write() as session:
            await mute(session, mourning, None)
            await record_facts(session, [fact(angry, "COMPLAINT_FILED", "1")], now=BEFORE)
        await care(database, BEFORE)
        assert await tasks_for(database) == sorted([angry, later])
        async with database.write() as session:
            await mute(session, later, BORN)
        assert await tasks_for(database) == [angry]
        async with database.write() as session:
            assert await unmute_care(session, later, actor="rm", now=BEFORE) == 1
        assert await care(database, nine(BORN)) == 1
        assert await outcomes(database, [refusing, later]) == [[("SUPPRESSED", "NO_CONSENT")], OWED]


async def mute(session: Any, customer_id: str, until: date | None) -> None:
    today = BORN - 4 * DAY
    await mute_care(
        session, customer_id, reason=MuteReason.BEREAVEMENT, until=until, actor="rm", today=today, now=BEFORE - DAY
    )


async def test_nobody_is_greeted_on_qingming(stores: Addresses, tmp_path: Path) -> None:
    """Given birthdays on Qingming and the day after, then the first is silent, and staff have their task for both."""
    async with own_database(stores, tmp_path) as database:
        one, other = people = await make_people(database, 2)
        await allow(database, *people)
        await put_dates(database, (one, BIRTHDAY, solar(4, 5)), (other, BIRTHDAY, solar(4, 6)))
        for ahead in range(-3, 3):
            await care(database, nine(date(2026, 4, 5)) + ahead * DAY)
        assert await outcomes(database, people) == [[("SUPPRESSED", "QINGMING")], OWED]
        assert await tasks_for(database) == sorted(people)


async def test_a_lunar_birthday_comes_by_the_moon(stores: Addresses, tmp_path: Path) -> None:
    """Given the thirtieth of the twelfth month, then in a short year it is the eve of the Spring Festival, once."""
    async with own_database(stores, tmp_path) as database:
        (one,) = await make_people(database, 1)
        await allow(database, one)
        await set_policy(database)
        (date_id,) = await put_dates(database, (one, BIRTHDAY, CareDay(CareCalendar.LUNAR, 12, 30)))
        for day in range(10, 20):
            await care(database, nine(date(2026, 2, day)))
        (row,) = await occasions(database)
        assert (row.on_day, row.year, row.status) == (date(2026, 2, 16), 2025, "OWED")
        assert [row.key for row in await owed(database)] == [f"care:{date_id}:2025"]


async def test_festivals_are_for_the_tiers_of_the_policy(stores: Addresses, tmp_path: Path) -> None:
    """Given a policy for two tiers, then these are greeted by the words of the festival, and staff have no task."""
    async with own_database(stores, tmp_path) as database:
        mass, potential, vip, refusing = people = await make_people(database, 4)
        await allow(database, mass, potential, vip)
        await put_tier(database, potential, "POTENTIAL")
        for one in (vip, refusing):
            await put_tier(database, one, "VIP")
        await set_policy(database, festivals={"DRAGON_BOAT": (Tier.POTENTIAL, Tier.VIP)})
        boats = date(2026, 6, 19)
        for ahead in range(-3, 2):
            await care(database, nine(boats) + ahead * DAY, page=1)
        assert await outcomes(database, people) == [[], OWED, OWED, [("SUPPRESSED", "NO_CONSENT")]]
        assert await greeted(database) == sorted((one, "care.dragon_boat") for one in (potential, vip))
        assert await tasks_for(database) == []
        assert (await owed(database))[0].key == f"care:dragon_boat:{min(potential, vip)}:2026"


async def test_of_two_occasions_on_a_day_the_customers_own_is_greeted(stores: Addresses, tmp_path: Path) -> None:
    """Given a birthday and a wedding day on the Mid-Autumn Festival that is National Day, then one greeting."""
    async with own_database(stores, tmp_path) as database:
        own, none = people = await make_people(database, 2)
        await allow(database, *people)
        await put_dates(database, (own, BIRTHDAY, solar(10, 1)), (own, CareKind.WEDDING, solar(10, 1)))
        day = date(2020, 10, 1)
        for ahead in range(-3, 2):
            await care(database, nine(day) + ahead * DAY)
        assert sorted(await greeted(database)) == sorted([(own, "care.birthday"), (none, "care.mid_autumn")])
        other = ("SUPPRESSED", "OTHER_GREETING")
        assert await outcomes(database, people) == [[("OWED", None), other, other], OWED]
        async with database.read() as session:
            assert len((await session.exec(select(CareGreeting))).all()) == 2


async def test_a_birthday_that_a_merge_took_silences_no_festival(stores: Addresses, tmp_path: Path) -> None:
    """Given a birthday on a festival, planned for a profile whose day goes in a merge because the survivor has another,
    then the survivor is greeted for the festival."""
    async with own_database(stores, tmp_path) as database:
        survivor, merged = await make_people(database, 2)
        await allow(database, survivor)
        await put_dates(database, (survivor, BIRTHDAY, solar(5, 2)), (merged, BIRTHDAY, solar(10, 1)))
        day = date(2020, 10, 1)
        for ahead in range(-3, 0):
            await care(database, nine(day) + ahead * DAY)
        async with database.write() as session:
            await move_traces(session, TRACES, merged, survivor)
        await care(database, nine(day))
        assert await greeted(database) == [(survivor, "care.mid_autumn")]


async def test_what_was_missed_is_noted_and_its_tasks_are_made(stores: Addresses, tmp_path: Path) -> None:
    """Given workers that were away for eight days, then nobody is greeted late, and staff know of all."""
    async with own_database(stores, tmp_path) as database:
        people = await make_people(database, 10)
        await allow(database, *people)
        dates = [(one, BIRTHDAY, solar(6, 8 + number)) for number, one in enumerate(people)]
        await put_dates(database, *dates)
        # Planned are the eighth to the eleventh; then nobody works until the evening of the sixteenth.
        await care(database, nine(date(2026, 6, 8)))
        back = nine(date(2026, 6, 16)) + timedelta(hours=9)
        assert await care(database, back) == 1
        missed: list[tuple[str, str | None]] = [("MISSED", "DAY_IS_OVER")]
        expected = [OWED, *([missed] * 7), OWED, [("PLANNED", None)]]
        assert await outcomes(database, people) == expected
        assert await tasks_for(database) == sorted(people)
        due = {row.payload["customer_id"]: row.payload["due_at"] for row in await owed(database, "task.owed")}
        assert due[people[5]] == end_of_day(date(2026, 6, 16), ZONE).isoformat()


async def test_a_day_that_becomes_known_late_is_planned_at_once(stores: Addresses, tmp_path: Path) -> None:
    """Given days that are noted when the run has passed them, then they are greeted, but for one whose hour is over."""
    async with own_database(stores, tmp_path) as database, stores.graph() as graph:
        soon, today, over, twice = people = await make_people(database, 4)
        await allow(database, *people)
        early = nine(BORN) - timedelta(hours=2)
        await care(database, early)
        await add(database, soon, solar(6, 13), now=early)
        await add(database, today, solar(6, 11), now=early)
        await add(database, twice, solar(6, 12), now=early)
        for _ in range(2):
            await settle(database, graph, early)
        await add(database, over, solar(6, 11), now=nine(BORN) + timedelta(hours=1))
        await settle(database, graph, nine(BORN) + timedelta(hours=1))
        assert await tasks_for(database) == sorted([soon, today, twice])
        for ahead in range(3):
            await care(database, nine(BORN) + ahead * DAY)
        assert await outcomes(database, people) == [OWED, OWED, [], OWED]


async def settle(database: Database, graph: Any, now: datetime) -> None:
    """Plan what was added, as the worker does; done again it plans nothing more."""
    payloads = [row.payload for row in await owed(database, CARE_DATE_ADDED)]
    async with database.write() as session:
        await on_dates_added(session, graph, payloads, now)


async def test_a_day_that_is_removed_takes_its_plans_with_it(stores: Addresses, tmp_path: Path) -> None:
    async with own_database(stores, tmp_path) as database:
        one, other = await make_people(database, 2)
        await allow(database, one, other)
        ids = await put_dates(database, (one, BIRTHDAY, solar(6, 11)), (other, BIRTHDAY, solar(6, 11)))
        await care(database, BEFORE)
        async with database.write() as session:
            await remove_care_date(session, ids[0], actor="rm", now=BEFORE)
        assert await tasks_for(database) == [other]
        assert await care(database, nine(BORN)) == 1
        assert await outcomes(database, [one, other]) == [[], OWED]


async def crowd(database: Database, count: int = 40) -> list[str]:
    """So many customers with the same birthday."""
    people = await make_people(database, count)
    await allow(database, *people)
    await put_dates(database, *((one, BIRTHDAY, solar(6, 11)) for one in people))
    return people


async def test_many_workers_at_once_greet_everybody_once(stores: Addresses, tmp_path: Path) -> None:
    """Given four workers at once, before and at the hour, then there is one task, one message and one row for each."""
    async with own_database(stores, tmp_path) as database:
        people = await crowd(database)
        others = [Database(database.url, timeout=60) for _ in range(3)]
        try:
            for now in (BEFORE, nine(BORN)):
                sent = await asyncio.gather(*(care(one, now, page=3) for one in (database, *others)))
            assert sum(sent) == len(people)
        finally:
            for one in others:
                await one.close()
        assert [one for one, _ in await greeted(database)] and len(await greeted(database)) == len(people)
        assert await tasks_for(database) == sorted(people)
        assert await outcomes(database, people) == [OWED] * len(people)
        async with database.read() as session:
            runs = (await session.exec(select(CareRun).where(CareRun.day == BORN, CareRun.part == "DATES"))).all()
        assert len(runs) == 8 and all(run.finished_at is not None for run in runs)
        assert sum(run.planned for run in runs) == sum(run.looked_at for run in runs) == len(people)


def run_killed(stores: Addresses, url: str, point: str, statement: str, number: int, now: datetime) -> int:
    environment = {**os.environ, **stores.environment(), "DATABASE_URL": url}
    command = [sys.executable, str(SCRIPT), point, statement, str(number), now.isoformat()]
    found = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, check=False)
    assert found.returncode in (0, -signal.SIGKILL), found.stderr.decode()[-2000:]
    return found.returncode


@pytest.mark.parametrize(
    ("point", "statement", "number"),
    [
        ("before-commit", "UPDATE care_run", 3),
        ("after-commit", "UPDATE care_run", 12),
        ("before-commit", "INSERT INTO care_occasion", 2),
        ("after-commit", "INSERT INTO care_occasion", 4),
        ("before-commit", "UPDATE care_occasion", 2),
        ("after-commit", "UPDATE care_occasion", 3),
    ],
)
async def test_killed_anywhere_and_run_again_it_ends_the_same(
    stores: Addresses, tmp_path: Path, point: str, statement: str, number: int
) -> None:
    """Given a worker that dies by SIGKILL while it plans or while it greets, then the next one does the rest, once."""
    async with own_database(stores, tmp_path) as database:
        people = await crowd(database, 24)
        while_planning = "care_occasion" not in statement or statement.startswith("INSERT")
        died_at = BEFORE if while_planning else nine(BORN)
        if not while_planning:
            await care(database, BEFORE)
        assert run_killed(stores, database.url, point, statement, number, died_at) == -signal.SIGKILL
        assert await care(database, died_at + LEASE, page=3) >= 0
        assert await tasks_for(database) == sorted(people)
        await care(database, nine(BORN) + LEASE)
        assert sorted(await greeted(database)) == sorted((one, "care.birthday") for one in people)
        assert await outcomes(database, people) == [OWED] * len(people)
        assert await care(database, nine(BORN) + 2 * LEASE) == 0


async def test_what_is_due_is_known_cheaply(stores: Addresses, tmp_path: Path) -> None:
    async with own_database(stores, tmp_path) as database:
        (one,) = await crowd(database, 1)
        assert await is_care_due(database, now=BEFORE)
        await care(database, BEFORE)
        before = database.statements
        assert not await is_care_due(database, now=BEFORE + timedelta(hours=1))
        assert database.statements - before <= 6
        assert await is_care_due(database, now=BEFORE + DAY)
        for ahead in (1, 2):
            await care(database, BEFORE + ahead * DAY)
        night = nine(BORN) - timedelta(hours=8)
        await care(database, night)
        assert not await is_care_due(database, now=nine(BORN) - timedelta(seconds=1))
        assert await is_care_due(database, now=nine(BORN))
        await care(database, nine(BORN))
        assert not await is_care_due(database, now=nine(BORN))
        assert await outcomes(database, [one]) == [OWED]


async def test_a_page_costs_the_same_however_many_customers_it_has(stores: Addresses, tmp_path: Path) -> None:
    costs: list[int] = []
    for count in (2, 20):
        folder = tmp_path / str(count)
        folder.mkdir()
        async with own_database(stores, folder) as database:
            people = await make_people(database, count)
            await allow(database, *people)
            await put_dates(database, *((one, BIRTHDAY, solar(6, 11)) for one in people))
            await care(database, BEFORE)
            before = database.statements
            await care(database, nine(BORN) - 5 * timedelta(hours=1) + timedelta(hours=5))
            costs.append(database.statements - before)
    assert costs[0] == costs[1]
