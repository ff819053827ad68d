"""Simulation of a programme's definition over past referrals."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, cast

import strawberry
from strawberry.scalars import JSON

from api.context import Info
from api.refusals import Refusal, refusals, result_union
from api.relay import local_id
from api.scalars import SafeInt
from core.errors import NotFound
from customers.profiles import customers_since
from referrals.definition import ProgramInvalid, Side, parse_definition
from referrals.programs import ReferralProgram, newest_version
from referrals.simulation import Outcome, outcome_so_far, simulate


@strawberry.input(description="Which referrals to play again, and by which definition.")
class SimulateReferralProgramInput:
    program_id: strawberry.ID = strawberry.field(description="Global id of the programme whose referrals are played.")
    from_: datetime = strawberry.field(name="from", description="Referrals claimed from here on, inclusive.")
    to: datetime = strawberry.field(description="Referrals claimed before this, exclusive.")
    definition: JSON | None = strawberry.field(
        description="The definition to try; null: the newest version of the programme.", default=None
    )


@strawberry.type(description="The rewards of one side of one step.")
class SimulatedStep:
    step: str = strawberry.field(description="Name of the step.")
    side: Side = strawberry.field(description="Whose rewards.")
    rewards: int = strawberry.field(description="How many were granted.")
    points: SafeInt = strawberry.field(description="Their points.")
    limited: int = strawberry.field(description="How many a cap or the budget cut or refused.")


@strawberry.type(description="What comes out for all referrals of the span together.")
class SimulationOutcome:
    referrals: int = strawberry.field(description="How many referrals; those rejected as fraud are left out.")
    qualified: int = strawberry.field(description="How many reached every step.")
    existing_customers: int = strawberry.field(description="How many turned out to be customers of before.")
    points: SafeInt = strawberry.field(description="Points of all rewards.")
    steps: list[SimulatedStep] = strawberry.field(description="The rewards by step and side.")


@strawberry.type(description="The definition beside what really happened. Nothing was written.")
class SimulateReferralProgramSuccess:
    simulated: SimulationOutcome = strawberry.field(
        description="What the definition gives, with caps and budget empty at the start."
    )
    actual: SimulationOutcome = strawberry.field(description="What settlement made of the same referrals by now.")


SimulateReferralProgramResult = Annotated[
    SimulateReferralProgramSuccess | Refusal, result_union(SimulateReferralProgramSuccess)
]


def outcome_to_show(outcome: Outcome) -> SimulationOutcome:
    return SimulationOutcome(
        referrals=outcome.referrals,
        qualified=outcome.qualified,
        existing_customers=outcome.existing_customers,
        points=SafeInt(outcome.points),
        steps=[
            SimulatedStep(
                step=one.step, side=one.side, rewards=one.rewards, points=SafeInt(one.points), limited=one.limited
            )
            for one in outcome.steps
        ],
    )


@strawberry.type
class SimulationMutations:
    @strawberry.mutation(description="Try a definition on past referrals; it writes nothing. For administrators.")
    @refusals
    async def simulate_referral_program(
        self, info: Info, input: SimulateReferralProgramInput
    ) -> SimulateReferralProgramResult:
        context = info.context
        context.administrator()
        program_id = local_id("ReferralProgram", input.program_id, "input", "programId")
        if input.to <= input.from_:
            raise ProgramInvalid(path=("to",), detail="after from")
        given = parse_definition(cast(Any, input.definition)) if input.definition is not None else None
        async with context.database.read() as session:
            program = await session.get(ReferralProgram, program_id)
            newest = await newest_version(session, program_id)
            if program is None or newest is None:
                raise NotFound(path=("programId",))

            async def since_of(ids: Sequence[str]) -> Mapping[str, datetime | None]:
                return await customers_since(session, ids)

            simulated = await simulate(
                session,
                program_id=program_id,
                definition=given or newest.parsed(),
                budget=program.budget,
                start=input.from_,
                end=input.to,
                since_of=since_of,
            )
            actual = await outcome_so_far(session, program_id=program_id, start=input.from_, end=input.to)
        return SimulateReferralProgramSuccess(simulated=outcome_to_show(simulated), actual=outcome_to_show(actual))
