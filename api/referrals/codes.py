"""Referral codes and the links that carry them."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.context import Info
from api.referrals.channels import ReferralChannel, channel_of
from api.referrals.guesses import CLAIM_GUESSES
from api.referrals.programs import ReferralProgram, load_program
from api.refusals import Refusal, refusals, result_union
from api.relay import Connection, Node, connection, global_id, local_id
from core.paging import Page, Place
from referrals.codes import (
    CodeStatus,
    CodeUnknown,
    code_by_text,
    codes_of_customer,
    may_manage,
    referral_code,
    resolve_code,
    revoke_code,
    rotate_code,
)
from referrals.codes import ReferralCode as ReferralCodeRow

strawberry.enum(
    CodeStatus,
    name="ReferralCodeStatus",
    description="RETIRED: a new one followed it, and it still counts. REVOKED: it is refused with CODE_REVOKED.",
)


@strawberry.type(description="A code that brings its owner rewards when a new customer names it.")
class ReferralCode(Node):
    code: str = strawberry.field(description="To read aloud; case does not matter.")
    url: str = strawberry.field(description="The link to share; add ?channel=wechat to count by channel.")
    qr_url: str = strawberry.field(description="A picture of the link as QR code (SVG).")
    status: CodeStatus = strawberry.field(description="Whether it counts.")
    created_at: datetime = strawberry.field(description="When it was made.")
    program_local: strawberry.Private[str]
    row: strawberry.Private[ReferralCodeRow]

    @strawberry.field(description="The programme that it belongs to.")
    async def program(self, info: Info) -> ReferralProgram | None:
        return await load_program(info, self.program_local)

    @strawberry.field(
        description="What came of sharing, by channel, of all the codes that its owner has had in the programme; "
        "null for anybody but the owner and administrators. At most 51, those with the most claims first."
    )
    async def channels(self, info: Info) -> list[ReferralChannel] | None:
        if not may_manage(self.row, await info.context.principal()):
            return None
        owner = self.row.program_id, self.row.customer_id
        return [channel_of(sharing) for sharing in await info.context.loaders.referring.channels.load(owner)]


def code_of(row: ReferralCodeRow, info: Info) -> ReferralCode:
    url = f"{info.context.edge.settings.base_url}/r/{row.code}"
    return ReferralCode(
        id=global_id("ReferralCode", row.id),
        code=row.code,
        url=url,
        qr_url=f"{url}/qr.svg",
        status=CodeStatus(row.status),
        created_at=row.created_at,
        program_local=row.program_id,
        row=row,
    )


async def viewer_code(info: Info, program_id: str) -> ReferralCode:
    """The viewer's code, made at the first asking."""
    context = info.context
    customer_id = await context.customer_id()
    async with context.database.write() as session:
        row = await referral_code(session, program_id=program_id, customer_id=customer_id, now=context.now)
    return code_of(row, info)


async def viewer_codes(info: Info, program_id: str, first: int | None, after: Place) -> Connection[ReferralCode]:
    """The viewer's codes in a programme, the latest first."""
    customer_id = await info.context.viewer_id()
    page = Page[ReferralCodeRow]([], [], has_next=False)
    if customer_id is not None:
        async with info.context.database.read() as session:
            page = await codes_of_customer(
                session, program_id=program_id, customer_id=customer_id, first=first, after=after
            )
    return connection(page, after, lambda row: code_of(row, info))


async def load_code(info: Info, local: str) -> ReferralCode | None:
    """A code by its id, for its owner and administrators."""
    row = await info.context.loaders.referring.codes.load(local)
    return code_of(row, info) if row and may_manage(row, await info.context.principal()) else None


async def guess_code(info: Info, customer_id: str, typed: str) -> None:
    """Refuse what is no code, and who has named too many of those: CodeUnknown, CodeRevoked, TooManyGuesses."""
    edge = info.context.edge
    allowed = edge.guesses.allowed(CLAIM_GUESSES, customer_id, wrong=CodeUnknown, path=("code",))
    async with allowed, edge.database.read() as session:
        await resolve_code(session, typed)


@strawberry.input(description="Where you want a new code.")
class RotateReferralCodeInput:
    program_id: strawberry.ID = strawberry.field(description="Global id of the programme.")


@strawberry.type(description="You have a new code; the one before still counts for who has it.")
class RotateReferralCodeSuccess:
    referral_code: ReferralCode = strawberry.field(description="The new code.")


@strawberry.input(description="Which code is to count no more, and why.")
class RevokeReferralCodeInput:
    code_id: strawberry.ID = strawberry.field(description="Global id of the code.")
    reason: str = strawberry.field(description="Why, 1 to 500 characters; it is kept in the audit trail.")


@strawberry.type(description="The code counts no more; what it has brought stays.")
class RevokeReferralCodeSuccess:
    referral_code: ReferralCode = strawberry.field(description="The revoked code.")


RotateReferralCodeResult = Annotated[RotateReferralCodeSuccess | Refusal, result_union(RotateReferralCodeSuccess)]
RevokeReferralCodeResult = Annotated[RevokeReferralCodeSuccess | Refusal, result_union(RevokeReferralCodeSuccess)]


@strawberry.type
class ReferralCodeQueries:
    @strawberry.field(description="The code that these letters are, for its owner and administrators; null otherwise.")
    async def referral_code(
        self, info: Info, code: Annotated[str, strawberry.argument(description="As typed or read aloud.")]
    ) -> ReferralCode | None:
        principal = await info.context.principal()
        async with info.context.database.read() as session:
            row = await code_by_text(session, code, principal=principal)
        return code_of(row, info) if row else None


@strawberry.type
class ReferralCodeMutations:
    @strawberry.mutation(
        description="Take a new code in a programme, at most 5 in 24 hours with the first; earlier ones still count."
    )
    @refusals
    async def rotate_referral_code(self, info: Info, input: RotateReferralCodeInput) -> RotateReferralCodeResult:
        context = info.context
        customer_id = await context.customer_id()
        program_id = local_id("ReferralProgram", input.program_id, "input", "programId")
        async with context.database.write() as session:
            row = await rotate_code(session, program_id=program_id, customer_id=customer_id, now=context.now)
        return RotateReferralCodeSuccess(referral_code=code_of(row, info))

    @strawberry.mutation(
        description="Let a code count no more, such as one that has leaked; for its owner and administrators. "
        "Your next `viewer.referralCode` is a new one."
    )
    @refusals
    async def revoke_referral_code(self, info: Info, input: RevokeReferralCodeInput) -> RevokeReferralCodeResult:
        context = info.context
        principal = await context.principal()
        if not principal.is_administrator:
            await context.customer_id()
        code_id = local_id("ReferralCode", input.code_id, "input", "codeId")
        async with context.database.write() as session:
            row = await revoke_code(session, code_id, principal=principal, reason=input.reason, now=context.now)
        return RevokeReferralCodeSuccess(referral_code=code_of(row, info))
