"""What came of sharing: an owner's clicks, claims and qualified referrals in a programme, by channel."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, union_all

from core.db import Session, table_of
from referrals.attribution import Referral, ReferralStatus
from referrals.links import ReferralChannel

# The ids of a programme and of a customer whose links are shared.
Owner = tuple[str, str]
# In one question; each is a part of its statement.
MOST_OWNERS = 100


@dataclass(slots=True)
class Sharing:
    """The numbers of one channel; None is what came without a link, by a code that was typed."""

    channel: str | None
    clicks: int = 0
    robots: int = 0
    claims: int = 0
    qualified: int = 0


async def sharing_of(session: Session, owners: Sequence[Owner]) -> dict[Owner, list[Sharing]]:
    """The channels of each owner, of 1 to MOST_OWNERS, those with the most claims and clicks first."""
    found: dict[Owner, dict[str | None, Sharing]] = {owner: {} for owner in owners}
    connection = await session.connection()
    for row in (await connection.execute(union_all(*map(counters, owners)))).mappings():
        if row["clicks"] or row["robots"]:
            sharing = Sharing(row["channel"], row["clicks"], row["robots"])
            found[row["program_id"], row["customer_id"]][sharing.channel] = sharing
    for row in (await connection.execute(union_all(*map(claims, owners)))).mappings():
        channels = found[row["program_id"], row["referrer_id"]]
        sharing = channels.setdefault(row["channel"], Sharing(row["channel"]))
        sharing.claims += row["found"]
        sharing.qualified += row["found"] if row["status"] == ReferralStatus.QUALIFIED else 0
    return {owner: sorted(channels.values(), key=order) for owner, channels in found.items()}


def counters(owner: Owner) -> Any:
    """How often links were opened: one row a channel, however many clicks there were."""
    table = table_of(ReferralChannel).c
    columns = table.program_id, table.customer_id, table.channel, table.clicks, table.robots
    return select(*columns).where(table.program_id == owner[0], table.customer_id == owner[1])


def claims(owner: Owner) -> Any:
    """How many claims there are, counted in an index that holds all that is asked.

    One statement for each owner, because SQLite finds pairs in a list by their first half only.
    """
    table = table_of(Referral).c
    parts = table.program_id, table.referrer_id, table.channel, table.status
    mine = select(*parts, func.count().label("found")).where(
        table.program_id == owner[0], table.referrer_id == owner[1]
    )
    return mine.group_by(*parts)


def order(sharing: Sharing) -> tuple[int, int, str]:
    return -sharing.claims, -sharing.clicks, sharing.channel or ""
