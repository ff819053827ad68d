"""When customers are to be seen next, and what of it was missed."""

from datetime import date

import strawberry

from api.context import Info
from api.customers.looked_after import is_staff
from graph.eligibility import Tier
from service.follow_up_definition import Obligation
from service.follow_ups import FollowUp as FollowUpRow

strawberry.enum(Obligation, name="FollowUpObligation", description="What a tier is owed: any contact, or face to face.")


@strawberry.type(description="A contact that a customer's tier is owed, and when it is due next.")
class FollowUp:
    obligation: Obligation = strawberry.field(description="Which kind of contact.")
    tier: Tier = strawberry.field(description="The tier that is owed it.")
    days: int = strawberry.field(description="At least one every so many days.")
    next_on: date = strawberry.field(description="The day from which the next one is due.")
    last_contact_on: date | None = strawberry.field(description="The day of the last one; null where none is known.")
    task_since: date | None = strawberry.field(
        description="Since when there is a task for it; null where it is not due."
    )
    missed_on: date | None = strawberry.field(description="The day on which its task was noted as missed.")


def follow_up_of(row: FollowUpRow) -> FollowUp:
    cycle = row.cycle()
    return FollowUp(
        obligation=Obligation(row.obligation),
        tier=Tier(row.tier),
        days=row.days,
        next_on=cycle.next_on,
        last_contact_on=row.last_on,
        task_since=row.opened_on,
        missed_on=row.missed_on,
    )


@strawberry.type(description="When a customer is to be seen next.")
class FollowUpsOfCustomer:
    local: strawberry.Private[str]

    @strawberry.field(
        description="The contacts that the customer is owed; empty until the first daily look, null for the customer."
    )
    async def follow_up(self, info: Info) -> list[FollowUp] | None:
        if not is_staff(info):
            return None
        return [follow_up_of(row) for row in await info.context.serving.follow_ups.load(self.local)]
