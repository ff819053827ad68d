"""The policies of early warning and of needs: written, tried and activated by administrators."""

from typing import Annotated, Any, cast

import strawberry
from strawberry.scalars import JSON

from api.context import Info
from api.customers.insight import PolicyVersion, version_fields
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from core.audit import record_change
from core.db import Session
from core.paging import window
from customers.alert_definition import parse_alert_definition
from customers.alert_looks import read_policy
from customers.insight_policies import (
    InsightPolicy,
    PolicyKind,
    activate_policy,
    create_policy,
    find_policy,
    list_policies,
)
from customers.insight_previews import Preview, preview_alerts, preview_needs
from customers.need_definition import parse_need_definition
from customers.need_looks import read_need_policy
from customers.needs import check_kinds
from segments.conditions import load_vocabulary


@strawberry.type(description="A version of the rules of early warning.")
class AlertPolicy(Node, PolicyVersion):
    pass


@strawberry.type(description="A version of the rules that find needs.")
class NeedPolicy(Node, PolicyVersion):
    pass


def alert_policy_of(row: InsightPolicy) -> AlertPolicy:
    fields: Any = version_fields(row)
    return AlertPolicy(id=global_id("AlertPolicy", row.id), **fields)


def need_policy_of(row: InsightPolicy) -> NeedPolicy:
    fields: Any = version_fields(row)
    return NeedPolicy(id=global_id("NeedPolicy", row.id), **fields)


@strawberry.type(description="How much a policy would raise, of one cause or need.")
class PreviewCount:
    name: str = strawberry.field(description="The cause, with the key of a condition of the bank's own; or the need.")
    count: int = strawberry.field(description="How many.")


@strawberry.type(description="What a policy would raise today, were it active.")
class PolicyPreview:
    counts: list[PreviewCount] = strawberry.field(description="By cause or need; what would raise none is left out.")
    looked_at: int = strawberry.field(description="How many customers were looked at: of many a sample.")
    customers: int = strawberry.field(description="How many customers there are.")


def preview_of(found: Preview) -> PolicyPreview:
    counts = [PreviewCount(name=name, count=count) for name, count in found.counts.items()]
    return PolicyPreview(counts=counts, looked_at=found.looked_at, customers=found.customers)


@strawberry.input(description="What a new version says.")
class CreateInsightPolicyInput:
    definition: JSON = strawberry.field(description="Its rules and thresholds; docs/alerts-and-needs.md.")


@strawberry.input(description="Which version.")
class InsightPolicyInput:
    policy_id: strawberry.ID = strawberry.field(description="Global id of the policy.")


@strawberry.type(description="The draft is written.")
class CreateAlertPolicySuccess:
    policy: AlertPolicy = strawberry.field(description="The draft.")


@strawberry.type(description="What it would do.")
class PreviewAlertPolicySuccess:
    preview: PolicyPreview = strawberry.field(description="What it would raise today.")


@strawberry.type(description="It decides from now on.")
class ActivateAlertPolicySuccess:
    policy: AlertPolicy = strawberry.field(description="The policy.")


@strawberry.type(description="The draft is written.")
class CreateNeedPolicySuccess:
    policy: NeedPolicy = strawberry.field(description="The draft.")


@strawberry.type(description="What it would do.")
class PreviewNeedPolicySuccess:
    preview: PolicyPreview = strawberry.field(description="What it would raise today.")


@strawberry.type(description="It decides from now on.")
class ActivateNeedPolicySuccess:
    policy: NeedPolicy = strawberry.field(description="The policy.")


CreateAlertPolicyResult = Annotated[CreateAlertPolicySuccess | Refusal, result_union(CreateAlertPolicySuccess)]
PreviewAlertPolicyResult = Annotated[PreviewAlertPolicySuccess | Refusal, result_union(PreviewAlertPolicySuccess)]
ActivateAlertPolicyResult = Annotated[ActivateAlertPolicySuccess | Refusal, result_union(ActivateAlertPolicySuccess)]
CreateNeedPolicyResult = Annotated[CreateNeedPolicySuccess | Refusal, result_union(CreateNeedPolicySuccess)]
PreviewNeedPolicyResult = Annotated[PreviewNeedPolicySuccess | Refusal, result_union(PreviewNeedPolicySuccess)]
ActivateNeedPolicyResult = Annotated[ActivateNeedPolicySuccess | Refusal, result_union(ActivateNeedPolicySuccess)]


async def created(info: Info, session: Session, kind: PolicyKind, definition: dict[str, Any]) -> InsightPolicy:
    actor, now = info.context.administrator().subject, info.context.now
    row = await create_policy(session, kind, definition, actor=actor, now=now)
    await record_change(session, area_of(kind), row.id, "created", actor=actor, now=now, number=row.number)
    return row


