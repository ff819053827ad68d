"""Leaving a customer in peace: said by the customer, or by who looks after them, for a reason that is a code."""

from datetime import date, datetime
from typing import Annotated

import strawberry

from api.context import Info
from api.refusals import Refusal, refusals, result_union
from api.relay import global_id
from api.service.care import OfCustomer, read_of, today, written_of
from service.care_mutes import CareMute as CareMuteRow
from service.care_mutes import MuteReason, mute_care, mutes_of, unmute_care

strawberry.enum(MuteReason, name="CareMuteReason", description="Why somebody is left in peace.")


@strawberry.type(description="A time in which a customer is not greeted.")
class CareMute:
    id: strawberry.ID = strawberry.field(description="Global id.")
    reason: MuteReason = strawberry.field(description="Why.")
    until: date | None = strawberry.field(description="The last day of it; null: until it is ended.")
    muted_by: str = strawberry.field(description="Who said so.")
    begun_at: datetime = strawberry.field(description="Since when.")
    ended_at: datetime | None = strawberry.field(description="When it was ended before its last day.")
    ended_by: str | None = strawberry.field(description="By whom.")


def mute_of(row: CareMuteRow) -> CareMute:
    return CareMute(
        id=global_id("CareMute", row.id),
        reason=MuteReason(row.reason),
        until=row.until,
        muted_by=row.muted_by,
        begun_at=row.begun_at,
        ended_at=row.ended_at,
        ended_by=row.ended_by,
    )


@strawberry.input(description="Whom to leave in peace, why and until when.")
class MuteCareInput:
    reason: MuteReason = strawberry.field(description="Why; a code, so that no words about a person are kept.")
    until: date | None = strawberry.field(description="The last day of it; null: until it is ended.", default=None)
    customer_id: strawberry.ID | None = strawberry.field(
        description="Global id of the customer; null: yourself.", default=None
    )


@strawberry.input(description="Whom to greet again.")
class UnmuteCareInput:
    customer_id: strawberry.ID | None = strawberry.field(
        description="Global id of the customer; null: yourself.", default=None
    )


@strawberry.type(description="There are no greetings, and no tasks about days within it.")
class MuteCareSuccess:
    mute: CareMute = strawberry.field(description="The mute.")


@strawberry.type(description="What comes from now on is greeted again; tasks that were over stay so.")
class UnmuteCareSuccess:
    ended: int = strawberry.field(description="How many mutes were ended.")


MuteCareResult = Annotated[MuteCareSuccess | Refusal, result_union(MuteCareSuccess)]
UnmuteCareResult = Annotated[UnmuteCareSuccess | Refusal, result_union(UnmuteCareSuccess)]


@strawberry.type
class CareMuteQueries:
    @strawberry.field(description="The mutes of a customer, the latest first; for them and who looks after them.")
    async def care_mutes(self, info: Info, customer_id: OfCustomer = None) -> list[CareMute]:
        async with info.context.database.read() as session:
            local = await read_of(info, session, customer_id)
            return [mute_of(row) for row in await mutes_of(session, local)]


@strawberry.type
class CareMuteMutations:
    @strawberry.mutation(
        description="Let yourself, or a customer whom you look after, be left in peace: no greetings, whatever day it "
        "is."
    )
    @refusals
    async def mute_care(self, info: Info, input: MuteCareInput) -> MuteCareResult:
        async with info.context.database.write() as session:
            customer_id, actor, _ = await written_of(info, session, input.customer_id)
            row = await mute_care(
                session,
                customer_id,
                reason=input.reason,
                until=input.until,
                actor=actor,
                today=today(info),
                now=info.context.now,
            )
        return MuteCareSuccess(mute=mute_of(row))

    @strawberry.mutation(description="End all mutes of yourself, or of a customer whom you look after.")
    @refusals
    async def unmute_care(self, info: Info, input: UnmuteCareInput) -> UnmuteCareResult:
        async with info.context.database.write() as session:
            customer_id, actor, _ = await written_of(info, session, input.customer_id)
            ended = await unmute_care(session, customer_id, actor=actor, now=info.context.now)
        return UnmuteCareSuccess(ended=ended)
