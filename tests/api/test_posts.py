"""Posts, comments, reactions, reports and the feed over GraphQL: what works, what is refused, and what is shown."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import select

from api.relay import global_id
from community.access import MemberRole
from core.clock import parse_instant
from core.facts import Fact
from core.ids import derived_id
from graph.client import GraphClient
from tests.api.conftest import Caller, System
from tests.api.test_way_through import local_of
from tests.community.places import add_member, make_community
from tests.community.test_feed import publish

pytestmark = pytest.mark.anyio

CREATE_POST = """
mutation($input: CreatePostInput!) { createPost(input: $input) { __typename
  ... on CreatePostSuccess { post {
    id text kind language authorRole editedAt commentCount author { displayName } mentions { displayName }
    attachments { url mediaType title } community { name } reactions { kind count } viewerReactions } }
  ... on Refusal { code path message } } }
"""
UPDATE_POST = """
mutation($input: UpdatePostInput!) { updatePost(input: $input) { __typename
  ... on UpdatePostSuccess { post { text editedAt edits(first: 5) { totalCount edges { node { version text } } } } }
  ... on Refusal { code path message } } }
"""
DELETE_POST = """
mutation($input: DeletePostInput!) { deletePost(input: $input) { __typename
  ... on DeletePostSuccess { post {
    text deletedAt attachments { url } mentions { id } edits { totalCount edges { node { text } } } } }
  ... on Refusal { code path message } } }
"""
PIN_POST = """
mutation($input: PinPostInput!) { pinPost(input: $input) { __typename
  ... on PinPostSuccess { post { pinnedAt community { pinnedPosts { text } } } }
  ... on Refusal { code path message } } }
"""
CREATE_COMMENT = """
mutation($input: CreateCommentInput!) { createComment(input: $input) { __typename
  ... on CreateCommentSuccess { comment { id text parentId authorRole post { commentCount } } }
  ... on Refusal { code path message } } }
"""
DELETE_COMMENT = """
mutation($input: DeleteCommentInput!) { deleteComment(input: $input) { __typename
  ... on DeleteCommentSuccess { comment { text deletedAt post { commentCount } } }
  ... on Refusal { code path message } } }
"""
ACCEPT = """
mutation($input: AcceptAnswerInput!) { acceptAnswer(input: $input) { __typename
  ... on AcceptAnswerSuccess { post { acceptedAnswer { id acceptedAt } } }
  ... on Refusal { code path message } } }
"""
ADD = """
mutation($input: AddReactionInput!) { addReaction(input: $input) { __typename
  ... on AddReactionSuccess { target { id reactions { kind count } viewerReactions } }
  ... on Refusal { code path message } } }
"""
REMOVE = """
mutation($input: RemoveReactionInput!) { removeReaction(input: $input) { __typename
  ... on RemoveReactionSuccess { target { reactions { kind count } viewerReactions } }
  ... on Refusal { code path message } } }
"""
REPORT = """
mutation($input: CreateReportInput!) { createReport(input: $input) { __typename
  ... on CreateReportSuccess { isNew }
  ... on Refusal { code path message } } }
"""
RESOLVE = """
mutation($input: ResolveReportInput!) { resolveReport(input: $input) { __typename
  ... on ResolveReportSuccess { target { text deletedAt } }
  ... on Refusal { code path message } } }
"""
QUEUE = """
query($id: ID!) { moderationQueue(communityId: $id) { edges { node {
  targetId reportCount openedAt target { __typename text }
  reports { reason text reporter { displayName } } } } } }
"""
NODE = """
query($id: ID!) { node(id: $id) { __typename
  ... on Post { text deletedAt comments { edges { node { text parentId author { displayName } } } } }
  ... on Comment { text post { id } } } }
"""
COMMUNITY = """
query($id: ID!) { community(id: $id) {
  posts(first: 2) { edges { cursor node { text deletedAt } } pageInfo { hasNextPage endCursor } }
  pinnedPosts { text } } }
