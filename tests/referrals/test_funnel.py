"""The funnel and the K-factor: equal to counts of a plain model over random histories, on both databases."""

import random
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from core.db import Database
from core.errors import NotFound
from core.facts import NewFact, record_facts
from core.ids import new_id
from referrals.analytics import WindowInvalid
from referrals.attribution import ReferralStatus, referral_id
from referrals.funnel import MOST_CHANNELS, Funnel, StageKind, referral_funnel
from referrals.k_factor import Spread, WindowDaysInvalid, k_factor, sum_of
from referrals.links import ReferralClick
from referrals.rewards import ReferralReward, RewardStatus
from referrals.settlement import ReferralStep
from tests.referrals.forests import Forest, a_code, put_referrals, random_forest, turn
from tests.referrals.programs import make_program

pytestmark = pytest.mark.anyio

BEGIN = datetime(2026, 3, 20, 13, 0, 0, 123456, tzinfo=UTC)
CHANNELS = ("wechat", "qr", "direct")


@dataclass
class History:
    """A forest with clicks and what became of each referral."""

    forest: Forest
    clicks: list[tuple[str, str, bool, datetime]]
    channel_of: dict[str, str]
    status: dict[str, ReferralStatus]
    steps: dict[str, int]
    rewarded: set[str]
    joined: dict[str, datetime]


async def make_history(database: Database, seed: int, size: int = 60) -> History:
    dice = random.Random(seed)
    program = await make_program(database)
    forest = random_forest(program, size, dice, begin=BEGIN)
    joined = {person: BEGIN + timedelta(hours=dice.randrange(1000)) for person in forest.people}
    codes = {person: new_id() for person in forest.people}
    history = History(forest, [], {}, {}, {}, set(), joined)
    click_ids: dict[str, str] = {}
    async with database.write() as session:
        for person, at in joined.items():
            session.add(a_code(program, person, codes[person], at))
        await session.flush()
        for number in range(200):
            person, channel = dice.choice(forest.people), dice.choice(CHANNELS)
            is_robot, at = dice.random() < 0.3, BEGIN + timedelta(hours=dice.randrange(1200))
            click = ReferralClick(id=new_id(), code_id=codes[person], channel=channel, is_robot=is_robot, clicked_at=at)
            session.add(click)
            history.clicks.append((person, channel, is_robot, at))
            mine = [one for one, referrer in forest.edges.items() if referrer == person and one not in click_ids]
            if mine and not is_robot and number % 2:
                click_ids[mine[0]], history.channel_of[mine[0]] = click.id, channel
    await put_referrals(database, forest, click_ids=click_ids, codes=codes)
    for referee in forest.edges:
        history.status[referee] = dice.choice(list(ReferralStatus))
        await turn(database, program, referee, history.status[referee], at=BEGIN)
        history.steps[referee] = 2 if history.status[referee] == ReferralStatus.QUALIFIED else dice.randrange(2)
        await put_steps(database, history, referee, dice)
    return history


async def put_steps(database: Database, history: History, referee: str, dice: random.Random) -> None:
    """Steps and rewards beside a referral, as settlement leaves them."""
    program, referral = history.forest.program, referral_id(history.forest.program, referee)
    fact = NewFact("test", new_id(), "IDENTITY_VERIFIED", referee, BEGIN, {})
    async with database.write() as session:
        await record_facts(session, [fact], now=BEGIN)
        for position, step in enumerate(("verified", "first-event")[: history.steps[referee]]):
            session.add(
                ReferralStep(
                    referral_id=referral,
                    step=step,
                    program_id=program,
                    position=position,
                    fact_id=fact.id,
                    reached_at=BEGIN,
                )
            )
        status = dice.choice([RewardStatus.ISSUED, RewardStatus.PENDING, RewardStatus.CANCELLED])
        if history.status[referee] == ReferralStatus.QUALIFIED and status == RewardStatus.ISSUED:
            history.rewarded.add(referee)
        session.add(
            ReferralReward(
                id=new_id(),
                key=new_id(),
                referral_id=referral,
                program_id=program,
                version=1,
                step="verified",
                side="REFERRER",
                customer_id=history.forest.edges[referee],
                fact_id=fact.id,
                wanted_points=1,
                points=1,
                counters=[],
                status=status,
                reached_at=BEGIN,
                available_at=BEGIN,
                expires_at=BEGIN,
                created_at=BEGIN,
            )
        )


