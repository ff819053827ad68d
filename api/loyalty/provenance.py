"""Why there are these points: from a posting back to its first cause, over every room."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import strawberry

from api.community.events import Event, load_event
from api.context import Info
from api.loyalty.ledger import Posting, posting_of_row
from api.loyalty.redemption import Redemption, redemption_of
from api.loyalty.transfers import PointsTransfer, transfer_of
from api.referrals.attribution import Referral, referral_of
from api.referrals.codes import ReferralCode, code_of
from api.referrals.rewards import ReferralReward, referral_reward_of
from api.relay import Node, global_id, local_id
from core.audit import AuditEntry, acts_by_key
from core.db import Session, rows_by_id
from core.facts import Fact as FactRow
from core.principal import Principal
from loyalty.adjustments import ADJUSTMENT, Adjustment
from loyalty.charges import EVENT_CHARGE, ChargeStatus, EventCharge
from loyalty.earning import EARNING_RULE, earnings_by_id
from loyalty.ledger import LedgerPosting, PostingKind, entries_of, owners_of, posting_of
from loyalty.lots import LOT, debits_of, fillers_of
from loyalty.redemption_records import REDEMPTION
from loyalty.redemption_records import Redemption as RedemptionRow
from loyalty.transfers import TRANSFER
from loyalty.transfers import PointsTransfer as TransferRow
from referrals.attribution import Referral as ReferralRow
from referrals.clawback import clawback_key
from referrals.codes import ReferralCode as CodeRow
from referrals.links import ReferralClick as ClickRow
from referrals.rewards import REFERRAL_REWARD, RewardStatus
from referrals.rewards import ReferralReward as RewardRow


@strawberry.type(description="Something that happened to a customer, as its source told us.")
class Fact(Node):
    kind: str = strawberry.field(description="What happened.")
    source: str = strawberry.field(description="Who told us.")
    key: str = strawberry.field(description="The source's own key of it.")
    occurred_at: datetime = strawberry.field(description="When it happened.")
    recorded_at: datetime = strawberry.field(description="When we learnt of it.")


@strawberry.type(description="The opening of a referral link.")
class ReferralClick(Node):
    channel: str = strawberry.field(description="How the link was shared.")
    clicked_at: datetime = strawberry.field(description="When it was opened.")


@strawberry.type(description="That somebody looked at a reward before it was let through.")
class RewardReview:
    reviewed_at: datetime = strawberry.field(description="When.")
    reviewer: str | None = strawberry.field(description="Who; for administrators only.")
    reason: str | None = strawberry.field(description="In whose words why; for administrators only.")


@strawberry.type(description="Why a reward was taken back.")
class RewardClawback:
    code: str | None = strawberry.field(description="Stable code of why; RECALLED: an administrator decided so.")
    clawed_back_at: datetime | None = strawberry.field(description="When an administrator did; null: the rules did.")
    clawed_back_by: str | None = strawberry.field(description="Which administrator; for administrators only.")
    reason: str | None = strawberry.field(description="The administrator's words; for administrators only.")


@strawberry.type(description="Points for bringing or being brought.")
class ReferralRewardCause:
    reward: ReferralReward = strawberry.field(description="The reward, with the programme version that made it.")
    fact: Fact = strawberry.field(description="The fact that reached the step.")
    referral: Referral = strawberry.field(description="The referral.")
    code: ReferralCode = strawberry.field(description="The code that was named.")
    click: ReferralClick | None = strawberry.field(description="The opening of the link; null for a typed code.")
    review: RewardReview | None = strawberry.field(description="Who let it through; null where nobody had to.")
    clawback: RewardClawback | None = strawberry.field(description="Why it was taken back; null where it was not.")


@strawberry.type(description="Points by an earning rule.")
class EarningRuleCause:
    rule_name: str = strawberry.field(description="Name of the rule in the language of the request.")
    fact_kind: str = strawberry.field(description="The kind of fact that the rule is for.")
    version: int = strawberry.field(description="The version of the rule.")
    fact: Fact = strawberry.field(description="The fact that earned.")


@strawberry.type(description="Points spent on a reward.")
class RedemptionCause:
    redemption: Redemption = strawberry.field(description="The redemption.")


@strawberry.type(description="Points spent on a registration for an event, or given back for it.")
class EventCause:
    refunded: bool = strawberry.field(description="Whether the points were given back.")
    event_local: strawberry.Private[str]

    @strawberry.field(description="The event; null once it is out of your sight.")
    async def event(self, info: Info) -> Event | None:
        return await load_event(info, self.event_local)


@strawberry.type(description="Points that one customer gave to another.")
class TransferCause:
    transfer: PointsTransfer = strawberry.field(description="The transfer.")


@strawberry.type(description="Points that staff gave or took.")
class AdjustmentCause:
    adjusted_at: datetime = strawberry.field(description="When it was booked.")
    reason: str | None = strawberry.field(description="In whose words why; for administrators only.")


@strawberry.type(description="A cause outside the rules, such as a welcome gift.")
class OtherCause:
    kind: str = strawberry.field(description="What it is.")


PostingCause = Annotated[
    ReferralRewardCause
    | EarningRuleCause
    | RedemptionCause
    | EventCause
    | TransferCause
    | AdjustmentCause
    | OtherCause,
    strawberry.union("PostingCause", description="What a posting was made for, as far back as it can be traced."),
]


@strawberry.type(description="Points that a debit took from what was earned once, or that a refund gave back to it.")
class LotDebit:
    points: int = strawberry.field(description="How many it took; below zero: how many it gave back.")
    expires_at: datetime = strawberry.field(description="When they would have expired.")
    origin: "PostingProvenance" = strawberry.field(description="Where they came from.")


@strawberry.type(description="Why a posting was made.")
class PostingProvenance:
    posting: Posting = strawberry.field(description="The posting.")
    cause: PostingCause = strawberry.field(description="What it was made for.")
    lots: list[LotDebit] = strawberry.field(
        description="For a posting that takes points or gives them back: from and to which lots, each with its own "
        "provenance."
    )


def fact_of(row: FactRow) -> Fact:
    return Fact(
        id=global_id("Fact", row.id),
        kind=row.kind,
        source=row.source,
        key=row.key,
        occurred_at=row.occurred_at,
        recorded_at=row.recorded_at,
    )


# Not TRANSFER: where the sender had the points from is no affair of the receiver's.
TOUCHING_LOTS = (
    PostingKind.REDEEM,
    PostingKind.REFUND,
    PostingKind.CLAWBACK,
    PostingKind.REPAYMENT,
    PostingKind.EXPIRE,
    PostingKind.ADJUST,
)


async def provenance(session: Session, posting: LedgerPosting, info: Info) -> PostingProvenance:
    """The chain behind a posting; a debit leads on to the postings that filled its lots."""
    debits = await debits_of(session, posting.id) if posting.kind in TOUCHING_LOTS else []
    origins = await rows_by_id(session, LedgerPosting, [lot.posting_id for _, lot in debits])
    causes = await causes_of(session, [posting, *origins.values()], info)
    lots = [
        LotDebit(points=debit.points, expires_at=lot.expires_at, origin=explained(origins[lot.posting_id], causes, []))
        for debit, lot in debits
    ]
    return explained(posting, causes, lots)


def explained(posting: LedgerPosting, causes: dict[str, PostingCause], lots: list[LotDebit]) -> PostingProvenance:
    return PostingProvenance(posting=posting_of_row(posting), cause=causes[posting.id], lots=lots)


async def causes_of(session: Session, postings: Sequence[LedgerPosting], info: Info) -> dict[str, PostingCause]:
    """The causes of postings by their ids, in a number of queries that does not grow with the postings."""
    lots = [posting.cause_id for posting in postings if posting.cause_kind == LOT]
    filled = await fillers_of(session, lots) if lots else {}
    # A release is caused by what filled its lot.
    asked = {posting.id: filled.get(posting.cause_id, posting) for posting in postings}
    ids: dict[str, list[str]] = defaultdict(list)
    for posting in asked.values():
        ids[posting.cause_kind].append(posting.cause_id)
    found: dict[str, PostingCause] = {
        **{
            key: RedemptionCause(redemption=redemption_of(row))
            for key, row in (await rows_by_id(session, RedemptionRow, ids[REDEMPTION])).items()
        },
        **{
            key: EarningRuleCause(
                rule_name=info.context.text(rule, "name"),
                fact_kind=fact.kind,
                version=earning.version,
                fact=fact_of(fact),
            )
            for key, (earning, rule, fact) in (await earnings_by_id(session, ids[EARNING_RULE])).items()
        },
        **{
            key: EventCause(refunded=row.status == ChargeStatus.REFUNDED, event_local=row.event_id)
            for key, row in (await rows_by_id(session, EventCharge, ids[EVENT_CHARGE])).items()
        },
        **{
            key: TransferCause(transfer=transfer_of(row))
            for key, row in (await rows_by_id(session, TransferRow, ids[TRANSFER])).items()
        },
        **{
            key: adjustment_cause(row, is_staff=info.context.signed_in().is_administrator)
            for key, row in (await rows_by_id(session, Adjustment, ids[ADJUSTMENT])).items()
        },
        **await referral_causes(session, ids[REFERRAL_REWARD], info),
    }
    return {key: found.get(posting.cause_id, OtherCause(kind=posting.cause_kind)) for key, posting in asked.items()}


def adjustment_cause(row: Adjustment, *, is_staff: bool) -> AdjustmentCause:
    """That staff adjusted, for everybody who sees the posting; in which words, for administrators."""
    return AdjustmentCause(adjusted_at=row.decided_at or row.requested_at, reason=row.reason if is_staff else None)


async def referral_causes(session: Session, reward_ids: Sequence[str], info: Info) -> dict[str, PostingCause]:
    """What stands behind referral rewards: fact, conversion, code and click."""
    rewards = await rows_by_id(session, RewardRow, reward_ids)
    referrals = await rows_by_id(session, ReferralRow, [reward.referral_id for reward in rewards.values()])
    codes = await rows_by_id(session, CodeRow, [referral.code_id for referral in referrals.values()])
    clicks = await rows_by_id(session, ClickRow, [r.click_id for r in referrals.values() if r.click_id])
    facts = await rows_by_id(session, FactRow, [reward.fact_id for reward in rewards.values()])
    back = [clawback_key(reward) for reward in rewards.values() if reward.status == RewardStatus.CLAWED_BACK]
    acts = await acts_by_key(session, back)
    is_staff = info.context.signed_in().is_administrator
    found: dict[str, PostingCause] = {}
    for key, reward in rewards.items():
        referral = referrals[reward.referral_id]
        found[key] = ReferralRewardCause(
            reward=referral_reward_of(reward),
            fact=fact_of(facts[reward.fact_id]),
            referral=referral_of(referral),
            code=code_of(codes[referral.code_id], info),
            click=click_of(clicks.get(referral.click_id or "")),
            review=review_of(reward, is_staff=is_staff),
            clawback=clawback_of(reward, acts.get(clawback_key(reward)), is_staff=is_staff),
        )
    return found


def click_of(row: ClickRow | None) -> ReferralClick | None:
    if row is None:
        return None
    return ReferralClick(id=global_id("ReferralClick", row.id), channel=row.channel, clicked_at=row.clicked_at)


def review_of(reward: RewardRow, *, is_staff: bool) -> RewardReview | None:
    """That it was reviewed, for everybody who sees the reward; by whom and why, for administrators."""
    if reward.reviewed_at is None:
        return None
    reviewer, reason = (reward.reviewed_by, reward.review_reason) if is_staff else (None, None)
    return RewardReview(reviewed_at=reward.reviewed_at, reviewer=reviewer, reason=reason)


def clawback_of(reward: RewardRow, entry: AuditEntry | None, *, is_staff: bool) -> RewardClawback | None:
    """Why it went, for everybody who sees the reward; by whom and in which words, for administrators."""
    if reward.status != RewardStatus.CLAWED_BACK:
        return None
    seen = entry if is_staff else None
    return RewardClawback(
        code=reward.reason,
        clawed_back_at=entry.at if entry else None,
        clawed_back_by=seen.actor if seen else None,
        reason=seen.reason if seen else None,
    )


async def may_see_posting(session: Session, principal: Principal, posting_id: str) -> bool:
    """A posting is explained to its owner and to administrators."""
    return principal.is_administrator or principal.customer_id in owners_of(await entries_of(session, posting_id))


@strawberry.type
class ProvenanceQueries:
    @strawberry.field(description="Why a posting of yours was made; null where there is none that you may see.")
    async def posting_provenance(
        self,
        info: Info,
        posting_id: Annotated[
            strawberry.ID,
            strawberry.argument(
                description="Global id of a posting in your own ledger; administrators may ask of any."
            ),
        ],
    ) -> PostingProvenance | None:
        principal = await info.context.principal()
        local = local_id("Posting", posting_id, "postingId")
        async with info.context.database.read() as session:
            posting = await posting_of(session, local)
            if posting is None or not await may_see_posting(session, principal, local):
                return None
            return await provenance(session, posting, info)
