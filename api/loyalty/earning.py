"""Earning rules: their versions and life, and what customers earned by them."""

from datetime import datetime
from typing import Annotated, Any, cast

import strawberry
from strawberry.scalars import JSON

from api.context import Info
from api.loyalty.provenance import Fact, fact_of
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from api.scalars import SafeInt
from core.audit import record_change
from core.days import Period
from core.db import Session
from core.paging import Page, Place, window
from loyalty.earning import EarningLine, earnings_of
from loyalty.earning_course import LessReason
from loyalty.earning_definition import CapPolicy
from loyalty.earning_rules import EarningRule as RuleRow
from loyalty.earning_rules import (
    EarningRuleStatus,
    EarningRuleVersion,
    Timeline,
    activate_earning_rule,
    create_earning_rule,
    list_earning_rules,
    pause_earning_rule,
    retire_earning_rule,
    update_earning_rule,
    versions_of,
)

strawberry.enum(
    EarningRuleStatus,
    name="EarningRuleStatus",
    description="ACTIVE earns by its versions; PAUSED can come back; RETIRED never does.",
)
strawberry.enum(
    Period,
    name="EarningPeriod",
    description="The span in which a cap counts, by when the fact happened, in the rule's time zone.",
)
strawberry.enum(
    CapPolicy, name="EarningCapPolicy", description="PARTIAL cuts to what fits; REJECT gives all or nothing."
)
strawberry.enum(
    LessReason,
    name="EarningLessReason",
    description="CAP_POINTS and CAP_TIMES: a cap was reached; REVERSED: the fact was taken back.",
)
# What a person reads, in Chinese and English.
WORDS: dict[LessReason, tuple[str, str]] = {
    LessReason.CAP_POINTS: ("已达到该规则的积分上限。", "The most points that this rule gives were reached."),
    LessReason.CAP_TIMES: ("已达到该规则的次数上限。", "This rule has given points as often as it does."),
    LessReason.REVERSED: (
        "所依据的事实已撤销，积分已收回。",
        "What the points were for was taken back, and so were they.",
    ),
}


@strawberry.type(description="How much one customer earns by a rule in one span.")
class EarningCap:
    period: Period = strawberry.field(description="The span.")
    points: SafeInt | None = strawberry.field(description="Points at most; null: any number.")
    times: int | None = strawberry.field(description="How often at most; null: any number.")


@strawberry.type(description="What a rule gives by the version that counts now.")
class EarningTerms:
    version: int = strawberry.field(description="Number of the version.")
    fact_kind: str = strawberry.field(description="The kind of fact that earns.")
    points: int | None = strawberry.field(description="Points for each fact; null where they follow a number.")
    points_per_unit: int | None = strawberry.field(description="Points for every whole unit of a number of the fact.")
    unit: int | None = strawberry.field(description="How much of that number is a unit.")
    unit_field: str | None = strawberry.field(description="Which number of the fact that is.")
    most_points: int = strawberry.field(description="What one fact brings at most.")
    hold_days: int = strawberry.field(description="Days for which the points are pending.")
    expires_days: int = strawberry.field(description="Days after which they expire.")
    valid_from: datetime | None = strawberry.field(description="Facts from here on, inclusive; null: all.")
    valid_until: datetime | None = strawberry.field(description="Facts before this, exclusive; null: all.")
    caps: list[EarningCap] = strawberry.field(description="The limits for each customer.")
    on_cap: CapPolicy = strawberry.field(description="What becomes of an earning that a cap does not hold whole.")
    time_zone: str = strawberry.field(description="IANA zone whose days the caps count.")


@strawberry.type(description="A definition that never changes once it is written.")
class EarningRuleDefinition:
    version: int = strawberry.field(description="Number of the version; earnings name it.")
    definition: JSON = strawberry.field(description="Conditions, points, spans and caps; docs/earning-rules.md.")
    created_at: datetime = strawberry.field(description="When it was written.")


@strawberry.type(description="From when on a version counts; of two, the later act decides from its instant on.")
class EarningRuleTurn:
    version: int | None = strawberry.field(description="The version; null: none counts.")
    effective_from: datetime = strawberry.field(description="For facts that happen from here on.")
    decided_at: datetime = strawberry.field(description="When it was decided.")


