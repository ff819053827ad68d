"""What a clawback is about: rewards named one by one, by referral or by case, and what becomes of each.

Taking the points is the ledger's affair; whoever composes the two rooms asks it between `lock_for_clawback` and
`mark_clawed_back`. A clawback undoes rewards and leaves their referral as it stands: the place of each stays filled,
so that no later fact makes it anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement
from sqlmodel import col, select

from core.audit import LONGEST_REASON
from core.db import Session
from core.errors import BadUserInput, NotFound, Refusal
from referrals.attribution import Referral
from referrals.programs import lock_program
from referrals.rewards import ReferralReward, RewardStatus

# Why a reward has gone that an administrator took back.
RECALLED = "RECALLED"
MOST_REWARDS = 200


class ClawbackReasonInvalid(BadUserInput):
    code = "CLAWBACK_REASON_INVALID"
    en = f"A clawback needs a reason of 1 to {LONGEST_REASON} characters."
    zh = f"收回奖励需填写1至{LONGEST_REASON}个字符的原因。"


class NothingToClawBack(Refusal):
    code = "NOTHING_TO_CLAW_BACK"
    en = "None of these rewards was given, or they were cancelled before."
    zh = "这些奖励均未发放，或此前已取消，无可收回。"


class TooManyRewards(Refusal):
    code = "TOO_MANY_REWARDS"
    en = f"These are more than {MOST_REWARDS} rewards. Please claw them back by referral."
    zh = f"奖励超过{MOST_REWARDS}笔，请按推荐逐一收回。"


@dataclass(frozen=True, slots=True)
class ClawbackTarget:
    """Rewards by the name of a field: that reward, those of that referral, or those held in that case."""

    field: str
    id: str

    def holds(self) -> ColumnElement[bool]:
        columns = {
            "rewardId": col(ReferralReward.id),
            "referralId": col(ReferralReward.referral_id),
            "caseId": col(ReferralReward.case_id),
        }
        return columns[self.field] == self.id


def clawback_key(reward: ReferralReward) -> str:
    """Names the clawback of a reward in the ledger and in the audit trail, whoever makes it."""
    return f"clawback:{reward.key}"


def is_concerned(reward: ReferralReward) -> bool:
    """Whether a clawback does something to the reward, or did."""
    if reward.status == RewardStatus.CANCELLED:
        return reward.reason == RECALLED
    return True


async def rewards_for_clawback(session: Session, target: ClawbackTarget) -> Sequence[ReferralReward]:
    """The rewards of the target by their keys; raises NotFound, NothingToClawBack or TooManyRewards."""
    statement = select(ReferralReward).where(target.holds()).order_by(col(ReferralReward.key)).limit(MOST_REWARDS + 1)
    rewards = (await session.exec(statement.execution_options(populate_existing=True))).all()
    if not rewards:
        raise NotFound(path=(target.field,))
    if len(rewards) > MOST_REWARDS:
        raise TooManyRewards(path=(target.field,))
    concerned = [reward for reward in rewards if is_concerned(reward)]
    if not concerned:
        raise NothingToClawBack(path=(target.field,))
    return concerned


async def lock_for_clawback(session: Session, target: ClawbackTarget) -> Sequence[ReferralReward]:
    """The same rewards, locked with their referrals and programmes in the order in which settlement takes them."""
    ids = {reward.referral_id for reward in await rewards_for_clawback(session, target)}
    referrals = (
        select(Referral.id).where(col(Referral.id).in_(ids)).order_by(col(Referral.program_id), col(Referral.id))
    )
    await session.exec(referrals.with_for_update())
    rewards = select(ReferralReward.id).where(target.holds()).order_by(col(ReferralReward.key))
    await session.exec(rewards.with_for_update())
    found = await rewards_for_clawback(session, target)
    for program_id in sorted({reward.program_id for reward in found}):
        await lock_program(session, program_id)
    return found
