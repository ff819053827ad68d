"""Finding communities, events and posts by words, tags, time and place, for one who may see what is found.

An index gives candidates in the order of answers (community/search_fulltext.py on Neo4j, community/search_sql.py beside
the embedded engine). What the viewer may find among them, and whether they still are what was asked for, is decided
by the graph with every answer. See ADR 11 for what this costs and where it ends.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import LiteralString

from community.access import IS_LISTED, MAY_READ, is_listed
from community.communities import read_communities
from community.events import read_events
from community.search_fulltext import find_nodes
from community.search_keys import LAST_PLACE, LAST_SECOND, SearchKind
from community.search_question import LABELS, ORDER, TITLE_RANK, Question, Spot, conditions, rank_and_kind
from community.search_sql import Answers, Condition, find_entries
from community.under_way import UnderWay, events_under_way, is_under_way
from core.clock import iso
from core.db import Database
from core.paging import PageInvalid, decode_cursor, encode_cursor, page_size
from graph.client import GraphClient, Row

__all__ = ["LABELS", "Found", "FoundPage", "Question", "find_events", "search"]

# How many candidates are looked at before the answer is what was found so far, with a cursor to go on from; and how
# many of each kind at once at most.
MOST_CANDIDATES = 2_000
MOST_AT_ONCE = 400
# Behind every id, which are of hexadecimal digits and hyphens.
LAST_ID = "g"

FOUND_EVENTS = ("PUBLISHED", "COMPLETED")
SCORES = {TITLE_RANK: 1.0}
SCORE_OF_TEXT = 0.5

Answer = tuple[Spot, Row]


@dataclass(frozen=True, slots=True)
class Found:
    """One answer: which node, and how well its text fits (1: the title says it; 0.5: the rest of the text does).

    `row` is what `read_communities` or `read_events` says of it, so that it need not be read again; of a post its id.
    """

    kind: SearchKind
    id: str
    score: float
    row: Row


@dataclass(frozen=True, slots=True)
class FoundPage:
    """Some answers with the cursor of each; `end` is where the next page begins, `has_next` whether one may follow."""

    rows: list[Found]
    cursors: list[str]
    end: str | None
    has_next: bool


async def search(
    graph: GraphClient,
    database: Database,
    question: Question,
    kinds: Sequence[SearchKind],
    *,
    viewer_id: str | None,
    now: datetime,
    first: int | None,
    after: str | None,
) -> FoundPage:
    """Answers of these kinds: those whose title has all the words first; communities, events, posts; each by its place.

    Events to come or under way, unless a time is given; communities and posts, the newest first, only for a question
    without time, place and price, and posts only for one without tags. Raises SearchInvalid, PageInvalid.
    """
    asked = [kind for kind in ORDER if kind in kinds and question.may_be(kind)]
    hunt = Hunt(graph, database, question, asked, viewer_id, now)
    return await hunt.page(page_size(first), after)


async def find_events(
    graph: GraphClient,
    database: Database,
    question: Question,
    *,
    viewer_id: str | None,
    now: datetime,
    first: int | None,
    after: str | None,
) -> FoundPage:
    """Events in the order of their start: to come or under way, unless a time is given.

    Raises SearchInvalid, PageInvalid.
    """
    hunt = Hunt(graph, database, question, [SearchKind.EVENT], viewer_id, now, by_title=False)
    return await hunt.page(page_size(first), after)


READ_LISTED_POSTS: LiteralString = (
    """
UNWIND $ids AS id
MATCH (p:Post {id: id})
WHERE p.deleted_at IS NULL
MATCH (c:Community {id: p.community_id})
OPTIONAL MATCH (me:Customer {id: $viewer_id})
OPTIONAL MATCH (me)-[m:MEMBER_OF]->(c)
WITH p, c, m
WHERE c.archived_at IS NULL AND """
    + IS_LISTED
    + " AND "
    + MAY_READ
    + """
