"""Monthly runs over both stores: inputs, gaps, months in order, and what they leave behind."""

from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlmodel import col, select

from core.clock import utc_now
from core.days import months_before, next_month
from core.facts import Fact
from customers.tier_inputs import whole_months
from customers.tier_overrides import NewOverride, decide_override, override_tier
from customers.tier_policies import activate_tier_policy, active_policy, create_tier_policy
from customers.tier_policy import DEFAULT, parse_tier_definition
from customers.tier_preview import TierPreviewImpossible, preview_policy
from customers.tier_records import OverrideStatus, TierDecision, TierRun
from customers.tier_rules import RANK, Decision, InputMark, TierRule, capped
from customers.tier_run import (
    TierMonthBeforeFirst,
    TierMonthNotOver,
    cause_of,
    due_month,
    end_of_month,
    has_work,
    open_months,
)
from graph.client import GraphClient
from graph.eligibility import Tier
from segments.tiering import CustomerTier
from service.tasks import Task
from tests.conftest import Addresses
from tests.customers.monthly import (
    LAST,
    YUAN,
    decide_months,
    let_override_end,
    make_clients,
    outcome,
    own_stores,
    put_balances,
    put_trait,
    tiers_in_graph,
)
from tests.loyalty.closing import ZONE
from worker.sweeps import sweep_outbox
from worker.work import Stores

pytestmark = pytest.mark.anyio


async def decisions(stores: Stores, customer: str) -> list[TierDecision]:
    statement = select(TierDecision).where(TierDecision.customer_id == customer).order_by(col(TierDecision.month))
    async with stores.database.read() as session:
        return list((await session.exec(statement)).all())


async def test_a_run_decides_and_lands_in_both_stores(stores: Addresses, graph: GraphClient, tmp_path: Path) -> None:
    """Given seven customers in ranges of three; when the last month is run twice; then once each is decided."""
    async with own_stores(stores, graph, tmp_path) as own:
        ids = await make_clients(own, 7)
        rich, risky, gifted, poor, two, foreign, _ = ids
        await put_balances(own.database, {rich: [600_000], risky: [600_000], poor: [100], two: [300_000]})
        await put_balances(own.database, {two: [200_000]}, source="broker", contribution=7)
        await put_balances(own.database, {poor: [900_000]}, source="broker", last=months_before(LAST))
        await put_balances(own.database, {foreign: [900_000]}, currency="USD")
        await put_trait(own.database, gifted, "potential", number=80)
        await put_trait(own.database, risky, "risk_level", word="HIGH")
        await decide_months(own)
        first = await outcome(own.database)
        assert await tiers_in_graph(graph, ids) == ["VIP", None, "POTENTIAL", None, "VIP", None, None]
        await decide_months(own)
        assert await outcome(own.database) == first

        run = first["TierRun"][0]
        assert (run["customers"], run["decided"], run["capped"], run["month"]) == (7, 5, 1, LAST)
        assert {row["customer_id"] for row in first["TierDecision"]} == set(ids[:5])
        assert {row["customer_id"]: (row["tier"], row["cap"]) for row in first["CustomerTier"]} == {
            rich: ("VIP", None),
            risky: ("MASS", "MASS"),
            gifted: ("POTENTIAL", None),
            two: ("VIP", None),
        }
        assert [(row["cause"], row["to_tier"]) for row in first["TierChange"]].count(("FIRST", "VIP")) == 2
        found = (await decisions(own, two))[0]
        assert (found.assets, found.contribution, found.score) == (500_000 * YUAN, 7, 40_000)
        marks = [InputMark((await decisions(own, one))[0].marks) for one in (poor, two)]
        assert marks == [InputMark.SOURCE_MISSING, InputMark.NONE]
        traits = {(row["customer_id"], row["name"]): row["number"] for row in first["CustomerTrait"]}
        assert traits[two, "assets"] == 500_000 * YUAN and traits[two, "contribution_12m"] == 7
        assert (foreign, "assets") not in traits
        await check_facts(own, ids, risky)


async def check_facts(own: Stores, ids: list[str], risky: str) -> None:
    """What is computed for the first time is no change to tell of; a high risk is."""
    async with own.database.read() as session:
        facts = (await session.exec(select(Fact).where(col(Fact.customer_id).in_(ids)))).all()
    month = LAST.isoformat()[:7]
    assert [(fact.kind, fact.customer_id, fact.payload) for fact in facts] == [
        ("TIER_REVIEW_DUE", risky, {"month": month, "risk_level": "HIGH"})
    ]


