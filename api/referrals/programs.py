"""Referral programmes: who earns what for bringing whom, from draft to end."""

from datetime import datetime
from typing import Annotated, Any, cast

import strawberry
from strawberry.scalars import JSON

from api.context import Info
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from api.scalars import SafeInt
from core.audit import record_change
from core.db import Session
from core.paging import window
from referrals.programs import (
    MoneyBudget,
    ProgramStatus,
    ReferralProgramVersion,
    activate_program,
    create_program,
    end_program,
    list_programs,
    pause_program,
    update_program,
    versions_of,
)
from referrals.programs import ReferralProgram as ProgramRow

strawberry.enum(
    ProgramStatus,
    name="ReferralProgramStatus",
    description="ACTIVE takes claims; PAUSED keeps its promises; ENDED never starts again.",
)
UNSET: Any = strawberry.UNSET


@strawberry.type(description="A limit in money, and what of it is promised, pending rewards included.")
class ReferralMoneyBudget:
    currency: str = strawberry.field(description="ISO 4217.")
    amount: SafeInt = strawberry.field(description="The limit, in minor units.")
    amount_per_thousand_points: SafeInt = strawberry.field(description="What 1,000 points are worth, in minor units.")
    reserved: float = strawberry.field(description="What the rewards are worth, in minor units and parts of them.")


@strawberry.type(description="What a programme may spend, and what of it is promised.")
class ReferralBudget:
    points: SafeInt | None = strawberry.field(description="The limit in points; null: none.")
    reserved_points: SafeInt = strawberry.field(description="Points of all its rewards, pending ones included.")
    money: ReferralMoneyBudget | None = strawberry.field(description="The limit in money; null: none.")


@strawberry.type(description="A definition that never changes once it is written.")
class ReferralProgramDefinition:
    version: int = strawberry.field(description="Number of the version; rewards name it.")
    definition: JSON = strawberry.field(description="Steps, rewards, spans and limits; docs/referral-programme.md.")
    created_at: datetime = strawberry.field(description="When it was written.")


@strawberry.type(description="Who earns what for bringing whom.")
class ReferralProgram(Node):
    name: str = strawberry.field(description="Name in the language of the request.")
    status: ProgramStatus = strawberry.field(description="Whether it takes claims.")
    starts_at: datetime = strawberry.field(description="Start, inclusive.")
    ends_at: datetime | None = strawberry.field(description="End, exclusive; null: without end.")
    active_version: int | None = strawberry.field(description="The version that new claims get; null in a draft.")
    row: strawberry.Private[ProgramRow]

    @strawberry.field(description="What it may spend; null for anybody but administrators.")
    def budget(self, info: Info) -> ReferralBudget | None:
        return budget_of(self.row) if info.context.signed_in().is_administrator else None

    @strawberry.field(description="Its definitions, the newest first, at most 100; none but for administrators.")
    async def versions(self, info: Info) -> list[ReferralProgramDefinition]:
        if not info.context.signed_in().is_administrator:
            return []
        async with info.context.database.read() as session:
            return [definition_of_row(row) for row in await versions_of(session, self.row.id)]


def program_of(row: ProgramRow, info: Info) -> ReferralProgram:
    return ReferralProgram(
        id=global_id("ReferralProgram", row.id),
        name=info.context.text(row, "name"),
        status=ProgramStatus(row.status),
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        active_version=row.active_version,
        row=row,
    )


def budget_of(row: ProgramRow) -> ReferralBudget:
    money = None
    if row.budget_amount is not None:
        money = ReferralMoneyBudget(
            currency=row.currency or "",
            amount=SafeInt(row.budget_amount),
            amount_per_thousand_points=SafeInt(row.amount_per_thousand),
            reserved=row.reserved_worth / 1000,
        )
    points = None if row.budget_points is None else SafeInt(row.budget_points)
    return ReferralBudget(points=points, reserved_points=SafeInt(row.reserved_points), money=money)


def definition_of_row(row: ReferralProgramVersion) -> ReferralProgramDefinition:
    return ReferralProgramDefinition(
        version=row.version, definition=cast(Any, row.definition), created_at=row.created_at
    )


def may_see_program(row: ProgramRow, info: Info) -> bool:
    """Drafts are for administrators."""
    return row.status != ProgramStatus.DRAFT or info.context.signed_in().is_administrator


async def load_program(info: Info, local: str) -> ReferralProgram | None:
    row = await info.context.loaders.referring.programs.load(local)
    return program_of(row, info) if row and may_see_program(row, info) else None


