"""Rules of service breaks: written, tried, activated and ended by administrators."""

from datetime import datetime
from typing import Annotated, Any, cast

import strawberry
from strawberry.scalars import JSON

from api.context import Info
from api.customers.looked_after import is_staff
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from core.paging import window
from service.break_looks import preview_break_rule
from service.break_rules import (
    BreakRuleStatus,
    activate_break_rule,
    create_break_rule,
    list_break_rules,
    pause_break_rule,
    retire_break_rule,
    update_break_rule,
)
from service.break_rules import ServiceBreakRule as RuleRow
from service.break_rules import ServiceBreakRuleVersion as VersionRow

strawberry.enum(
    BreakRuleStatus,
    name="ServiceBreakRuleStatus",
    description="ACTIVE finds breaks; PAUSED can come back; RETIRED never does.",
)


@strawberry.type(description="What a rule said, for ever under its number.")
class ServiceBreakRuleVersion:
    version: int = strawberry.field(description="Its number.")
    definition: JSON = strawberry.field(description="Its condition and terms; docs/breaks-and-surveys.md.")
    created_by: str = strawberry.field(description="The administrator who wrote it.")
    created_at: datetime = strawberry.field(description="When.")


@strawberry.type(description="A rule that finds service breaks in what happens to customers.")
class ServiceBreakRule(Node):
    name: str = strawberry.field(description="Name in the language of the request.")
    status: BreakRuleStatus = strawberry.field(description="Whether it finds breaks.")
    version: int | None = strawberry.field(description="Which version counts; null for a draft.")
    applies_from: datetime | None = strawberry.field(
        description="From when on what happens can open a break; null for a draft."
    )
    row: strawberry.Private[RuleRow]

    @strawberry.field(description="All of its versions, the newest first.")
    async def versions(self, info: Info) -> list[ServiceBreakRuleVersion]:
        return [version_of(one) for one in await info.context.promises.versions.load(self.row.id)]


def version_of(row: VersionRow) -> ServiceBreakRuleVersion:
    definition: Any = row.definition
    return ServiceBreakRuleVersion(
        version=row.version, definition=definition, created_by=row.created_by, created_at=row.created_at
    )


def rule_of(row: RuleRow, info: Info) -> ServiceBreakRule:
    return ServiceBreakRule(
        id=global_id("ServiceBreakRule", row.id),
        name=info.context.text(row, "name"),
        status=BreakRuleStatus(row.status),
        version=row.version,
        applies_from=row.applies_from,
        row=row,
    )


async def load_break_rule(info: Info, local: str) -> ServiceBreakRule | None:
    """A rule, for the bank's people; null for anybody else."""
    row = await info.context.promises.rules.load(local) if is_staff(info) else None
    return rule_of(row, info) if row else None


@strawberry.input(description="What a new rule needs.")
class CreateServiceBreakRuleInput:
    name_zh: str = strawberry.field(description="Name in Chinese, 1 to 100 characters.")
    name_en: str = strawberry.field(description="Name in English, likewise.")
    definition: JSON = strawberry.field(description="Its condition and terms; docs/breaks-and-surveys.md.")


@strawberry.input(description="What is to change; what is left out stays.")
class UpdateServiceBreakRuleInput:
    rule_id: strawberry.ID = strawberry.field(description="Global id of the rule.")
    name_zh: str | None = strawberry.field(description="Name in Chinese.", default=None)
    name_en: str | None = strawberry.field(description="Name in English.", default=None)
    definition: JSON | None = strawberry.field(
        description="Becomes a new version, which finds nothing before it is activated.", default=None
    )


@strawberry.input(description="Which rule, which of its versions, and from when on.")
class ActivateServiceBreakRuleInput:
    rule_id: strawberry.ID = strawberry.field(description="Global id of the rule.")
    version: int | None = strawberry.field(description="Number of the version; the newest by default.", default=None)
    applies_from: datetime | None = strawberry.field(
        description="What happens from here on can open a break; now by default. What lies before now is found by the "
        "next daily sweep, which goes 90 days back.",
        default=None,
    )


@strawberry.input(description="Which rule.")
class ServiceBreakRuleInput:
    rule_id: strawberry.ID = strawberry.field(description="Global id of the rule.")


@strawberry.input(description="What would be a rule.")
class PreviewServiceBreakRuleInput:
    definition: JSON = strawberry.field(description="Its condition and terms; docs/breaks-and-surveys.md.")


@strawberry.type(description="The rule is drafted.")
class CreateServiceBreakRuleSuccess:
    rule: ServiceBreakRule = strawberry.field(description="The rule.")


@strawberry.type(description="The rule is changed.")
class UpdateServiceBreakRuleSuccess:
    rule: ServiceBreakRule = strawberry.field(description="The rule.")


@strawberry.type(description="The version finds breaks.")
class ActivateServiceBreakRuleSuccess:
    rule: ServiceBreakRule = strawberry.field(description="The rule.")


@strawberry.type(description="The rule finds nothing for now; breaks that are open stay.")
class PauseServiceBreakRuleSuccess:
    rule: ServiceBreakRule = strawberry.field(description="The rule.")


@strawberry.type(description="The rule finds nothing any more; breaks that are open stay.")
class RetireServiceBreakRuleSuccess:
    rule: ServiceBreakRule = strawberry.field(description="The rule.")


