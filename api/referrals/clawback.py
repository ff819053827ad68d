"""Taking referral rewards back: what it would touch, and the act itself, whose totals are the same."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import strawberry

from api.community.events import Event, load_event
from api.context import Info
from api.customers.profiles import Customer, load_customer
from api.loyalty.catalogue import Reward, reward_of
from api.referrals.rewards import ReferralReward, referral_reward_of
from api.refusals import Refusal, refusals, result_union
from api.relay import global_id, local_id
from core.audit import act, checked_reason, record_act
from core.db import Session, rows_by_id
from core.errors import BadUserInput
from loyalty.charges import EVENT_CHARGE, EventCharge
from loyalty.clawback import Clawback, Demand, claw_back, preview_clawbacks, spendings_from
from loyalty.ledger import Cause
from loyalty.lots import LedgerLot, lot_id
from loyalty.redemption_records import REDEMPTION, Redemption
from loyalty.shortfall import ShortfallPolicy
from referrals.clawback import (
    MOST_REWARDS,
    RECALLED,
    ClawbackReasonInvalid,
    ClawbackTarget,
    clawback_key,
    lock_for_clawback,
    rewards_for_clawback,
)
from referrals.programs import definition_of
from referrals.rewards import REFERRAL_REWARD, RewardStatus
from referrals.rewards import ReferralReward as RewardRow
from referrals.settlement import cancel_reward, mark_clawed_back

MOST_SPENDINGS = 200
IN_LEDGER = (RewardStatus.ISSUED, RewardStatus.CLAWED_BACK)


class ClawbackTargetInvalid(BadUserInput):
    code = "CLAWBACK_TARGET_INVALID"
    en = "Name one reward, one referral or one case."
    zh = "请指定一笔奖励、一条推荐或一个案件。"


@strawberry.type(description="A reward that goes back.")
class ClawedBackReward:
    reward: ReferralReward = strawberry.field(description="The reward.")
    cancelled: int = strawberry.field(description="Points that were never in the ledger, and will not be.")
    recovered: int = strawberry.field(description="Points taken from lots.")
    debt: int = strawberry.field(description="Points that the customer owes.")
    written_off: int = strawberry.field(description="Points that the bank bears.")
    posting_id: strawberry.ID | None = strawberry.field(
        description="The posting that took them; ask postingProvenance. Null for what is not done or was cancelled."
    )
    customer_local: strawberry.Private[str]

    @strawberry.field(description="Whose it is.")
    async def customer(self, info: Info) -> Customer | None:
        return await load_customer(info, self.customer_local)


@strawberry.type(description="What a lot of points gives.")
class ClawedBackLot:
    expires_at: datetime = strawberry.field(description="When its points would expire.")
    points: int = strawberry.field(description="Points taken from it.")
    is_own: bool = strawberry.field(description="Whether the reward itself filled it.")


@strawberry.type(description="What points of the rewards were spent on, and not given back for. It stands as it is.")
class ClawbackSpending:
    points: int = strawberry.field(description="How many of their points went there.")
    spent_at: datetime | None = strawberry.field(description="When; null for a cause outside the rules.")
    reward_local: strawberry.Private[str | None] = None
    event_local: strawberry.Private[str | None] = None

    @strawberry.field(description="The reward of the catalogue that was redeemed.")
    async def reward(self, info: Info) -> Reward | None:
        row = await info.context.loaders.rewards.load(self.reward_local) if self.reward_local else None
        return reward_of(row, info) if row else None

    @strawberry.field(description="The event that was paid for; null once it is out of your sight.")
    async def event(self, info: Info) -> Event | None:
        return await load_event(info, self.event_local) if self.event_local else None


@strawberry.type(description="A customer whose points are touched.")
class ClawbackCustomer:
    local: strawberry.Private[str]

    @strawberry.field(description="The customer.")
    async def customer(self, info: Info) -> Customer | None:
        return await load_customer(info, self.local)

    @strawberry.field(description="Their tier; null while they have none.")
    async def tier(self, info: Info) -> str | None:
        row = await info.context.loaders.customers.load(self.local)
        return row["tier"] if row else None


@strawberry.type(description="Points of a clawback together.")
class ClawbackTotals:
    points: int = strawberry.field(description="All points that go back: the sum of the others.")
    cancelled: int = strawberry.field(description="Points that were never in the ledger.")
    recovered: int = strawberry.field(description="Points taken from lots.")
    debt: int = strawberry.field(description="Points that customers owe.")
    written_off: int = strawberry.field(description="Points that the bank bears.")


@strawberry.type(description="Everything that a clawback touches.")
class ClawbackReach:
    rewards: list[ClawedBackReward] = strawberry.field(description=f"The rewards, at most {MOST_REWARDS}.")
    lots: list[ClawedBackLot] = strawberry.field(description="The lots that points are taken from.")
    redemptions: list[ClawbackSpending] = strawberry.field(
        description=f"What the rewards were spent on, most points first, at most {MOST_SPENDINGS}."
    )
    customers: list[ClawbackCustomer] = strawberry.field(description="The customers whose points are touched.")
    totals: ClawbackTotals = strawberry.field(description="The points together.")


@strawberry.type(description="What a clawback would do now; nothing is done.")
class PreviewClawbackSuccess(ClawbackReach):
    pass


@strawberry.type(description="What the clawback has done; asked again, the first answer.")
class ClawBackRewardSuccess(ClawbackReach):
    pass


@strawberry.input(description="What to take back: exactly one of them.")
class PreviewClawbackInput:
    reward_id: strawberry.ID | None = strawberry.field(description="One referral reward.", default=None)
    referral_id: strawberry.ID | None = strawberry.field(description="All rewards of a referral.", default=None)
    case_id: strawberry.ID | None = strawberry.field(description="All rewards held in a fraud case.", default=None)


@strawberry.input(description="What to take back, exactly one of them, and why.")
class ClawBackRewardInput(PreviewClawbackInput):
    reason: str = strawberry.field(description="Why, 1 to 500 characters; kept in the audit trail.")


PreviewClawbackResult = Annotated[PreviewClawbackSuccess | Refusal, result_union(PreviewClawbackSuccess)]
ClawBackRewardResult = Annotated[ClawBackRewardSuccess | Refusal, result_union(ClawBackRewardSuccess)]


def target_of(input: PreviewClawbackInput) -> ClawbackTarget:
    given = [
        ClawbackTarget(name, local_id(kind, value, "input", name))
        for name, kind, value in (
            ("rewardId", "ReferralReward", input.reward_id),
            ("referralId", "Referral", input.referral_id),
            ("caseId", "FraudCase", input.case_id),
        )
        if value is not None
    ]
    if len(given) != 1:
        raise ClawbackTargetInvalid(path=("input",))
    return given[0]


async def demands_for(session: Session, rewards: Sequence[RewardRow]) -> list[Demand]:
    """What the ledger is to take back for rewards that are or were in it, each by the policy of its own version."""
    issued = [reward for reward in rewards if reward.status in IN_LEDGER]
    versions = sorted({(reward.program_id, reward.version) for reward in issued})
    policies = {key: (await definition_of(session, *key)).shortfall for key in versions}
    return [
        Demand(
            key=clawback_key(reward),
            cause=Cause(REFERRAL_REWARD, reward.id),
            customer_id=reward.customer_id,
            lot_id=lot_id(reward.key),
            points=reward.points,
            shortfall=ShortfallPolicy(policies[reward.program_id, reward.version]),
        )
        for reward in issued
    ]


async def recall(
    session: Session, rewards: Sequence[RewardRow], *, reason: str, actor: str, now: datetime
) -> list[Clawback]:
    """Take back the rewards that the caller has locked: out of the ledger, or before they come into it."""
    taken = await claw_back(session, await demands_for(session, rewards), now=now)
    by_key = {one.key: one for one in taken}
    for reward in rewards:
        found = by_key.get(clawback_key(reward))
        lost = found.debt + found.written_off if found else 0
        if reward.status == RewardStatus.ISSUED:
            await mark_clawed_back(session, reward, reason=RECALLED, lost_points=lost)
        elif reward.status in (RewardStatus.PENDING, RewardStatus.APPROVED):
            await cancel_reward(session, reward, reason=RECALLED)
        else:
            continue
        entry = act(
            area=f"referral-program:{reward.program_id}",
            actor=actor,
            action="REWARD_CLAWED_BACK",
            subject=f"referral-reward:{reward.id}",
            at=now,
            concerns=reward.customer_id,
            reason=reason,
            points=reward.points,
            lost_points=lost,
        )
        await record_act(session, clawback_key(reward), entry)
    return taken


async def reach_of(session: Session, rewards: Sequence[RewardRow], taken: Sequence[Clawback]) -> dict[str, Any]:
    """Everything that is touched, for the fields of both answers."""
    by_key = {one.key: one for one in taken}
    pairs = [(reward, by_key.get(clawback_key(reward))) for reward in rewards]
    lines = [line_of(reward, found) for reward, found in pairs]
    takes = [(lot_id(reward.key), take) for reward, found in pairs if found for take in found.takes]
    lots = await rows_by_id(session, LedgerLot, {take.lot_id for _, take in takes})
    return {
        "rewards": lines,
        "lots": [
            ClawedBackLot(expires_at=lots[take.lot_id].expires_at, points=take.points, is_own=take.lot_id == own)
            for own, take in takes
        ],
        "redemptions": await spendings_of(session, [lot_id(reward.key) for reward, found in pairs if found]),
        "customers": [ClawbackCustomer(local=one) for one in sorted({reward.customer_id for reward in rewards})],
        "totals": totals_of(lines),
    }


def line_of(reward: RewardRow, found: Clawback | None) -> ClawedBackReward:
    return ClawedBackReward(
        reward=referral_reward_of(reward),
        cancelled=0 if found else reward.points,
        recovered=found.recovered if found else 0,
        debt=found.debt if found else 0,
        written_off=found.written_off if found else 0,
        posting_id=global_id("Posting", found.posting_id) if found and found.posting_id else None,
        customer_local=reward.customer_id,
    )


def totals_of(lines: Sequence[ClawedBackReward]) -> ClawbackTotals:
    cancelled, recovered = sum(line.cancelled for line in lines), sum(line.recovered for line in lines)
    debt, written_off = sum(line.debt for line in lines), sum(line.written_off for line in lines)
    points = cancelled + recovered + debt + written_off
    return ClawbackTotals(points=points, cancelled=cancelled, recovered=recovered, debt=debt, written_off=written_off)


async def spendings_of(session: Session, lot_ids: Sequence[str]) -> list[ClawbackSpending]:
    """What these lots were spent on. Vouchers are for their owners' eyes, so redemptions themselves are not shown."""
    spent = await spendings_from(session, lot_ids, limit=MOST_SPENDINGS)
    ids = {kind: [one.cause.id for one in spent if one.cause.kind == kind] for kind in (REDEMPTION, EVENT_CHARGE)}
    redemptions = await rows_by_id(session, Redemption, ids[REDEMPTION])
    charges = await rows_by_id(session, EventCharge, ids[EVENT_CHARGE])
    lines: list[ClawbackSpending] = []
    for one in spent:
        redemption, charge = redemptions.get(one.cause.id), charges.get(one.cause.id)
        spent_at = redemption.redeemed_at if redemption else charge.created_at if charge else None
        reward, event = redemption.reward_id if redemption else None, charge.event_id if charge else None
        lines.append(ClawbackSpending(points=one.points, spent_at=spent_at, reward_local=reward, event_local=event))
    return lines


