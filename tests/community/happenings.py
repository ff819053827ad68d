"""Events as managers make them, for tests; and what they come to owe."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from community.access import MemberRole
from community.communities import read_communities
from community.event_details import EventDetails
from community.event_series import SeriesDetails, describe_series
from community.events import create_event, events_of, events_of_one
from community.rosters import members_of
from community.search_documents import SEARCH_INDEX
from community.seats import (
    Change,
    RegistrationStatus,
    change_registrations,
    registration_key,
    registrations_listed,
)
from community.waitlist import queue_of
from core.clock import iso, utc_now
from core.paging import Page
from graph.client import GraphClient, Row, Transaction
from tests.community.places import add_member, make_community, make_customers

TITLES = {"title_zh": "外拍", "title_en": "Photo walk"}


def describe(**more: Any) -> EventDetails:
    """An event of tomorrow, two hours long."""
    start = more.pop("starts_at", utc_now() + timedelta(days=1))
    fields: dict[str, Any] = {**TITLES, "starts_at": start, "ends_at": start + timedelta(hours=2), **more}
    return EventDetails(**fields)


def recur(rule: str, start: datetime, *, now: datetime, zone: str = "Europe/Berlin", **more: Any) -> SeriesDetails:
    """A series of events of an hour; `template` and the schedule's fields may be given."""
    schedule: dict[str, Any] = {"exdates": (), "duration_minutes": 60, **more}
    template = {**TITLES, **schedule.pop("template", {})}
    return describe_series(rule=rule, starts_at_local=start, time_zone=zone, template=template, now=now, **schedule)


async def make_managed(graph: GraphClient, **more: Any) -> tuple[str, str, str]:
    """A community with its manager and a member."""
    manager, member = await make_customers(graph, 2)
    community = await make_community(graph, owner_id=manager, role=MemberRole.MANAGER, **more)
    await add_member(graph, community, member, MemberRole.MEMBER)
    return community, manager, member


async def make(graph: GraphClient, community: str, manager: str, *, publish: bool = True, **more: Any) -> str:
    """An event of tomorrow; returns its id."""
    return await create_event(
        graph, describe(**more), community_id=community, manager_id=manager, publish=publish, now=utc_now()
    )


HOST = "MATCH (h:Customer {id: $customer_id}), (e:Event {id: $event_id}) CREATE (h)-[:HOSTS_EVENT]->(e)"


async def name_host(graph: GraphClient, event_id: str, customer_id: str) -> None:
    """Name a customer as a host of an event, member or not."""
    await graph.write(HOST, event_id=event_id, customer_id=customer_id)


async def put_registrations(
    graph: GraphClient,
    event_id: str,
    ids: list[str],
    *,
    status: str = "REGISTERED",
    channel: str = "PLACE",
    at: str = "2026-11-01T09:00:00.000000Z",
) -> None:
    """Registrations as they would be after registering."""
    after = {"status": status, "channel": channel, "guests": 0, "registered_at": at, "settled": True}
    waits = status == RegistrationStatus.WAITING
    queues = {id: {"queue": queue_of(event_id, channel, id)} if waits else {} for id in ids}
    changes = [Change(id, None, {**after, **queues[id]}) for id in ids]
    if not changes:
        return
    await graph.transact(lambda tx: change_registrations(tx, event_id, changes), contended=event_id, timeout=60)


async def put_status(graph: GraphClient, event_id: str, customer_id: str, status: str) -> None:
    """Another status of a registration, whatever led to it."""
    await put_change(graph, event_id, customer_id, status=status)


async def backdate_offer(graph: GraphClient, event_id: str, customer_id: str) -> None:
    """The offer of this customer has been over for a minute, and nobody has ended it."""
    past = iso(utc_now() - timedelta(minutes=1))
    await put_change(graph, event_id, customer_id, offer_expires_at=past, offer=f"{event_id}:{past}:{customer_id}")


async def put_change(graph: GraphClient, event_id: str, customer_id: str, **after: Any) -> None:
    """Something else about a registration, with the counts and places that follow from it."""
    key = registration_key(event_id, customer_id)

    async def work(tx: Transaction) -> None:
        (row,) = await registrations_listed(tx, [{"customer_id": customer_id, "key": key}])
        await change_registrations(tx, event_id, [Change(customer_id, row["registration"], after)])

    await graph.transact(work, contended=event_id)


EVENT = "MATCH (e:Event {id: $id}) RETURN properties(e) AS event"


async def stored_event(graph: GraphClient, event_id: str) -> Row:
    rows = await graph.read(EVENT, id=event_id)
    return rows[0]["event"] if rows else {}


OWED = "MATCH (o:Owed) WHERE o.payload CONTAINS $id RETURN o.topic AS topic, o.payload AS payload ORDER BY o.key"


async def owed_about(graph: GraphClient, id: str) -> list[Row]:
    """What the graph owes whose payload names this id, besides its place in the search index."""
    return [row for row in await graph.read(OWED, id=id) if row["topic"] != SEARCH_INDEX]


async def listed_events(
    graph: GraphClient,
    community_ids: list[str],
    *,
    viewer_id: str | None,
    ends_from: datetime | None = None,
    first: int | None = 9,
    after: str | None = None,
) -> dict[str, Page[Row]]:
    """Pages of events of communities as the viewer may read them; an empty one where a community is out of sight."""
    if len(community_ids) == 1:
        page = await events_of_one(
            graph, community_ids[0], viewer_id=viewer_id, ends_from=ends_from, first=first, after=after
        )
        return {community_ids[0]: page}
    seen = await read_communities(graph, community_ids, viewer_id=viewer_id)
    pages = await events_of(graph, list(seen.values()), ends_from=ends_from, first=first, after=after)
    return {key: pages.get(key, Page(rows=[], cursors=[], has_next=False)) for key in community_ids}


async def listed_members(graph: GraphClient, seen: Sequence[Row], **asked: Any) -> dict[str, Page[Row]]:
    """Pages of members of communities that were read for a viewer."""

    async def at_hand() -> Sequence[Row]:
        return seen

    return await members_of(graph, [row["id"] for row in seen], at_hand, **asked)
