"""What a customer is told of advice, by template: subject and body, each in Chinese and English."""

from service.message_template import Words

ADVICE_PUBLISHED = "advice_published"

WORDS: dict[str, Words] = {
    ADVICE_PUBLISHED: Words(
        ("您的专业顾问已答复", "Your advisor has answered"),
        (
            "您的专业顾问为您发布了一份建议，请登录查看。建议附有产品适合性检查结果。",
            "Your advisor has published advice for you. Please sign in to read it; the check whether the product fits "
            "you comes with it.",
        ),
    ),
}
