"""What follows from what came in about customers: alerts, tiers under the risk of today, and the tasks of both."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from core.db import Session
from core.tasks import TASK_OVER, TASK_OWED, TaskKind
from customers.alert_looks import ALERT_LOOK, look_at_news, policy_in_use
from customers.alert_reads import among, span_of_today
from customers.alerts import raise_alerts
from customers.care import employees_of
from customers.tier_risk import TIER_RISK, on_risks_told
from graph.client import GraphClient
from service.break_secrets import named_in_breaks
from service.complaint_tasks import assignees_of
from service.tasks import end_tasks, open_tasks
from worker.payloads import ManyHandler, Payloads
from worker.serving import serve_alerts


async def on_alert_looks(session: Session, _: GraphClient, payloads: Payloads, now: datetime) -> None:
    """Look at customers of whom something has come in, many at a time."""
    policy = await policy_in_use(session)
    span = span_of_today(zone=policy.definition.time_zone, now=now)
    found = await look_at_news(session, among(customers_in(payloads)), policy, span)
    await raise_alerts(session, found, policy.terms, now=now, hint=True)


async def on_tasks_owed(session: Session, graph: GraphClient, payloads: Payloads, now: datetime) -> None:
    """Give each task to who looks after its customer now, but those of complaints to who handles them.

    Nobody repairs what a complaint about them has broken: that waits for the administrators.

    Plans begin with new alerts.
    """
    await serve_alerts(session, [one["subject"] for one in payloads if one["kind"] == TaskKind.ALERT], now=now)
    others = [one for one in payloads if one["kind"] != TaskKind.COMPLAINT]
    employees = await employees_of(graph, customers_in(others))
    named = await named_in_breaks(session, [one["subject"] for one in others if one["kind"] == TaskKind.RECOVERY])
    secret = [one for one in others if (one["subject"], employees.get(one["customer_id"])) in named]
    await open_tasks(session, secret, {}, now=now)
    await open_tasks(session, [one for one in others if one not in secret], employees, now=now)
    for one, assignees in await tasks_of_complaints(session, payloads, hold=True):
        await open_tasks(session, [one], assignees, now=now)


async def on_tasks_over(session: Session, graph: GraphClient, payloads: Payloads, now: datetime) -> None:
    others = [one for one in payloads if one["kind"] != TaskKind.COMPLAINT]
    await end_tasks(session, others, await employees_of(graph, customers_in(others)), now=now)
    # What is over is passed on to nobody, so that its complaint is not held.
    for one, assignees in await tasks_of_complaints(session, payloads, hold=False):
        await end_tasks(session, [one], assignees, now=now)


async def tasks_of_complaints(
    session: Session, payloads: Payloads, *, hold: bool
) -> list[tuple[dict[str, Any], dict[str, str]]]:
    """Each with whose it is: who looks after a customer may be the one of whom they complain."""
    own = [one for one in payloads if one["kind"] == TaskKind.COMPLAINT]
    found = await assignees_of(session, [one["subject"] for one in own], hold=hold) if own else {}
    return [(one, {one["customer_id"]: who} if (who := found.get(one["subject"])) else {}) for one in own]


def customers_in(payloads: Payloads) -> Sequence[str]:
    return sorted({one["customer_id"] for one in payloads})


INSIGHT: dict[str, ManyHandler] = {
    ALERT_LOOK: on_alert_looks,
    TASK_OWED: on_tasks_owed,
    TASK_OVER: on_tasks_over,
    TIER_RISK: on_risks_told,
}