"""
FEED = """
query($after: String) { viewer { feed(first: 3, after: $after) {
  edges { node { __typename
    ... on Post { text author { displayName } authorRole community { name } }
    ... on Event { title startsAt community { name } } } }
  pageInfo { hasNextPage endCursor } } } }
"""
MISSING = derived_id("missing")


class Club:
    """A community with a moderator, an author and a reader who is no member."""

    def __init__(self, system: System, local: str, people: dict[str, Caller], names: dict[str, str]) -> None:
        self.system, self.local, self.id = system, local, global_id("Community", local)
        self.moderator, self.author, self.reader = people["moderator"], people["author"], people["reader"]
        self.names = names

    def customer(self, who: str) -> str:
        return global_id("Customer", local_of(self.names[who]))

    async def post(self, **more: Any) -> str:
        fields = {"communityId": self.id, "text": "Which lens?", "language": "en", **more}
        return (await self.author.ask(CREATE_POST, input=fields))["createPost"]["post"]["id"]

    async def comment(self, post: str, who: Caller, **more: Any) -> str:
        fields = {"postId": post, "text": "A short one.", "language": "en", **more}
        return (await who.ask(CREATE_COMMENT, input=fields))["createComment"]["comment"]["id"]


async def make_club(system: System, unique: str, *, visibility: str = "PUBLIC") -> Club:
    graph = system.edge.graph
    names = {who: f"{who}-{unique}-{visibility}" for who in ("moderator", "author", "reader")}
    people = {who: await system.customer(name) for who, name in names.items()}
    local = await make_community(
        graph, owner_id=local_of(names["moderator"]), role=MemberRole.MODERATOR, visibility=visibility
    )
    await add_member(graph, local, local_of(names["author"]), MemberRole.MEMBER)
    return Club(system, local, people, names)


async def refusal(caller: Caller, document: str, **fields: Any) -> tuple[str, list[str]]:
    """Code and path of the refusal that a mutation answers."""
    (answer,) = (await caller.ask(document, input=fields)).values()
    assert answer["__typename"] == "Refusal", answer
    assert answer["message"]
    return answer["code"], answer["path"]


CONTENT = """
MATCH (x) WHERE (x:Post OR x:Comment) AND x.community_id = $id
RETURN x.id AS id, x.text AS text, x.deleted_at AS deleted_at, x.version AS version, x.pinned_at AS pinned_at,
       x.accepted_comment_id AS accepted