async def test_missed_months_are_caught_up_in_order(stores: Addresses, graph: GraphClient, tmp_path: Path) -> None:
    """Given six months of balances that fall; when two runs do them, or one; then both end the same."""
    first = months_before(LAST, 5)
    ends: list[object] = []
    for missed in (False, True):
        folder = tmp_path / str(missed)
        folder.mkdir()
        async with own_stores(stores, graph, folder) as own:
            (one,) = await make_clients(own, 1)
            await put_balances(own.database, {one: [600_000, 10, 10, 10, 10, 10]})
            await decide_months(own, first)
            if not missed:
                await decide_months(own, *(months_before(LAST, back) for back in (4, 3, 2, 1)))
                async with own.database.read() as session:
                    assert (await session.get_one(CustomerTier, one)).on_watch is False
            await decide_months(own)
            rules = [(row.month, row.rule, row.tier) for row in await decisions(own, one)]
            assert [rule for _, rule, _ in rules] == ["FIRST", "WATCH", "WATCH", "WATCH", "FALL", "HOLD"]
            assert [month for month, _, _ in rules] == [months_before(LAST, back) for back in (5, 4, 3, 2, 1, 0)]
            async with own.database.read() as session:
                facts = (await session.exec(select(Fact).where(Fact.kind == "TIER_CHANGED"))).all()
            fall = {"from": "VIP", "to": "MASS", "cause": "FALL", "month": months_before(LAST, 1).isoformat()[:7]}
            assert [fact.payload for fact in facts] == [{**fall, "direction": "DOWN"}]
            assert await tiers_in_graph(graph, [one]) == ["MASS"]
            ends.append(rules)
    assert ends[0] == ends[1]


async def test_what_is_missing_is_carried_while_it_is_not_stale(
    stores: Addresses, graph: GraphClient, tmp_path: Path
) -> None:
    """Given gaps of one to three months, traits of others fresh and stale; then each is used as the rule says."""
    async with own_stores(stores, graph, tmp_path) as own:
        ids = await make_clients(own, 6)
        gap1, gap2, gap3, trait, stale, both = ids
        await put_balances(own.database, {gap1: [600_000, None], gap2: [600_000, None, None]}, contribution=9)
        await put_balances(own.database, {gap3: [600_000, None, None, None], both: [5]})
        end = end_of_month(LAST, ZONE)
        for customer, age in ((trait, 61), (stale, 63), (both, 1)):
            at = end - timedelta(days=age)
            await put_trait(own.database, customer, "assets", number=700_000 * YUAN, observed_at=at)
        await put_trait(own.database, stale, "potential", number=90, observed_at=end - timedelta(days=366))
        await put_trait(own.database, stale, "risk_level", word="HIGH", observed_at=end - timedelta(days=999))
        await decide_months(own)
        found = {row.customer_id: row for id in ids for row in await decisions(own, id)}
        assert [(found[id].assets, found[id].carried) for id in ids] == [
            (600_000 * YUAN, 1),
            (600_000 * YUAN, 2),
            (None, 0),
            (700_000 * YUAN, 0),
            (None, 0),
            (5 * YUAN, 0),
        ]
        assert InputMark(found[gap1].marks) == InputMark.CONTRIBUTION_OLD
        assert InputMark(found[trait].marks) == InputMark.ASSETS_BY_TRAIT
        assert InputMark(found[stale].marks) == InputMark.POTENTIAL_STALE | InputMark.RISK_STALE
        assert (found[stale].potential, found[stale].risk, found[both].marks) == (None, "HIGH", 0)


