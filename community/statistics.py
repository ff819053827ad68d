"""What a manager learns about an event: how many came to register, and how many of them came.

Whoever changes registrations keeps the figures (community/seats.py), so no registration is read here: the event has a
number for each channel and status, and a small node for each day on which somebody registered.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from community.access import MANAGERS
from community.recurrence import wall_of
from community.seats import CAPACITY, FIGURES, QUARTERS, SEATS, Channel
from community.seats import RegistrationStatus as Status
from core.clock import iso, parse_instant
from core.errors import NotFound
from graph.client import GraphClient, Row

QUARTER = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class ChannelFigures:
    """One way of taking part: registrations by their status, seats held, and how many there are."""

    channel: Channel
    statuses: Counter[str]
    seats: int
    capacity: int | None

    @property
    def total(self) -> int:
        return self.statuses.total()


@dataclass(frozen=True, slots=True)
class EventFigures:
    """The event's figures over both channels; rates are of registrations, None while nothing can be said."""

    channels: list[ChannelFigures]
    days: list[tuple[date, int]] = field(default_factory=list[tuple[date, int]])
    started: bool = False
    completed: bool = False

    @property
    def statuses(self) -> Counter[str]:
        return sum((channel.statuses for channel in self.channels), Counter[str]())

    @property
    def attendance_rate(self) -> float | None:
        """Of those who had a place, the part that came; from the start on."""
        came, had = self.statuses[Status.ATTENDED], self._with_place
        return came / had if self.started and had else None

    @property
    def no_show_rate(self) -> float | None:
        """Of those who had a place, the part that did not come; known when the event is completed."""
        return self.statuses[Status.NO_SHOW] / self._with_place if self.completed and self._with_place else None

    @property
    def _with_place(self) -> int:
        return sum(self.statuses[status] for status in (Status.REGISTERED, Status.ATTENDED, Status.NO_SHOW))


# By its key, the membership is found without a walk through the community's or the event's relationships.
MANAGED_EVENT = """
MATCH (e:Event {id: $event_id})
MATCH (me:Customer {id: $manager_id})-[m:MEMBER_OF {key: e.community_id + ':' + $manager_id}]->(:Community)
WHERE m.role IN $managers
RETURN e.time_zone AS time_zone, e.starts_at AS starts_at, e.status AS status, e.capacity AS capacity,
       e.link_capacity AS link_capacity, e.registered AS registered, coalesce(e.link_registered, 0) AS link_registered,
       coalesce(e.figures, []) AS figures
"""

DAYS = """
MATCH (d:RegistrationDay {event_id: $event_id})
RETURN d.date AS date, d.quarters AS quarters
"""


async def event_statistics(graph: GraphClient, *, event_id: str, manager_id: str, now: datetime) -> EventFigures:
    """The figures of an event that the customer manages, in two round trips; raises NotFound for anybody else."""
    events = await graph.read(MANAGED_EVENT, event_id=event_id, manager_id=manager_id, managers=MANAGERS)
    if not events:
        raise NotFound(path=("eventId",))
    event = events[0]
    rows = await graph.read(DAYS, event_id=event_id)
    return EventFigures(
        channels=[channel_figures(channel, event) for channel in Channel],
        days=registrations_per_day(rows, event["time_zone"]),
        started=event["starts_at"] <= iso(now),
        completed=event["status"] == "COMPLETED",
    )


def channel_figures(channel: Channel, event: Row) -> ChannelFigures:
    """The figures of one channel, without statuses that nobody has; nobody registered yet where there are none."""
    numbers = zip(FIGURES, event["figures"], strict=False)
    statuses = Counter({str(status): number for (way, status), number in numbers if way == channel and number})
    return ChannelFigures(channel, statuses, event[SEATS[channel]], event[CAPACITY[channel]])


def registrations_per_day(rows: Iterable[Row], zone: str) -> list[tuple[date, int]]:
    """How many registered on each day of the event's zone, without days on which nobody did."""
    days: Counter[date] = Counter()
    for row in rows:
        for day, number in parts_of(row["date"], row["quarters"], zone):
            days[day] += number
    return sorted((day, number) for day, number in days.items() if number)


def parts_of(day: str, quarters: Sequence[int], zone: str) -> list[tuple[date, int]]:
    """The numbers of a day of UTC by the zone's days: one or two, whose border is found once.

    On a day on which the zone's clocks change, each quarter is asked for its date.
    """
    midnight = parse_instant(f"{day}T00:00:00Z")
    first, last = (wall_of(midnight + n * QUARTER, zone) for n in (0, QUARTERS - 1))
    if last - first != (QUARTERS - 1) * QUARTER:
        return [(wall_of(midnight + n * QUARTER, zone).date(), number) for n, number in enumerate(quarters)]
    border = QUARTERS - (first.hour * 4 + first.minute // 15)
    return [(first.date(), sum(quarters[:border])), (first.date() + timedelta(days=1), sum(quarters[border:]))]
