"""The search on Neo4j: Lucene's full-text index with the `cjk` analyzer, asked so that answers come in order of place.

Lucene orders by relevance, which changes with every insert, so its score is not used. A question with few answers is
asked once and sorted. One with many is asked for windows of time, each longer than the one before, and the query stops
with the window that fills the page, which is an early one. A question of no words is a range of places.
"""

from collections.abc import Sequence
from typing import LiteralString

from community.search_keys import EARTH_RADIUS, FIRST_WINDOW, Area, day_key, first_place_of, sign_key, windows
from community.search_sql import Answers, Condition, base_of, without_group
from community.search_text import is_single
from graph.client import GraphClient, Row

TITLE_FIELDS = {
    "Community": ("name_zh", "name_en"),
    "Event": ("title_zh", "title_en"),
    "Post": (),
}
TEXT_FIELDS = {
    "Community": ("purpose_zh", "purpose_en", "description_zh", "description_en", "search_words"),
    "Event": ("description_zh", "description_en", "search_words"),
    "Post": ("text", "search_words"),
}

# From so many answers on a question is asked in windows.
FEW = 100

# In metres, of Neo4j's `point.distance`; and by how much more we take for inside, for its rounding.
NEO4J_EARTH_RADIUS = 6_378_140.0
ROUNDING = 1e-9
# How much longer the first window is for a circle, and again for what is asked besides: both are rarer than a word, and
# each window costs as much as a hundred answers.
RARER = 4

# The answers of a condition in one value, because each row of a result costs as much as an answer does inside it.
ANSWERS: LiteralString = "collect([node.search_place, node.id]) AS answers"
# Exactly as we measure it ourselves (`circle_of`): a candidate that is found here and is not inside after all would
# leave the page one short, and so cost a second round trip.
IN_CIRCLE: LiteralString = """($near IS NULL
        OR point.distance(node.search_point, point({latitude: $near.latitude, longitude: $near.longitude}))
          <= $near.metres)"""

# What meets `asked.question` in the places and windows of `condition`: of all that is `known` where that is few, or
# window by window.
IN_PLACES: LiteralString = (
    """
  CALL (asked, known, condition) {
    WITH asked, known, condition
    WHERE size(known) < $few
    UNWIND known AS node
    WITH condition, node
    WHERE node.search_place > condition.after AND node.search_place < condition.before AND """
    + IN_CIRCLE
    + """
    WITH node
    ORDER BY node.search_place
    LIMIT $limit
    RETURN node
  UNION ALL
    WITH asked, known, condition
    WHERE size(known) >= $few
    UNWIND condition.windows AS window
    WITH condition, asked.question + ' +search_keys:[' + window[0] + ' TO ' + window[1] + ']' AS question
    CALL (condition, question) {
      CALL db.index.fulltext.queryNodes($index, question) YIELD node
      WHERE node.search_place > condition.after AND node.search_place < condition.before AND """
    + IN_CIRCLE
    + """
      RETURN node
      ORDER BY node.search_place
      LIMIT $limit
    }
    WITH node
    LIMIT $limit
    RETURN node
  }
  RETURN collect([node.search_place, node.id]) AS answers"""
)

# One rank: all answers, or one more than are few; then what everybody may find; then what members may, but only up to
# where the former are known.
OF_RANK: LiteralString = (
    """
CALL (asked) {
  CALL db.index.fulltext.queryNodes($index, asked.question, {limit: $few}) YIELD node
  RETURN collect(node) AS known
}
WITH asked, known, asked.open AS condition
CALL (asked, known, condition) {"""
    + IN_PLACES
    + """
}
WITH asked, known, answers AS opened,
     CASE WHEN size(answers) >= $limit THEN answers[-1][0] + $to_closed ELSE asked.closed.before END AS stop
WITH asked, known, opened,
     {after: asked.closed.after, before: stop, windows: [w IN asked.closed.windows WHERE w[2] < stop]} AS condition
CALL (asked, known, condition) {"""
    + IN_PLACES
    + """
}
RETURN [{number: asked.open.number, answers: opened}, {number: asked.closed.number, answers: answers}] AS pair
"""
)

# A second rank is asked for only where no condition of the first has more answers than are asked for: otherwise what it
# finds would come after what is not known yet.
FIND: LiteralString = (
    """
CALL () {
  WITH $ranks[0] AS asked
"""
    + OF_RANK
    + """
}
CALL (pair) {
  UNWIND CASE WHEN any(each IN pair WHERE size(each.answers) >= $limit) THEN [] ELSE $ranks[1..] END AS asked
  CALL (asked) {
"""
    + OF_RANK.replace("AS pair", "AS next")
    + """
  }
  RETURN collect(next) AS others
}
RETURN reduce(found = pair, next IN others | found + next) AS found
"""
)