async def funnel(
    database: Database, program: str, start: datetime, end: datetime, channel: str | None = None
) -> Funnel:
    async with database.read() as session:
        return await referral_funnel(session, program_id=program, start=start, end=end, channel=channel)


def counts_of(history: History, start: datetime, end: datetime, channels: set[str | None]) -> list[int]:
    """The stages in their order, counted one by one."""
    claims = [
        one
        for one in history.forest.edges
        if start <= history.forest.claimed_at[one] < end and history.channel_of.get(one) in channels
    ]
    good = [one for one in claims if history.status[one] != ReferralStatus.REJECTED]
    return [
        sum(start <= at < end and not is_robot and channel in channels for _, channel, is_robot, at in history.clicks),
        len(claims),
        sum(history.steps[one] >= 1 for one in good),
        sum(history.steps[one] >= 2 for one in good),
        sum(history.status[one] == ReferralStatus.QUALIFIED for one in good),
        sum(one in history.rewarded for one in good),
    ]


@pytest.mark.parametrize("seed", [1, 2])
async def test_the_funnel_is_what_one_counts_by_hand(database: Database, seed: int) -> None:
    history = await make_history(database, seed)
    program = history.forest.program
    for start, days in ((BEGIN, 60), (BEGIN + timedelta(days=2), 3), (BEGIN - timedelta(days=9), 9)):
        end = start + timedelta(days=days)
        found = await funnel(database, program, start, end)
        assert found.steps == ["verified", "first-event"]
        everything: set[str | None] = {*CHANNELS, None}
        stages = found.total.stages(found.steps)
        assert [stage.count for stage in stages] == counts_of(history, start, end, everything)
        assert found.total.robots == sum(start <= at < end and robot for _, _, robot, at in history.clicks)
        for channel, tally in found.channels:
            counted = [stage.count for stage in tally.stages(found.steps)]
            assert counted == counts_of(history, start, end, {channel})
        only = await funnel(database, program, start, end, "qr")
        assert [stage.count for stage in only.total.stages(only.steps)] == counts_of(history, start, end, {"qr"})
        for before, stage in pairwise(stages[1:]):
            assert stage.conversion == (stage.count / before.count if before.count else None)
        assert stages[0].kind == StageKind.CLICKED
        assert all(stage.conversion is None or stage.conversion <= 1 for stage in stages[2:])


async def test_what_nobody_asked_for_is_not_counted(database: Database) -> None:
    program = await make_program(database)
    with pytest.raises(WindowInvalid):
        await funnel(database, program, BEGIN, BEGIN)
    with pytest.raises(WindowInvalid):
        await funnel(database, program, BEGIN, BEGIN + timedelta(days=366, seconds=1))
    with pytest.raises(NotFound):
        await funnel(database, new_id(), BEGIN, BEGIN + timedelta(days=1))


async def test_made_up_channels_do_not_flood_the_answer(database: Database) -> None:
    program, person, code = await make_program(database), new_id(), new_id()
    async with database.write() as session:
        session.add(a_code(program, person, code, BEGIN))
        await session.flush()
        for number in range(MOST_CHANNELS * 2):
            session.add(
                ReferralClick(id=new_id(), code_id=code, channel=f"c{number}", is_robot=False, clicked_at=BEGIN)
            )
    found = await funnel(database, program, BEGIN, BEGIN + timedelta(days=1))
    assert len(found.channels) == MOST_CHANNELS
    assert found.total.clicks == MOST_CHANNELS * 2


