"""Alerts: raised once for a customer and cause in so many days, and worked off by who looks after the customer.

What keeps two from being raised is one row for a customer and cause, which is put or renewed by a statement that says
itself whether enough time has passed: of many writers at once one passes.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, update
from sqlmodel import Field, col, select

from core.audit import record_change
from core.db import Record, Session, changed_rows, insert_into, insert_rows, instant, json_column, table_of
from core.errors import NotFound, Refusal
from core.ids import new_id
from core.outbox import owe, owe_all
from core.paging import Page, Place, cut, newest_first, page_size
from core.tasks import TASK_OVER, TASK_OWED, TaskKind, task, task_key
from customers.alert_rules import EVIDENCE, AlertCause, Evidence, guard_of, subject_of


class AlertNotOpen(Refusal):
    code = "ALERT_NOT_OPEN"
    en = "Somebody has acknowledged or closed this alert already."
    zh = "该预警已被确认或关闭。"


class AlertClosed(Refusal):
    code = "ALERT_CLOSED"
    en = "This alert is closed already."
    zh = "该预警已关闭。"


class AlertStatus(StrEnum):
    """RESOLVED and FALSE_POSITIVE are final."""

    OPEN = "OPEN"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    RESOLVED = "RESOLVED"
    FALSE_POSITIVE = "FALSE_POSITIVE"


class AlertReason(StrEnum):
    """Why an alert was closed; a code, so that nothing is written about a person here."""

    CONTACTED = "CONTACTED"
    RETAINED = "RETAINED"
    MONEY_MOVED = "MONEY_MOVED"
    EXPECTED = "EXPECTED"
    WRONG_DATA = "WRONG_DATA"
    OTHER = "OTHER"


UNFINISHED = (AlertStatus.OPEN, AlertStatus.ACKNOWLEDGED)


class Alert(Record, table=True):
    """What a rule saw of a customer; money in the evidence is minor units of `currency`."""

    __table_args__ = (
        Index("ix_alert_customer", "customer_id", "raised_at", "id"),
        Index("ix_alert_status", "status", "raised_at", "id"),
    )

    id: str = Field(primary_key=True)
    customer_id: str
    cause: str
    subject: str
    evidence: dict[str, Any] = json_column()
    currency: str
    policy_id: str = Field(foreign_key="insight_policy.id")
    status: str = AlertStatus.OPEN
    raised_at: datetime = instant()
    due_at: datetime = instant()
    acknowledged_by: str | None = None
    acknowledged_at: datetime | None = instant(optional=True)
    closed_by: str | None = None
    closed_at: datetime | None = instant(optional=True)
    reason: str | None = None

    def seen(self) -> Evidence:
        return EVIDENCE.validate_python(self.evidence)


class AlertGuard(Record, table=True):
    """The last alert of a customer and cause; `cause` is finer than an alert's, see `guard_of`."""

    customer_id: str = Field(primary_key=True)
    cause: str = Field(primary_key=True)
    subject: str
    alert_id: str
    raised_at: datetime = instant()


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a rule has seen of a customer, be it new or not, and when something is to be done about it."""

    customer_id: str
    seen: Evidence
    due_at: datetime

    @property
    def key(self) -> tuple[str, str]:
        return self.customer_id, guard_of(self.seen)


@dataclass(frozen=True, slots=True)
class Terms:
    """By which policy alerts are raised, in which currency, and for how many days they keep others off."""

    policy_id: str
    currency: str
    repeat_days: int


async def raise_alerts(
    session: Session, findings: Sequence[Finding], terms: Terms, *, now: datetime, hint: bool = False
) -> list[str]:
    """Raise what is new and owe a task for each; returns the ids of the new alerts.

    A cause is free again exactly `repeat_days` after its last alert, and never for what that one was about.
    """
    # One for each customer and cause, in one order everywhere: two writers wait for each other and never in a circle.
    wanted = {one.key: (new_id(), one) for one in findings}
    ordered = [wanted[key] for key in sorted(wanted)]
    passed = await pass_guards(session, ordered, terms, now=now)
    new = [(alert_id, one) for alert_id, one in ordered if alert_id in passed]
    put = insert_into(session, Alert).returning(table_of(Alert).c.id)
    await insert_rows(session, put, [row_of(alert_id, one, terms, now) for alert_id, one in new])
    payloads: dict[str, dict[str, Any]] = {
        task_key(TaskKind.ALERT, alert_id): task(
            TaskKind.ALERT, customer_id=one.customer_id, subject=alert_id, due_at=one.due_at
        )
        for alert_id, one in new
    }
    await owe_all(session, topic=TASK_OWED, payloads=payloads, now=now, hint=hint)
    return [alert_id for alert_id, _ in new]


async def pass_guards(
    session: Session, ordered: Sequence[tuple[str, Finding]], terms: Terms, *, now: datetime
) -> set[str]:
    """The ids of the alerts that may be raised; each of them holds its guard from now on."""
    put, guard = insert_into(session, AlertGuard), table_of(AlertGuard).c
    renewed = {name: put.excluded[name] for name in ("subject", "alert_id", "raised_at")}
    is_free = guard.raised_at <= now - timedelta(days=terms.repeat_days)
    statement = put.on_conflict_do_update(
        index_elements=["customer_id", "cause"],
        set_=renewed,
        where=is_free & (guard.subject != put.excluded.subject),
    )
    rows = [
        {
            "customer_id": one.customer_id,
            "cause": guard_of(one.seen),
            "subject": subject_of(one.seen),
            "alert_id": alert_id,
            "raised_at": now,
        }
        for alert_id, one in ordered
    ]
    return {row.alert_id for row in await insert_rows(session, statement.returning(guard.alert_id), rows)}


def row_of(alert_id: str, found: Finding, terms: Terms, now: datetime) -> dict[str, Any]:
    return {
        "id": alert_id,
        "customer_id": found.customer_id,
        "cause": found.seen.cause,
        "subject": subject_of(found.seen),
        "evidence": found.seen.model_dump(mode="json"),
        "currency": terms.currency,
        "policy_id": terms.policy_id,
        "status": AlertStatus.OPEN,
        "raised_at": now,
        "due_at": found.due_at,
    }


async def find_alert(session: Session, alert_id: str) -> Alert:
    """The alert as it is by now; raises NotFound."""
    found = await session.get(Alert, alert_id, populate_existing=True)
    if found is None:
        raise NotFound(path=("alertId",))
    return found


async def acknowledge_alert(session: Session, alert_id: str, *, actor: str, now: datetime) -> Alert:
    """Say that somebody is at it; of two at once one is refused. Raises NotFound, AlertNotOpen."""
    values = {"status": AlertStatus.ACKNOWLEDGED, "acknowledged_by": actor, "acknowledged_at": now}
    return await change_alert(session, alert_id, [AlertStatus.OPEN], values, AlertNotOpen, actor=actor, now=now)


async def resolve_alert(
    session: Session, alert_id: str, outcome: AlertStatus, *, reason: AlertReason, actor: str, now: datetime
) -> Alert:
    """Close an alert, and its task with it; of two at once one is refused. Raises NotFound, AlertClosed."""
    if outcome in UNFINISHED:
        raise ValueError(f"{outcome} closes nothing")
    values = {"status": outcome, "closed_by": actor, "closed_at": now, "reason": reason}
    found = await change_alert(session, alert_id, UNFINISHED, values, AlertClosed, actor=actor, now=now)
    payload = task(TaskKind.ALERT, customer_id=found.customer_id, subject=found.id, due_at=found.due_at)
    await owe(session, topic=TASK_OVER, key=task_key(TaskKind.ALERT, found.id), payload=payload, now=now)
    return found


async def change_alert(
    session: Session,
    alert_id: str,
    statuses: Sequence[AlertStatus],
    values: Mapping[str, Any],
    refused: type[Refusal],
    *,
    actor: str,
    now: datetime,
) -> Alert:
    changed = update(Alert).where(col(Alert.id) == alert_id, col(Alert.status).in_(statuses)).values(**values)
    passed = await changed_rows(session, changed)
    found = await find_alert(session, alert_id)
    if not passed:
        raise refused(path=("alertId",))
    status = AlertStatus(found.status)
    await record_change(
        session, "alert", alert_id, status.lower(), actor=actor, now=now, reason=found.reason, cause=found.cause
    )
    return found


async def list_alerts(
    session: Session,
    *,
    customer_ids: Collection[str] | None,
    status: AlertStatus | None,
    cause: AlertCause | None,
    first: int | None,
    after: Place,
) -> Page[Alert]:
    """Alerts of these customers, or of all where none are named, the latest first."""
    size = page_size(first)
    statement = select(Alert)
    if customer_ids is not None:
        statement = statement.where(col(Alert.customer_id).in_(customer_ids))
    if status is not None:
        statement = statement.where(Alert.status == status)
    if cause is not None:
        statement = statement.where(Alert.cause == cause)
    page = newest_first(statement, col(Alert.raised_at), col(Alert.id), size=size, after=after)
    return cut((await session.exec(page)).all(), size, lambda row: (row.raised_at.isoformat(), row.id), after)
