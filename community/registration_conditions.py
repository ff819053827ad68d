"""For whom an event is, and from when on for whom: what is asked about a customer while the event is held."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from community.seats import Locked
from core.clock import iso, parse_instant
from core.errors import Refusal
from graph.eligibility import NotEligible, is_eligible
from segments.membership import InSegment

# By how much sooner than everybody a customer may register, for those who hold a lock in the graph and know no SQL.
EarlyBy = Callable[[str], Awaitable[timedelta]]


class RegistrationNotYetOpenToAll(Refusal):
    code = "REGISTRATION_NOT_YET_OPEN_TO_ALL"
    en = "Registration for this event is open to early invitations only, and opens to you later."
    zh = "该活动正在优先邀请报名，尚未向您开放。"


@dataclass(frozen=True, slots=True)
class Questions:
    """What only SQL knows of customers, each asked where an event needs it; without an answer one is not let in."""

    in_segment: InSegment | None = None
    early_by: EarlyBy | None = None


# Who asks nothing lets nobody into what is for a segment, nor in before others.
UNASKED = Questions()


async def check_conditions(found: Locked, customer_id: str, questions: Questions, *, now: datetime) -> None:
    """Raise NotEligible where the event is not for this customer, RegistrationNotYetOpenToAll where not yet."""
    event = found.event
    met = is_eligible(found.tier, found.tags, event.get("minimum_tier"), event.get("required_tags"))
    segment_id = event.get("segment_id")
    if met and segment_id is not None:
        met = questions.in_segment is not None and await questions.in_segment(segment_id, customer_id)
    if not met:
        raise NotEligible(path=("eventId",))
    await check_priority(event.get("priority_until"), customer_id, questions.early_by, now=now)


async def check_priority(
    priority_until: str | None, customer_id: str, early_by: EarlyBy | None, *, now: datetime
) -> None:
    """Raise RegistrationNotYetOpenToAll before the customer's own opening: so much sooner as they are entitled to."""
    if priority_until is None or priority_until <= iso(now):
        return
    early = await early_by(customer_id) if early_by is not None else timedelta()
    opens = parse_instant(priority_until) - early
    if now < opens:
        raise RegistrationNotYetOpenToAll(path=("eventId",), detail=f"from {iso(opens)}")
