"""Simulation of an earning rule's definition over past facts."""

from datetime import datetime
from typing import Annotated, Any, cast

import strawberry
from strawberry.scalars import JSON

from api.context import Info
from api.refusals import Refusal, refusals, result_union
from api.relay import global_id, local_id
from api.scalars import SafeInt
from core.days import Period
from core.errors import NotFound
from loyalty.earning_course import LessReason
from loyalty.earning_definition import EarningRuleInvalid, parse_earning_definition
from loyalty.earning_rules import EarningRule, newest_version
from loyalty.earning_simulation import EarningOutcome, earned_so_far, simulate_rule


@strawberry.input(description="Which facts to play again, and by which definition.")
class SimulateEarningRuleInput:
    rule_id: strawberry.ID = strawberry.field(description="Global id of the rule with whose earnings it is compared.")
    from_: datetime = strawberry.field(name="from", description="Facts that happened from here on, inclusive.")
    to: datetime = strawberry.field(description="Facts that happened before this, exclusive.")
    definition: JSON | None = strawberry.field(
        description="The definition to try; null: the newest version of the rule.", default=None
    )


@strawberry.type(description="How often one cap cut or refused.")
class SimulatedCap:
    period: Period = strawberry.field(description="The cap's span.")
    reason: LessReason = strawberry.field(description="Whether its points or its times were reached.")
    times: int = strawberry.field(description="How often.")


@strawberry.type(description="A customer with much.")
class SimulatedCustomer:
    customer_id: strawberry.ID = strawberry.field(description="Global id of the customer.")
    points: SafeInt = strawberry.field(description="Points in the end.")


@strawberry.type(description="What comes out for all facts of the span together.")
class EarningSimulationOutcome:
    facts: int = strawberry.field(description="How many facts the rule is about.")
    points: SafeInt = strawberry.field(description="Points that stand in the end.")
    customers: int = strawberry.field(description="How many customers have points in the end.")
    reversed: int = strawberry.field(description="How many facts were taken back.")
    caps: list[SimulatedCap] = strawberry.field(description="The caps that were reached.")
    top_customers: list[SimulatedCustomer] = strawberry.field(description="Who has the most, ten at most.")


@strawberry.type(description="The definition beside what was really earned. Nothing was written.")
class SimulateEarningRuleSuccess:
    simulated: EarningSimulationOutcome = strawberry.field(
        description="What the definition gives, with caps empty at the start."
    )
    actual: EarningSimulationOutcome = strawberry.field(
        description="What the rule really gave for facts of the same span and customers, by now."
    )
    cut: bool = strawberry.field(
        description="Whether there were too many facts: then both are of the customers with the first ids only."
    )


SimulateEarningRuleResult = Annotated[SimulateEarningRuleSuccess | Refusal, result_union(SimulateEarningRuleSuccess)]


def outcome_to_show(outcome: EarningOutcome) -> EarningSimulationOutcome:
    return EarningSimulationOutcome(
        facts=outcome.facts,
        points=SafeInt(outcome.points),
        customers=outcome.customers,
        reversed=outcome.reversed,
        caps=[SimulatedCap(period=hit.period, reason=hit.reason, times=hit.times) for hit in outcome.caps],
        top_customers=[
            SimulatedCustomer(customer_id=global_id("Customer", customer_id), points=SafeInt(points))
            for customer_id, points in outcome.top
        ],
    )


@strawberry.type
class EarningSimulationMutations:
    @strawberry.mutation(description="Try a definition on past facts; it writes nothing. For administrators.")
    @refusals
    async def simulate_earning_rule(self, info: Info, input: SimulateEarningRuleInput) -> SimulateEarningRuleResult:
        context = info.context
        context.administrator()
        rule_id = local_id("EarningRule", input.rule_id, "input", "ruleId")
        if input.to <= input.from_:
            raise EarningRuleInvalid(path=("to",), detail="after from")
        given = parse_earning_definition(cast(Any, input.definition)) if input.definition is not None else None
        async with context.database.read() as session:
            if await session.get(EarningRule, rule_id) is None:
                raise NotFound(path=("ruleId",))
            definition = given or (await newest_version(session, rule_id)).parsed()
            trial = await simulate_rule(session, definition, start=input.from_, end=input.to)
            actual = await earned_so_far(session, rule_id, start=input.from_, end=input.to, through=trial.through)
        return SimulateEarningRuleSuccess(
            simulated=outcome_to_show(trial.outcome), actual=outcome_to_show(actual), cut=trial.through is not None
        )
