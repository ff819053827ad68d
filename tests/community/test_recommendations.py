"""Recommendations in the stores: whole lists, true reasons, and nothing that no longer holds when they are read."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from typing import Any, LiteralString

import orjson
import pytest

import community.recommendations as recommendations
from community.access import MemberRole
from community.communities import read_communities
from community.memberships import join_community
from community.recommendation_learning import ScoringPolicy
from community.recommendation_lists import recommended_communities
from community.recommendation_seasons import LATELY_DAYS
from community.recommendations import RunReport, recompute
from community.recommended_people import set_discoverable
from core.clock import iso, utc_now
from core.ids import new_id
from core.paging import PageInvalid
from graph.client import GraphClient, Row
from graph.export import Catalogue, Incidence
from tests.community.places import add_member, make_community, make_customers
from tests.community.ties import acquaint, add_about, add_tag, ids_of, read_all, refer, stored_lists
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio


async def run(graph: GraphClient, customers: list[str], *, run_id: str = "first", at_once: int = 4_000) -> RunReport:
    """Recompute the lists of customers who were made together."""
    return await recompute(
        graph,
        policy=ScoringPolicy(),
        now=utc_now(),
        run_id=run_id,
        customers_at_once=at_once,
        first_id=min(customers),
        last_id=max(customers),
    )


async def add_members(graph: GraphClient, community_id: str, customers: list[str]) -> None:
    for customer in customers:
        await add_member(graph, community_id, customer, MemberRole.MEMBER)


@dataclass(frozen=True)
class Circle:
    """Six people with the same taste: all but the viewer are in every community, the viewer is in the first.

    What is wanted fits equally well: which of it comes first is left to the last digits of what was learnt.
    """

    viewer: str
    others: list[str]
    joined: str
    wanted: list[str]

    @property
    def everybody(self) -> list[str]:
        return [self.viewer, *self.others]


@pytest.fixture
async def circle(graph: GraphClient) -> Circle:
    viewer, *others = await make_customers(graph, 6)
    joined, *wanted = [await make_community(graph) for _ in range(4)]
    await add_members(graph, joined, [viewer, *others])
    for community in wanted:
        await add_members(graph, community, others)
    return Circle(viewer, others, joined, wanted)


async def best(graph: GraphClient, circle: Circle) -> list[str]:
    """Of what the viewer is recommended the first ones, as many as are wanted; what else is popular comes after."""
    return (await ids_of(graph, circle.viewer))[: len(circle.wanted)]


async def test_a_run_gives_each_customer_one_list_and_again_the_same(graph: GraphClient, circle: Circle) -> None:
    """Given six customers; when the run is made twice; then one list for each, both times the same."""
    report = await run(graph, circle.everybody)
    first = await stored_lists(graph, circle.everybody)
    await run(graph, circle.everybody, run_id="second")
    second = await stored_lists(graph, circle.everybody)

    assert (report.customers, report.lists_written) == (6, 6)
    assert list(first) == list(second) == sorted(circle.everybody)
    assert {row.pop("run_id") for row in first.values()} == {"first"}
    assert {row.pop("run_id") for row in second.values()} == {"second"}
    assert first == second
    assert set(first[circle.viewer]["community_ids"][:3]) == set(circle.wanted)
    assert all(len(row["community_ids"]) == len(row["scores"]) == len(row["reasons"]) for row in first.values())


async def test_the_size_of_a_step_changes_nothing(graph: GraphClient, circle: Circle) -> None:
    """Given six customers; when taken one, four and all at once; then the same lists."""
    found: list[dict[str, Row]] = []
    for size in (1, 4, 4_000):
        report = await run(graph, circle.everybody, run_id="one", at_once=size)
        assert report.lists_written == 6
        found.append(await stored_lists(graph, circle.everybody))

    assert found[0] == found[1] == found[2]


async def test_ranges_that_meet_are_the_whole(graph: GraphClient, circle: Circle) -> None:
    """Given two workers with a part of the customers each; then together they write what one would."""
    await run(graph, circle.everybody)
    whole = await stored_lists(graph, circle.everybody)
    ordered = sorted(circle.everybody)
    reports = [await run(graph, part, run_id="parts") for part in (ordered[:2], ordered[2:])]
    parts = await stored_lists(graph, circle.everybody)

    assert [report.lists_written for report in reports] == [2, 4]
    assert {row.pop("run_id") for row in parts.values()} == {"parts"}
    assert parts == {key: {name: row[name] for name in row if name != "run_id"} for key, row in whole.items()}


async def put_away(graph: GraphClient, community_id: str, viewer: str) -> None:
    await graph.write("MATCH (c:Community {id: $id}) SET c.archived_at = 'then'", id=community_id)


async def make_private(graph: GraphClient, community_id: str, viewer: str) -> None:
    await graph.write("MATCH (c:Community {id: $id}) SET c.visibility = 'PRIVATE'", id=community_id)


async def make_unlisted(graph: GraphClient, community_id: str, viewer: str) -> None:
    await graph.write("MATCH (c:Community {id: $id}) SET c.visibility = 'UNLISTED'", id=community_id)


async def ban(graph: GraphClient, community_id: str, viewer: str) -> None:
    await add_member(graph, community_id, viewer, MemberRole.BANNED)


async def join(graph: GraphClient, community_id: str, viewer: str) -> None:
    await join_community(graph, community_id=community_id, customer_id=viewer, now=utc_now())


CHANGES: list[Callable[[GraphClient, str, str], Awaitable[None]]] = [put_away, make_private, make_unlisted, ban, join]


@pytest.mark.parametrize("change", CHANGES)
async def test_what_cannot_be_recommended_never_is(
    graph: GraphClient, circle: Circle, change: Callable[[GraphClient, str, str], Awaitable[None]]
) -> None:
    """Given a community that fits best and is closed to the viewer; when the run is made; then it is in no list."""
    first, *rest = circle.wanted
    await change(graph, first, circle.viewer)
    await run(graph, circle.everybody)
    stored = (await stored_lists(graph, [circle.viewer]))[circle.viewer]["community_ids"]

    assert set(stored[:2]) == set(rest)
    assert first not in stored
    assert circle.joined not in stored
    assert first not in await ids_of(graph, circle.viewer)


@pytest.mark.parametrize("change", CHANGES)
async def test_what_has_changed_since_the_run_is_left_out(
    graph: GraphClient, circle: Circle, change: Callable[[GraphClient, str, str], Awaitable[None]]
) -> None:
    """Given a list; when its first community is closed to the viewer afterwards; then the next read has the others."""
    await run(graph, circle.everybody)
    before = await ids_of(graph, circle.viewer)
    first = circle.wanted[0]
    assert set(before[:3]) == set(circle.wanted)
    await change(graph, first, circle.viewer)

    assert await ids_of(graph, circle.viewer) == [key for key in before if key != first]


async def test_what_is_for_a_segment_takes_no_place(graph: GraphClient, circle: Circle) -> None:
    """Given a community that would come first, but is for a segment; then it is in no stored list and not popular."""
    await graph.write("MATCH (c:Community {id: $id}) SET c.segment_id = 'some'", id=circle.wanted[0])
    await run(graph, circle.everybody)
    lists = await stored_lists(graph, circle.everybody)

    assert set(lists[circle.viewer]["community_ids"][:2]) == set(circle.wanted[1:])
    assert circle.wanted[0] not in {one for row in lists.values() for one in row["community_ids"]}


async def test_a_community_without_evidence_is_recommended_by_its_popularity(graph: GraphClient) -> None:
    """Given a customer without any tie; when the run is made; then the list says of each that it is popular."""
    (customer,) = await make_customers(graph, 1)
    await add_members(graph, await make_community(graph), await make_customers(graph, 2))
    await run(graph, [customer])
    rows = await read_all(graph, customer)

    assert rows
    assert all(row["reasons"] == [{"kind": "POPULAR"}] for row in rows)
    # All are new here: one of them is explored, the others stand by their scores.
    scores = [row["score"] for row in rows]
    assert sum(before < after for before, after in pairwise(scores)) <= 1


async def reasons_by_community(graph: GraphClient, customer: str) -> dict[str, list[dict[str, Any]]]:
    return {row["community_id"]: row["reasons"] for row in await read_all(graph, customer)}


async def test_reasons_are_true_and_tell_of_nobody(graph: GraphClient, unique: str) -> None:
    """Given ties of each kind; then each community has its reason, and of few people nothing is told."""
    viewer, referrer, *others = await make_customers(graph, 12)
    many, few, invited, above, tagged = [await make_community(graph) for _ in range(5)]
    await add_members(graph, many, others[:5])
    await add_members(graph, few, others[:4])
    await acquaint(graph, viewer, others[:3])
    for other in others[3:5]:
        await acquaint(graph, other, [viewer])
    await add_members(graph, invited, others[6:8])
    await refer(graph, viewer, others[6:9])
    await set_discoverable(graph, others[6], on=True)
    await add_members(graph, above, [referrer])
    await refer(graph, referrer, [viewer])
    await add_about(graph, tagged, unique)
    await add_tag(graph, viewer, unique, confidence=0.9)
    await run(graph, [viewer])
    found = await reasons_by_community(graph, viewer)

    assert found[many] == [{"kind": "ACQUAINTANCES", "count": 5}]
    # What has nothing to be said for it is popular, if it is among the thirty at all.
    assert found.get(few, [{"kind": "POPULAR"}]) == [{"kind": "POPULAR"}]
    assert found[invited] == [{"kind": "REFERRAL_TIES", "count": 1}]
    assert found.get(above, [{"kind": "POPULAR"}]) == [{"kind": "POPULAR"}]
    assert found[tagged] == [{"kind": "SHARED_TAGS", "tags": [unique]}]


async def test_a_community_is_near_to_those_that_share_its_members(graph: GraphClient, circle: Circle) -> None:
    """Given a taste in common; then the reason names the community through which it was found."""
    await run(graph, circle.everybody)
    found = await reasons_by_community(graph, circle.viewer)

    assert [found[key] for key in circle.wanted] == [[{"kind": "CO_MEMBERS", "community_ids": [circle.joined]}]] * 3


async def test_a_run_chooses_its_policy_by_what_is_known_of_some(
    graph: GraphClient, circle: Circle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given enough customers; then what is chosen decides, by evidence of the same memberships; too few choose not."""
    seen: list[tuple[int, int]] = []

    def watched(policy: ScoringPolicy, catalogue: Catalogue, memberships: Incidence, *own: Any, latest: bool):
        evidence, rows = own
        assert latest
        assert (evidence.taken != memberships.matrix[rows]).nnz == 0
        assert len(evidence.seeds) == len(rows)
        seen.append((len(rows), len(catalogue.communities)))
        return replace(policy, history_shrinkage=7.0)

    monkeypatch.setattr(recommendations, "choose", watched)
    monkeypatch.setattr(recommendations, "CHOOSING_MEMBERSHIPS", 2)
    monkeypatch.setattr(recommendations, "CHOOSING_COMMUNITIES", 10**6)
    monkeypatch.setattr(recommendations, "LEAST_SAMPLE", 10**6)
    assert (
        await recommendations.learn(graph, ScoringPolicy(), now=utc_now(), choosing=True)
    ).model.policy.history_shrinkage == 2.0
    assert not seen
    monkeypatch.setattr(recommendations, "LEAST_SAMPLE", len(circle.everybody) - 1)
    population = await recommendations.learn(graph, ScoringPolicy(), now=utc_now(), choosing=True)
    assert population.model.policy.history_shrinkage == 7.0
    assert seen[0][0] >= len(circle.everybody) - 1
    assert population.chosen.policy.history_shrinkage == 7.0
    assert population.model.season.since == pytest.approx(population.chosen.day - LATELY_DAYS)
    assert (await recommendations.learn(graph, ScoringPolicy(), now=utc_now())).chosen.day < 0


