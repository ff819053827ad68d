"""The order of recommendations: capped tags, a bounded share of what is new, and nothing lost or made up."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from community.recommendation_order import NONE, OrderPolicy, ordered, seeds_of, stable_keys

DAY = date(2026, 11, 29)


@dataclass(frozen=True)
class World:
    """Communities with their tags and ages, and customers with the scores of some of them."""

    tags: list[list[int]]
    ages: list[float]
    rows: list[list[tuple[int, float]]]

    @property
    def ids(self) -> list[str]:
        return [f"community-{number}" for number in range(len(self.tags))]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    size = draw(st.integers(1, 40))
    tags = draw(st.lists(st.lists(st.integers(0, 4), max_size=3, unique=True), min_size=size, max_size=size))
    ages = draw(st.lists(st.sampled_from([1.0, 29.0, 31.0, 400.0, np.inf]), min_size=size, max_size=size))
    worth = st.one_of(st.floats(0.0078125, 1, width=32), st.sampled_from([0.5, 0.0, -1.0, np.nan]))
    row = st.lists(st.tuples(st.integers(0, size - 1), worth), max_size=size, unique_by=lambda pair: pair[0])
    return World(tags, ages, draw(st.lists(row, min_size=1, max_size=4)))


def order(
    world: World, policy: OrderPolicy, *, length: int = 30, day: date = DAY, customers: list[str] | None = None
) -> list[list[int]]:
    width = max((len(row) for row in world.rows), default=0) or 1
    columns = np.full((len(world.rows), width), NONE, dtype=np.int64)
    scores = np.zeros((len(world.rows), width), dtype=np.float32)
    for number, row in enumerate(world.rows):
        for place, (column, score) in enumerate(row):
            columns[number, place], scores[number, place] = column, score
    tags = np.array([[*row, *[NONE] * (3 - len(row))] for row in world.tags], dtype=np.int64)
    found = ordered(
        scores,
        columns,
        tags=tags,
        ages=np.array(world.ages, dtype=np.float32),
        keys=stable_keys(world.ids),
        seeds=seeds_of(customers or [f"c{n}" for n in range(len(world.rows))], day),
        length=length,
        policy=policy,
    )
    assert found.shape == (len(world.rows), length)
    return [[column for column in row if column != NONE] for row in found.tolist()]


def good(row: list[tuple[int, float]]) -> dict[int, float]:
    return {column: float(np.float32(score)) for column, score in row if score > 0}


def by_score(row: list[tuple[int, float]]) -> list[int]:
    scores = good(row)
    return sorted(scores, key=lambda column: (-scores[column], column))


PLAIN = OrderPolicy(tag_cap=1_000, explored=0)
policies = st.builds(
    OrderPolicy,
    head=st.integers(1, 12),
    tag_cap=st.integers(1, 5),
    least_share=st.sampled_from([0.0, 0.5, 0.9, 1.0]),
    explored=st.integers(0, 2),
    first_explored=st.integers(0, 5),
)


@settings(max_examples=300, deadline=None)
@given(world=worlds(), policy=policies)
def test_every_candidate_is_shown_once_and_nothing_else(world: World, policy: OrderPolicy) -> None:
    for found, row in zip(order(world, policy, length=50), world.rows, strict=True):
        assert sorted(found) == sorted(good(row))


@settings(max_examples=200, deadline=None)
@given(world=worlds())
def test_without_caps_and_exploration_it_is_the_order_of_scores(world: World) -> None:
    assert order(world, PLAIN) == [by_score(row)[:30] for row in world.rows]


@settings(max_examples=300, deadline=None)
@given(world=worlds(), policy=policies)
def test_the_cap_is_broken_only_by_what_is_worth_it(world: World, policy: OrderPolicy) -> None:
    """Given no exploration, then each place of the head has the best that is allowed, or one far better than that."""
    policy = replace(policy, explored=0)
    for found, row in zip(order(world, policy, length=50), world.rows, strict=True):
        scores, left, counts = good(row), by_score(row), Counter[int]()
        for column in found[: policy.head]:
            allowed = [one for one in left if all(counts[tag] < policy.tag_cap for tag in world.tags[one])]
            best = allowed[0] if allowed else left[0]
            worth_it = np.float32(scores[best]) >= np.float32(policy.least_share) * np.float32(scores[left[0]])
            assert column == (best if worth_it else left[0])
            assert scores[column] >= policy.least_share * scores[left[0]] * (1 - 1e-6)
            left.remove(column)
            counts.update(world.tags[column])
        assert found[policy.head :] == left


@settings(max_examples=300, deadline=None)
@given(world=worlds(), policy=policies)
def test_what_is_new_gets_a_bounded_share(world: World, policy: OrderPolicy) -> None:
    """Then the head is as without exploration but for at most so many new ones, none before the first place of such."""
    policy = replace(policy, first_explored=min(policy.first_explored, policy.head))
    without = order(world, replace(policy, explored=0), length=50)
    for found, before in zip(order(world, policy, length=50), without, strict=True):
        head, earned = found[: policy.head], before[: policy.head]
        given_way = [column for column in head if column not in earned]
        assert len(given_way) <= policy.explored
        assert all(world.ages[column] < policy.new_days for column in given_way)
        assert found[: policy.first_explored] == before[: policy.first_explored]
        kept = [column for column in found if column not in given_way]
        assert kept == [column for column in before if column not in given_way]
        waiting = [column for column in before[policy.head :] if world.ages[column] < policy.new_days]
        room = policy.head - policy.first_explored
        assert len(given_way) == min(policy.explored, room, len(waiting))


@settings(max_examples=100, deadline=None)
@given(world=worlds(), policy=policies)
def test_nothing_depends_on_how_blocks_are_cut(world: World, policy: OrderPolicy) -> None:
    customers = [f"c{number}" for number in range(len(world.rows))]
    whole = order(world, policy, customers=customers)
    parts = [
        order(replace(world, rows=[row]), policy, customers=[name])[0]
        for row, name in zip(world.rows, customers, strict=True)
    ]
    assert whole == parts


def crowd(newcomers: int) -> World:
    """Thirty communities in order of their scores, of which the last ones are new."""
    ages = [400.0] * (30 - newcomers) + [1.0] * newcomers
    return World([[] for _ in ages], ages, [[(n, 1 - n / 100) for n in range(30)]])


def test_each_new_community_has_its_turn() -> None:
    """Given five new communities and 400 customers, then each gets its share, at each place that is for them."""
    world = replace(crowd(5), rows=crowd(5).rows * 400)
    lists = order(world, OrderPolicy())
    explored = [next(column for column in found[:10] if column >= 25) for found in lists]
    places = Counter(found.index(column) for found, column in zip(lists, explored, strict=True))
    assert all(sum(column >= 25 for column in found[:10]) == 1 for found in lists)
    assert set(Counter(explored)) == {25, 26, 27, 28, 29}
    assert min(Counter(explored).values()) > 40
    assert set(places) == {4, 5, 6, 7, 8, 9}


def test_the_same_all_day_and_another_on_another_day() -> None:
    world = crowd(5)
    days = [order(world, OrderPolicy(), day=DAY + timedelta(days=n))[0] for n in range(20)]
    assert order(world, OrderPolicy())[0] == days[0]
    assert len({tuple(found) for found in days}) > 5


def test_it_does_not_matter_which_numbers_communities_have() -> None:
    """Given a community that was made since, before all others in the catalogue, then who is explored is the same."""
    world = crowd(5)
    lists = order(world, OrderPolicy())
    more = World([[], *world.tags], [400.0, *world.ages], [[(n + 1, score) for n, score in world.rows[0]]])
    ids = ["another", *world.ids]
    found = ordered(
        np.array([[score for _, score in more.rows[0]]], dtype=np.float32),
        np.array([[column for column, _ in more.rows[0]]], dtype=np.int64),
        tags=np.full((31, 1), NONE, dtype=np.int64),
        ages=np.array(more.ages, dtype=np.float32),
        keys=stable_keys(ids),
        seeds=seeds_of(["c0"], DAY),
        length=30,
        policy=OrderPolicy(),
    )
    assert [column - 1 for column in found[0].tolist()] == lists[0]
