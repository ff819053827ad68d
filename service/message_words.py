"""The words of each template of messages in both languages; names are put in when a message is sent or read.

Each part of this room words its own, which are taken in below. A template's placeholders are `{name}`, which is what
the customer is called, and the values of the message; a value in two languages is given as `title_zh` and `title_en`
and stands as `{title}`.
"""

from collections.abc import Mapping
from string import Formatter

from service.advice_words import WORDS as ADVICE_WORDS
from service.care_words import WORDS as CARE_WORDS
from service.complaint_words import WORDS as COMPLAINT_WORDS
from service.follow_up_words import WORDS as FOLLOW_UP_WORDS
from service.message_template import Words
from service.survey_words import WORDS as SURVEY_WORDS

# What is said for a placeholder that nothing fills.
NOTHING = ""
NAME = "name"

CONTENT_PUBLISHED = "CONTENT_PUBLISHED"

OWN_WORDS: dict[str, Words] = {
    CONTENT_PUBLISHED: Words(
        subject=("为您推荐：{title}", "For you: {title}"),
        body=(
            "{name}，您好！新文章《{title}》或许适合您，欢迎在应用内阅读。",
            "Dear {name}, our new article “{title}” may interest you. You find it in the app.",
        ),
    ),
}

# All templates by their names.
WORDS: Mapping[str, Words] = {
    **OWN_WORDS,
    **ADVICE_WORDS,
    **CARE_WORDS,
    **COMPLAINT_WORDS,
    **FOLLOW_UP_WORDS,
    **SURVEY_WORDS,
}


def is_known(template: str) -> bool:
    return template in WORDS


def written(template: str, values: Mapping[str, str], *, name: str | None, language: str) -> tuple[str, str]:
    """Subject and body in a language; of a template that is not known (any more) there are no words."""
    words = WORDS.get(template)
    if words is None:
        return NOTHING, NOTHING
    index = 0 if language == "zh" else 1
    return filled(words.subject[index], values, name, language), filled(words.body[index], values, name, language)


def filled(text: str, values: Mapping[str, str], name: str | None, language: str) -> str:
    """The text with its placeholders filled; values are put in as they are and never read as templates."""
    parts: list[str] = []
    for literal, field, _, _ in Formatter().parse(text):
        parts.append(literal)
        if field is not None:
            parts.append(value_of(field, values, name, language))
    return "".join(parts).strip()


def value_of(field: str, values: Mapping[str, str], name: str | None, language: str) -> str:
    if field == NAME:
        return name or ("客户" if language == "zh" else "customer")
    other = "en" if language == "zh" else "zh"
    keys = (f"{field}_{language}", field, f"{field}_{other}")
    return next((values[key] for key in keys if key in values), NOTHING)
