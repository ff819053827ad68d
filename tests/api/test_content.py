"""Articles by GraphQL: written by staff, reviewed by a second person, read in a feed that says why."""

from typing import Any

import pytest

from api.relay import global_id
from core.ids import new_id
from segments.tiering import CustomerTier
from tests.api.conftest import Caller, System
from tests.api.test_denials import state
from tests.api.test_round_trips import cost
from tests.api.test_way_through import local_of
from tests.service.test_content import NOW, carry, make_tags

pytestmark = pytest.mark.anyio

CREATE = """
mutation($input: ContentInput!) { createContent(input: $input) {
  ... on CreateContentSuccess { content { id title editing { status revision createdBy } } }
  ... on Refusal { code path } } }
"""
UPDATE = """
mutation($id: ID!, $revision: Int!, $content: ContentInput!) {
  updateContent(input: {contentId: $id, revision: $revision, content: $content}) {
    ... on UpdateContentSuccess { content { id title editing { status revision } } } ... on Refusal { code path } } }
"""
REVIEW = """
mutation($id: ID!, $revision: Int!, $approve: Boolean!, $note: String) {
  reviewContent(input: {contentId: $id, revision: $revision, approve: $approve, note: $note}) {
    ... on ReviewContentSuccess { content { editing { status reviewedBy reviewNote } } }
    ... on Refusal { code path } } }
"""
PUBLISH = """
mutation($id: ID!, $announce: Boolean!) { publishContent(input: {contentId: $id, announce: $announce}) {
  ... on PublishContentSuccess { content { publishedAt editing { status publishedBy } } }
  ... on Refusal { code path } } }
"""
RETIRE = """
mutation($id: ID!) { retireContent(input: {contentId: $id}) {
  ... on RetireContentSuccess { content { editing { status } } } ... on Refusal { code path } } }
"""
FEED = """
query($first: Int, $after: String) { contentFeed(first: $first, after: $after) {
  edges { node { content { id title body publishedAt tags { key name } editing { status } }
                 because { weight tag { key name } } } }
  pageInfo { hasNextPage endCursor } } }
"""
CONTENTS = "query($status: ContentStatus) { contents(status: $status, first: 100) { edges { node { id } } } }"
NODE = "query($id: ID!) { node(id: $id) { id ... on ContentArticle { title } } }"

COSTS = {
    "createContent": (0, 6),
    "updateContent": (0, 7),
    "reviewContent": (0, 4),
    "publishContent": (0, 6),
    "retireContent": (0, 4),
    "contents": (0, 1),
    "contentFeed": (0, 7),
}


def words(*tags: str, **more: Any) -> dict[str, Any]:
    return {
        "titleZh": "储蓄之道",
        "titleEn": "How to save",
        "bodyZh": "# 一\n\n每月存一点。",
        "bodyEn": "# One\n\nA little each month.",
        "tags": list(tags),
        **more,
    }


async def publish(system: System, *tags: str, **more: Any) -> str:
    """The global id of a new article that a manager wrote and an administrator published."""
    zhou, he = system.caller("zhou", "relationship_manager"), system.caller("he", "administrator")
    id = (await zhou.ask(CREATE, input=words(*tags, **more)))["createContent"]["content"]["id"]
    await he.ask(REVIEW, id=id, revision=1, approve=True)
    done = (await he.ask(PUBLISH, id=id, announce=False))["publishContent"]["content"]
    assert done["editing"] == {"status": "PUBLISHED", "publishedBy": "he"}
    return id


async def feed(caller: Caller) -> dict[str, dict[str, Any]]:
    """The first hundred articles of a feed, by id."""
    edges = (await caller.ask(FEED, first=100))["contentFeed"]["edges"]
    return {edge["node"]["content"]["id"]: edge["node"] for edge in edges}


