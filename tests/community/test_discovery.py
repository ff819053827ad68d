"""Searches against a plain model: what is found, by whom, in which order, on pages that inserts do not shift."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from community import discovery
from community.access import MemberRole, Visibility, is_listed
from community.discovery import FoundPage, Question, find_events, search
from community.search_documents import SEARCH_INDEX, index_effect
from community.search_keys import Area, SearchKind, distance, place_of
from community.search_text import SearchInvalid, terms_of
from core.db import Database
from core.ids import new_id
from core.paging import PageInvalid, encode_cursor
from graph.client import GraphClient
from tests.community.places import make_customers
from tests.community.searchable import (
    SearchableCommunity,
    SearchableEvent,
    SearchablePost,
    Thing,
    put,
    put_events,
    put_memberships,
    put_tags,
    reindex,
)

pytestmark = pytest.mark.anyio

NOW = datetime(2027, 3, 1, 9, tzinfo=UTC)
SHANGHAI = (31.2304, 121.4737)
PHRASES = ["周末摄影", "红酒品鉴会", "photo walk", "wine tasting", "外滩夜景摄影活动", "don't miss it", "亲子活动"]
ROLES = [None, *MemberRole]


@dataclass
class World:
    """Everything of one test, under a tag and a word that no other test uses."""

    word: str
    tags: list[str]
    things: list[Thing]
    roles: dict[str, str]
    viewer: str

    def role_in(self, community: SearchableCommunity) -> str | None:
        return self.roles.get(community.id)


def community_of(thing: Thing) -> SearchableCommunity:
    if isinstance(thing, SearchableCommunity):
        return thing
    assert isinstance(thing, SearchableEvent | SearchablePost)
    return thing.community


def kind_of(thing: Thing) -> SearchKind:
    if isinstance(thing, SearchableCommunity):
        return SearchKind.COMMUNITY
    return SearchKind.EVENT if isinstance(thing, SearchableEvent) else SearchKind.POST


def place(thing: Thing) -> int:
    at = thing.starts_at if isinstance(thing, SearchableEvent) else thing.created_at  # pyright: ignore[reportAttributeAccessIssue]
    return place_of(kind_of(thing), at, thing.id)


def make_things(dice: random.Random, word: str, tags: Sequence[str]) -> tuple[list[Thing], dict[str, str]]:
    """A community for every visibility, role and state, each with events in every state, and posts."""
    things: list[Thing] = []
    roles: dict[str, str] = {}
    for visibility, role, archived in product(Visibility, ROLES, (False, True)):
        community = SearchableCommunity(
            **texts(dice, word, tags),
            visibility=visibility,
            archived=archived,
            created_at=NOW - timedelta(seconds=dice.randrange(10**7)),
        )
        things.append(community)
        if role is not None:
            roles[community.id] = role
        for status in ("DRAFT", "PUBLISHED", "CANCELLED", "COMPLETED"):
            things.append(make_event(dice, community, word, tags, status))
        for deleted in (False, True):
            at = NOW - timedelta(seconds=dice.randrange(10**7))
            text = f"{word} {dice.choice(PHRASES)}"
            things.append(SearchablePost(text=text, community=community, created_at=at, deleted=deleted))
    return things, roles


def texts(dice: random.Random, word: str, tags: Sequence[str]) -> dict[str, Any]:
    title, text = dice.choice(PHRASES), f"{word} {dice.choice(PHRASES)}"
    return {"title": title if dice.random() < 0.7 else f"{word} {title}", "text": text, "tags": dice.sample(tags, 1)}


def make_event(
    dice: random.Random, community: SearchableCommunity, word: str, tags: Sequence[str], status: str
) -> SearchableEvent:
    has_place = dice.random() < 0.7
    return SearchableEvent(
        **texts(dice, word, tags),
        community=community,
        status=status,
        starts_at=NOW + timedelta(minutes=dice.randrange(*dice.choice([(-3_000, 0), *[(-5_000, 100_000)] * 4]))),
        lasts=timedelta(hours=dice.choice([0, 2, 12, 60])),
        latitude=SHANGHAI[0] + dice.uniform(-1, 1) if has_place else None,
        longitude=SHANGHAI[1] + dice.uniform(-1, 1) if has_place else None,
        price=dice.choice([None, 100]),
    )


@pytest.fixture
async def world(graph: GraphClient, database: Database, unique: str) -> World:
    word = "w" + unique.replace("-", "")
    tags = [f"wine-{unique}", f"照片-{unique}"]
    things, roles = make_things(random.Random(7), word, tags)
    viewer = (await make_customers(graph, 1))[0]
    # Each tag's English name is found as a text is.
    await put_tags(graph, {tag: ("标签", f"tagged{number}x") for number, tag in enumerate(tags)})
    await put(graph, database, *things)
    await put_memberships(graph, viewer, roles, NOW)
    return World(word, tags, things, roles, viewer)


def may_find(thing: Thing, role: str | None) -> bool:
    """The plain rule of who finds what."""
    community = community_of(thing)
    if community.archived or not is_listed(community.visibility, role):
        return False
    if isinstance(thing, SearchableEvent):
        return thing.status in ("PUBLISHED", "COMPLETED")
    return not (isinstance(thing, SearchablePost) and thing.deleted)


def fits(thing: Thing, question: Question, world: World) -> bool:
    """The plain meaning of a question."""
    if question.tags and not set(question.tags) & set(thing.tags):
        return False
    if question.community_id and community_of(thing).id != question.community_id:
        return False
    if not isinstance(thing, SearchableEvent):
        return not (question.near or question.starts_from or question.starts_to or question.free_only)
    if question.starts_from and thing.starts_at < question.starts_from:
        return False
    began, ended = thing.starts_at < NOW, thing.starts_at + thing.lasts <= NOW
    is_long = thing.starts_at < NOW - timedelta(hours=24)
    if not question.starts_from and began and (ended or is_long or thing.status != "PUBLISHED"):
        return False
    if question.starts_to and thing.starts_at >= question.starts_to:
        return False
    if question.free_only and thing.price:
        return False
    area = question.near
    if area is None:
        return True
    if thing.latitude is None or thing.longitude is None:
        return False
    return distance(area.latitude, area.longitude, thing.latitude, thing.longitude) <= area.radius


def words_of(thing: Thing, world: World) -> set[str]:
    names = [f"标签 tagged{world.tags.index(tag)}x" for tag in thing.tags]
    return terms_of("\n".join([thing.title, thing.text, *names]))


def expected(
    world: World, question: Question, asked: Sequence[str], viewer: str | None, *, by_title: bool = True
) -> list[str]:
    """Ids in the order of answers; `asked` are the words of the question, taken apart by hand."""
    found: list[tuple[int, int, int, str]] = []
    for thing in world.things:
        role = world.role_in(community_of(thing)) if viewer else None
        if not may_find(thing, role) or not fits(thing, question, world) or not set(asked) <= words_of(thing, world):
            continue
        rank = 0 if not asked or not by_title or set(asked) <= terms_of(thing.title) else 1
        found.append((rank, list(SearchKind).index(kind_of(thing)), place(thing), thing.id))
    return [row[3] for row in sorted(found)]


async def all_pages(
    graph: GraphClient,
    database: Database,
    question: Question,
    *,
    viewer: str | None,
    kinds: Sequence[SearchKind] | None = None,
    size: int = 100,
) -> list[str]:
    """Ids of all pages one after the other; without kinds the calendar of events."""
    found: list[str] = []
    after: str | None = None
    while True:
        page = await one_page(graph, database, question, viewer=viewer, kinds=kinds, size=size, after=after)
        found += [row.id for row in page.rows]
        if not page.has_next:
            return found
        after = page.end


async def one_page(
    graph: GraphClient,
    database: Database,
    question: Question,
    *,
    viewer: str | None,
    kinds: Sequence[SearchKind] | None = None,
    size: int = 100,
    after: str | None = None,
    now: datetime = NOW,
) -> FoundPage:
    if kinds is None:
        return await find_events(graph, database, question, viewer_id=viewer, now=now, first=size, after=after)
    return await search(graph, database, question, kinds, viewer_id=viewer, now=now, first=size, after=after)


async def test_everyone_finds_what_the_model_says(graph: GraphClient, database: Database, world: World) -> None:
    """Given every visibility, role and state, when the world's own word is asked for, then just the allowed come."""
    kinds = list(SearchKind)
    for viewer in (world.viewer, None):
        asked = expected(world, Question(), [world.word], viewer)
        assert len(asked) > 20
        found = await all_pages(graph, database, Question(text=world.word), viewer=viewer, kinds=kinds)
        assert found == asked
        for size in (1, 7):
            assert (
                await all_pages(graph, database, Question(text=world.word), viewer=viewer, kinds=kinds, size=size)
                == asked
            )