@strawberry.type(description="Points for facts of a kind.")
class EarningRule(Node):
    name: str = strawberry.field(description="Name in the language of the request.")
    status: EarningRuleStatus = strawberry.field(description="Whether it earns.")
    row: strawberry.Private[RuleRow]

    @strawberry.field(description="What it gives for facts that happen now; null while no version counts.")
    async def terms(self, info: Info) -> EarningTerms | None:
        timeline = await info.context.loaders.earning_timelines.load(self.row.id)
        return terms_of(timeline, info.context.now) if timeline else None

    @strawberry.field(description="Its definitions, the newest first; none but for administrators.")
    async def versions(self, info: Info) -> list[EarningRuleDefinition]:
        if not info.context.signed_in().is_administrator:
            return []
        async with info.context.database.read() as session:
            return [definition_of(row) for row in await versions_of(session, [self.row.id])]

    @strawberry.field(description="Which version counts when, the latest decision first; none but for administrators.")
    async def turns(self, info: Info) -> list[EarningRuleTurn]:
        timeline = await info.context.loaders.earning_timelines.load(self.row.id)
        if timeline is None or not info.context.signed_in().is_administrator:
            return []
        return [
            EarningRuleTurn(version=turn.version, effective_from=turn.effective_from, decided_at=turn.created_at)
            for turn in reversed(timeline.turns)
        ]


@strawberry.type(description="What a fact brought by a rule, and why less than the rule gives.")
class Earning(Node):
    fact: Fact = strawberry.field(description="What happened.")
    rule: EarningRule = strawberry.field(description="The rule.")
    version: int = strawberry.field(description="The version of the rule that counted when it happened.")
    wanted_points: int = strawberry.field(description="What the rule gives for it.")
    points: int = strawberry.field(description="What was given.")
    reason: LessReason | None = strawberry.field(description="Why it brings less; null where it brings all.")
    cap_period: Period | None = strawberry.field(description="Which cap was reached; null: none.")
    message: str | None = strawberry.field(description="The reason in the language of the request.")
    earned_at: datetime = strawberry.field(description="When it was booked.")
    reversed_at: datetime | None = strawberry.field(description="When it was taken back; null: it stands.")


def terms_of(timeline: Timeline, now: datetime) -> EarningTerms | None:
    version = timeline.at(now)
    if version is None:
        return None
    given = version.definition
    unit = given.per_unit
    return EarningTerms(
        version=version.number,
        fact_kind=given.fact_kind,
        points=given.points,
        points_per_unit=unit.points if unit else None,
        unit=unit.unit if unit else None,
        unit_field=unit.field if unit else None,
        most_points=unit.maximum if unit else given.points or 0,
        hold_days=given.hold_days,
        expires_days=given.expires_days,
        valid_from=given.valid_from,
        valid_until=given.valid_until,
        caps=[
            EarningCap(period=cap.period, points=None if cap.points is None else SafeInt(cap.points), times=cap.times)
            for cap in given.caps
        ],
        on_cap=given.on_cap,
        time_zone=given.time_zone,
    )


def definition_of(row: EarningRuleVersion) -> EarningRuleDefinition:
    return EarningRuleDefinition(version=row.version, definition=cast(Any, row.definition), created_at=row.created_at)


def rule_of(row: RuleRow, info: Info) -> EarningRule:
    name, status = info.context.text(row, "name"), EarningRuleStatus(row.status)
    return EarningRule(id=global_id("EarningRule", row.id), name=name, status=status, row=row)


def earning_of(line: EarningLine, info: Info) -> Earning:
    row, reason = line.earning, line.reason
    words = WORDS[reason] if reason else None
    return Earning(
        id=global_id("Earning", row.id),
        fact=fact_of(line.fact),
        rule=rule_of(line.rule, info),
        version=row.version,
        wanted_points=row.wanted_points,
        points=row.points,
        reason=reason,
        cap_period=line.period,
        message=words[info.context.language != "zh"] if words else None,
        earned_at=row.earned_at,
        reversed_at=row.reversed_at,
    )


