"""Scores and reasons: what the definition says, whichever way the matrices are cut."""

import tracemalloc
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import pairwise
from math import ceil
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

import community.recommendation_scores as scores
from community.recommendation_learning import ScoringPolicy, fit
from community.recommendation_order import OrderPolicy
from community.recommendation_scores import Evidence, Recommendation, recommend
from community.recommendation_seasons import SeasonPolicy
from graph.export import Catalogue, Incidence
from graph.places import NOWHERE
from tests.community.plain_scores import Constants, Pair, World, kilometres, parts, rarity

# Single precision on one side; scores are told in millionths.
TOLERANCE = 5e-6
# By scores alone: the order has tests of its own.
BY_SCORE = OrderPolicy(tag_cap=10, explored=0)
POLICY = ScoringPolicy(smallest_count=2, order=BY_SCORE)


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
        ages=np.full(world.communities, np.inf, dtype=np.float32),
        points=np.array([world.places.get(c, NOWHERE) for c in range(world.communities)]).reshape(-1, 2),
    )


def lists_of(
    world: World, policy: ScoringPolicy = POLICY, people: list[int] | None = None
) -> list[list[Recommendation]]:
    """The lists of these people, or of all."""
    taken, joined = taken_of(world), joined_of(world)
    incidence = Incidence(names("c", world.people), names("k", world.communities), taken, joined)
    model = fit(policy, catalogue_of(world), incidence)
    return list(recommend(model, evidence_of(world, list(range(world.people)) if people is None else people)))


def taken_of(world: World) -> csr_array:
    taken = {pair: world.activity.get(pair, 1.0) for pair in world.members} | dict.fromkeys(world.banned, -1.0)
    return matrix(taken, world.people, world.communities)


def joined_of(world: World) -> csr_array:
    return matrix(world.joined, world.people, world.communities)


def evidence_of(world: World, people: list[int]) -> Evidence:
    def ties(pairs: set[Pair]) -> csr_array:
        return matrix(dict.fromkeys(pairs, 1.0), world.people, world.people)[people]

    return Evidence(
        taken=taken_of(world)[people],
        joined=joined_of(world)[people],
        tags=matrix(world.tagged, world.people, world.tags)[people],
        acquaintances=ties({(a, b) for a in range(world.people) for b in world.known_to(a)}),
        referees=ties(set(world.referred)),
        open_referees=ties({(a, b) for a, b in world.referred if b in world.discoverable}),
        referrers=ties({(b, a) for a, b in world.referred}),
        seeds=np.zeros(len(people), dtype=np.uint64),
    )


def constants_of(policy: ScoringPolicy) -> Constants:
    affinity = asdict(policy.affinity)
    return Constants(
        **asdict(policy.weights),
        history_shrinkage=policy.history_shrinkage,
        tie_shrinkage=policy.tie_shrinkage,
        **asdict(policy.season),
        **{name: affinity[name] for name in affinity if name != "neighbours"},
    )


def number(community_id: str) -> int:
    return int(community_id[1:])


# Nowhere, three districts of a town, a town some 80 km off, one beyond, and one on the other side of the date line.
TOWNS = [
    None,
    (31.2, 121.5),
    (31.2, 121.9),
    (31.6, 121.5),
    (31.3, 120.6),
    (39.9, 116.4),
    (-17.1, 179.9),
    (-17.1, -179.9),
]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    people, communities, tags = (draw(st.integers(1, most)) for most in (7, 7, 4))

    def pairs(rows: int, columns: int) -> st.SearchStrategy[frozenset[Pair]]:
        return st.frozensets(st.tuples(st.integers(0, rows - 1), st.integers(0, columns - 1)), max_size=20)

    members, banned = draw(pairs(people, communities)), draw(pairs(people, communities))
    tagged = draw(pairs(people, tags))
    activity = {pair: draw(st.sampled_from([1.0, 3.0, 40.0])) for pair in sorted(members)}
    places = {c: draw(st.sampled_from(TOWNS)) for c in range(communities)}
    days = {pair: draw(st.sampled_from([None, 19_000.0, 19_040.0, 20_100.0])) for pair in sorted(members)}
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
        discoverable=draw(st.frozensets(st.integers(0, people - 1), max_size=3)),
        activity=activity,
        joined={pair: day for pair, day in days.items() if day is not None},
        places={c: place for c, place in places.items() if place is not None},
    )


@settings(max_examples=150, deadline=None)
@given(world=worlds(), length=st.integers(1, 5), from_latest=st.booleans())
def test_lists_are_what_the_definition_says(world: World, length: int, from_latest: bool) -> None:
    """Given any small world; then each list has the best open communities in order, with their scores and reasons."""
    season = SeasonPolicy(from_latest=from_latest)
    policy = ScoringPolicy(season=season, list_length=length, smallest_count=2, order=BY_SCORE)
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
    """What may be said is said once, the strongest first, and is so; what would tell of few people is not."""
    community = number(item.community_id)
    told = {reason["kind"]: reason for reason in item.reasons}
    assert len(told) == len(item.reasons)
    said = sayable(world, who, community)
    strength = {kind: kinds[kind] for kind in said if kinds[kind] > 0}
    certain = {kind for kind in strength if strength[kind] > TOLERANCE}
    assert certain <= told.keys() <= {*strength, "POPULAR"}
    assert ("POPULAR" in told) == (told.keys() == {"POPULAR"})
    assert all(strength[a] >= strength[b] - TOLERANCE for a, b in pairwise(told))
    for kind in told.keys() - {"POPULAR", "CO_MEMBERS"}:
        assert told[kind] == {"kind": kind, **said[kind]}
    if "CO_MEMBERS" in told:
        named = [number(name) for name in told["CO_MEMBERS"]["community_ids"]]
        assert 0 < len(named) == len(set(named)) <= 3
        assert set(named) <= set(said["CO_MEMBERS"]["community_ids"])


