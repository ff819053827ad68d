"""Referral programmes, codes, links and claims."""

from datetime import datetime
from typing import Annotated, Any

import strawberry
from strawberry.scalars import JSON

from api.context import Info
from api.customers.profiles import Customer, load_customer
from api.refusals import Refusal, refusals
from api.relay import Connection, Node, connection, global_id, local_id
from core.db import Session, rows_by_id
from core.paging import Page
from customers.identity import normal_email, normal_phone
from customers.profiles import profile
from referrals.attribution import Person, ReferralStatus
from referrals.attribution import Referral as ReferralRow
from referrals.claiming import claim_referral
from referrals.codes import ReferralCode as ReferralCodeRow
from referrals.codes import referral_code
from referrals.programs import (
    ProgramStatus,
    activate_program,
    create_program,
    list_programs,
)
from referrals.programs import (
    ReferralProgram as ProgramRow,
)
from referrals.rewards import ReferralReward as ReferralRewardRow
from referrals.rewards import RewardStatus, Side, referrals_by

strawberry.enum(ProgramStatus, name="ReferralProgramStatus", description="ACTIVE takes claims.")
strawberry.enum(ReferralStatus, name="ReferralStatus", description="Where a referral stands.")
strawberry.enum(RewardStatus, name="ReferralRewardStatus", description="Where a reward stands.")
strawberry.enum(Side, name="ReferralSide", description="Whose reward it is.")


@strawberry.type(description="Who earns what for bringing whom.")
class ReferralProgram(Node):
    name: str = strawberry.field(description="Name in the language of the request.")
    status: ProgramStatus = strawberry.field(description="Whether it takes claims.")
    starts_at: datetime = strawberry.field(description="Start, inclusive.")
    ends_at: datetime | None = strawberry.field(description="End, exclusive; null: without end.")


@strawberry.type(description="A code that brings its owner rewards when a new customer names it.")
class ReferralCode(Node):
    code: str = strawberry.field(description="To read aloud; case does not matter.")
    url: str = strawberry.field(description="The link to share; add ?channel=wechat to count by channel.")
    qr_url: str = strawberry.field(description="A picture of the link as QR code (SVG).")
    program_local: strawberry.Private[str]

    @strawberry.field(description="The programme that it belongs to.")
    async def program(self, info: Info) -> ReferralProgram | None:
        row = await info.context.loaders.programs.load(self.program_local)
        return program_of(row, info) if row else None


@strawberry.type(description="Points for one side of one step.")
class ReferralReward(Node):
    step: str = strawberry.field(description="Name of the step.")
    side: Side = strawberry.field(description="Whose it is.")
    points: int = strawberry.field(description="Points.")
    status: RewardStatus = strawberry.field(description="Where it stands.")
    reason: str | None = strawberry.field(description="Why it was cancelled.")
    program_version: int = strawberry.field(description="The version of the programme that made it.")


@strawberry.type(description="A customer who was brought by another.")
class Referral(Node):
    status: ReferralStatus = strawberry.field(description="Where it stands.")
    reason: str | None = strawberry.field(description="Why it was rejected.")
    claimed_at: datetime = strawberry.field(description="When the referrer was named.")
    local: strawberry.Private[str]
    program_local: strawberry.Private[str]
    referrer_local: strawberry.Private[str]
    referee_local: strawberry.Private[str]

    @strawberry.field(description="The programme.")
    async def program(self, info: Info) -> ReferralProgram | None:
        row = await info.context.loaders.programs.load(self.program_local)
        return program_of(row, info) if row else None

    @strawberry.field(description="Who brought.")
    async def referrer(self, info: Info) -> Customer | None:
        return await load_customer(info, self.referrer_local)

    @strawberry.field(description="Who was brought.")
    async def referee(self, info: Info) -> Customer | None:
        return await load_customer(info, self.referee_local)

    @strawberry.field(description="Your own rewards of it; all of them for administrators.")
    async def rewards(self, info: Info) -> list[ReferralReward]:
        principal = await info.context.principal()
        rows = await info.context.loaders.referral_rewards.load(self.local)
        seen = [row for row in rows if principal.is_administrator or row.customer_id == principal.customer_id]
        return [referral_reward_of(row) for row in seen]


def program_of(row: ProgramRow, info: Info) -> ReferralProgram:
    return ReferralProgram(
        id=global_id("ReferralProgram", row.id),
        name=info.context.text(row, "name"),
        status=ProgramStatus(row.status),
        starts_at=row.starts_at,
        ends_at=row.ends_at,
    )


