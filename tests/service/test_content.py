"""Articles: reviewed by a second person as they were read, fed by tags, and announced once to whom they fit."""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select

from core.clock import utc_now
from core.db import Database
from core.ids import new_id
from core.messages import MESSAGE_OWED
from core.outbox import Outbox
from core.paging import Before, Place
from core.processes import REPOSITORY, start_leashed
from graph.eligibility import Tier
from segments.tagging import CustomerTag, Tag, TagFamily
from segments.tiering import CustomerTier
from service.content import (
    ContentArticle,
    ContentChanged,
    ContentFixed,
    ContentInvalid,
    ContentNotReviewed,
    ContentReviewOwn,
    NewContent,
    create_content,
    publish_content,
    replace_tag_of_content,
    retire_content,
    review_content,
    tags_of,
    update_content,
)
from service.content_announcements import (
    ContentAnnouncement,
    ContentNotAnnounced,
    announce_content,
    announce_page,
)
from service.content_feeds import Fed, content_feed, may_read_article
from tests.conftest import Addresses
from worker.announcing import sweep_announcements

pytestmark = pytest.mark.anyio

NOW = utc_now()
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


def new(*tags: str, tier: Tier = Tier.MASS, title: str = "Saving") -> NewContent:
    return NewContent("储蓄", title, "# 储蓄\n\n每月存一点。", "# Saving\n\nA little each month.", tags, tier)


async def make_tags(database: Database, count: int) -> list[str]:
    keys = sorted(f"t-{new_id()}" for _ in range(count))
    async with database.write() as session:
        for key in keys:
            session.add(Tag(key=key, name_zh="茶", name_en="Tea", family=TagFamily.INTEREST, created_at=NOW))
    return keys


async def carry(database: Database, customer_id: str, **weights: float) -> None:
    async with database.write() as session:
        for key, weight in weights.items():
            session.add(
                CustomerTag(
                    id=new_id(),
                    customer_id=customer_id,
                    tag_key=key,
                    family=TagFamily.INTEREST,
                    source="crm",
                    confidence=weight,
                    since=NOW - DAY,
                    set_by="crm",
                    recorded_at=NOW,
                )
            )


async def put_tier(database: Database, customer_id: str, tier: Tier) -> None:
    async with database.write() as session:
        session.add(CustomerTier(customer_id=customer_id, tier=tier, computed_tier=tier, decided_at=NOW))


async def published(database: Database, *tags: str, tier: Tier = Tier.MASS, at: Any = NOW) -> str:
    async with database.write() as session:
        row = await create_content(session, new(*tags, tier=tier), actor="zhou", now=at)
        await review_content(session, row.id, revision=1, is_approved=True, note=None, actor="he", now=at)
        await publish_content(session, row.id, actor="he", now=at)
    return row.id


async def fed(database: Database, customer_id: str, ids: set[str], *, size: int = 3) -> list[tuple[str, list[str]]]:
    """All pages of a feed, of these articles, the same from both ends: other tests have published for everybody."""
    found: dict[bool, list[Fed]] = {True: [], False: []}
    for forwards, begin in ((True, None), (False, Before())):
        place: Place = begin
        more: bool | None = True
        while more:
            async with database.read() as session:
                page = await content_feed(session, customer_id, first=size, after=place, now=NOW + DAY)
            found[forwards] = found[forwards] + page.rows if forwards else page.rows + found[forwards]
            more = page.has_next if forwards else page.has_previous
            if more:
                place = page.cursors[-1] if forwards else Before(page.cursors[0])
    assert found[False] == found[True]
    return [(one.article.id, [key for key, _ in one.because]) for one in found[True] if one.article.id in ids]


async def test_a_second_person_approves_what_was_read(database: Database) -> None:
    """Given a draft; then its writers do not review it, a changed one is read again, only an approved one is out."""
    async with database.write() as session:
        row = await create_content(session, new(), actor="zhou", now=NOW)
        for refused, doing in (
            (ContentReviewOwn, review(session, row.id, 1, "zhou")),
            (ContentNotReviewed, publish_content(session, row.id, actor="he", now=NOW)),
            (ContentChanged, review(session, row.id, 2, "he")),
        ):
            with pytest.raises(refused):
                await doing
        row = await update_content(session, row.id, new(title="Thrift"), revision=1, actor="li", now=NOW)
        assert (row.status, row.revision, row.changed_by) == ("DRAFT", 2, "li")
        for writer in ("zhou", "li"):
            with pytest.raises(ContentReviewOwn):
                await review(session, row.id, 2, writer)
        with pytest.raises(ContentChanged):
            await update_content(session, row.id, new(), revision=1, actor="li", now=NOW)
        row = await review(session, row.id, 2, "he")
        assert (row.status, row.reviewed_by) == ("REVIEWED", "he")
        # What is said anew after its review is a draft again.
        row = await update_content(session, row.id, new(), revision=2, actor="zhou", now=NOW)
        assert (row.status, row.reviewed_by) == ("DRAFT", None)
        row = await review(session, row.id, 3, "he")
        row = await publish_content(session, row.id, actor="he", now=NOW)
        again = await publish_content(session, row.id, actor="sun", now=NOW + DAY)
        assert (again.published_at, again.published_by) == (NOW, "he")
        with pytest.raises(ContentFixed):
            await update_content(session, row.id, new(), revision=3, actor="zhou", now=NOW)
        row = await retire_content(session, row.id, actor="he", now=NOW)
        with pytest.raises(ContentFixed):
            await publish_content(session, row.id, actor="he", now=NOW)


