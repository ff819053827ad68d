"""Rows of which several parts of the demonstration bank make some, and the keys by which rows name each other."""

from dataclasses import dataclass
from typing import Any

from ops.demonstration.days import Calendar

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """An event's key, its day counted from today, its hour in Shanghai, and for how many there is room."""

    key: str
    day: int
    hour: int
    capacity: int


def customer_key(number: int) -> str:
    return f"c-{number:06d}"


def community_key(number: int) -> str:
    return f"k-{number:04d}"


def membership_row(customer: str, community: int, role: str, since: str, weight: float = 1.0) -> Row:
    return {
        "kind": "membership",
        "customer": customer,
        "community": community_key(community),
        "role": role,
        "since": since,
        "weight": weight,
    }


def registration_row(customer: str, event: Event, status: str, registered_at: str, calendar: Calendar) -> Row:
    """A registration; who attended came at the event's hour."""
    row: Row = {
        "kind": "registration",
        "customer": customer,
        "event": event.key,
        "status": status,
        "registered_at": registered_at,
    }
    if status == "ATTENDED":
        row["attended_at"] = calendar.at(event.day, event.hour)
    return row


def attendance_rows(customer: str, event: Event, calendar: Calendar) -> list[Row]:
    """An attended event together with the fact of it, which the import of a registration does not make."""
    return [
        registration_row(customer, event, "ATTENDED", calendar.at(event.day - 7, 12), calendar),
        attendance_fact(customer, event, calendar),
    ]


def attendance_fact(customer: str, event: Event, calendar: Calendar) -> Row:
    fact = fact_row("EVENT_ATTENDED", customer, calendar.at(event.day, event.hour))
    return {**fact, "key": f"attendance:{event.key}:{customer}"}


def fact_row(kind: str, customer: str, occurred_at: str) -> Row:
    """A fact of which a customer has one."""
    return {
        "kind": "fact",
        "key": f"{kind.lower().replace('_', '-')}:{customer}",
        "fact_kind": kind,
        "customer": customer,
        "occurred_at": occurred_at,
    }
