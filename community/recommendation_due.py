"""When single lists are to be computed anew: after a change, once for all that a customer changed in that while.

Time is cut into windows. A change owes the customer's list by the window in which it begins, due when the window is
over and all that began in it has committed or failed: no operation takes as long as PATIENCE. So whoever computes sees
all of these changes, and they are one effect.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from sqlmodel import col, select

from core.clock import as_utc
from core.db import Session
from core.ids import new_id
from core.outbox import Outbox, owe_all
from graph.owed import Effect

# Owed for a customer whose memberships, tags or dismissals have changed, and for a community that is new or has other
# tags or readers than before.
RECOMMENDATION_DUE = "recommendation.due"
COMMUNITY_CHARTED = "recommendation.community"

# Together with the sweep they are less than a minute. A writer waits at most 10 s for its turn and 10 s for the graph.
WINDOW = timedelta(seconds=20)
PATIENCE = timedelta(seconds=20)
# So many lists may wait when a file adds to them; what it changes beyond is the next run's, which is an hour away at
# most: a file of a million memberships would be as many computations.
MOST_WAITING = 1_000
# No effect is due later: it says to the database where in the order of what is owed it need not look.
LATEST = timedelta(days=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def window_of(now: datetime) -> int:
    return (as_utc(now) - EPOCH) // WINDOW


def due_key(customer_id: str, now: datetime) -> str:
    return f"{customer_id}:{window_of(now)}"


def due_at(now: datetime) -> datetime:
    """When the changes of this window are all there."""
    return EPOCH + (window_of(now) + 1) * WINDOW + PATIENCE


def recommendation_due(customer_id: str, now: datetime) -> Effect:
    """Owed by a change in the graph, in its transaction."""
    return Effect(RECOMMENDATION_DUE, due_key(customer_id, now), {"customer_id": customer_id}, due_at(now))


def community_charted(community_id: str) -> Effect:
    return Effect(COMMUNITY_CHARTED, f"{community_id}:{new_id()}", {"community_id": community_id})


def community_imported(community_id: str, charted_at: str) -> Effect:
    """The same for a new community of a file, of which there may be many: it is announced as far as there is room."""
    payload = {"community_id": community_id, "imported": True}
    return Effect(COMMUNITY_CHARTED, f"{community_id}:{charted_at}", payload)


async def owe_recommendations(session: Session, customer_ids: Iterable[str], *, now: datetime) -> int:
    """Owed by a change in SQL, in its transaction; returns how many are new."""
    payloads = {due_key(one, now): {"customer_id": one} for one in customer_ids}
    due = dict.fromkeys(payloads, due_at(now))
    return await owe_all(session, topic=RECOMMENDATION_DUE, payloads=payloads, now=now, not_before=due)


async def room_for_imported(session: Session, *, now: datetime) -> int:
    """How many more lists a file may owe now."""
    waiting = (
        select(Outbox.id)
        .where(Outbox.topic == RECOMMENDATION_DUE, col(Outbox.available_at) < now + LATEST)
        .limit(MOST_WAITING)
    )
    return MOST_WAITING - len((await session.exec(waiting)).all())


async def owe_imported(session: Session, customer_ids: Iterable[str], *, now: datetime) -> int:
    """Owe the lists of whom a file changed, as far as there is room, and returns how many are new.

    `now` is when it was written, not when the file was begun: else all of it would be of one window that is over.
    """
    ids = sorted(set(customer_ids))
    room = await room_for_imported(session, now=now) if ids else 0
    return await owe_recommendations(session, ids[:room], now=now)
