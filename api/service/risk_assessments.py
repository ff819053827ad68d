"""Risk assessments: customers answer the bank's questionnaire, which gives them a class for twelve months."""

from datetime import datetime
from typing import Annotated, Any, cast

import strawberry
from strawberry.scalars import JSON

from api.context import Info
from api.customers.looked_after import is_staff
from api.customers.profiles import Customer, load_customer
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from api.service.of_customer import OfCustomer, speaking_for, whose
from api.service.suitability import Suitability, suitability_of
from core.db import rows_by_id
from core.paging import window
from service.advice_notes import check_of
from service.assessments import Answered, InteractionType, assess_suitability, list_assessments
from service.assessments import RiskAssessment as AssessmentRow
from service.questionnaire_definition import AnswersInvalid, Question
from service.risk_questionnaires import (
    QuestionnaireStatus,
    activate_risk_questionnaire,
    active_questionnaire,
    create_risk_questionnaire,
    list_questionnaires,
)
from service.risk_questionnaires import RiskQuestionnaire as QuestionnaireRow
from service.suitability import Liquidity, RiskClass

strawberry.enum(
    QuestionnaireStatus,
    name="RiskQuestionnaireStatus",
    description="A DRAFT becomes ACTIVE, and then RETIRED for good.",
)
strawberry.enum(
    InteractionType,
    name="InteractionType",
    description="In what conversation a customer gave answers that staff noted.",
)


@strawberry.type(description="What can be answered.")
class RiskAnswer:
    key: str = strawberry.field(description="By this it is chosen.")
    text: str = strawberry.field(description="The same in words, in the language of the request.")


@strawberry.type(description="What is asked.")
class RiskQuestion:
    key: str = strawberry.field(description="By this it is answered.")
    text: str = strawberry.field(description="The same in words, in the language of the request.")
    answers: list[RiskAnswer] = strawberry.field(description="What can be answered, of which one is chosen.")


@strawberry.type(description="A version of the questionnaire, which never changes.")
class RiskQuestionnaire(Node):
    version: int = strawberry.field(description="Number of the version.")
    status: QuestionnaireStatus = strawberry.field(description="Whether it is answered.")
    questions: list[RiskQuestion] = strawberry.field(description="What is asked, in its order.")
    valid_months: int = strawberry.field(description="For how many months an assessment holds.")
    most_a_day: int = strawberry.field(description="How often one may be assessed on one day of the bank's time zone.")
    most_in_period: int = strawberry.field(description="And how often on the days of `periodMonths` that end today.")
    period_months: int = strawberry.field(description="So many months.")
    definition: JSON | None = strawberry.field(description="All of it, with its scores; null for customers.")
    created_at: datetime = strawberry.field(description="When it was written.")
    activated_at: datetime | None = strawberry.field(description="Since when it was answered; null: it never was.")
    retired_at: datetime | None = strawberry.field(description="Until when; null where it is, or never was.")


def question_of(question: Question, info: Info) -> RiskQuestion:
    text = info.context.text
    answers = [RiskAnswer(key=one.key, text=text(one, "text")) for one in question.answers]
    return RiskQuestion(key=question.key, text=text(question, "text"), answers=answers)


def questionnaire_of(row: QuestionnaireRow, info: Info) -> RiskQuestionnaire:
    parsed, definition = row.parsed(), cast(Any, row.definition)
    return RiskQuestionnaire(
        id=global_id("RiskQuestionnaire", row.id),
        version=row.version,
        status=QuestionnaireStatus(row.status),
        questions=[question_of(one, info) for one in parsed.questions],
        valid_months=parsed.valid_months,
        most_a_day=parsed.most_a_day,
        most_in_period=parsed.most_in_period,
        period_months=parsed.period_months,
        definition=definition if is_staff(info) else None,
        created_at=row.created_at,
        activated_at=row.activated_at,
        retired_at=row.retired_at,
    )


