"""The cap of a tier by the customer's risk, as it is told: it does not wait for the monthly run.

What was told of a risk owes a look at the tiers of those it is about. The look changes no decision of a month: it takes
where the customer stands by the last one, and shows that under the cap that the risk of today has.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func
from sqlalchemy import select as sql_select
from sqlmodel import col, select

from core.batches import in_batches
from core.db import Session, table_of
from core.facts import OWN_SOURCE
from core.ids import new_id
from core.outbox import owe, owe_all
from customers.tier_inputs import RISK
from customers.tier_policies import active_policy
from customers.tier_policy import TierDefinition
from customers.tier_records import TierCause, TierDecision, TierRun
from customers.tier_reviews import CapChange, follow_caps
from customers.tier_rules import capped
from customers.tier_standing import (
    TIER_PROJECTED,
    Cause,
    Standing,
    lock_standings,
    put_standings,
    record_changes,
    rises,
    settle_ended_override,
    settle_shown,
)
from graph.client import GraphClient
from graph.eligibility import TIERS, Tier
from segments.tiering import CustomerTier
from segments.traits import CustomerTrait

TIER_RISK = "tier.risk"
# So many customers are looked at as one effect.
TOGETHER = 500


@dataclass(frozen=True, slots=True)
class Shown:
    """What is computed of a customer by the last decision and the risk of today."""

    tier: Tier
    on_watch: bool
    cap: Tier | None
    risk: str | None


async def owe_risks(session: Session, customer_ids: Iterable[str], *, now: datetime) -> None:
    """Owe a look at the tiers of customers of whose risk something was told, in the transaction that writes it."""
    batch = new_id()
    payloads: dict[str, dict[str, Any]] = {
        f"{batch}:{number}": {"key": f"{batch}:{number}", "customer_ids": list(part)}
        for number, part in enumerate(in_batches(sorted(set(customer_ids)), TOGETHER))
    }
    if payloads:
        await owe_all(session, topic=TIER_RISK, payloads=payloads, now=now)


async def on_risks_told(session: Session, _: GraphClient, payloads: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """Let the tiers that are shown follow what was told of risks."""
    for payload in payloads:
        await cap_by_risk(session, payload["customer_ids"], payload["key"], now=now)


async def cap_by_risk(session: Session, customer_ids: Sequence[str], key: str, *, now: datetime) -> None:
    """Show the tiers of these customers under the cap of today; where nothing differs nothing is written."""
    # A run that has read the risk of before commits first, so that what is told since has the last word.
    await session.exec(select(col(TierRun.month)).where(col(TierRun.closed_at).is_(None)).with_for_update())
    policy = (await active_policy(session)).parsed()
    wanted = await shown_by(session, policy, customer_ids)
    known = await computed_of(session, customer_ids)
    nothing = (Tier.MASS, False, None)
    differing = [id for id, one in wanted.items() if known.get(id, nothing) != (one.tier, one.on_watch, one.cap)]
    if not differing:
        return
    standings = await lock_standings(session, differing, now=now)
    caps = [CapChange(id, row.cap, wanted[id].cap, wanted[id].risk) for id, row in standings.items()]
    changes = [change for id, row in standings.items() for change in settle_cap(row, wanted[id], key, policy, now=now)]
    await put_standings(session, standings.values())
    await record_changes(session, changes, now=now)
    await follow_caps(session, caps, f"risk:{key}", month=None, days=policy.review_days, now=now)
    changed = sorted({change["customer_id"] for change in changes})
    if changed:
        await owe(session, topic=TIER_PROJECTED, key=f"risk:{key}", payload={"customer_ids": changed}, now=now)


def settle_cap(
    row: Standing, wanted: Shown, key: str, policy: TierDefinition, *, now: datetime
) -> list[dict[str, Any]]:
    """Put the cap of today on a customer's standing; the changes of the tier that is shown."""
    beats_risk = policy.overrides_beat_risk
    ended = settle_ended_override(row, now, beats_risk=beats_risk)
    row.computed_tier, row.computed_watch, row.cap = wanted.tier, wanted.on_watch, wanted.cap
    cause = TierCause.RISK_LIFTED if rises(row, now, beats_risk=beats_risk) else TierCause.RISK_CAP
    change = settle_shown(row, Cause(f"risk:{key}", cause), now, beats_risk=beats_risk)
    return [one for one in (ended, change) if one]


async def shown_by(session: Session, policy: TierDefinition, customer_ids: Collection[str]) -> dict[str, Shown]:
    """What these customers' tiers are by their last decisions and the risk that is known now."""
    trait = table_of(CustomerTrait).c
    connection = await session.connection()
    told = sql_select(trait.customer_id, trait.word).where(
        trait.customer_id.in_(customer_ids), trait.name == RISK, trait.item == "", trait.source != OWN_SOURCE
    )
    risks = {row.customer_id: row.word for row in (await connection.execute(told)).all()}
    decision = table_of(TierDecision)
    last = sql_select(decision.c.customer_id, func.max(decision.c.month).label("month")).where(
        decision.c.customer_id.in_(customer_ids)
    )
    ends = last.group_by(decision.c.customer_id).subquery()
    same = and_(ends.c.customer_id == decision.c.customer_id, ends.c.month == decision.c.month)
    decided = sql_select(decision.c.customer_id, decision.c.standing, decision.c.misses).join(ends, same)
    stands = {row.customer_id: (TIERS[row.standing], row.misses) for row in (await connection.execute(decided)).all()}
    return {id: shown(policy, *stands.get(id, (Tier.MASS, 0)), risks.get(id)) for id in customer_ids}


def shown(policy: TierDefinition, standing: Tier, misses: int, risk: str | None) -> Shown:
    cap = policy.risk_caps.get(risk) if risk else None
    tier = capped(standing, cap)
    return Shown(tier, misses > 0 and tier == standing, cap, risk)


async def computed_of(session: Session, customer_ids: Collection[str]) -> dict[str, tuple[str, bool, str | None]]:
    """What is written by now: the computed tier, its watch, and the cap."""
    table = table_of(CustomerTier).c
    statement = sql_select(table.customer_id, table.computed_tier, table.computed_watch, table.cap)
    rows = (await (await session.connection()).execute(statement.where(table.customer_id.in_(customer_ids)))).all()
    return {row.customer_id: (row.computed_tier, bool(row.computed_watch), row.cap) for row in rows}
