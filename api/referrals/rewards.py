"""Referral rewards."""

from datetime import datetime

import strawberry

from api.context import Info
from api.relay import Node, global_id
from loyalty.lots import LedgerLot, lot_id
from referrals.definition import Side
from referrals.rewards import ReferralReward as ReferralRewardRow
from referrals.rewards import RewardStatus

strawberry.enum(RewardStatus, name="ReferralRewardStatus", description="Where a reward stands.")
strawberry.enum(Side, name="ReferralSide", description="Whose reward it is.")


@strawberry.type(description="Points for one side of one step.")
class ReferralReward(Node):
    step: str = strawberry.field(description="Name of the step.")
    side: Side = strawberry.field(description="Whose it is.")
    points: int = strawberry.field(description="How many points it is worth.")
    reason: str | None = strawberry.field(description="Why it was cancelled or taken back.")
    program_version: int = strawberry.field(description="The version of the programme that made it.")
    stored: strawberry.Private[RewardStatus]
    lot_local: strawberry.Private[str]

    @strawberry.field(description="Where it stands; REDEEMED and EXPIRED say what became of its points.")
    async def status(self, info: Info) -> RewardStatus:
        if self.stored != RewardStatus.ISSUED:
            return self.stored
        return status_of(self.stored, await info.context.loaders.lots.load(self.lot_local), info.context.now)


def status_of(stored: RewardStatus, lot: LedgerLot | None, now: datetime) -> RewardStatus:
    """Where a reward stands by what is left in its lot: all spent, past its expiry, or still there."""
    if stored != RewardStatus.ISSUED or lot is None:
        return stored
    if lot.remaining == 0:
        return RewardStatus.REDEEMED
    return RewardStatus.EXPIRED if lot.expires_at <= now else stored


def referral_reward_of(row: ReferralRewardRow) -> ReferralReward:
    return ReferralReward(
        id=global_id("ReferralReward", row.id),
        step=row.step,
        side=Side(row.side),
        points=row.points,
        reason=row.reason,
        program_version=row.version,
        stored=RewardStatus(row.status),
        lot_local=lot_id(row.key),
    )
