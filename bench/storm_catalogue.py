"""What the clients of a loyalty storm do with rewards that a partner fulfils, and with codes of a pool."""

from datetime import datetime

from bench.storm_client import Client, Operation
from core.clock import utc_now
from core.db import Session
from core.ids import new_id
from core.principal import Principal, Role
from loyalty.catalogue import NewReward, RewardKind, create_reward
from loyalty.coupons import NewCodes, add_codes
from loyalty.fulfilment import cancel_redemption, fail_redemption, fulfil_redemption
from loyalty.lots import ExpiredPolicy
from loyalty.redemption import redeem

CODES = 150


async def put_partners(session: Session, *, now: datetime) -> list[str]:
    """A reward that a partner has to fulfil within a minute, and one with a pool of codes; both are scarce."""
    partner = NewReward(
        "体检",
        "Check-up",
        30,
        stock=60,
        kind=RewardKind.PARTNER,
        time_limit_minutes=1,
        expired_policy=ExpiredPolicy.REINSTATE,
        grace_days=5,
    )
    coupon = await create_reward(session, NewReward("电影票", "Cinema", 25, kind=RewardKind.COUPON), now=now)
    codes = [f"STORM-{number:04d}" for number in range(CODES)]
    await add_codes(session, NewCodes(coupon, codes, "storm-codes"), actor="storm", now=now)
    return [await create_reward(session, partner, now=now), coupon]


async def reserve(client: Client) -> None:
    """A reservation at the partner's, or a code."""
    owner = client.customer()
    async with client.database.write() as session:
        found = await redeem(
            session,
            customer_id=owner,
            reward_id=client.random.choice(client.partners),
            idempotency_key=new_id(),
            now=utc_now(),
        )
    client.reservations.append((found.id, owner))


async def end_a_reservation(client: Client) -> None:
    """One of the last reservations of this client is fulfilled, fails or is cancelled, or was ended long ago."""
    if not client.reservations:
        return
    (chosen, owner), now = client.random.choice(client.reservations[-30:]), utc_now()
    how = client.random.randrange(3)
    async with client.database.write() as session:
        if how == 0:
            await fulfil_redemption(session, chosen, reference=f"ref-{how}", actor="partner", now=now)
        elif how == 1:
            await fail_redemption(session, chosen, reason="sold out", actor="partner", now=now)
        else:
            principal = Principal(owner, frozenset({Role.CUSTOMER}), frozenset(), 0, owner)
            await cancel_redemption(session, chosen, principal=principal, reason=None, now=now)


OPERATIONS: tuple[Operation, ...] = (
    Operation("reserve", reserve, 14),
    Operation("end a reservation", end_a_reservation, 10),
)
# Each statement counts what is wrong.
PROOFS = {
    "pieces at the partner's that are not redemptions": """
        SELECT count(*) FROM reward r WHERE r.kind = 'PARTNER' AND 60 - r.stock <> (
          SELECT count(*) FROM redemption d WHERE d.reward_id = r.id AND d.status IN ('RESERVED', 'FULFILLED'))""",
    "codes given that are not redemptions": """
        SELECT count(*) FROM reward r WHERE r.kind = 'COUPON' AND (
          SELECT count(*) FROM coupon_code c WHERE c.reward_id = r.id AND c.redemption_id IS NOT NULL) <> (
          SELECT count(*) FROM redemption d WHERE d.reward_id = r.id AND d.status = 'FULFILLED')""",
    "redemptions that ended without a refund, or were refunded though they stand": """
        SELECT count(*) FROM redemption d WHERE (d.status IN ('FAILED', 'CANCELLED', 'EXPIRED')) <> EXISTS (
          SELECT 1 FROM ledger_posting p WHERE p.key = 'refund:redemption:' || d.id)""",
    "reservations that outlived their time": "SELECT count(*) FROM redemption WHERE status = 'RESERVED'",
}