@strawberry.input(description="A limit in money for all rewards together.")
class ReferralMoneyBudgetInput:
    amount: SafeInt = strawberry.field(description="The limit, in minor units.")
    amount_per_thousand_points: SafeInt = strawberry.field(description="What 1,000 points are worth, in minor units.")
    currency: str = strawberry.field(description="ISO 4217.")


@strawberry.input(description="What a new programme needs.")
class CreateReferralProgramInput:
    name_zh: str = strawberry.field(description="Name in Chinese.")
    name_en: str = strawberry.field(description="Name in English.")
    starts_at: datetime = strawberry.field(description="Start, inclusive.")
    ends_at: datetime | None = strawberry.field(description="End, exclusive; null: without end.", default=None)
    budget_points: SafeInt | None = strawberry.field(description="All its rewards together at most.", default=None)
    budget_money: ReferralMoneyBudgetInput | None = strawberry.field(
        description="What all its rewards together may be worth.", default=None
    )
    definition: JSON = strawberry.field(description="Steps, rewards and spans; see docs/referral-programme.md.")


@strawberry.input(description="What is to change; what is left out stays.")
class UpdateReferralProgramInput:
    program_id: strawberry.ID = strawberry.field(description="Global id of the programme.")
    name_zh: str | None = strawberry.field(description="Name in Chinese.", default=None)
    name_en: str | None = strawberry.field(description="Name in English.", default=None)
    ends_at: datetime | None = strawberry.field(description="End, exclusive; null: without end.", default=UNSET)
    budget_points: SafeInt | None = strawberry.field(
        description="All its rewards together at most; not less than is promised.", default=UNSET
    )
    budget_money: ReferralMoneyBudgetInput | None = strawberry.field(
        description="What all its rewards together may be worth; null: no limit.", default=UNSET
    )
    definition: JSON | None = strawberry.field(
        description="Becomes a new version, which takes no claims before it is activated.", default=None
    )


@strawberry.input(description="Which programme, and which of its versions.")
class ActivateReferralProgramInput:
    program_id: strawberry.ID = strawberry.field(description="Global id of the programme.")
    version: int | None = strawberry.field(description="Number of the version; the newest by default.", default=None)


@strawberry.input(description="Which programme.")
class ReferralProgramInput:
    program_id: strawberry.ID = strawberry.field(description="Global id of the programme.")


@strawberry.type(description="The programme is drafted.")
class CreateReferralProgramSuccess:
    program: ReferralProgram = strawberry.field(description="The programme.")


@strawberry.type(description="The programme is changed.")
class UpdateReferralProgramSuccess:
    program: ReferralProgram = strawberry.field(description="The programme.")


@strawberry.type(description="The programme takes claims.")
class ActivateReferralProgramSuccess:
    program: ReferralProgram = strawberry.field(description="The programme.")


@strawberry.type(description="The programme takes no claims for now.")
class PauseReferralProgramSuccess:
    program: ReferralProgram = strawberry.field(description="The programme.")


@strawberry.type(description="The programme takes no claims any more.")
class EndReferralProgramSuccess:
    program: ReferralProgram = strawberry.field(description="The programme.")


CreateReferralProgramResult = Annotated[
    CreateReferralProgramSuccess | Refusal, result_union(CreateReferralProgramSuccess)
]
UpdateReferralProgramResult = Annotated[
    UpdateReferralProgramSuccess | Refusal, result_union(UpdateReferralProgramSuccess)
]
ActivateReferralProgramResult = Annotated[
    ActivateReferralProgramSuccess | Refusal, result_union(ActivateReferralProgramSuccess)
]
PauseReferralProgramResult = Annotated[PauseReferralProgramSuccess | Refusal, result_union(PauseReferralProgramSuccess)]
EndReferralProgramResult = Annotated[EndReferralProgramSuccess | Refusal, result_union(EndReferralProgramSuccess)]


def money_of(given: ReferralMoneyBudgetInput | None) -> MoneyBudget | None:
    if given is None:
        return None
    return MoneyBudget(given.amount, given.amount_per_thousand_points, given.currency)


def changes_of(input: UpdateReferralProgramInput) -> dict[str, Any]:
    """The columns that the input names; a name cannot be taken away, an end and a budget can."""
    changes = {name: value for name in ("name_zh", "name_en") if (value := getattr(input, name)) is not None}
    changes |= {name: value for name in ("ends_at", "budget_points") if (value := getattr(input, name)) is not UNSET}
    if input.budget_money is not UNSET:
        changes["money"] = money_of(input.budget_money)
    return changes


