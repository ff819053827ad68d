"""The search index beside the embedded graph engine, which has none of its own that keeps an order (ADR 11).

SQLite's FTS5 meets the lists of several words in the order of `place` and stops after a page; PostgreSQL's planner
chooses between a GIN index for rare words and the order of `place` for common ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Text,
    UniqueConstraint,
    delete,
    func,
    insert,
    literal_column,
    text,
    union_all,
)
from sqlalchemy.dialects import postgresql
from sqlmodel import Field, col, select

from community.search_keys import Area
from core.db import Database, Record, Session, table_of

# Words of the title, words of the rest of the text only, and keys, each with a mark that no text holds (private-use
# characters, which FTS5 takes for letters); and what stands for an apostrophe or a point in a word, where it would cut.
TITLE_MARK = "\ue000"
REST_MARK = "\ue001"
KEY_MARK = "\ue004"
INNER_SIGNS = str.maketrans({"'": "\ue002", "’": "\ue002", ".": "\ue003"})

# So many candidates are asked for each answer inside a circle: the cells that cover it are about twice as large.
FOR_A_CIRCLE = 3

# Any number does, as long as nothing else in the database takes the same advisory lock.
ADVISORY_LOCK = 7_226_150_032


# Above the place: what kind of thing it is, and whether everybody may find it. So no word is needed for these, whose
# list would be as long as the index and would be walked with every question.
GROUP_BITS = 60
GROUPS = [(label, is_open) for label in ("Community", "Event", "Post") for is_open in (True, False)]


class SearchDocument(Record, table=True):
    """A thing that can be found; `place` is its group and place in the order of answers, `terms` its words and keys."""

    __table_args__ = (UniqueConstraint("label", "node_id"),)

    place: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    label: str
    node_id: str
    terms: str
    latitude: float | None = None
    longitude: float | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be written of a thing; without a place it is to be found no more."""

    node_id: str
    place: int | None
    title: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    is_open: bool = True
    latitude: float | None = None
    longitude: float | None = None

    def terms(self) -> str:
        marked = {TITLE_MARK + word for word in self.title} | {REST_MARK + word for word in self.words - self.title}
        return " ".join(sorted(term.translate(INNER_SIGNS) for term in marked | {KEY_MARK + key for key in self.keys}))


@dataclass(frozen=True, slots=True)
class Condition:
    """What is asked of things of one label that everybody may find, or members only; `number` names the answers.

    All of `words` in the title (`in_title` is True), in the whole text but not in the title (False), or anywhere
    (None); any of each group of `keys`; a place between `after` and `before`, both exclusive.
    """

    number: int
    label: str
    is_open: bool
    words: Sequence[str]
    in_title: bool | None
    keys: Sequence[Sequence[str]]
    after: int
    before: int
    near: Area | None = None

    def bounds(self) -> tuple[int, int]:
        """The same places below their group, both exclusive."""
        base = base_of(self.label, is_open=self.is_open)
        return base + self.after, base + self.before


def without_group(place: int) -> int:
    return place & ((1 << GROUP_BITS) - 1)


def base_of(label: str, *, is_open: bool) -> int:
    return GROUPS.index((label, is_open)) << GROUP_BITS


@dataclass(frozen=True, slots=True)
class Answers:
    """Places and ids that meet the condition of this number, in order; `end` is up to where all of them are known.

    None for an end: there are no more. `tried` are those that were looked at, more than there are where a circle is
    asked for.
    """

    number: int
    found: list[tuple[int, str]]
    end: int | None
    tried: int


async def lock_index(session: Session) -> None:
    """Let writers of the index take turns until the transaction ends, so that the last read is the last written."""
    if session.get_bind().dialect.name == "postgresql":
        await session.exec(select(func.pg_advisory_xact_lock(ADVISORY_LOCK)))


FORGET = text(
    "INSERT INTO search_term(search_term, rowid, terms) "
    "SELECT 'delete', place, terms FROM search_document WHERE place = :place"
)
LEARN = text("INSERT INTO search_term(rowid, terms) VALUES (:place, :terms)")


async def write_entries(session: Session, label: str, entries: Sequence[Entry]) -> None:
    """Replace what the index says of these things; call `lock_index` before reading them."""
    table = table_of(SearchDocument)
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    mine = (table.c.label == label) & table.c.node_id.in_([entry.node_id for entry in entries])
    connection = await session.connection()
    if is_sqlite and (old := (await connection.execute(select(table.c.place).where(mine))).all()):
        await connection.execute(FORGET, [{"place": place} for (place,) in old])
    await connection.execute(delete(table).where(mine))
    placed = [(entry, entry.place) for entry in entries if entry.place is not None]
    rows = [row_of(label, entry, place) for entry, place in placed]
    if not rows:
        return
    await give_places(session, rows)
    await connection.execute(insert(table), rows)
    if is_sqlite:
        await connection.execute(LEARN, [{"place": row["place"], "terms": row["terms"]} for row in rows])