def code_of(row: ReferralCodeRow, info: Info) -> ReferralCode:
    url = f"{info.context.edge.settings.base_url}/r/{row.code}"
    return ReferralCode(
        id=global_id("ReferralCode", row.id),
        code=row.code,
        url=url,
        qr_url=f"{url}/qr.svg",
        program_local=row.program_id,
    )


def referral_reward_of(row: ReferralRewardRow) -> ReferralReward:
    return ReferralReward(
        id=global_id("ReferralReward", row.id),
        step=row.step,
        side=Side(row.side),
        points=row.points,
        status=RewardStatus(row.status),
        reason=row.reason,
        program_version=row.version,
    )


def referral_of(row: ReferralRow) -> Referral:
    return Referral(
        id=global_id("Referral", row.id),
        status=ReferralStatus(row.status),
        reason=row.reason,
        claimed_at=row.claimed_at,
        local=row.id,
        program_local=row.program_id,
        referrer_local=row.referrer_id,
        referee_local=row.referee_id,
    )


async def viewer_code(info: Info, program_id: str) -> ReferralCode:
    """The viewer's code, made at the first asking."""
    context = info.context
    customer_id = await context.customer_id()
    async with context.database.write() as session:
        row = await referral_code(session, program_id=program_id, customer_id=customer_id, now=context.now)
    return code_of(row, info)


async def viewer_referrals(info: Info, first: int | None, after: str | None) -> Connection[Referral]:
    """The customers whom the viewer brought, the latest first."""
    customer_id = await info.context.viewer_id()
    if customer_id is None:
        return connection(Page[ReferralRow]([], [], has_next=False), after, referral_of)
    async with info.context.database.read() as session:
        page = await referrals_by(session, customer_id, first=first, after=after)
    return connection(page, after, referral_of)


async def find_person(session: Session, customer_id: str) -> Person | None:
    """What attribution needs to know of a customer, in normal form."""
    found = await profile(session, customer_id)
    if found is None:
        return None
    return Person(
        customer_id=found.id,
        customer_since=found.customer_since,
        identity_hash=found.identity_hash,
        phone=normal_phone(found.phone),
        email=normal_email(found.email),
    )


@strawberry.input(description="Who brought you.")
class ClaimReferralInput:
    code: str = strawberry.field(description="The code as typed or as it stood in the link; case does not matter.")
    click_ids: list[str] = strawberry.field(
        description="What the links that you followed handed over as `click`.", default_factory=list[str]
    )


@strawberry.type(description="Your referrer is known.")
class ClaimReferralSuccess:
    referral: Referral = strawberry.field(description="The referral.")


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


ClaimReferralResult = Annotated[ClaimReferralSuccess | Refusal, strawberry.union("ClaimReferralResult")]
CreateReferralProgramResult = Annotated[
    CreateReferralProgramSuccess | Refusal, strawberry.union("CreateReferralProgramResult")
]
ActivateReferralProgramResult = Annotated[
    ActivateReferralProgramSuccess | Refusal, strawberry.union("ActivateReferralProgramResult")
]


@strawberry.type
class ReferralQueries:
    @strawberry.field(description="Programmes that are or were running.")
    async def referral_programs(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> Connection[ReferralProgram]:
        info.context.signed_in()
        async with info.context.database.read() as session:
            page = await list_programs(session, first=first, after=after)
        return connection(page, after, lambda row: program_of(row, info))


@strawberry.type
class ReferralMutations:
    @strawberry.mutation(description="Name who brought you; only for new customers, and only once.")
    @refusals
    async def claim_referral(self, info: Info, input: ClaimReferralInput) -> ClaimReferralResult:
        context = info.context
        customer_id = await context.customer_id()
        async with context.database.write() as session:
            referee = await find_person(session, customer_id)
            if referee is None:
                raise RuntimeError("a principal's customer id has a profile")

            async def find(other: str) -> Person | None:
                return await find_person(session, other)

            referral_id = await claim_referral(
                session,
                context.graph,
                typed_code=input.code,
                click_ids=input.click_ids[:20],
                referee=referee,
                find_person=find,
                now=context.now,
            )
            row = (await rows_by_id(session, ReferralRow, [referral_id]))[referral_id]
        return ClaimReferralSuccess(referral=referral_of(row))

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
