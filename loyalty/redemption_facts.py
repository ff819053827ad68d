"""How a redemption ended for its customer, as a fact that others go by, once for each."""

from datetime import datetime

from core.db import Session
from core.fact_kinds import REDEMPTION_FAILED, REDEMPTION_FULFILLED
from core.facts import OWN_SOURCE, NewFact, record_facts
from loyalty.redemption_records import Redemption, RedemptionStatus

# One that was cancelled was given up by somebody, and neither kept nor broken.
KINDS = {
    RedemptionStatus.FULFILLED: REDEMPTION_FULFILLED,
    RedemptionStatus.FAILED: REDEMPTION_FAILED,
    RedemptionStatus.EXPIRED: REDEMPTION_FAILED,
}


async def record_ending(session: Session, row: Redemption, *, now: datetime) -> None:
    """Record that a redemption was fulfilled or failed; nothing of one that has not ended, or was cancelled."""
    kind = KINDS.get(RedemptionStatus(row.status))
    if kind is None:
        return
    fact = NewFact(
        source=OWN_SOURCE,
        key=f"redemption:{row.id}:ended",
        kind=kind,
        customer_id=row.customer_id,
        occurred_at=now,
        payload={"redemption_id": row.id, "reward_id": row.reward_id, "status": row.status},
    )
    await record_facts(session, [fact], now=now)