def row_of(label: str, entry: Entry, place: int) -> dict[str, Any]:
    place += base_of(label, is_open=entry.is_open)
    row: dict[str, Any] = {"place": place, "label": label, "node_id": entry.node_id, "terms": entry.terms()}
    return row | {"latitude": entry.latitude, "longitude": entry.longitude}


async def give_places(session: Session, rows: list[dict[str, Any]]) -> None:
    """Move each row to the next place that is free, where two ids of one second share what is kept of them."""
    wanted = [row["place"] for row in rows]
    taken = set((await session.exec(select(SearchDocument.place).where(col(SearchDocument.place).in_(wanted)))).all())
    for row in rows:
        while row["place"] in taken:
            row["place"] += 1
            if await session.get(SearchDocument, row["place"]):
                taken.add(row["place"])
        taken.add(row["place"])


async def find_entries(database: Database, conditions: Sequence[Condition], *, limit: int) -> list[Answers]:
    """The first answers to each condition, by place; all in one statement."""
    near = conditions[0].near
    # Cells are larger than the circle that they cover.
    most = limit if near is None else limit * FOR_A_CIRCLE
    if database.is_sqlite:
        parts = [sqlite_part(condition, most) for condition in conditions]
        values = [value for _, given in parts for value in given]
        rows = await database.rows_at_once(" UNION ALL ".join(part for part, _ in parts), values)
    else:
        selects = [postgresql_part(condition, most) for condition in conditions]
        statement = union_all(*(select(part.c) for part in selects))
        async with database.read() as session:
            rows = [tuple(row) for row in (await (await session.connection()).execute(statement)).all()]
    return [answers_of(condition, rows, most, limit) for condition in conditions]


def answers_of(condition: Condition, rows: Sequence[tuple[Any, ...]], most: int, limit: int) -> Answers:
    """What a statement for several conditions says of one of them."""
    mine = sorted(row[1:] for row in rows if row[0] == condition.number)
    end = without_group(mine[-1][0]) if len(mine) >= most else None
    near = condition.near
    found = [(without_group(row[0]), row[1]) for row in mine if near is None or near.contains(row[2], row[3])]
    if len(found) > limit:
        found, end = found[:limit], found[limit - 1][0]
    return Answers(condition.number, found, end, len(mine))


# The places come out of the index in their order, and no more than are asked for.
FTS = """
SELECT ?, d.place, d.node_id, d.latitude, d.longitude
FROM (
  SELECT rowid AS place
  FROM search_term
  WHERE search_term MATCH ? AND rowid > ? AND rowid < ?
  ORDER BY rowid
  LIMIT ?
) AS p
CROSS JOIN search_document AS d ON d.place = p.place
"""
WITHOUT_WORDS = """
SELECT *
FROM (
  SELECT ?, place, node_id, latitude, longitude
  FROM search_document
  WHERE place > ? AND place < ?
  ORDER BY place
  LIMIT ?
)
"""


def sqlite_part(condition: Condition, limit: int) -> tuple[str, list[Any]]:
    question = fts_question(condition)
    if question:
        return FTS, [condition.number, question, *condition.bounds(), limit]
    return WITHOUT_WORDS, [condition.number, *condition.bounds(), limit]


def groups_of(condition: Condition) -> list[list[str]]:
    """The condition as groups of marked terms, of each of which one must be there."""
    words = [word.translate(INNER_SIGNS) for word in condition.words]
    groups = [[TITLE_MARK + word] + ([] if condition.in_title else [REST_MARK + word]) for word in words]
    if condition.in_title is False:
        groups.append([REST_MARK + word for word in words])
    return groups + [[KEY_MARK + key for key in group] for group in condition.keys]


def fts_question(condition: Condition) -> str:
    """The condition in the language of FTS5; each term is quoted and holds no quote."""
    return " AND ".join("(" + " OR ".join(f'"{term}"' for term in group) + ")" for group in groups_of(condition))


def postgresql_part(condition: Condition, limit: int) -> Any:
    table = table_of(SearchDocument)
    # As the index says it (migration 0008), with the blank as a literal: only so the index is used.
    terms = literal_column("string_to_array(search_document.terms, ' ')", postgresql.ARRAY(Text()))
    number: Any = literal_column(str(condition.number)).label("number")
    columns: list[Any] = [number, *(table.c[name] for name in ("place", "node_id", "latitude", "longitude"))]
    after, before = condition.bounds()
    query = select(*columns).where(table.c.place > after, table.c.place < before)
    for group in groups_of(condition):
        query = query.where(terms.overlap(group))
    return query.order_by(table.c.place).limit(limit).subquery()