async def test_a_month_is_run_by_the_policy_that_was_active_when_it_began(
    stores: Addresses, graph: GraphClient, tmp_path: Path
) -> None:
    """Given a run that has begun; when another policy is activated; then only what begins later goes by it."""
    async with own_stores(stores, graph, tmp_path) as own:
        ids = await make_clients(own, 2)
        await put_balances(own.database, {id: [600_000, 600_000] for id in ids})
        before = months_before(LAST, 1)
        async with own.database.write() as session:
            await open_months(session, until=before, zone=ZONE, now=utc_now())
            first = (await active_policy(session)).id
        harder = {**DEFAULT, "entries": {"POTENTIAL": {"score": 35}, "VIP": {"score": 90}}, "keep_percent": 100}
        async with own.database.write() as session:
            policy = await create_tier_policy(session, harder, actor="he", now=utc_now())
            await activate_tier_policy(session, policy.id, actor="he", now=utc_now())
        await decide_months(own)
        async with own.database.read() as session:
            runs = (await session.exec(select(TierRun).order_by(col(TierRun.month)))).all()
        assert [run.policy_id for run in runs] == [first, policy.id]
        assert [(row.rule, row.tier) for row in await decisions(own, ids[0])] == [("FIRST", 2), ("WATCH", 2)]


async def test_months_are_due_when_their_balances_have_had_time_to_arrive(
    stores: Addresses, graph: GraphClient, tmp_path: Path
) -> None:
    """Given the five days that the policy waits; then a month is due after them, and none comes earlier."""
    async with own_stores(stores, graph, tmp_path) as own:
        over = end_of_month(LAST, ZONE)
        soon, late = over + timedelta(days=4), over + timedelta(days=6)
        async with own.database.write() as session:
            assert await due_month(session, zone=ZONE, now=soon) == months_before(LAST, 1)
            assert await due_month(session, zone=ZONE, now=late) == LAST
            with pytest.raises(TierMonthNotOver):
                await open_months(session, until=LAST, zone=ZONE, now=over - timedelta(seconds=1))
            await open_months(session, until=LAST, zone=ZONE, now=over)
            with pytest.raises(TierMonthBeforeFirst):
                await open_months(session, until=months_before(LAST, 1), zone=ZONE, now=over)
            assert await has_work(session, zone=ZONE, now=over)
        await decide_months(own)
        async with own.database.read() as session:
            assert not await has_work(session, zone=ZONE, now=late)
            assert await has_work(session, zone=ZONE, now=end_of_month(next_month(LAST), ZONE) + timedelta(days=9))


async def test_of_a_large_bank_a_preview_takes_those_whose_ids_end_low(
    stores: Addresses, graph: GraphClient, tmp_path: Path
) -> None:
    """Given forty decided customers and room for twenty; then about half are tried, the same ones each time."""
    async with own_stores(stores, graph, tmp_path) as own:
        ids = await make_clients(own, 40)
        await put_balances(own.database, {id: [600_000] for id in ids})
        await decide_months(own, batch=50)
        async with own.database.read() as session:
            found = await preview_policy(session, parse_tier_definition(DEFAULT), LAST, largest=20)
            again = await preview_policy(session, parse_tier_definition(DEFAULT), largest=20)
            whole = await preview_policy(session, parse_tier_definition(DEFAULT))
            for name, value in (("currency", "USD"), ("carry_months", 0)):
                with pytest.raises(TierPreviewImpossible) as caught:
                    await preview_policy(session, parse_tier_definition({**DEFAULT, name: value}))
                assert caught.value.path == ("definition", name)
        low = sum(id[-4:] < "8000" for id in ids)
        assert (found.customers, found.sampled, found.moves) == (40, low, {("VIP", "VIP"): low} if low else {})
        assert again == found
        assert (whole.sampled, whole.on_watch_before, whole.on_watch_after, whole.capped) == (40, 0, 0, 0)


async def test_a_potential_is_from_0_to_100_whatever_is_told(
    stores: Addresses, graph: GraphClient, tmp_path: Path
) -> None:
    """Given numbers of 15 digits that a source sent; then they mean the most and the least, and the month is run."""
    async with own_stores(stores, graph, tmp_path) as own:
        most, least = await make_clients(own, 2)
        await put_trait(own.database, most, "potential", number=10**15 - 1)
        await put_trait(own.database, least, "potential", number=1 - 10**15)
        await decide_months(own)
        assert [(await decisions(own, one))[0].potential for one in (most, least)] == [100, 0]


