"""Reports and the moderators' queue."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.community.posts import Content
from api.community.reactions import load_content, target_of
from api.context import Info
from api.customers.profiles import Customer, load_customer
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, connection, global_id, local_id
from community import reports
from community.reports import (
    ModerationCase,
    ReportReason,
    Resolution,
    may_moderate,
    moderated,
    moderation_queue,
    reportable,
    resolve_report,
)
from core.errors import NotFound
from core.paging import window

strawberry.enum(ReportReason, name="ReportReason", description="What a reader finds wrong.")
strawberry.enum(Resolution, name="ReportResolution", description="DISMISS: nothing is wrong. DELETE: it is deleted.")


@strawberry.type(description="What one reader reported.")
class Report:
    reason: ReportReason = strawberry.field(description="What is wrong.")
    text: str = strawberry.field(description="What the reader says about it; may be empty.")
    created_at: datetime = strawberry.field(description="When it was reported.")
    reporter_local: strawberry.Private[str]

    @strawberry.field(description="Who reported it; null for everybody but administrators.")
    async def reporter(self, info: Info) -> Customer | None:
        return await load_customer(info, self.reporter_local) if info.context.signed_in().is_administrator else None


@strawberry.type(name="ModerationCase", description="A post or comment with its open reports.")
class Case:
    target_id: strawberry.ID = strawberry.field(description="Global id of what is reported.")
    report_count: int = strawberry.field(description="How many readers reported it.")
    opened_at: datetime = strawberry.field(description="When the first of them did.")
    kind: strawberry.Private[str]
    local: strawberry.Private[str]

    @strawberry.field(description="What is reported; null where you may not read it.")
    async def target(self, info: Info) -> Content | None:
        return await load_content(info, self.kind, self.local)

    @strawberry.field(description="The first 20 of its open reports.")
    async def reports(self, info: Info) -> list[Report]:
        return [report_of(row) for row in await info.context.loaders.open_reports.load(self.local)]


def report_of(row: reports.Report) -> Report:
    return Report(
        reason=ReportReason(row.reason), text=row.text, created_at=row.created_at, reporter_local=row.reporter_id
    )


def case_of(row: ModerationCase) -> Case:
    return Case(
        target_id=global_id(row.kind, row.id),
        report_count=row.report_count,
        opened_at=row.opened_at,
        kind=row.kind,
        local=row.id,
    )


@strawberry.input(description="What is wrong with what.")
class CreateReportInput:
    target_id: strawberry.ID = strawberry.field(description="Global id of a post or comment that you can read.")
    reason: ReportReason = strawberry.field(description="What is wrong.")
    text: str = strawberry.field(description="What you say about it, at most 1,000 characters.", default="")


@strawberry.type(description="The moderators will look at it.")
class CreateReportSuccess:
    is_new: bool = strawberry.field(description="False when you had reported it before.")


@strawberry.input(description="What to do about all open reports of a post or comment.")
class ResolveReportInput:
    target_id: strawberry.ID = strawberry.field(description="Global id of what is reported.")
    resolution: Resolution = strawberry.field(description="What you decide.")
    note: str | None = strawberry.field(description="Why; needed to delete, and told to nobody.", default=None)


@strawberry.type(description="The reports are resolved.")
class ResolveReportSuccess:
    target: Content | None = strawberry.field(description="What was reported.")


CreateReportResult = Annotated[CreateReportSuccess | Refusal, result_union(CreateReportSuccess)]
ResolveReportResult = Annotated[ResolveReportSuccess | Refusal, result_union(ResolveReportSuccess)]


@strawberry.type
class ReportQueries:
    @strawberry.field(
        description="What is reported in a community that you moderate, the longest waiting first; for administrators "
        "in any."
    )
    async def moderation_queue(
        self,
        info: Info,
        community_id: Annotated[
            strawberry.ID, strawberry.argument(description="Global id of a community that you moderate.")
        ],
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Case]:
        size, place = window(first, after, last, before)
        context = info.context
        bearer = context.signed_in()
        local = local_id("Community", community_id, "communityId")
        if not bearer.is_administrator and not await may_moderate(
            context.graph, local, customer_id=await context.viewer_id()
        ):
            raise NotFound(path=("communityId",))
        async with context.database.read() as session:
            page = await moderation_queue(session, local, first=size, after=place)
        return connection(page, place, case_of)


@strawberry.type
class ReportMutations:
    @strawberry.mutation(description="Report a post or comment to its moderators; once, however often it is asked.")
    @refusals
    async def create_report(self, info: Info, input: CreateReportInput) -> CreateReportResult:
        context = info.context
        kind, local = target_of(input.target_id)
        reporter_id = await context.customer_id()
        place = await reportable(context.graph, kind, local, reporter_id=reporter_id)
        async with context.database.write() as session:
            is_new = await reports.create_report(
                session,
                place,
                kind,
                reporter_id=reporter_id,
                reason=input.reason,
                text=input.text,
                now=context.now,
            )
        return CreateReportSuccess(is_new=is_new)

    @strawberry.mutation(description="Resolve all open reports of a post or comment in a community that you moderate.")
    @refusals
    async def resolve_report(self, info: Info, input: ResolveReportInput) -> ResolveReportResult:
        context = info.context
        kind, local = target_of(input.target_id)
        moderator_id = await context.customer_id()
        place = await moderated(context.graph, kind, local, moderator_id=moderator_id)
        async with context.database.write() as session:
            await resolve_report(
                session,
                context.graph,
                place,
                kind,
                resolution=input.resolution,
                moderator_id=moderator_id,
                note=input.note,
                now=context.now,
            )
        if input.resolution == Resolution.DELETE:
            community = f"community:{place['community_id']}"
            await context.changed(community, kind=f"{kind.upper()}_DELETED", id=local)
        return ResolveReportSuccess(target=await load_content(info, kind, local))
