"""Fraud cases and reviews, for administrators; to others there is no case."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.context import Info
from api.customers.profiles import Customer, customer_of, load_customer
from api.referrals.attribution import Referral, referral_of
from api.referrals.rewards import ReferralReward, referral_reward_of
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from core.identifiers import IdentifierKind
from core.paging import window
from core.principal import Principal
from referrals.fraud_cases import CaseKind, CaseStatus, fraud_cases, review_queue
from referrals.fraud_cases import FraudCase as FraudCaseRow
from referrals.fraud_signals import PathStep, Signal, SignalName
from referrals.reviews import ReviewDecision, decide_case, review_reward
from referrals.rewards import ReferralReward as RewardRow

strawberry.enum(CaseKind, name="FraudCaseKind", description="Whether a case began with one referral or a group.")
strawberry.enum(CaseStatus, name="FraudCaseStatus", description="Whether a case waits, and what was decided.")
strawberry.enum(SignalName, name="FraudSignalName", description="What speaks against a referral.")
strawberry.enum(IdentifierKind, name="IdentifierKind", description="What customers can have in common.")
strawberry.enum(ReviewDecision, name="ReviewDecision", description="APPROVE issues, DENY cancels and frees the budget.")


@strawberry.type(description="One node of a path; what follows an identifier are all who use it.")
class FraudPathStep:
    relationship: str | None = strawberry.field(
        description="How it is tied to what came before it: USES or REFERRED; null where the path begins."
    )
    identifier_kind: IdentifierKind | None = strawberry.field(description="What it is; null for a customer.")
    shared_by: int | None = strawberry.field(description="How many use it, counted up to what matters.")
    reference: str | None = strawberry.field(description="Tells identifiers apart; what it stands for is not kept.")
    customer_local: strawberry.Private[str | None]

    @strawberry.field(description="The customer; null for an identifier.")
    async def customer(self, info: Info) -> Customer | None:
        return await load_customer(info, self.customer_local) if self.customer_local else None


@strawberry.type(description="One thing that speaks against a referral, as it was found.")
class FraudSignal:
    name: SignalName = strawberry.field(description="What it is.")
    weight: float = strawberry.field(description="How much it says, 0 to 1.")
    exempted: bool = strawberry.field(description="Whether a declared household explains it; then it counts nothing.")
    path: list[FraudPathStep] = strawberry.field(description="Where it is in the graph, up to 12 customers.")


def step_of(step: PathStep) -> FraudPathStep:
    return FraudPathStep(
        relationship=step.relationship,
        identifier_kind=IdentifierKind(step.identifier_kind) if step.identifier_kind else None,
        shared_by=step.degree,
        reference=step.reference,
        customer_local=step.customer_id,
    )


def signal_of(signal: Signal) -> FraudSignal:
    path = [step_of(step) for step in signal.path]
    return FraudSignal(name=SignalName(signal.name), weight=signal.weight, exempted=signal.exempted, path=path)


@strawberry.type(description="A suspicion: it holds the rewards of its members until a reviewer decides.")
class FraudCase(Node):
    kind: CaseKind = strawberry.field(description="Whether it began with one referral or a group.")
    status: CaseStatus = strawberry.field(description="Whether it waits, and what was decided.")
    score: float = strawberry.field(description="The highest score so far, 0 to 1.")
    signals: list[FraudSignal] = strawberry.field(description="What it is made of, as it was found.")
    opened_at: datetime = strawberry.field(description="When it was opened.")
    decided_by: str | None = strawberry.field(description="Who decided; null while it is open.")
    decided_at: datetime | None = strawberry.field(description="When it was decided.")
    reason: str | None = strawberry.field(description="Why it was decided so.")
    local: strawberry.Private[str]

    @strawberry.field(description="Whom it is about, up to 200 customers.")
    async def members(self, info: Info) -> list[Customer]:
        members = await info.context.loaders.referring.fraud_members.load(self.local)
        found = await info.context.loaders.customers.load_many([row.customer_id for row in members])
        return [customer_of(row) for row in found if row is not None]

    @strawberry.field(description="What it holds, and what it held.")
    async def rewards(self, info: Info) -> list["HeldReward"]:
        return [held_reward_of(row) for row in await info.context.loaders.referring.fraud_rewards.load(self.local)]


def case_of(row: FraudCaseRow) -> FraudCase:
    return FraudCase(
        id=global_id("FraudCase", row.id),
        kind=CaseKind(row.kind),
        status=CaseStatus(row.status),
        score=row.score,
        signals=[signal_of(signal) for signal in row.signals],
        opened_at=row.opened_at,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        reason=row.reason,
        local=row.id,
    )


@strawberry.type(description="A reward that a case holds or held, and what a reviewer said.")
class HeldReward:
    reward: ReferralReward = strawberry.field(description="The reward.")
    created_at: datetime = strawberry.field(description="When it was made.")
    reviewed_by: str | None = strawberry.field(description="Who decided; null while it waits.")
    reviewed_at: datetime | None = strawberry.field(description="When it was decided.")
    review_reason: str | None = strawberry.field(description="Why it was decided so.")
    row: strawberry.Private[RewardRow]

    @strawberry.field(description="Whose reward it is.")
    async def customer(self, info: Info) -> Customer | None:
        return await load_customer(info, self.row.customer_id)

    @strawberry.field(description="The referral that it is for.")
    async def referral(self, info: Info) -> Referral | None:
        found = await info.context.loaders.referring.referrals.load(self.row.referral_id)
        return referral_of(found) if found else None

    @strawberry.field(description="The case that holds it.")
    async def case(self, info: Info) -> FraudCase | None:
        found = await info.context.loaders.referring.fraud_cases.load(self.row.case_id) if self.row.case_id else None
        return case_of(found) if found else None


def held_reward_of(row: RewardRow) -> HeldReward:
    return HeldReward(
        reward=referral_reward_of(row),
        created_at=row.created_at,
        reviewed_by=row.reviewed_by,
        reviewed_at=row.reviewed_at,
        review_reason=row.review_reason,
        row=row,
    )


async def load_case(info: Info, local: str) -> FraudCase | None:
    """The case for an administrator; None for anybody else, as if there were none."""
    if not info.context.signed_in().is_administrator:
        return None
    row = await info.context.loaders.referring.fraud_cases.load(local)
    return case_of(row) if row else None


@strawberry.type
class FraudQueries:
    @strawberry.field(description="The rewards that wait for a reviewer, the oldest first; for administrators.")
    async def reward_review_queue(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[HeldReward]:
        size, place = window(first, after, last, before)
        info.context.administrator()
        async with info.context.database.read() as session:
            page = await review_queue(session, first=size, after=place)
        return connection(page, place, held_reward_of)

    @strawberry.field(description="Fraud cases, the oldest first; for administrators.")
    async def fraud_cases(
        self,
        info: Info,
        status: Annotated[CaseStatus | None, strawberry.argument(description="Only these; null: all.")] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[FraudCase]:
        size, place = window(first, after, last, before)
        info.context.administrator()
        async with info.context.database.read() as session:
            page = await fraud_cases(session, status, first=size, after=place)
        return connection(page, place, case_of)

    @strawberry.field(description="A fraud case; for administrators.")
    async def fraud_case(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Global id of the case.")]
    ) -> FraudCase | None:
        info.context.signed_in()
        return await load_case(info, local_id("FraudCase", id, "id"))


@strawberry.input(description="A decision about a held reward.")
class ReviewReferralRewardInput:
    reward_id: strawberry.ID = strawberry.field(description="The reward.")
    decision: ReviewDecision = strawberry.field(description="What is to be done with it.")
    reason: str = strawberry.field(description="Why, 1 to 500 characters; it is kept.")
    referral_is_fraud: bool = strawberry.field(
        description="With DENY: reject the whole referral, cancel its other rewards, and take back issued ones.",
        default=False,
    )


@strawberry.type(description="It is decided.")
class ReviewReferralRewardSuccess:
    held: HeldReward = strawberry.field(description="The reward with its decision.")


ReviewReferralRewardResult = Annotated[ReviewReferralRewardSuccess | Refusal, result_union(ReviewReferralRewardSuccess)]


@strawberry.input(description="A decision about all that a case holds.")
class DecideFraudCaseInput:
    case_id: strawberry.ID = strawberry.field(description="The case.")
    decision: ReviewDecision = strawberry.field(description="What is to be done with all rewards that it holds.")
    reason: str = strawberry.field(description="Why, 1 to 500 characters; it is kept.")


@strawberry.type(description="It is decided.")
class DecideFraudCaseSuccess:
    case: FraudCase = strawberry.field(description="The case.")


DecideFraudCaseResult = Annotated[DecideFraudCaseSuccess | Refusal, result_union(DecideFraudCaseSuccess)]


async def reviewer_of(info: Info) -> Principal:
    """The asking administrator with the customer that they may be; raises Forbidden."""
    info.context.administrator()
    return await info.context.principal()


@strawberry.type
class FraudMutations:
    @strawberry.mutation(description="Approve or deny a held reward, once; for administrators.")
    @refusals
    async def review_referral_reward(self, info: Info, input: ReviewReferralRewardInput) -> ReviewReferralRewardResult:
        context, reviewer = info.context, await reviewer_of(info)
        async with context.database.write() as session:
            row = await review_reward(
                session,
                reward_id=local_id("ReferralReward", input.reward_id, "input", "rewardId"),
                decision=input.decision,
                reason=input.reason,
                referral_is_fraud=input.referral_is_fraud,
                reviewer=reviewer,
                now=context.now,
            )
        return ReviewReferralRewardSuccess(held=held_reward_of(row))

    @strawberry.mutation(description="Approve or deny all that a case holds, and close it; for administrators.")
    @refusals
    async def decide_fraud_case(self, info: Info, input: DecideFraudCaseInput) -> DecideFraudCaseResult:
        context, reviewer = info.context, await reviewer_of(info)
        async with context.database.write() as session:
            row = await decide_case(
                session,
                case_id=local_id("FraudCase", input.case_id, "input", "caseId"),
                decision=input.decision,
                reason=input.reason,
                reviewer=reviewer,
                now=context.now,
            )
        return DecideFraudCaseSuccess(case=case_of(row))
