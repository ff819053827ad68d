"""Reminders, requests for feedback and digests: found by time, owed page by page, each notice once by its key."""

from datetime import datetime
from typing import Any

import structlog

from community.news import communities_of_each, news_of
from community.reminders import ROUNDS, Round, events_to_tell, note_told, people_to_tell
from core.notices import NOTICE_OWED, NoticeKind
from core.outbox import owe_all
from graph.client import Row
from service.digests import Week, advance_digest, digest_position, digest_readers, week_to_tell
from worker.work import Stores

log = structlog.get_logger(__name__)

EVENTS = 100
PEOPLE = 500
READERS = 100


async def sweep_reminders(stores: Stores, *, now: datetime) -> int:
    """Owe the notices of every round that is due; returns how many are new.

    An event that cannot be told is logged, is due again the next time, and holds up none of the others.
    """
    owed = 0
    for telling in ROUNDS:
        after = ""
        while events := await events_to_tell(stores.graph, telling, now=now, after=after, limit=EVENTS):
            for event in events:
                try:
                    owed += await tell_people(stores, telling, event, now=now)
                except Exception:
                    log.exception("reminder_failed", event_id=event["id"], round=telling.name)
            after = events[-1]["at"] + events[-1]["id"]
    return owed


async def tell_people(stores: Stores, telling: Round, event: Row, *, now: datetime) -> int:
    """Owe a notice to everybody concerned, then note it on the event: interrupted, it is done again, and once."""
    owed, after = 0, ""
    data = {"event_id": event["id"], "community_id": event["community_id"]}
    while people := await people_to_tell(stores.graph, event["id"], status=telling.status, after=after, limit=PEOPLE):
        payloads = {
            telling.key(event, person["customer_id"]): {
                "customer_id": person["customer_id"],
                "kind": telling.kind,
                "data": data,
            }
            for person in people
        }
        async with stores.database.write() as session:
            owed += await owe_all(session, topic=NOTICE_OWED, payloads=payloads, now=now)
        after = people[-1]["place"]
    await note_told(stores.graph, telling, event)
    return owed


async def sweep_digests(stores: Stores, *, now: datetime) -> int:
    """Owe the digest of the week that is over to everybody who wants one; returns how many are new.

    Each page commits together with how far the week has come, so a run that dies goes on where it stopped,
    and of two runs at once one gives way.
    """
    week, owed = week_to_tell(now), 0
    known: dict[str, tuple[int, int]] = {}
    while True:
        async with stores.database.read() as session:
            position = await digest_position(session, week.name)
            if position is None:
                return owed
            readers = await digest_readers(session, after=position, limit=READERS)
        payloads = await digests_for(stores, list(readers), week, known)
        finished = now if len(readers) < READERS else None
        to = readers[-1] if readers else position
        async with stores.database.write() as session:
            if not await advance_digest(session, week.name, position=position, to=to, finished_at=finished):
                return owed
            owed += await owe_all(session, topic=NOTICE_OWED, payloads=payloads, now=now)


async def digests_for(
    stores: Stores, readers: list[str], week: Week, known: dict[str, tuple[int, int]]
) -> dict[str, dict[str, Any]]:
    """Notices by their keys; none for somebody in whose communities nothing is new. `known` keeps what was counted."""
    memberships = await communities_of_each(stores.graph, readers)
    for community_id in {one for found in memberships.values() for one in found} - known.keys():
        known[community_id] = await news_of(stores.graph, community_id, begins=week.begins, ends=week.ends)
    payloads: dict[str, dict[str, Any]] = {}
    for customer_id, communities in memberships.items():
        posts = sum(known[one][0] for one in communities)
        events = sum(known[one][1] for one in communities)
        if posts or events:
            data = {"week": week.name, "posts": posts, "events": events}
            payloads[f"digest:{customer_id}:{week.name}"] = {
                "customer_id": customer_id,
                "kind": NoticeKind.DIGEST,
                "data": data,
            }
    return payloads
