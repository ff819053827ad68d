"""Closing days, and what the house owes in points."""

from datetime import date, datetime
from typing import Annotated

import strawberry
from strawberry.scalars import JSON

from api.context import Info
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, connection
from api.scalars import SafeInt
from core.audit import act, record_act
from core.paging import window
from loyalty.adjustments import AREA
from loyalty.day_close import ClosePhase, day_closes, open_days
from loyalty.day_close import DayClose as DayCloseRow
from loyalty.ledger import PostingKind
from loyalty.liability import LiabilityReport as Report
from loyalty.liability import liability_report, period_of

strawberry.enum(
    ClosePhase,
    name="ClosePhase",
    description="What a close is at: points become available, points expire, the books are proven; then it is CLOSED.",
)


@strawberry.type(description="The close of one day of the points programme.")
class DayClose:
    day: date = strawberry.field(description="The day, in the programme's time zone.")
    time_zone: str = strawberry.field(description="Which was this one.")
    ends_at: datetime = strawberry.field(description="When the day ended.")
    phase: ClosePhase = strawberry.field(description="What the close is at.")
    activated_lots: int = strawberry.field(description="Lots whose points became available.")
    activated_points: SafeInt = strawberry.field(description="Their points.")
    expired_lots: int = strawberry.field(description="Lots that expired with something left.")
    expired_points: SafeInt = strawberry.field(description="What was left of them.")
    opened_at: datetime = strawberry.field(description="When the close was begun.")
    closed_at: datetime | None = strawberry.field(description="When it was done; null before.")
    holds: bool | None = strawberry.field(description="Whether the books held then; null before.")
    entries: SafeInt | None = strawberry.field(description="Entries in the books that were proven.")
    findings: JSON = strawberry.field(
        description="What did not hold, by the names of trialBalance; empty where all did."
    )


def close_of(row: DayCloseRow) -> DayClose:
    return DayClose(
        day=row.day,
        time_zone=row.time_zone,
        ends_at=row.ends_at,
        phase=ClosePhase(row.phase),
        activated_lots=row.activated_lots,
        activated_points=SafeInt(row.activated_points),
        expired_lots=row.expired_lots,
        expired_points=SafeInt(row.expired_points),
        opened_at=row.opened_at,
        closed_at=row.closed_at,
        holds=row.holds,
        entries=None if row.entries is None else SafeInt(row.entries),
        findings=JSON(row.findings),
    )


@strawberry.input(description="Which day to close.")
class CloseDayInput:
    day: date = strawberry.field(description="A day that is over in the programme's time zone.")


@strawberry.type(description="The close is begun, with those of days before it that were missed; workers do the rest.")
class CloseDaySuccess:
    day_close: DayClose = strawberry.field(description="The day as it is now; ask dayCloses how far it has come.")


CloseDayResult = Annotated[CloseDaySuccess | Refusal, result_union(CloseDaySuccess)]


@strawberry.type(description="Points that postings of one kind brought to customers and took from them.")
class LiabilityMovement:
    kind: PostingKind = strawberry.field(description="What the postings do.")
    points_in: SafeInt = strawberry.field(description="Points that came to customers.")
    points_out: SafeInt = strawberry.field(description="Points that went.")


@strawberry.type(description="Outstanding points by when they expire.")
class LiabilityMonth:
    month: str = strawberry.field(
        description="Such as 2026-12; OVERDUE: expired, and the day is not closed; LATER: in more than ten years."
    )
    available: SafeInt = strawberry.field(description="Points that can be spent.")
    pending: SafeInt = strawberry.field(description="Points that cannot yet.")


