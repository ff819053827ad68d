"""Of whom something is asked or done: of oneself, or of a customer whom the asking staff look after."""

from collections.abc import Sequence
from typing import Annotated

import strawberry

from api.context import Info
from api.customers.insight import customers_in_care
from api.customers.looked_after import is_staff, present_in_care
from api.relay import local_id
from core.db import Session
from core.errors import NotFound
from customers.access import may_read
from customers.profiles import known_as, survivor_of

OfCustomer = Annotated[
    strawberry.ID | None,
    strawberry.argument(description="Global id of a customer, for who looks after them; null: yourself."),
]


async def whose(info: Info, session: Session, customer_id: str | None) -> str:
    """Of whom is asked; raises NotSignedUp, and Forbidden for whoever may not see it of this customer."""
    context = info.context
    if customer_id is None:
        return await context.customer_id()
    principal = await context.principal()
    local = await survivor_of(session, local_id("Customer", customer_id, "customerId"))
    await may_read(context.graph, session, principal, local, now=context.now)
    return local


async def those_of(info: Info, session: Session, customer_id: str | None) -> Sequence[str] | None:
    """Of whom a list tells: for staff a customer, their own, or all (None), for customers themselves alone.

    Raises NotFound for somebody whom the asking one does not look after.
    """
    given = local_id("Customer", customer_id, "customerId") if customer_id else None
    if is_staff(info):
        return await customers_in_care(info, session, given)
    own = await info.context.customer_id()
    if given not in (None, own):
        raise NotFound(path=("customerId",))
    return [own]


async def speaking_for(info: Info, session: Session, customer_id: str | None) -> tuple[str, str | None]:
    """Who is spoken for, held until the transaction ends, and the employee who does it; None: the customer.

    Raises NotSignedUp, NotFound, Forbidden.
    """
    given = local_id("Customer", customer_id, "input", "customerId") if customer_id else None
    if given is not None and is_staff(info):
        id, principal = await present_in_care(info, session, given)
        return id, principal.subject
    own = await info.context.customer_id()
    if given not in (None, own):
        raise NotFound(path=("customerId",))
    id, erased = await known_as(session, own)
    if erased is not False:
        raise NotFound
    return id, None
