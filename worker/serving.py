"""What follows for how a customer is served from what has happened: follow-ups, priorities and action plans."""

from collections.abc import Sequence
from datetime import datetime

from core.db import Session, rows_by_id
from core.facts import OWN_SOURCE, Fact
from customers.alerts import Alert
from customers.care import employees_of
from customers.insight_sweeps import present_among
from customers.interactions import latest_contacts
from customers.needs import NEED_FOUND, Need
from customers.tier_standing import TIER_CHANGED
from graph.client import GraphClient
from service.action_plan_definition import TriggerKind
from service.action_plan_steps import PLAN_STEP_DUE, open_steps
from service.action_plans import Happening, start_plans
from service.follow_ups import retier
from service.tasks import newer_priorities
from worker.payloads import ManyHandler, Payloads


async def serve_facts(session: Session, facts: Sequence[Fact], *, now: datetime) -> None:
    """Follow changes of tiers: when customers are seen next, whose tasks come first, and which plans begin."""
    changes = [fact for fact in facts if fact.kind == TIER_CHANGED and fact.source == OWN_SOURCE]
    if not changes:
        return
    present = await present_among(session, {fact.customer_id for fact in changes})
    await retier(session, present, now=now, told=latest_contacts)
    await newer_priorities(session, sorted(present), now=now)
    entered = [
        Happening(TriggerKind.TIER_ENTERED, fact.payload["to"], fact.customer_id, fact.id)
        for fact in changes
        if fact.customer_id in present
    ]
    await start_plans(session, entered, now=now)


async def serve_alerts(session: Session, alert_ids: Sequence[str], *, now: datetime) -> None:
    """Start the plans that new alerts start."""
    alerts = (await rows_by_id(session, Alert, alert_ids)).values()
    raised = [Happening(TriggerKind.ALERT_RAISED, one.cause, one.customer_id, one.id) for one in alerts]
    await start_plans(session, raised, now=now)


async def on_needs_found(session: Session, _: GraphClient, payloads: Payloads, now: datetime) -> None:
    """Start the plans that new needs start; a need that went with its customer starts none."""
    needs = (await rows_by_id(session, Need, [one for payload in payloads for one in payload["need_ids"]])).values()
    found = [Happening(TriggerKind.NEED_FOUND, one.kind, one.customer_id, one.id) for one in needs]
    await start_plans(session, found, now=now)


async def on_steps_due(session: Session, graph: GraphClient, payloads: Payloads, now: datetime) -> None:
    """Give steps of plans whose day has come to who looks after their customers now."""
    assignees = await employees_of(graph, [one["customer_id"] for one in payloads])
    await open_steps(session, [one["step_id"] for one in payloads], assignees, now=now)


SERVING: dict[str, ManyHandler] = {
    NEED_FOUND: on_needs_found,
    PLAN_STEP_DUE: on_steps_due,
}
