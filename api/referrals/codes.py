"""Referral codes and the links that carry them."""

import strawberry

from api.context import Info
from api.referrals.programs import ReferralProgram, load_program
from api.relay import Node, global_id
from referrals.codes import ReferralCode as ReferralCodeRow
from referrals.codes import referral_code


@strawberry.type(description="A code that brings its owner rewards when a new customer names it.")
class ReferralCode(Node):
    code: str = strawberry.field(description="To read aloud; case does not matter.")
    url: str = strawberry.field(description="The link to share; add ?channel=wechat to count by channel.")
    qr_url: str = strawberry.field(description="A picture of the link as QR code (SVG).")
    program_local: strawberry.Private[str]

    @strawberry.field(description="The programme that it belongs to.")
    async def program(self, info: Info) -> ReferralProgram | None:
        return await load_program(info, self.program_local)


def code_of(row: ReferralCodeRow, info: Info) -> ReferralCode:
    url = f"{info.context.edge.settings.base_url}/r/{row.code}"
    return ReferralCode(
        id=global_id("ReferralCode", row.id),
        code=row.code,
        url=url,
        qr_url=f"{url}/qr.svg",
        program_local=row.program_id,
    )


async def viewer_code(info: Info, program_id: str) -> ReferralCode:
    """The viewer's code, made at the first asking."""
    context = info.context
    customer_id = await context.customer_id()
    async with context.database.write() as session:
        row = await referral_code(session, program_id=program_id, customer_id=customer_id, now=context.now)
    return code_of(row, info)
