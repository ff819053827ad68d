"""Touches: which of several links counts beside a typed code, and until which microsecond."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from core.clock import utc_now
from core.db import Database
from core.ids import new_id
from core.principal import Principal
from graph.client import GraphClient
from referrals.attribution import Referral
from referrals.codes import ReferralCode, revoke_code
from referrals.links import record_click
from referrals.programs import Attribution
from tests.referrals.programs import claim, code_of, make_people, make_program

pytestmark = pytest.mark.anyio

TICK = timedelta(microseconds=1)


async def touch(database: Database, code: ReferralCode, at: datetime, agent: str = "Phone") -> str:
    async with database.write() as session:
        click = await record_click(session, code, channel="wechat", user_agent=agent, is_head=False, now=at)
    return click.id


async def referred(database: Database, referral: str) -> Referral:
    async with database.read() as session:
        return await session.get_one(Referral, referral)


async def codes_of(database: Database, program: str, customers: Sequence[str]) -> list[ReferralCode]:
    return [await code_of(database, program, customer) for customer in customers]


@pytest.mark.parametrize(
    ("age", "counts"),
    [
        (timedelta(0), True),
        (timedelta(days=7) - TICK, True),
        (timedelta(days=7), False),
        (timedelta(days=7) + TICK, False),
        (-TICK, False),
    ],
    ids=["now", "a microsecond before the end", "at the end", "after the end", "in the future"],
)
async def test_the_window_includes_its_start_and_not_its_end(
    graph: GraphClient, database: Database, age: timedelta, counts: bool
) -> None:
    """Given a window of seven days, when a click of this age is claimed, then it counts inside and not at the end."""
    program = await make_program(database, click_window_days=7, late_claim_days=3)
    lin, sun, wu = await make_people(graph, 3)
    linked, typed = await codes_of(database, program, [lin, sun])
    now = utc_now()
    click = await touch(database, linked, now - age)
    found = await referred(database, await claim(database, graph, typed, wu, click_ids=[click], now=now))
    assert found.referrer_id == (lin if counts else sun)
    assert found.click_id == (click if counts else None)
    assert found.channel == ("wechat" if counts else None)
    assert found.attributed_from == (now - age if counts else now - timedelta(days=3))


@pytest.mark.parametrize("rule", Attribution)
async def test_of_several_referrers_links_and_a_third_ones_code_the_rule_decides(
    graph: GraphClient, database: Database, rule: Attribution
) -> None:
    """Given clicks of four referrers, the first one's past its window, the last one's by a robot, and a typed code of
    a fifth, then the first or the last of those within the window counts, in whichever order they are named."""
    program = await make_program(database, attribution=rule, click_window_days=2)
    *referrers, third, wu, sun = await make_people(graph, 7)
    codes = await codes_of(database, program, referrers)
    typed = await code_of(database, program, third)
    now = utc_now()
    times = [now - timedelta(days=2), now - timedelta(hours=30), now - timedelta(hours=2), now - timedelta(hours=1)]
    clicks = [
        await touch(database, code, at, agent)
        for code, at, agent in zip(codes, times, ("Phone", "Phone", "Phone", "Twitterbot"), strict=True)
    ]
    winner = 1 if rule == Attribution.FIRST_TOUCH else 2
    for referee, named in ((wu, clicks), (sun, clicks[::-1])):
        found = await referred(database, await claim(database, graph, typed, referee, click_ids=named, now=now))
        assert (found.referrer_id, found.click_id) == (referrers[winner], clicks[winner])
        assert found.attributed_from == times[winner]


@pytest.mark.parametrize("rule", Attribution)
async def test_several_clicks_of_one_referrer_are_told_apart_by_time(
    graph: GraphClient, database: Database, rule: Attribution
) -> None:
    program = await make_program(database, attribution=rule)
    lin, sun, wu = await make_people(graph, 3)
    mine, others = await codes_of(database, program, [lin, sun])
    now = utc_now()
    times = [now - 3 * TICK, now - 2 * TICK, now - TICK]
    clicks = [await touch(database, code, at) for code, at in zip((mine, others, mine), times, strict=True)]
    found = await referred(database, await claim(database, graph, others, wu, click_ids=clicks, now=now))
    assert (found.referrer_id, found.click_id) == (lin, clicks[0 if rule == Attribution.FIRST_TOUCH else 2])


async def test_links_of_another_programme_or_of_none_leave_the_typed_code(
    graph: GraphClient, database: Database
) -> None:
    program, other = await make_program(database), await make_program(database)
    lin, sun, wu = await make_people(graph, 3)
    typed, elsewhere = await code_of(database, program, lin), await code_of(database, other, sun)
    now = utc_now()
    named = [await touch(database, elsewhere, now), new_id(), "", "\0", "x" * 10_000, "'; --"]
    found = await referred(database, await claim(database, graph, typed, wu, click_ids=named, now=now))
    assert (found.referrer_id, found.click_id) == (lin, None)


async def test_a_link_whose_code_was_revoked_since_counts_no_more(graph: GraphClient, database: Database) -> None:
    """Given clicks of two referrers, when the code of the later is revoked, then the claim is for the other."""
    program = await make_program(database)
    lin, sun, kai, wu = await make_people(graph, 4)
    mine, others, typed = await codes_of(database, program, [lin, sun, kai])
    now = utc_now()
    clicks = [
        await touch(database, mine, now - timedelta(hours=2)),
        await touch(database, others, now - timedelta(hours=1)),
    ]
    owner = Principal("sun", frozenset(), frozenset(), 0, sun)
    async with database.write() as session:
        await revoke_code(session, others.id, principal=owner, reason="lost", now=now)
    found = await referred(database, await claim(database, graph, typed, wu, click_ids=clicks, now=now))
    assert (found.referrer_id, found.click_id) == (lin, clicks[0])
