"""Early warning: what rules saw of customers, why, and what became of it."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import strawberry

from api.context import Info
from api.customers.alert_evidence import AlertEvidence, evidence_of
from api.customers.insight import customers_in_care
from api.customers.looked_after import in_care, is_staff, staff
from api.customers.profiles import Customer, load_customer
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from core.db import Session
from core.errors import NotFound
from core.paging import window
from customers.alert_definition import AlertDefinition
from customers.alert_rules import AlertCause, ConditionMet
from customers.alert_words import condition_why, why
from customers.alerts import Alert as AlertRow
from customers.alerts import AlertReason, AlertStatus, acknowledge_alert, find_alert, list_alerts, resolve_alert

strawberry.enum(AlertCause, name="AlertCause", description="What an alert is about; docs/alerts-and-needs.md.")
strawberry.enum(AlertStatus, name="AlertStatus", description="RESOLVED and FALSE_POSITIVE are final.")
strawberry.enum(AlertReason, name="AlertReason", description="Why an alert was closed.")


@strawberry.enum(description="How an alert ends.")
class AlertOutcome(StrEnum):
    """The final ones of the statuses."""

    RESOLVED = "RESOLVED"
    FALSE_POSITIVE = "FALSE_POSITIVE"


OfStatus = Annotated[AlertStatus | None, strawberry.argument(description="Only these; null: all of them.")]


@strawberry.type(description="Something that a rule of early warning saw of a customer; for the bank's people.")
class Alert(Node):
    cause: AlertCause = strawberry.field(description="What it is about.")
    status: AlertStatus = strawberry.field(description="What became of it.")
    evidence: AlertEvidence = strawberry.field(description="What the rule saw.")
    currency: str = strawberry.field(description="The currency of the money in the evidence.")
    policy_id: strawberry.ID = strawberry.field(description="Global id of the policy whose rule spoke.")
    raised_at: datetime = strawberry.field(description="When.")
    due_at: datetime = strawberry.field(description="Until when somebody is to look at it.")
    acknowledged_by: str | None = strawberry.field(description="Who said that they are at it.")
    acknowledged_at: datetime | None = strawberry.field(description="When.")
    closed_by: str | None = strawberry.field(description="Who closed it.")
    closed_at: datetime | None = strawberry.field(description="When.")
    reason: AlertReason | None = strawberry.field(description="Why it was closed.")
    row: strawberry.Private[AlertRow]

    @strawberry.field(description="Of whom.")
    async def customer(self, info: Info) -> Customer | None:
        return await load_customer(info, self.row.customer_id)

    @strawberry.field(description="Why the system thinks so, in the language of the request.")
    async def why(self, info: Info) -> str:
        seen, context = self.row.seen(), info.context
        policy = await context.insight.policies.load(self.row.policy_id) if isinstance(seen, ConditionMet) else None
        if policy is None or not isinstance(seen, ConditionMet):
            return why(seen, self.row.currency, context.language)
        definition = AlertDefinition.model_validate(policy.definition)
        return condition_why(seen, definition, await context.insight.vocabulary(), context.language)


def alert_of(row: AlertRow) -> Alert:
    return Alert(
        id=global_id("Alert", row.id),
        cause=AlertCause(row.cause),
        status=AlertStatus(row.status),
        evidence=evidence_of(row.seen()),
        currency=row.currency,
        policy_id=global_id("AlertPolicy", row.policy_id),
        raised_at=row.raised_at,
        due_at=row.due_at,
        acknowledged_by=row.acknowledged_by,
        acknowledged_at=row.acknowledged_at,
        closed_by=row.closed_by,
        closed_at=row.closed_at,
        reason=AlertReason(row.reason) if row.reason else None,
        row=row,
    )


@strawberry.type(description="Early warning about a customer.")
class AlertsOfCustomer:
    local: strawberry.Private[str]

    @strawberry.field(description="Alerts, the latest first; null for the customer, about whom they are.")
    async def alerts(
        self,
        info: Info,
        status: OfStatus = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Alert] | None:
        size, place = window(first, after, last, before)
        if not is_staff(info):
            return None
        async with info.context.database.read() as session:
            page = await list_alerts(
                session, customer_ids=[self.local], status=status, cause=None, first=size, after=place
            )
        return connection(page, place, alert_of)


@strawberry.input(description="Which alert somebody is at.")
class AcknowledgeAlertInput:
    alert_id: strawberry.ID = strawberry.field(description="Global id of the alert.")


@strawberry.input(description="How an alert ends, and why.")
class ResolveAlertInput:
    alert_id: strawberry.ID = strawberry.field(description="Global id of the alert.")
    outcome: AlertOutcome = strawberry.field(description="Whether it was a reason to act, or a false alarm.")
    reason: AlertReason = strawberry.field(description="Why; kept in the audit trail.")


@strawberry.type(description="Somebody is at it.")
class AcknowledgeAlertSuccess:
    alert: Alert = strawberry.field(description="The alert.")


@strawberry.type(description="It is closed, and its task with it.")
class ResolveAlertSuccess:
    alert: Alert = strawberry.field(description="The alert.")


AcknowledgeAlertResult = Annotated[AcknowledgeAlertSuccess | Refusal, result_union(AcknowledgeAlertSuccess)]
ResolveAlertResult = Annotated[ResolveAlertSuccess | Refusal, result_union(ResolveAlertSuccess)]


async def alert_in_care(info: Info, session: Session, alert_id: str) -> AlertRow:
    """An alert about a customer whom the asking person looks after; raises NotFound for all others."""
    row = await find_alert(session, alert_id)
    await in_care(info, session, row.customer_id, "alertId")
    return row


@strawberry.type
class AlertQueries:
    @strawberry.field(
        description="Alerts, the latest first: about their own customers for relationship managers, about all for "
        "administrators."
    )
    async def alerts(
        self,
        info: Info,
        status: OfStatus = None,
        cause: Annotated[AlertCause | None, strawberry.argument(description="Only about this; null: all.")] = None,
        customer_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only about this customer; null: all.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Alert]:
        size, place = window(first, after, last, before)
        staff(info)
        customer = local_id("Customer", customer_id, "customerId") if customer_id else None
        async with info.context.database.read() as session:
            ids = await customers_in_care(info, session, customer)
            page = await list_alerts(session, customer_ids=ids, status=status, cause=cause, first=size, after=place)
        return connection(page, place, alert_of)

    @strawberry.field(description="An alert about a customer whom you look after; null for any other.")
    async def alert(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Global id of the alert.")]
    ) -> Alert | None:
        staff(info)
        alert_id = local_id("Alert", id, "id")
        async with info.context.database.read() as session:
            try:
                return alert_of(await alert_in_care(info, session, alert_id))
            except NotFound:
                return None


@strawberry.type
class AlertMutations:
    @strawberry.mutation(
        description="Say that you are at it; of two at once one is refused. For the customer's relationship manager, "
        "and for administrators."
    )
    @refusals
    async def acknowledge_alert(self, info: Info, input: AcknowledgeAlertInput) -> AcknowledgeAlertResult:
        actor, now = staff(info).subject, info.context.now
        alert_id = local_id("Alert", input.alert_id, "input", "alertId")
        async with info.context.database.write() as session:
            await alert_in_care(info, session, alert_id)
            row = await acknowledge_alert(session, alert_id, actor=actor, now=now)
        return AcknowledgeAlertSuccess(alert=alert_of(row))

    @strawberry.mutation(
        description="Close an alert, once; of two at once one is refused. For the customer's relationship manager and "
        "administrators."
    )
    @refusals
    async def resolve_alert(self, info: Info, input: ResolveAlertInput) -> ResolveAlertResult:
        actor, now = staff(info).subject, info.context.now
        alert_id = local_id("Alert", input.alert_id, "input", "alertId")
        outcome = AlertStatus(input.outcome.value)
        async with info.context.database.write() as session:
            await alert_in_care(info, session, alert_id)
            row = await resolve_alert(session, alert_id, outcome, reason=input.reason, actor=actor, now=now)
        return ResolveAlertSuccess(alert=alert_of(row))
