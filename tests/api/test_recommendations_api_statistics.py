"""How a community is recommended, over HTTP: shown, opened, joined, for those who manage it and nobody else."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from api.relay import global_id
from community.access import MemberRole
from community.recommendation_exposures import RecommendationExposure, Shown
from core.clock import utc_now
from core.db import Database
from core.ids import new_id
from tests.api.conftest import Caller, System, running, settings_for
from tests.api.test_denials import state
from tests.api.test_recommendations_api import RECOMMENDED, put_list
from tests.api.test_round_trips import cost
from tests.api.test_way_through import local_of
from tests.community.places import add_member, make_community, make_customers
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio

STATISTICS = """
query($id: ID!, $since: Date, $until: Date) {
  recommendationStatistics(communityId: $id, since: $since, until: $until) {
    since until
    total { shown opened joined }
    days { day figures { shown opened joined } }
    variants { variant figures { shown opened joined } }
    reasons { kind figures { shown opened joined } }
  }
}
"""
OPEN = """
mutation($id: ID!) { openRecommendation(input: {communityId: $id}) {
  __typename ... on OpenRecommendationSuccess { communityId } ... on Refusal { code }
} }
"""
JOIN = "mutation($id: ID!) { joinCommunity(input: {communityId: $id}) { __typename } }"
COSTS = {"recommendationStatistics": (1, 2), "openRecommendation": (0, 1)}


async def statistics(caller: Caller, community: str, **asked: Any) -> dict[str, Any]:
    return (await caller.ask(STATISTICS, id=global_id("Community", community), **asked))["recommendationStatistics"]


def figures(shown: int | None, opened: int | None, joined: int | None) -> dict[str, int | None]:
    return {"shown": shown, "opened": opened, "joined": joined}


async def test_a_manager_sees_how_many_were_shown_opened_and_joined(system: System, unique: str) -> None:
    """Given seven who are shown it thrice, of whom six open it and five join; then that is said, with why."""
    owner = await system.customer(f"own-{unique}")
    community = await make_community(system.edge.graph, owner_id=local_of(f"own-{unique}"))
    id, reason = global_id("Community", community), {"kind": "SHARED_TAGS", "tags": ["tea"]}
    for number in range(7):
        name = f"c{number}-{unique}"
        caller = await system.customer(name)
        await put_list(system, local_of(name), [community], reason=reason, variant="TREATMENT" if number else None)
        for _ in range(3):
            await caller.ask(RECOMMENDED)
            await system.edge.exposures.flush()
        if number < 6:
            await caller.ask(OPEN, id=id)
            await caller.ask(OPEN, id=id)
        if number < 5:
            await caller.ask(JOIN, id=id)
            await caller.ask(JOIN, id=id)
    await system.edge.exposures.flush()
    found = await statistics(owner, community)
    today = utc_now().date()
    assert (found["since"], found["until"]) == ((today - timedelta(days=29)).isoformat(), today.isoformat())
    assert found["total"] == figures(7, 6, 5)
    assert found["days"] == [{"day": today.isoformat(), "figures": figures(7, 6, 5)}]
    assert found["reasons"] == [{"kind": "SHARED_TAGS", "figures": figures(7, 6, 5)}]
    # One of the seven has a list of the active policy: neither is that told, nor what would tell it.
    assert found["variants"] == [
        {"variant": "CONTROL", "figures": figures(None, None, None)},
        {"variant": "TREATMENT", "figures": figures(None, None, None)},
    ]
    before = await statistics(owner, community, until=(today - timedelta(days=1)).isoformat())
    assert (before["total"], before["days"]) == (figures(0, 0, 0), [])


async def test_fewer_than_five_are_not_told(system: System, unique: str) -> None:
    """Given four who are shown it and one who opens it; then neither number is told, and who joins is none of them."""
    owner = await system.customer(f"own-{unique}")
    community = await make_community(system.edge.graph, owner_id=local_of(f"own-{unique}"))
    for number in range(4):
        name = f"c{number}-{unique}"
        caller = await system.customer(name)
        await put_list(system, local_of(name), [community])
        await caller.ask(RECOMMENDED)
        if number == 0:
            await caller.ask(OPEN, id=global_id("Community", community))
    unseen = await system.customer(f"u-{unique}")
    await unseen.ask(JOIN, id=global_id("Community", community))
    await unseen.ask(OPEN, id=global_id("Community", community))
    await system.edge.exposures.flush()
    assert (await statistics(owner, community))["total"] == figures(None, None, 0)


async def test_only_managers_and_administrators_see_it(system: System, unique: str) -> None:
    """Given members of every role and outsiders; then all but managers are told what they are of what is absent."""
    community = await make_community(system.edge.graph, visibility="PRIVATE")
    allowed = {MemberRole.OWNER, MemberRole.MANAGER}
    for role in MemberRole:
        name = f"{role.lower()}-{unique}"
        caller = await system.customer(name)
        await add_member(system.edge.graph, community, local_of(name), role)
        assert ((await statistics(caller, community)) is not None) == (role in allowed)
    outsider = await system.customer(f"x-{unique}")
    staff = [system.caller("rm", "relationship_manager"), system.caller("bank", "service", scope="facts:write")]
    for caller in (outsider, system.caller(f"new-{unique}", "customer"), *staff):
        assert await statistics(caller, community) is None
        before = await state(system)
        assert await statistics(caller, new_id()) is None
        assert await state(system) == before
    administrator = system.caller("he", "administrator")
    assert (await statistics(administrator, community))["total"] == figures(0, 0, 0)
    assert await statistics(administrator, new_id()) is None
    error = await system.caller(None).fail(STATISTICS, id=global_id("Community", community))
    assert error["extensions"]["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    ("since", "until"), [("2026-01-02", "2026-01-01"), ("2024-01-01", "2026-01-01"), ("0001-01-01", None)]
)
async def test_days_that_cannot_be_are_refused(system: System, since: str, until: str | None) -> None:
    administrator = system.caller("he", "administrator")
    community = global_id("Community", await make_community(system.edge.graph))
    error = (await administrator.fail(STATISTICS, id=community, since=since, until=until))["extensions"]
    assert (error["code"], error["reason"]) == ("BAD_USER_INPUT", "RECOMMENDATION_SPAN_INVALID")
    early = await administrator.ask(STATISTICS, id=community, until="0001-01-01")
    assert early["recommendationStatistics"]["since"] == "0001-01-01"


async def test_costs(system: System, unique: str) -> None:
    """Given many days, reasons and variants; then the figures cost what they cost without any."""
    owner = await system.customer(f"own-{unique}")
    community = await make_community(system.edge.graph, owner_id=local_of(f"own-{unique}"))
    id = global_id("Community", community)
    few = await cost(system, owner, STATISTICS, id=id)
    for number, customer in enumerate(await make_customers(system.edge.graph, 12)):
        shown = Shown(community, "TREATMENT" if number % 2 else "CONTROL", f"REASON_{number % 3}")
        system.edge.exposures.show(customer, [shown], now=utc_now() - timedelta(days=number % 4))
    await system.edge.exposures.flush()
    assert await cost(system, owner, STATISTICS, id=id) == few
    assert {"recommendationStatistics": few, "openRecommendation": await cost(system, owner, OPEN, id=id)} == COSTS


async def test_whoever_opens_what_they_were_not_shown_is_not_counted(system: System, unique: str) -> None:
    caller = await system.customer(f"c-{unique}")
    for community in (await make_community(system.edge.graph, visibility="PRIVATE"), new_id()):
        answer = (await caller.ask(OPEN, id=global_id("Community", community)))["openRecommendation"]
        assert answer["__typename"] == "OpenRecommendationSuccess"
    before = await state(system)
    await system.edge.exposures.flush()
    assert await state(system) == before
    error = (await caller.fail(OPEN, id=global_id("Event", new_id())))["extensions"]
    assert (error["reason"], error["inputPath"]) == ("ID_INVALID", ["input", "communityId"])


async def test_a_running_system_counts_by_the_second_and_at_its_end(
    stores: Addresses, redis_url: str, tmp_path: Path, unique: str
) -> None:
    """Given an API that flushes by itself; then what it shows is counted soon, and at its end what is left is."""
    settings = settings_for(stores, redis_url, tmp_path).model_copy(update={"recommendation_flush_seconds": 0.05})
    async with running(settings) as system:
        community, me = await make_community(system.edge.graph), local_of(f"lin-{unique}")
        lin = await system.customer(f"lin-{unique}")
        await put_list(system, me, [community])
        await lin.ask(RECOMMENDED)
        assert system.edge.exposures.shown
        for _ in range(100):
            if await shown_on(system.edge.database, me, community):
                break
            await asyncio.sleep(0.1)
        else:
            pytest.fail("nothing was flushed")
    async with running(settings.model_copy(update={"recommendation_flush_seconds": 0})) as system:
        other = await make_community(system.edge.graph)
        await put_list(system, me, [other])
        await system.caller(f"lin-{unique}", "customer").ask(RECOMMENDED)
        await asyncio.sleep(0.2)
        assert not await shown_on(system.edge.database, me, other)
    async with running(settings) as system:
        assert await shown_on(system.edge.database, me, other)


async def shown_on(database: Database, customer_id: str, community_id: str) -> bool:
    async with database.read() as session:
        return await session.get(RecommendationExposure, (customer_id, community_id)) is not None