async def test_a_tag_that_no_longer_holds_says_nothing(graph: GraphClient, unique: str) -> None:
    """Given one tag that has ended and one that will; then only the second finds its community."""
    viewer, member = await make_customers(graph, 2)
    old, new = await make_community(graph), await make_community(graph)
    now = utc_now()
    ends = ((old, f"{unique}-a", iso(now - timedelta(days=1))), (new, f"{unique}-b", iso(now + timedelta(days=1))))
    for community, tag, until in ends:
        await add_members(graph, community, [member])
        await add_about(graph, community, tag)
        await add_tag(graph, viewer, tag, until=until)
    without_list = await reasons_by_community(graph, viewer)
    await run(graph, [viewer])
    with_list = await reasons_by_community(graph, viewer)

    for found in (without_list, with_list):
        assert found[new] == [{"kind": "SHARED_TAGS", "tags": [f"{unique}-b"]}]
        assert found.get(old, [{"kind": "POPULAR"}]) == [{"kind": "POPULAR"}]


async def test_a_tag_asked_for_leaves_its_communities_alone(graph: GraphClient, circle: Circle, unique: str) -> None:
    """Given a list and a tag; then first what the list has about it, then others about it by their members."""
    small, large = await make_community(graph), await make_community(graph)
    await add_members(graph, large, await make_customers(graph, 3))
    for community in (circle.joined, circle.wanted[2], circle.wanted[0], small, large):
        await add_about(graph, community, unique)
    await run(graph, circle.everybody)

    found = await ids_of(graph, circle.viewer, tag=unique)
    assert (set(found[:2]), found[2:]) == ({circle.wanted[0], circle.wanted[2]}, [large, small])
    assert await ids_of(graph, circle.viewer, tag=f"{unique}-nobody") == []