QUESTIONS = [
    ("摄影", ["摄影"]),
    ("摄影活动", ["摄影", "活动"]),
    ("影", ["影"]),
    ("红酒品鉴会", ["红酒", "品鉴", "鉴会"]),
    ("WINE tasting", ["wine", "tasting"]),
    ("the Walk", ["walk"]),
    ("don't", ["don't"]),
    ("tagged0x", ["tagged0x"]),
    ("nothing such", ["nothing", "such"]),
]


@pytest.mark.parametrize(("text", "asked"), QUESTIONS, ids=[text for text, _ in QUESTIONS])
async def test_words_in_both_languages(
    graph: GraphClient, database: Database, world: World, text: str, asked: list[str]
) -> None:
    """Given the world, when words are asked for together with its own word, then those with all of them come."""
    question, kinds = Question(text=f"{text} {world.word}"), list(SearchKind)
    words = [word for word in asked if word != "such"]
    found = await all_pages(graph, database, question, viewer=world.viewer, kinds=kinds, size=9)
    assert found == expected(world, question, [*words, world.word], world.viewer)
    events = await all_pages(graph, database, question, viewer=world.viewer, size=9)
    model = expected(world, question, [*words, world.word], world.viewer, by_title=False)
    assert events == [node for node in model if node in {e.id for e in world.things if isinstance(e, SearchableEvent)}]


