"""Giving points to another customer."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.context import Info
from api.customers.profiles import Customer, load_customer
from api.loyalty.ledger import Points, points_of
from api.refusals import Refusal, refusals, result_union
from api.relay import Node, global_id, local_id
from customers.profiles import profile
from loyalty.transfers import LONGEST_NOTE, Gift, TransferLimits, transfer
from loyalty.transfers import PointsTransfer as TransferRow

LIMITS = TransferLimits()


@strawberry.type(description="Points that one customer gave to another.")
class PointsTransfer(Node):
    points: int = strawberry.field(description="How many.")
    note: str | None = strawberry.field(description="The giver's words; null where there are none.")
    transferred_at: datetime = strawberry.field(description="When.")
    posting_id: strawberry.ID | None = strawberry.field(description="The posting with both sides of it.")
    sender_local: strawberry.Private[str]
    receiver_local: strawberry.Private[str]

    @strawberry.field(description="Who gave.")
    async def sender(self, info: Info) -> Customer | None:
        return await load_customer(info, self.sender_local)

    @strawberry.field(description="Who received.")
    async def receiver(self, info: Info) -> Customer | None:
        return await load_customer(info, self.receiver_local)


def transfer_of(row: TransferRow) -> PointsTransfer:
    return PointsTransfer(
        id=global_id("PointsTransfer", row.id),
        points=row.points,
        note=row.note,
        transferred_at=row.transferred_at,
        posting_id=global_id("Posting", row.posting_id) if row.posting_id else None,
        sender_local=row.sender_id,
        receiver_local=row.receiver_id,
    )


@strawberry.input(description="What to give to whom.")
class TransferPointsInput:
    customer_id: strawberry.ID = strawberry.field(description="Global id of the customer who receives.")
    points: int = strawberry.field(
        description=f"How many, {LIMITS.smallest} to {LIMITS.largest}; {LIMITS.per_day} in a day of the programme."
    )
    idempotency_key: str = strawberry.field(description="Chosen by the app for this one wish, 8 to 100 characters.")
    note: str | None = strawberry.field(
        description=f"A word to the receiver, at most {LONGEST_NOTE} characters.", default=None
    )


@strawberry.type(description="The points are theirs.")
class TransferPointsSuccess:
    transfer: PointsTransfer = strawberry.field(description="The transfer.")

    @strawberry.field(description="Your points afterwards.")
    async def points(self, info: Info) -> Points:
        return await points_of(info)


TransferPointsResult = Annotated[TransferPointsSuccess | Refusal, result_union(TransferPointsSuccess)]


@strawberry.type
class TransferMutations:
    @strawberry.mutation(
        description="Give points to another customer; they keep when they were earned and when they expire. What the "
        "receiver owes is repaid first. The same key again gives the first answer."
    )
    @refusals
    async def transfer_points(self, info: Info, input: TransferPointsInput) -> TransferPointsResult:
        context = info.context
        sender = await context.customer_id()
        receiver = local_id("Customer", input.customer_id, "input", "customerId")
        async with context.database.write() as session:
            known = await profile(session, receiver)
            gift = Gift(sender, receiver, input.points, input.idempotency_key, input.note, known is not None)
            zone = context.edge.settings.loyalty_time_zone
            row = await transfer(session, gift, zone=zone, now=context.now)
        return TransferPointsSuccess(transfer=transfer_of(row))