async def changed_program(session: Session, program_id: str, action: str, info: Info, **details: Any) -> ProgramRow:
    """The programme after an act of the asking administrator, which goes into the audit trail."""
    context = info.context
    actor = context.administrator().subject
    await record_change(session, "referral-program", program_id, action, actor=actor, now=context.now, **details)
    return await session.get_one(ProgramRow, program_id, populate_existing=True)


@strawberry.type
class ReferralProgramQueries:
    @strawberry.field(description="Programmes that are or were running; for administrators drafts too.")
    async def referral_programs(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[ReferralProgram]:
        size, place = window(first, after, last, before)
        with_drafts = info.context.signed_in().is_administrator
        async with info.context.database.read() as session:
            page = await list_programs(session, with_drafts=with_drafts, first=size, after=place)
        return connection(page, place, lambda row: program_of(row, info))

    @strawberry.field(description="A programme; null where there is none that you may see.")
    async def referral_program(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Global id of the programme.")]
    ) -> ReferralProgram | None:
        info.context.signed_in()
        return await load_program(info, local_id("ReferralProgram", id, "id"))


@strawberry.type
class ReferralProgramMutations:
    @strawberry.mutation(description="Draft a programme; for administrators.")
    @refusals
    async def create_referral_program(
        self, info: Info, input: CreateReferralProgramInput
    ) -> CreateReferralProgramResult:
        context = info.context
        context.administrator()
        async with context.database.write() as session:
            program_id = await create_program(
                session,
                name_zh=input.name_zh,
                name_en=input.name_en,
                definition=cast(Any, input.definition),
                starts_at=input.starts_at,
                ends_at=input.ends_at,
                budget_points=input.budget_points,
                money=money_of(input.budget_money),
                now=context.now,
            )
            row = await changed_program(session, program_id, "CREATED", info)
        return CreateReferralProgramSuccess(program=program_of(row, info))

    @strawberry.mutation(description="Change a programme, or write its next version; for administrators.")
    @refusals
    async def update_referral_program(
        self, info: Info, input: UpdateReferralProgramInput
    ) -> UpdateReferralProgramResult:
        context = info.context
        context.administrator()
        program_id = local_id("ReferralProgram", input.program_id, "input", "programId")
        definition: Any = input.definition
        changes = changes_of(input)
        async with context.database.write() as session:
            await update_program(session, program_id, changes, definition=definition, now=context.now)
            row = await changed_program(session, program_id, "UPDATED", info, changed=sorted(changes))
        return UpdateReferralProgramSuccess(program=program_of(row, info))

    @strawberry.mutation(description="Let a programme take claims, also after a pause; for administrators.")
    @refusals
    async def activate_referral_program(
        self, info: Info, input: ActivateReferralProgramInput
    ) -> ActivateReferralProgramResult:
        context = info.context
        context.administrator()
        program_id = local_id("ReferralProgram", input.program_id, "input", "programId")
        async with context.database.write() as session:
            await activate_program(session, program_id, version=input.version)
            row = await changed_program(session, program_id, "ACTIVATED", info, version=input.version)
        return ActivateReferralProgramSuccess(program=program_of(row, info))

    @strawberry.mutation(description="Take no claims for a while; what was promised is kept. For administrators.")
    @refusals
    async def pause_referral_program(self, info: Info, input: ReferralProgramInput) -> PauseReferralProgramResult:
        context = info.context
        context.administrator()
        program_id = local_id("ReferralProgram", input.program_id, "input", "programId")
        async with context.database.write() as session:
            await pause_program(session, program_id)
            row = await changed_program(session, program_id, "PAUSED", info)
        return PauseReferralProgramSuccess(program=program_of(row, info))

    @strawberry.mutation(description="Take no claims any more; what was promised is kept. For administrators.")
    @refusals
    async def end_referral_program(self, info: Info, input: ReferralProgramInput) -> EndReferralProgramResult:
        context = info.context
        context.administrator()
        program_id = local_id("ReferralProgram", input.program_id, "input", "programId")
        async with context.database.write() as session:
            await end_program(session, program_id, now=context.now)
            row = await changed_program(session, program_id, "ENDED", info)
        return EndReferralProgramSuccess(program=program_of(row, info))
