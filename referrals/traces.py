"""Where referrals name customers."""

from core.traces import Trace, WhenErased, WhenMerged
from referrals.attribution import Referral
from referrals.codes import ReferralCode
from referrals.fraud_cases import FraudCaseMember
from referrals.households import HouseholdMember
from referrals.influence import ReferralInfluence
from referrals.leaderboard import ReferralPseudonym
from referrals.links import ReferralChannel
from referrals.rewards import ReferralReward
from referrals.standings import ReferralStanding

SHAPE = "the tree of referrals keeps its shape; in a merge the old id leads on, and its points follow"
PROOF = "what a decision was about"

TRACES = (
    Trace(Referral, "referrer_id", WhenErased.KEPT, WhenMerged.KEPT, SHAPE),
    Trace(Referral, "referee_id", WhenErased.KEPT, WhenMerged.KEPT, SHAPE),
    Trace(
        ReferralCode,
        "customer_id",
        WhenErased.OWN,
        WhenMerged.KEPT,
        "a code of the erased is revoked; one of a merged profile goes on, for its points follow",
    ),
    Trace(ReferralChannel, "customer_id", WhenErased.KEPT, WhenMerged.KEPT, "figures, counted by who shared"),
    Trace(ReferralInfluence, "customer_id", WhenErased.DELETED, WhenMerged.KEPT, "it is computed anew each hour"),
    Trace(
        ReferralPseudonym,
        "customer_id",
        WhenErased.OWN,
        WhenMerged.KEPT,
        "a name on the board is theirs, and stays until they leave it",
    ),
    Trace(ReferralStanding, "referrer_id", WhenErased.KEPT, WhenMerged.KEPT, "figures, counted by who shared"),
    Trace(
        ReferralReward,
        "customer_id",
        WhenErased.BLANKED,
        WhenMerged.KEPT,
        "it explains points; words of a review go",
        blank={"review_reason": None},
    ),
    Trace(FraudCaseMember, "customer_id", WhenErased.OWN, WhenMerged.KEPT, PROOF),
    Trace(HouseholdMember, "customer_id", WhenErased.OWN, WhenMerged.KEPT, "a household is declared anew"),
)