async def activated(info: Info, kind: PolicyKind, policy_id: str) -> InsightPolicy:
    actor, now = info.context.administrator().subject, info.context.now
    async with info.context.database.write() as session:
        row = await activate_policy(session, kind, policy_id, actor=actor, now=now)
        await record_change(session, area_of(kind), row.id, "activated", actor=actor, now=now, number=row.number)
    return row


def area_of(kind: PolicyKind) -> str:
    return {PolicyKind.ALERTS: "alert-policy", PolicyKind.NEEDS: "need-policy"}[kind]


@strawberry.type
class InsightPolicyQueries:
    @strawberry.field(description="The versions of the rules of early warning, the newest first; for administrators.")
    async def alert_policies(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[AlertPolicy]:
        size, place = window(first, after, last, before)
        info.context.administrator()
        async with info.context.database.read() as session:
            page = await list_policies(session, PolicyKind.ALERTS, first=size, after=place)
        return connection(page, place, alert_policy_of)

    @strawberry.field(description="The versions of the rules that find needs, the newest first; for administrators.")
    async def need_policies(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[NeedPolicy]:
        size, place = window(first, after, last, before)
        info.context.administrator()
        async with info.context.database.read() as session:
            page = await list_policies(session, PolicyKind.NEEDS, first=size, after=place)
        return connection(page, place, need_policy_of)


@strawberry.type
class InsightPolicyMutations:
    @strawberry.mutation(description="Write the next version of the rules of early warning; for administrators.")
    @refusals
    async def create_alert_policy(self, info: Info, input: CreateInsightPolicyInput) -> CreateAlertPolicyResult:
        info.context.administrator()
        async with info.context.database.write() as session:
            parsed = parse_alert_definition(cast(Any, input.definition), await load_vocabulary(session))
            row = await created(info, session, PolicyKind.ALERTS, parsed.model_dump(mode="json"))
        return CreateAlertPolicySuccess(policy=alert_policy_of(row))

    @strawberry.mutation(
        description="What a version would raise today, were it active: over a sample of customers, or all of a few. It "
        "changes nothing. For administrators."
    )
    @refusals
    async def preview_alert_policy(self, info: Info, input: InsightPolicyInput) -> PreviewAlertPolicyResult:
        info.context.administrator()
        policy_id = local_id("AlertPolicy", input.policy_id, "input", "policyId")
        async with info.context.database.read() as session:
            policy = await read_policy(session, await find_policy(session, PolicyKind.ALERTS, policy_id))
            found = await preview_alerts(session, policy, now=info.context.now)
        return PreviewAlertPolicySuccess(preview=preview_of(found))

    @strawberry.mutation(
        description="Let a draft decide from the next daily look on, and at once of what comes in between; for "
        "administrators."
    )
    @refusals
    async def activate_alert_policy(self, info: Info, input: InsightPolicyInput) -> ActivateAlertPolicyResult:
        info.context.administrator()
        policy_id = local_id("AlertPolicy", input.policy_id, "input", "policyId")
        return ActivateAlertPolicySuccess(policy=alert_policy_of(await activated(info, PolicyKind.ALERTS, policy_id)))

    @strawberry.mutation(description="Write the next version of the rules that find needs; for administrators.")
    @refusals
    async def create_need_policy(self, info: Info, input: CreateInsightPolicyInput) -> CreateNeedPolicyResult:
        info.context.administrator()
        async with info.context.database.write() as session:
            parsed = parse_need_definition(cast(Any, input.definition), await load_vocabulary(session))
            await check_kinds(session, parsed)
            row = await created(info, session, PolicyKind.NEEDS, parsed.model_dump(mode="json"))
        return CreateNeedPolicySuccess(policy=need_policy_of(row))

    @strawberry.mutation(
        description="What a version would raise today, were it active: over a sample of customers, or all of a few. It "
        "changes nothing. For administrators."
    )
    @refusals
    async def preview_need_policy(self, info: Info, input: InsightPolicyInput) -> PreviewNeedPolicyResult:
        info.context.administrator()
        policy_id = local_id("NeedPolicy", input.policy_id, "input", "policyId")
        async with info.context.database.read() as session:
            policy = await read_need_policy(session, await find_policy(session, PolicyKind.NEEDS, policy_id))
            found = await preview_needs(session, policy, now=info.context.now)
        return PreviewNeedPolicySuccess(preview=preview_of(found))

    @strawberry.mutation(description="Let a draft decide from the next daily look on; for administrators.")
    @refusals
    async def activate_need_policy(self, info: Info, input: InsightPolicyInput) -> ActivateNeedPolicyResult:
        info.context.administrator()
        policy_id = local_id("NeedPolicy", input.policy_id, "input", "policyId")
        return ActivateNeedPolicySuccess(policy=need_policy_of(await activated(info, PolicyKind.NEEDS, policy_id)))