async def test_a_newcomer_gets_what_matches_tags_and_then_what_is_popular(
    graph: GraphClient, circle: Circle, unique: str
) -> None:
    """Given a customer since the run with two tags; then communities about both, about one, and the popular ones."""
    await run(graph, circle.everybody)
    (newcomer,) = await make_customers(graph, 1)
    both, one, joined, private = [await make_community(graph) for _ in range(4)]
    for community, tags in ((both, "ab"), (one, "a"), (joined, "ab"), (private, "ab")):
        for tag in tags:
            await add_about(graph, community, unique + tag)
    await add_tag(graph, newcomer, f"{unique}a", confidence=0.6)
    await add_tag(graph, newcomer, f"{unique}b")
    await add_members(graph, joined, [newcomer])
    await make_private(graph, private, newcomer)
    rows = await read_all(graph, newcomer)
    ids = [row["community_id"] for row in rows]

    assert ids[:2] == [both, one]
    assert rows[0]["reasons"] == [{"kind": "SHARED_TAGS", "tags": [f"{unique}a", f"{unique}b"]}]
    assert rows[1]["reasons"] == [{"kind": "SHARED_TAGS", "tags": [f"{unique}a"]}]
    assert {joined, private}.isdisjoint(ids)
    assert len(rows) > 2
    assert all(row["reasons"] == [{"kind": "POPULAR"}] for row in rows[2:])
    assert await ids_of(graph, newcomer, tag=f"{unique}b") == [both]


