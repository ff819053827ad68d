"""The figures of a programme, for administrators: funnel, K-factor and influence."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.context import Info
from api.customers.profiles import Customer, load_customer
from api.relay import After, Before, Connection, First, Last, connection, local_id
from core.paging import window
from referrals import funnel as funnels
from referrals.analytics import known_program
from referrals.funnel import Stage, StageKind, Tally, referral_funnel
from referrals.influence import ReferralInfluence as InfluenceRow
from referrals.influence import influence_page
from referrals.k_factor import Spread, k_factor, sum_of

strawberry.enum(StageKind, name="ReferralStageKind", description="What a stage of a funnel counts.")


@strawberry.type(description="One stage of a funnel.")
class ReferralStage:
    kind: StageKind = strawberry.field(description="What it counts.")
    step: str | None = strawberry.field(description="Which step of the programme, of a STEP.")
    count: int = strawberry.field(description="How many reached it; rejected referrals reach nothing but CLAIMED.")
    conversion: float | None = strawberry.field(
        description="The part of the stage before that reached it; of CLAIMED the claims by link for each click."
    )


def stage_of(stage: Stage) -> ReferralStage:
    return ReferralStage(kind=stage.kind, step=stage.step, count=stage.count, conversion=stage.conversion)


@strawberry.type(description="The funnel of one channel.")
class ReferralChannelFunnel:
    channel: str | None = strawberry.field(description="The channel of the link; null: a typed code or an import.")
    stages: list[ReferralStage] = strawberry.field(description="Its stages in order.")
    robot_clicks: int = strawberry.field(description="Openings of links by robots; they count nowhere else.")
    claims_by_link: int = strawberry.field(description="Claims that a click led to.")
    rejected: int = strawberry.field(description="Claims that were rejected since.")


def channel_funnel(channel: str | None, tally: Tally, steps: list[str]) -> ReferralChannelFunnel:
    return ReferralChannelFunnel(
        channel=channel,
        stages=[stage_of(stage) for stage in tally.stages(steps)],
        robot_clicks=tally.robots,
        claims_by_link=tally.by_link,
        rejected=tally.rejected,
    )


@strawberry.type(
    description="What became of the claims of a span of time, by now; clicks are those made in the same span."
)
class ReferralFunnel:
    starts_at: datetime = strawberry.field(description="Start of the span, inclusive.")
    ends_at: datetime = strawberry.field(description="Its end, exclusive.")
    total: ReferralChannelFunnel = strawberry.field(description="All channels together, or the one asked for.")
    channels: list[ReferralChannelFunnel] = strawberry.field(
        description="The 20 channels with the most claims, then clicks."
    )


@strawberry.type(description="What members brought within the window after they could first refer.")
class ReferralSpread:
    cohort: str | None = strawberry.field(
        description="The month (UTC) in which they got their first code, such as 2026-11; null: all of them."
    )
    generation: int | None = strawberry.field(
        description="How far they stand from the root of their tree, 10 being 10 or more; null: all of them."
    )
    members: int = strawberry.field(description="How many members there are.")
    clicks: int = strawberry.field(description="Openings of their links by people.")
    typed_claims: int = strawberry.field(description="Claims by their code that followed no link.")
    invitations: int = strawberry.field(description="clicks + typedClaims.")
    conversions: int = strawberry.field(description="Claims of the window that are qualified by now.")
    invitations_per_member: float | None = strawberry.field(description="invitations / members.")
    conversion_rate: float | None = strawberry.field(description="conversions / invitations.")
    k_factor: float | None = strawberry.field(
        description="invitationsPerMember * conversionRate, so conversions / members; null without members."
    )


def spread_of(one: Spread) -> ReferralSpread:
    return ReferralSpread(
        cohort=one.cohort,
        generation=one.generation,
        members=one.members,
        clicks=one.clicks,
        typed_claims=one.typed_claims,
        invitations=one.invitations,
        conversions=one.conversions,
        invitations_per_member=one.invitations_per_member,
        conversion_rate=one.conversion_rate,
        k_factor=one.k,
    )


@strawberry.type(description="How many new customers each member brings.")
class ReferralKFactor:
    cohort_from: datetime = strawberry.field(description="Members from here on, inclusive.")
    cohort_to: datetime = strawberry.field(description="Members before this.")
    window_days: int = strawberry.field(description="So many times 24 hours after they could first refer are counted.")
    total: ReferralSpread = strawberry.field(description="All of them together.")
    spreads: list[ReferralSpread] = strawberry.field(description="By cohort, and in each by generation.")


@strawberry.type(description="A place in the ranking of influence.")
class ReferralInfluence:
    rank: int = strawberry.field(description="The place, from 1; ties by id.")
    influence: float = strawberry.field(
        description="Sum over all whom they brought, directly or through others to a depth of 20, and whose referral "
        "is qualified, of 0.5 to the power of (depth - 1)."
    )
    descendants: int = strawberry.field(description="How many these are.")
    computed_at: datetime = strawberry.field(description="As of when; it is computed every hour.")
    local: strawberry.Private[str]

    @strawberry.field(description="Who.")
    async def customer(self, info: Info) -> Customer | None:
        return await load_customer(info, self.local)


def influence_of(row: InfluenceRow) -> ReferralInfluence:
    return ReferralInfluence(
        rank=row.rank,
        influence=row.influence,
        descendants=row.descendants,
        computed_at=row.computed_at,
        local=row.customer_id,
    )


ProgramId = Annotated[strawberry.ID, strawberry.argument(description="Global id of the programme.")]
From = Annotated[datetime, strawberry.argument(name="from", description="Start, inclusive.")]
To = Annotated[datetime, strawberry.argument(name="to", description="End, exclusive; at most 366 days later.")]
Channel = Annotated[str | None, strawberry.argument(description="Only links of this channel.")]
CohortFrom = Annotated[datetime, strawberry.argument(description="Members who could first refer here or later.")]
CohortTo = Annotated[datetime, strawberry.argument(description="And before this; at most 366 days later.")]
WindowDays = Annotated[int, strawberry.argument(description="How long after that is counted, 1 to 366 days.")]
Generation = Annotated[int | None, strawberry.argument(description="Only this far from the root, 0 to 10.")]


@strawberry.type
class ReferralAnalyticsQueries:
    @strawberry.field(description="What becomes of clicks and claims, by channel; for administrators.")
    async def referral_funnel(
        self, info: Info, program_id: ProgramId, start: From, end: To, channel: Channel = None
    ) -> ReferralFunnel:
        context = info.context
        context.administrator()
        local = local_id("ReferralProgram", program_id, "programId")
        async with context.database.read() as session:
            found: funnels.Funnel = await referral_funnel(
                session, program_id=local, start=start, end=end, channel=channel
            )
        return ReferralFunnel(
            starts_at=start,
            ends_at=end,
            total=channel_funnel(channel, found.total, found.steps),
            channels=[channel_funnel(name, tally, found.steps) for name, tally in found.channels],
        )

    @strawberry.field(description="How many new customers each member brings; for administrators.")
    async def referral_k_factor(
        self,
        info: Info,
        program_id: ProgramId,
        cohort_from: CohortFrom,
        cohort_to: CohortTo,
        window_days: WindowDays = 30,
        generation: Generation = None,
    ) -> ReferralKFactor:
        context = info.context
        context.administrator()
        local = local_id("ReferralProgram", program_id, "programId")
        async with context.database.read() as session:
            found = await k_factor(
                session,
                program_id=local,
                start=cohort_from,
                end=cohort_to,
                window_days=window_days,
                generation=generation,
            )
        return ReferralKFactor(
            cohort_from=cohort_from,
            cohort_to=cohort_to,
            window_days=window_days,
            total=spread_of(sum_of(found)),
            spreads=[spread_of(one) for one in found],
        )

    @strawberry.field(description="Who stands behind the most qualified referrals; for administrators.")
    async def referral_influence(
        self,
        info: Info,
        program_id: ProgramId,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[ReferralInfluence]:
        size, place = window(first, after, last, before)
        context = info.context
        context.administrator()
        local = local_id("ReferralProgram", program_id, "programId")
        async with context.database.read() as session:
            await known_program(session, local)
            page = await influence_page(session, local, first=size, after=place)
        return connection(page, place, influence_of)
