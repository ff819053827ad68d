"""The tree: every level against a plain model, as of any date, and never more than a page of each."""

import random
from datetime import timedelta
from typing import Any

import pytest

from core.clock import utc_now
from core.db import Database
from core.ids import new_id
from core.paging import PageInvalid
from customers.profiles import display_name_of
from referrals.attribution import ReferralStatus, referral_id
from referrals.tree import DepthInvalid, TreeLevel, referral_tree
from tests.referrals.forests import Forest, put_referrals, random_forest, turn
from tests.referrals.programs import make_program

pytestmark = pytest.mark.anyio


async def levels(database: Database, forest: Forest, root: str, **more: object) -> list[TreeLevel]:
    asked: dict[str, object] = {"as_of": utc_now(), "max_depth": 10, "first": 100, "after": None, **more}
    return await referral_tree(database, naming=display_name_of, program_id=forest.program, customer_id=root, **asked)  # pyright: ignore[reportArgumentType]


def model(forest: Forest, root: str, as_of: object) -> list[list[str]]:
    """The whole levels below somebody, in order, by a walk that knows nothing of pages."""
    found: list[list[str]] = []
    level = [root]
    while level:
        below = [
            referee
            for parent in level
            for referee in sorted(
                (
                    one
                    for one, referrer in forest.edges.items()
                    if referrer == parent and forest.claimed_at[one] <= as_of  # pyright: ignore[reportOperatorIssue]
                ),
                key=lambda one: (forest.claimed_at[one], referral_id(forest.program, one)),
            )
        ]
        if below:
            found.append(below)
        level = below
    return found


async def test_every_level_is_that_of_a_plain_model_as_of_any_date(database: Database) -> None:
    """Given random forests, then the tree of each root at each date has the levels that a walk finds."""
    dice = random.Random(4)
    for _ in range(4):
        begin = utc_now() - timedelta(hours=300)
        forest = random_forest(await make_program(database), 60, dice, begin=begin)
        await put_referrals(database, forest)
        for root in forest.people[:6]:
            for hours in (0, 60, 130, 300):
                as_of = begin + timedelta(hours=hours)
                found = await levels(database, forest, root, as_of=as_of)
                assert [[node.customer_id for node in level.nodes] for level in found] == model(forest, root, as_of)[
                    :10
                ]
                assert all(forest.edges[node.customer_id] == node.parent_id for level in found for node in level.nodes)
                assert not any(level.has_more for level in found)


async def test_small_pages_hold_the_beginning_of_what_those_above_have(database: Database) -> None:
    """Given pages of four, then a level holds the first referees of those shown above, and says when there are more."""
    dice = random.Random(5)
    begin = utc_now() - timedelta(hours=300)
    forest = random_forest(await make_program(database), 120, dice, begin=begin)
    await put_referrals(database, forest)
    for root in forest.people[:10]:
        shown = [root]
        for level in await levels(database, forest, root, first=4):
            whole = [one for parent in shown for one in (model(forest, parent, utc_now()) or [[]])[0]]
            assert [node.customer_id for node in level.nodes] == whole[:4]
            assert level.has_more == (len(whole) > 4)
            for node in level.nodes:
                own = (model(forest, node.customer_id, utc_now()) or [[]])[0]
                assert node.referees == min(len(own), 5)
            shown = [node.customer_id for node in level.nodes]


def told(levels: list[TreeLevel], *, uncounted: int) -> list[Any]:
    """What levels say; of one of them, all but whom its people have brought."""
    names = ("customer_id", "parent_id", "depth", "referred_at", "status", "credit", "name", "cursor")
    return [
        (
            *(level.depth, level.has_more),
            [tuple(getattr(node, name) for name in names) for node in level.nodes],
            [node.referees for node in level.nodes if level.depth != uncounted],
        )
        for level in levels
    ]


async def test_whom_the_deepest_have_brought_is_counted_for_whoever_asks(database: Database) -> None:
    """Given trees of every depth, read without these counts; then all else is as with them."""
    dice = random.Random(6)
    forest = random_forest(await make_program(database), 60, dice, begin=utc_now() - timedelta(hours=300))
    await put_referrals(database, forest)
    for root in forest.people[:4]:
        for depth in (1, 2, 3, 10):
            counted = await levels(database, forest, root, max_depth=depth, first=6)
            spared = await levels(database, forest, root, max_depth=depth, first=6, counts_last=False)
            for level in counted:
                assert all(node.referees is not None for node in level.nodes)
            assert told(spared, uncounted=depth) == told(counted, uncounted=depth)
            assert all(node.referees is None for level in spared if level.depth == depth for node in level.nodes)