@strawberry.type(description="What a customer answered, and the class that it gave; it never changes.")
class RiskAssessment(Node):
    risk_class: RiskClass = strawberry.field(description="How much risk the customer can take.")
    score: int = strawberry.field(description="The sum of the answers' scores.")
    horizon_months: int = strawberry.field(description="For how many months money can stay.")
    liquidity_need: Liquidity = strawberry.field(description="How late money may come back at most.")
    interaction_type: InteractionType | None = strawberry.field(
        description="In what conversation staff noted the answers; null: the customer gave them."
    )
    entered_by: str | None = strawberry.field(description="The employee who noted them; null: the customer did.")
    taken_at: datetime = strawberry.field(description="When.")
    expires_at: datetime = strawberry.field(description="From then on it says nothing.")
    expired: bool = strawberry.field(description="Whether that is over.")
    questionnaire_id: strawberry.ID = strawberry.field(description="Global id of the questionnaire.")
    row: strawberry.Private[AssessmentRow]

    @strawberry.field(description="Whose.")
    async def customer(self, info: Info) -> Customer | None:
        return await load_customer(info, self.row.customer_id)

    @strawberry.field(description="Whether a product fits the customer now, by the latest of their assessments.")
    async def suitability(
        self, info: Info, product: Annotated[str, strawberry.argument(description="Code of the product.")]
    ) -> Suitability:
        async with info.context.database.read() as session:
            found = await check_of(session, self.row.customer_id, product, now=info.context.now)
        return suitability_of(found)


def assessment_of(row: AssessmentRow, now: datetime) -> RiskAssessment:
    return RiskAssessment(
        id=global_id("RiskAssessment", row.id),
        risk_class=RiskClass(row.risk_class),
        score=row.score,
        horizon_months=row.horizon_months,
        liquidity_need=Liquidity(row.liquidity_need),
        interaction_type=InteractionType(row.interaction) if row.interaction else None,
        entered_by=row.entered_by,
        taken_at=row.taken_at,
        expires_at=row.expires_at,
        expired=now >= row.expires_at,
        questionnaire_id=global_id("RiskQuestionnaire", row.questionnaire_id),
        row=row,
    )


async def load_assessment(info: Info, local: str) -> RiskAssessment | None:
    """One's own, or that of somebody whom one looks after."""
    async with info.context.database.read() as session:
        row = (await rows_by_id(session, AssessmentRow, [local])).get(local)
    if row is None or await info.context.private.access.load(row.customer_id) is None:
        return None
    return assessment_of(row, info.context.now)


@strawberry.input(description="What is answered to one question.")
class RiskAnswerInput:
    question: str = strawberry.field(description="Key of the question.")
    answer: str = strawberry.field(description="Key of the answer.")


@strawberry.input(description="What a customer says of themselves.")
class AssessSuitabilityInput:
    questionnaire_id: strawberry.ID = strawberry.field(description="Global id of the active questionnaire.")
    answers: list[RiskAnswerInput] = strawberry.field(description="One answer to each question.")
    horizon_months: int = strawberry.field(description="For how many months money can stay, 0 to 600.")
    liquidity_need: Liquidity = strawberry.field(description="How late money may come back at most.")
    customer_id: strawberry.ID | None = strawberry.field(
        description="Global id of the customer, for staff who note what the customer says; null: yourself.",
        default=None,
    )
    interaction_type: InteractionType | None = strawberry.field(
        description="In what conversation; staff must say it, of customers it is not kept.", default=None
    )


@strawberry.input(description="What a new version asks.")
class CreateRiskQuestionnaireInput:
    definition: JSON = strawberry.field(description="Questions, scores, classes and limits; docs/suitability.md.")


@strawberry.input(description="Which version.")
class RiskQuestionnaireInput:
    questionnaire_id: strawberry.ID = strawberry.field(description="Global id of the questionnaire.")


@strawberry.type(description="The customer has a class.")
class AssessSuitabilitySuccess:
    assessment: RiskAssessment = strawberry.field(description="The assessment.")


@strawberry.type(description="The draft is written.")
class CreateRiskQuestionnaireSuccess:
    questionnaire: RiskQuestionnaire = strawberry.field(description="The draft.")


@strawberry.type(description="Customers answer it from now on.")
class ActivateRiskQuestionnaireSuccess:
    questionnaire: RiskQuestionnaire = strawberry.field(description="The questionnaire.")