async def earning_page(info: Info, customer_id: str | None, first: int | None, after: Place) -> Connection[Earning]:
    """What a customer earned, the latest facts first."""
    if customer_id is None:
        return connection(Page[EarningLine]([], [], has_next=False), after, lambda line: earning_of(line, info))
    async with info.context.database.read() as session:
        page = await earnings_of(session, customer_id, first=first, after=after)
    return connection(page, after, lambda line: earning_of(line, info))


async def load_rule(info: Info, local: str) -> EarningRule | None:
    """A rule; those that are not active are for administrators."""
    row = await info.context.loaders.earning_rules.load(local)
    if row is None or not (row.status == EarningRuleStatus.ACTIVE or info.context.signed_in().is_administrator):
        return None
    return rule_of(row, info)


@strawberry.input(description="What a new rule needs.")
class CreateEarningRuleInput:
    name_zh: str = strawberry.field(description="Name in Chinese.")
    name_en: str = strawberry.field(description="Name in English.")
    definition: JSON = strawberry.field(description="Conditions, points, spans and caps; see docs/earning-rules.md.")


@strawberry.input(description="What is to change; what is left out stays.")
class UpdateEarningRuleInput:
    rule_id: strawberry.ID = strawberry.field(description="Global id of the rule.")
    name_zh: str | None = strawberry.field(description="Name in Chinese.", default=None)
    name_en: str | None = strawberry.field(description="Name in English.", default=None)
    definition: JSON | None = strawberry.field(
        description="Becomes a new version, which earns nothing before it is activated.", default=None
    )


@strawberry.input(description="Which rule, which of its versions, and for facts from when on.")
class ActivateEarningRuleInput:
    rule_id: strawberry.ID = strawberry.field(description="Global id of the rule.")
    version: int | None = strawberry.field(description="Number of the version; the newest by default.", default=None)
    effective_from: datetime | None = strawberry.field(
        description="It counts for facts that happen from here on; now by default. An instant in the past is for facts "
        "that are yet to arrive: what has earned keeps what it earned.",
        default=None,
    )


@strawberry.input(description="Which rule.")
class EarningRuleInput:
    rule_id: strawberry.ID = strawberry.field(description="Global id of the rule.")


@strawberry.type(description="The rule is drafted.")
class CreateEarningRuleSuccess:
    rule: EarningRule = strawberry.field(description="The rule.")


@strawberry.type(description="The rule is changed.")
class UpdateEarningRuleSuccess:
    rule: EarningRule = strawberry.field(description="The rule.")


@strawberry.type(description="The version counts, or will from the instant that was asked for.")
class ActivateEarningRuleSuccess:
    rule: EarningRule = strawberry.field(description="The rule.")


@strawberry.type(description="The rule earns nothing for now.")
class PauseEarningRuleSuccess:
    rule: EarningRule = strawberry.field(description="The rule.")


@strawberry.type(description="The rule earns nothing any more.")
class RetireEarningRuleSuccess:
    rule: EarningRule = strawberry.field(description="The rule.")


CreateEarningRuleResult = Annotated[CreateEarningRuleSuccess | Refusal, result_union(CreateEarningRuleSuccess)]
UpdateEarningRuleResult = Annotated[UpdateEarningRuleSuccess | Refusal, result_union(UpdateEarningRuleSuccess)]
ActivateEarningRuleResult = Annotated[ActivateEarningRuleSuccess | Refusal, result_union(ActivateEarningRuleSuccess)]
PauseEarningRuleResult = Annotated[PauseEarningRuleSuccess | Refusal, result_union(PauseEarningRuleSuccess)]
RetireEarningRuleResult = Annotated[RetireEarningRuleSuccess | Refusal, result_union(RetireEarningRuleSuccess)]


async def changed_rule(session: Session, rule_id: str, action: str, info: Info, **details: Any) -> RuleRow:
    """The rule after an act of the asking administrator, which goes into the audit trail."""
    context = info.context
    actor = context.administrator().subject
    await record_change(session, "earning-rule", rule_id, action, actor=actor, now=context.now, **details)
    return await session.get_one(RuleRow, rule_id, populate_existing=True)


