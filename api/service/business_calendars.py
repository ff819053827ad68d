"""Business calendars, which administrators keep."""

from datetime import date, datetime
from typing import Annotated, Any

import strawberry
from strawberry.scalars import JSON

from api.context import Info
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from api.service.complaints import staff_of_complaints
from core.business_calendar import is_provisional, is_working_day, provisional_from
from core.days import day_of
from core.paging import window
from service.calendars import BusinessCalendar as CalendarRow
from service.calendars import (
    create_business_calendar,
    list_calendars,
    update_business_calendar,
)


@strawberry.type(description="When a house is open: weekly hours, public holidays and working weekends.")
class BusinessCalendar(Node):
    version: int = strawberry.field(description="Its number; it grows with every change.")
    name: str = strawberry.field(description="Its name in the language of the request.")
    definition: JSON = strawberry.field(description="Hours, country and days of its own; docs/complaints.md.")
    provisional_from: date | None = strawberry.field(
        description="From when on it is not known yet which weekends are worked; null where none ever are."
    )
    updated_by: str = strawberry.field(description="Who changed it last.")
    updated_at: datetime = strawberry.field(description="When.")
    row: strawberry.Private[CalendarRow]

    @strawberry.field(description="Whether a day is worked; today by default.")
    def is_working_day(
        self, info: Info, day: Annotated[date | None, strawberry.argument(description="Which day.")] = None
    ) -> bool:
        found = self.row.calendar()
        return is_working_day(found, day or day_of(info.context.now, found.zone))

    @strawberry.field(description="Whether it may turn out otherwise.")
    def is_provisional(self, day: Annotated[date, strawberry.argument(description="Which day.")]) -> bool:
        return is_provisional(self.row.calendar(), day)


def calendar_of(info: Info, row: CalendarRow) -> BusinessCalendar:
    definition: Any = row.definition
    return BusinessCalendar(
        id=global_id("BusinessCalendar", row.id),
        version=row.version,
        name=info.context.text(row, "name"),
        definition=definition,
        provisional_from=provisional_from(row.calendar()),
        updated_by=row.updated_by,
        updated_at=row.updated_at,
        row=row,
    )


@strawberry.input(description="A new business calendar.")
class CreateBusinessCalendarInput:
    name_zh: str = strawberry.field(description="Its Chinese name, 1 to 100 characters.")
    name_en: str = strawberry.field(description="Its English name, 1 to 100 characters.")
    definition: JSON = strawberry.field(description="Hours, country and days of its own; docs/complaints.md.")


@strawberry.input(description="What changes of a business calendar; what is left out stays.")
class UpdateBusinessCalendarInput:
    calendar_id: strawberry.ID = strawberry.field(description="Global id of the calendar.")
    name_zh: str | None = strawberry.field(default=strawberry.UNSET, description="Its Chinese name.")
    name_en: str | None = strawberry.field(default=strawberry.UNSET, description="Its English name.")
    definition: JSON | None = strawberry.field(default=strawberry.UNSET, description="The definition as a whole.")


@strawberry.type(description="The calendar as it is now.")
class BusinessCalendarSuccess:
    calendar: BusinessCalendar = strawberry.field(description="The calendar.")


BusinessCalendarResult = Annotated[BusinessCalendarSuccess | Refusal, result_union(BusinessCalendarSuccess)]


@strawberry.type
class BusinessCalendarQueries:
    @strawberry.field(description="The bank's calendars, for staff.")
    async def business_calendars(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[BusinessCalendar]:
        size, place = window(first, after, last, before)
        staff_of_complaints(info)
        async with info.context.database.read() as session:
            page = await list_calendars(session, first=size, after=place)
        return connection(page, place, lambda row: calendar_of(info, row))


@strawberry.type
class BusinessCalendarMutations:
    @strawberry.mutation(description="Make a calendar by which promises are counted. For administrators.")
    @refusals
    async def create_business_calendar(self, info: Info, input: CreateBusinessCalendarInput) -> BusinessCalendarResult:
        context = info.context
        actor = context.administrator().subject
        async with context.database.write() as session:
            row = await create_business_calendar(
                session,
                name_zh=input.name_zh,
                name_en=input.name_en,
                definition=input.definition,
                actor=actor,
                now=context.now,
            )
        return BusinessCalendarSuccess(calendar=calendar_of(info, row))

    @strawberry.mutation(
        description="Change a calendar; open complaints that count by it are counted anew. For administrators."
    )
    @refusals
    async def update_business_calendar(self, info: Info, input: UpdateBusinessCalendarInput) -> BusinessCalendarResult:
        context = info.context
        actor = context.administrator().subject
        calendar_id = local_id("BusinessCalendar", input.calendar_id, "input", "calendarId")
        given = {name: getattr(input, name) for name in ("name_zh", "name_en", "definition")}
        changes = {name: value for name, value in given.items() if value is not strawberry.UNSET}
        async with context.database.write() as session:
            row = await update_business_calendar(session, calendar_id, changes, actor=actor, now=context.now)
        return BusinessCalendarSuccess(calendar=calendar_of(info, row))
