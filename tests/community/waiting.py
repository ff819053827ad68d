"""Events with waiting lists for tests, and what must hold of them at every moment and over a whole history."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

from community.cancellations import cancel_registration
from community.promotion import MOST_OVERTAKES
from community.registrations import Standing, confirm_registration, register_for_event
from community.seats import FIGURES
from community.waitlist import Promotion
from core.clock import iso, utc_now
from graph.client import GraphClient, Row, Transaction
from tests.community.places import make_community, make_event

CAPACITY = 20

SET = "MATCH (e:Event {id: $id}) SET e += $properties"
LOCK = "MATCH (e:Event {id: $id}) SET e.touched_at = $now RETURN properties(e) AS event"
EVERYBODY = """
MATCH (e:Event {id: $id})<-[r:REGISTERED_FOR]-(c:Customer)
RETURN c.id AS customer_id, properties(r) AS registration
"""


PLACES = """
MATCH (x:Listed)
WHERE x.order > $id + ':' AND x.order < $id + ';'
RETURN x.customer_id AS customer_id, properties(x) AS place
"""
DAYS = "MATCH (d:RegistrationDay {event_id: $id}) RETURN d.date AS date, d.quarters AS quarters"


async def make_list(graph: GraphClient, *, capacity: int = CAPACITY, community: str | None = None, **more: Any) -> str:
    """An event whose guests are two and which gives freed places at once; returns its id."""
    home = community or await make_community(graph)
    event = await make_event(graph, home, capacity=capacity, starts_at=utc_now() + timedelta(days=30))
    await graph.write(SET, id=event, properties={"guests_allowed": 2, "offer_hours": 0, **more})
    return event


async def register(
    graph: GraphClient, event_id: str, customer_id: str, guests: int | None = 0, **more: Any
) -> Standing:
    return await register_for_event(
        graph, event_id=event_id, customer_id=customer_id, guests=guests, now=utc_now(), **more
    )


async def cancel(graph: GraphClient, event_id: str, customer_id: str) -> Standing:
    return await cancel_registration(graph, event_id=event_id, customer_id=customer_id, now=utc_now())


async def confirm(graph: GraphClient, event_id: str, customer_id: str) -> Standing:
    return await confirm_registration(graph, event_id=event_id, customer_id=customer_id, now=utc_now())


async def snapshot(graph: GraphClient, event_id: str) -> tuple[Row, list[Row]]:
    """The event with `days` and `places`, and everybody's registrations, under the lock that all writers take."""

    async def work(tx: Transaction) -> tuple[Row, list[Row]]:
        event = (await tx.run(LOCK, id=event_id, now=iso(utc_now())))[0]["event"]
        event["days"] = {row["date"]: row["quarters"] for row in await tx.run(DAYS, id=event_id)}
        event["places"] = {row["customer_id"]: row["place"] for row in await tx.run(PLACES, id=event_id)}
        rows = await tx.run(EVERYBODY, id=event_id)
        return event, [{**row["registration"], "customer_id": row["customer_id"]} for row in rows]

    return await graph.transact(work, contended=event_id)


async def statuses(graph: GraphClient, event_id: str, customers: Sequence[str]) -> list[str]:
    found = {row["customer_id"]: row["status"] for row in (await snapshot(graph, event_id))[1]}
    return [found.get(customer, "-") for customer in customers]


def check_figures(event: Row, rows: list[Row]) -> None:
    """The figures and places that are kept of an event are what one finds by looking at its registrations."""
    kept = zip(FIGURES, event.get("figures", []), strict=False)
    found = Counter((row["channel"], row["status"]) for row in rows)
    assert {key: number for key, number in kept if number} == found
    times = Counter(row["registered_at"][:16] for row in rows)
    quarters: Counter[tuple[str, int]] = Counter()
    for time, number in times.items():
        quarters[time[:10], (int(time[11:13]) * 60 + int(time[14:])) // 15] += number
    check_places(event, rows)
    days = {(date, i): number for date, numbers in event["days"].items() for i, number in enumerate(numbers)}
    assert {key: number for key, number in days.items() if number} == quarters


def check_places(event: Row, rows: list[Row]) -> None:
    """Each registration stands in the lists where it belongs, and nobody else does."""
    assert set(event["places"]) == {row["customer_id"] for row in rows}
    for row in rows:
        place, made = event["places"][row["customer_id"]], f"{row['registered_at']}:{row['customer_id']}"
        assert place["key"] == row["key"]
        assert (place["order"], place["roll"]) == (f"{event['id']}:{made}", f"{event['id']}:{row['status']}:{made}")
        assert (place.get("queue"), place.get("offer")) == (row.get("queue"), row.get("offer"))
        if "queue" in row:
            assert (place["party"], place["overtaken"]) == (1 + row["guests"], row.get("overtaken", 0))


def check_moment(event: Row, rows: list[Row]) -> None:
    """What must hold at every moment; it knows the rule in words and nothing of how it is kept."""
    assert len({row["customer_id"] for row in rows}) == len(rows)
    check_figures(event, rows)
    holding = [row for row in rows if row["status"] in ("REGISTERED", "OFFERED", "ATTENDED", "NO_SHOW")]
    seats = sum(1 + row["guests"] for row in holding)
    assert seats == event["registered"] <= event["capacity"]
    waiting = sorted((row for row in rows if row["status"] == "WAITING"), key=lambda row: row["queue"])
    assert len(waiting) == event.get("waiting", 0)
    assert [row["ticket"] for row in waiting] == sorted({row["ticket"] for row in waiting})
    assert all(row.get("overtaken", 0) <= MOST_OVERTAKES for row in waiting)
    assert all("queue" not in row for row in rows if row["status"] != "WAITING")
    assert all(("offer" in row) == (row["status"] == "OFFERED") for row in rows)
    # No seat idles while somebody fits, unless it is kept for somebody before them.
    free = event["capacity"] - seats
    for row in waiting:
        if 1 + row["guests"] <= free:
            raise AssertionError(f"{free} seats idle")
        if row.get("overtaken", 0) >= MOST_OVERTAKES:
            break


def check_order(promotions: Sequence[Promotion], shrunk: Collection[int] = ()) -> None:
    """Over a whole history: tickets are served in order, save that smaller parties overtake at most three times.

    Of the tickets in `shrunk` the parties may have been larger when they were overtaken.
    """
    served = sorted(promotions, key=lambda one: one.number)
    assert [one.number for one in served] == list(range(1, len(served) + 1))
    assert len({one.ticket for one in served}) == len(served)
    for index, late in enumerate(served):
        overtakers = [early for early in served[:index] if early.ticket > late.ticket]
        assert len(overtakers) <= MOST_OVERTAKES
        assert late.ticket in shrunk or all(early.seats < late.seats for early in overtakers)
