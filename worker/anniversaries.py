"""Anniversaries: found day by day in bounded pages, recorded as facts of our own, once a year each.

Each page commits together with how far the search has come; a search that dies goes on there, days that were missed are
searched by the next one, and of two searches at once one gives way.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from community.anniversaries import member_pages, members_begun
from core.anniversaries import Pass, advance_pass, anniversaries, next_pass
from core.clock import parse_instant
from core.days import day_of
from core.facts import OWN_SOURCE, NewFact, record_facts
from customers.anniversaries import customers_by_id
from worker.work import Stores

CUSTOMER_ANNIVERSARY = "CUSTOMER_ANNIVERSARY"
COMMUNITY_ANNIVERSARY = "COMMUNITY_ANNIVERSARY"
CUSTOMERS = 2_000
# Pages of sixteen members each.
PAGES = 64


@dataclass(frozen=True, slots=True)
class Found:
    """The facts of one page, and the place behind it; None at the end."""

    facts: Sequence[NewFact]
    place: str | None


Search = Callable[[Stores, Pass], Awaitable[Found]]


async def search_customers(stores: Stores, due: Pass) -> Found:
    async with stores.database.read() as session:
        rows = await customers_by_id(session, after=due.position, limit=CUSTOMERS)
    facts = [
        NewFact(
            source=OWN_SOURCE,
            key=f"anniversary:customer:{customer_id}:{day_of(begins, due.zone).year}",
            kind=CUSTOMER_ANNIVERSARY,
            customer_id=customer_id,
            occurred_at=begins,
            payload={"years": years},
        )
        for customer_id, since in rows
        for years, begins in anniversaries(since, due)
    ]
    return Found(facts, rows[-1][0] if len(rows) == CUSTOMERS else None)


async def search_members(stores: Stores, due: Pass) -> Found:
    pages = await member_pages(stores.graph, after=due.position, limit=PAGES)
    rows = await members_begun(stores.graph, pages, due.month_days) if pages else []
    facts = [
        NewFact(
            source=OWN_SOURCE,
            key=f"anniversary:community:{row['community_id']}:{row['customer_id']}:{day_of(begins, due.zone).year}",
            kind=COMMUNITY_ANNIVERSARY,
            customer_id=row["customer_id"],
            occurred_at=begins,
            payload={"community_id": row["community_id"], "years": years},
        )
        for row in rows
        for years, begins in anniversaries(parse_instant(row["since"]), due)
    ]
    return Found(facts, pages[-1] if pages else None)


SEARCHES: dict[str, Search] = {CUSTOMER_ANNIVERSARY: search_customers, COMMUNITY_ANNIVERSARY: search_members}


async def sweep_anniversaries(stores: Stores, *, zone: str, now: datetime) -> int:
    """Record the anniversaries of all days up to today that have not been searched; returns how many are new.

    Days are those of the `zone`, the programme's own.
    """
    return sum([await search_all(stores, kind, search, zone=zone, now=now) for kind, search in SEARCHES.items()])


async def search_all(stores: Stores, kind: str, search: Search, *, zone: str, now: datetime) -> int:
    recorded = 0
    while True:
        async with stores.database.write() as session:
            due = await next_pass(session, kind, zone=zone, now=now)
        if due is None:
            return recorded
        place: str | None = due.position
        while place is not None:
            due = replace(due, position=place)
            found = await search(stores, due)
            async with stores.database.write() as session:
                if not await advance_pass(session, due, to=found.place):
                    return recorded
                recorded += len(await record_facts(session, found.facts, now=now, hint=False))
            place = found.place