@pytest.mark.parametrize(
    ("before", "now", "cap", "covered", "is_rise", "cause"),
    [
        (None, Tier.VIP, None, False, True, "FIRST"),
        (None, Tier.VIP, Tier.POTENTIAL, False, True, "FIRST"),
        (Tier.MASS, Tier.VIP, None, False, True, "RISE"),
        (Tier.MASS, Tier.VIP, Tier.POTENTIAL, False, True, "RISE"),
        (Tier.VIP, Tier.POTENTIAL, None, False, False, "FALL"),
        # The cap decides, though the customer has fallen beneath it as well.
        (Tier.VIP, Tier.POTENTIAL, Tier.MASS, False, False, "RISK_CAP"),
        (Tier.VIP, Tier.VIP, Tier.MASS, False, False, "RISK_CAP"),
        (Tier.VIP, Tier.VIP, None, False, True, "RISK_LIFTED"),
        # The cap is lifted while the customer falls beneath it.
        (Tier.VIP, Tier.POTENTIAL, None, False, True, "RISK_LIFTED"),
        # Beneath an override only a cap shows.
        (Tier.MASS, Tier.MASS, Tier.MASS, True, False, "RISK_CAP"),
        (Tier.VIP, Tier.MASS, None, True, True, "RISK_LIFTED"),
    ],
)
def test_the_cause_of_a_change_is_what_decided(
    before: Tier | None, now: Tier, cap: Tier | None, covered: bool, is_rise: bool, cause: str
) -> None:
    row = None if before is None else SimpleNamespace(standing=RANK[before])
    decision = Decision(0, now, now, capped(now, cap), 0, Tier.MASS, TierRule.HOLD, cap)
    assert cause_of(row, decision, is_rise=is_rise, is_overridden=covered) == cause


async def test_an_override_that_is_over_ends_before_the_month_changes_anything(
    stores: Addresses, graph: GraphClient, tmp_path: Path
) -> None:
    """Given an override that is over and not settled; when a run decides; then both changes have their own cause."""
    async with own_stores(stores, graph, tmp_path) as own:
        (one,) = await make_clients(own, 1)
        async with own.database.write() as session:
            new = NewOverride(one, Tier.VIP, "Board", utc_now() + timedelta(days=1))
            row = await override_tier(session, new, actor="zhou", now=utc_now())
        async with own.database.write() as session:
            await decide_override(session, row.id, OverrideStatus.APPROVED, actor="he", reason="Yes", now=utc_now())
        await put_trait(own.database, one, "potential", number=80)
        await let_override_end(own.database, row.id)
        await decide_months(own)
        found = await outcome(own.database)
        moves = {(row["cause"], row["from_tier"], row["to_tier"]) for row in found["TierChange"]}
        assert moves == {
            ("OVERRIDE", "MASS", "VIP"),
            ("OVERRIDE_ENDED", "VIP", "MASS"),
            ("FIRST", "MASS", "POTENTIAL"),
        }


async def test_a_policy_that_newly_caps_a_level_asks_for_reviews(
    stores: Addresses, graph: GraphClient, tmp_path: Path
) -> None:
    """Given a risk that the policy of a month did not cap; when the next one does; then it asks, once, by a task."""
    async with own_stores(stores, graph, tmp_path) as own:
        (one,) = await make_clients(own, 1)
        await put_balances(own.database, {one: [600_000] * 3})
        await put_trait(own.database, one, "risk_level", word="MEDIUM")
        await decide_months(own, months_before(LAST, 2))
        async with own.database.write() as session:
            definition = {**DEFAULT, "risk_caps": {"MEDIUM": "POTENTIAL"}}
            policy = await create_tier_policy(session, definition, actor="he", now=utc_now())
            await activate_tier_policy(session, policy.id, actor="he", now=utc_now())
        await decide_months(own, months_before(LAST), LAST)
        await sweep_outbox(own)
        async with own.database.read() as session:
            facts = (await session.exec(select(Fact).where(Fact.kind == "TIER_REVIEW_DUE"))).all()
            tasks = (await session.exec(select(Task))).all()
        month = months_before(LAST).isoformat()[:7]
        assert [fact.payload for fact in facts] == [{"month": month, "risk_level": "MEDIUM"}]
        assert [(task.kind, task.customer_id, task.subject) for task in tasks] == [("TIER_REVIEW", one, facts[0].id)]


@pytest.mark.parametrize(
    ("since", "until", "months"),
    [
        ("2020-01-01", "2020-02-01", 1),
        ("2020-01-02", "2020-02-01", 0),
        ("2019-12-31", "2020-12-01", 11),
        ("2021-01-01", "2020-01-01", 0),
    ],
)
def test_tenure_is_whole_months(since: str, until: str, months: int) -> None:
    assert whole_months(date.fromisoformat(since), date.fromisoformat(until)) == months