@strawberry.type
class ClawbackMutations:
    @strawberry.mutation(
        description="What a clawback would touch, and its totals, as they are now; nothing is written. "
        "For administrators."
    )
    @refusals
    async def preview_clawback(self, info: Info, input: PreviewClawbackInput) -> PreviewClawbackResult:
        context = info.context
        context.administrator()
        target = target_of(input)
        async with context.database.read() as session:
            rewards = await rewards_for_clawback(session, target)
            taken = await preview_clawbacks(session, await demands_for(session, rewards), now=context.now)
            found = await reach_of(session, rewards, taken)
        return PreviewClawbackSuccess(**found)

    @strawberry.mutation(
        description="Take referral rewards back: what is in the ledger by a posting, what is not before it is. What "
        "cannot be taken is owed or written off, as the programme says. Asked again, it gives the first answer. "
        "For administrators."
    )
    @refusals
    async def claw_back_reward(self, info: Info, input: ClawBackRewardInput) -> ClawBackRewardResult:
        context = info.context
        actor = context.administrator().subject
        target, reason = target_of(input), checked_reason(input.reason, ClawbackReasonInvalid)
        async with context.database.write() as session:
            rewards = await lock_for_clawback(session, target)
            taken = await recall(session, rewards, reason=reason, actor=actor, now=context.now)
            found = await reach_of(session, rewards, taken)
        return ClawBackRewardSuccess(**found)