POPULAR_AND_OPEN = """
MATCH (p:Popularity {name: 'communities'})
MATCH (c:Community)
WHERE c.id IN p.community_ids AND c.visibility = 'PUBLIC' AND c.archived_at IS NULL AND c.segment_id IS NULL
  AND c.minimum_tier IS NULL AND size(coalesce(c.required_tags, [])) = 0
RETURN c.id AS id
"""


async def test_an_unknown_customer_gets_what_is_popular(graph: GraphClient, circle: Circle) -> None:
    """Given an id of nobody; then the popular communities, the largest first, as they are still public."""
    await run(graph, circle.everybody)
    before = await read_all(graph, new_id())
    # Nor is anything kept from them that others are members of: it is all that is popular, whose number is limited.
    assert {row["community_id"] for row in before} == {row["id"] for row in await graph.read(POPULAR_AND_OPEN)}
    assert all(row["reasons"] == [{"kind": "POPULAR"}] for row in before)
    assert [row["score"] for row in before] == sorted((row["score"] for row in before), reverse=True)
    await put_away(graph, before[0]["community_id"], "")

    assert await read_all(graph, new_id()) == before[1:]


async def test_pages_follow_each_other_without_loss_or_repetition(
    graph: GraphClient, circle: Circle, unique: str
) -> None:
    """Given lists, a tag and newcomers; when read in pages of any size; then as in one page."""
    for community in [*circle.wanted, *[await make_community(graph) for _ in range(3)]]:
        await add_about(graph, community, unique)
    await run(graph, circle.everybody)
    (newcomer,) = await make_customers(graph, 1)
    await add_tag(graph, newcomer, unique)
    for customer, tag in ((circle.viewer, None), (circle.viewer, unique), (newcomer, None), (newcomer, unique)):
        whole = await read_all(graph, customer, tag=tag)
        assert len({row["community_id"] for row in whole}) == len(whole) >= 6
        for size in (1, 2, 5):
            assert await read_all(graph, customer, tag=tag, size=size) == whole


ARCHIVE = "MATCH (c:Community) WHERE c.id IN $ids SET c.archived_at = c.created_at"
PUT_LIST = """
MERGE (l:RecommendationList {customer_id: $customer_id})
SET l.community_ids = $ids, l.scores = [id IN $ids | 1.0], l.reasons = [id IN $ids | '[{"kind":"POPULAR"}]']
"""


