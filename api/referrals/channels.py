"""What came of sharing a referral code, by channel."""

import strawberry

from referrals.channels import Sharing


@strawberry.type(description="What came of sharing by one channel.")
class ReferralChannel:
    channel: str | None = strawberry.field(
        description="As it stood in the link: `direct` where it stood in none, `other` for what is no plain word or "
        "beyond the first 49; null: without a link, by a code that was typed."
    )
    clicks: int = strawberry.field(description="How often people opened the link.")
    robots: int = strawberry.field(description="How often programs did, such as those that draw previews.")
    claims: int = strawberry.field(description="How many new customers named the code after it.")
    qualified: int = strawberry.field(description="How many of those have reached every step.")


def channel_of(sharing: Sharing) -> ReferralChannel:
    return ReferralChannel(
        channel=sharing.channel,
        clicks=sharing.clicks,
        robots=sharing.robots,
        claims=sharing.claims,
        qualified=sharing.qualified,
    )
