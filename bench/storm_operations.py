"""What the clients of a loyalty storm do: a list that is open, one line for each operation.

An operation takes a client and does one thing in a transaction of its own; what it made it leaves with the client, so
that others can undo it or ask for it again. It raises what it is refused, which the storm counts by its code.
"""

from datetime import timedelta
from typing import Any

from bench import storm_catalogue, storm_ledger
from bench.storm_client import Charge, Client, Operation
from core.clock import utc_now
from core.db import Database
from core.facts import NewFact, record_facts
from core.ids import new_id
from loyalty.catalogue import NewReward, create_reward
from loyalty.charges import charge_event, refund_event
from loyalty.clawback import Demand, claw_back
from loyalty.earning_rules import activate_earning_rule, create_earning_rule
from loyalty.ledger import Cause
from loyalty.lots import Earned, earn, lot_id
from loyalty.redemption import redeem
from loyalty.shortfall import ShortfallPolicy

HOLD = timedelta(days=1)
RULES: tuple[dict[str, Any], ...] = (
    {
        "fact_kind": "STORM_VISIT",
        "points": 20,
        "caps": [{"period": "DAY", "points": 4_000}],
        "reversed_by": ["STORM_GONE"],
    },
    {
        "fact_kind": "STORM_VISIT",
        "per_unit": {"field": "guests", "points": 3, "maximum": 12},
        "caps": [{"period": "EVER", "times": 300}],
        "on_cap": "REJECT",
        "reversed_by": ["STORM_GONE"],
        "shortfall": "DEBT",
    },
    {"fact_kind": "STORM_ANSWER", "points": 35, "hold_days": HOLD.days, "reversed_by": ["STORM_GONE"]},
)


async def put_rules_and_rewards(database: Database) -> tuple[list[str], list[str]]:
    """The rules and the rewards of a storm: those that are handed over at once, and those of partners and pools."""
    now = utc_now()
    async with database.write() as session:
        for number, definition in enumerate(RULES):
            rule = await create_earning_rule(
                session, name_zh=f"规则{number}", name_en=f"Rule {number}", definition=definition, now=now
            )
            await activate_earning_rule(session, rule, effective_from=now - 2 * HOLD, now=now)
        offers = [NewReward("咖啡券", "Coffee", 15), NewReward("茶券", "Tea", 60, limit_per_customer=30)]
        offers.append(NewReward("音乐会", "Concert", 40, stock=200))
        rewards = [await create_reward(session, offer, now=now) for offer in offers]
        return rewards, await storm_catalogue.put_partners(session, now=now)


async def tell_facts(client: Client) -> None:
    """One to four facts at once; some are told a second time, and some points are held for a few seconds only."""
    now = utc_now()
    facts = [fact_now(client) for _ in range(client.random.randint(1, 4))]
    if client.facts and client.random.random() < 0.2:
        facts.append(client.random.choice(client.facts))
    async with client.database.write() as session:
        await record_facts(session, facts, now=now, hint=False)
    client.facts += facts


def fact_now(client: Client) -> NewFact:
    kind = client.random.choice(("STORM_VISIT", "STORM_VISIT", "STORM_ANSWER"))
    at = utc_now()
    if kind == "STORM_ANSWER":
        at -= HOLD - timedelta(seconds=client.random.randint(-2, 10))
    payload = {"guests": client.random.randint(0, 6)}
    return NewFact("storm", new_id(), kind, client.customer(), at, payload)


async def take_facts_back(client: Client) -> None:
    """A fact that names another, sometimes one that is named a second time."""
    if not client.facts:
        return
    fact = client.random.choice(client.facts)
    payload = {"reverses": fact.key}
    reversal = NewFact("storm", f"{fact.key}:gone", "STORM_GONE", fact.customer_id, utc_now(), payload)
    async with client.database.write() as session:
        await record_facts(session, [reversal], now=utc_now(), hint=False)


async def redeem_a_reward(client: Client) -> None:
    """A wish, or one that was asked for before, under the same key."""
    wish: dict[str, Any] = {
        "customer_id": client.customer(),
        "reward_id": client.random.choice(client.rewards),
        "idempotency_key": new_id(),
    }
    if client.wishes and client.random.random() < 0.2:
        wish = client.random.choice(client.wishes)
    client.wishes.append(wish)
    async with client.database.write() as session:
        await redeem(session, **wish, now=utc_now())


async def charge_a_seat(client: Client) -> None:
    charge = Charge(new_id(), client.customer(), 1, client.random.randint(1, 50))
    client.charges.append(charge)
    async with client.database.write() as session:
        await charge_event(
            session,
            event_id=charge.event_id,
            customer_id=charge.customer_id,
            sequence=charge.sequence,
            points=charge.points,
            now=utc_now(),
        )


async def refund_a_seat(client: Client) -> None:
    """Any seat, also one that was refunded or refused."""
    if not client.charges:
        return
    charge = client.random.choice(client.charges)
    async with client.database.write() as session:
        await refund_event(
            session,
            event_id=charge.event_id,
            customer_id=charge.customer_id,
            sequence=charge.sequence,
            points=charge.points,
            now=utc_now(),
        )


async def give(client: Client) -> None:
    """Points by themselves, as a reward for a referral is given."""
    key, now, customer_id = f"storm:{new_id()}", utc_now(), client.customer()
    points = client.random.randint(1, 60)
    cause = Cause("STORM", new_id())
    earned = Earned(key, customer_id, points, cause, now, now, now + timedelta(days=365))
    async with client.database.write() as session:
        await earn(session, earned, now=now)
    policy = client.random.choice(list(ShortfallPolicy))
    client.gifts.append(Demand(f"clawback:{key}", cause, customer_id, lot_id(key), points, policy))


async def take_a_gift_back(client: Client) -> None:
    """Any gift, also one that was taken back before."""
    if not client.gifts:
        return
    async with client.database.write() as session:
        await claw_back(session, [client.random.choice(client.gifts)], now=utc_now())


OPERATIONS: tuple[Operation, ...] = (
    Operation("tell facts", tell_facts, 30),
    Operation("take a fact back", take_facts_back, 8),
    Operation("redeem", redeem_a_reward, 20),
    Operation("charge a seat", charge_a_seat, 12),
    Operation("refund a seat", refund_a_seat, 10),
    Operation("give", give, 10),
    Operation("take a gift back", take_a_gift_back, 8),
    *storm_ledger.OPERATIONS,
    *storm_catalogue.OPERATIONS,
)
