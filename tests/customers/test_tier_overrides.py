"""Tiers set by hand: two persons, an end, risk that stays above them, and what is computed underneath."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import col, select

from core.audit import AuditEntry
from core.clock import utc_now
from core.errors import KinshipError
from core.outbox import Outbox
from core.traces import erase_traces
from customers.tier_overrides import (
    TIER_OVERRIDE_DUE,
    NewOverride,
    TierOverrideDecided,
    TierOverrideInvalid,
    TierOverrideNeedsAnother,
    TierOverrideOver,
    TierOverridePending,
    decide_override,
    end_override,
    override_tier,
)
from customers.tier_policies import TierPolicy, activate_tier_policy, create_tier_policy
from customers.tier_policy import DEFAULT
from customers.tier_records import OverrideStatus, TierChange, TierOverride
from customers.traces import TRACES
from graph.client import GraphClient
from graph.eligibility import Tier
from segments.tiering import CustomerTier, tier_at, watch_at
from tests.conftest import Addresses
from tests.customers.monthly import (
    decide_months,
    let_override_end,
    make_clients,
    own_stores,
    put_balances,
    put_trait,
    tiers_in_graph,
)
from worker.sweeps import sweep_outbox
from worker.work import Stores

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
APPROVED, REJECTED = OverrideStatus.APPROVED, OverrideStatus.REJECTED


async def ask(
    own: Stores, customer: str, tier: Tier = Tier.VIP, *, ends_in: timedelta = DAY, reason: str = "Known to the board"
) -> str:
    now = utc_now()
    async with own.database.write() as session:
        new = NewOverride(customer, tier, reason, now + ends_in)
        return (await override_tier(session, new, actor="zhou", now=now)).id


async def decide(
    own: Stores, override: str, status: OverrideStatus = APPROVED, *, actor: str = "he", now: datetime | None = None
) -> TierOverride:
    async with own.database.write() as session:
        return await decide_override(session, override, status, actor=actor, reason="Yes", now=now or utc_now())


async def end(own: Stores, override: str) -> TierOverride:
    async with own.database.write() as session:
        return await end_override(session, override, actor="he", reason="No longer", now=utc_now())


async def shown(own: Stores, customer: str, at: datetime | None = None) -> tuple[str, bool]:
    """The tier and the watch as whoever asks for an instant gets them."""
    statement = select(tier_at(at or utc_now()), watch_at(at or utc_now())).where(CustomerTier.customer_id == customer)
    async with own.database.read() as session:
        tier, watch = (await session.exec(statement)).one()
    return tier, bool(watch)


async def changes(own: Stores, customer: str) -> list[tuple[str, str, str]]:
    statement = select(TierChange).where(TierChange.customer_id == customer).order_by(col(TierChange.at))
    async with own.database.read() as session:
        return [(row.cause, row.from_tier, row.to_tier) for row in (await session.exec(statement)).all()]


async def test_an_override_counts_when_somebody_else_has_approved_it(
    stores: Addresses, graph: GraphClient, tmp_path: Path
) -> None:
    """Given a request; then who asked cannot approve it, another can, once; both stores and the audit have it."""
    async with own_stores(stores, graph, tmp_path) as own:
        (one,) = await make_clients(own, 1)
        override = await ask(own, one)
        with pytest.raises(TierOverridePending):
            await ask(own, one)
        with pytest.raises(TierOverrideNeedsAnother):
            await decide(own, override, actor="zhou")
        assert await changes(own, one) == []
        row = await decide(own, override)
        assert (row.status, row.decided_by) == (APPROVED, "he")
        assert (await decide(own, override)).decided_at == row.decided_at
        with pytest.raises(TierOverrideDecided):
            await decide(own, override, REJECTED)
        await sweep_outbox(own)
        assert await shown(own, one) == ("VIP", False)
        assert await tiers_in_graph(graph, [one]) == ["VIP"]
        assert await changes(own, one) == [("OVERRIDE", "MASS", "VIP")]
        await end(own, override)
        await sweep_outbox(own)
        assert await tiers_in_graph(graph, [one]) == ["MASS"]
        assert (await changes(own, one))[1:] == [("OVERRIDE_ENDED", "VIP", "MASS")]
        async with own.database.read() as session:
            entries = (await session.exec(select(AuditEntry).where(AuditEntry.area == f"customer:{one}"))).all()
        assert sorted((entry.action, entry.actor) for entry in entries) == [
            ("CUSTOMER_TIER_OVERRIDE_APPROVED", "he"),
            ("CUSTOMER_TIER_OVERRIDE_ENDED", "he"),
            ("CUSTOMER_TIER_OVERRIDE_REQUESTED", "zhou"),
        ]


async def test_when_it_ends_the_computed_tier_shows_at_once(
    stores: Addresses, graph: GraphClient, tmp_path: Path
) -> None:
    """Given an override and a run beneath it; then whoever asks for the instant of its end has the computed tier."""
    async with own_stores(stores, graph, tmp_path) as own:
        gone, kept = await make_clients(own, 2)
        await put_balances(own.database, {gone: [600_000], kept: [600_000]})
        second = timedelta(seconds=1)
        override = await ask(own, gone, Tier.POTENTIAL)
        ends = (await decide(own, override)).expires_at
        await decide_months(own)
        assert await shown(own, gone, ends - second / 10) == ("POTENTIAL", False)
        assert await shown(own, gone, ends) == ("VIP", False)
        assert await shown(own, kept) == ("VIP", False)
        await sweep_outbox(own)
        assert await tiers_in_graph(graph, [gone, kept]) == ["POTENTIAL", "VIP"]
        ended = await let_override_end(own.database, override)
        assert await shown(own, gone, ended) == ("VIP", False)
        await sweep_outbox(own)
        assert await tiers_in_graph(graph, [gone, kept]) == ["VIP", "VIP"]
        async with own.database.read() as session:
            row = await session.get_one(TierOverride, override)
        assert (row.status, row.end_reason) == (OverrideStatus.ENDED, "expired")
        with pytest.raises(TierOverrideOver):
            await decide(own, await ask(own, gone), now=utc_now() + 2 * DAY)


@pytest.mark.parametrize("beats", [False, True])
async def test_it_beats_no_risk_unless_the_policy_says_so(
    stores: Addresses, graph: GraphClient, tmp_path: Path, beats: bool
) -> None:
    async with own_stores(stores, graph, tmp_path) as own:
        (one,) = await make_clients(own, 1)
        await put_balances(own.database, {one: [600_000]})
        await put_trait(own.database, one, "risk_level", word="HIGH")
        async with own.database.write() as session:
            definition = {**DEFAULT, "overrides_beat_risk": beats}
            policy = await create_tier_policy(session, definition, actor="he", now=utc_now())
            await activate_tier_policy(session, policy.id, actor="he", now=utc_now())
        await decide(own, await ask(own, one))
        await decide_months(own)
        assert await shown(own, one) == ("VIP" if beats else "MASS", False)


async def test_who_asked_withdraws_and_what_waited_too_long_stands_in_nobodys_way(
    stores: Addresses, graph: GraphClient, tmp_path: Path
) -> None:
    """Given a request; then who asked may reject it; one that waited beyond its own end gives way to the next one."""
    async with own_stores(stores, graph, tmp_path) as own:
        (one,) = await make_clients(own, 1)
        row = await decide(own, await ask(own, one), REJECTED, actor="zhou")
        assert (row.status, row.decided_by) == (REJECTED, "zhou")
        late = await ask(own, one, ends_in=timedelta(milliseconds=1))
        await asyncio.sleep(0.01)
        fresh = await ask(own, one)
        async with own.database.read() as session:
            rows = [await session.get_one(TierOverride, override) for override in (late, fresh)]
        assert [(row.status, row.decision_reason) for row in rows] == [(REJECTED, "expired"), ("PENDING", None)]


async def test_an_override_whose_customer_was_erased_has_no_end_to_settle(
    stores: Addresses, graph: GraphClient, tmp_path: Path
) -> None:
    async with own_stores(stores, graph, tmp_path) as own:
        (one,) = await make_clients(own, 1)
        override = await ask(own, one)
        await decide(own, override)
        async with own.database.write() as session:
            await erase_traces(session, TRACES, one)
        await let_override_end(own.database, override)
        await sweep_outbox(own)
        async with own.database.read() as session:
            effects = (await session.exec(select(Outbox).where(Outbox.topic == TIER_OVERRIDE_DUE))).all()
        assert [(row.key, row.failure, row.settled_at is not None) for row in effects] == [(override, None, True)]


async def test_approvals_and_ends_at_once_wait_in_no_circle(
    stores: Addresses, graph: GraphClient, tmp_path: Path
) -> None:
    """Given an override that counts and one that waits; when one ends while the other is approved; then both are."""
    async with own_stores(stores, graph, tmp_path) as own:
        people = await make_clients(own, 12)
        firsts = [await ask(own, one) for one in people]
        for override in firsts:
            await decide(own, override)
        seconds = [await ask(own, one, Tier.POTENTIAL) for one in people]
        both = [
            work for pair in zip(firsts, seconds, strict=True) for work in (end(own, pair[0]), decide(own, pair[1]))
        ]
        await asyncio.gather(*both)
        assert [await shown(own, one) for one in people] == [("POTENTIAL", False)] * 12


async def test_a_new_one_replaces_the_one_before(stores: Addresses, graph: GraphClient, tmp_path: Path) -> None:
    """Given two overrides one after the other; then the second counts, and the end of the first changes nothing."""
    async with own_stores(stores, graph, tmp_path) as own:
        (one,) = await make_clients(own, 1)
        first = await ask(own, one)
        await decide(own, first)
        await decide(own, await ask(own, one, Tier.POTENTIAL))
        assert (await end(own, first)).end_reason == "replaced"
        assert await shown(own, one) == ("POTENTIAL", False)
        third = await ask(own, one)
        await decide(own, third, REJECTED)
        assert await shown(own, one) == ("POTENTIAL", False)
        with pytest.raises(TierOverrideOver):
            await end(own, third)


async def test_of_many_who_decide_at_once_one_does(stores: Addresses, graph: GraphClient, tmp_path: Path) -> None:
    """Given eight who ask for the same customer, and eight who decide; then there is one request and one decision."""
    async with own_stores(stores, graph, tmp_path) as own:
        (one,) = await make_clients(own, 1)
        asked = await asyncio.gather(*(ask(own, one) for _ in range(8)), return_exceptions=True)
        (override,) = [found for found in asked if isinstance(found, str)]
        assert all(isinstance(found, TierOverridePending) for found in asked if found != override)
        outcomes = await asyncio.gather(
            *(decide(own, override, (APPROVED, REJECTED)[nth % 2], actor=f"he-{nth}") for nth in range(8)),
            return_exceptions=True,
        )
        (done,) = [found for found in outcomes if isinstance(found, TierOverride)]
        assert sum(isinstance(found, TierOverrideDecided) for found in outcomes) == 7
        assert len(await changes(own, one)) == (done.status == APPROVED)


@pytest.mark.parametrize(("reason", "ends_in"), [(" ", DAY), ("x" * 501, DAY), ("good", -DAY), ("good", 400 * DAY)])
async def test_it_needs_a_reason_and_an_end(
    stores: Addresses, graph: GraphClient, tmp_path: Path, reason: str, ends_in: timedelta
) -> None:
    async with own_stores(stores, graph, tmp_path) as own:
        with pytest.raises(TierOverrideInvalid):
            await ask(own, "anybody", reason=reason, ends_in=ends_in)


async def test_one_policy_is_active_however_many_are_activated_at_once(
    stores: Addresses, graph: GraphClient, tmp_path: Path
) -> None:
    """Given six drafts that are activated at once; then one is active, the others and the first are retired."""
    async with own_stores(stores, graph, tmp_path) as own:

        async def activate(policy_id: str) -> None:
            async with own.database.write() as session:
                await activate_tier_policy(session, policy_id, actor="he", now=utc_now())

        async def draft() -> str:
            async with own.database.write() as session:
                return (await create_tier_policy(session, DEFAULT, actor="he", now=utc_now())).id

        drafts = await asyncio.gather(*(draft() for _ in range(6)))
        await asyncio.gather(*(activate(policy) for policy in drafts))
        async with own.database.read() as session:
            rows = (await session.exec(select(TierPolicy))).all()
        assert sorted(row.status for row in rows) == ["ACTIVE"] + ["RETIRED"] * 6
        assert sorted(row.version for row in rows) == [1, 2, 3, 4, 5, 6, 7]
        retired = next(row for row in rows if row.status == "RETIRED")
        with pytest.raises(KinshipError, match="TIER_POLICY_RETIRED"):
            await activate(retired.id)