RETURN p.id AS id
"""
)


async def listed_communities(graph: GraphClient, ids: Sequence[str], viewer_id: str | None) -> dict[str, Row]:
    """Those that the viewer may find, as they are read everywhere."""
    rows = await read_communities(graph, ids, viewer_id=viewer_id)
    return {key: row for key, row in rows.items() if may_be_found(row)}


def may_be_found(community: Row) -> bool:
    return community["archived_at"] is None and is_listed(community["visibility"], community["viewer_role"])


async def listed_events(graph: GraphClient, ids: Sequence[str], viewer_id: str | None) -> dict[str, Row]:
    """Likewise; drafts and cancelled events are found by nobody."""
    rows = await read_events(graph, ids, viewer_id=viewer_id)
    return {key: row for key, row in rows.items() if row["listed"] and row["status"] in FOUND_EVENTS}


async def listed_posts(graph: GraphClient, ids: Sequence[str], viewer_id: str | None) -> dict[str, Row]:
    """Likewise, by their ids only."""
    rows = await graph.read(READ_LISTED_POSTS, ids=list(ids), viewer_id=viewer_id or "")
    return {row["id"]: row for row in rows}


READ_LISTED = {
    SearchKind.COMMUNITY: listed_communities,
    SearchKind.EVENT: listed_events,
    SearchKind.POST: listed_posts,
}


@dataclass(slots=True)
class Hunt:
    """One question being answered: candidates by the index, in portions, until the page is full or enough was tried.

    Its pages are all as of `now` of the first, which the cursors carry: else what begins or ends meanwhile would
    move from one page to another.
    """

    graph: GraphClient
    database: Database
    question: Question
    kinds: Sequence[SearchKind]
    viewer_id: str | None
    now: datetime
    by_title: bool = True
    under_way: UnderWay | None = field(default=None, init=False)

    async def page(self, size: int, after: str | None) -> FoundPage:
        """A page from the cursor on; shorter than asked only at the end, or where too much was tried in vain."""
        position, self.now = start_of(after, self.now)
        words = self.question.words()
        if self.question.starts_from is None and SearchKind.EVENT in self.kinds:
            self.under_way = await events_under_way(self.graph, now=self.now)
        good: list[Answer] = []
        tried, portion = 0, size + 1
        while True:
            candidates, count, position = await self.candidates(words, position, portion)
            good += await self.listed(candidates)
            tried += count
            if len(good) > size or position is None or tried >= MOST_CANDIDATES:
                return page_of(good, size, position, self.now, has_words=bool(words))
            portion = min(portion * 2, MOST_AT_ONCE)

    async def candidates(
        self, words: Sequence[str], after: Spot | None, limit: int
    ) -> tuple[list[Spot], int, Spot | None]:
        """The next candidates, how many were looked at, and where to go on after them; None where there are no more.

        What is known to be over is no candidate.
        """
        begins = self.under_way.begins if self.under_way else self.now
        asked = [
            (
                kind,
                conditions(
                    self.question, words, kind, now=self.now, begins=begins, after=after, by_title=self.by_title
                ),
            )
            for kind in self.kinds
        ]
        answers = await self.find([(kind, each) for kind, each in asked if each], limit)
        spots, frontier = up_to_frontier(answers)
        likely = [spot for spot in spots if not self.is_over(spot)]
        return likely, sum(each.tried for each in answers) - (len(spots) - len(likely)), frontier

    def is_over(self, spot: Spot) -> bool:
        """Whether this is an event that has begun and was not among those under way a moment ago."""
        if self.under_way is None or ORDER[spot.kind] != SearchKind.EVENT:
            return False
        return self.under_way.is_over(spot.place, spot.id)

    async def find(self, asked: Sequence[tuple[SearchKind, list[Condition]]], limit: int) -> list[Answers]:
        """The first answers to each condition: in one statement of SQL, or in one query for each kind."""
        if not asked:
            return []
        if await self.graph.is_embedded():
            return await find_entries(self.database, [each for _, many in asked for each in many], limit=limit)
        parts = (find_nodes(self.graph, LABELS[kind], many, limit=limit) for kind, many in asked)
        return [answers for part in await asyncio.gather(*parts) for answers in part]

    async def listed(self, spots: Sequence[Spot]) -> list[Answer]:
        """The candidates that the viewer may find and that are what was asked for, in the same order."""
        ids: dict[int, list[str]] = defaultdict(list)
        for spot in spots:
            ids[spot.kind].append(spot.id)
        found = await asyncio.gather(*(READ_LISTED[ORDER[kind]](self.graph, ids[kind], self.viewer_id) for kind in ids))
        rows = dict(zip(ids, found, strict=True))
        answers = ((spot, rows[spot.kind].get(spot.id)) for spot in spots)
        return [(spot, row) for spot, row in answers if row is not None and self.fits(spot, row)]

    def fits(self, spot: Spot, row: Row) -> bool:
        """Whether an event still is what was asked for, as the graph says; without a time it is ahead or under way."""
        if ORDER[spot.kind] != SearchKind.EVENT:
            return True
        is_ahead = self.question.starts_from is not None or row["starts_at"] >= iso(self.now)
        if not is_ahead and not is_under_way(row, self.now):
            return False
        place = {"latitude": row["latitude"], "longitude": row["longitude"]}
        return self.question.fits(starts_at=row["starts_at"], price=row["price_points"], **place)


def up_to_frontier(answers: Sequence[Answers]) -> tuple[list[Spot], Spot | None]:
    """Candidates in order, up to the first place beyond which a condition may have more of them; and that place."""
    ends = [Spot(*rank_and_kind(each.number), each.end, LAST_ID) for each in answers if each.end is not None]
    frontier = min(ends, default=None)
    spots = [Spot(*rank_and_kind(each.number), place, node_id) for each in answers for place, node_id in each.found]
    return sorted(spot for spot in spots if frontier is None or spot <= frontier), frontier


def start_of(after: str | None, now: datetime) -> tuple[Spot | None, datetime]:
    """Where the page begins, behind the cursor, and as of when: to the second, of the first page."""
    position = decode_cursor(after, int, int, int, int)
    if position is None:
        return None, now.replace(microsecond=0)
    rank, kind, place, second = (int(part) for part in position)
    if not (0 <= place <= LAST_PLACE and 0 <= second <= LAST_SECOND):
        raise PageInvalid(path=("after",), detail="not a cursor of this list")
    return Spot(rank, kind, place), datetime.fromtimestamp(second, UTC)


def page_of(good: Sequence[Answer], size: int, position: Spot | None, now: datetime, *, has_words: bool) -> FoundPage:
    """The page of what was found; `position` is where the search stopped, None at the end of all candidates."""
    kept = good[:size]
    rows = [Found(ORDER[spot.kind], spot.id, score(spot, has_words), row) for spot, row in kept]
    cursors = [cursor_of(spot, now) for spot, _ in kept]
    if len(good) > size:
        return FoundPage(rows, cursors, cursors[-1], True)
    end = cursors[-1] if cursors else None
    return FoundPage(rows, cursors, cursor_of(position, now) if position else end, position is not None)


def score(spot: Spot, has_words: bool) -> float:
    return SCORES.get(spot.rank, SCORE_OF_TEXT) if has_words else 1.0


def cursor_of(spot: Spot, now: datetime) -> str:
    return encode_cursor([spot.rank, spot.kind, spot.place, int(now.timestamp())])
