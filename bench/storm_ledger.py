"""What the clients of a loyalty storm do with points that change hands, are adjusted or expire, and with days."""

from datetime import timedelta

from bench.storm_client import Client, Operation
from core.clock import utc_now
from core.days import day_of
from core.ids import new_id
from loyalty.adjustments import AdjustmentStatus, NewAdjustment, adjust, decide_adjustment
from loyalty.day_close import ClosePhase, close_some, keep_proof, open_day, open_days
from loyalty.ledger import Cause
from loyalty.lots import Earned, earn
from loyalty.transfers import Gift, transfer
from loyalty.trial_balance import trial_balance

ZONE = "Asia/Shanghai"
# Days before today are closed one after the other while it rages, and some points expired on one of them.
DAYS = 400


async def hand_over(client: Client) -> None:
    """Points for somebody else, or for oneself, which is refused; some gifts are asked for again."""
    gift = Gift(client.customer(), client.customer(), client.random.randint(10, 60), new_id())
    if client.transfers and client.random.random() < 0.2:
        gift = client.random.choice(client.transfers)
    client.transfers.append(gift)
    async with client.database.write() as session:
        await transfer(session, gift, zone=ZONE, now=utc_now())


async def adjust_by_hand(client: Client) -> None:
    """Points given or taken by one of four; large ones wait."""
    points = client.random.choice((-40, -10, 5, 25, 150))
    new = NewAdjustment(client.customer(), points, "storm", new_id(), life_days=30)
    actor = f"admin-{client.random.randrange(4)}"
    async with client.database.write() as session:
        found = await adjust(session, new, actor=actor, limit=100, now=utc_now())
    if found.status == AdjustmentStatus.PENDING:
        client.waiting.append(found.id)


async def decide_by_hand(client: Client) -> None:
    """Any that waits or waited, by one of four, who may be the one that asked."""
    if not client.waiting:
        return
    chosen, actor = client.random.choice(client.waiting), f"admin-{client.random.randrange(4)}"
    status = client.random.choice((AdjustmentStatus.BOOKED, AdjustmentStatus.REJECTED))
    async with client.database.write() as session:
        await decide_adjustment(session, chosen, status, actor=actor, reason="storm", now=utc_now())


async def give_what_has_expired(client: Client) -> None:
    """Points that come so late that their day is over: the close of a day takes them."""
    now, key = utc_now(), f"storm:{new_id()}"
    ended = now - timedelta(days=client.random.randrange(2, DAYS))
    cause = Cause("STORM", new_id())
    earned = Earned(key, client.customer(), client.random.randint(1, 60), cause, ended, ended, ended)
    async with client.database.write() as session:
        await earn(session, earned, now=now)


async def close_a_day(client: Client) -> None:
    """The next batch of a day's close, or its proof, or the day after it; several clients at once are at one day."""
    now = utc_now()
    async with client.database.write() as session:
        day = await open_day(session)
        if day is None:
            # The clients count the days together; yesterday is the last.
            back = max(1, DAYS - len(client.days))
            client.days.append(back)
            await open_days(session, until=day_of(now, ZONE) - timedelta(days=back), zone=ZONE, now=now)
            return
        phase = await close_some(session, day, now=now, batch=20)
    if phase == ClosePhase.RECONCILE:
        async with client.database.read() as session:
            proof = await trial_balance(session)
        async with client.database.write() as session:
            await keep_proof(session, day, proof, now=now)


OPERATIONS: tuple[Operation, ...] = (
    Operation("transfer", hand_over, 12),
    Operation("adjust", adjust_by_hand, 6),
    Operation("decide an adjustment", decide_by_hand, 3),
    Operation("give what has expired", give_what_has_expired, 4),
    Operation("close a day", close_a_day, 6),
)
# Each statement counts what is wrong.
PROOFS = {
    "days whose books did not hold": "SELECT count(*) FROM day_close WHERE phase = 'CLOSED' AND NOT holds",
    "transfers that are not one posting": """
        SELECT count(*) FROM points_transfer t WHERE NOT EXISTS (
          SELECT 1 FROM ledger_posting p WHERE p.id = t.posting_id AND p.kind = 'TRANSFER')""",
    "adjustments booked without posting or posted without being booked": """
        SELECT count(*) FROM adjustment WHERE (status = 'BOOKED') <> (posting_id IS NOT NULL)""",
}