@strawberry.type(description="Points that the house owes, and how they came to be so many; by the instant of booking.")
class LiabilityReport:
    booked_from: datetime = strawberry.field(description="Beginning of the period.")
    booked_before: datetime = strawberry.field(description="Its end, exclusive.")
    opening: SafeInt = strawberry.field(description="Outstanding points at the beginning.")
    movements: list[LiabilityMovement] = strawberry.field(
        description="Opening, plus all that came in, less all that went out, is closing."
    )
    closing: SafeInt = strawberry.field(description="Outstanding points at the end: available and pending together.")
    available: SafeInt = strawberry.field(description="Of these available.")
    pending: SafeInt = strawberry.field(description="Of these pending.")
    months: list[LiabilityMonth] = strawberry.field(description="The closing points by when they expire.")
    owed: SafeInt = strawberry.field(description="Points that customers owe at the end; no part of the above.")
    written_off: SafeInt = strawberry.field(description="Points booked as lost in the period; no part of the above.")
    amount: SafeInt | None = strawberry.field(
        description="Worth of the closing points in minor units, rounded up; null where the points have no worth set."
    )
    currency: str | None = strawberry.field(description="The currency of that.")


def report_of(found: Report, per_thousand: int, currency: str) -> LiabilityReport:
    return LiabilityReport(
        booked_from=found.booked_from,
        booked_before=found.booked_before,
        opening=SafeInt(found.opening),
        movements=[
            LiabilityMovement(kind=one.kind, points_in=SafeInt(one.points_in), points_out=SafeInt(one.points_out))
            for one in found.movements
        ],
        closing=SafeInt(found.closing),
        available=SafeInt(found.available),
        pending=SafeInt(found.pending),
        months=[
            LiabilityMonth(month=one.month, available=SafeInt(one.available), pending=SafeInt(one.pending))
            for one in found.months
        ],
        owed=SafeInt(found.owed),
        written_off=SafeInt(found.written_off),
        amount=SafeInt(-(-found.closing * per_thousand // 1000)) if per_thousand else None,
        currency=currency if per_thousand else None,
    )


@strawberry.type
class DayCloseQueries:
    @strawberry.field(description="The closes of days, the latest first; for administrators.")
    async def day_closes(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[DayClose]:
        size, place = window(first, after, last, before)
        info.context.administrator()
        async with info.context.database.read() as session:
            page = await day_closes(session, first=size, after=place)
        return connection(page, place, close_of)

    @strawberry.field(
        description="Points that the house owes at the end of a day of the programme (null: yesterday) or at an "
        "instant, and what moved them from a day on. For administrators. It folds the whole ledger up to there within "
        "the time limit of one request; the proof of large books is in dayCloses."
    )
    async def liability_report(
        self,
        info: Info,
        day: Annotated[date | None, strawberry.argument(description="The last day of the period.")] = None,
        since: Annotated[
            date | None, strawberry.argument(description="Its first day; null: the first of the month.")
        ] = None,
        as_of: Annotated[
            datetime | None, strawberry.argument(description="Its end, instead of a day; not in the future.")
        ] = None,
    ) -> LiabilityReport:
        context = info.context
        context.administrator()
        settings = context.edge.settings
        zone = settings.loyalty_time_zone
        begin, end = period_of(day, since, as_of, zone=zone, now=context.now)
        async with context.database.read() as session:
            found = await liability_report(session, booked_from=begin, booked_before=end, zone=zone)
        return report_of(found, settings.amount_per_thousand_points, settings.points_currency)


@strawberry.type
class DayCloseMutations:
    @strawberry.mutation(
        description="Close a day that is over, and those before it that were missed; asked again, it does nothing. "
        "Workers close every day by themselves. For administrators."
    )
    @refusals
    async def close_day(self, info: Info, input: CloseDayInput) -> CloseDayResult:
        context = info.context
        actor = context.administrator().subject
        zone = context.edge.settings.loyalty_time_zone
        async with context.database.write() as session:
            row = await open_days(session, until=input.day, zone=zone, now=context.now)
            entry = act(area=AREA, actor=actor, action="DAY_CLOSED", subject=f"day:{row.day}", at=context.now)
            await record_act(session, f"day-close:{row.day}:{actor}", entry)
        await context.edge.enqueue("close_days", str(row.day))
        return CloseDaySuccess(day_close=close_of(row))
