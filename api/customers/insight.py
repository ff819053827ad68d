"""What alerts, needs and tasks have in common: who is staff, whose customers they are, and policies in versions."""

from collections.abc import Sequence
from datetime import datetime

import strawberry
from strawberry.scalars import JSON

from api.context import Info
from api.customers.looked_after import in_care, own_customers
from core.db import Session
from customers.insight_policies import InsightPolicy, PolicyStatus

strawberry.enum(
    PolicyStatus, name="InsightPolicyStatus", description="A DRAFT becomes ACTIVE once, and then RETIRED for good."
)


@strawberry.interface(description="A version of a policy that looks at customers; what it says never changes.")
class PolicyVersion:
    number: int = strawberry.field(description="Number of the version.")
    status: PolicyStatus = strawberry.field(description="Whether it decides.")
    definition: JSON = strawberry.field(description="Its rules and thresholds; docs/alerts-and-needs.md.")
    created_by: str = strawberry.field(description="The administrator who wrote it.")
    created_at: datetime = strawberry.field(description="When.")
    activated_by: str | None = strawberry.field(description="Who activated it; null for a draft.")
    activated_at: datetime | None = strawberry.field(description="Since when it decided; null for a draft.")
    retired_at: datetime | None = strawberry.field(description="Until when; null where it does or never did.")


def version_fields(row: InsightPolicy) -> dict[str, object]:
    """The fields of a version, for whichever type shows it."""
    return {
        "number": row.number,
        "status": row.status,
        "definition": row.definition,
        "created_by": row.created_by,
        "created_at": row.created_at,
        "activated_by": row.activated_by,
        "activated_at": row.activated_at,
        "retired_at": row.retired_at,
    }


async def customers_in_care(info: Info, session: Session, customer_id: str | None) -> Sequence[str] | None:
    """Of whom a list tells: this customer, a manager's own, or all for administrators (None). Raises NotFound."""
    if customer_id is not None:
        await in_care(info, session, customer_id, "customerId")
        return [customer_id]
    return await own_customers(info)


async def is_in_care(info: Info, customer_id: str) -> bool:
    """Whether the asking employee looks after the customer now; many are asked about by one question."""
    principal = info.context.signed_in()
    return principal.is_administrator or await info.context.insight.served_by(principal.subject).load(customer_id)
