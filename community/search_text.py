"""What a text says to the search: words of Latin letters and digits, and pairs of Chinese characters.

It is how Lucene's `cjk` analyzer, which indexes the texts on Neo4j, cuts them, so that both engines find the same;
the embedded engine's index is filled by these functions. Two things are decided here for both: of a run of Chinese
characters in a question every second pair must occur (周末摄影 asks for 周末 and 摄影, in any order), and the last; and
a single Chinese character is found inside any word.
"""

import re
import unicodedata
from collections.abc import Iterator

from core.errors import BadUserInput

LONGEST_QUESTION = 100
MOST_TERMS = 12

# Han, with its extensions and the sign 々; kana; Hangul. Lucene pairs all of them.
CJK = (
    "\u3005\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0002fa1f\U00030000-\U000323af"
)
# A word keeps an apostrophe between letters and a point between digits (Unicode Standard Annex 29).
PART = rf"[^\W_{CJK}]+"
RUNS = re.compile(rf"(?P<cjk>[{CJK}]+)|(?P<word>{PART}(?:['’.]{PART})*)")

# The words that Lucene's `cjk` analyzer leaves out.
STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a and are as at be but by for if in into is it no not of on or s such t that the their then there these they "
        "this to was will with www",
    )
)


class SearchInvalid(BadUserInput):
    code = "SEARCH_INVALID"
    en = "This cannot be searched for."
    zh = "搜索条件无效。"


def runs(text: str) -> Iterator[re.Match[str]]:
    """The words and the runs of Chinese characters, in lower case and of normal width."""
    return RUNS.finditer(unicodedata.normalize("NFC", text).translate(NORMAL_WIDTH).lower())


# Full-width Latin letters, digits and signs, as Chinese keyboards give them.
NORMAL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}


def terms_of(text: str) -> set[str]:
    """All that the text is found by: its words, pairs of neighbouring Chinese characters, and each of these alone."""
    found: set[str] = set()
    for run in runs(text):
        word = run["word"]
        if word is None:
            cjk = run["cjk"]
            found.update(cjk, (cjk[at : at + 2] for at in range(len(cjk) - 1)))
        elif word not in STOP_WORDS:
            found.add(word)
    return found


def asked_terms(text: str) -> list[str]:
    """The terms that must all occur; raises SearchInvalid for a text that is too long or has none."""
    if len(text) > LONGEST_QUESTION:
        raise SearchInvalid(path=("text",), detail=f"at most {LONGEST_QUESTION} characters")
    terms = list(dict.fromkeys(asked_of_runs(text)))
    if not 1 <= len(terms) <= MOST_TERMS:
        raise SearchInvalid(path=("text",), detail=f"1 to {MOST_TERMS} words")
    return terms


def asked_of_runs(text: str) -> Iterator[str]:
    for run in runs(text):
        word, cjk = run["word"], run["cjk"]
        if cjk is None:
            if word not in STOP_WORDS:
                yield word
        elif len(cjk) == 1:
            yield cjk
        else:
            yield from (cjk[at : at + 2] for at in range(0, len(cjk) - 1, 2))
            yield cjk[-2:]


def is_single(term: str) -> bool:
    """Whether the term is one Chinese character, which Lucene keeps inside pairs only."""
    return len(term) == 1 and re.fullmatch(f"[{CJK}]", term) is not None