@strawberry.type
class EarningQueries:
    @strawberry.field(description="Rules that earn; for administrators drafts, paused and retired ones too.")
    async def earning_rules(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[EarningRule]:
        size, place = window(first, after, last, before)
        with_others = info.context.signed_in().is_administrator
        async with info.context.database.read() as session:
            page = await list_earning_rules(session, with_others=with_others, first=size, after=place)
        return connection(page, place, lambda row: rule_of(row, info))

    @strawberry.field(description="A rule; null where there is none that you may see.")
    async def earning_rule(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Global id of the rule.")]
    ) -> EarningRule | None:
        info.context.signed_in()
        return await load_rule(info, local_id("EarningRule", id, "id"))

    @strawberry.field(description="What a customer earned by rules, and why less; for administrators.")
    async def customer_earnings(
        self,
        info: Info,
        customer_id: Annotated[strawberry.ID, strawberry.argument(description="Global id of the customer.")],
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Earning]:
        info.context.administrator()
        return await earning_page(
            info, local_id("Customer", customer_id, "customerId"), *window(first, after, last, before)
        )


@strawberry.type
class EarningMutations:
    @strawberry.mutation(description="Draft an earning rule; for administrators.")
    @refusals
    async def create_earning_rule(self, info: Info, input: CreateEarningRuleInput) -> CreateEarningRuleResult:
        context = info.context
        context.administrator()
        async with context.database.write() as session:
            rule_id = await create_earning_rule(
                session,
                name_zh=input.name_zh,
                name_en=input.name_en,
                definition=cast(Any, input.definition),
                now=context.now,
            )
            row = await changed_rule(session, rule_id, "CREATED", info)
        return CreateEarningRuleSuccess(rule=rule_of(row, info))

    @strawberry.mutation(description="Rename a rule, or write its next version; for administrators.")
    @refusals
    async def update_earning_rule(self, info: Info, input: UpdateEarningRuleInput) -> UpdateEarningRuleResult:
        context = info.context
        context.administrator()
        rule_id = local_id("EarningRule", input.rule_id, "input", "ruleId")
        async with context.database.write() as session:
            await update_earning_rule(
                session,
                rule_id,
                name_zh=input.name_zh,
                name_en=input.name_en,
                definition=cast(Any, input.definition),
                now=context.now,
            )
            row = await changed_rule(session, rule_id, "UPDATED", info)
        return UpdateEarningRuleSuccess(rule=rule_of(row, info))

    @strawberry.mutation(description="Let a version count from an instant on, also after a pause; for administrators.")
    @refusals
    async def activate_earning_rule(self, info: Info, input: ActivateEarningRuleInput) -> ActivateEarningRuleResult:
        context = info.context
        context.administrator()
        rule_id = local_id("EarningRule", input.rule_id, "input", "ruleId")
        at = input.effective_from or context.now
        async with context.database.write() as session:
            version = await activate_earning_rule(
                session, rule_id, version=input.version, effective_from=at, now=context.now
            )
            named = {"version": version, "effective_from": at.isoformat()}
            row = await changed_rule(session, rule_id, "ACTIVATED", info, **named)
        return ActivateEarningRuleSuccess(rule=rule_of(row, info))

    @strawberry.mutation(description="Earn nothing by facts that happen from now on, for a while; for administrators.")
    @refusals
    async def pause_earning_rule(self, info: Info, input: EarningRuleInput) -> PauseEarningRuleResult:
        context = info.context
        context.administrator()
        rule_id = local_id("EarningRule", input.rule_id, "input", "ruleId")
        async with context.database.write() as session:
            await pause_earning_rule(session, rule_id, now=context.now)
            row = await changed_rule(session, rule_id, "PAUSED", info)
        return PauseEarningRuleSuccess(rule=rule_of(row, info))

    @strawberry.mutation(description="Earn nothing by facts that happen from now on, for ever; for administrators.")
    @refusals
    async def retire_earning_rule(self, info: Info, input: EarningRuleInput) -> RetireEarningRuleResult:
        context = info.context
        context.administrator()
        rule_id = local_id("EarningRule", input.rule_id, "input", "ruleId")
        async with context.database.write() as session:
            await retire_earning_rule(session, rule_id, now=context.now)
            row = await changed_rule(session, rule_id, "RETIRED", info)
        return RetireEarningRuleSuccess(rule=rule_of(row, info))
