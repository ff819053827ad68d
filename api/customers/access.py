"""Breaking the glass, who did, and the audit trail of a customer or of any other area."""

from datetime import datetime
from typing import Annotated, Any

import strawberry
from strawberry.scalars import JSON

from api.context import Info
from api.customers.profiles import Customer, load_customer
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from core.audit import AuditEntry, audit_trail
from core.errors import BadUserInput, Forbidden
from core.paging import window
from customers.access import BreakGlass as BreakGlassRow
from customers.access import break_glass, list_broken_glasses, may_look_after
from customers.profiles import survivor_of

LONGEST_AREA = 200


class TrailInvalid(BadUserInput):
    code = "AUDIT_TRAIL_INVALID"
    en = "Name a customer or an area, not both."
    zh = "请指定客户或审计范围，二者选一。"


@strawberry.type(description="One act that was audited. Entries are never changed.")
class TrailEntry:
    id: strawberry.ID = strawberry.field(description="Global id.")
    area: str = strawberry.field(description="What it belongs to, such as customer:… or tag:…, with local ids.")
    action: str = strawberry.field(description="What was done, such as CUSTOMER_GLASS_BROKEN.")
    actor: str = strawberry.field(description="Who did it: an employee or a customer by their ids, or a system.")
    subject: str = strawberry.field(description="To what it was done.")
    reason: str | None = strawberry.field(description="Why, where a reason was given; null after an erasure.")
    details: JSON = strawberry.field(description="What the act changed.")
    at: datetime = strawberry.field(description="When.")


def trail_entry_of(row: AuditEntry) -> TrailEntry:
    details: Any = row.details
    return TrailEntry(
        id=global_id("TrailEntry", row.id),
        area=row.area,
        action=row.action,
        actor=row.actor,
        subject=row.subject,
        reason=row.reason,
        details=details,
        at=row.at,
    )


@strawberry.type(description="Access that a relationship manager took to another's customer, for a time.")
class BrokenGlass(Node):
    employee_id: str = strawberry.field(description="Who took it.")
    reason: str = strawberry.field(description="Why; empty after an erasure.")
    granted_at: datetime = strawberry.field(description="Since when.")
    until: datetime = strawberry.field(description="Until when.")
    customer_local: strawberry.Private[str]

    @strawberry.field(description="To whom.")
    async def customer(self, info: Info) -> Customer | None:
        return await load_customer(info, self.customer_local)


def broken_glass_of(row: BreakGlassRow) -> BrokenGlass:
    return BrokenGlass(
        id=global_id("BrokenGlass", row.id),
        employee_id=row.employee_id,
        reason=row.reason,
        granted_at=row.granted_at,
        until=row.until,
        customer_local=row.customer_id,
    )


@strawberry.input(description="To whom, and why.")
class BreakGlassInput:
    customer_id: strawberry.ID = strawberry.field(description="Global id of the customer.")
    reason: str = strawberry.field(
        description="Why, 1 to 500 characters; who is responsible for the customer reads it."
    )


@strawberry.type(description="You have access for four hours; each use is audited.")
class BreakGlassSuccess:
    access: BrokenGlass = strawberry.field(description="The access.")


BreakGlassResult = Annotated[BreakGlassSuccess | Refusal, result_union(BreakGlassSuccess)]


@strawberry.type
class AccessQueries:
    @strawberry.field(
        description="What was done in an area or to a customer, the latest first: any for administrators; of a "
        "customer also for their own relationship manager. A profile of before a merge has an area of its own."
    )
    async def audit_trail(
        self,
        info: Info,
        area: Annotated[
            str | None, strawberry.argument(description="Such as tag:retiree or customer:…, with local ids.")
        ] = None,
        customer: Annotated[strawberry.ID | None, strawberry.argument(description="Global id of a customer.")] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[TrailEntry]:
        size, place = window(first, after, last, before)
        context = info.context
        principal = context.signed_in()
        if not principal.is_administrator and customer is None:
            raise Forbidden
        if (area is None) == (customer is None) or len(area or "") > LONGEST_AREA:
            raise TrailInvalid(path=("area",))
        local = local_id("Customer", customer, "customer") if customer else ""
        async with context.database.read() as session:
            if customer:
                local = await survivor_of(session, local)
                await may_look_after(context.graph, session, principal, local, now=context.now)
            page = await audit_trail(session, area or f"customer:{local}", first=size, after=place)
        return connection(page, place, trail_entry_of)

    @strawberry.field(
        description="Who broke the glass, the latest first: all for administrators, of their own customers for "
        "relationship managers."
    )
    async def broken_glasses(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[BrokenGlass]:
        size, place = window(first, after, last, before)
        context = info.context
        principal = context.signed_in()
        async with context.database.read() as session:
            page = await list_broken_glasses(context.graph, session, principal, first=size, after=place)
        return connection(page, place, broken_glass_of)


@strawberry.type
class AccessMutations:
    @strawberry.mutation(
        description="Take access to a customer whom another serves, for four hours. It and each use are audited, and "
        "the customer's own manager and administrators see it in brokenGlasses. For relationship managers."
    )
    @refusals
    async def break_glass(self, info: Info, input: BreakGlassInput) -> BreakGlassResult:
        context = info.context
        principal = context.signed_in()
        customer_id = local_id("Customer", input.customer_id, "input", "customerId")
        async with context.database.write() as session:
            row = await break_glass(session, principal, customer_id, reason=input.reason, now=context.now)
        return BreakGlassSuccess(access=broken_glass_of(row))
