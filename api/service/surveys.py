"""Surveys: what the viewer is asked, and their answers."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.context import Info
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from core.paging import Page, window
from customers.personal import made_data_keys
from service.survey_rows import Survey as SurveyRow
from service.survey_rows import SurveyKind, SurveyOccasion, list_surveys
from service.survey_words import QUESTIONS
from service.surveys import comment_of, find_survey, submit_survey


@strawberry.type(description="A question to you, after something that you took part in.")
class Survey(Node):
    kind: SurveyKind = strawberry.field(description="What is asked.")
    occasion: SurveyOccasion = strawberry.field(description="After what.")
    question: str = strawberry.field(description="The question in the language of the request.")
    invited_at: datetime = strawberry.field(description="When you were asked.")
    expires_at: datetime = strawberry.field(description="Until when you can answer, exclusive.")
    answered_at: datetime | None = strawberry.field(description="When you answered; null: not yet.")
    score: int | None = strawberry.field(description="Your answer: 0 to 10 for NPS, 1 to 5 for CSAT.")
    row: strawberry.Private[SurveyRow]

    @strawberry.field(description="What you wrote beside it.")
    async def comment(self, info: Info) -> str | None:
        if self.row.comment is None:
            return None
        found = await info.context.promises.data_keys.load(self.row.customer_id)
        return comment_of(self.row, found[1], owner=found[0]) if found else None


def survey_of(row: SurveyRow, info: Info) -> Survey:
    chinese, english = QUESTIONS[SurveyKind(row.kind)]
    return Survey(
        id=global_id("Survey", row.id),
        kind=SurveyKind(row.kind),
        occasion=SurveyOccasion(row.occasion),
        question=chinese if info.context.language == "zh" else english,
        invited_at=row.invited_at,
        expires_at=row.expires_at,
        answered_at=row.answered_at,
        score=row.score,
        row=row,
    )


async def load_survey(info: Info, local: str) -> Survey | None:
    """A survey of the viewer; null for anybody else's."""
    row, viewer_id = await info.context.promises.surveys.load(local), await info.context.viewer_id()
    return survey_of(row, info) if row and row.customer_id == viewer_id else None


@strawberry.input(description="An answer.")
class SubmitSurveyInput:
    survey_id: strawberry.ID = strawberry.field(description="Global id of the survey.")
    score: int = strawberry.field(description="0 to 10 for NPS, 1 to 5 for CSAT.")
    comment: str | None = strawberry.field(
        description="In your words, at most 2,000 characters; kept sealed.", default=None
    )


@strawberry.type(description="Thank you: your answer is kept.")
class SubmitSurveySuccess:
    survey: Survey = strawberry.field(description="The survey with your answer.")


SubmitSurveyResult = Annotated[SubmitSurveySuccess | Refusal, result_union(SubmitSurveySuccess)]


@strawberry.type
class SurveyQueries:
    @strawberry.field(description="What you can still answer, the longest waiting first.")
    async def surveys(
        self,
        info: Info,
        answered: Annotated[bool, strawberry.argument(description="Also what you have answered.")] = False,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Survey]:
        size, place = window(first, after, last, before)
        viewer_id = await info.context.viewer_id()
        if viewer_id is None:
            return connection(Page[SurveyRow]([], [], has_next=False), after, lambda row: survey_of(row, info))
        async with info.context.database.read() as session:
            page = await list_surveys(
                session, viewer_id, answered=answered, first=size, after=place, now=info.context.now
            )
        return connection(page, place, lambda row: survey_of(row, info))


@strawberry.type
class SurveyMutations:
    @strawberry.mutation(
        description="Answer a survey of yours, once and in time; the same answer again is the first one."
    )
    @refusals
    async def submit_survey(self, info: Info, input: SubmitSurveyInput) -> SubmitSurveyResult:
        customer_id, now = await info.context.customer_id(), info.context.now
        survey_id = local_id("Survey", input.survey_id, "input", "surveyId")
        async with info.context.database.write() as session:
            await find_survey(session, survey_id, customer_id)
            keys = await made_data_keys(session, [customer_id]) if input.comment else {}
            row = await submit_survey(
                session,
                survey_id,
                customer_id=customer_id,
                score=input.score,
                comment=input.comment,
                data_key=keys.get(customer_id),
                now=now,
            )
        return SubmitSurveySuccess(survey=survey_of(row, info))
