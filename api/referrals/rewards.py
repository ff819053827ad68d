"""Referral rewards."""

import strawberry

from api.relay import Node, global_id
from referrals.definition import Side
from referrals.rewards import ReferralReward as ReferralRewardRow
from referrals.rewards import RewardStatus

strawberry.enum(RewardStatus, name="ReferralRewardStatus", description="Where a reward stands.")
strawberry.enum(Side, name="ReferralSide", description="Whose reward it is.")


@strawberry.type(description="Points for one side of one step.")
class ReferralReward(Node):
    step: str = strawberry.field(description="Name of the step.")
    side: Side = strawberry.field(description="Whose it is.")
    points: int = strawberry.field(description="Points.")
    status: RewardStatus = strawberry.field(description="Where it stands.")
    reason: str | None = strawberry.field(description="Why it was cancelled.")
    program_version: int = strawberry.field(description="The version of the programme that made it.")


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
