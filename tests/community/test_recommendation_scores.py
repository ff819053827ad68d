"""Scores and reasons: what the definition says, whichever way the matrices are cut."""

from collections.abc import Iterator
from dataclasses import asdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

import community.recommendation_scores as scores
from community.recommendation_scores import Evidence, Recommendation, ScoringPolicy, Weights, fit, recommend
from graph.export import Catalogue, Incidence
from tests.community.plain_scores import Constants, Pair, World, nearness, parts

# Single precision on one side; scores are told in millionths.
TOLERANCE = 5e-6
POLICY = ScoringPolicy(smallest_count=2)


def matrix(entries: dict[Pair, float], rows: int, columns: int) -> csr_array:
    """The entries as a matrix with its columns in order, as the export makes them."""
    places = sorted(entries)
    values = np.array([entries[place] for place in places], dtype=np.float32)
    numbers = (np.array([row for row, _ in places], dtype=np.int32), np.array([c for _, c in places], dtype=np.int32))
    return csr_array((values, numbers), shape=(rows, columns))


def names(letter: str, count: int) -> list[str]:
    return [f"{letter}{number:03d}" for number in range(count)]


def catalogue_of(world: World) -> Catalogue:
    """Of the closed communities every other one is private, the others are archived."""
    return Catalogue(
        communities=names("k", world.communities),
        is_public=np.array([c not in world.closed or c % 2 == 1 for c in range(world.communities)], dtype=np.bool_),
        is_archived=np.array([c in world.closed and c % 2 == 1 for c in range(world.communities)], dtype=np.bool_),
        tags=names("t", world.tags),
        about=matrix(dict.fromkeys(world.about, 1.0), world.communities, world.tags),
    )


def lists_of(
    world: World, policy: ScoringPolicy = POLICY, people: list[int] | None = None
) -> list[list[Recommendation]]:
    """The lists of these people, or of all."""
    taken = dict.fromkeys(world.members, 1.0) | dict.fromkeys(world.banned, -1.0)
    incidence = Incidence(
        names("c", world.people), names("k", world.communities), matrix(taken, world.people, world.communities)
    )
    model = fit(policy, catalogue_of(world), incidence)
    return list(recommend(model, evidence_of(world, list(range(world.people)) if people is None else people)))


def evidence_of(world: World, people: list[int]) -> Evidence:
    def ties(pairs: set[Pair]) -> csr_array:
        return matrix(dict.fromkeys(pairs, 1.0), world.people, world.people)[people]

    return Evidence(
        rows=np.array(people, dtype=np.int64),
        tags=matrix(world.tagged, world.people, world.tags)[people],
        acquaintances=ties({(a, b) for a in range(world.people) for b in world.known_to(a)}),
        referees=ties(set(world.referred)),
        referrers=ties({(b, a) for a, b in world.referred}),
    )


def constants_of(policy: ScoringPolicy) -> Constants:
    return Constants(
        **asdict(policy.weights),
        similarity_shrinkage=policy.similarity_shrinkage,
        history_shrinkage=policy.history_shrinkage,
        tie_shrinkage=policy.tie_shrinkage,
    )


def number(community_id: str) -> int:
    return int(community_id[1:])


@st.composite
def worlds(draw: st.DrawFn) -> World:
    people, communities, tags = (draw(st.integers(1, most)) for most in (7, 7, 4))

    def pairs(rows: int, columns: int) -> st.SearchStrategy[frozenset[Pair]]:
        return st.frozensets(st.tuples(st.integers(0, rows - 1), st.integers(0, columns - 1)), max_size=20)

    members, banned = draw(pairs(people, communities)), draw(pairs(people, communities))
    tagged = draw(pairs(people, tags))
    return World(
        people=people,
        communities=communities,
        tags=tags,
        members=members,
        banned=banned - members,
        closed=draw(st.frozensets(st.integers(0, communities - 1), max_size=2)),
        about=draw(pairs(communities, tags)),
        tagged={pair: draw(st.sampled_from([0.25, 0.5, 1.0])) for pair in sorted(tagged)},
        knows=frozenset((a, b) for a, b in draw(pairs(people, people)) if a < b),
        referred=frozenset((a, b) for a, b in draw(pairs(people, people)) if a < b),
    )


