"""Places in the waiting lists: who stands where, who may look, and a manager's reordering with its reason."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime

from community.events import audited
from community.registrations import read_registrations
from community.seats import (
    Change,
    Channel,
    RegistrationStatus,
    change_registrations,
    channel_of,
    registration_key,
    roll_of,
)
from community.waitlist import Promotion, promote_waitlist, queue_name, queue_of, rank_between, rank_of
from core.clock import iso
from core.errors import BadUserInput, NotFound, Refusal
from core.ids import new_id
from core.paging import Page, Place, cut_each, goes_back, page_size, position_at
from graph.client import GraphClient, Row, Transaction
from graph.listed import listed_by, read_spans, span
from graph.owed import owe_effects

LONGEST_REASON = 500
LAST_POSITION = 10_000


class NotWaiting(Refusal):
    code = "NOT_WAITING"
    en = "This customer does not wait for a place."
    zh = "该客户不在候补名单中。"


class ReorderInvalid(BadUserInput):
    code = "REORDER_INVALID"
    en = "The place or the reason is not valid."
    zh = "顺位或理由无效。"


COUNT_BEFORE = "MATCH (x:Listed) WHERE x.queue > $low AND x.queue < $high RETURN $high AS queue, count(x) AS before"


async def positions(graph: GraphClient, queues: Collection[str]) -> dict[str, int]:
    """The position of each place, 1 for the first, by its text: how many wait before it, and one."""
    spans = [{"low": queue.rsplit(":", 1)[0] + ":", "high": queue} for queue in sorted(set(queues))]
    found = {row["queue"]: row["before"] + 1 for row in await read_spans(graph, COUNT_BEFORE, spans)}
    # Before the first there is nothing to count, and so no row.
    return {queue: found.get(queue, 1) for queue in queues}


WAITLIST = listed_by("queue")
WAITLIST_BACK = listed_by("queue", back=True)


async def waitlists_of(
    graph: GraphClient, event_ids: Sequence[str], channel: Channel, *, first: int | None, after: Place
) -> dict[str, Page[Row]]:
    """A page of each event's list in its order, each row with its `position`; for those who run the events."""
    size, back = page_size(first), goes_back(after)
    position = position_at(after, str)
    passed = str(position[0]) if position else ""
    spans = [span(queue_name(key, channel), passed, back=back) for key in event_ids]
    listed = await read_spans(graph, WAITLIST_BACK if back else WAITLIST, spans, limit=size + 1)
    heads = {row["key"].split(":")[0]: row["place"] for row in reversed(listed)}
    # Only the page from the beginning knows its positions by itself.
    starts = await positions(graph, heads.values()) if heads and (position or back) else {}
    rows = await shown(graph, listed)
    counted: Counter[str] = Counter()
    for row in rows:
        row["position"] = starts.get(heads[row["event_id"]], 1) + counted[row["event_id"]]
        counted[row["event_id"]] += -1 if back else 1
    return cut_each(list(event_ids), rows, "event_id", size, lambda row: (row["place"].rpartition(":")[2],), after)


async def shown(graph: GraphClient, listed: Sequence[Row]) -> list[Row]:
    """The registrations of rows of a list, in their order, each with its `place` in it.

    Between the two readings one may change; it is shown as it is by then.
    """
    pairs = [(row["key"].split(":")[0], row["customer_id"]) for row in listed]
    found = await read_registrations(graph, pairs) if pairs else {}
    return [{**found[row["key"]], "place": row["place"]} for row in listed if row["key"] in found]


REGISTRATIONS = listed_by("order")
ROLL = listed_by("roll")
REGISTRATIONS_BACK = listed_by("order", back=True)
ROLL_BACK = listed_by("roll", back=True)