async def test_an_article_from_draft_to_feed_and_out_of_it(system: System, unique: str) -> None:
    """Given an article about a tag of a customer; then it is in their feed with the tag, in their language."""
    tags = await make_tags(system.edge.database, 2)
    zhou, he = system.caller("zhou", "relationship_manager"), system.caller("he", "administrator")
    lin = await system.customer(f"lin-{unique}")
    await carry(system.edge.database, local_of(f"lin-{unique}"), **{tags[0]: 0.75, tags[1]: 0.5})
    made = (await zhou.ask(CREATE, input=words()))["createContent"]["content"]
    assert made["editing"] == {"status": "DRAFT", "revision": 1, "createdBy": "zhou"}
    id = made["id"]
    back = await he.ask(REVIEW, id=id, revision=1, approve=False, note="Say for whom.")
    assert back["reviewContent"]["content"]["editing"]["reviewNote"] == "Say for whom."
    new = (await zhou.ask(UPDATE, id=id, revision=2, content=words(tags[0])))["updateContent"]["content"]
    assert new["editing"] == {"status": "DRAFT", "revision": 3}
    assert (await he.ask(PUBLISH, id=id, announce=False))["publishContent"] == {
        "code": "CONTENT_NOT_REVIEWED",
        "path": ["input", "contentId"],
    }
    own = system.caller("zhou", "administrator")
    assert (await own.ask(REVIEW, id=id, revision=3, approve=True))["reviewContent"]["code"] == "CONTENT_REVIEW_OWN"
    assert (await he.ask(REVIEW, id=id, revision=2, approve=True))["reviewContent"]["code"] == "CONTENT_CHANGED"
    await he.ask(REVIEW, id=id, revision=3, approve=True)
    assert id not in await feed(lin)
    assert (await lin.ask(NODE, id=id))["node"] is None
    await he.ask(PUBLISH, id=id, announce=False)
    found = (await feed(lin))[id]
    assert found["because"] == [{"weight": 0.75, "tag": {"key": tags[0], "name": "Tea"}}]
    assert (found["content"]["title"], found["content"]["editing"]) == ("How to save", None)
    assert found["content"]["body"] == "# One\n\nA little each month."
    zh = system.caller(f"lin-{unique}", "customer", language="zh")
    assert (await feed(zh))[id]["content"]["title"] == "储蓄之道"
    assert (await lin.ask(NODE, id=id))["node"] == {"id": id, "title": "How to save"}
    for _ in range(2):
        gone = (await he.ask(RETIRE, id=id))["retireContent"]["content"]["editing"]
        assert gone == {"status": "RETIRED"}
    assert id not in await feed(lin)
    assert (await lin.ask(NODE, id=id))["node"] is None
    assert (await zhou.ask(UPDATE, id=id, revision=3, content=words()))["updateContent"]["code"] == "CONTENT_FIXED"


async def test_articles_of_a_higher_tier_and_of_other_tags_stay_away(system: System, unique: str) -> None:
    tags = await make_tags(system.edge.database, 2)
    lin, vip = await system.customer(f"lin-{unique}"), await system.customer(f"vip-{unique}")
    database = system.edge.database
    for name in ("lin", "vip"):
        await carry(database, local_of(f"{name}-{unique}"), **{tags[0]: 1.0})
    async with database.write() as session:
        tier = CustomerTier(customer_id=local_of(f"vip-{unique}"), tier="VIP", computed_tier="VIP", decided_at=NOW)
        session.add(tier)
    mine, other, high, general = (
        await publish(system, tags[0]),
        await publish(system, tags[1]),
        await publish(system, tags[0], minimumTier="VIP"),
        await publish(system),
    )
    published = {mine, other, high, general}
    assert (await feed(lin)).keys() & published == {mine, general}
    assert (await feed(vip)).keys() & published == {mine, general, high}
    assert (await feed(lin))[general]["because"] == []
    assert (await lin.ask(NODE, id=high))["node"] is None
    # What is about something else may be read by whoever finds it; it is only not offered.
    assert (await lin.ask(NODE, id=other))["node"] is not None
    assert await feed(system.caller(f"nobody-{unique}", "customer")) == {}


