"""Why a customer has a tier, in numbers and words, and how tiers changed."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.context import Info
from api.customers.looked_after import look_after, own_customers, staff
from api.customers.profiles import Customer, load_customer
from api.customers.tier_policies import MonthArgument, TierPolicy, policy_of
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from api.scalars import SafeInt
from core.days import day_of
from core.paging import window
from customers.sources import BALANCE_DAYS, is_stale
from customers.tier_inputs import stale_after_days
from customers.tier_records import TierCause
from customers.tier_records import TierChange as TierChangeRow
from customers.tier_rules import Check, InputMark, TierRule
from customers.tier_words import CAP_SINCE, CAPPED, CARRIED, CAUSES, MARKS, OVERRIDDEN, RULES, named, said
from customers.tiers import Explanation, Piece, Source, list_changes, parse_month, standing_of, tier_explain
from graph.eligibility import Tier
from segments.tiering import CustomerTier

strawberry.enum(
    TierRule,
    name="TierRule",
    description="Which rule decided: FIRST, RISE and HOLD by what the month earns; KEEP at 90 % of the entry; WATCH "
    "below it; FALL after three months of that.",
)
strawberry.enum(TierCause, name="TierCause", description="Why the tier that is shown changed.")


@strawberry.type(description="A point of a curve.")
class CurvePoint:
    input: SafeInt = strawberry.field(description="The input: minor units of money, points, or months.")
    height: int = strawberry.field(description="Points from 0 to 100.")


@strawberry.type(description="One term of the score. Its decimals are rounded down; the score is rounded once.")
class TierTerm:
    name: str = strawberry.field(description="assets, contribution, potential or tenure.")
    value: SafeInt | None = strawberry.field(description="The input; null: unknown, which brings nothing.")
    weight: int = strawberry.field(description="Thousandths of the whole.")
    left: CurvePoint | None = strawberry.field(description="The point of the curve at or below the input.")
    right: CurvePoint | None = strawberry.field(description="The point above it.")
    height: str = strawberry.field(description="What the curve gives between them, from 0 to 100.")
    points: str = strawberry.field(description="That by the weight: its part of the score.")


@strawberry.type(description="One condition of a tier's entry; each is enough alone.")
class TierCheck:
    tier: Tier = strawberry.field(description="The tier.")
    condition: str = strawberry.field(description="score (thousandths of a point), assets (minor units), potential.")
    needed: SafeInt = strawberry.field(description="What the entry takes.")
    found: SafeInt | None = strawberry.field(description="What there is; null: unknown.")
    is_met: bool = strawberry.field(description="Whether it lets in.")
    keeps: bool = strawberry.field(description="Whether it is enough to keep the tier, which takes a part of it.")


@strawberry.type(
    description="Where an input comes from, as the source has it by now; it may have been corrected since."
)
class TierSource:
    input: str = strawberry.field(description="What it is for.")
    source: str = strawberry.field(description="Who says so.")
    month: str | None = strawberry.field(description="The month of a balance; null for a trait.")
    value: SafeInt | None = strawberry.field(description="A number: minor units, or points.")
    word: str | None = strawberry.field(description="A word, such as a level of risk.")
    observed_at: datetime = strawberry.field(description="When the source saw it so.")
    stale: bool = strawberry.field(description="Whether it is old by now.")


@strawberry.type(description="The decision of a month, taken anew from what was kept with it, step by step.")
class TierExplanation:
    month: str = strawberry.field(description="The month, such as 2026-10.")
    policy: TierPolicy = strawberry.field(description="The version that decided.")
    tier: Tier = strawberry.field(description="What was decided, under the cap of the risk.")
    standing: Tier = strawberry.field(description="The same without the risk; the next month goes on from it.")
    earned: Tier = strawberry.field(description="The best tier whose entry the month itself reaches.")
    before: Tier | None = strawberry.field(description="Where the customer stood before; null: nowhere.")
    on_watch: bool = strawberry.field(description="Whether a fall is near.")
    misses: int = strawberry.field(description="Months in a row under the part of the entry that keeps a tier.")
    rule: TierRule = strawberry.field(description="The rule that decided.")
    score: str = strawberry.field(description="Points from 0 to 100, exact and rounded down to thousandths.")
    currency: str = strawberry.field(description="Of all money here.")
    risk_level: str | None = strawberry.field(description="Level of the AML and KYC risk.")
    cap: Tier | None = strawberry.field(description="The most that the risk allows; null: anything.")
    terms: list[TierTerm] = strawberry.field(description="How the score is made.")
    checks: list[TierCheck] = strawberry.field(description="The entries of all tiers, the best first.")
    sources: list[TierSource] = strawberry.field(description="Where the inputs come from, as it is by now.")
    words: list[str] = strawberry.field(description="All that in sentences, in the language of the request.")


@strawberry.type(description="A rise or fall of the tier that is shown.")
class TierChange(Node):
    from_tier: Tier = strawberry.field(description="The tier before.")
    to_tier: Tier = strawberry.field(description="The tier after.")
    cause: TierCause = strawberry.field(description="Why.")
    words: str = strawberry.field(description="The cause in the language of the request.")
    month: str | None = strawberry.field(description="The month whose run it was; null for overrides.")
    at: datetime = strawberry.field(description="When.")
    customer_local: strawberry.Private[str]

    @strawberry.field(description="Whose tier.")
    async def customer(self, info: Info) -> Customer | None:
        return await load_customer(info, self.customer_local)


def change_of(row: TierChangeRow, info: Info) -> TierChange:
    return TierChange(
        id=global_id("TierChange", row.id),
        from_tier=Tier(row.from_tier),
        to_tier=Tier(row.to_tier),
        cause=TierCause(row.cause),
        words=said(CAUSES[TierCause(row.cause)], info.context.language),
        month=row.month.isoformat()[:7] if row.month else None,
        at=row.at,
        customer_local=row.customer_id,
    )


def decimals(thousandths: int) -> str:
    """Thousandths as a decimal number."""
    return f"{thousandths // 1_000}.{thousandths % 1_000:03}"


def safe(value: int | None) -> SafeInt | None:
    return None if value is None else SafeInt(value)


def point_of(point: tuple[int, int] | None) -> CurvePoint | None:
    return None if point is None else CurvePoint(input=SafeInt(point[0]), height=point[1])


def term_of(piece: Piece) -> TierTerm:
    return TierTerm(
        name=piece.name,
        value=safe(piece.value),
        weight=piece.weight,
        left=point_of(piece.left),
        right=point_of(piece.right),
        height=decimals(piece.height),
        points=decimals(piece.points),
    )


def check_of(tier: Tier, entry: Check, keep: Check) -> TierCheck:
    return TierCheck(
        tier=tier,
        condition=entry.name,
        needed=SafeInt(entry.needed),
        found=safe(entry.found),
        is_met=entry.is_met,
        keeps=keep.is_met,
    )


def source_of(found: Source, stale_after: dict[str, int | None], now: datetime) -> TierSource:
    days = BALANCE_DAYS if found.month else stale_after.get(found.input)
    return TierSource(
        input=found.input,
        source=found.source,
        month=found.month.isoformat()[:7] if found.month else None,
        value=safe(found.value),
        word=found.word,
        observed_at=found.observed_at,
        stale=is_stale(found.observed_at, days, now=now),
    )


def words_of(found: Explanation, standing: CustomerTier | None, language: str, now: datetime, zone: str) -> list[str]:
    """The decision in sentences: the rule, what is to be known of the inputs, the risk, and what is otherwise today."""
    decision, inputs = found.decision, found.inputs
    percent, limit = found.definition.keep_percent, found.definition.misses
    tier = named(decision.standing, language)
    sentences = [said(RULES[decision.rule], language, tier=tier, percent=percent, limit=limit, misses=decision.misses)]
    if inputs.carried:
        sentences.append(said(CARRIED, language, months=inputs.carried))
    sentences += [said(MARKS[mark], language) for mark in InputMark if mark in inputs.marks and mark in MARKS]
    if decision.cap is not None:
        sentences.append(said(CAPPED, language, risk=inputs.risk, cap=named(decision.cap, language)))
    until = standing.overridden_until if standing else None
    if standing is not None and standing.override_tier is not None and until is not None and until > now:
        sentences.append(said(OVERRIDDEN, language, tier=named(standing.tier, language), until=day_of(until, zone)))
    elif standing is not None and standing.cap != decision.cap:
        sentences.append(said(CAP_SINCE, language, tier=named(standing.computed_tier, language)))
    return sentences


def explanation_of(
    found: Explanation, standing: CustomerTier | None, stale_after: dict[str, int | None], info: Info
) -> TierExplanation:
    decision, now = found.decision, info.context.now
    return TierExplanation(
        month=found.month.isoformat()[:7],
        policy=policy_of(found.policy),
        tier=decision.tier,
        standing=decision.standing,
        earned=decision.earned,
        before=found.before.standing if found.before else None,
        on_watch=decision.on_watch,
        misses=decision.misses,
        rule=decision.rule,
        score=decimals(decision.score),
        currency=found.definition.currency,
        risk_level=found.inputs.risk,
        cap=decision.cap,
        terms=[term_of(piece) for piece in found.pieces],
        checks=[
            check_of(one.tier, entry, keep)
            for one in found.checks
            for entry, keep in zip(one.entry, one.keep, strict=True)
        ],
        sources=[source_of(source, stale_after, now) for source in found.sources],
        words=words_of(found, standing, info.context.language, now, info.context.edge.settings.loyalty_time_zone),
    )


@strawberry.type
class TierQueries:
    @strawberry.field(
        description="Why a customer had a tier in a month: every input, term and rule; null where nothing is known. "
        "For the customer's relationship manager and administrators."
    )
    async def tier_explain(
        self,
        info: Info,
        customer_id: Annotated[strawberry.ID, strawberry.argument(description="Global id of the customer.")],
        month: MonthArgument = None,
    ) -> TierExplanation | None:
        staff(info)
        asked, local = parse_month(month, "month"), local_id("Customer", customer_id, "customerId")
        await look_after(info, local)
        async with info.context.database.read() as session:
            found = await tier_explain(session, local, asked)
            if found is None:
                return None
            standing, stale_after = await standing_of(session, local), await stale_after_days(session)
        return explanation_of(found, standing, stale_after, info)

    @strawberry.field(
        description="Rises and falls of your customers, the latest first; of all of them for administrators."
    )
    async def tier_changes(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        since: Annotated[datetime | None, strawberry.argument(description="From here on; null: all of them.")] = None,
    ) -> Connection[TierChange]:
        size, place = window(first, after, last, before)
        customers = await own_customers(info)
        async with info.context.database.read() as session:
            page = await list_changes(session, customer_ids=customers, since=since, first=size, after=place)
        return connection(page, place, lambda row: change_of(row, info))