def spreads_of(history: History, start: datetime, end: datetime, days: int) -> dict[tuple[str, int], tuple[int, ...]]:
    """Members, clicks, typed claims and conversions by cohort and generation, counted one by one."""
    forest, found = history.forest, defaultdict[tuple[str, int], Counter[str]](Counter)
    for person, joined in history.joined.items():
        if not start <= joined < end:
            continue
        until, generation, above = joined + timedelta(days=days), 0, person
        while above in forest.edges:
            above, generation = forest.edges[above], generation + 1
        cell = found[(joined.strftime("%Y-%m"), min(generation, 10))]
        claims = [one for one, referrer in forest.edges.items() if referrer == person]
        timely = [one for one in claims if joined <= forest.claimed_at[one] < until]
        cell["members"] += 1
        cell["clicks"] += sum(
            who == person and not robot and joined <= at < until for who, _, robot, at in history.clicks
        )
        cell["typed"] += sum(one not in history.channel_of for one in timely)
        cell["conversions"] += sum(history.status[one] == ReferralStatus.QUALIFIED for one in timely)
    return {
        key: tuple(cell[name] for name in ("members", "clicks", "typed", "conversions")) for key, cell in found.items()
    }


async def k_of(
    database: Database, program: str, days: int, generation: int | None = None, **more: datetime
) -> list[Spread]:
    asked = {"start": BEGIN, "end": BEGIN + timedelta(days=60), **more}
    async with database.read() as session:
        return await k_factor(session, program_id=program, window_days=days, generation=generation, **asked)


@pytest.mark.parametrize("seed", [3, 4])
async def test_the_k_factor_is_what_one_counts_by_hand(database: Database, seed: int) -> None:
    history = await make_history(database, seed)
    program = history.forest.program
    for start, end, days in (
        (BEGIN, BEGIN + timedelta(days=60), 30),
        (BEGIN, BEGIN + timedelta(days=60), 2),
        (BEGIN + timedelta(days=7), BEGIN + timedelta(days=20), 366),
    ):
        found = await k_of(database, program, days, start=start, end=end)
        expected = spreads_of(history, start, end, days)
        assert {
            (one.cohort, one.generation): (one.members, one.clicks, one.typed_claims, one.conversions) for one in found
        } == expected
        total = sum_of(found)
        members, invitations = total.members, total.invitations
        assert members == sum(start <= joined < end for joined in history.joined.values())
        assert total.k == total.conversions / members
        assert total.invitations_per_member == invitations / members
        assert total.conversion_rate == (total.conversions / invitations if invitations else None)
        second = await k_of(database, program, days, 1, start=start, end=end)
        assert second == [one for one in found if one.generation == 1]


async def test_a_member_whose_code_was_renewed_stays_in_the_first_cohort(database: Database) -> None:
    program, person = await make_program(database), new_id()
    async with database.write() as session:
        session.add(a_code(program, person, new_id(), BEGIN))
        newer = a_code(program, person, new_id(), BEGIN + timedelta(days=30))
        newer.status = "RETIRED"
        session.add(newer)
    assert [(one.cohort, one.members) for one in await k_of(database, program, 30)] == [("2026-03", 1)]
    assert await k_of(database, program, 30, start=BEGIN + timedelta(days=1)) == []


async def test_a_generation_of_ten_or_more_is_the_last(database: Database) -> None:
    forest = Forest(await make_program(database), [new_id() for _ in range(15)])
    for number in range(14):
        referee = forest.people[number + 1]
        forest.edges[referee], forest.claimed_at[referee] = forest.people[number], BEGIN
    await put_referrals(database, forest, codes={person: new_id() for person in forest.people}, made_at=BEGIN)
    found = await k_of(database, forest.program, 30)
    assert [(one.generation, one.members) for one in found] == [*((n, 1) for n in range(10)), (10, 5)]
    assert sum_of([]).k is None
    with pytest.raises(WindowDaysInvalid):
        await k_of(database, forest.program, 0)