@settings(max_examples=150, deadline=None)
@given(world=worlds(), length=st.integers(1, 5))
def test_lists_are_what_the_definition_says(world: World, length: int) -> None:
    """Given any small world; then each list has the best open communities in order, with their scores and reasons."""
    policy = ScoringPolicy(list_length=length, smallest_count=2)
    constants = constants_of(policy)
    for who, found in enumerate(lists_of(world, policy)):
        expected = {c: parts(world, who, c, constants) for c in world.open_to(who)}
        totals = {c: sum(kinds.values()) for c, kinds in expected.items()}
        check_order(found, totals, length)
        for item in found:
            check_reasons(world, who, item, expected[number(item.community_id)])


def check_order(found: list[Recommendation], totals: dict[int, float], length: int) -> None:
    """The best are there once each, the better first, a tie by id, and what is left out is no better."""
    listed = [number(item.community_id) for item in found]
    assert len(set(listed)) == len(listed)
    assert listed == [number(i.community_id) for i in sorted(found, key=lambda i: (-i.score, i.community_id))]
    assert [item.score for item in found] == pytest.approx([totals[c] for c in listed], abs=TOLERANCE)
    worth = {c for c, total in totals.items() if total > TOLERANCE}
    assert len(found) >= min(length, len(worth))
    assert len(found) <= length
    least = found[-1].score if len(found) == length else TOLERANCE
    assert all(totals[c] <= least + TOLERANCE for c in totals.keys() - set(listed))


def check_reasons(world: World, who: int, item: Recommendation, kinds: dict[str, float]) -> None:
    """Each kind that adds anything is told once, the strongest first, and what it says is so."""
    community = number(item.community_id)
    members = world.members_of(community)
    invited, known = world.referees_of(who) & members, world.known_to(who) & members
    told = {reason["kind"]: reason for reason in item.reasons}
    assert len(told) == len(item.reasons)
    # A tie through one's own referrer is told as an acquaintance, with that acquaintance's strength.
    strength = {kind: kinds[kind] for kind in kinds if kind != "POPULAR" and kinds[kind] > 0}
    if not invited and "REFERRAL_TIES" in strength:
        strength["ACQUAINTANCES"] = max(strength.get("ACQUAINTANCES", 0.0), strength.pop("REFERRAL_TIES"))
    assert told.keys() == strength.keys() or (not strength and told.keys() == {"POPULAR"})
    assert all(strength[a] >= strength[b] - TOLERANCE for a, b in pairwise(told) if strength)
    if "ACQUAINTANCES" in told:
        assert told["ACQUAINTANCES"].get("count") == (len(known) if len(known) >= 2 else None)
    if "REFERRAL_TIES" in told:
        assert told["REFERRAL_TIES"]["count"] == len(invited) > 0
    check_named(world, who, community, told)


def check_named(world: World, who: int, community: int, told: dict[str, dict[str, list[str]]]) -> None:
    """The communities and tags that a reason names are one's own, and up to three of them."""
    constants = constants_of(POLICY)
    near = {c for c in world.communities_of(who) if nearness(world, c, community, constants) > TOLERANCE}
    shared = {t for w, t in world.tagged if w == who} & {t for c, t in world.about if c == community}
    if "CO_MEMBERS" in told:
        named = [number(name) for name in told["CO_MEMBERS"]["community_ids"]]
        values = [nearness(world, c, community, constants) for c in named]
        assert set(named) <= near
        assert len(set(named)) == len(named) == min(3, len(near))
        assert all(a >= b - TOLERANCE for a, b in pairwise(values))
    if "SHARED_TAGS" in told:
        tags = [number(name) for name in told["SHARED_TAGS"]["tags"]]
        assert set(tags) <= shared
        assert len(set(tags)) == len(tags) == min(3, len(shared))


def crowd(seed: int) -> World:
    """Sixty people in forty communities, a few of whom are popular, with ties of all kinds."""
    rng = np.random.default_rng(seed)

    def pairs(count: int, rows: int, columns: int) -> Iterator[Pair]:
        for row, column in zip(rng.integers(0, rows, count), rng.integers(0, columns, count) ** 2, strict=True):
            yield int(row), int(column % columns)

    members = frozenset(pairs(400, 60, 40))
    return World(
        people=60,
        communities=40,
        tags=6,
        members=members,
        banned=frozenset(pairs(20, 60, 40)) - members,
        closed=frozenset({3, 4, 9}),
        about=frozenset(pairs(60, 40, 6)),
        tagged={pair: 0.25 * (1 + sum(pair) % 4) for pair in pairs(100, 60, 6)},
        knows=frozenset((a, b) for a, b in pairs(200, 60, 60) if a < b),
        referred=frozenset((a, b) for a, b in pairs(60, 60, 60) if a < b),
    )


