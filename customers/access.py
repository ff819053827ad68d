"""Who may look after a customer: administrators, the customer's own manager, and who breaks the glass for a time.

Whether a customer is absent or another's, staff get the same answer, FORBIDDEN; so nobody finds out who is a customer.
Breaking the glass is the one exception: that it succeeds tells of a customer, and it is audited and told for that.
Denials, and each use of a broken glass, are audited in a transaction of their own, whatever becomes of the caller's.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial

from sqlalchemy import Index
from sqlmodel import Field, col, select

from core.audit import checked_reason, record_change
from core.db import Record, Session, afterwards, instant
from core.errors import BadUserInput, Forbidden, NotFound
from core.ids import new_id
from core.paging import Page, Place, cut, newest_first, page_size
from core.principal import Principal, Role
from customers.care import customers_of, served_by
from customers.profiles import known_as
from graph.client import GraphClient

BROKEN_FOR = timedelta(hours=4)


class BreakGlassReasonInvalid(BadUserInput):
    code = "BREAK_GLASS_REASON_INVALID"
    en = "A reason has 1 to 500 characters."
    zh = "理由需为1至500个字符。"


class Access(StrEnum):
    """As what somebody reads what is private of a customer."""

    SELF = "SELF"
    MANAGER = "MANAGER"
    ADMINISTRATOR = "ADMINISTRATOR"
    BREAK_GLASS = "BREAK_GLASS"


class BreakGlass(Record, table=True):
    """Access that a relationship manager took to another's customer, with a reason and an end."""

    __table_args__ = (
        Index("ix_break_glass_employee", "employee_id", "customer_id", "until"),
        Index("ix_break_glass_customer", "customer_id", "granted_at", "id"),
        Index("ix_break_glass_granted", "granted_at", "id"),
    )

    id: str = Field(primary_key=True)
    customer_id: str
    employee_id: str
    reason: str
    granted_at: datetime = instant()
    until: datetime = instant()


async def may_look_after(
    graph: GraphClient, session: Session, principal: Principal, customer_id: str, *, now: datetime
) -> Access:
    """As what staff act on a customer; raises Forbidden for all others, also where there is no such customer."""
    found = await access_of(graph, session, principal, customer_id, now=now)
    if found in (None, Access.SELF):
        deny(session, principal, customer_id, now=now)
        raise Forbidden
    return found


async def may_read(
    graph: GraphClient, session: Session, principal: Principal, customer_id: str, *, now: datetime
) -> Access:
    """Likewise for reading, which customers may do of their own."""
    found = await access_of(graph, session, principal, customer_id, now=now)
    if found is None:
        deny(session, principal, customer_id, now=now)
        raise Forbidden
    return found


async def access_of(
    graph: GraphClient, session: Session, principal: Principal, customer_id: str, *, now: datetime
) -> Access | None:
    """As what somebody sees what is private of a customer; None for nothing. A broken glass is audited when used."""
    return (await accesses_of(graph, session, principal, [customer_id], now=now)).get(customer_id)


async def accesses_of(
    graph: GraphClient, session: Session, principal: Principal, ids: Sequence[str], *, now: datetime
) -> dict[str, Access]:
    """Likewise of many, by two questions for all of them; those of whom nothing is seen are left out."""
    found, others = accesses_at_hand(principal, ids)
    if not others:
        return found
    own = await served_by(graph, principal.subject, others)
    strangers = [id for id in others if id not in own]
    broken = await broken_glasses(session, principal.subject, strangers, now=now) if strangers else set[str]()
    for id in sorted(broken):
        afterwards(session, partial(audited, customer_id=id, action="glass_used", actor=principal.subject, now=now))
    return found | dict.fromkeys(own, Access.MANAGER) | dict.fromkeys(broken, Access.BREAK_GLASS)


def access_at_hand(principal: Principal, customer_id: str) -> Access | None:
    """As what somebody sees a customer by what the sign-in alone says; None where it says nothing."""
    if customer_id == principal.customer_id:
        return Access.SELF
    return Access.ADMINISTRATOR if principal.is_administrator else None


def accesses_at_hand(principal: Principal, ids: Sequence[str]) -> tuple[dict[str, Access], list[str]]:
    """Likewise of many, and of whom one has to look whether a manager sees them."""
    found = {id: access for id in ids if (access := access_at_hand(principal, id)) is not None}
    is_manager = principal.has(Role.RELATIONSHIP_MANAGER)
    return found, [id for id in ids if id not in found] if is_manager else []


def deny(session: Session, principal: Principal, customer_id: str, *, now: datetime) -> None:
    """Have it audited that staff asked for what they may not see; customers who guess are no staff."""
    if principal.has(Role.RELATIONSHIP_MANAGER, Role.COMPLAINTS_OFFICER):
        afterwards(
            session, partial(audited, customer_id=customer_id, action="denied", actor=principal.subject, now=now)
        )


async def audited(session: Session, *, customer_id: str, action: str, actor: str, now: datetime) -> None:
    await record_change(session, "customer", customer_id, action, actor=actor, now=now)


MANAGERS = """
MATCH (:Customer {id: $customer_id})-[:SERVED_BY]->(e:Employee)
RETURN DISTINCT e.id AS id
ORDER BY id
"""


async def managers_of(graph: GraphClient, customer_id: str) -> list[str]:
    """The employee ids of who serves a customer."""
    return [row["id"] for row in await graph.read(MANAGERS, customer_id=customer_id)]


async def broken_glasses(session: Session, employee_id: str, ids: Sequence[str], *, now: datetime) -> set[str]:
    """Those of these customers to whom an employee has taken access for now."""
    statement = select(BreakGlass.customer_id).where(
        BreakGlass.employee_id == employee_id, col(BreakGlass.customer_id).in_(ids), BreakGlass.until > now
    )
    return set((await session.exec(statement)).all())


async def break_glass(
    session: Session, principal: Principal, customer_id: str, *, reason: str, now: datetime
) -> BreakGlass:
    """Give a relationship manager access for four hours, to a merged profile under the id that it has by now.

    Raises Forbidden, BreakGlassReasonInvalid, and NotFound for nobody and the erased.
    """
    if not principal.has(Role.RELATIONSHIP_MANAGER):
        raise Forbidden
    words = checked_reason(reason, BreakGlassReasonInvalid)
    customer_id, erased = await known_as(session, customer_id)
    if erased is not False:
        deny(session, principal, customer_id, now=now)
        raise NotFound(path=("customerId",))
    row = BreakGlass(
        id=new_id(),
        customer_id=customer_id,
        employee_id=principal.subject,
        reason=words,
        granted_at=now,
        until=now + BROKEN_FOR,
    )
    session.add(row)
    await record_change(
        session, "customer", customer_id, "glass_broken", actor=principal.subject, now=now, reason=words
    )
    await session.flush()
    return row


async def list_broken_glasses(
    graph: GraphClient, session: Session, principal: Principal, *, first: int | None, after: Place
) -> Page[BreakGlass]:
    """What the bank's people are told of: all for administrators; of their own customers for managers."""
    size = page_size(first)
    statement = select(BreakGlass)
    if not principal.is_administrator:
        if not principal.has(Role.RELATIONSHIP_MANAGER):
            raise Forbidden
        own = await customers_of(graph, principal.subject)
        statement = statement.where(col(BreakGlass.customer_id).in_(own))
    page = newest_first(statement, col(BreakGlass.granted_at), col(BreakGlass.id), size=size, after=after)
    rows = (await session.exec(page)).all()
    return cut(rows, size, lambda row: (row.granted_at.isoformat(), row.id), after)