# Without words and keys: whatever is in a range of places.
IN_RANGE: LiteralString = (
    """
UNWIND [$ranks[0].open, $ranks[0].closed] AS condition
CALL (condition) {
  MATCH (node:LABEL)
  WHERE node.search_place > condition.after AND node.search_place < condition.before
  WITH node
  ORDER BY node.search_place
  LIMIT $limit
  RETURN """
    + ANSWERS
    + """
}
RETURN collect({number: condition.number, answers: answers}) AS found
"""
)
IN_RANGE_OF: dict[str, LiteralString] = {
    "Community": IN_RANGE.replace("LABEL", "Community"),
    "Event": IN_RANGE.replace("LABEL", "Event"),
    "Post": IN_RANGE.replace("LABEL", "Post"),
}


async def find_nodes(graph: GraphClient, label: str, conditions: Sequence[Condition], *, limit: int) -> list[Answers]:
    """The first answers to each condition, by place; all of them have words or keys, or none has.

    The conditions stand in order of their ranks, the open and the closed one of each beside each other.
    """
    pairs = zip(conditions[::2], conditions[1::2], strict=True)
    ranks = [asked_of(label, is_open, is_closed) for is_open, is_closed in pairs]
    if conditions[0].words or conditions[0].keys:
        rows = await graph.read(
            FIND,
            index=f"search_{label.lower()}",
            ranks=ranks,
            near=circle_of(conditions[0].near),
            few=FEW + 1,
            to_closed=base_of(label, is_open=False) - base_of(label, is_open=True),
            limit=limit,
        )
    else:
        rows = await graph.read(IN_RANGE_OF[label], ranks=ranks, limit=limit)
    return [answers_of(each["number"], each["answers"], limit) for each in rows[0]["found"]]


def answers_of(number: int, rows: Sequence[tuple[int, str]], limit: int) -> Answers:
    found = [(without_group(place), node_id) for place, node_id in rows]
    return Answers(number, found, found[-1][0] if len(found) >= limit else None, len(found))


def circle_of(near: Area | None) -> Row | None:
    if near is None:
        return None
    metres = near.radius * NEO4J_EARTH_RADIUS / EARTH_RADIUS * (1 + ROUNDING)
    return {"latitude": near.latitude, "longitude": near.longitude, "metres": metres}


def asked_of(label: str, is_open: Condition, is_closed: Condition) -> Row:
    """The conditions of one rank as the queries take them: they ask for the same words in different places."""
    return {"question": lucene_question(label, is_open), "open": places_of(is_open), "closed": places_of(is_closed)}


def places_of(condition: Condition) -> Row:
    after, before = condition.bounds()
    base = base_of(condition.label, is_open=condition.is_open)
    days = windows(max(condition.after, 0), condition.before, first_length=first_window(condition))
    return {
        "number": condition.number,
        "after": after,
        "before": before,
        "windows": [
            [*(day_key(day, is_open=condition.is_open) for day in window), base + first_place_of(window[0])]
            for window in days
        ],
    }


def first_window(condition: Condition) -> int:
    """Days of the first window: the longer, the fewer answers a day has."""
    if condition.near is None:
        return FIRST_WINDOW
    is_all = len(condition.words) + len(condition.keys) == 1
    return FIRST_WINDOW * (RARER if is_all else RARER**2)


def lucene_question(label: str, condition: Condition) -> str:
    """The condition in Lucene's language; each word stands quoted, so that none of its signs means something.

    By the zero behind it Lucene need not score what it finds, which takes it as long as finding.
    """
    titles = TITLE_FIELDS[label]
    parts = [f"+({any_field(label, word, titles_only=condition.in_title is True)})" for word in condition.words]
    parts += [f"+search_keys:({' '.join(group)})" for group in condition.keys]
    if condition.in_title is False and titles:
        parts.append(
            "-(" + " ".join(f"+({any_field(label, word, titles_only=True)})" for word in condition.words) + ")"
        )
    return f"+({' '.join(parts)})^0"


def any_field(label: str, word: str, *, titles_only: bool) -> str:
    """The word in one of the title's fields, or in any; a single Chinese character is a key of its own."""
    if is_single(word):
        keys = [sign_key(word, in_title=True)] + ([] if titles_only else [sign_key(word, in_title=False)])
        return " ".join(f"search_keys:{key}" for key in keys)
    fields = TITLE_FIELDS[label] if titles_only else (*TITLE_FIELDS[label], *TEXT_FIELDS[label])
    return " ".join(f'{field}:"{word}"' for field in fields)
