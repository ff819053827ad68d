"""What a questionnaire asks and how its answers make a class, as compliance writes it once and nobody changes it."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic import Field as Setting

from core.definitions import read_definition
from core.errors import BadUserInput, Refusal
from service.suitability import CLASSES, RiskClass

Text = Annotated[str, Setting(min_length=1, max_length=500)]
Key = Annotated[str, Setting(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]


class RiskQuestionnaireInvalid(BadUserInput):
    code = "RISK_QUESTIONNAIRE_INVALID"
    en = "The questionnaire is not valid."
    zh = "风险评估问卷无效。"


class AnswersInvalid(Refusal):
    code = "ASSESSMENT_ANSWERS_INVALID"
    en = "Every question needs one of its own answers, once."
    zh = "每个问题须且仅须选择一个有效答案。"


class Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Answer(Form):
    """What can be chosen; `at_most` is a class that whoever chooses it cannot pass, whatever the score."""

    key: Key
    text_zh: Text
    text_en: Text
    score: Annotated[int, Setting(ge=0, le=1_000)]
    at_most: RiskClass | None = None


class Question(Form):
    key: Key
    text_zh: Text
    text_en: Text
    answers: Annotated[tuple[Answer, ...], Setting(min_length=2, max_length=20)]

    @model_validator(mode="after")
    def has_distinct_answers(self) -> "Question":
        if len({one.key for one in self.answers}) < len(self.answers):
            raise ValueError("two answers have one key")
        return self


class QuestionnaireDefinition(Form):
    """Questions, the least score of each class above C1, and for how long and how often an assessment is taken."""

    questions: Annotated[tuple[Question, ...], Setting(min_length=1, max_length=50)]
    least_scores: dict[RiskClass, Annotated[int, Setting(ge=0, le=50_000)]]
    valid_months: Annotated[int, Setting(ge=1, le=60)] = 12
    most_a_day: Annotated[int, Setting(ge=1, le=100)] = 2
    most_in_period: Annotated[int, Setting(ge=1, le=1_000)] = 8
    period_months: Annotated[int, Setting(ge=1, le=60)] = 12

    @model_validator(mode="after")
    def is_consistent(self) -> "QuestionnaireDefinition":
        if len({one.key for one in self.questions}) < len(self.questions):
            raise ValueError("two questions have one key")
        if set(self.least_scores) != set(CLASSES[1:]):
            raise ValueError("least_scores has C2, C3, C4 and C5")
        ordered = [self.least_scores[one] for one in CLASSES[1:]]
        if any(later <= earlier for earlier, later in pairwise(ordered)):
            raise ValueError("least_scores rise from class to class")
        if not self.lowest < ordered[0] or ordered[-1] > self.highest:
            raise ValueError(f"every class must be reachable: scores go from {self.lowest} to {self.highest}")
        return self

    @property
    def lowest(self) -> int:
        return sum(min(answer.score for answer in one.answers) for one in self.questions)

    @property
    def highest(self) -> int:
        return sum(max(answer.score for answer in one.answers) for one in self.questions)


def parse_questionnaire(definition: Any) -> QuestionnaireDefinition:
    """The definition in its form; raises RiskQuestionnaireInvalid with the path of what is wrong."""
    return read_definition(QuestionnaireDefinition, definition, RiskQuestionnaireInvalid)


def assess(definition: QuestionnaireDefinition, chosen: Mapping[str, str]) -> tuple[int, RiskClass]:
    """The score and the class of these answers, by the keys of their questions; raises AnswersInvalid."""
    if set(chosen) != {one.key for one in definition.questions}:
        raise AnswersInvalid(path=("answers",))
    taken: list[Answer] = []
    for question in definition.questions:
        found = [one for one in question.answers if one.key == chosen[question.key]]
        if not found:
            raise AnswersInvalid(path=("answers",), detail=question.key)
        taken.append(found[0])
    score = sum(one.score for one in taken)
    reached = [one for one in CLASSES[1:] if score >= definition.least_scores[one]]
    limits = [one.at_most for one in taken if one.at_most is not None]
    by_score = reached[-1] if reached else CLASSES[0]
    return score, min((by_score, *limits), key=CLASSES.index)
