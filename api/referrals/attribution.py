"""Referrals: who brought whom, and the claim by which a new customer says so."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.context import Info
from api.customers.profiles import Customer, load_customer
from api.referrals.codes import guess_code
from api.referrals.programs import ReferralProgram, load_program
from api.referrals.rewards import ReferralReward, referral_reward_of
from api.refusals import Refusal, refusals, result_union
from api.relay import Connection, Node, connection, global_id, local_id
from api.selections import only_loads
from core.db import Session, rows_by_id
from core.paging import Page, Place
from customers.profiles import profile, survivor_of
from referrals.attribution import Person, ReferralStatus, referrals_by
from referrals.attribution import Referral as ReferralRow
from referrals.claiming import claim_referral

strawberry.enum(ReferralStatus, name="ReferralStatus", description="Where a referral stands.")


@strawberry.type(description="A step that the referee has reached.")
class ReferralStep:
    step: str = strawberry.field(description="Name of the step.")
    reached_at: datetime = strawberry.field(description="Since when it and all steps before it are reached.")


@strawberry.type(description="A customer who was brought by another.")
class Referral(Node):
    status: ReferralStatus = strawberry.field(description="Where it stands.")
    reason: str | None = strawberry.field(description="Why it was rejected.")
    claimed_at: datetime = strawberry.field(description="When the referrer was named.")
    attributed_from: datetime = strawberry.field(description="From here on the referee's facts count.")
    qualified_at: datetime | None = strawberry.field(description="When the last step was reached.")
    rejected_at: datetime | None = strawberry.field(description="When it was found that it should not have been.")
    program_version: int = strawberry.field(description="The version of the programme that it was claimed under.")
    local: strawberry.Private[str]
    program_local: strawberry.Private[str]
    referrer_local: strawberry.Private[str]
    referee_local: strawberry.Private[str]

    @strawberry.field(description="The programme.")
    async def program(self, info: Info) -> ReferralProgram | None:
        return await load_program(info, self.program_local)

    @strawberry.field(description="The steps reached so far, in the order of the programme.")
    async def steps(self, info: Info) -> list[ReferralStep]:
        rows = await info.context.loaders.referring.steps.load(self.local)
        return [ReferralStep(step=row.step, reached_at=row.reached_at) for row in rows]

    @strawberry.field(description="Who brought.")
    @only_loads
    async def referrer(self, info: Info) -> Customer | None:
        return await load_customer(info, self.referrer_local)

    @strawberry.field(description="Who was brought.")
    @only_loads
    async def referee(self, info: Info) -> Customer | None:
        return await load_customer(info, self.referee_local)

    @strawberry.field(description="Your own rewards of it; all of them for administrators.")
    async def rewards(self, info: Info) -> list[ReferralReward]:
        principal = await info.context.principal()
        rows = await info.context.loaders.referring.rewards.load(self.local)
        seen = [row for row in rows if principal.is_administrator or row.customer_id == principal.customer_id]
        return [referral_reward_of(row) for row in seen]


def referral_of(row: ReferralRow) -> Referral:
    return Referral(
        id=global_id("Referral", row.id),
        status=ReferralStatus(row.status),
        reason=row.reason,
        claimed_at=row.claimed_at,
        attributed_from=row.attributed_from,
        qualified_at=row.qualified_at,
        rejected_at=row.rejected_at,
        program_version=row.version,
        local=row.id,
        program_local=row.program_id,
        referrer_local=row.referrer_id,
        referee_local=row.referee_id,
    )


async def viewer_referrals(info: Info, first: int | None, after: Place) -> Connection[Referral]:
    """The customers whom the viewer brought, the latest first."""
    customer_id = await info.context.viewer_id()
    if customer_id is None:
        return connection(Page[ReferralRow]([], [], has_next=False), after, referral_of)
    async with info.context.database.read() as session:
        page = await referrals_by(session, customer_id, first=first, after=after)
    return connection(page, after, referral_of)


async def find_person(session: Session, customer_id: str) -> Person | None:
    """What attribution needs to know of a customer, without what is personal."""
    # The code of a profile that was merged is its survivor's: nobody refers themself by an old one.
    found = await profile(session, await survivor_of(session, customer_id))
    if found is None:
        return None
    return Person(
        customer_id=found.id,
        customer_since=found.customer_since,
        identity_hash=found.identity_hash,
        phone_hash=found.phone_hash,
        email_hash=found.email_hash,
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


ClaimReferralResult = Annotated[ClaimReferralSuccess | Refusal, result_union(ClaimReferralSuccess)]


async def load_referral(info: Info, local: str) -> Referral | None:
    """A referral for its two sides and administrators; None for anybody else."""
    row = await info.context.loaders.referring.referrals.load(local)
    principal = await info.context.principal()
    if row is None or not (principal.is_administrator or principal.customer_id in (row.referrer_id, row.referee_id)):
        return None
    return referral_of(row)


@strawberry.type
class ReferralQueries:
    @strawberry.field(description="A referral of yours, as either side; null where there is none that you may see.")
    async def referral(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Global id of the referral.")]
    ) -> Referral | None:
        info.context.signed_in()
        return await load_referral(info, local_id("Referral", id, "id"))


@strawberry.type
class ReferralMutations:
    @strawberry.mutation(description="Name who brought you; only for new customers, and only once.")
    @refusals
    async def claim_referral(self, info: Info, input: ClaimReferralInput) -> ClaimReferralResult:
        context = info.context
        customer_id = await context.customer_id()
        await guess_code(info, customer_id, input.code)
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
