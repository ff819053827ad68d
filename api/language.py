"""The language of a request: Chinese or English, as its headers prefer."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

# What was made of so many headers is remembered: clients send the same with each request.
MOST_HEADERS = 100


def language_of(headers: Mapping[str, str]) -> Literal["zh", "en"]:
    """The better liked of our two languages by Accept-Language (RFC 9110, 12.5.4); Chinese where it does not say."""
    return better_liked(headers.get("accept-language", ""))


@lru_cache(maxsize=MOST_HEADERS)
def better_liked(header: str) -> Literal["zh", "en"]:
    best: tuple[float, Literal["zh", "en"]] = (0.0, "zh")
    for part in header.lower().split(",")[:20]:
        tag, _, parameters = part.strip().partition(";")
        quality = quality_of(parameters)
        base = tag.split("-", 1)[0].strip()
        if quality > best[0] and base == "en":
            best = (quality, "en")
        elif quality > best[0] and base in ("zh", "*"):
            best = (quality, "zh")
    return best[1]


def quality_of(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
