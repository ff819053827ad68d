"""What follows from what came in about customers: alerts, tiers under the risk of today, and the tasks of both."""

from collections.abc import Sequence
from datetime import datetime

from core.db import Session
from core.tasks import TASK_OVER, TASK_OWED, TaskKind
from customers.alert_looks import ALERT_LOOK, look_at_news, policy_in_use
from customers.alert_reads import among, span_of_today
from customers.alerts import raise_alerts
from customers.care import employees_of
from customers.tier_risk import TIER_RISK, on_risks_told
from graph.client import GraphClient
from service.task_assignment import Assignable, assigned
from service.tasks import end_tasks, open_tasks, task_id_of
from worker.payloads import ManyHandler, Payloads
from worker.serving import serve_alerts


async def on_alert_looks(session: Session, _: GraphClient, payloads: Payloads, now: datetime) -> None:
    """Look at customers of whom something has come in, many at a time."""
    policy = await policy_in_use(session)
    span = span_of_today(zone=policy.definition.time_zone, now=now)
    found = await look_at_news(session, among(customers_in(payloads)), policy, span)
    await raise_alerts(session, found, policy.terms, now=now, hint=True)


async def on_tasks_owed(session: Session, graph: GraphClient, payloads: Payloads, now: datetime) -> None:
    """Give each task to whose it is now. Plans begin with new alerts."""
    await serve_alerts(session, [one["subject"] for one in payloads if one["kind"] == TaskKind.ALERT], now=now)
    await open_tasks(session, payloads, await whose(session, graph, payloads, hold=True), now=now)


async def on_tasks_over(session: Session, graph: GraphClient, payloads: Payloads, now: datetime) -> None:
    # What is over is passed on to nobody, so that its complaint is not held.
    await end_tasks(session, payloads, await whose(session, graph, payloads, hold=False), now=now)


async def whose(session: Session, graph: GraphClient, payloads: Payloads, *, hold: bool) -> dict[str, str | None]:
    """Whose tasks these are, by the tasks' ids."""
    served = [one for one in payloads if one["kind"] != TaskKind.COMPLAINT]
    employees = await employees_of(graph, customers_in(served)) if served else {}
    tasks = [Assignable(task_id_of(one), one["kind"], one["subject"], one["customer_id"]) for one in payloads]
    return await assigned(session, tasks, employees, hold=hold)


def customers_in(payloads: Payloads) -> Sequence[str]:
    return sorted({one["customer_id"] for one in payloads})


INSIGHT: dict[str, ManyHandler] = {
    ALERT_LOOK: on_alert_looks,
    TASK_OWED: on_tasks_owed,
    TASK_OVER: on_tasks_over,
    TIER_RISK: on_risks_told,
}
