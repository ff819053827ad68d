"""The words of invitations to surveys and of their questions, each as Chinese and English."""

from service.message_template import Words
from service.survey_rows import SurveyKind, SurveyOccasion

# The template of a message by what it comes after.
TEMPLATES = {
    SurveyOccasion.EVENT: "survey.event",
    SurveyOccasion.CASE: "survey.case",
    SurveyOccasion.REDEMPTION: "survey.redemption",
}
WORDS: dict[str, Words] = {
    "survey.event": Words(
        ("活动感受如何？", "How was the event?"),
        (
            "感谢您参加活动。请用一分钟告诉我们您的感受。",
            "Thank you for coming. Please take a minute to tell us what you think.",
        ),
    ),
    "survey.case": Words(
        ("我们处理得怎么样？", "How did we do?"),
        (
            "您反映的问题已办结。请告诉我们您对处理是否满意。",
            "What you told us about is closed. Please tell us whether you are satisfied with how we dealt with it.",
        ),
    ),
    "survey.redemption": Words(
        ("兑换体验如何？", "How was redeeming your points?"),
        ("您的兑换已完成。请告诉我们您是否满意。", "Your reward is yours. Please tell us whether you are satisfied."),
    ),
}
QUESTIONS: dict[SurveyKind, tuple[str, str]] = {
    SurveyKind.NPS: (
        "您有多大可能将我们推荐给亲友？（0至10分）",
        "How likely are you to recommend us to friends and family? (0 to 10)",
    ),
    SurveyKind.CSAT: ("您对此是否满意？（1至5分）", "How satisfied are you? (1 to 5)"),
}