async def test_time_place_tag_price_and_community(graph: GraphClient, database: Database, world: World) -> None:
    """Given the world, when conditions are combined at random, then events come by their start as the model says."""
    dice = random.Random(11)
    communities = [thing.id for thing in world.things if isinstance(thing, SearchableCommunity)]
    some = 0
    for _ in range(40):
        begin = NOW + timedelta(minutes=dice.randrange(-5_000, 60_000))
        question = Question(
            tags=dice.choice([world.tags, world.tags[:1], world.tags[1:]]),
            community_id=dice.choice(communities) if dice.random() < 0.1 else None,
            near=Area(*SHANGHAI, dice.choice([5, 30, 100, 300])) if dice.random() < 0.6 else None,
            starts_from=begin if dice.random() < 0.6 else None,
            starts_to=begin + timedelta(minutes=dice.randrange(1, 50_000)) if dice.random() < 0.5 else None,
            free_only=dice.random() < 0.4,
        )
        viewer = dice.choice([world.viewer, None])
        model = expected(world, question, [], viewer)
        events = [node for node in model if node in {e.id for e in world.things if isinstance(e, SearchableEvent)}]
        some += len(events)
        assert await all_pages(graph, database, question, viewer=viewer, size=dice.choice([2, 13])) == events
        found = await all_pages(graph, database, question, viewer=viewer, kinds=list(SearchKind))
        assert found == [node for node in model if node not in posts_of(world)]
    assert some > 100


def posts_of(world: World) -> set[str]:
    """A question about a tag finds no posts, because they have none."""
    return {thing.id for thing in world.things if isinstance(thing, SearchablePost)}


async def test_a_place_over_the_date_line(graph: GraphClient, database: Database, unique: str) -> None:
    community = SearchableCommunity(title="Islands", created_at=NOW)
    points = [(-16.8, 179.9), (-16.8, -179.9), (-16.8, 178.0), (-16.8, 180.0), (-16.8, -180.0)]
    await put_tags(graph, {unique: ("海岛", "Islands")})
    events = [
        SearchableEvent(
            title="Dive",
            community=community,
            starts_at=NOW + timedelta(hours=n),
            latitude=a,
            longitude=b,
            tags=[unique],
        )
        for n, (a, b) in enumerate(points)
    ]
    await put(graph, database, community, *events)
    question = Question(tags=[unique], near=Area(-16.8, -179.95, 60))
    found = await all_pages(graph, database, question, viewer=None)
    assert found == [events[n].id for n in (0, 1, 3, 4)]


async def test_pages_do_not_shift_when_others_are_inserted(graph: GraphClient, database: Database, unique: str) -> None:
    """Given 30 events read page by page, when ten come before and after the cursor meanwhile, then none comes twice
    and none of the thirty is missed."""
    community = SearchableCommunity(title="Club", created_at=NOW)
    await put_tags(graph, {unique: ("一", "One")})

    def at(minute: int) -> SearchableEvent:
        start = NOW + timedelta(minutes=minute)
        return SearchableEvent(title="Walk", community=community, starts_at=start, tags=[unique])

    events = [at(10 * n + 10) for n in range(30)]
    await put(graph, database, community, *events)
    found: list[str] = []
    after: str | None = None
    later: list[SearchableEvent] = []
    while True:
        page = await one_page(graph, database, Question(tags=[unique]), viewer=None, size=7, after=after)
        found += [row.id for row in page.rows]
        if not page.has_next:
            break
        after = page.end
        new = [at(5), at(10 * len(found) + 1), at(10 * len(found) + 15)]
        await put_events(graph, new)
        await reindex(graph, database, new)
        later += new
    assert len(found) == len(set(found))
    assert [node for node in found if node in {event.id for event in events}] == [event.id for event in events]
    assert len(found) > 30