@pytest.mark.parametrize("cells", [1, 50, 333, 5_000])
def test_blocks_may_be_cut_anywhere(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given few neighbours and short lists, so that ties are cut; when blocks are small; then the same, to the bit."""
    world, policy = crowd(7), ScoringPolicy(neighbours=3, list_length=5)
    whole = lists_of(world, policy)
    monkeypatch.setattr(scores, "CELLS_AT_ONCE", cells)

    assert lists_of(world, policy) == whole
    assert sum(map(len, whole)) > 200


def test_people_may_be_taken_in_any_order() -> None:
    """Given some people out of order and one twice; then each has the list that he has among all."""
    whole = lists_of(crowd(8))
    chosen = [41, 3, 3, 59, 0]

    assert lists_of(crowd(8), people=chosen) == [whole[who] for who in chosen]


def test_blocks_hold_no_more_than_they_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given costs; then consecutive blocks cover all of them, within the limit or of one row."""
    monkeypatch.setattr(scores, "CELLS_AT_ONCE", 10)
    costs = np.array([4, 6, 1, 25, 3, 3, 3, 3, 11, 10])
    found = list(scores.blocks(costs))

    assert [row for start, end in found for row in range(start, end)] == list(range(len(costs)))
    assert all(costs[start:end].sum() <= 10 or end - start == 1 for start, end in found)
    assert found == [(0, 2), (2, 3), (3, 4), (4, 7), (7, 8), (8, 9), (9, 10)]


def test_a_tie_goes_to_the_smaller_id() -> None:
    """Given five communities alike; when lists hold two; then the first two by id, in that order."""
    world = World(people=2, communities=6, tags=1, members=frozenset((0, c) for c in range(1, 6)))
    (_, found) = lists_of(world, ScoringPolicy(list_length=2))

    assert [item.community_id for item in found] == ["k001", "k002"]
    assert found[0].score == found[1].score


def test_of_many_neighbours_the_nearest_count() -> None:
    """Given a community with a near and a less near neighbour; when one neighbour counts; then the near one alone."""
    together = frozenset({(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (0, 2), (1, 2), (3, 0)})
    world = World(people=4, communities=3, tags=1, members=together)
    policy = ScoringPolicy(weights=Weights(popularity=0.0), neighbours=1)

    assert [[item.community_id for item in found] for found in lists_of(world, policy)] == [[], [], [], ["k001"]]


def test_what_few_have_in_common_is_distrusted() -> None:
    """Given two pairs of communities with the same cosine; then the pair that more people share is nearer."""
    few = {(0, 0), (0, 1), (20, 0)}
    many = {(who, c) for who in range(1, 11) for c in (2, 3)} | {(20, 2)}
    world = World(people=21, communities=4, tags=1, members=frozenset(few | many))
    constants = constants_of(POLICY)
    found = lists_of(world)[20]

    assert nearness(world, 2, 3, constants) > 2 * nearness(world, 0, 1, constants)
    assert [item.community_id for item in found] == ["k003", "k001"]


def test_a_count_that_would_tell_who_is_not_told() -> None:
    """Given four acquaintances in one community and five in another; then the five are told, of the four only that."""
    members = frozenset((who, 0) for who in range(1, 5)) | frozenset((who, 1) for who in range(1, 6))
    world = World(people=6, communities=2, tags=1, members=members, knows=frozenset((0, who) for who in range(1, 6)))
    found = lists_of(world, ScoringPolicy())[0]

    assert {item.community_id: item.reasons for item in found} == {
        "k001": [{"kind": "ACQUAINTANCES", "count": 5}],
        "k000": [{"kind": "ACQUAINTANCES"}],
    }


def test_people_one_invited_are_told_and_one_s_own_referrer_is_not() -> None:
    """Given a referee in one community and the referrer in another; then only the referee is told as such."""
    world = World(
        people=3, communities=2, tags=1, members=frozenset({(0, 0), (2, 1)}), referred=frozenset({(0, 1), (1, 2)})
    )
    found = lists_of(world, ScoringPolicy())[1]

    assert {item.community_id: item.reasons for item in found} == {
        "k000": [{"kind": "ACQUAINTANCES"}],
        "k001": [{"kind": "REFERRAL_TIES", "count": 1}],
    }


def test_nothing_is_recommended_where_there_is_nothing() -> None:
    """Given no communities, and communities without members, tags and ties; then empty lists."""
    assert lists_of(World(people=2, communities=0, tags=0)) == [[], []]
    assert lists_of(World(people=2, communities=3, tags=2)) == [[], []]
    assert lists_of(World(people=0, communities=3, tags=2)) == []
