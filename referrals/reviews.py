"""Reviews: an administrator approves or denies what a fraud case holds, with a reason that is kept."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from sqlmodel import col, select

from core.audit import act, checked_reason, record_act
from core.db import Session
from core.errors import BadUserInput, NotFound, Refusal
from core.principal import Principal
from referrals.attribution import Referral
from referrals.fraud_cases import CaseStatus, FraudCase, close_case, close_if_decided, lock_case
from referrals.rewards import DENIED, FRAUD, ReferralReward, RewardStatus, take_reward
from referrals.settlement import approve_reward, cancel_reward, reject_referral


class ReviewInvalid(BadUserInput):
    code = "REVIEW_INVALID"
    en = "A review needs a reason of 1 to 500 characters."
    zh = "审核需填写1至500个字符的理由。"


class RewardNotHeld(Refusal):
    code = "REWARD_NOT_HELD"
    en = "This reward does not wait for a review."
    zh = "该奖励无需审核。"


class AlreadyReviewed(Refusal):
    code = "ALREADY_REVIEWED"
    en = "This was decided already."
    zh = "该项已审核完毕。"


class OwnReward(Refusal):
    code = "OWN_REWARD"
    en = "You cannot review a reward of a referral of your own."
    zh = "不能审核与自己有关的推荐奖励。"


class ReviewDecision(StrEnum):
    """APPROVE issues, DENY cancels and frees budget and caps."""

    APPROVE = "APPROVE"
    DENY = "DENY"


def may_review(principal: Principal) -> None:
    """Administrators review; to anybody else there is nothing to be reviewed: raises NotFound."""
    if not principal.is_administrator:
        raise NotFound


async def review_reward(
    session: Session,
    *,
    reward_id: str,
    decision: ReviewDecision,
    reason: str,
    referral_is_fraud: bool = False,
    reviewer: Principal,
    now: datetime,
) -> ReferralReward:
    """Decide one held reward, once; with the last reward of a case the case is decided.

    Denied as a fraud of the whole referral, the referral is rejected with all its rewards, those in the ledger too.
    Raises NotFound, RewardNotHeld, AlreadyReviewed, OwnReward or ReviewInvalid; then nothing has changed.
    """
    may_review(reviewer)
    why = checked_reason(reason, ReviewInvalid)
    if referral_is_fraud and decision != ReviewDecision.DENY:
        raise ReviewInvalid(path=("referralIsFraud",), detail="only together with DENY")
    known = await session.get(ReferralReward, reward_id)
    if known is None:
        raise NotFound(path=("rewardId",))
    # Referral, rewards, case: the order in which settlement and the search for rings lock them.
    referral = await lock_referral(session, known.referral_id)
    reward = await take_reward(session, reward_id)
    if reward is None or reward.case_id is None:
        raise RewardNotHeld(path=("rewardId",))
    if reward.reviewed_at is not None:
        raise AlreadyReviewed(path=("rewardId",))
    if reward.status != RewardStatus.PENDING:
        raise RewardNotHeld(path=("rewardId",))
    if reviewer.customer_id in {reward.customer_id, referral.referrer_id, referral.referee_id}:
        raise OwnReward(path=("rewardId",))
    await decide(session, reward, decision, why, reviewer, now)
    touched = {reward.case_id}
    if referral_is_fraud:
        touched |= await confirm_fraud(session, referral, why, reviewer, now)
    for case_id in sorted(touched):
        case = await lock_case(session, case_id)
        if case is not None and case.status == CaseStatus.OPEN:
            await close_if_decided(session, case, actor=reviewer.subject, reason=why, now=now)
    return reward


async def lock_referral(session: Session, referral_id: str) -> Referral:
    statement = select(Referral).where(Referral.id == referral_id).with_for_update()
    return (await session.exec(statement.execution_options(populate_existing=True))).one()


async def decide(
    session: Session, reward: ReferralReward, decision: ReviewDecision, why: str, reviewer: Principal, now: datetime
) -> None:
    """Carry out and keep one decision about a locked reward."""
    reward.reviewed_by, reward.reviewed_at, reward.review_reason = reviewer.subject, now, why
    if decision == ReviewDecision.APPROVE:
        await approve_reward(session, reward, now=now)
    else:
        await cancel_reward(session, reward, reason=DENIED)
    done = "REWARD_APPROVED" if decision == ReviewDecision.APPROVE else "REWARD_DENIED"
    entry = act(
        area=f"fraud_case:{reward.case_id}",
        actor=reviewer.subject,
        action=done,
        subject=reward.id,
        at=now,
        concerns=reward.customer_id,
        reason=why,
        referral_id=reward.referral_id,
        points=reward.points,
    )
    await record_act(session, f"review:{reward.id}", entry)


async def confirm_fraud(session: Session, referral: Referral, why: str, reviewer: Principal, now: datetime) -> set[str]:
    """Reject the whole referral; returns the cases that held rewards of it."""
    held = select(ReferralReward.case_id).where(
        ReferralReward.referral_id == referral.id,
        ReferralReward.status == RewardStatus.PENDING,
        col(ReferralReward.case_id).is_not(None),
    )
    cases = {case_id for case_id in (await session.exec(held)).all() if case_id}
    await reject_referral(session, referral, reason=FRAUD, now=now)
    entry = act(
        area=f"referral:{referral.id}",
        actor=reviewer.subject,
        action="REFERRAL_REJECTED",
        subject=referral.id,
        at=now,
        concerns=referral.referrer_id,
        reason=why,
    )
    await record_act(session, f"fraud:{referral.id}", entry)
    return cases


async def decide_case(
    session: Session,
    *,
    case_id: str,
    decision: ReviewDecision,
    reason: str,
    reviewer: Principal,
    now: datetime,
) -> FraudCase:
    """Decide all that an open case holds in one act; raises NotFound, AlreadyReviewed, OwnReward or ReviewInvalid."""
    may_review(reviewer)
    why = checked_reason(reason, ReviewInvalid)
    if await session.get(FraudCase, case_id) is None:
        raise NotFound(path=("caseId",))
    # All referrals before all rewards, each in one order, and the case last.
    held = select(ReferralReward.referral_id).where(
        ReferralReward.case_id == case_id, ReferralReward.status == RewardStatus.PENDING
    )
    ids = sorted(set((await session.exec(held)).all()))
    referrals = [await lock_referral(session, referral_id) for referral_id in ids]
    rewards = await lock_held(session, case_id, ids)
    case = await lock_case(session, case_id)
    if case is None or case.status != CaseStatus.OPEN:
        raise AlreadyReviewed(path=("caseId",))
    people = {person for one in referrals for person in (one.referrer_id, one.referee_id)}
    if reviewer.customer_id in people | {reward.customer_id for reward in rewards}:
        raise OwnReward(path=("caseId",))
    for reward in rewards:
        await decide(session, reward, decision, why, reviewer, now)
    confirmed = decision == ReviewDecision.DENY
    if rewards:
        await close_if_decided(session, case, actor=reviewer.subject, reason=why, now=now)
    else:
        await close_case(session, case, confirmed=confirmed, actor=reviewer.subject, reason=why, now=now)
    return case


async def lock_held(session: Session, case_id: str, referral_ids: Sequence[str]) -> Sequence[ReferralReward]:
    """What a case holds of these referrals, locked in order of the keys."""
    statement = select(ReferralReward).where(
        ReferralReward.case_id == case_id,
        ReferralReward.status == RewardStatus.PENDING,
        col(ReferralReward.referral_id).in_(referral_ids),
    )
    ordered = statement.order_by(col(ReferralReward.key)).with_for_update()
    return (await session.exec(ordered.execution_options(populate_existing=True))).all()
