"""The fields by which events are described: the same for one event, a series, and changes of either."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import strawberry

from api.named_segments import named_segment
from api.relay import local_id
from community.event_details import WALKED, AttendanceMode, EventDetails, EventInvalid
from core.errors import camel
from graph.eligibility import Tier

strawberry.enum(AttendanceMode, name="AttendanceMode", description="Where people take part.")

UNSET: Any = strawberry.UNSET
PRIORITY = (
    "Until when early invitations come first, at the latest the start: before it customers register by the hours "
    "of their tier sooner, earlyInvitationHours, and everybody from it on; null: everybody at once."
)


@strawberry.input
class EventFields:
    """What may be left out everywhere; where a change names a field with null, its value is taken away."""

    description_zh: str | None = strawberry.field(description="Description in Chinese.", default=UNSET)
    description_en: str | None = strawberry.field(description="Description in English.", default=UNSET)
    language: str | None = strawberry.field(description="Language that is spoken, such as zh.", default=UNSET)
    venue: str | None = strawberry.field(description="Where it is.", default=UNSET)
    latitude: float | None = strawberry.field(description="Degrees north, with the longitude.", default=UNSET)
    longitude: float | None = strawberry.field(description="Degrees east, with the latitude.", default=UNSET)
    attendance_mode: AttendanceMode | None = strawberry.field(
        description="Where people take part; IN_PERSON by default.", default=UNSET
    )
    link: str | None = strawberry.field(description="An https address, for ONLINE and HYBRID.", default=UNSET)
    capacity: int | None = strawberry.field(description="Places at the venue; null: without limit.", default=UNSET)
    link_capacity: int | None = strawberry.field(description="Places by the link; null: no limit.", default=UNSET)
    guests_allowed: int | None = strawberry.field(description="How many guests each may bring.", default=UNSET)
    minimum_tier: Tier | None = strawberry.field(description="Who may register at least.", default=UNSET)
    required_tags: list[str] | None = strawberry.field(
        description="Keys of tags that who registers must have.", default=UNSET
    )
    segment_id: strawberry.ID | None = strawberry.field(
        description="Global id of the segment of customers that may register; null: none.", default=UNSET
    )
    price_points: int | None = strawberry.field(description="Price of a place in points.", default=UNSET)
    offer_hours: int | None = strawberry.field(
        description="How long a freed place is offered to the first who waits; 0: it is given at once.", default=UNSET
    )
    tags: list[str] | None = strawberry.field(description="Keys of tags that it is about.", default=UNSET)
    host_ids: list[strawberry.ID] | None = strawberry.field(
        description="Global ids of the members who host it.", default=UNSET
    )


# What a field is when a change takes its value away, where that is not null.
WITHOUT: dict[str, Any] = {
    "description_zh": "",
    "description_en": "",
    "attendance_mode": AttendanceMode.IN_PERSON,
    "guests_allowed": 0,
    "offer_hours": 12,
    "required_tags": (),
    **{name: () for name in WALKED},
}
NEVER_NULL = ("title_zh", "title_en", "starts_at", "ends_at", "time_zone")


def given_fields(input: Any, names: Iterable[str]) -> dict[str, Any]:
    """The fields among `names` that the input gives, as the domain takes them."""
    found: dict[str, Any] = {}
    for name in names:
        value = getattr(input, name, UNSET)
        if value is UNSET:
            continue
        if value is None and name in NEVER_NULL:
            raise EventInvalid(path=(camel(name),), detail="it cannot be null")
        if name == "host_ids" and value is not None:
            value = tuple(local_id("Customer", host, "input", "hostIds") for host in value)
        if name == "segment_id":
            value = named_segment(getattr(input, name))
        found[name] = WITHOUT.get(name) if value is None else tuple(value) if isinstance(value, list) else value
    return found


FIELD_NAMES = tuple(EventFields.__annotations__)


@strawberry.input(description="What an event needs.")
class CreateEventInput(EventFields):
    community_id: strawberry.ID = strawberry.field(description="The community that hosts it.")
    title_zh: str = strawberry.field(description="Title in Chinese.")
    title_en: str = strawberry.field(description="Title in English.")
    starts_at: datetime = strawberry.field(description="Start.")
    ends_at: datetime = strawberry.field(description="End, after the start and at most 92 days later.")
    time_zone: str = strawberry.field(description="IANA zone of the place.", default="Asia/Shanghai")
    registration_opens_at: datetime | None = strawberry.field(
        description="From when on one may register; null: at once.", default=UNSET
    )
    registration_closes_at: datetime | None = strawberry.field(
        description="Until when one may register, at the latest the start; null: until the start.", default=UNSET
    )
    priority_until: datetime | None = strawberry.field(description=PRIORITY, default=UNSET)
    publish: bool = strawberry.field(description="Whether it is public at once; false: a draft.", default=True)


@strawberry.input(description="What changes on an event; what is left out stays, null takes a value away.")
class UpdateEventInput(EventFields):
    event_id: strawberry.ID = strawberry.field(description="Global id of the event.")
    version: int | None = strawberry.field(
        description="The event's version that you saw; a later one is refused with CONFLICT.", default=None
    )
    title_zh: str | None = strawberry.field(description="Title in Chinese.", default=UNSET)
    title_en: str | None = strawberry.field(description="Title in English.", default=UNSET)
    starts_at: datetime | None = strawberry.field(description="Start.", default=UNSET)
    ends_at: datetime | None = strawberry.field(description="End.", default=UNSET)
    time_zone: str | None = strawberry.field(description="IANA zone of the place.", default=UNSET)
    registration_opens_at: datetime | None = strawberry.field(
        description="From when on one may register.", default=UNSET
    )
    registration_closes_at: datetime | None = strawberry.field(
        description="Until when one may register, at the latest the start.", default=UNSET
    )
    priority_until: datetime | None = strawberry.field(description=PRIORITY, default=UNSET)


def details_from(input: CreateEventInput) -> EventDetails:
    """The event that an input describes."""
    times = ("starts_at", "ends_at", "time_zone", "registration_opens_at", "registration_closes_at", "priority_until")
    return EventDetails(**given_fields(input, ("title_zh", "title_en", *times, *FIELD_NAMES)))
