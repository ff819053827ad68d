"""Where a seat meets its points: the community holds the one, the ledger the other, and a request brings them together.

Whatever a request leaves unfinished, the worker finishes by the effect that the seat owes (community/prices.py).
"""

from api.context import Context
from community.cancellations import release_seat
from community.prices import Charge, mark_paid
from community.registrations import Standing
from community.waitlist import Promotion
from loyalty.charges import ChargeOver, charge_event, refund_event
from loyalty.ledger import InsufficientPoints


async def settle_standing(context: Context, event_id: str, customer_id: str, standing: Standing) -> None:
    """Charge what a customer's new seat costs, and tell of what has changed; raises InsufficientPoints."""
    promotions = standing.promotions
    try:
        if standing.charge is not None:
            await pay(context, standing.charge)
    except InsufficientPoints:
        promotions = [*promotions, *await release_seat(context.graph, charge_of(standing), now=context.now, tell=False)]
        raise
    finally:
        await tell(context, event_id, customer_id, promotions)


def charge_of(standing: Standing) -> Charge:
    if standing.charge is None:
        raise ValueError("this standing costs nothing")
    return standing.charge


async def pay(context: Context, charge: Charge) -> None:
    """Book the points and mark the seat; where it was given back meanwhile, the points go back too."""
    try:
        async with context.database.write() as session:
            await charge_event(session, **charge.payload, now=context.now)
    except ChargeOver:
        return
    if not await mark_paid(context.graph, charge):
        async with context.database.write() as session:
            await refund_event(session, **charge.payload, now=context.now)


async def tell(context: Context, event_id: str, customer_id: str, promotions: list[Promotion]) -> None:
    """Hint at what is owed, and ring for this customer and for those who got seats through it."""
    channel = f"event:{event_id}"
    await context.changed(channel, customer_id=customer_id)
    for promotion in promotions:
        await context.edge.ring(channel, {"customer_id": promotion.customer_id})