ORDER BY id
"""


async def state(graph: GraphClient, club: Club) -> list[dict[str, Any]]:
    """All that is written in the community, to see that nothing changed."""
    return await graph.read(CONTENT, id=club.local)


async def test_a_post_from_its_writing_to_its_deletion(system: System, unique: str) -> None:
    club = await make_club(system, unique)
    fields = {
        "communityId": club.id,
        "text": " Which lens? ",
        "kind": "QUESTION",
        "language": "en",
        "mentions": [club.customer("moderator")],
        "attachments": [{"url": "https://a.test/1.jpg", "mediaType": "image/jpeg", "title": "The lake"}],
    }
    post = (await club.author.ask(CREATE_POST, input=fields))["createPost"]["post"]
    assert post["text"] == "Which lens?"
    assert (post["kind"], post["authorRole"], post["commentCount"], post["editedAt"]) == ("QUESTION", "MEMBER", 0, None)
    assert post["attachments"] == fields["attachments"]
    assert len(post["mentions"]) == 1
    changed = (await club.author.ask(UPDATE_POST, input={"postId": post["id"], "text": "Which camera?"}))["updatePost"]
    assert changed["post"]["text"] == "Which camera?"
    edits = {"totalCount": 1, "edges": [{"node": {"version": 1, "text": "Which lens?"}}]}
    assert changed["post"]["edits"] == edits
    pinned = (await club.moderator.ask(PIN_POST, input={"postId": post["id"]}))["pinPost"]["post"]
    assert pinned["community"]["pinnedPosts"] == [{"text": "Which camera?"}]
    gone = (await club.moderator.ask(DELETE_POST, input={"postId": post["id"], "reason": "Off topic"}))["deletePost"]
    assert gone["post"].pop("deletedAt")
    assert gone["post"] == {"text": None, "attachments": [], "mentions": [], "edits": {"totalCount": 0, "edges": []}}
    shown = (await club.reader.ask(COMMUNITY, id=club.id))["community"]
    assert [edge["node"]["text"] for edge in shown["posts"]["edges"]] == [None]
    assert shown["pinnedPosts"] == []


async def test_comments_reactions_and_an_accepted_answer_that_earns_a_fact(system: System, unique: str) -> None:
    club = await make_club(system, unique)
    post = await club.post(kind="QUESTION")
    answer = await club.comment(post, club.moderator)
    reply = await club.comment(post, club.author, replyTo=answer, text="Thank you!")
    for target in (post, answer):
        await club.author.ask(ADD, input={"targetId": target, "kind": "HELPFUL"})
        added = await club.author.ask(ADD, input={"targetId": target, "kind": "HELPFUL"})
        shown = added["addReaction"]["target"]
        assert shown == {"id": target, "reactions": [{"kind": "HELPFUL", "count": 1}], "viewerReactions": ["HELPFUL"]}
    removed = await club.author.ask(REMOVE, input={"targetId": post, "kind": "HELPFUL"})
    assert removed["removeReaction"]["target"] == {"reactions": [], "viewerReactions": []}
    accepted = (await club.author.ask(ACCEPT, input={"commentId": answer}))["acceptAnswer"]["post"]["acceptedAnswer"]
    assert accepted["id"] == answer
    rows = (await club.reader.ask(NODE, id=post))["node"]["comments"]["edges"]
    assert [(row["node"]["text"], row["node"]["parentId"]) for row in rows] == [
        ("A short one.", None),
        ("Thank you!", answer),
    ]
    assert (await club.reader.ask(NODE, id=reply))["node"]["post"] == {"id": post}
    await system.work()
    await system.work()
    async with system.edge.database.read() as session:
        mine = select(Fact).where(Fact.customer_id == local_of(club.names["moderator"]))
        facts = (await session.exec(mine)).all()
    assert [(fact.kind, fact.source, fact.payload["community_id"]) for fact in facts] == [
        ("ANSWER_ACCEPTED", "kinship", club.local)
    ]
    gone = (await club.author.ask(DELETE_COMMENT, input={"commentId": reply}))["deleteComment"]["comment"]
    assert (gone["text"], gone["post"]) == (None, {"commentCount": 1})


async def test_reports_hide_their_writers_from_everybody_but_administrators(system: System, unique: str) -> None:
    club = await make_club(system, unique)
    post = await club.post()
    report = {"targetId": post, "reason": "ABUSE", "text": "Rude"}
    for is_new in (True, False):
        assert (await club.reader.ask(REPORT, input=report))["createReport"]["isNew"] is is_new
    for caller, reporter in (
        (club.moderator, None),
        (system.caller(f"admin-{unique}", "administrator"), {"displayName": club.names["reader"][-20:]}),
    ):
        (edge,) = (await caller.ask(QUEUE, id=club.id))["moderationQueue"]["edges"]
        assert edge["node"]["reports"] == [{"reason": "ABUSE", "text": "Rude", "reporter": reporter}]
        assert (edge["node"]["targetId"], edge["node"]["reportCount"]) == (post, 1)
        assert edge["node"]["target"] == {"__typename": "Post", "text": "Which lens?"}
    for caller in (club.author, club.reader):
        error = await caller.fail(QUEUE, id=club.id)
        assert error["extensions"]["code"] == "NOT_FOUND"
    assert (await system.caller(None).fail(QUEUE, id=club.id))["extensions"]["code"] == "UNAUTHENTICATED"
    delete = {"targetId": post, "resolution": "DELETE", "note": "Rude"}
    resolved = (await club.moderator.ask(RESOLVE, input=delete))["resolveReport"]
    assert resolved["target"]["text"] is None and resolved["target"]["deletedAt"]
    assert (await club.moderator.ask(QUEUE, id=club.id))["moderationQueue"]["edges"] == []
    assert await refusal(club.moderator, RESOLVE, **delete) == ("NO_OPEN_REPORTS", ["input", "targetId"])


async def test_what_those_who_may_not_are_told(system: System, unique: str) -> None:
    """Given a post with a comment, when those who may not act, then each act is refused and nothing changed."""
    club = await make_club(system, unique)
    post = await club.post(kind="QUESTION")
    comment = await club.comment(post, club.moderator)
    before = await state(system.edge.graph, club)
    other = {"communityId": club.id, "text": "Hi"}
    for caller, document, fields, code, path in (
        (club.reader, CREATE_POST, other, "MEMBERS_ONLY", "communityId"),
        (club.reader, CREATE_COMMENT, {"postId": post, "text": "Hi"}, "MEMBERS_ONLY", "postId"),
        (club.reader, ADD, {"targetId": post, "kind": "LIKE"}, "MEMBERS_ONLY", "targetId"),
        (club.reader, REMOVE, {"targetId": post, "kind": "LIKE"}, "MEMBERS_ONLY", "targetId"),
        (club.reader, UPDATE_POST, {"postId": post, "text": "Hi"}, "MEMBERS_ONLY", "postId"),
        (club.moderator, UPDATE_POST, {"postId": post, "text": "Hi"}, "NOT_FOUND", "postId"),
        (club.reader, DELETE_POST, {"postId": post, "reason": "I say"}, "NOT_FOUND", "postId"),
        (club.author, DELETE_COMMENT, {"commentId": comment, "reason": "I say"}, "NOT_FOUND", "commentId"),
        (club.author, PIN_POST, {"postId": post}, "NOT_FOUND", "postId"),
        (club.reader, ACCEPT, {"commentId": comment}, "NOT_FOUND", "commentId"),
        (club.author, RESOLVE, {"targetId": post, "resolution": "DELETE", "note": "x"}, "NOT_FOUND", "targetId"),
    ):
        assert await refusal(caller, document, **fields) == (code, ["input", path])
    for document in (CREATE_POST, CREATE_COMMENT, ADD, REPORT):
        nobody = await system.caller(None).post(document, {"input": other})
        assert nobody.json()["errors"]
    assert await state(system.edge.graph, club) == before


async def test_a_private_community_is_not_there_for_outsiders_in_any_action(system: System, unique: str) -> None:
    """Given a private community, then each act on it is refused exactly like one on what does not exist."""
    club = await make_club(system, unique, visibility="PRIVATE")
    post = await club.post(kind="QUESTION")
    comment = await club.comment(post, club.author)
    before = await state(system.edge.graph, club)
    reader = club.reader
    absent = {kind: global_id(kind, MISSING) for kind in ("Community", "Post", "Comment")}
    for community, a_post, a_comment in ((club.id, post, comment), tuple(absent.values())):
        assert await refusal(reader, CREATE_POST, communityId=community, text="x") == (
            "NOT_FOUND",
            ["input", "communityId"],
        )
        for document, fields in (
            (CREATE_COMMENT, {"postId": a_post, "text": "x"}),
            (UPDATE_POST, {"postId": a_post, "text": "x"}),
            (DELETE_POST, {"postId": a_post, "reason": "x"}),
            (PIN_POST, {"postId": a_post}),
            (ADD, {"targetId": a_post, "kind": "LIKE"}),
            (REMOVE, {"targetId": a_comment, "kind": "LIKE"}),
            (REPORT, {"targetId": a_comment, "reason": "SPAM"}),
            (RESOLVE, {"targetId": a_post, "resolution": "DISMISS"}),
            (ACCEPT, {"commentId": a_comment}),
            (DELETE_COMMENT, {"commentId": a_comment, "reason": "x"}),
        ):
            assert (await refusal(reader, document, **fields))[0] == "NOT_FOUND"
        for node in (a_post, a_comment):
            assert (await reader.ask(NODE, id=node))["node"] is None
        assert (await reader.fail(QUEUE, id=community))["extensions"]["code"] == "NOT_FOUND"
    assert (await club.author.ask(NODE, id=comment))["node"]["text"] == "A short one."
    # An invitation shows that the community is there, and nothing of what is inside.
    await add_member(system.edge.graph, club.local, local_of(club.names["reader"]), MemberRole.INVITED)
    shown = (await reader.ask(COMMUNITY, id=club.id))["community"]
    assert shown["posts"]["edges"] == [] and shown["pinnedPosts"] == []
    assert await state(system.edge.graph, club) == before


async def test_bad_input_names_its_field(system: System, unique: str) -> None:
    club = await make_club(system, unique)
    post = await club.post()
    good = {"communityId": club.id, "text": "Good", "language": "en"}
    bad_attachment = {"url": "http://a.test", "mediaType": "image/png", "title": "One"}
    for document, fields, path in (
        (CREATE_POST, {**good, "text": ""}, ["text"]),
        (CREATE_POST, {**good, "mentions": [club.customer("reader"), club.id]}, ["input", "mentions", "1"]),
        (CREATE_POST, {**good, "mentions": [global_id("Customer", MISSING)]}, ["mentions", "0"]),
        (CREATE_POST, {**good, "attachments": [bad_attachment]}, ["attachments", "0", "url"]),
        (CREATE_POST, {**good, "communityId": post}, ["input", "communityId"]),
        (ADD, {"targetId": club.id, "kind": "LIKE"}, ["input", "targetId"]),
        (DELETE_POST, {"postId": "?"}, ["input", "postId"]),
    ):
        error = await club.author.fail(document, input=fields)
        assert (error["extensions"]["code"], error["extensions"]["inputPath"]) == ("BAD_USER_INPUT", path)
    reason = await club.moderator.fail(DELETE_POST, input={"postId": post})
    assert reason["extensions"]["inputPath"] == ["reason"]
    assert (await club.author.ask(NODE, id=post))["node"]["text"] == "Which lens?"


async def test_the_feed_shows_posts_and_events_of_ones_communities(system: System, unique: str) -> None:
    club = await make_club(system, unique)
    other = await make_club(system, unique, visibility="PRIVATE")
    await club.post(text="One")
    await other.post(text="Hidden")
    graph = system.edge.graph
    await publish(graph, club.local, await latest(graph, club))
    await club.post(text="Two")
    await club.post(text="Three")
    page = (await club.author.ask(FEED))["viewer"]["feed"]
    assert [node_text(edge["node"]) for edge in page["edges"]] == ["Three", "Two", "Photo walk"]
    assert page["edges"][0]["node"]["community"] == {"name": "Photo club"}
    rest = (await club.author.ask(FEED, after=page["pageInfo"]["endCursor"]))["viewer"]["feed"]
    assert [node_text(edge["node"]) for edge in rest["edges"]] == ["One"]
    assert not rest["pageInfo"]["hasNextPage"]
    assert (await club.reader.ask(FEED))["viewer"]["feed"]["edges"] == []


async def latest(graph: GraphClient, club: Club) -> datetime:
    """An instant right after what is written so far."""
    rows = await graph.read("MATCH (x:Post {community_id: $id}) RETURN max(x.created_at) AS at", id=club.local)
    return parse_instant(rows[0]["at"]) + timedelta(microseconds=1)


def node_text(node: dict[str, Any]) -> str:
    return node["text"] if node["__typename"] == "Post" else node["title"]
