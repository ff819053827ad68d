"""Reversed rewards: the ledger takes back what facts have shown was never earned."""

from datetime import datetime

from core.db import Session
from loyalty.clawback import Demand, claw_back
from loyalty.ledger import Cause
from loyalty.lots import lot_id
from loyalty.shortfall import ShortfallPolicy
from referrals.clawback import clawback_key
from referrals.programs import definition_of, lock_program
from referrals.rewards import REFERRAL_REWARD, RewardStatus, take_reward
from referrals.settlement import mark_clawed_back


async def take_back(session: Session, reward_id: str, *, reason: str, now: datetime) -> None:
    """Claw back a reward that is in the ledger, by the policy of its programme's version; once."""
    reward = await take_reward(session, reward_id, RewardStatus.ISSUED)
    if reward is None:
        return
    definition = await definition_of(session, reward.program_id, reward.version)
    # The programme comes before the customer, as it does for whoever makes a reward and then posts.
    await lock_program(session, reward.program_id)
    demand = Demand(
        key=clawback_key(reward),
        cause=Cause(REFERRAL_REWARD, reward.id),
        customer_id=reward.customer_id,
        lot_id=lot_id(reward.key),
        points=reward.points,
        shortfall=ShortfallPolicy(definition.shortfall),
    )
    (taken,) = await claw_back(session, [demand], now=now)
    await mark_clawed_back(session, reward, reason=reason, lost_points=taken.debt + taken.written_off)
