"""Rows enough for the lists that have an order of their own, with ties, so that walking one from its end says much."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from api.relay import split_id
from community.access import MemberRole
from community.feedback import EventFeedback
from community.posts import PostChange, update_post
from community.recommendation_policies import RecommendationExperiment
from core.ids import new_id
from customers.records import Account, Holding, MonthlyBalance, ServiceRecord
from graph.client import Row
from loyalty.day_close import DayClose
from loyalty.redemption_records import Redemption, RedemptionStatus
from referrals.influence import ReferralInfluence
from service.care_occasions import CareOccasion
from service.interaction_records import Interaction
from tests.access.world import World
from tests.community.happenings import put_registrations
from tests.community.places import add_member, make_community, make_customers
from tests.community.writings import write_comment, write_post

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def local(world: World, kind: str) -> str:
    return split_id(world.ids[kind])[1]


def told(lin: str, n: int) -> Row:
    """What a source says of Lin, as of when."""
    return {"customer_id": lin, "source": "core", "observed_at": NOON, "recorded_at": NOON, "key": f"k-{n}"}


def rows_of(world: World, n: int) -> Iterator[Any]:
    """One more row of each; every second one has its instant or day in common with the one before."""
    lin, at, id = world.local("lin"), NOON + n // 2 * DAY, new_id()
    words: Row = {"id": id, **told(lin, n)}
    yield Account(**words, kind="CURRENT", currency="CNY")
    yield Holding(**words, product="P", kind="FUND", amount=1, currency="CNY")
    yield ServiceRecord(**words, kind="CALL", channel="PHONE", topic="card", occurred_at=at)
    month: Row = {"month": date(2026, 1 + n // 2, 1), "customer_key": str(n), "average": 1, "currency": "CNY"}
    yield MonthlyBalance(customer_id=lin, source="core", observed_at=NOON, recorded_at=NOON, **month)
    logged: Row = {"kind": "CALL", "channel": "PHONE", "direction": "INBOUND", "employee_id": "zhou"}
    yield Interaction(id=new_id(), customer_id=lin, occurred_at=at, logged_at=at, **logged)
    day: Row = {"festival": "LABOUR_DAY", "kind": "FESTIVAL", "year": 2026, "rank": 1, "on_day": at.date()}
    yield CareOccasion(id=id, customer_id=lin, due_at=at, planned_at=at, **day)
    yield DayClose(day=(NOON + n * DAY).date(), time_zone="UTC", ends_at=at, phase="CLOSED", opened_at=at, findings={})
    feedback: Row = {"event_id": local(world, "Event"), "customer_id": new_id(), "rating": 4}
    yield EventFeedback(id=id, created_at=at, **feedback)
    ranked: Row = {"program_id": local(world, "ReferralProgram"), "influence": 1.0, "descendants": 1}
    yield ReferralInfluence(rank=n + 1, customer_id=lin, computed_at=at, **ranked)
    policy = local(world, "RecommendationPolicy")
    trial: Row = {"control_id": policy, "treatment_id": policy, "percent": 5, "started_by": "he", "ended_by": "he"}
    yield RecommendationExperiment(id=id, started_at=at, ended_at=at, **trial)
    voucher: Row = {"points": 1, "status": RedemptionStatus.FULFILLED, "voucher_code": f"V{id}", "grace_days": 1}
    asked: Row = {"reward_id": local(world, "Reward"), "idempotency_key": id, "redeemed_at": at}
    yield Redemption(id=id, customer_id=lin, expired_policy="GRACE", **asked, **voucher)


async def fill(world: World) -> None:
    """Five more rows of SQL for each list, and as many people, posts, comments and versions in Chen's community."""
    async with world.database.write() as session:
        session.add_all([row for n in range(5) for row in rows_of(world, n)])
    graph, chen, lin = world.system.edge.graph, world.local("chen"), world.local("lin")
    community, post, event = world.words["community"], world.words["post"], local(world, "Event")
    for role in (MemberRole.PENDING, MemberRole.INVITED, MemberRole.BANNED):
        for one in await make_customers(graph, 3):
            await add_member(graph, community, one, role)
    for n in range(3):
        await write_post(graph, community, chen, now=NOON + n * DAY)
        await write_comment(graph, post, lin)
        await update_post(graph, post, PostChange(text=f"Version {n}"), author_id=lin, now=NOON + n * DAY)
        await add_member(graph, await make_community(graph), lin, MemberRole.INVITED)
    await put_registrations(graph, event, await make_customers(graph, 3))
    await put_registrations(graph, event, await make_customers(graph, 3), status="WAITING")