async def review(session: Any, article_id: str, revision: int, actor: str) -> ContentArticle:
    return await review_content(
        session, article_id, revision=revision, is_approved=True, note=None, actor=actor, now=NOW
    )


async def test_what_was_given_back_is_changed_before_it_is_approved(database: Database) -> None:
    async with database.write() as session:
        row = await create_content(session, new(), actor="zhou", now=NOW)
        refuse: dict[str, Any] = {"is_approved": False, "actor": "he", "now": NOW}
        with pytest.raises(ContentInvalid):
            await review_content(session, row.id, revision=1, note=" ", **refuse)
        row = await review_content(session, row.id, revision=1, note="Too long.", **refuse)
        assert (row.status, row.review_note, row.revision) == ("DRAFT", "Too long.", 2)
        with pytest.raises(ContentChanged):
            await review(session, row.id, 1, "he")


async def test_of_a_change_and_a_review_at_once_one_is_told_to_read_again(pools: list[Database]) -> None:
    """Given a draft that one changes and another approves at once, then nothing is approved that was not read."""
    for _ in range(5):
        async with pools[0].write() as session:
            article = (await create_content(session, new(), actor="zhou", now=NOW)).id

        async def change(article: str = article) -> None:
            async with pools[1].write() as session:
                await update_content(session, article, new(title="Thrift"), revision=1, actor="zhou", now=NOW)

        async def approve(article: str = article) -> None:
            async with pools[2].write() as session:
                await review(session, article, 1, "he")

        await asyncio.gather(change(), approve(), return_exceptions=True)
        async with pools[0].read() as session:
            row = await session.get_one(ContentArticle, article)
        assert (row.status, row.title_en, row.reviewed_by) == ("DRAFT", "Thrift", None)


async def test_what_is_not_valid_is_refused_with_its_place(database: Database) -> None:
    (tag,) = await make_tags(database, 1)
    for broken, path in (
        (NewContent(" ", "T", "b", "b"), "titleZh"),
        (NewContent("T", "T" * 121, "b", "b"), "titleEn"),
        (NewContent("T", "T", "b" * 20_001, "b"), "bodyZh"),
        (NewContent("T", "T", "b", "b\0"), "bodyEn"),
        (new(f"none-{tag}"), "tags"),
        (new(tag, tag), "tags"),
    ):
        async with database.write() as session:
            with pytest.raises(ContentInvalid) as refused:
                await create_content(session, broken, actor="zhou", now=NOW)
        assert refused.value.path == (path,)


async def test_a_feed_is_what_a_plain_reading_says(database: Database) -> None:
    """Given articles of many tags, tiers and times; then each customer's feed is those that fit, the latest first."""
    tags = await make_tags(database, 4)
    written: dict[str, tuple[int, set[str], Tier]] = {}
    for n in range(24):
        about = {tags[i] for i in range(4) if (n >> i) & 1 and n % 5}
        tier = list(Tier)[n % 3]
        # Some are published at one instant: then the ids say which comes first.
        at = n // 2
        written[await published(database, *sorted(about), tier=tier, at=NOW + at * MINUTE)] = (at, about, tier)
    retired, gone = next(iter(written)), list(written)[7]
    async with database.write() as session:
        await retire_content(session, gone, actor="he", now=NOW)
        await create_content(session, new(tags[0]), actor="zhou", now=NOW)
    for weights, tier in (
        ({}, Tier.MASS),
        ({tags[0]: 0.9, tags[2]: 0.5}, Tier.MASS),
        ({tags[0]: 0.5, tags[1]: 0.8, tags[3]: 0.2}, Tier.POTENTIAL),
        (dict.fromkeys(tags, 1.0), Tier.VIP),
    ):
        customer = new_id()
        await carry(database, customer, **weights)
        await put_tier(database, customer, tier)
        strong = {key: weight for key, weight in weights.items() if weight >= 0.3}
        expected = [
            (id, sorted(about & strong.keys(), key=lambda key: (-strong[key], key)))
            for id, (_, about, least) in sorted(written.items(), key=lambda one: (one[1][0], one[0]), reverse=True)
            if id != gone and (not about or about & strong.keys()) and list(Tier).index(least) <= list(Tier).index(tier)
        ]
        assert await fed(database, customer, set(written)) == expected
        async with database.read() as session:
            article = await session.get_one(ContentArticle, gone)
            assert not await may_read_article(session, customer, article, now=NOW)
            article = await session.get_one(ContentArticle, retired)
            assert await may_read_article(session, customer, article, now=NOW)