async def registrations_at(
    graph: GraphClient,
    event_ids: Sequence[str],
    statuses: Collection[RegistrationStatus] | None,
    *,
    first: int | None,
    after: Place,
) -> dict[str, Page[Row]]:
    """Who registered for each event, the earliest first; of each status asked for, no more is read than a page."""
    size, back = page_size(first), goes_back(after)
    position = position_at(after, str)
    passed = str(position[0]) if position else ""
    if statuses is None:
        names, query = list(event_ids), REGISTRATIONS_BACK if back else REGISTRATIONS
    else:
        names = [roll_of(key, status) for key in event_ids for status in sorted(set(statuses))]
        query = ROLL_BACK if back else ROLL
    found = await read_spans(graph, query, [span(name, passed, back=back) for name in names], limit=size + 1)
    parts = 1 if statuses is None else 2

    def place(row: Row) -> str:
        """The place among all of the event, which is also the one within a status."""
        return row["place"].split(":", parts)[parts]

    kept: list[Row] = []
    for event_id in event_ids:
        of_event = [row for row in found if row["key"].startswith(event_id)]
        kept += sorted(of_event, key=place, reverse=back)[: size + 1]
    return cut_each(list(event_ids), await shown(graph, kept), "event_id", size, lambda row: (place(row),), after)


# The event is locked only for those who run it.
LOCK_LIST = """
MATCH (e:Event {id: $event_id})<-[:HOSTS]-(c:Community)
OPTIONAL MATCH (me:Customer {id: $manager_id})
OPTIONAL MATCH (me)-[m:MEMBER_OF {key: c.id + ':' + $manager_id}]->(:Community)
WITH e, c, m
WHERE m.role IN ['OWNER', 'MANAGER']
SET e.touched_at = $now
WITH e, c
OPTIONAL MATCH (:Customer {id: $customer_id})-[r:REGISTERED_FOR {key: $key}]->(:Event)
RETURN c.id AS community_id, e.next_ticket AS next_ticket, properties(r) AS registration
"""


async def reorder_waitlist(
    graph: GraphClient, *, event_id: str, customer_id: str, position: int, reason: str, manager_id: str, now: datetime
) -> list[Promotion]:
    """Move somebody to a position in their list, 1 for the first; the reason is kept in the audit trail.

    A position beyond the end is the end. Raises NotFound where the manager does not manage the event's community,
    NotWaiting, ReorderInvalid.
    """
    if not 1 <= position <= LAST_POSITION:
        raise ReorderInvalid(path=("position",), detail=f"1 to {LAST_POSITION}")
    if not 1 <= len(reason.strip()) <= LONGEST_REASON or "\0" in reason:
        raise ReorderInvalid(path=("reason",), detail=f"1 to {LONGEST_REASON} characters, none of them NUL")
    act_id = new_id()

    async def work(tx: Transaction) -> list[Promotion]:
        key = registration_key(event_id, customer_id)
        names = {"event_id": event_id, "manager_id": manager_id, "customer_id": customer_id, "key": key}
        rows = await tx.run(LOCK_LIST, **names, now=iso(now))
        if not rows:
            raise NotFound(path=("eventId",))
        registration = rows[0]["registration"]
        if registration is None or registration["status"] != RegistrationStatus.WAITING:
            raise NotWaiting(path=("customerId",))
        ranks, before = await ranks_around(tx, event_id, customer_id, registration, position)
        reached = min(position, len(ranks) + 1)
        # Before the first is nothing, and behind the last whoever comes next.
        bounds = ["", *ranks, rank_of(rows[0]["next_ticket"])]
        low, high = bounds[reached - 1], bounds[reached]
        place = queue_of(event_id, channel_of(registration), rank_between(low, high))
        await change_registrations(tx, event_id, [Change(customer_id, registration, {"queue": place})])
        moved = {"event_id": event_id, "position_before": before, "position_after": reached}
        done = audited(
            rows[0]["community_id"],
            manager_id,
            "WAITLIST_REORDERED",
            customer_id,
            kind="Customer",
            key=act_id,
            now=now,
            reason=reason.strip(),
            **moved,
        )
        await owe_effects(tx, [done], now=now)
        return await promote_waitlist(tx, event_id, now=now)

    return await graph.transact(work, contended=event_id)


async def ranks_around(
    tx: Transaction, event_id: str, customer_id: str, registration: Row, position: int
) -> tuple[list[str], int]:
    """The ranks of the others up to a position, and the position that the customer has now."""
    name = queue_name(event_id, channel_of(registration))
    head = await tx.run(WAITLIST, **span(name), limit=position + 1)
    earlier = await tx.run(COUNT_BEFORE, low=f"{name}:", high=registration["queue"])
    others = [row["place"] for row in head if row["customer_id"] != customer_id]
    return [queue.removeprefix(f"{name}:") for queue in others], earlier[0]["before"] + 1 if earlier else 1
