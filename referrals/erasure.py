"""What becomes of referrals of an erased customer: the tree keeps its shape; codes, names and words go."""

from datetime import datetime

from sqlalchemy import ColumnElement, update
from sqlmodel import col, or_, select

from core.audit import AuditEntry
from core.batches import in_batches
from core.db import Session, changed_rows
from referrals.attribution import Referral
from referrals.codes import CodeStatus, ReferralCode
from referrals.fraud_cases import FraudCase, FraudCaseMember
from referrals.households import Household, HouseholdMember
from referrals.leaderboard import ReferralPseudonym, leave_leaderboard
from referrals.rewards import ReferralReward


async def erase_in_referrals(session: Session, customer_id: str, *, now: datetime) -> dict[str, int]:
    """Revoke codes, take names off leaderboards, leave households, and take out words; returns how much by place."""
    codes = update(ReferralCode).where(col(ReferralCode.customer_id) == customer_id)
    done = {"referral codes revoked": await changed_rows(session, codes.values(status=CodeStatus.REVOKED))}
    entries = select(ReferralPseudonym.program_id).where(ReferralPseudonym.customer_id == customer_id)
    programs = (await session.exec(entries.order_by(col(ReferralPseudonym.program_id)))).all()
    for program_id in programs:
        await leave_leaderboard(session, program_id=program_id, customer_id=customer_id)
    done["names taken off leaderboards"] = len(programs)
    ending = update(HouseholdMember).where(
        col(HouseholdMember.customer_id) == customer_id, col(HouseholdMember.ended_at).is_(None)
    )
    done["households left"] = await changed_rows(session, ending.values(ended_at=now))
    homes = select(HouseholdMember.household_id).where(HouseholdMember.customer_id == customer_id)
    await changed_rows(session, update(Household).where(col(Household.id).in_(homes)).values(reason=""))
    cases = select(FraudCaseMember.case_id).where(FraudCaseMember.customer_id == customer_id)
    done["words of fraud cases taken out"] = await changed_rows(
        session, update(FraudCase).where(col(FraudCase.id).in_(cases)).values(reason=None)
    )
    sides = select(Referral.id).where(either_side(customer_id))
    reviewed = update(ReferralReward).where(col(ReferralReward.referral_id).in_(sides))
    done["words of reviews taken out"] = await changed_rows(session, reviewed.values(review_reason=None))
    done["words of shared acts taken out"] = await blank_shared_acts(session, customer_id)
    return done


def either_side(customer_id: str) -> ColumnElement[bool]:
    """Referrals that the customer made, or by which they came."""
    return or_(Referral.referrer_id == customer_id, Referral.referee_id == customer_id)


async def blank_shared_acts(session: Session, customer_id: str) -> int:
    """Take the reasons out of acts on what several customers share: households, fraud cases, referrals."""
    shared = (
        ("household", select(HouseholdMember.household_id).where(HouseholdMember.customer_id == customer_id)),
        ("fraud_case", select(FraudCaseMember.case_id).where(FraudCaseMember.customer_id == customer_id)),
        ("referral", select(Referral.id).where(either_side(customer_id))),
    )
    areas = [f"{kind}:{id}" for kind, ids in shared for id in (await session.exec(ids)).all()]
    done = 0
    for some in in_batches(areas, 1_000):
        acts = update(AuditEntry).where(col(AuditEntry.area).in_(some), col(AuditEntry.reason).is_not(None))
        done += await changed_rows(session, acts.values(reason=None))
    return done
