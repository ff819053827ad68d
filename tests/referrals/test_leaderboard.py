"""The leaderboard: exact under many writers, equal to a fold of the referrals, and nobody on it who did not ask."""

import asyncio
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import select

from core.clock import utc_now
from core.db import Database
from core.errors import NotFound
from core.ids import new_id
from referrals.attribution import Referral, ReferralStatus
from referrals.leaderboard import (
    PseudonymInvalid,
    PseudonymTaken,
    Ranked,
    checked_pseudonym,
    join_leaderboard,
    leaderboard,
    leave_leaderboard,
)
from referrals.standings import EVER, ReferralStanding, month_of
from tests.conftest import Addresses
from tests.referrals.forests import Forest, put_referrals, referrals_of, turn
from tests.referrals.programs import make_program

pytestmark = pytest.mark.anyio

BEGIN = datetime(2026, 3, 30, 22, 0, tzinfo=UTC)
Standing = tuple[int, datetime | None]


async def stars(database: Database, referrers: int, each: int) -> Forest:
    """Referrers with so many open referrals each."""
    forest = Forest(await make_program(database), [new_id() for _ in range(referrers)])
    for referrer in list(forest.people):
        for _ in range(each):
            referee = new_id()
            forest.edges[referee], forest.claimed_at[referee] = referrer, BEGIN
    await put_referrals(database, forest)
    return forest


def fold(referrals: list[Referral]) -> dict[tuple[str, str], Standing]:
    """What standings must be, from the referrals alone: by period and referrer."""
    found: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    for one in referrals:
        if one.status == ReferralStatus.QUALIFIED and one.qualified_at is not None:
            for period in (EVER, month_of(one.qualified_at)):
                found[(period, one.referrer_id)].append(one.qualified_at)
    return {key: (len(dates), max(dates)) for key, dates in found.items()}


async def standings(database: Database, program: str) -> dict[tuple[str, str], Standing]:
    async with database.read() as session:
        rows = (await session.exec(select(ReferralStanding).where(ReferralStanding.program_id == program))).all()
    for row in rows:
        assert row.qualified_count or row.last_qualified_at is None
    return {
        (row.period, row.referrer_id): (row.qualified_count, row.last_qualified_at)
        for row in rows
        if row.qualified_count
    }


async def join(database: Database, program: str, customer: str, pseudonym: str) -> None:
    async with database.write() as session:
        await join_leaderboard(session, program_id=program, customer_id=customer, pseudonym=pseudonym, now=utc_now())


async def leave(database: Database, program: str, customer: str) -> None:
    async with database.write() as session:
        await leave_leaderboard(session, program_id=program, customer_id=customer)


async def board(database: Database, program: str, period: str = EVER, first: int = 100) -> list[Ranked]:
    """The whole leaderboard, read in pages."""
    found: list[Ranked] = []
    after = None
    while True:
        async with database.read() as session:
            page = await leaderboard(session, program_id=program, period=period, first=first, after=after)
        found += page.rows
        if not page.has_next:
            return found
        after = page.cursors[-1]


async def test_standings_are_the_fold_of_the_referrals_after_every_change(database: Database) -> None:
    """Given 120 random changes across a turn of the month, then after each the standings are what a fold gives."""
    dice = random.Random(11)
    forest = await stars(database, 3, 4)
    referees = list(forest.edges)
    for _ in range(120):
        referee = dice.choice(referees)
        at = BEGIN + timedelta(hours=dice.randrange(6))
        status = dice.choice([ReferralStatus.QUALIFIED, ReferralStatus.QUALIFIED, *ReferralStatus])
        await turn(database, forest.program, referee, status, at=at)
        assert await standings(database, forest.program) == fold(list(await referrals_of(database, forest.program)))


async def test_many_writers_lose_nothing(stores: Addresses, database: Database) -> None:
    """Given 2 referrers with 20 referrals each, when 4 pools turn each three times at once, then the fold holds."""
    dice = random.Random(12)
    forest = await stars(database, 2, 20)
    pools = [stores.database() for _ in range(4)]
    joins = [join(pools[n], forest.program, customer, f"Name {n}") for n, customer in enumerate(forest.people)]

    async def turn_often(number: int, referee: str) -> None:
        for status in (ReferralStatus.QUALIFIED, dice.choice(list(ReferralStatus)), dice.choice(list(ReferralStatus))):
            at = BEGIN + timedelta(minutes=dice.randrange(240))
            await turn(pools[number % 4], forest.program, referee, status, at=at)

    try:
        await asyncio.gather(*(turn_often(n, referee) for n, referee in enumerate(forest.edges)), *joins)
    finally:
        for pool in pools:
            await pool.close()
    expected = fold(list(await referrals_of(database, forest.program)))
    assert await standings(database, forest.program) == expected
    # Who joined while the counts moved stands there with all of them.
    shown = {one.customer_id: one.qualified_count for one in await board(database, forest.program)}
    assert shown == {
        customer: expected[(EVER, customer)][0] for customer in forest.people if (EVER, customer) in expected
    }


