"""The tier that is shown: what is computed, under the override of the day and the cap of the risk; and its projection.

The graph has the tier on the customer's node. It is written from the SQL row while that row is held, so that of two
writers the later one has the last word.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any

from sqlalchemy import select as sql_select
from sqlmodel import col, select

from core.db import Session, insert_into, insert_once, insert_rows, table_of
from core.facts import OWN_SOURCE, NewFact, record_facts
from core.ids import derived_id
from customers.tier_records import TierCause, TierChange
from customers.tier_rules import RANK, capped
from graph.client import GraphClient
from graph.eligibility import Tier
from segments.tiering import CustomerTier

TIER_PROJECTED = "tier.projected"
TIER_CHANGED = "TIER_CHANGED"


@dataclass(slots=True)
class Standing:
    """A customer's row while it is held; plain, because a run changes hundreds of thousands of them."""

    customer_id: str
    tier: str
    on_watch: bool
    computed_tier: str
    computed_watch: bool
    cap: str | None
    month: date | None
    policy_id: str | None
    override_id: str | None
    override_tier: str | None
    overridden_until: datetime | None
    decided_at: datetime

    def is_overridden(self, now: datetime) -> bool:
        return self.overridden_until is not None and self.overridden_until > now

    def tier_at(self, now: datetime, *, beats_risk: bool) -> Tier:
        """The tier at an instant: the override's while it lasts, but no better than the risk allows."""
        if self.override_tier is None or not self.is_overridden(now):
            return Tier(self.computed_tier)
        tier = Tier(self.override_tier)
        return tier if beats_risk or self.cap is None else capped(tier, Tier(self.cap))


COLUMNS = [field.name for field in fields(Standing)]


@dataclass(frozen=True, slots=True)
class Cause:
    """Why the shown tier may differ from now on, and a key that names it for ever."""

    key: str
    cause: TierCause
    month: date | None = None
    override_id: str | None = None


def settle_shown(row: Standing, why: Cause, now: datetime, *, beats_risk: bool) -> dict[str, Any] | None:
    """Bring the shown tier up to date; the row of the change where it differs from what was shown."""
    before, after = Tier(row.tier), row.tier_at(now, beats_risk=beats_risk)
    row.tier = after
    row.on_watch = row.computed_watch and not row.is_overridden(now)
    row.decided_at = now
    if before == after:
        return None
    return {
        "id": derived_id("tier_change", row.customer_id, why.key),
        "customer_id": row.customer_id,
        "month": why.month,
        "from_tier": before,
        "to_tier": after,
        "cause": why.cause,
        "override_id": why.override_id,
        "at": now,
    }


def settle_ended_override(row: Standing, now: datetime, *, beats_risk: bool) -> dict[str, Any] | None:
    """The change of an override that is over and not settled yet, so that what comes after has a cause of its own."""
    if row.override_id is None or row.is_overridden(now):
        return None
    return settle_shown(row, end_of_override(row.override_id), now, beats_risk=beats_risk)


def end_of_override(override_id: str) -> Cause:
    return Cause(f"override:{override_id}:end", TierCause.OVERRIDE_ENDED, override_id=override_id)


def rises(row: Standing, now: datetime, *, beats_risk: bool) -> bool:
    """Whether the tier of now is better than what is shown."""
    return RANK[row.tier_at(now, beats_risk=beats_risk)] > RANK[Tier(row.tier)]


async def lock_standings(session: Session, customer_ids: Iterable[str], *, now: datetime) -> dict[str, Standing]:
    """The rows of these customers, made where they are missing, and held for this transaction in one order."""
    ids = sorted(set(customer_ids))
    await insert_once(session, CustomerTier, [new_standing(customer_id, now) for customer_id in ids], "customer_id")
    table = table_of(CustomerTier)
    statement = sql_select(*(table.c[name] for name in COLUMNS)).where(table.c.customer_id.in_(ids))
    connection = await session.connection()
    rows = (await connection.execute(statement.order_by(table.c.customer_id).with_for_update())).all()
    return {row.customer_id: Standing(*row) for row in rows}


def new_standing(customer_id: str, now: datetime) -> dict[str, Any]:
    return {
        "customer_id": customer_id,
        "tier": Tier.MASS,
        "on_watch": False,
        "computed_tier": Tier.MASS,
        "computed_watch": False,
        "decided_at": now,
    }


async def put_standings(session: Session, rows: Iterable[Standing]) -> None:
    """Write rows that this transaction holds, in one statement."""
    statement = insert_into(session, CustomerTier)
    upsert = statement.on_conflict_do_update(
        index_elements=["customer_id"], set_={name: statement.excluded[name] for name in COLUMNS[1:]}
    )
    values = [{name: getattr(row, name) for name in COLUMNS} for row in rows]
    await insert_rows(session, upsert.returning(table_of(CustomerTier).c.customer_id), values)


async def record_changes(session: Session, changes: Sequence[Mapping[str, Any]], *, now: datetime) -> None:
    """Keep the changes, and record a fact of each that is no first one; each once."""
    await insert_once(session, TierChange, changes)
    told = [change for change in changes if change["cause"] != TierCause.FIRST]
    await record_facts(session, [changed_fact(change, now) for change in told], now=now, hint=False)


def changed_fact(change: Mapping[str, Any], now: datetime) -> NewFact:
    payload = {"from": change["from_tier"], "to": change["to_tier"], "cause": change["cause"]}
    if change["month"] is not None:
        payload["month"] = change["month"].isoformat()[:7]
    rises = RANK[Tier(change["to_tier"])] > RANK[Tier(change["from_tier"])]
    return NewFact(
        source=OWN_SOURCE,
        key=f"tier-change:{change['id']}",
        kind=TIER_CHANGED,
        customer_id=change["customer_id"],
        occurred_at=now,
        payload={**payload, "direction": "UP" if rises else "DOWN"},
    )


PUT_TIERS = """
UNWIND $rows AS row
MATCH (c:Customer {id: row.id})
SET c.tier = row.tier
"""


async def project_tiers(session: Session, graph: GraphClient, customer_ids: Iterable[str]) -> None:
    """Write the tiers as SQL has them to the graph, while their rows are held."""
    statement = (
        select(CustomerTier.customer_id, CustomerTier.tier)
        .where(col(CustomerTier.customer_id).in_(sorted(set(customer_ids))))
        .order_by(col(CustomerTier.customer_id))
        .with_for_update()
    )
    rows = [{"id": id, "tier": tier} for id, tier in (await session.exec(statement)).all()]
    if rows:
        await graph.write(PUT_TIERS, timeout=60, rows=rows)