@strawberry.type(description="What a rule would have found.")
class PreviewServiceBreakRuleSuccess:
    breaks: int = strawberry.field(description="How many causes, each of one customer.")
    customers: int = strawberry.field(description="Of how many customers.")
    looked_at: int = strawberry.field(description="How many facts were looked at: the latest 2,000 at most.")
    days: int = strawberry.field(description="Over so many days up to now.")


CreateServiceBreakRuleResult = Annotated[
    CreateServiceBreakRuleSuccess | Refusal, result_union(CreateServiceBreakRuleSuccess)
]
UpdateServiceBreakRuleResult = Annotated[
    UpdateServiceBreakRuleSuccess | Refusal, result_union(UpdateServiceBreakRuleSuccess)
]
ActivateServiceBreakRuleResult = Annotated[
    ActivateServiceBreakRuleSuccess | Refusal, result_union(ActivateServiceBreakRuleSuccess)
]
PauseServiceBreakRuleResult = Annotated[
    PauseServiceBreakRuleSuccess | Refusal, result_union(PauseServiceBreakRuleSuccess)
]
RetireServiceBreakRuleResult = Annotated[
    RetireServiceBreakRuleSuccess | Refusal, result_union(RetireServiceBreakRuleSuccess)
]
PreviewServiceBreakRuleResult = Annotated[
    PreviewServiceBreakRuleSuccess | Refusal, result_union(PreviewServiceBreakRuleSuccess)
]


def local_rule(rule_id: str) -> str:
    return local_id("ServiceBreakRule", rule_id, "input", "ruleId")


@strawberry.type
class ServiceBreakRuleQueries:
    @strawberry.field(description="The rules of service breaks in the order of their ids; for administrators.")
    async def service_break_rules(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[ServiceBreakRule]:
        size, place = window(first, after, last, before)
        info.context.administrator()
        async with info.context.database.read() as session:
            page = await list_break_rules(session, first=size, after=place)
        return connection(page, place, lambda row: rule_of(row, info))


@strawberry.type
class ServiceBreakRuleMutations:
    @strawberry.mutation(description="Draft a rule of service breaks; for administrators.")
    @refusals
    async def create_service_break_rule(
        self, info: Info, input: CreateServiceBreakRuleInput
    ) -> CreateServiceBreakRuleResult:
        actor, now = info.context.administrator().subject, info.context.now
        async with info.context.database.write() as session:
            row = await create_break_rule(
                session,
                name_zh=input.name_zh,
                name_en=input.name_en,
                definition=cast(Any, input.definition),
                actor=actor,
                now=now,
            )
        return CreateServiceBreakRuleSuccess(rule=rule_of(row, info))

    @strawberry.mutation(description="Change a rule's names, or write its next version; for administrators.")
    @refusals
    async def update_service_break_rule(
        self, info: Info, input: UpdateServiceBreakRuleInput
    ) -> UpdateServiceBreakRuleResult:
        actor, now = info.context.administrator().subject, info.context.now
        async with info.context.database.write() as session:
            row = await update_break_rule(
                session,
                local_rule(input.rule_id),
                name_zh=input.name_zh,
                name_en=input.name_en,
                definition=cast(Any, input.definition),
                actor=actor,
                now=now,
            )
        return UpdateServiceBreakRuleSuccess(rule=rule_of(row, info))

    @strawberry.mutation(
        description="Count what a definition would have found in the last 30 days; for administrators."
    )
    @refusals
    async def preview_service_break_rule(
        self, info: Info, input: PreviewServiceBreakRuleInput
    ) -> PreviewServiceBreakRuleResult:
        info.context.administrator()
        async with info.context.database.read() as session:
            found = await preview_break_rule(session, cast(Any, input.definition), now=info.context.now)
        return PreviewServiceBreakRuleSuccess(
            breaks=found.breaks, customers=found.customers, looked_at=found.looked_at, days=found.days
        )

    @strawberry.mutation(description="Let a version of a rule find breaks; for administrators.")
    @refusals
    async def activate_service_break_rule(
        self, info: Info, input: ActivateServiceBreakRuleInput
    ) -> ActivateServiceBreakRuleResult:
        actor, now = info.context.administrator().subject, info.context.now
        async with info.context.database.write() as session:
            row = await activate_break_rule(
                session,
                local_rule(input.rule_id),
                version=input.version,
                applies_from=input.applies_from,
                actor=actor,
                now=now,
            )
        return ActivateServiceBreakRuleSuccess(rule=rule_of(row, info))

    @strawberry.mutation(description="Let a rule find nothing until it is activated again; for administrators.")
    @refusals
    async def pause_service_break_rule(self, info: Info, input: ServiceBreakRuleInput) -> PauseServiceBreakRuleResult:
        actor, now = info.context.administrator().subject, info.context.now
        async with info.context.database.write() as session:
            row = await pause_break_rule(session, local_rule(input.rule_id), actor=actor, now=now)
        return PauseServiceBreakRuleSuccess(rule=rule_of(row, info))

    @strawberry.mutation(description="End a rule for good; for administrators.")
    @refusals
    async def retire_service_break_rule(self, info: Info, input: ServiceBreakRuleInput) -> RetireServiceBreakRuleResult:
        actor, now = info.context.administrator().subject, info.context.now
        async with info.context.database.write() as session:
            row = await retire_break_rule(session, local_rule(input.rule_id), actor=actor, now=now)
        return RetireServiceBreakRuleSuccess(rule=rule_of(row, info))