async def test_a_merged_tag_goes_on_as_the_other(database: Database) -> None:
    """Given articles about one tag or both, when the tags are merged, then all are about the other, once."""
    one, other = await make_tags(database, 2)
    articles = [await published(database, *tags) for tags in ((one,), (one, other), (other,))]
    async with database.write() as session:
        await replace_tag_of_content(session, one, other)
    customer = new_id()
    await carry(database, customer, **{other: 1.0})
    async with database.read() as session:
        assert await tags_of(session, articles) == {key: [other] for key in articles}
    assert sorted(await fed(database, customer, set(articles))) == sorted((one, [other]) for one in articles)


async def owed_of(database: Database, article: str) -> list[Outbox]:
    async with database.read() as session:
        statement = select(Outbox).where(Outbox.topic == MESSAGE_OWED, col(Outbox.key).like(f"content:{article}:%"))
        return list((await session.exec(statement.order_by(col(Outbox.key)))).all())


async def announced(database: Database, *tags: str, tier: Tier = Tier.MASS) -> str:
    article = await published(database, *tags, tier=tier)
    async with database.write() as session:
        row = await session.get_one(ContentArticle, article)
        await announce_content(session, row, now=NOW)
        await announce_content(session, row, now=NOW + DAY)
    return article


async def test_an_announcement_is_owed_once_to_each_whom_it_fits(pools: list[Database]) -> None:
    """Given 30 customers of whom 20 fit; when four processes announce page by page; then each is owed one message."""
    one, other, third = await make_tags(pools[0], 3)
    customers = sorted(new_id() for _ in range(30))
    for n, customer in enumerate(customers):
        weights = {one: 0.9, other: 0.9} if n < 10 else {other: 0.8} if n < 20 else {other: 0.2, third: 1.0}
        await carry(pools[0], customer, **weights)
    article = await announced(pools[0], one, other)
    await asyncio.gather(*(sweep_announcements(pool, page=3) for pool in pools))
    rows = await owed_of(pools[0], article)
    assert [row.key for row in rows] == [f"content:{article}:{customer}" for customer in customers[:20]]
    assert {row.payload["category"] for row in rows} == {"MARKETING"}
    assert rows[0].payload["values"] == {"title_zh": "储蓄", "title_en": "Saving"}
    assert rows[0].payload["expires_at"] == (NOW + 7 * DAY).isoformat()
    async with pools[0].read() as session:
        row = await session.get_one(ContentAnnouncement, article)
    assert (row.told, row.finished_at is not None) == (20, True)
    assert await sweep_announcements(pools[0]) == 0


async def test_a_killed_announcement_goes_on_where_it_was(
    stores: Addresses, database: Database, tmp_path: Path
) -> None:
    """Given an announcement killed before and after its second page is kept, then it ends with each told once."""
    for point, kept in (("before-commit", 3), ("after-commit", 6)):
        (tag,) = await make_tags(database, 1)
        for _ in range(8):
            await carry(database, new_id(), **{tag: 1.0})
        article = await announced(database, tag)
        script, log = str(REPOSITORY / "tests" / "worker" / "killed_announcement.py"), tmp_path / "killed.log"
        process = start_leashed([sys.executable, script, article, point], log=log, env=stores.environment())
        assert await asyncio.to_thread(process.wait, 60) == -9, log.read_text()[-2000:]
        assert len(await owed_of(database, article)) == kept
        await sweep_announcements(database, page=3)
        assert len(await owed_of(database, article)) == 8


async def test_only_who_has_the_tier_is_told_and_nobody_of_a_retired_article(database: Database) -> None:
    (tag,) = await make_tags(database, 1)
    mass, vip = sorted(new_id() for _ in range(2))
    for customer in (mass, vip):
        await carry(database, customer, **{tag: 1.0})
    await put_tier(database, vip, Tier.VIP)
    article = await announced(database, tag, tier=Tier.VIP)
    retired = await announced(database, tag)
    async with database.write() as session:
        await retire_content(session, retired, actor="he", now=NOW)
        assert not await announce_page(session, retired, now=NOW)
        assert not await announce_page(session, article, now=NOW)
    assert [row.payload["customer_id"] for row in await owed_of(database, article)] == [vip]
    assert await owed_of(database, retired) == []
    everybody = await published(database)
    async with database.write() as session:
        with pytest.raises(ContentNotAnnounced):
            await announce_content(session, await session.get_one(ContentArticle, everybody), now=NOW)
