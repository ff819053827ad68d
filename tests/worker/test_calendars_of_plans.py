"""Steps of plans follow the days of the calendar that their template names, once, whoever looks and however often."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import holidays
import pytest
from holidays.countries.china import China
from sqlmodel import col, select

from core import outbox
from core.db import Database
from core.ids import new_id
from core.outbox import Outbox
from graph.client import GraphClient
from service.action_plan_days import PLANS_RECOUNTED, plans_counted_by, recount_plans
from service.action_plan_definition import ActionPlanTemplateInvalid
from service.action_plan_records import ActionPlan, StepStatus
from service.action_plan_steps import PLAN_STEP_DUE
from service.action_plans import cancel_plan, create_template, start_plan, steps_by_plan
from service.calendars import CALENDAR_CHANGED, FIRST_CALENDAR_ID, create_business_calendar, update_business_calendar
from service.task_words import CancelReason
from tests.conftest import Addresses
from tests.databases import own_database
from tests.service.serving import owed, tasks_of
from tests.service.test_action_plans import definition, step, template_of
from tests.worker.test_complaints import forget_what_was_known
from worker.complaining import on_calendars_changed, on_plans_recounted
from worker.complaints import watch_calendars
from worker.serving import on_steps_due
from worker.work import Stores

pytestmark = pytest.mark.anyio

# Nine in the morning of a Monday in Shanghai, a week without holidays.
MONDAY = datetime(2026, 3, 9, 1, tzinfo=UTC)
DAY = timedelta(days=1)


async def started(database: Database, template: str, now: datetime = MONDAY) -> ActionPlan:
    async with database.write() as session:
        return await start_plan(session, new_id(), template, actor="rm", now=now)


async def steps(database: Database, plan: ActionPlan) -> list[tuple[str, date, bool]]:
    async with database.read() as session:
        found = (await steps_by_plan(session, [plan.id]))[plan.id]
    return [(one.status, one.due_on, one.is_provisional) for one in found]


async def days(database: Database, plan: ActionPlan) -> list[date]:
    return [due_on for _, due_on, _ in await steps(database, plan)]


def march(*numbers: int) -> list[date]:
    return [date(2026, 3, number) for number in numbers]


async def closed_on(database: Database, calendar_id: str, *closed: date, now: datetime) -> None:
    async with database.write() as session:
        change = {"definition": {"closed_days": [str(day) for day in closed]}}
        await update_business_calendar(session, calendar_id, change, actor="he", now=now)


async def count_anew(database: Database, graph: GraphClient, now: datetime) -> None:
    """What the worker does of changed days that is owed; a sweep would give steps of these days their tasks at once."""
    handlers = ((CALENDAR_CHANGED, on_calendars_changed), (PLANS_RECOUNTED, on_plans_recounted))
    for topic, handler in handlers:
        async with database.write() as session:
            waits = select(Outbox).where(Outbox.topic == topic, col(Outbox.settled_at).is_(None))
            rows = (await session.exec(waits)).all()
            await handler(session, graph, [row.payload for row in rows], now)
            for row in rows:
                outbox.settle(row, now=now)


async def test_a_plan_counts_by_the_calendar_that_its_template_names(stores: Addresses, tmp_path: Path) -> None:
    """Given a branch that is closed on Tuesday and open on Saturday, then its working days are counted and not those of
    head office; calendar days are the same for both."""
    async with own_database(stores, tmp_path) as database:
        async with database.write() as session:
            hours = {"closed_days": ["2026-03-10"], "saturday": ["10:00-14:00"]}
            branch = await create_business_calendar(
                session, name_zh="分行", name_en="Branch", definition=hours, actor="he", now=MONDAY
            )
        said = (step(1, days="WORKING"), step(5, days="WORKING"), step(5))
        here = await started(database, await template_of(database, *said, calendar_id=branch.id))
        there = await started(database, await template_of(database, *said))
        assert (here.calendar_id, there.calendar_id) == (branch.id, FIRST_CALENDAR_ID)
        assert await days(database, here) == march(11, 16, 14)
        assert await days(database, there) == march(10, 16, 14)


async def test_days_that_change_move_the_steps_that_wait_once(
    stores: Addresses, tmp_path: Path, graph: GraphClient
) -> None:
    """Given plans with a step that has its task and two that wait, when staff close a day, then those that wait move,
    cancelled plans do not, and on their new day, and not on the old one, they become tasks, once."""
    async with own_database(stores, tmp_path) as database:
        template = await template_of(database, step(0, days="WORKING"), step(2, days="WORKING"), step(2))
        plan, other = await started(database, template), await started(database, template)
        async with database.write() as session:
            await cancel_plan(session, other.id, reason=CancelReason.OTHER, actor="rm", now=MONDAY)
        await due(database, graph, plan, MONDAY)
        assert await days(database, plan) == march(9, 11, 11)
        await closed_on(database, FIRST_CALENDAR_ID, *march(10), now=MONDAY)
        for _ in range(2):
            await count_anew(database, graph, MONDAY)
        assert await days(database, plan) == march(9, 12, 11)
        assert await days(database, other) == march(9, 11, 11)
        assert len(await all_owed(database, plan)) == 3 + 1
        for ahead, tasks in ((2, 2), (3, 3), (3, 3)):
            await due(database, graph, plan, MONDAY + ahead * DAY)
            assert len(await tasks_of(database, plan.customer_id)) == tasks
        assert [status for status, _, _ in await steps(database, plan)] == [StepStatus.OPEN] * 3


async def all_owed(database: Database, plan: ActionPlan) -> list[Any]:
    async with database.read() as session:
        return await owed(session, PLAN_STEP_DUE, [plan.customer_id])


async def due(database: Database, graph: GraphClient, plan: ActionPlan, now: datetime) -> None:
    """What the worker does with the steps that are due by an instant, however often it is told."""
    payloads = [row.payload for row in await all_owed(database, plan) if (row.available_at or now) <= now]
    async with database.write() as session:
        await on_steps_due(session, graph, payloads, now)


async def test_a_day_that_comes_back_is_owed_again(stores: Addresses, tmp_path: Path, graph: GraphClient) -> None:
    """Given a day that is closed, opened and closed again, then the step moves each time and has its task."""
    async with own_database(stores, tmp_path) as database:
        plan = await started(database, await template_of(database, step(2, days="WORKING")))
        for minute, closed in enumerate((march(10), [], march(10))):
            now = MONDAY + timedelta(minutes=minute)
            await closed_on(database, FIRST_CALENDAR_ID, *closed, now=now)
            await count_anew(database, graph, now)
            assert await days(database, plan) == march(12 if closed else 11)
        await due(database, graph, plan, MONDAY + 3 * DAY)
        assert len(await tasks_of(database, plan.customer_id)) == 1


async def test_eight_who_count_anew_move_each_step_once(stores: Addresses, tmp_path: Path) -> None:
    """Given five plans in pages of two, when eight count the same change, then each step moves and is owed once."""
    async with own_database(stores, tmp_path) as database:
        template = await template_of(database, step(2, days="WORKING"))
        plans = [await started(database, template) for _ in range(5)]
        await closed_on(database, FIRST_CALENDAR_ID, *march(10), now=MONDAY)

        async def count() -> int:
            moved, after = 0, ""
            while True:
                async with database.write() as session:
                    page = await plans_counted_by(session, FIRST_CALENDAR_ID, after=after, limit=2)
                    moved += len(await recount_plans(session, page, FIRST_CALENDAR_ID, change="c", now=MONDAY))
                if not page:
                    return moved
                after = page[-1]

        assert sum(await asyncio.gather(*(count() for _ in range(8)))) == 5
        for plan in plans:
            assert await days(database, plan) == march(12)
            assert len(await all_owed(database, plan)) == 2


async def test_plans_that_begin_while_days_change_have_the_new_ones(
    stores: Addresses, tmp_path: Path, graph: GraphClient
) -> None:
    """Given ten plans that are started while staff close a day, then in the end all of them count by it."""
    async with own_database(stores, tmp_path) as database:
        template = await template_of(database, step(2, days="WORKING"))
        closing = closed_on(database, FIRST_CALENDAR_ID, *march(10), now=MONDAY)
        plans, _ = await asyncio.gather(asyncio.gather(*(started(database, template) for _ in range(10))), closing)
        await count_anew(database, graph, MONDAY)
        assert [await days(database, plan) for plan in plans] == [march(12)] * 10


async def test_what_a_newer_library_knows_moves_steps(
    stores: Addresses, tmp_path: Path, graph: GraphClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a step among provisional days, when the library comes to know a working Saturday before it, then it comes
    sooner and is provisional no more."""
    async with own_database(stores, tmp_path) as database:
        worker = Stores(database, graph)
        begin = datetime(2027, 2, 1, 1, tzinfo=UTC)
        plan = await started(database, await template_of(database, step(6, days="WORKING"), step(6)), now=begin)
        (first, calendar) = await steps(database, plan)
        assert first[2] and not calendar[2]
        await watch_calendars(worker, now=begin)
        await count_anew(database, graph, begin)

        class Newer(China):
            """What the next release may know."""

            def _populate(self, year: int) -> None:
                super()._populate(year)
                if year == 2027:
                    self.weekend_workdays.add(date(2027, 2, 6))

        known = holidays.country_holidays

        def newer(country: str, **given: Any) -> Any:
            return Newer(**given) if country == "CN" else known(country, **given)

        monkeypatch.setattr(holidays, "country_holidays", newer)
        forget_what_was_known()
        try:
            for changed in (1, 0):
                assert await watch_calendars(worker, now=begin) == changed
                await count_anew(database, graph, begin)
                status, due_on, is_provisional = (await steps(database, plan))[0]
                assert status == StepStatus.PENDING and due_on < first[1] and not is_provisional
                assert (await steps(database, plan))[1] == calendar
        finally:
            monkeypatch.undo()
            forget_what_was_known()


async def test_a_calendar_that_is_not_there_is_refused(stores: Addresses, tmp_path: Path) -> None:
    async with own_database(stores, tmp_path) as database:
        async with database.write() as session:
            with pytest.raises(ActionPlanTemplateInvalid) as caught:
                await create_template(session, definition(calendar_id=new_id()), actor="he", now=MONDAY)
        assert caught.value.path == ("definition", "calendarId")
