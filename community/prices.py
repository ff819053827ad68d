"""What registrations cost in points: the seat comes first, the points follow, and each is settled on its own.

A registration names its price and a sequence number, which is new each time the customer registers for the event.
Event, customer and sequence name one charge for ever: it is booked, refunded or made void once, in whatever order
the messages about it arrive. The ledger is another room's; these are the effects that the graph owes to it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from community.seats import Change, RegistrationStatus, registration_key
from graph.client import GraphClient, Row
from graph.owed import Effect

REGISTRATION_CHARGE = "registration.charge"
REGISTRATION_PAID = "registration.paid"
REGISTRATION_REFUND = "registration.refund"

# Owed by whoever cancels an event; what was paid for it is given back.
EVENT_CANCELLED = "event.cancelled"

# The request that takes a seat charges it at once; the owed effect is for a request that died in between.
PATIENCE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Charge:
    """The points that one registration costs."""

    event_id: str
    customer_id: str
    sequence: int
    points: int

    @property
    def key(self) -> str:
        return f"{self.event_id}:{self.customer_id}:{self.sequence}"

    @property
    def payload(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "customer_id": self.customer_id,
            "sequence": self.sequence,
            "points": self.points,
        }


def charge_of(event_id: str, customer_id: str, registration: Row) -> Charge | None:
    """The charge of a registration; None where it costs nothing."""
    points = registration.get("price_points")
    return Charge(event_id, customer_id, registration.get("sequence") or 1, points) if points else None


def unpaid_charge(event_id: str, customer_id: str, registration: Row) -> Charge | None:
    """The charge that a seat still waits for."""
    is_unpaid = registration["status"] == RegistrationStatus.REGISTERED and not registration.get("paid")
    return charge_of(event_id, customer_id, registration) if is_unpaid else None


def charges_owed(event_id: str, change: Change, *, now: datetime, at_once: bool = False) -> list[Effect]:
    """What a seat taken or given owes the ledger; `at_once` where no request is there to charge it."""
    charge = unpaid_charge(event_id, change.customer_id, change.result)
    due_at = now if at_once else now + PATIENCE
    return [Effect(REGISTRATION_CHARGE, charge.key, charge.payload, due_at)] if charge else []


def refunds_owed(event_id: str, change: Change) -> list[Effect]:
    """What a seat given back owes: the points where they were booked, and otherwise that they never will be."""
    registration = change.before or {}
    charge = charge_of(event_id, change.customer_id, registration)
    held = registration.get("status") == RegistrationStatus.REGISTERED
    return [Effect(REGISTRATION_REFUND, charge.key, charge.payload)] if charge and held else []


class SeatState(StrEnum):
    """What has become of the seat that a charge is for: it waits for its points, is settled, or is there no more."""

    DUE = "DUE"
    SETTLED = "SETTLED"
    GONE = "GONE"


SEAT_OF_CHARGE = """
MATCH (:Customer {id: $customer_id})-[r:REGISTERED_FOR {key: $key}]->(e:Event)
WHERE r.sequence = $sequence AND r.status IN ['REGISTERED', 'ATTENDED', 'NO_SHOW'] AND e.status <> 'CANCELLED'
RETURN r.status = 'REGISTERED' AND r.paid = false AS due
"""


async def seat_of_charge(graph: GraphClient, charge: Charge) -> SeatState:
    rows = await graph.read(SEAT_OF_CHARGE, **names_of(charge))
    if not rows:
        return SeatState.GONE
    return SeatState.DUE if rows[0]["due"] else SeatState.SETTLED


MARK_PAID = """
MATCH (:Customer {id: $customer_id})-[r:REGISTERED_FOR {key: $key}]->(e:Event)
WHERE r.sequence = $sequence AND r.status IN ['REGISTERED', 'ATTENDED', 'NO_SHOW'] AND e.status <> 'CANCELLED'
SET r.paid = true
RETURN r.key AS key
"""


async def mark_paid(graph: GraphClient, charge: Charge) -> bool:
    """Note that the points are booked; False where the seat or the event has gone meanwhile, so that they go back."""
    return bool(await graph.write(MARK_PAID, **names_of(charge)))


MARK_REFUNDED = """
UNWIND $rows AS row
MATCH (:Customer {id: row.customer_id})-[r:REGISTERED_FOR {key: row.key}]->(:Event)
WHERE r.sequence = row.sequence
SET r.paid = false
"""


async def mark_refunded(graph: GraphClient, charges: list[Charge]) -> None:
    """Note that the points of these registrations went back."""
    if charges:
        await graph.write(MARK_REFUNDED, rows=[names_of(charge) for charge in charges])


def names_of(charge: Charge) -> dict[str, Any]:
    key = registration_key(charge.event_id, charge.customer_id)
    return {"customer_id": charge.customer_id, "key": key, "sequence": charge.sequence}
