"""Whether the viewer is asked to refer."""

import strawberry

from api.context import Info
from referrals.prompting import Silence, referral_prompt

strawberry.enum(Silence, name="ReferralSilence", description="Why somebody is not asked to refer.")


@strawberry.type(description="Whether you are to be asked to refer others.")
class ReferralPrompt:
    ask: bool = strawberry.field(description="Whether to ask.")
    reason: Silence | None = strawberry.field(description="Why not.")


async def viewer_prompt(info: Info, program_id: str) -> ReferralPrompt:
    """Nobody with an open complaint or a bad survey is asked."""
    context = info.context
    customer_id = await context.viewer_id()
    async with context.database.read() as session:
        reason = await referral_prompt(session, program_id=program_id, customer_id=customer_id, now=context.now)
    return ReferralPrompt(ask=reason is None, reason=reason)