async def test_a_brief_tree_says_who_stands_where_and_since_when(database: Database) -> None:
    """Given trees of every depth, cut into pages; then briefly they have the same people in the same order."""
    dice = random.Random(7)
    forest = random_forest(await make_program(database), 60, dice, begin=utc_now() - timedelta(hours=300))
    await put_referrals(database, forest)

    def people(levels: list[TreeLevel]) -> list[Any]:
        return [
            (level.depth, level.has_more, [(node.customer_id, node.referred_at, node.name) for node in level.nodes])
            for level in levels
        ]

    for root in forest.people[:4]:
        for depth in (1, 2, 3, 10):
            whole = await levels(database, forest, root, max_depth=depth, first=6)
            brief = await levels(database, forest, root, max_depth=depth, first=6, counts_last=False, is_brief=True)
            assert people(brief) == people(whole)


async def test_one_goes_on_behind_any_node(database: Database) -> None:
    """Given 250 referees of one, when pages of 100 are followed by their cursors, then each comes once, in order."""
    begin = utc_now() - timedelta(hours=300)
    forest = Forest(await make_program(database), [new_id() for _ in range(251)])
    root = forest.people[0]
    for number, referee in enumerate(forest.people[1:]):
        forest.edges[referee], forest.claimed_at[referee] = root, begin + timedelta(hours=number // 7)
    await put_referrals(database, forest)
    seen: list[str] = []
    after = None
    while True:
        (level,) = await levels(database, forest, root, after=after)
        seen += [node.customer_id for node in level.nodes]
        after = level.nodes[-1].cursor
        if not level.has_more:
            break
    assert [seen] == model(forest, root, utc_now())


async def test_a_chain_a_thousand_deep_is_walked_ten_levels_at_a_time(database: Database) -> None:
    begin = utc_now() - timedelta(days=100)
    forest = Forest(await make_program(database), [new_id() for _ in range(1001)])
    for number in range(1000):
        referee = forest.people[number + 1]
        forest.edges[referee], forest.claimed_at[referee] = forest.people[number], begin + timedelta(hours=number)
    await put_referrals(database, forest)
    place, walked = forest.people[0], [forest.people[0]]
    while found := await levels(database, forest, place):
        assert len(found) == 10
        walked += [level.nodes[0].customer_id for level in found]
        place = walked[-1]
    assert walked == forest.people


async def test_status_and_credit_are_those_of_the_date(database: Database) -> None:
    """Given a chain that qualifies and is rejected in time, then each date shows what held, with credit by depth."""
    begin = utc_now() - timedelta(days=10)
    day = timedelta(days=1)
    forest = Forest(await make_program(database), [new_id() for _ in range(4)])
    for number in range(3):
        referee = forest.people[number + 1]
        forest.edges[referee], forest.claimed_at[referee] = forest.people[number], begin
    await put_referrals(database, forest)
    for referee in forest.people[1:]:
        await turn(database, forest.program, referee, ReferralStatus.QUALIFIED, at=begin + 2 * day)
    await turn(database, forest.program, forest.people[2], ReferralStatus.REJECTED, at=begin + 4 * day)
    seen = {
        days: [
            (level.nodes[0].status, level.nodes[0].credit)
            for level in await levels(database, forest, forest.people[0], as_of=begin + days * day)
        ]
        for days in (1, 3, 5)
    }
    good, rejected = ReferralStatus.QUALIFIED, ReferralStatus.REJECTED
    assert seen[1] == [(ReferralStatus.OPEN, 0.0)] * 3
    # What was undone since counts for no date any more, but the rejection has its own.
    assert seen[3] == [(good, 1.0), (ReferralStatus.OPEN, 0.0), (good, 0.25)]
    assert seen[5] == [(good, 1.0), (rejected, 0.0), (good, 0.25)]


@pytest.mark.parametrize("depth", [0, 11, -1])
async def test_a_depth_out_of_bounds_is_refused(database: Database, depth: int) -> None:
    forest = Forest(new_id(), [])
    with pytest.raises(DepthInvalid):
        await levels(database, forest, new_id(), max_depth=depth)
    with pytest.raises(PageInvalid):
        await levels(database, forest, new_id(), first=101)
