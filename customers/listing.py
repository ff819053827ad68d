"""Lists and counts of customers by a condition, each in one statement, of the whole bank or of one manager's own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func
from sqlmodel import col, select

from core.db import Session, zone_of
from core.errors import BadUserInput, Forbidden
from core.paging import Page, Place, by_text, cut, page_size
from core.principal import Principal, Role
from customers.care import customers_of
from customers.profiles import Customer, is_present
from graph.client import GraphClient
from segments.condition_sql import compiled
from segments.conditions import Condition

LONGEST_NAME = 60


class CustomerFilterInvalid(BadUserInput):
    code = "CUSTOMER_FILTER_INVALID"
    en = "Customers cannot be looked for so."
    zh = "客户筛选条件无效。"


@dataclass(frozen=True, slots=True)
class Looked:
    """Which customers are looked for: by conditions that they all meet, and by a part of the name that others see.

    `own` are the customers of one manager; None is the whole bank.
    """

    conditions: Sequence[Condition] = ()
    name: str | None = None
    own: Sequence[str] | None = None

    def where(self, now: datetime, zone: str) -> list[ColumnElement[bool]]:
        """Raises CustomerFilterInvalid."""
        guards: list[Any] = [
            is_present(),
            *(compiled(one, col(Customer.id), now=now, zone=zone) for one in self.conditions),
        ]
        if self.own is not None:
            guards.append(col(Customer.id).in_(self.own))
        if self.name is not None:
            if not 1 <= len(self.name) <= LONGEST_NAME or "\0" in self.name:
                raise CustomerFilterInvalid(path=("filter", "name"), detail=f"1 to {LONGEST_NAME} characters")
            guards.append(col(Customer.display_name).icontains(self.name, autoescape=True))
        return guards


async def count_customers(session: Session, looked: Looked, *, now: datetime) -> int:
    """How many customers meet it now, in one statement."""
    return (
        await session.exec(select(func.count()).select_from(Customer).where(*looked.where(now, zone_of(session))))
    ).one()


async def list_customers(
    session: Session, looked: Looked, *, first: int | None, after: Place, now: datetime
) -> Page[tuple[str, str]]:
    """Ids and display names of those who meet it now, by id; whoever leaves or comes shifts nobody's place."""
    size = page_size(first)
    statement = select(Customer.id, Customer.display_name).where(*looked.where(now, zone_of(session)))
    page = by_text(statement, col(Customer.id), size=size, after=after)
    return cut((await session.exec(page)).all(), size, lambda row: (row[0],), after)


async def own_customers(graph: GraphClient, principal: Principal) -> Sequence[str] | None:
    """The customers whom somebody lists: a manager's own; None, all of them, for administrators. Raises Forbidden."""
    if principal.is_administrator:
        return None
    if not principal.has(Role.RELATIONSHIP_MANAGER):
        raise Forbidden
    return await customers_of(graph, principal.subject)