async def test_ties_go_to_who_was_earlier_and_pages_follow_each_other(database: Database) -> None:
    """Given random counts with ties, then the ranking is theirs, whatever the page size, and only of who joined."""
    dice = random.Random(13)
    forest = await stars(database, 12, 3)
    for referee in forest.edges:
        if dice.random() < 0.7:
            at = BEGIN + timedelta(minutes=dice.randrange(5))
            await turn(database, forest.program, referee, ReferralStatus.QUALIFIED, at=at)
    joined = forest.people[:9]
    for number, customer in enumerate(joined):
        await join(database, forest.program, customer, f"Runner {number}")
    expected = fold(list(await referrals_of(database, forest.program)))
    ranked = await board(database, forest.program)
    assert {one.customer_id for one in ranked} == {one for one in joined if (EVER, one) in expected}
    keys = [(-one.qualified_count, one.reached_at, one.place[-36:]) for one in ranked]
    assert keys == sorted(keys, key=lambda key: (key[0], key[1] or BEGIN, key[2]))
    assert [(one.qualified_count, one.reached_at) for one in ranked] == [
        expected[(EVER, one.customer_id)] for one in ranked
    ]
    assert [one.rank for one in ranked] == list(range(1, len(ranked) + 1))
    assert await board(database, forest.program, first=2) == ranked
    assert await board(database, forest.program, first=2) == ranked


async def test_a_month_counts_by_when_referrals_were_qualified(database: Database) -> None:
    forest = await stars(database, 1, 3)
    (customer,) = forest.people
    for referee, hours in zip(forest.edges, (0, 3, 4), strict=True):
        await turn(
            database, forest.program, referee, ReferralStatus.QUALIFIED, at=BEGIN + timedelta(days=1, hours=hours)
        )
    await join(database, forest.program, customer, "东方不败")
    assert [one.qualified_count for one in await board(database, forest.program, "2026-03")] == [1]
    assert [one.qualified_count for one in await board(database, forest.program, "2026-04")] == [2]
    assert [one.qualified_count for one in await board(database, forest.program)] == [3]
    assert await board(database, forest.program, "2026-05") == []


async def test_rejected_referrals_go_from_the_board_after_the_fact(database: Database) -> None:
    forest = await stars(database, 2, 2)
    lin, sun = forest.people
    for number, customer in enumerate(forest.people):
        await join(database, forest.program, customer, f"Name {number}")
    for minutes, referee in enumerate(forest.edges):
        at = BEGIN + timedelta(minutes=minutes)
        await turn(database, forest.program, referee, ReferralStatus.QUALIFIED, at=at)
    assert [one.customer_id for one in await board(database, forest.program)] == [lin, sun]
    of_lin = [referee for referee, referrer in forest.edges.items() if referrer == lin]
    await turn(database, forest.program, of_lin[1], ReferralStatus.REJECTED, at=BEGIN)
    assert [(one.customer_id, one.qualified_count) for one in await board(database, forest.program)] == [
        (sun, 2),
        (lin, 1),
    ]
    await turn(database, forest.program, of_lin[0], ReferralStatus.REJECTED, at=BEGIN)
    assert [one.customer_id for one in await board(database, forest.program)] == [sun]


async def test_who_leaves_is_gone_and_their_name_is_free(database: Database) -> None:
    forest = await stars(database, 2, 1)
    lin, sun = forest.people
    for referee in forest.edges:
        await turn(database, forest.program, referee, ReferralStatus.QUALIFIED, at=BEGIN)
    await join(database, forest.program, lin, "Swift Swallow")
    with pytest.raises(PseudonymTaken):
        await join(database, forest.program, sun, "ＳＷＩＦＴ-swallow")
    await join(database, forest.program, lin, "Swift-Swallow")
    await leave(database, forest.program, lin)
    await leave(database, forest.program, lin)
    assert await board(database, forest.program) == []
    await join(database, forest.program, sun, "swift swallow")
    assert [(one.pseudonym, one.customer_id) for one in await board(database, forest.program)] == [
        ("swift swallow", sun)
    ]
    with pytest.raises(NotFound):
        await join(database, new_id(), sun, "swift swallow")


async def test_one_name_wanted_by_ten_at_once_goes_to_one(stores: Addresses, database: Database) -> None:
    forest = await stars(database, 10, 1)
    pools = [stores.database() for _ in range(4)]
    try:
        outcomes = await asyncio.gather(
            *(join(pools[n % 4], forest.program, one, "Ace") for n, one in enumerate(forest.people)),
            return_exceptions=True,
        )
    finally:
        for pool in pools:
            await pool.close()
    assert sum(outcome is None for outcome in outcomes) == 1
    assert sum(isinstance(outcome, PseudonymTaken) for outcome in outcomes) == 9


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "x" * 21,
        "<b>Lin</b>",
        "lin@bank.example",
        "138 0013 8000",
        "１３８００１３",
        "a\u202eb",
        "--",
        "a\nb\x00",
        "Lin!",
        "😀😀",
    ],
)
def test_names_that_cannot_be_shown(text: str) -> None:
    with pytest.raises(PseudonymInvalid):
        checked_pseudonym(text)


@pytest.mark.parametrize(
    ("text", "shown"), [(" Swift  Swallow ", "Swift Swallow"), ("小燕子", "小燕子"), ("Lin_88", "Lin_88")]
)
def test_names_that_can(text: str, shown: str) -> None:
    assert checked_pseudonym(text) == shown
