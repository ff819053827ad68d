"""The way of staff to customers, who are their own or, for administrators, anybody."""

from collections.abc import Sequence

from api.context import Info
from core.db import Session
from core.errors import Forbidden, NotFound
from core.principal import Principal, Role
from customers import listing
from customers.access import may_look_after
from customers.profiles import known_as


def is_staff(info: Info) -> bool:
    return info.context.signed_in().has(Role.RELATIONSHIP_MANAGER, Role.ADMINISTRATOR)


def staff(info: Info) -> Principal:
    """The asking relationship manager or administrator; raises Forbidden for anybody else."""
    if not is_staff(info):
        raise Forbidden
    return info.context.signed_in()


def bank_staff(info: Info) -> Principal:
    """The asking employee, whatever they are responsible for; raises Forbidden for customers and systems."""
    principal = info.context.signed_in()
    if not principal.has(Role.RELATIONSHIP_MANAGER, Role.COMPLAINTS_OFFICER, Role.ADMINISTRATOR):
        raise Forbidden
    return principal


async def in_care(info: Info, session: Session, customer_id: str, *path: str) -> None:
    """Raise NotFound with this path for who does not look after the customer, as if there were nothing there."""
    context = info.context
    try:
        await may_look_after(context.graph, session, context.signed_in(), customer_id, now=context.now)
    except Forbidden:
        raise NotFound(path=path) from None


async def present_in_care(info: Info, session: Session, customer_id: str) -> tuple[str, Principal]:
    """The id by which a customer is known by now, for whom staff write of them, and who of the staff it is.

    Raises Forbidden for who does not look after them, NotFound for nobody and the erased. An erasure waits for the
    end of the transaction, so that nothing is written of them after it.
    """
    context = info.context
    principal = await context.principal()
    id, erased = await known_as(session, customer_id)
    await may_look_after(context.graph, session, principal, id, now=context.now)
    if erased is not False:
        raise NotFound(path=("customerId",))
    return id, principal


async def look_after(info: Info, customer_id: str) -> Principal:
    """The asking staff of this customer; raises Forbidden for anybody else, as if there were no such customer."""
    principal, context = staff(info), info.context
    async with context.database.read() as session:
        await may_look_after(context.graph, session, principal, customer_id, now=context.now)
    return principal


async def own_customers(info: Info) -> Sequence[str] | None:
    """The customers whom the asking staff may see; None: all of them. Raises Forbidden for anybody else."""
    return await listing.own_customers(info.context.graph, info.context.signed_in())
