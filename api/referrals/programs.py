"""Referral programmes: who earns what for bringing whom."""

from datetime import datetime
from typing import Annotated, Any

import strawberry
from strawberry.scalars import JSON

from api.context import Info
from api.refusals import Refusal, refusals
from api.relay import Connection, Node, connection, global_id, local_id
from referrals.programs import (
    ProgramStatus,
    activate_program,
    create_program,
    list_programs,
)
from referrals.programs import ReferralProgram as ProgramRow

strawberry.enum(ProgramStatus, name="ReferralProgramStatus", description="ACTIVE takes claims.")


@strawberry.type(description="Who earns what for bringing whom.")
class ReferralProgram(Node):
    name: str = strawberry.field(description="Name in the language of the request.")
    status: ProgramStatus = strawberry.field(description="Whether it takes claims.")
    starts_at: datetime = strawberry.field(description="Start, inclusive.")
    ends_at: datetime | None = strawberry.field(description="End, exclusive; null: without end.")


def program_of(row: ProgramRow, info: Info) -> ReferralProgram:
    return ReferralProgram(
        id=global_id("ReferralProgram", row.id),
        name=info.context.text(row, "name"),
        status=ProgramStatus(row.status),
        starts_at=row.starts_at,
        ends_at=row.ends_at,
    )


@strawberry.input(description="What a new programme needs.")
class CreateReferralProgramInput:
    name_zh: str = strawberry.field(description="Name in Chinese.")
    name_en: str = strawberry.field(description="Name in English.")
    starts_at: datetime = strawberry.field(description="Start, inclusive.")
    ends_at: datetime | None = strawberry.field(description="End, exclusive; null: without end.", default=None)
    budget_points: int | None = strawberry.field(description="All its rewards together at most.", default=None)
    definition: JSON = strawberry.field(description="Steps, rewards and spans; see docs/referral-programme.md.")


@strawberry.type(description="The programme is drafted.")
class CreateReferralProgramSuccess:
    program: ReferralProgram = strawberry.field(description="The programme.")


@strawberry.input(description="Which programme.")
class ActivateReferralProgramInput:
    program_id: strawberry.ID = strawberry.field(description="Global id of the programme.")


@strawberry.type(description="The programme takes claims.")
class ActivateReferralProgramSuccess:
    program: ReferralProgram = strawberry.field(description="The programme.")


CreateReferralProgramResult = Annotated[
    CreateReferralProgramSuccess | Refusal, strawberry.union("CreateReferralProgramResult")
]
ActivateReferralProgramResult = Annotated[
    ActivateReferralProgramSuccess | Refusal, strawberry.union("ActivateReferralProgramResult")
]


@strawberry.type
class ReferralProgramQueries:
    @strawberry.field(description="Programmes that are or were running.")
    async def referral_programs(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> Connection[ReferralProgram]:
        info.context.signed_in()
        async with info.context.database.read() as session:
            page = await list_programs(session, with_drafts=False, first=first, after=after)
        return connection(page, after, lambda row: program_of(row, info))


@strawberry.type
class ReferralProgramMutations:
    @strawberry.mutation(description="Draft a programme; for administrators.")
    @refusals
    async def create_referral_program(
        self, info: Info, input: CreateReferralProgramInput
    ) -> CreateReferralProgramResult:
        context = info.context
        context.administrator()
        definition: Any = input.definition
        async with context.database.write() as session:
            program_id = await create_program(
                session,
                name_zh=input.name_zh,
                name_en=input.name_en,
                definition=definition,
                starts_at=input.starts_at,
                ends_at=input.ends_at,
                budget_points=input.budget_points,
                now=context.now,
            )
            row = await session.get_one(ProgramRow, program_id)
        return CreateReferralProgramSuccess(program=program_of(row, info))

    @strawberry.mutation(description="Let a programme take claims; for administrators.")
    @refusals
    async def activate_referral_program(
        self, info: Info, input: ActivateReferralProgramInput
    ) -> ActivateReferralProgramResult:
        context = info.context
        context.administrator()
        program_id = local_id("ReferralProgram", input.program_id, "input", "programId")
        async with context.database.write() as session:
            await activate_program(session, program_id)
            row = await session.get_one(ProgramRow, program_id, populate_existing=True)
        return ActivateReferralProgramSuccess(program=program_of(row, info))
