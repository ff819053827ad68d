"""Who brought most, for those who want to stand on the leaderboard."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import strawberry

from api.context import Info
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Connection, First, connection, local_id
from referrals.leaderboard import Ranked, join_leaderboard, leaderboard, leave_leaderboard
from referrals.standings import EVER, month_of


@strawberry.enum(
    description="Over which span a leaderboard counts: all of it, or one month of UTC by when referrals were qualified."
)
class ReferralPeriod(StrEnum):
    EVER = "EVER"
    MONTH = "MONTH"


@strawberry.type(description="A place on a leaderboard.")
class ReferralRank:
    rank: int = strawberry.field(description="The place, from 1; ties go to whoever reached the count earlier.")
    pseudonym: str = strawberry.field(description="The name that they chose.")
    qualified_count: int = strawberry.field(description="How many of their referrals are qualified; no rejected ones.")
    reached_at: datetime | None = strawberry.field(description="When the last of these was qualified.")
    is_viewer: bool = strawberry.field(description="Whether it is you.")


PeriodOf = Annotated[ReferralPeriod, strawberry.argument(description="Over which span.")]
At = Annotated[datetime | None, strawberry.argument(description="An instant in the month asked for; now by default.")]


@strawberry.type
class ReferralLeaderboardQueries:
    @strawberry.field(description="Who brought most of those who asked to be shown, under names of their choice.")
    async def referral_leaderboard(
        self,
        info: Info,
        program_id: Annotated[strawberry.ID, strawberry.argument(description="Global id of the programme.")],
        period: PeriodOf = ReferralPeriod.EVER,
        at: At = None,
        first: First = None,
        after: After = None,
    ) -> Connection[ReferralRank]:
        context = info.context
        viewer_id = await context.viewer_id()
        span = EVER if period == ReferralPeriod.EVER else month_of(at or context.now)
        async with context.database.read() as session:
            local = local_id("ReferralProgram", program_id, "programId")
            page = await leaderboard(session, program_id=local, period=span, first=first, after=after)

        def rank_of(row: Ranked) -> ReferralRank:
            return ReferralRank(
                rank=row.rank,
                pseudonym=row.pseudonym,
                qualified_count=row.qualified_count,
                reached_at=row.reached_at,
                is_viewer=row.customer_id == viewer_id,
            )

        return connection(page, after, rank_of)


@strawberry.input(description="Which programme's leaderboard, and under which name.")
class JoinReferralLeaderboardInput:
    program_id: strawberry.ID = strawberry.field(description="Global id of the programme.")
    pseudonym: str = strawberry.field(
        description="The name to be shown: 2 to 20 letters, digits, spaces, - _ ·; at most 4 digits; one's own there."
    )


@strawberry.type(description="You stand on the leaderboard as soon as one of your referrals is qualified.")
class JoinReferralLeaderboardSuccess:
    pseudonym: str = strawberry.field(description="The name as it is shown.")


JoinReferralLeaderboardResult = Annotated[
    JoinReferralLeaderboardSuccess | Refusal, result_union(JoinReferralLeaderboardSuccess)
]


@strawberry.input(description="Which programme's leaderboard.")
class LeaveReferralLeaderboardInput:
    program_id: strawberry.ID = strawberry.field(description="Global id of the programme.")


@strawberry.type(description="You do not stand on the leaderboard any more, and your name there is free.")
class LeaveReferralLeaderboardSuccess:
    program_id: strawberry.ID = strawberry.field(description="Global id of the programme.")


LeaveReferralLeaderboardResult = Annotated[
    LeaveReferralLeaderboardSuccess | Refusal, result_union(LeaveReferralLeaderboardSuccess)
]


@strawberry.type
class ReferralLeaderboardMutations:
    @strawberry.mutation(
        description="Stand on a programme's leaderboard, with your count and when it was reached, or change your name."
    )
    @refusals
    async def join_referral_leaderboard(
        self, info: Info, input: JoinReferralLeaderboardInput
    ) -> JoinReferralLeaderboardResult:
        context = info.context
        customer_id = await context.customer_id()
        program_id = local_id("ReferralProgram", input.program_id, "input", "programId")
        async with context.database.write() as session:
            shown = await join_leaderboard(
                session, program_id=program_id, customer_id=customer_id, pseudonym=input.pseudonym, now=context.now
            )
        return JoinReferralLeaderboardSuccess(pseudonym=shown)

    @strawberry.mutation(description="Stand on a programme's leaderboard no more.")
    @refusals
    async def leave_referral_leaderboard(
        self, info: Info, input: LeaveReferralLeaderboardInput
    ) -> LeaveReferralLeaderboardResult:
        context = info.context
        customer_id = await context.customer_id()
        program_id = local_id("ReferralProgram", input.program_id, "input", "programId")
        async with context.database.write() as session:
            await leave_leaderboard(session, program_id=program_id, customer_id=customer_id)
        return LeaveReferralLeaderboardSuccess(program_id=input.program_id)
