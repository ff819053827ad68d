"""Service breaks: what went wrong for customers, how it was repaired, and what they said since."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.context import Info
from api.customers.insight import customers_in_care
from api.customers.looked_after import in_care, is_staff, staff
from api.customers.profiles import Customer, load_customer
from api.loyalty.provenance import Fact, fact_of
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from api.service.break_rules import ServiceBreakRule, load_break_rule
from core.db import Session
from core.errors import NotFound
from core.paging import window
from customers.personal import made_data_keys
from service.break_secrets import breaks_about, is_break_about
from service.breaks import BreakStatus, find_break, list_breaks
from service.breaks import ServiceBreak as BreakRow
from service.recovery import RecoveryAction, note_of, record_recovery
from service.survey_rows import SurveyKind, SurveyOccasion

strawberry.enum(
    BreakStatus, name="ServiceBreakStatus", description="RECOVERED and EXPIRED, which nobody repaired, are final."
)
strawberry.enum(
    RecoveryAction,
    name="RecoveryAction",
    description="What was done to repair a break. Points as goodwill are given by adjustPoints.",
)
strawberry.enum(
    SurveyKind,
    name="SurveyKind",
    description="NPS: whether somebody would recommend us, 0 to 10. CSAT: how satisfied they are, 1 to 5.",
)
strawberry.enum(
    SurveyOccasion,
    name="SurveyOccasion",
    description="After what somebody is asked: an event attended, a complaint closed, a redemption fulfilled.",
)


@strawberry.type(description="What a customer answered to the first survey after a break, within 90 days.")
class NextSurvey:
    kind: SurveyKind = strawberry.field(description="What was asked.")
    occasion: SurveyOccasion = strawberry.field(description="After what.")
    score: int = strawberry.field(description="The answer.")
    answered_at: datetime = strawberry.field(description="When.")


@strawberry.type(description="Something that went wrong for a customer, as a rule found it; for the bank's people.")
class ServiceBreak(Node):
    status: BreakStatus = strawberry.field(description="What became of it.")
    rule_version: int = strawberry.field(description="By which version of the rule it was found.")
    broke_at: datetime = strawberry.field(description="When the event happened by which the rule's condition held.")
    opened_at: datetime = strawberry.field(description="When it was found.")
    due_at: datetime = strawberry.field(description="Until when it is to be repaired.")
    ended_at: datetime | None = strawberry.field(description="When it was repaired or given up.")
    recovered_by: str | None = strawberry.field(description="The employee who said that it is repaired.")
    actions: list[RecoveryAction] = strawberry.field(description="What was done; empty while it is not repaired.")
    row: strawberry.Private[BreakRow]

    @strawberry.field(description="By which rule it was found.")
    async def rule(self, info: Info) -> ServiceBreakRule | None:
        return await load_break_rule(info, self.row.rule_id)

    @strawberry.field(description="For whom.")
    async def customer(self, info: Info) -> Customer | None:
        return await load_customer(info, self.row.customer_id)

    @strawberry.field(description="Who is to repair it: the employee to whom the task was given; null: nobody yet.")
    async def owner(self, info: Info) -> str | None:
        return await info.context.promises.owners.load(self.row.id)

    @strawberry.field(
        description="What proves it, in the order in which it happened; at most 50 from before it opened."
    )
    async def evidence(self, info: Info) -> list[Fact]:
        return [fact_of(fact) for fact in await info.context.promises.evidence.load(self.row.id) or []]

    @strawberry.field(description="What whoever repaired it wrote; null for nothing, and after an erasure.")
    async def note(self, info: Info) -> str | None:
        if self.row.note is None:
            return None
        found = await info.context.promises.data_keys.load(self.row.customer_id)
        return note_of(self.row, found[1], owner=found[0]) if found else None

    @strawberry.field(description="The first answer to a survey since it broke, within 90 days; null: there is none.")
    async def next_survey(self, info: Info) -> NextSurvey | None:
        found = await info.context.promises.surveys.load(self.row.next_survey_id) if self.row.next_survey_id else None
        if found is None or found.answered_at is None or found.score is None:
            return None
        return NextSurvey(
            kind=SurveyKind(found.kind),
            occasion=SurveyOccasion(found.occasion),
            score=found.score,
            answered_at=found.answered_at,
        )


def break_of(row: BreakRow) -> ServiceBreak:
    return ServiceBreak(
        id=global_id("ServiceBreak", row.id),
        status=BreakStatus(row.status),
        rule_version=row.rule_version,
        broke_at=row.broke_at,
        opened_at=row.opened_at,
        due_at=row.due_at,
        ended_at=row.ended_at,
        recovered_by=row.recovered_by,
        actions=[RecoveryAction(code) for code in row.actions.get("codes", [])],
        row=row,
    )


async def break_in_care(info: Info, session: Session, break_id: str) -> BreakRow:
    """A break of a customer whom the asking person looks after; raises NotFound for all others.

    What has come from a complaint about that person is as if it were not there.
    """
    row = await find_break(session, break_id)
    await in_care(info, session, row.customer_id, "breakId")
    if await is_break_about(session, row.id, info.context.signed_in().subject):
        raise NotFound(path=("breakId",))
    return row


async def load_break(info: Info, local: str) -> ServiceBreak | None:
    """A break of a customer whom the asking person looks after; null for any other."""
    if not is_staff(info):
        return None
    async with info.context.database.read() as session:
        try:
            return break_of(await break_in_care(info, session, local))
        except NotFound:
            return None


@strawberry.input(description="Which break is repaired, and how.")
class RecordRecoveryInput:
    break_id: strawberry.ID = strawberry.field(description="Global id of the break.")
    actions: list[RecoveryAction] = strawberry.field(description="What was done, at least one.")
    note: str | None = strawberry.field(
        description="In your words, at most 2,000 characters; kept sealed, and gone when the customer is erased.",
        default=None,
    )


@strawberry.type(description="It is repaired, and its task is over.")
class RecordRecoverySuccess:
    service_break: ServiceBreak = strawberry.field(description="The break.")


RecordRecoveryResult = Annotated[RecordRecoverySuccess | Refusal, result_union(RecordRecoverySuccess)]


@strawberry.type
class ServiceBreakQueries:
    @strawberry.field(
        description="Service breaks, the latest first: of their own customers for relationship managers, of all for "
        "administrators."
    )
    async def service_breaks(
        self,
        info: Info,
        status: Annotated[BreakStatus | None, strawberry.argument(description="Only these; null: all.")] = None,
        rule_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only those of this rule; null: of all.")
        ] = None,
        customer_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only of this customer; null: of all.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[ServiceBreak]:
        size, place = window(first, after, last, before)
        hidden = breaks_about(staff(info).subject)
        customer = local_id("Customer", customer_id, "customerId") if customer_id else None
        rule = local_id("ServiceBreakRule", rule_id, "ruleId") if rule_id else None
        async with info.context.database.read() as session:
            ids = await customers_in_care(info, session, customer)
            page = await list_breaks(
                session, customer_ids=ids, status=status, rule_id=rule, hidden=hidden, first=size, after=place
            )
        return connection(page, place, break_of)


@strawberry.type
class ServiceBreakMutations:
    @strawberry.mutation(
        description="Say that a break is repaired, once; said again with the same, the first answer. For the "
        "customer's relationship manager and administrators."
    )
    @refusals
    async def record_recovery(self, info: Info, input: RecordRecoveryInput) -> RecordRecoveryResult:
        actor, now = staff(info).subject, info.context.now
        break_id = local_id("ServiceBreak", input.break_id, "input", "breakId")
        async with info.context.database.write() as session:
            row = await break_in_care(info, session, break_id)
            keys = await made_data_keys(session, [row.customer_id]) if input.note else {}
            row = await record_recovery(
                session,
                break_id,
                actions=input.actions,
                note=input.note,
                data_key=keys.get(row.customer_id),
                actor=actor,
                now=now,
            )
        return RecordRecoverySuccess(service_break=break_of(row))
