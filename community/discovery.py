"""Finding communities, events and posts by words, tags, time and place, for one who may see what is found.

An index gives candidates in the order of answers (community/search_fulltext.py on Neo4j, community/search_sql.py beside
the embedded engine). What the viewer may find among them, and whether they still are what was asked for, is decided
by the graph with every answer. See ADR 8 for what this costs and where it ends.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import LiteralString

from community.access import IS_LISTED, MAY_READ
from community.search_documents import KINDS
from community.search_fulltext import find_nodes
from community.search_keys import (
    FREE,
    ID_BITS,
    LAST_PLACE,
    Area,
    SearchKind,
    cells_around,
    community_key,
    seconds_of,
    tag_key,
)
from community.search_sql import Condition, find_entries
from community.search_text import SearchInvalid, asked_terms
from core.clock import iso
from core.db import Database
from core.paging import PageInvalid, decode_cursor, encode_cursor, page_size
from graph.client import GraphClient, Row

LABELS = {kind: label for label, kind in KINDS.items()}
# How many candidates beyond a page are looked at before the answer is what was found so far, with a cursor to go on
# from; and how many at once, first and then.
MOST_CANDIDATES = 2_000
MORE_AT_ONCE = 400
MOST_TAGS = 20

# All words in the title, or elsewhere in the text.
TITLE_RANK, TEXT_RANK = 0, 1
SCORES = {TITLE_RANK: 1.0, TEXT_RANK: 0.5}


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for; instants are those of an event's start, `starts_to` is exclusive."""

    text: str | None = None
    tags: Sequence[str] = ()
    community_id: str | None = None
    near: Area | None = None
    starts_from: datetime | None = None
    starts_to: datetime | None = None
    free_only: bool = False

    def check(self) -> None:
        """Raise SearchInvalid with the path of the first thing that cannot be asked."""
        if self.near is not None:
            self.near.check()
        if len(self.tags) > MOST_TAGS:
            raise SearchInvalid(path=("tags",), detail=f"at most {MOST_TAGS}")
        if self.starts_from and self.starts_to and self.starts_to <= self.starts_from:
            raise SearchInvalid(path=("to",), detail="after from")

    def is_about_events(self) -> bool:
        """Whether only an event can be an answer: nothing else has a time, a place or a price."""
        return bool(self.near or self.starts_from or self.starts_to or self.free_only)


@dataclass(frozen=True, slots=True)
class Found:
    """One answer: which node, and how well its text fits (1: the title says it; 0.5: the rest of the text does)."""

    kind: SearchKind
    id: str
    score: float


@dataclass(frozen=True, slots=True)
class FoundPage:
    """Some answers with the cursor of each; `end` is where the next page begins, `has_next` whether one may follow."""

    rows: list[Found]
    cursors: list[str]
    end: str | None
    has_next: bool


@dataclass(frozen=True, slots=True, order=True)
class Spot:
    """Where a candidate stands among all answers: by rank, then by kind, then by place."""

    rank: int
    kind: int
    place: int
    id: str = ""


ORDER = list(SearchKind)


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

    Events that have not begun, unless a time is given; communities and posts, the newest first, only for a question
    without time, place and price, and posts only for one without tags. Raises SearchInvalid, PageInvalid.
    """
    asked = [kind for kind in ORDER if kind in kinds and can_be(kind, question)]
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
    """Events in the order of their start, from now on unless a time is given. Raises SearchInvalid, PageInvalid."""
    hunt = Hunt(graph, database, question, [SearchKind.EVENT], viewer_id, now, by_title=False)
    return await hunt.page(page_size(first), after)


def can_be(kind: SearchKind, question: Question) -> bool:
    """Whether something of this kind can be an answer."""
    if kind == SearchKind.EVENT:
        return True
    return not question.is_about_events() and not (kind == SearchKind.POST and question.tags)


VISIBLE_COMMUNITIES: LiteralString = (
    """
UNWIND $ids AS id
MATCH (c:Community {id: id})
OPTIONAL MATCH (:Customer {id: $viewer_id})-[m:MEMBER_OF]->(c)
WITH c, m
WHERE c.archived_at IS NULL AND """
    + IS_LISTED
    + """
RETURN c.id AS id
"""
)

VISIBLE_EVENTS: LiteralString = (
    """