async def test_who_may_write_review_and_publish(system: System, unique: str) -> None:
    """Given customers and officers, then they do nothing; a manager writes and does not review or publish."""
    lin = await system.customer(f"lin-{unique}")
    zhou = system.caller("zhou", "relationship_manager")
    id = (await zhou.ask(CREATE, input=words()))["createContent"]["content"]["id"]
    acts: list[tuple[str, dict[str, Any]]] = [
        (REVIEW, {"id": id, "revision": 1, "approve": True}),
        (PUBLISH, {"id": id, "announce": False}),
        (RETIRE, {"id": id}),
    ]
    writes: list[tuple[str, dict[str, Any]]] = [
        (CREATE, {"input": words()}),
        (UPDATE, {"id": id, "revision": 1, "content": words()}),
        (CONTENTS, {}),
    ]
    before = await state(system)
    for caller, denied in (
        (lin, acts + writes),
        (system.caller("co", "complaints_officer"), acts + writes),
        (system.caller("li", "relationship_manager"), acts),
    ):
        for document, variables in denied:
            assert (await caller.fail(document, **variables))["extensions"]["code"] == "FORBIDDEN", document
    assert await state(system) == before
    he = system.caller("he", "administrator")
    missing = global_id("ContentArticle", new_id())
    for document, variables in acts:
        ((_, answer),) = (await he.ask(document, **{**variables, "id": missing})).items()
        assert answer["code"] == "NOT_FOUND"
    ids = [edge["node"]["id"] for edge in (await zhou.ask(CONTENTS, status="DRAFT"))["contents"]["edges"]]
    assert id in ids
    error = (await zhou.fail(CREATE, input=words(titleEn="")))["extensions"]
    assert (error["reason"], error["inputPath"]) == ("CONTENT_INVALID", ["titleEn"])


async def test_an_announced_article_is_told_to_whom_it_fits(system: System, unique: str) -> None:
    (tag,) = await make_tags(system.edge.database, 1)
    zhou, he = system.caller("zhou", "relationship_manager"), system.caller("he", "administrator")
    before = await state(system)
    id = (await zhou.ask(CREATE, input=words()))["createContent"]["content"]["id"]
    await he.ask(REVIEW, id=id, revision=1, approve=True)
    reviewed = await state(system)
    assert before != reviewed
    refused = (await he.ask(PUBLISH, id=id, announce=True))["publishContent"]
    assert refused == {"code": "CONTENT_NOT_ANNOUNCED", "path": ["input", "announce"]}
    assert await state(system) == reviewed
    id = (await zhou.ask(CREATE, input=words(tag)))["createContent"]["content"]["id"]
    await he.ask(REVIEW, id=id, revision=1, approve=True)
    done = (await he.ask(PUBLISH, id=id, announce=True))["publishContent"]["content"]
    assert done["editing"]["status"] == "PUBLISHED"


async def test_the_cost_of_each(system: System, unique: str) -> None:
    """Given one article or five, then a feed costs the same."""
    tags = await make_tags(system.edge.database, 3)
    zhou, he = system.caller("zhou", "relationship_manager"), system.caller("he", "administrator")
    lin = await system.customer(f"lin-{unique}")
    await carry(system.edge.database, local_of(f"lin-{unique}"), **dict.fromkeys(tags, 1.0))
    await publish(system, tags[0])
    one = await cost(system, lin, FEED, first=20)
    for tag in (*tags, *tags):
        await publish(system, tag)
    found = {"contentFeed": await cost(system, lin, FEED, first=20)}
    assert one == found["contentFeed"]
    found["createContent"] = await cost(system, zhou, CREATE, input=words(tags[0]))
    id = (await zhou.ask(CREATE, input=words(tags[0])))["createContent"]["content"]["id"]
    found["updateContent"] = await cost(system, zhou, UPDATE, id=id, revision=1, content=words(tags[1]))
    found["reviewContent"] = await cost(system, he, REVIEW, id=id, revision=2, approve=True)
    found["publishContent"] = await cost(system, he, PUBLISH, id=id, announce=True)
    found["retireContent"] = await cost(system, he, RETIRE, id=id)
    found["contents"] = await cost(system, he, CONTENTS)
    assert found == COSTS