AssessSuitabilityResult = Annotated[AssessSuitabilitySuccess | Refusal, result_union(AssessSuitabilitySuccess)]
CreateRiskQuestionnaireResult = Annotated[
    CreateRiskQuestionnaireSuccess | Refusal, result_union(CreateRiskQuestionnaireSuccess)
]
ActivateRiskQuestionnaireResult = Annotated[
    ActivateRiskQuestionnaireSuccess | Refusal, result_union(ActivateRiskQuestionnaireSuccess)
]


def answered(input: AssessSuitabilityInput, entered_by: str | None) -> Answered:
    """What is said, in the domain's form; raises AnswersInvalid for two answers to one question."""
    answers = {one.question: one.answer for one in input.answers}
    if len(answers) < len(input.answers):
        raise AnswersInvalid(path=("answers",))
    return Answered(
        questionnaire_id=local_id("RiskQuestionnaire", input.questionnaire_id, "input", "questionnaireId"),
        answers=answers,
        horizon_months=input.horizon_months,
        liquidity_need=input.liquidity_need,
        interaction=input.interaction_type,
        entered_by=entered_by,
    )


@strawberry.type
class RiskAssessmentQueries:
    @strawberry.field(description="The questionnaire that customers answer now.")
    async def risk_questionnaire(self, info: Info) -> RiskQuestionnaire:
        info.context.signed_in()
        async with info.context.database.read() as session:
            return questionnaire_of(await active_questionnaire(session), info)

    @strawberry.field(description="The versions of the questionnaire, the newest first; for administrators.")
    async def risk_questionnaires(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[RiskQuestionnaire]:
        size, place = window(first, after, last, before)
        info.context.administrator()
        async with info.context.database.read() as session:
            page = await list_questionnaires(session, first=size, after=place)
        return connection(page, place, lambda row: questionnaire_of(row, info))

    @strawberry.field(description="Assessments of yourself, or of a customer whom you look after, the latest first.")
    async def risk_assessments(
        self,
        info: Info,
        customer_id: OfCustomer = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[RiskAssessment]:
        size, place = window(first, after, last, before)
        async with info.context.database.read() as session:
            customer = await whose(info, session, customer_id)
            page = await list_assessments(session, customer, first=size, after=place)
        return connection(page, place, lambda row: assessment_of(row, info.context.now))


@strawberry.type
class RiskAssessmentMutations:
    @strawberry.mutation(
        description="Answer the questionnaire: the class holds for twelve months. On one day and in twelve months only "
        "so many times, see the questionnaire. Staff note what a customer tells them and say in what conversation."
    )
    @refusals
    async def assess_suitability(self, info: Info, input: AssessSuitabilityInput) -> AssessSuitabilityResult:
        context = info.context
        async with context.database.write() as session:
            customer_id, entered_by = await speaking_for(info, session, input.customer_id)
            said = answered(input, entered_by)
            row = await assess_suitability(session, customer_id, said, now=context.now)
        return AssessSuitabilitySuccess(assessment=assessment_of(row, context.now))

    @strawberry.mutation(description="Write the next version of the questionnaire; for administrators.")
    @refusals
    async def create_risk_questionnaire(
        self, info: Info, input: CreateRiskQuestionnaireInput
    ) -> CreateRiskQuestionnaireResult:
        actor, now = info.context.administrator().subject, info.context.now
        async with info.context.database.write() as session:
            row = await create_risk_questionnaire(session, cast(Any, input.definition), actor=actor, now=now)
        return CreateRiskQuestionnaireSuccess(questionnaire=questionnaire_of(row, info))

    @strawberry.mutation(
        description="Let customers answer this version from now on; assessments by another stay valid until they "
        "expire. For administrators."
    )
    @refusals
    async def activate_risk_questionnaire(
        self, info: Info, input: RiskQuestionnaireInput
    ) -> ActivateRiskQuestionnaireResult:
        actor, now = info.context.administrator().subject, info.context.now
        questionnaire_id = local_id("RiskQuestionnaire", input.questionnaire_id, "input", "questionnaireId")
        async with info.context.database.write() as session:
            row = await activate_risk_questionnaire(session, questionnaire_id, actor=actor, now=now)
        return ActivateRiskQuestionnaireSuccess(questionnaire=questionnaire_of(row, info))
