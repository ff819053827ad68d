"""The catalogue: what is given changes and nothing else, prices hold from their instants, and offers are for whom."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from core.audit import AuditEntry
from core.clock import utc_now
from core.db import Database, Session
from core.ids import new_id
from core.paging import PageInvalid
from graph.client import GraphClient
from graph.eligibility import Held, held_by
from loyalty.catalogue import (
    ExpiredPolicy,
    NewReward,
    Reward,
    RewardInvalid,
    RewardKind,
    create_reward,
    tags_of_rewards,
)
from loyalty.catalogue_changes import price_history, retire_reward, update_reward
from loyalty.offers import (
    CatalogueStatus,
    Conditions,
    Obstacle,
    OffersInvalid,
    Usage,
    Wanted,
    conditions_of,
    list_rewards,
    obstacles,
    usages_of,
)
from tests.community.places import make_customers
from tests.loyalty.accounts import give, make_reward, standing
from tests.loyalty.redeeming import answer, fulfil, redemption_at, reserve_one, try_redeem

pytestmark = pytest.mark.anyio


async def change(database: Database, reward_id: str, *, price_from: datetime | None = None, **changes: Any) -> Any:
    """The reward afterwards, or the code of the refusal."""

    async def act(session: Session) -> Reward:
        return await update_reward(
            session, reward_id, changes, price_from=price_from, actor="admin", now=changes.pop("now", utc_now())
        )

    return await answer(database, act)


async def retire(database: Database, reward_id: str) -> Any:
    async def act(session: Session) -> Reward:
        return await retire_reward(session, reward_id, reason=" out of season ", actor="admin", now=utc_now())

    return await answer(database, act)


async def prices(database: Database, reward_id: str) -> list[tuple[int, datetime]]:
    async with database.read() as session:
        return [(row.price, row.valid_from) for row in await price_history(session, [reward_id])]


async def acts_on(database: Database, reward_id: str) -> list[tuple[str, str | None, dict[str, Any]]]:
    statement = select(AuditEntry).where(AuditEntry.area == f"reward:{reward_id}").order_by(col(AuditEntry.at))
    async with database.read() as session:
        return [(row.action, row.reason, row.details) for row in (await session.exec(statement)).all()]


FULL: dict[str, Any] = {
    "kind": RewardKind.PARTNER,
    "name_zh": "体检",
    "name_en": "Check-up",
    "description_zh": "全面",
    "description_en": "Full",
    "category": "health",
    "price": 500,
    "stock": 7,
    "limit_per_customer": 3,
    "limit_per_period": 2,
    "period_days": 30,
    "minimum_tier": "POTENTIAL",
    "required_tags": ("b", "a", "a"),
    "voucher_days": 90,
    "time_limit_minutes": 60,
    "grace_days": 5,
}


async def test_only_what_is_given_changes(database: Database) -> None:
    """Given a reward with everything, when three fields change, then all others stay, and the audit names the three."""
    reward_id = await make_reward(database, **FULL)
    async with database.read() as session:
        before = (await session.get_one(Reward, reward_id)).model_dump()
        assert await tags_of_rewards(session, [reward_id]) == {reward_id: {"a", "b"}}
    changed = await change(
        database, reward_id, name_en=" Full check-up ", limit_per_customer=None, required_tags=("c",)
    )
    assert changed.model_dump() == {**before, "name_en": "Full check-up", "limit_per_customer": None}
    async with database.read() as session:
        assert await tags_of_rewards(session, [reward_id]) == {reward_id: {"c"}}
    fields = ["limit_per_customer", "name_en", "required_tags"]
    assert await acts_on(database, reward_id) == [("REWARD_UPDATED", None, {"fields": fields})]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"kind": RewardKind.VOUCHER}, "kind"),
        ({"stock": 3}, "stock"),
        ({"name_en": None}, "nameEn"),
        ({"valid_from": None}, "validFrom"),
        ({"price": 0}, "price"),
        ({"period_days": None}, "periodDays"),
        ({"limit_per_period": None}, "periodDays"),
        ({"minimum_tier": "KING"}, "minimumTier"),
        ({"required_tags": ("",)}, "requiredTags"),
        ({"category": "x" * 51}, "category"),
        ({"description_zh": "x" * 2001}, "descriptionZh"),
        ({"name_zh": "a\0b"}, "nameZh"),
        ({"time_limit_minutes": 0}, "timeLimitMinutes"),
        ({"grace_days": -1}, "graceDays"),
        ({"valid_until": utc_now() - timedelta(days=900)}, "validUntil"),
        ({"price_from": utc_now() + timedelta(days=1)}, "priceFrom"),
        ({"price": 5, "price_from": utc_now() - timedelta(days=1)}, "priceFrom"),
    ],
)
async def test_a_change_that_cannot_be_is_refused_with_its_path(
    database: Database, changes: dict[str, Any], path: str
) -> None:
    reward_id = await make_reward(database, **FULL)
    given = {**changes}
    price_from = given.pop("price_from", None)
    with pytest.raises(RewardInvalid) as refused:
        async with database.write() as session:
            await update_reward(session, reward_id, given, price_from=price_from, actor="admin", now=utc_now())
    assert refused.value.path == (path,)
    assert await acts_on(database, reward_id) == []


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"kind": RewardKind.COUPON, "stock": 5}, "stock"),
        ({"time_limit_minutes": 5}, "timeLimitMinutes"),
        ({"limit_per_period": 1}, "periodDays"),
        ({"expired_policy": ExpiredPolicy.REINSTATE}, "graceDays"),
        ({"required_tags": tuple("abcdefghijklmnopqrstu")}, "requiredTags"),
    ],
)
async def test_a_reward_of_a_kind_that_cannot_have_that_is_refused(
    database: Database, given: dict[str, Any], path: str
) -> None:
    with pytest.raises(RewardInvalid) as refused:
        async with database.write() as session:
            await create_reward(session, NewReward("券", "Voucher", 5, **given), now=utc_now())
    assert refused.value.path == (path,)


async def test_the_price_in_force_when_it_is_redeemed_is_taken(database: Database, unique: str) -> None:
    """Given 100 now and 80 from tomorrow, then up to that instant it costs 100, and from it on 80."""
    reward = await make_reward(database, price=100)
    begun = (await prices(database, reward))[0][1]
    now = utc_now()
    switch = now + timedelta(days=1)
    await give(database, unique, 1000)
    await change(database, reward, price=80, price_from=switch)
    assert await prices(database, reward) == [(80, switch), (100, begun)]
    last = switch - timedelta(microseconds=1)
    for moment, price in ((now, 100), (last, 100), (switch, 80), (switch + timedelta(days=9), 80)):
        other = 180 - price
        refused = await try_redeem(database, unique, reward, "key-00001", now=moment, expected_price=other)
        assert refused == "PRICE_CHANGED"
        # Nothing of the refused wish was kept, not even its key.
        made = await try_redeem(database, unique, reward, now=moment, expected_price=price)
        assert (await redemption_at(database, made)).points == price
    assert await standing(database, unique) == (1000 - 360, 0, 0)


async def test_a_new_price_takes_the_place_of_a_planned_one(database: Database) -> None:
    """Given a plan that never held, when another follows, then the history has only what held and what is to come."""
    reward = await make_reward(database, price=100)
    begun = (await prices(database, reward))[0][1]
    now = utc_now()
    in_days = [now + timedelta(days=number) for number in range(5)]
    await change(database, reward, price=90, price_from=in_days[2], now=now)
    await change(database, reward, price=70, price_from=in_days[4], now=now)
    assert await prices(database, reward) == [(70, in_days[4]), (100, begun)]
    changed = await change(database, reward, price=110, now=in_days[1])
    assert (changed.price_at(in_days[1]), changed.price_at(in_days[4])) == (110, 110)
    assert await prices(database, reward) == [(110, in_days[1]), (100, begun)]
    # A plan that has come into force is history, and the next change does not undo it.
    await change(database, reward, price=60, price_from=in_days[2], now=in_days[1])
    changed = await change(database, reward, price=50, price_from=in_days[4], now=in_days[3])
    assert [changed.price_at(day) for day in in_days[3:]] == [60, 50]
    assert [price for price, _ in await prices(database, reward)] == [50, 60, 110, 100]


async def test_a_retired_reward_is_offered_no_longer_and_still_fulfilled(database: Database, unique: str) -> None:
    reward, redemption = await reserve_one(database, unique)
    first = await retire(database, reward)
    again = await retire(database, reward)
    assert first.retired_at == again.retired_at
    assert await acts_on(database, reward) == [("REWARD_RETIRED", "out of season", {})]
    await give(database, unique, 100)
    assert await try_redeem(database, unique, reward) == "REWARD_NOT_AVAILABLE"
    assert await change(database, reward, price=5) == "REWARD_RETIRED"
    assert await fulfil(database, redemption) == "FULFILLED"
    assert await retire(database, new_id()) == "NOT_FOUND"
    assert await change(database, new_id(), price=5) == "NOT_FOUND"


async def offered(
    database: Database, rewards: list[str], held: Held, *, budget: int | None = None, **wanted: Any
) -> list[str]:
    """Which of these rewards are listed, by their names; a page is read at a time."""
    names: list[str] = []
    after = None
    async with database.read() as session:
        while True:
            page = await list_rewards(
                session, Wanted(**wanted), held=held, budget=budget, first=50, after=after, now=utc_now()
            )
            names += [row.name_en for row in page.rows if row.id in rewards]
            if not page.has_next:
                return sorted(names)
            after = page.cursors[-1]


async def test_offers_are_for_those_who_meet_the_conditions(database: Database, unique: str) -> None:
    """Given rewards for all, for a tier, for tags and for both, then each customer is offered theirs."""
    conditions: dict[str, dict[str, Any]] = {
        "all": {},
        "potential": {"minimum_tier": "POTENTIAL"},
        "vip": {"minimum_tier": "VIP"},
        "a": {"required_tags": ("a",)},
        "ab": {"required_tags": ("a", "b")},
        "vip-a": {"minimum_tier": "VIP", "required_tags": ("a",)},
    }
    rewards = [await make_reward(database, name_en=name, **more) for name, more in conditions.items()]
    for held, names in (
        (Held(), ["all"]),
        (Held("POTENTIAL"), ["all", "potential"]),
        (Held("VIP"), ["all", "potential", "vip"]),
        (Held(None, frozenset({"a"})), ["a", "all"]),
        (Held("VIP", frozenset({"a", "b", "c"})), ["a", "ab", "all", "potential", "vip", "vip-a"]),
    ):
        assert await offered(database, rewards, held) == names
        async with database.read() as session:
            met = [name for name, key in zip(conditions, rewards, strict=True) if await meets(session, key, held)]
        assert sorted(met) == names


async def meets(session: Session, reward_id: str, held: Held) -> bool:
    found = await conditions_of(session, reward_id)
    return found is not None and found.are_met(held)


async def test_offers_by_price_category_points_and_status(database: Database, unique: str) -> None:
    """Given rewards in all states and prices, then the filters say which; the price counts that holds now."""
    now = utc_now()
    rewards = {
        "cheap": await make_reward(database, name_en="cheap", price=50, category="tea"),
        "dear": await make_reward(database, name_en="dear", price=200),
        "planned": await make_reward(database, name_en="planned", valid_from=now + timedelta(days=1)),
        "ended": await make_reward(database, name_en="ended", valid_until=now - timedelta(hours=1)),
        "retired": await make_reward(database, name_en="retired"),
    }
    await retire(database, rewards["retired"])
    await change(database, rewards["dear"], price=40, price_from=now + timedelta(days=1))
    ids, nobody = list(rewards.values()), Held()
    assert await offered(database, ids, nobody) == ["cheap", "dear"]
    assert await offered(database, ids, nobody, category="tea") == ["cheap"]
    assert await offered(database, ids, nobody, min_price=50, max_price=199) == ["cheap"]
    assert await offered(database, ids, nobody, min_price=51) == ["dear"]
    assert await offered(database, ids, nobody, budget=199) == ["cheap"]
    assert await offered(database, ids, nobody, budget=2**53) == ["cheap", "dear"]
    assert await offered(database, ids, nobody, budget=0) == []
    for status in CatalogueStatus:
        expected = ["cheap", "dear"] if status == CatalogueStatus.ON_OFFER else [status.lower()]
        assert await offered(database, ids, nobody, statuses=(status,)) == expected
    assert await offered(database, ids, nobody, statuses=tuple(CatalogueStatus)) == sorted(rewards)
    async with database.read() as session:
        with pytest.raises(OffersInvalid):
            await list_rewards(session, Wanted(min_price=2, max_price=1), held=nobody, first=5, after=None, now=now)
        with pytest.raises(PageInvalid):
            await list_rewards(session, Wanted(), held=nobody, first=5, after="nonsense", now=now)


async def test_everything_that_is_in_the_way_is_said(database: Database, unique: str) -> None:
    reward_id = await make_reward(
        database, minimum_tier="VIP", required_tags=("a",), limit_per_customer=2, limit_per_period=1, period_days=7
    )
    now = utc_now()
    await give(database, unique, 300)
    assert not (await try_redeem(database, unique, reward_id, now=now - timedelta(hours=5))).isupper()
    assert await try_redeem(database, unique, reward_id, now=now) == "PERIOD_LIMIT_REACHED"
    async with database.read() as session:
        reward = await session.get_one(Reward, reward_id)
        usages = await usages_of(session, unique, [reward], now=now)
        assert usages == {reward_id: Usage(1, 1)}
        assert await usages_of(session, unique, [reward], now=now + timedelta(days=8)) == {reward_id: Usage(1, 0)}
    conditions = Conditions("VIP", frozenset({"a"}))
    given: dict[str, Any] = {"held": Held(), "usage": Usage(2, 1), "points": 99, "sold_out": True, "now": now}
    assert obstacles(reward, conditions, **given) == [
        Obstacle.TIER_TOO_LOW,
        Obstacle.TAG_MISSING,
        Obstacle.LIMIT_REACHED,
        Obstacle.PERIOD_LIMIT_REACHED,
        Obstacle.OUT_OF_STOCK,
        Obstacle.POINTS_MISSING,
    ]
    good: dict[str, Any] = {
        "held": Held("VIP", frozenset({"a"})),
        "usage": Usage(1, 0),
        "points": 100,
        "sold_out": False,
        "now": now,
    }
    assert obstacles(reward, conditions, **good) == []
    early: dict[str, Any] = {**good, "now": now - timedelta(days=9)}
    assert obstacles(reward, conditions, **early) == [Obstacle.NOT_YET]
    reward.valid_until = now
    assert obstacles(reward, conditions, **good) == [Obstacle.ENDED]
    reward.retired_at = now
    assert obstacles(reward, conditions, **good) == [Obstacle.RETIRED]


async def test_who_is_not_eligible_is_refused_and_their_first_answer_stays(database: Database, unique: str) -> None:
    reward = await make_reward(database)
    await give(database, unique, 300)
    assert await try_redeem(database, unique, reward, "key-00001", eligible=False) == "NOT_ELIGIBLE"
    made = await try_redeem(database, unique, reward, "key-00001")
    assert await try_redeem(database, unique, reward, "key-00001", eligible=False) == made
    assert await standing(database, unique) == (200, 0, 0)


async def test_what_a_customer_holds_is_read_from_the_graph(graph: GraphClient) -> None:
    """Given a tier and two tags of which one is over, then the tier and the other tag are held."""
    now = utc_now()
    (customer,) = await make_customers(graph, 1)
    await graph.write("MATCH (c:Customer {id: $id}) SET c.tier = 'VIP'", id=customer)
    tag = "MATCH (c:Customer {id: $id}) MERGE (t:Tag {key: $key}) CREATE (c)-[:TAGGED {until: $until}]->(t)"
    held, over = f"held:{customer}", f"over:{customer}"
    await graph.write(tag, id=customer, key=held, until=None)
    await graph.write(tag, id=customer, key=over, until="2020-01-01T00:00:00.000000Z")
    assert await held_by(graph, customer, now=now) == Held("VIP", frozenset({held}))
    assert await held_by(graph, new_id(), now=now) == Held()
