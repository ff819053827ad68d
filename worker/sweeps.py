"""Sweeps: find everything that is owed and unsettled, whatever became of the message about it."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Protocol

import structlog

from community.checkin import attendance, settle_attendance, unsettled_attendance
from community.waitlist import expire_offers, overdue_events
from core import outbox
from core.clock import utc_now
from core.fact_kinds import EVENT_ATTENDED
from core.facts import OWN_SOURCE, NewFact, record_facts
from graph.client import GraphClient, Row
from graph.owed import owed_effects, settle_effects
from referrals.attribution import record_referral, settle_referral, unsettled_referrals
from worker.handlers import settle, settle_many
from worker.work import Stores

log = structlog.get_logger(__name__)

BATCH = 200
# One sweep gives way to the next after this long, so that a job's time-out never cuts it off.
LONGEST_SWEEP = timedelta(seconds=40)

Record = Callable[[Stores, Row], Awaitable[None]]


class Find(Protocol):
    """Finds unsettled relationships page by page."""

    async def __call__(self, graph: GraphClient, *, after: str, limit: int) -> list[Row]: ...


async def sweep_outbox(stores: Stores) -> int:
    """Settle effects that are due until none is left or the time is up; returns how many were settled."""
    settled = 0
    started = utc_now()
    while utc_now() - started < LONGEST_SWEEP:
        async with stores.database.read() as session:
            due = await outbox.owed(session, now=utc_now(), limit=BATCH)
        done = sum([await settle_many(stores, topic, ids) for topic, ids in by_topic(due).items()])
        settled += done
        if not done:
            break
    return settled


async def settle_hinted(stores: Stores, row_ids: Sequence[str]) -> None:
    """Settle those of these effects that are still owed, those of one topic together."""
    if len(row_ids) == 1:
        await settle(stores, row_ids[0])
        return
    async with stores.database.read() as session:
        owed = await outbox.topics_of(session, row_ids)
    for topic, ids in by_topic(owed).items():
        await settle_many(stores, topic, ids)


def by_topic(due: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """The ids of effects by their topics, in the order in which they have waited."""
    groups: dict[str, list[str]] = {}
    for topic, row_id in due:
        groups.setdefault(topic, []).append(row_id)
    return groups


async def sweep_graph(stores: Stores) -> int:
    """Give attendance its fact and referrals their conversion where a crash came between the stores."""
    found = await sweep_edges(stores, unsettled_attendance, record_attendance)
    found += await sweep_edges(stores, unsettled_referrals, record_conversion)
    await sweep_offers(stores)
    return found + await relay_owed(stores)


async def relay_owed(stores: Stores) -> int:
    """Move what the graph owes into the SQL outbox, whose keys make it happen once, and forget it in the graph."""
    moved, after = 0, ""
    while rows := await owed_effects(stores.graph, after=after, limit=BATCH):
        found = [row for row in rows if row["effect"] is not None]
        async with stores.database.write() as session:
            for row in found:
                effect = row["effect"]
                await outbox.owe(
                    session,
                    topic=effect.topic,
                    key=effect.key,
                    payload=effect.payload,
                    now=utc_now(),
                    not_before=effect.due_at,
                )
        await settle_effects(stores.graph, [row["key"] for row in found])
        moved += len(found)
        after = rows[-1]["key"]
    return moved


async def sweep_offers(stores: Stores) -> None:
    """End the offers that are overdue though the effect that was to end them is not to be found."""
    now = utc_now()
    for event_id in await overdue_events(stores.graph, now=now, limit=BATCH):
        try:
            await expire_offers(stores.graph, event_id, now=now)
            await stores.publish(f"event:{event_id}", {"event_id": event_id})
        except Exception:
            log.exception("offers_not_ended", event_id=event_id)


async def sweep_edges(stores: Stores, find: Find, record: Record) -> int:
    """Record what each unsettled relationship owes, in order of their keys; returns how many were settled.

    One that cannot be recorded is logged and stays owed, and holds up none of the others.
    """
    settled, after = 0, ""
    while rows := await find(stores.graph, after=after, limit=BATCH):
        for row in rows:
            try:
                await record(stores, row)
                settled += 1
            except Exception:
                log.exception("edge_not_settled", key=row["key"])
        after = rows[-1]["key"]
    return settled


async def settle_attendance_of(stores: Stores, key: str) -> None:
    """What a check-in hints at; nothing when the sweep was faster."""
    row = await attendance(stores.graph, key)
    if row is not None:
        await record_attendance(stores, row)


async def record_attendance(stores: Stores, row: Row) -> None:
    """Record the fact that this attendance owes, then mark it settled: in this order it is never lost."""
    fact = NewFact(
        source=OWN_SOURCE,
        key=f"attendance:{row['key']}",
        kind=EVENT_ATTENDED,
        customer_id=row["customer_id"],
        occurred_at=row["attended_at"],
        payload={name: row[name] for name in ("event_id", "community_id", "checked_in_by")},
    )
    async with stores.database.write() as session:
        await record_facts(session, [fact], now=utc_now())
    await settle_attendance(stores.graph, row["key"])


async def record_conversion(stores: Stores, edge: Row) -> None:
    """Write the conversion that this relationship owes, then mark it settled."""
    async with stores.database.write() as session:
        await record_referral(session, edge, now=utc_now())
    await settle_referral(stores.graph, edge["key"])
