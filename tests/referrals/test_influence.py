"""Influence: equal to a walk over the descendants, with ties in order, and replaced as a whole."""

import random
from collections import deque
from datetime import timedelta

import pytest
from sqlmodel import col, select

from core.clock import utc_now
from core.db import Database
from core.ids import new_id
from referrals.attribution import ReferralStatus
from referrals.influence import PAGE, Edges, ReferralInfluence, influence_page, rank_influence
from tests.referrals.forests import Forest, put_referrals, random_forest, turn
from tests.referrals.programs import make_program

pytestmark = pytest.mark.anyio


def model(forest: Forest, qualified: set[str]) -> list[tuple[str, float, int]]:
    """Everybody's influence by walking to each of their descendants, the highest first."""
    below: dict[str, list[str]] = {}
    for referee, referrer in forest.edges.items():
        below.setdefault(referrer, []).append(referee)
    found: list[tuple[str, float, int]] = []
    for person in forest.people:
        influence, count = 0.0, 0
        todo = deque((one, 1) for one in below.get(person, []))
        while todo:
            one, depth = todo.popleft()
            if one in qualified and depth <= 20:
                influence, count = influence + 0.5 ** (depth - 1), count + 1
            todo += [(other, depth + 1) for other in below.get(one, [])]
        if count:
            found.append((person, influence, count))
    return sorted(found, key=lambda row: (-row[1], row[0]))


def ranked(forest: Forest, qualified: set[str]) -> list[tuple[str, float, int]]:
    edges = Edges()
    edges.add(
        [
            (referrer, referee, ReferralStatus.QUALIFIED if referee in qualified else ReferralStatus.OPEN)
            for referee, referrer in forest.edges.items()
        ]
    )
    return [(one.customer_id, one.influence, one.descendants) for one in edges.ranking(1_000)]


@pytest.mark.parametrize("seed", range(6))
def test_influence_is_what_a_walk_finds(seed: int) -> None:
    dice = random.Random(seed)
    forest = random_forest("p", 300, dice, begin=utc_now())
    qualified = {referee for referee in forest.edges if dice.random() < 0.4}
    assert ranked(forest, qualified) == model(forest, qualified)


def test_a_chain_counts_to_a_depth_of_twenty_and_hardly_more_than_two() -> None:
    forest = Forest("p", [new_id() for _ in range(1001)])
    forest.edges = {forest.people[n + 1]: forest.people[n] for n in range(1000)}
    first = next(row for row in ranked(forest, set(forest.edges)) if row[0] == forest.people[0])
    assert first[1:] == (2 - 0.5**19, 20)


def test_nobody_is_ranked_where_nobody_is() -> None:
    assert Edges().ranking(10) == []
    assert ranked(Forest("p", ["a", "b"], {"b": "a"}), set()) == []


async def test_the_job_replaces_the_ranking_of_each_programme(database: Database) -> None:
    """Given a ranking, when a referral is rejected and the job runs again, then the ranking follows."""
    dice = random.Random(21)
    begin = utc_now() - timedelta(days=20)
    forest = random_forest(await make_program(database), 40, dice, begin=begin)
    await put_referrals(database, forest)
    qualified = set(dice.sample(sorted(forest.edges), 20))
    for referee in qualified:
        await turn(database, forest.program, referee, ReferralStatus.QUALIFIED, at=begin)
    for gone in (set[str](), {min(qualified)}):
        for referee in gone:
            await turn(database, forest.program, referee, ReferralStatus.REJECTED, at=utc_now())
        assert await rank_influence(database, now=utc_now()) >= 1
        async with database.read() as session:
            statement = select(ReferralInfluence).where(ReferralInfluence.program_id == forest.program)
            rows = (await session.exec(statement.order_by(col(ReferralInfluence.rank)))).all()
            page = await influence_page(session, forest.program, first=3, after=None)
            rest = await influence_page(session, forest.program, first=100, after=page.cursors[-1])
        assert [(row.customer_id, row.influence, row.descendants) for row in rows] == model(forest, qualified - gone)
        assert [row.rank for row in (*page.rows, *rest.rows)] == list(range(1, len(rows) + 1))
    assert PAGE > 1