def sayable(world: World, who: int, community: int) -> dict[str, dict[str, Any]]:
    """By kind what may be said; of CO_MEMBERS which communities may be named, of tags those that do, rarest first."""
    members, least = world.members_of(community), POLICY.smallest_count
    found: dict[str, dict[str, Any]] = {}
    near = [c for c in world.communities_of(who) if len(world.members_of(c) & members) >= least]
    if near:
        found["CO_MEMBERS"] = {"community_ids": near}
    if shared := shared_by_strength(world, who, community):
        found["SHARED_TAGS"] = {"tags": [f"t{tag:03d}" for tag in shared[:3]]}
    ways = [kilometres(world, c, community) for c in world.communities_of(who) if {c, community} <= world.places.keys()]
    if ways and min(ways) <= 100:
        found["NEARBY"] = {"kilometres": 25 * max(1, ceil(min(ways) / 25))}
    if len(known := world.known_to(who) & members) >= least:
        found["ACQUAINTANCES"] = {"count": len(known)}
    invited = world.referees_of(who) & members
    if len(invited) >= least or (invited := invited & world.discoverable):
        found["REFERRAL_TIES"] = {"count": len(invited)}
    return found


def shared_by_strength(world: World, who: int, community: int) -> list[int]:
    about = {tag for one, tag in world.about if one == community}
    mine = {tag: confidence for (one, tag), confidence in world.tagged.items() if one == who and tag in about}
    return sorted(mine, key=lambda tag: (-round(mine[tag] * rarity(world, tag) ** 2, 5), tag))


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
        places={c: (30 + c % 5 / 2, 120 + c % 3 / 2) for c in range(0, 40, 2)},
    )


@pytest.mark.parametrize("cells", [1, 50, 333, 5_000])
def test_blocks_may_be_cut_anywhere(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given few neighbours and short lists, so that ties are cut; when blocks are small; then the same, to the bit."""
    world, policy = crowd(7), ScoringPolicy(list_length=5)
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


def test_of_few_people_nothing_is_told() -> None:
    """Given four acquaintances in one community and five in another; then only the five are told."""
    members = frozenset((who, 0) for who in range(1, 5)) | frozenset((who, 1) for who in range(1, 6))
    world = World(people=6, communities=2, tags=1, members=members, knows=frozenset((0, who) for who in range(1, 6)))
    found = lists_of(world, ScoringPolicy())[0]

    assert {item.community_id: item.reasons for item in found} == {
        "k001": [{"kind": "ACQUAINTANCES", "count": 5}],
        "k000": [{"kind": "POPULAR"}],
    }


def test_one_whom_one_invited_is_told_if_they_let_it_be_seen() -> None:
    """Given a referee in one community, another in a second and the referrer in a third; then the open one is told."""
    members = frozenset({(0, 0), (2, 1), (3, 2)})
    referred = frozenset({(0, 1), (1, 2), (1, 3)})
    world = World(people=4, communities=3, tags=1, members=members, referred=referred, discoverable=frozenset({0, 2}))
    found = lists_of(world, ScoringPolicy())[1]

    assert {item.community_id: item.reasons for item in found} == {
        "k000": [{"kind": "POPULAR"}],
        "k001": [{"kind": "REFERRAL_TIES", "count": 1}],
        "k002": [{"kind": "POPULAR"}],
    }


def test_a_day_far_off_costs_no_memory() -> None:
    """Given a membership that a file dates into another century; then it costs nothing, and the others have seasons."""
    members = {(who, c) for who in range(8) for c in range(3) if who or not c}
    days = {pair: 20_000.0 for pair in members}
    world = World(people=8, communities=3, tags=1, members=frozenset(members), joined=days)
    strange = replace(world, members=frozenset({*members, (7, 3)}), communities=4, joined=days | {(7, 3): 80_000.0})
    tracemalloc.start()
    found = lists_of(strange, ScoringPolicy(order=BY_SCORE))[0]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 64_000_000
    assert [item.community_id for item in found][:2] == ["k001", "k002"]


def test_nothing_is_recommended_where_there_is_nothing() -> None:
    """Given no communities, and communities without members, tags and ties; then empty lists."""
    assert lists_of(World(people=2, communities=0, tags=0)) == [[], []]
    assert lists_of(World(people=2, communities=3, tags=2)) == [[], []]
    assert lists_of(World(people=0, communities=3, tags=2)) == []
