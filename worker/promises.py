"""What follows from facts for the promises of the service: breaks are found, surveys sent, scores kept."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from core.db import Session, rows_by_id
from core.fact_kinds import REGISTRATION_ABANDONED, SURVEY_SUBMITTED
from core.facts import OWN_SOURCE, Fact, NewFact, record_facts
from core.notices import NoticeKind
from customers.newest import put_newest
from customers.profiles import erased_among
from graph.client import GraphClient
from segments.traits import CustomerTrait
from service.breaks import SERVICE_BREAK_DUE
from service.happenings import SERVICE_LOOK, look_at
from service.recovery import expire_break
from service.survey_rows import SurveyKind
from worker.settlement import ManyHandler, Payloads

# The trait by which conditions ask whether a customer would recommend us, by the newest answer; the migration has it.
NPS_TRAIT = "nps"
# What a customer is told when a registration that they began comes to nothing.
ABANDONED = frozenset({NoticeKind.OFFER_EXPIRED, NoticeKind.PAYMENT_FAILED})


async def on_service_looks(session: Session, _: GraphClient, payloads: Payloads, now: datetime) -> None:
    """Look at facts many at a time; nothing begins about somebody who was erased."""
    facts = list((await rows_by_id(session, Fact, [one["fact_id"] for one in payloads])).values())
    present = await of_customers_present(session, facts)
    await look_at(session, present, now=now)
    await keep_scores(session, present, now=now)


async def of_customers_present(session: Session, facts: Sequence[Fact]) -> Sequence[Fact]:
    """The facts of those who were not erased, who stay so until the transaction ends."""
    erased = await erased_among(session, sorted({fact.customer_id for fact in facts}))
    return [fact for fact in facts if fact.customer_id not in erased]


async def keep_scores(session: Session, facts: Sequence[Fact], *, now: datetime) -> None:
    """Write the newest score of each customer as their trait; an earlier one that comes late changes nothing."""
    rows = [
        {
            "customer_id": fact.customer_id,
            "name": NPS_TRAIT,
            "item": "",
            "number": fact.payload["score"],
            "word": None,
            "day": None,
            "source": OWN_SOURCE,
            "legal_basis": None,
            "observed_at": fact.occurred_at,
            "recorded_at": now,
        }
        for fact in facts
        if fact.kind == SURVEY_SUBMITTED
        and fact.source == OWN_SOURCE
        and fact.payload.get("survey_kind") == SurveyKind.NPS
    ]
    if rows:
        await put_newest(session, CustomerTrait, rows, "customer_id", "name", "item")


async def record_abandoned(session: Session, key: str, notice: Mapping[str, Any], *, now: datetime) -> None:
    """Record, of a notice that tells so, that a registration came to nothing; wanted or not, it is owed but once."""
    if notice["kind"] not in ABANDONED:
        return
    fact = NewFact(
        source=OWN_SOURCE,
        key=f"abandoned:{key}",
        kind=REGISTRATION_ABANDONED,
        customer_id=notice["customer_id"],
        occurred_at=now,
        payload={"event_id": notice["data"]["event_id"], "why": notice["kind"]},
    )
    await record_facts(session, [fact], now=now)


async def on_breaks_due(session: Session, _: GraphClient, payloads: Payloads, now: datetime) -> None:
    """Give up breaks that nobody has repaired for so long."""
    for break_id in sorted({one["break_id"] for one in payloads}):
        await expire_break(session, break_id, now=now)


PROMISES: dict[str, ManyHandler] = {
    SERVICE_LOOK: on_service_looks,
    SERVICE_BREAK_DUE: on_breaks_due,
}