UNWIND $ids AS id
MATCH (e:Event {id: id})<-[:HOSTS]-(c:Community)
OPTIONAL MATCH (:Customer {id: $viewer_id})-[m:MEMBER_OF]->(c)
WITH e, c, m
WHERE c.archived_at IS NULL AND e.status IN ['PUBLISHED', 'COMPLETED'] AND """
    + IS_LISTED
    + """
RETURN e.id AS id, e.starts_at AS starts_at, e.latitude AS latitude, e.longitude AS longitude, e.price_points AS price
"""
)

VISIBLE_POSTS: LiteralString = (
    """
UNWIND $ids AS id
MATCH (p:Post {id: id})
WHERE p.deleted_at IS NULL
MATCH (c:Community {id: p.community_id})
OPTIONAL MATCH (:Customer {id: $viewer_id})-[m:MEMBER_OF]->(c)
WITH p, c, m
WHERE c.archived_at IS NULL AND """
    + IS_LISTED
    + " AND "
    + MAY_READ
    + """
RETURN p.id AS id
"""
)

VISIBLE: dict[SearchKind, LiteralString] = {
    SearchKind.COMMUNITY: VISIBLE_COMMUNITIES,
    SearchKind.EVENT: VISIBLE_EVENTS,
    SearchKind.POST: VISIBLE_POSTS,
}


@dataclass(slots=True)
class Hunt:
    """One question being answered: candidates by the index, in portions, until the page is full or enough was tried."""

    graph: GraphClient
    database: Database
    question: Question
    kinds: Sequence[SearchKind]
    viewer_id: str | None
    now: datetime
    by_title: bool = True

    async def page(self, size: int, after: str | None) -> FoundPage:
        """A page from the cursor on; shorter than asked only at the end, or where too much was tried in vain."""
        start = self.start(after)
        self.question.check()
        words = asked_terms(self.question.text) if self.question.text is not None else []
        good: list[Spot] = []
        position, tried, portion = start, 0, size + 1
        while self.kinds:
            spots = await self.candidates(words, position, portion)
            good += await self.visible(spots)
            tried += len(spots)
            position = spots[-1] if spots else position
            ended = len(spots) < portion
            if len(good) > size or ended or tried >= MOST_CANDIDATES:
                return self.answer(good, size, None if ended else position)
            portion = MORE_AT_ONCE
        return FoundPage([], [], None, False)

    def start(self, after: str | None) -> Spot | None:
        """Where the page begins: behind the cursor."""
        position = decode_cursor(after, int, int, int)
        if position is None:
            return None
        rank, kind, place = (int(part) for part in position)
        if not 0 <= place <= LAST_PLACE:
            raise PageInvalid(path=("after",), detail="not a cursor of this list")
        return Spot(rank, kind, place)

    def answer(self, good: list[Spot], size: int, position: Spot | None) -> FoundPage:
        """The page of what was found; `position` is where the search stopped, None at the end of all candidates."""
        kept = good[:size]
        rows = [Found(ORDER[spot.kind], spot.id, self.score(spot)) for spot in kept]
        cursors = [cursor_of(spot) for spot in kept]
        if len(good) > size:
            return FoundPage(rows, cursors, cursors[-1], True)
        end = cursors[-1] if cursors else None
        return FoundPage(rows, cursors, cursor_of(position) if position else end, position is not None)

    def score(self, spot: Spot) -> float:
        return SCORES[spot.rank] if self.question.text else 1.0

    async def candidates(self, words: Sequence[str], after: Spot | None, limit: int) -> list[Spot]:
        """The next candidates of all kinds, in order."""
        asked = [(kind, self.conditions(kind, words, after)) for kind in self.kinds]
        if await self.graph.is_embedded():
            found = await self.by_sql(asked, limit)
        else:
            parts = await asyncio.gather(*(self.by_fulltext(kind, each, limit) for kind, each in asked))
            found = [spot for part in parts for spot in part]
        return sorted(found)[:limit]

    async def by_sql(self, asked: Sequence[tuple[SearchKind, list[Condition]]], limit: int) -> list[Spot]:
        """By the index beside the embedded engine, in one statement; the rank there is that of rank and kind."""
        one = [replace(each, rank=each.rank * len(ORDER) + ORDER.index(kind)) for kind, many in asked for each in many]
        if not one:
            return []
        async with self.database.read() as session:
            rows = await find_entries(session, one, limit=limit)
        return [Spot(*divmod(rank, len(ORDER)), place, node_id) for rank, place, node_id in rows]

    async def by_fulltext(self, kind: SearchKind, conditions: list[Condition], limit: int) -> list[Spot]:
        """By Neo4j's index of this kind."""
        if not conditions:
            return []
        rows = await find_nodes(self.graph, LABELS[kind], conditions, limit=limit)
        return [Spot(rank, ORDER.index(kind), place, node_id) for rank, place, node_id in rows]

    def conditions(self, kind: SearchKind, words: Sequence[str], after: Spot | None) -> list[Condition]:
        found = (self.condition(kind, rank, words, after) for rank in self.ranks(kind, words))
        return [condition for condition in found if condition is not None]

    def ranks(self, kind: SearchKind, words: Sequence[str]) -> list[int]:
        if not words or not self.by_title:
            return [TITLE_RANK]
        return [TEXT_RANK] if kind == SearchKind.POST else [TITLE_RANK, TEXT_RANK]

    def condition(self, kind: SearchKind, rank: int, words: Sequence[str], after: Spot | None) -> Condition | None:
        """What the index is asked for; None where everything of this rank and kind is behind us."""
        low, high = self.bounds(kind)
        if after is not None:
            here = (rank, ORDER.index(kind))
            if here < (after.rank, after.kind):
                return None
            if here == (after.rank, after.kind):
                low = max(low, after.place)
        in_title = None if not words or not self.by_title or kind == SearchKind.POST else rank == TITLE_RANK
        return Condition(rank, words, in_title, self.keys(kind), low, high)

    def bounds(self, kind: SearchKind) -> tuple[int, int]:
        """The places between which answers stand, both exclusive; what is exact is decided by the graph."""
        if kind != SearchKind.EVENT:
            # A second or so ahead of us another machine may already have made something.
            return (seconds_of(kind, self.now + timedelta(minutes=5)) << ID_BITS) - 1, LAST_PLACE
        low = (seconds_of(kind, self.starts_from()) << ID_BITS) - 1
        if self.question.starts_to is None:
            return low, LAST_PLACE
        return low, min((seconds_of(kind, self.question.starts_to) + 1) << ID_BITS, LAST_PLACE)

    def starts_from(self) -> datetime:
        return self.question.starts_from or self.now

    def keys(self, kind: SearchKind) -> list[list[str]]:
        """The keys of which each group must be met."""
        question = self.question
        groups = [[LABELS[kind].lower()]]
        if question.tags:
            groups.append([tag_key(tag) for tag in question.tags])
        if question.community_id is not None:
            groups.append([community_key(question.community_id)])
        if question.free_only:
            groups.append([FREE])
        if question.near is not None:
            groups.append(cells_around(question.near))
        return groups

    async def visible(self, spots: Sequence[Spot]) -> list[Spot]:
        """The candidates that the viewer may find and that are what was asked for, in the same order."""
        ids: dict[int, list[str]] = defaultdict(list)
        for spot in spots:
            ids[spot.kind].append(spot.id)
        found = await asyncio.gather(*(self.visible_of(ORDER[kind], ids[kind]) for kind in ids))
        good = dict(zip(ids, found, strict=True))
        return [spot for spot in spots if spot.id in good[spot.kind]]

    async def visible_of(self, kind: SearchKind, ids: list[str]) -> set[str]:
        rows = await self.graph.read(VISIBLE[kind], ids=ids, viewer_id=self.viewer_id or "")
        return {row["id"] for row in rows if kind != SearchKind.EVENT or self.fits(row)}

    def fits(self, event: Row) -> bool:
        """Whether an event is when, where and for what it is asked to be, exactly."""
        question = self.question
        if event["starts_at"] < iso(self.starts_from()):
            return False
        if question.starts_to is not None and event["starts_at"] >= iso(question.starts_to):
            return False
        if question.free_only and event["price"]:
            return False
        return question.near is None or question.near.contains(event["latitude"], event["longitude"])


def cursor_of(spot: Spot) -> str:
    return encode_cursor([spot.rank, spot.kind, spot.place])
