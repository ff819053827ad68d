"""Merging in all rooms: what is owed when two profiles became one. Cut off and begun again, it ends the same."""

from collections.abc import Sequence
from datetime import datetime

import structlog
from sqlmodel import col, select

from community.merging import merge_in_communities
from community.recommendation_due import owe_recommendations
from core.clock import utc_now
from core.db import Database, Session
from core.outbox import owe
from core.traces import all_traces, move_traces
from customers.care_reads import owe_told_days
from customers.erasure import erasure_of, owe_again
from customers.insight_merges import keep_later_guards
from customers.merging import CustomerMerge, finish_merge, merge_node
from customers.profiles import Customer, survivor_of
from customers.tagging import end_life_cycle_of_merged, owe_edges
from customers.tier_merges import carry_over_overrides
from customers.tier_risk import owe_risks
from customers.tier_standing import TIER_PROJECTED
from graph.client import GraphClient
from loyalty.ledger import LedgerAccount
from loyalty.merging import move_points
from service.action_plans import merge_plans
from service.assessments import RISK_CLASS_CHANGED
from service.follow_ups import merge_follow_ups
from service.service_standings import keep_later_standing
from service.suitability_findings import end_doubles

log = structlog.get_logger(__name__)

# So many merges are read at once by a sweep.
SWEPT = 500


async def merge_everywhere(session: Session, graph: GraphClient, merge_id: str, *, now: datetime) -> None:
    """Move what the rooms have to whoever the survivor is by now, and write into the record how much."""
    merge = await session.get(CustomerMerge, merge_id)
    if merge is None:
        return
    merged, survivor = merge.merged_id, await hold_survivor(session, merge)
    points = await move_points(session, merge.id, merged, survivor, now=now)
    moved = {"points": points.points, "points owed": points.owed}
    await end_life_cycle_of_merged(session, merged, survivor, now=now)
    await keep_later_guards(session, merged, survivor)
    await merge_follow_ups(session, merged, survivor, now=now)
    await merge_plans(session, merged, survivor, now=now)
    await end_doubles(session, merged, survivor, now=now)
    await keep_later_standing(session, merged, survivor)
    moved |= await move_traces(session, list(all_traces()), merged, survivor)
    await carry_over_overrides(session, merged, survivor, now=now)
    # The survivor's profile may tell of days that it lacked.
    await owe_told_days(session, [survivor], f"merge:{merge.id}", now=now)
    in_graph = await merge_in_communities(graph, merged, survivor, now=now) | await merge_node(graph, merged, survivor)
    moved |= {f"graph: {name}": count for name, count in in_graph.items()}
    await owe_edges(session, [survivor], now=now)
    # A list of the old profile that is being written meanwhile goes with this.
    await owe_recommendations(session, [merged, survivor], now=now)
    # The survivor may have come by a level of risk.
    await owe_risks(session, [survivor], now=now)
    # And by another class, or by something that does not fit theirs.
    payload = {"customer_id": survivor}
    await owe(session, topic=RISK_CLASS_CHANGED, key=f"merge:{merge.id}", payload=payload, now=now)
    tier = {"customer_ids": [survivor]}
    await owe(session, topic=TIER_PROJECTED, key=f"merge:{merge.id}", payload=tier, now=now)
    await finish_merge(session, merge, moved, now=now)
    # Whoever was erased before their merge was carried out has got again what went with that.
    report = await erasure_of(session, survivor)
    if report is not None:
        await owe_again(session, report, [survivor, merged], cause=merge.id, now=now)


async def hold_survivor(session: Session, merge: CustomerMerge) -> str:
    """Who the survivor is by now, and stays until this transaction ends.

    Of two merges in a chain one waits for the other: what goes to somebody who is being moved would be left there.
    """
    survivor = merge.survivor_id
    while True:
        rows = select(Customer.id).where(col(Customer.id).in_([merge.merged_id, survivor])).order_by(col(Customer.id))
        await session.exec(rows.with_for_update(key_share=True))
        now_known = await survivor_of(session, survivor)
        if now_known == survivor:
            return survivor
        survivor = now_known


async def sweep_merged(database: Database) -> int:
    """Let points that came to old profiles since, such as refunds, follow; returns of how many profiles."""
    done, after = 0, ""
    while True:
        async with database.read() as session:
            found = await left_behind(session, after=after)
        for merge_id in found:
            async with database.write() as session:
                merge = await session.get_one(CustomerMerge, merge_id)
                survivor = await survivor_of(session, merge.survivor_id)
                points = await move_points(session, merge.id, merge.merged_id, survivor, now=utc_now())
                await finish_merge(session, merge, {"points": points.points, "points owed": points.owed}, now=utc_now())
        done += len(found)
        if len(found) < SWEPT:
            break
        after = found[-1]
    if done:
        log.info("points_followed", profiles=done)
    return done


async def left_behind(session: Session, *, after: str) -> Sequence[str]:
    """The next finished merges, by id, whose old profile has points or debts again."""
    statement = (
        select(CustomerMerge.id)
        .join(LedgerAccount, col(LedgerAccount.customer_id) == CustomerMerge.merged_id)
        .where(col(CustomerMerge.finished_at).is_not(None), col(LedgerAccount.balance) > 0, CustomerMerge.id > after)
    )
    return (await session.exec(statement.distinct().order_by(col(CustomerMerge.id)).limit(SWEPT))).all()
