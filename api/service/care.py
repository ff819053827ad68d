"""Days on which customers are greeted, and what became of each greeting; for the customer and who looks after them."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated

import strawberry

from api.context import Info
from api.customers.looked_after import in_care, is_staff, present_in_care
from api.customers.profiles import Customer, load_customer
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from core.days import day_of
from core.db import Session
from core.errors import NotFound
from core.paging import window
from customers.access import access_of, may_read
from customers.profiles import survivor_of
from service.care_calendar import CareCalendar, CareDay, Festival, next_occurrences
from service.care_dates import CareDate as CareDateRow
from service.care_dates import (
    NewCareDate,
    add_care_date,
    care_dates_of,
    day_of_date,
    find_care_date,
    remove_care_date,
)
from service.care_kinds import CareKind, CareSilence, CareSource, CareStatus
from service.care_occasions import CareOccasion, occasions_of
from service.care_words import OCCASIONS

strawberry.enum(CareKind, name="CareKind", description="What a day is about; a customer has one of each at most.")
strawberry.enum(CareCalendar, name="CareCalendar", description="By which calendar a day comes back.")
strawberry.enum(
    CareSource, name="CareSource", description="Who told of a day; what only the PROFILE tells gives way to people."
)
strawberry.enum(Festival, name="Festival", description="A day on which those are greeted whom the policy names.")
strawberry.enum(
    CareStatus,
    name="CareStatus",
    description="Only PLANNED changes. OWED: it was handed over to be sent; why a message was not is in messages.",
)
strawberry.enum(CareSilence, name="CareSilence", description="Why somebody was not greeted.")

MOST_DATES = 10


@strawberry.enum(description="What a greeting is for.")
class CareGreetingKind(StrEnum):
    """The kinds of days, and festivals."""

    BIRTHDAY = "BIRTHDAY"
    WEDDING = "WEDDING"
    WITH_BANK = "WITH_BANK"
    FESTIVAL = "FESTIVAL"


@strawberry.type(description="When a day is kept.")
class CareOccurrence:
    day: date = strawberry.field(description="The day, in the Gregorian calendar.")
    year: int = strawberry.field(description="The year of the day's own calendar.")


@strawberry.type(
    description="A day of a customer. 29 February is kept on the 28th in common years, the thirtieth of a lunar month "
    "on the twenty-ninth of a short one, a day of a leap month in the ordinary one of years without that leap month."
)
class CareDate(Node):
    kind: CareKind = strawberry.field(description="What it is about.")
    calendar: CareCalendar = strawberry.field(description="By which calendar it comes back.")
    month: int = strawberry.field(description="The month, 1 to 12.")
    day: int = strawberry.field(description="The day of the month.")
    is_leap_month: bool = strawberry.field(description="Whether it is of a lunar leap month.")
    year: int | None = strawberry.field(description="The year in which it began, in its own calendar.")
    source: CareSource = strawberry.field(description="Who told of it.")
    added_by: str = strawberry.field(description="Who noted it.")
    added_at: datetime = strawberry.field(description="When.")
    row: strawberry.Private[CareDateRow]
    own: strawberry.Private[CareDay]

    @strawberry.field(description="Whose day it is.")
    async def customer(self, info: Info) -> Customer | None:
        return await load_customer(info, self.row.customer_id)

    @strawberry.field(description="When it is kept next, from today in the bank's time zone.")
    def next_dates(
        self, info: Info, first: Annotated[int, strawberry.argument(description="How many, 1 to 10.")] = 3
    ) -> list[CareOccurrence]:
        count = max(1, min(first, MOST_DATES))
        found = next_occurrences(self.own, start=today(info), count=count)
        return [CareOccurrence(day=one.day, year=one.year) for one in found]


def today(info: Info) -> date:
    return day_of(info.context.now, info.context.database.zone)


def hash_key(info: Info) -> str:
    return info.context.edge.settings.identity_hash_key.get_secret_value()


def care_date_of(info: Info, row: CareDateRow) -> CareDate:
    own = day_of_date(row, hash_key(info))
    return CareDate(
        id=global_id("CareDate", row.id),
        kind=CareKind(row.kind),
        calendar=own.calendar,
        month=own.month,
        day=own.day,
        is_leap_month=own.is_leap,
        year=row.year,
        source=CareSource(row.source),
        added_by=row.added_by,
        added_at=row.added_at,
        row=row,
        own=own,
    )


@strawberry.type(description="What was planned for a day of a customer, and what became of it.")
class CareGreeting(Node):
    kind: CareGreetingKind = strawberry.field(description="What it is for.")
    festival: Festival | None = strawberry.field(description="Which festival.")
    day: date = strawberry.field(description="The day.")
    due_at: datetime = strawberry.field(description="The hour, by the customer's own clock.")
    status: CareStatus = strawberry.field(description="What became of it.")
    reason: CareSilence | None = strawberry.field(description="Why it was not sent.")
    decided_at: datetime | None = strawberry.field(description="When that was decided.")
    row: strawberry.Private[CareOccasion]

    @strawberry.field(description="Its subject in the language of the request.")
    def subject(self, info: Info) -> str:
        return OCCASIONS[self.row.about].subject[info.context.language != "zh"]

    @strawberry.field(description="Its words, likewise.")
    def body(self, info: Info) -> str:
        return OCCASIONS[self.row.about].body[info.context.language != "zh"]


def greeting_of(row: CareOccasion) -> CareGreeting:
    return CareGreeting(
        id=global_id("CareGreeting", row.id),
        kind=CareGreetingKind(row.kind),
        festival=Festival(row.festival) if row.festival else None,
        day=row.on_day,
        due_at=row.due_at,
        status=CareStatus(row.status),
        reason=CareSilence(row.reason) if row.reason else None,
        decided_at=row.decided_at,
        row=row,
    )


async def load_care_date(info: Info, local: str) -> CareDate | None:
    """A day by its local id, for the customer and who looks after them."""
    context = info.context
    principal = await context.principal()
    async with context.database.read() as session:
        try:
            row = await find_care_date(session, local)
        except NotFound:
            return None
        if await access_of(context.graph, session, principal, row.customer_id, now=context.now) is None:
            return None
    return care_date_of(info, row)


async def load_greeting(info: Info, local: str) -> CareGreeting | None:
    """Likewise a greeting."""
    context = info.context
    principal = await context.principal()
    async with context.database.read() as session:
        row = await session.get(CareOccasion, local)
        if row is None:
            return None
        if await access_of(context.graph, session, principal, row.customer_id, now=context.now) is None:
            return None
    return greeting_of(row)


OfCustomer = Annotated[
    strawberry.ID | None, strawberry.argument(description="Global id of the customer; null: yourself.")
]


async def read_of(info: Info, session: Session, customer_id: str | None) -> str:
    """Of whom is read: oneself, or whom one looks after. Raises Forbidden, and NotSignedUp for who is nobody."""
    context = info.context
    principal = await context.principal()
    local = await context.customer_id() if customer_id is None else local_id("Customer", customer_id, "customerId")
    local = await survivor_of(session, local)
    await may_read(context.graph, session, principal, local, now=context.now)
    return local


async def written_of(info: Info, session: Session, customer_id: str | None) -> tuple[str, str, CareSource]:
    """Of whom is written, who writes, and as what; an erasure waits for it."""
    own = await info.context.viewer_id()
    local = local_id("Customer", customer_id, "input", "customerId") if customer_id else None
    if local is None or local == own:
        own = await info.context.customer_id()
        return own, own, CareSource.CUSTOMER
    found, principal = await present_in_care(info, session, local)
    return found, principal.subject, CareSource.STAFF


@strawberry.input(description="A day of a customer.")
class AddCareDateInput:
    kind: CareKind = strawberry.field(description="BIRTHDAY or WEDDING; the bank's systems tell of WITH_BANK.")
    calendar: CareCalendar = strawberry.field(description="By which calendar it comes back.")
    month: int = strawberry.field(description="The month, 1 to 12.")
    day: int = strawberry.field(description="The day of the month: up to 30 by the lunar calendar.")
    is_leap_month: bool = strawberry.field(description="Whether it is of a lunar leap month.", default=False)
    year: int | None = strawberry.field(
        description="The year in which it began, in its own calendar; nobody is told how many it has been.",
        default=None,
    )
    customer_id: strawberry.ID | None = strawberry.field(
        description="Global id of the customer; null: yourself.", default=None
    )


@strawberry.input(description="Which day.")
class RemoveCareDateInput:
    care_date_id: strawberry.ID = strawberry.field(description="Global id of the day.")


@strawberry.type(description="It is noted.")
class AddCareDateSuccess:
    care_date: CareDate = strawberry.field(description="The day.")


@strawberry.type(description="It is forgotten, with what was planned for it.")
class RemoveCareDateSuccess:
    id: strawberry.ID = strawberry.field(description="Global id of what there was.")


AddCareDateResult = Annotated[AddCareDateSuccess | Refusal, result_union(AddCareDateSuccess)]
RemoveCareDateResult = Annotated[RemoveCareDateSuccess | Refusal, result_union(RemoveCareDateSuccess)]


@strawberry.type
class CareQueries:
    @strawberry.field(description="The days of a customer, for the customer and who looks after them.")
    async def care_dates(self, info: Info, customer_id: OfCustomer = None) -> list[CareDate]:
        async with info.context.database.read() as session:
            local = await read_of(info, session, customer_id)
            return [care_date_of(info, row) for row in await care_dates_of(session, local)]

    @strawberry.field(
        description="What was planned for the days of a customer and for festivals, and what became of it, the latest "
        "day first; likewise."
    )
    async def care_greetings(
        self,
        info: Info,
        customer_id: OfCustomer = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[CareGreeting]:
        size, place = window(first, after, last, before)
        async with info.context.database.read() as session:
            local = await read_of(info, session, customer_id)
            page = await occasions_of(session, local, first=size, after=place)
        return connection(page, place, greeting_of)


@strawberry.type
class CareMutations:
    @strawberry.mutation(
        description="Note a day of your own, or of a customer whom you look after. It takes the place of one that only "
        "the profile tells; another one is to be removed first."
    )
    @refusals
    async def add_care_date(self, info: Info, input: AddCareDateInput) -> AddCareDateResult:
        told = NewCareDate(input.kind, CareDay(input.calendar, input.month, input.day, input.is_leap_month), input.year)
        async with info.context.database.write() as session:
            customer_id, actor, source = await written_of(info, session, input.customer_id)
            row = await add_care_date(
                session,
                customer_id,
                told,
                source=source,
                actor=actor,
                today=today(info),
                hash_key=hash_key(info),
                now=info.context.now,
            )
        return AddCareDateSuccess(care_date=care_date_of(info, row))

    @strawberry.mutation(
        description="Forget a day of your own, or of a customer whom you look after; no system brings it back."
    )
    @refusals
    async def remove_care_date(self, info: Info, input: RemoveCareDateInput) -> RemoveCareDateResult:
        context = info.context
        own = (await context.viewer_id() or "") if is_staff(info) else await context.customer_id()
        care_date_id = local_id("CareDate", input.care_date_id, "input", "careDateId")
        async with context.database.write() as session:
            row = await find_care_date(session, care_date_id)
            if row.customer_id != own:
                await in_care(info, session, row.customer_id, "careDateId")
            actor = own if row.customer_id == own else context.signed_in().subject
            await remove_care_date(session, care_date_id, actor=actor, now=context.now)
        return RemoveCareDateSuccess(id=input.care_date_id)