async def test_what_begins_and_ends_meanwhile_stays_on_its_page(
    graph: GraphClient, database: Database, unique: str
) -> None:
    """Given a page an hour after the one before, then both are as of the first; and a new search is as of then."""
    word, community = "w" + unique.replace("-", ""), SearchableCommunity(title="Club", created_at=NOW)

    def at(minute: int, hours: float, *, in_title: bool, status: str = "PUBLISHED") -> SearchableEvent:
        title, text = (word, "") if in_title else ("Walk", word)
        start, lasts = NOW + timedelta(minutes=minute), timedelta(hours=hours)
        return SearchableEvent(title=title, text=text, community=community, starts_at=start, lasts=lasts, status=status)

    titled = [at(minute, hours, in_title=True) for minute, hours in ((-600, 12), (-30, 1), (30, 0.25), (90, 1))]
    others = [at(minute, hours, in_title=False) for minute, hours in ((-1_439, 48), (-20, 0.75), (15, 0.5), (120, 1))]
    over = [at(-60, 0.5, in_title=True), at(-1_441, 48, in_title=True), at(-30, 2, in_title=True, status="COMPLETED")]
    await put(graph, database, community, *titled, *others, *over)
    question, asked = Question(text=word), [event.id for event in (*titled, *others)]
    found: list[str] = []
    after, now = None, NOW
    while True:
        page = await one_page(
            graph, database, question, viewer=None, kinds=[SearchKind.EVENT], size=2, after=after, now=now
        )
        found += [row.id for row in page.rows]
        if not page.has_next:
            break
        after, now = page.end, now + timedelta(hours=1)
    assert found == asked
    fresh = await one_page(graph, database, question, viewer=None, now=NOW + timedelta(hours=1))
    left = [titled[0], titled[3], others[3]]
    assert [row.id for row in fresh.rows] == [event.id for event in left]


async def test_many_that_may_not_be_found_end_the_page_and_not_the_search(
    graph: GraphClient, database: Database, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given 60 hidden events before one that is not, and a limit of 40 tried, then pages are short and end with it."""
    monkeypatch.setattr(discovery, "MOST_CANDIDATES", 40)
    monkeypatch.setattr(discovery, "MOST_AT_ONCE", 10)
    hidden, shown = (
        SearchableCommunity(title="A", created_at=NOW, visibility="PRIVATE"),
        SearchableCommunity(title="B", created_at=NOW),
    )
    await put_tags(graph, {unique: ("一", "One")})
    events = [
        SearchableEvent(
            title="Walk",
            community=shown if n == 60 else hidden,
            starts_at=NOW + timedelta(minutes=n),
            tags=[unique],
        )
        for n in range(61)
    ]
    await put(graph, database, hidden, shown, *events)
    before = graph.round_trips
    page = await one_page(graph, database, Question(tags=[unique]), viewer=None, size=5)
    assert (page.rows, page.cursors, page.has_next) == ([], [], True)
    assert graph.round_trips - before <= 10
    assert await all_pages(graph, database, Question(tags=[unique]), viewer=None, size=5) == [events[60].id]


async def test_what_cannot_be_asked(graph: GraphClient, database: Database) -> None:
    for question, path in (
        (Question(text="!!"), ("text",)),
        (Question(near=Area(0, 0, 1_000)), ("near", "radiusKm")),
        (Question(tags=["x"] * 21), ("tags",)),
        (Question(starts_from=NOW, starts_to=NOW), ("to",)),
    ):
        with pytest.raises(SearchInvalid) as caught:
            await one_page(graph, database, question, viewer=None)
        assert caught.value.path == path
    for cursor in ("x", "WzEsMiwtMV0", encode_cursor([0, 1, -1, 0]), encode_cursor([0, 1, 1, 2**40])):
        with pytest.raises(PageInvalid):
            await one_page(graph, database, Question(), viewer=None, after=cursor)
    assert index_effect("Event", [new_id()]).topic == SEARCH_INDEX
