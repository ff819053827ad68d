"""What complaints come from."""

from datetime import date
from typing import Annotated

import strawberry

from api.context import Info
from api.relay import global_id
from core.days import day_of, last_months, start_of_month
from core.db import zone_of
from core.errors import Forbidden
from core.principal import Role
from service.complaint_causes import CauseCount as CountRow
from service.complaint_causes import ComplaintGrouping, complaint_causes
from service.complaint_records import ComplaintCause, ComplaintChannel
from service.complaint_words import CAUSES, worded

strawberry.enum(ComplaintGrouping, name="ComplaintGrouping", description="By what complaints are counted.")
# So many months are counted where none are named.
MONTHS = 12


@strawberry.type(description="Closed complaints that have something in common; what they were not grouped by is null.")
class ComplaintCauseCount:
    cause: ComplaintCause | None = strawberry.field(description="The root cause.")
    cause_text: str | None = strawberry.field(description="The same in the language of the request.")
    channel: ComplaintChannel | None = strawberry.field(description="By which channel they came.")
    product: str | None = strawberry.field(description="The code of the product.")
    community_id: strawberry.ID | None = strawberry.field(description="Global id of the community.")
    month: date | None = strawberry.field(description="The first day of the month in which they were closed.")
    count: int = strawberry.field(description="How many.")
    median_solution_minutes: float = strawberry.field(
        description="The median of open minutes from filing to closing, by each complaint's calendar."
    )
    breached: int = strawberry.field(description="Of how many a deadline was breached.")
    share_breached: float = strawberry.field(description="The same as a share, 0 to 1.")


def count_of(row: CountRow, language: str) -> ComplaintCauseCount:
    keys = row.keys
    cause = ComplaintCause(found) if (found := keys.get(ComplaintGrouping.CAUSE)) else None
    community = keys.get(ComplaintGrouping.COMMUNITY)
    channel = keys.get(ComplaintGrouping.CHANNEL)
    return ComplaintCauseCount(
        cause=cause,
        cause_text=worded(CAUSES[cause], language) if cause else None,
        channel=ComplaintChannel(channel) if channel else None,
        product=keys.get(ComplaintGrouping.PRODUCT),
        community_id=global_id("Community", community) if community else None,
        month=keys.get(ComplaintGrouping.MONTH),
        count=row.count,
        median_solution_minutes=row.median_minutes,
        breached=row.breached,
        share_breached=row.breached / row.count,
    )


@strawberry.type
class ComplaintCauseQueries:
    @strawberry.field(
        description="Closed complaints counted by one to three things, the largest groups first, of the last twelve "
        "months by default. For complaints officers and administrators."
    )
    async def complaint_causes(
        self,
        info: Info,
        by: Annotated[list[ComplaintGrouping], strawberry.argument(description="By what.")],
        first_month: Annotated[date | None, strawberry.argument(description="A day of the first month.")] = None,
        last_month: Annotated[date | None, strawberry.argument(description="A day of the last month.")] = None,
    ) -> list[ComplaintCauseCount]:
        context = info.context
        if not context.signed_in().has(Role.COMPLAINTS_OFFICER, Role.ADMINISTRATOR):
            raise Forbidden
        async with context.database.read() as session:
            last = start_of_month(last_month or day_of(context.now, zone_of(session)))
            begin = start_of_month(first_month) if first_month else last_months(last, MONTHS)[0]
            rows = await complaint_causes(session, by, first_month=begin, last_month=last)
        return [count_of(row, context.language) for row in rows]
