"""The search on Neo4j: Lucene's full-text index with the `cjk` analyzer, asked so that answers come in order of place.

Lucene orders by relevance, which changes with every insert, so its score is not used. A question with few answers is
asked once and sorted. One with many is asked again for windows of hours, each twice as long as the one before: the
first windows hold few answers or fill the page, and the query stops with the window that does.
"""

from collections.abc import Sequence
from typing import LiteralString

from community.search_keys import CLOSED, OPEN, windows
from community.search_sql import Candidate, Condition
from community.search_text import is_single
from graph.client import GraphClient

# With more answers than this the windows are asked.
MOST_SORTED = 300

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

FIND: LiteralString = """
UNWIND $conditions AS condition
CALL (condition) {
  CALL db.index.fulltext.queryNodes($index, condition.question, {limit: $most}) YIELD node
  RETURN collect(node) AS found
}
CALL (condition, found) {
  WITH condition, found
  WHERE size(found) < $most
  UNWIND found AS node
  WITH condition, node
  WHERE node.search_place > condition.after AND node.search_place < condition.before
  RETURN node
  ORDER BY node.search_place
  LIMIT $limit
UNION ALL
  WITH condition, found
  WHERE size(found) >= $most
  UNWIND condition.windows AS question
  CALL (condition, question) {
    CALL db.index.fulltext.queryNodes($index, question) YIELD node
    WHERE node.search_place > condition.after AND node.search_place < condition.before
    RETURN node
    ORDER BY node.search_place
    LIMIT $limit
  }
  RETURN node
  LIMIT $limit
}
RETURN condition.number AS number, node.search_place AS place, node.id AS id, node.latitude AS latitude,
       node.longitude AS longitude
"""


async def find_nodes(graph: GraphClient, label: str, conditions: Sequence[Condition], *, limit: int) -> list[Candidate]:
    """The first nodes that meet each condition, by place."""
    asked = [
        {
            "number": condition.number,
            "after": condition.after,
            "before": condition.before,
            "question": (question := lucene_question(label, condition)),
            "windows": [
                f"{question} +search_keys:[{first} TO {last}]"
                for first, last in windows(condition.after, condition.before)
            ],
        }
        for condition in conditions
    ]
    index = f"search_{label.lower()}"
    rows = await graph.read(FIND, index=index, conditions=asked, most=MOST_SORTED, limit=limit)
    return [Candidate(**row) for row in rows]


def lucene_question(label: str, condition: Condition) -> str:
    """The condition in Lucene's language; no word holds a sign that means something there, or it stands quoted."""
    titles = TITLE_FIELDS[label]
    everywhere = (*titles, *TEXT_FIELDS[label])
    parts = [f"+({any_field(titles if condition.in_title else everywhere, word)})" for word in condition.words]
    keys = [*condition.keys, [OPEN if condition.is_open else CLOSED]]
    parts += [f"+search_keys:({' '.join(group)})" for group in keys]
    if condition.in_title is False and titles:
        parts.append("-(" + " ".join(f"+({any_field(titles, word)})" for word in condition.words) + ")")
    return " ".join(parts)


def any_field(fields: Sequence[str], word: str) -> str:
    """The word in one of these fields; a single Chinese character is looked for inside the pairs, too."""
    asked = f"*{word}*" if is_single(word) else f'"{word}"'
    return " ".join(f"{field}:{asked}" for field in fields)