async def test_a_list_is_read_to_its_end_however_much_of_it_is_closed(graph: GraphClient) -> None:
    """Given a list whose front is archived, more than is read to spare; then a page holds the first that are open."""
    (viewer,) = await make_customers(graph, 1)
    communities = [await make_community(graph) for _ in range(10)]
    await graph.write(PUT_LIST, customer_id=viewer, ids=communities)
    await graph.write(ARCHIVE, ids=communities[:7])

    page = await recommended_communities(graph, viewer, tag=None, first=2, after=None)
    assert [row["community_id"] for row in page.rows] == communities[7:9]
    assert page.has_next
    following = await recommended_communities(graph, viewer, tag=None, first=2, after=page.cursors[-1])
    assert [row["community_id"] for row in following.rows] == communities[9:]
    assert not following.has_next


async def test_a_community_of_a_list_is_read_as_anywhere(graph: GraphClient) -> None:
    (viewer,) = await make_customers(graph, 1)
    community = await make_community(graph)
    await graph.write(PUT_LIST, customer_id=viewer, ids=[community])
    page = await recommended_communities(graph, viewer, tag=None, first=1, after=None)
    assert page.rows[0]["community"] == (await read_communities(graph, [community], viewer_id=viewer))[community]


async def test_a_page_goes_on_where_it_ended_whatever_changed_before(graph: GraphClient, circle: Circle) -> None:
    """Given a first page; when its community is joined before the second is read; then the second is as it would be."""
    await run(graph, circle.everybody)
    before = await ids_of(graph, circle.viewer)
    page = await recommended_communities(graph, circle.viewer, tag=None, first=1, after=None)
    await join(graph, before[0], circle.viewer)
    following = await recommended_communities(graph, circle.viewer, tag=None, first=1, after=page.cursors[0])

    assert [row["community_id"] for row in page.rows + following.rows] == before[:2]


@pytest.mark.parametrize("cursor", ["", "!", "W10", "WzFd", "WyJhIiwiYiIsImMiXQ"])
async def test_another_list_s_cursor_is_refused(graph: GraphClient, cursor: str) -> None:
    with pytest.raises(PageInvalid):
        await recommended_communities(graph, new_id(), tag=None, first=1, after=cursor)


class OutOfPower(GraphClient):
    """A client whose process ends before its second batch of lists."""

    batches = 0

    async def write(self, query: LiteralString, *, timeout: float | None = None, **parameters: Any) -> list[Row]:
        if query == recommendations.WRITE_LISTS:
            self.batches += 1
            if self.batches == 2:
                raise KeyboardInterrupt
        return await super().write(query, timeout=timeout, **parameters)


async def test_a_run_that_is_killed_leaves_whole_lists(
    stores: Addresses, graph: GraphClient, circle: Circle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given old lists and a run that ends after two customers; then two new lists, the old others, none half."""
    monkeypatch.setattr(recommendations, "LISTS_AT_ONCE", 2)
    await run(graph, circle.everybody, run_id="old")
    old = await stored_lists(graph, circle.everybody)
    await put_away(graph, circle.wanted[0], "")
    addresses = stores.neo4j_uri, stores.neo4j_user, stores.neo4j_password, stores.neo4j_database
    uri, user, password, name = addresses
    async with OutOfPower(uri, user=user, password=password, database=name) as dying:
        with pytest.raises(KeyboardInterrupt):
            await run(dying, circle.everybody, run_id="new")
    between = await stored_lists(graph, circle.everybody)
    await run(graph, circle.everybody, run_id="new")
    new = await stored_lists(graph, circle.everybody)

    ordered = sorted(circle.everybody)
    assert {key: between[key] for key in ordered[:2]} == {key: new[key] for key in ordered[:2]}
    assert {key: between[key] for key in ordered[2:]} == {key: old[key] for key in ordered[2:]}
    assert {row["run_id"] for row in new.values()} == {"new"}
    assert circle.wanted[0] not in await ids_of(graph, circle.viewer)


async def test_reasons_are_stored_as_they_are_read(graph: GraphClient, circle: Circle) -> None:
    """Given a list; then what is read is what was stored, in its order."""
    await run(graph, circle.everybody)
    stored = (await stored_lists(graph, [circle.viewer]))[circle.viewer]
    rows = await read_all(graph, circle.viewer)

    assert [row["community_id"] for row in rows] == stored["community_ids"]
    assert [row["score"] for row in rows] == stored["scores"]
    assert [row["reasons"] for row in rows] == [orjson.loads(text) for text in stored["reasons"]]
