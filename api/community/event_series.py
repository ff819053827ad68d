"""Series of events."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import strawberry

from api.community.event_inputs import FIELD_NAMES, UNSET, EventFields, given_fields
from api.community.events import Event, changed_event, event_of
from api.context import Info
from api.named_segments import check_named
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from community.event_details import EventInvalid
from community.event_series import create_event_series, describe_series
from community.event_series_edits import SeriesChange, update_this_and_following
from community.recurrence import read_wall_time
from core.errors import NotFound
from core.paging import Page, window

TITLES = ("title_zh", "title_en")


@strawberry.type(description="Events that recur by a rule; each occurrence is an event with its own registrations.")
class EventSeries(Node):
    rule: str = strawberry.field(description="RRULE as RFC 5545 writes it.")
    starts_at_local: str = strawberry.field(description="First start by the clock of the zone.")
    time_zone: str = strawberry.field(description="IANA zone by whose clock it recurs.")
    exdates: list[str] = strawberry.field(description="Starts by that clock that are left out.")
    local: strawberry.Private[str]

    @strawberry.field(
        description="Its events by their original start: those of the next 180 days, or two years where the rule ends."
    )
    async def occurrences(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Event]:
        size, place = window(first, after, last, before)
        page = await info.context.loaders.occurrences(size, place).load(self.local)
        rows = await info.context.loaders.events.load_many([row["id"] for row in page.rows])
        return connection(
            Page(rows, page.cursors, page.has_next, page.has_previous), place, lambda row: event_of(row, info)
        )


async def load_series(info: Info, series_id: str) -> EventSeries | None:
    row = await info.context.loaders.event_series.load(series_id)
    if row is None:
        return None
    return EventSeries(
        id=global_id("EventSeries", row["id"]),
        rule=row["rule"],
        starts_at_local=row["starts_at_local"],
        time_zone=row["time_zone"],
        exdates=row["exdates"] or [],
        local=row["id"],
    )


PRIORITY_OF_EACH = (
    "Until how long before each start early invitations come first, as priorityUntil of an event says; "
    "null: everybody at once."
)


@strawberry.input(description="What a series needs.")
class CreateEventSeriesInput(EventFields):
    community_id: strawberry.ID = strawberry.field(description="The community that hosts it.")
    title_zh: str = strawberry.field(description="Title in Chinese.")
    title_en: str = strawberry.field(description="Title in English.")
    rule: str = strawberry.field(
        description="RRULE: DAILY, WEEKLY, MONTHLY or YEARLY with INTERVAL, COUNT or UNTIL, BYDAY, BYMONTH, "
        "BYMONTHDAY, BYSETPOS, WKST; the first start is one of its occurrences."
    )
    starts_at_local: str = strawberry.field(description="First start by the zone's clock, such as 2026-03-29T19:30.")
    duration_minutes: int = strawberry.field(description="How long each lasts.")
    time_zone: str = strawberry.field(description="IANA zone of the place.", default="Asia/Shanghai")
    exdates: list[str] = strawberry.field(description="Starts by the clock to leave out.", default_factory=list)
    registration_opens_minutes_before: int | None = strawberry.field(
        description="From how long before each start on one may register; null: at once.", default=None
    )
    registration_closes_minutes_before: int | None = strawberry.field(
        description="Until how long before each start; null: until the start.", default=None
    )
    priority_minutes_before: int | None = strawberry.field(description=PRIORITY_OF_EACH, default=None)
    publish: bool = strawberry.field(description="Whether the events are public at once.", default=True)


@strawberry.type(description="The series is made, with its first occurrences.")
class CreateEventSeriesSuccess:
    series: EventSeries = strawberry.field(description="The series.")


@strawberry.input(description="What changes from an occurrence on; what is left out stays, null takes a value away.")
class UpdateThisAndFollowingEventsInput(EventFields):
    event_id: strawberry.ID = strawberry.field(description="The occurrence; the first one means all of them.")
    title_zh: str | None = strawberry.field(description="Title in Chinese.", default=UNSET)
    title_en: str | None = strawberry.field(description="Title in English.", default=UNSET)
    rule: str | None = strawberry.field(description="RRULE from here on.", default=UNSET)
    starts_at_local: str | None = strawberry.field(
        description="New start of this occurrence by the clock; the following move by as much.", default=UNSET
    )
    duration_minutes: int | None = strawberry.field(description="How long each lasts.", default=UNSET)
    time_zone: str | None = strawberry.field(description="IANA zone of the place.", default=UNSET)
    exdates: list[str] | None = strawberry.field(description="Starts to leave out from here on.", default=UNSET)
    registration_opens_minutes_before: int | None = strawberry.field(
        description="From how long before each start on one may register.", default=UNSET
    )
    registration_closes_minutes_before: int | None = strawberry.field(
        description="Until how long before each start.", default=UNSET
    )
    priority_minutes_before: int | None = strawberry.field(description=PRIORITY_OF_EACH, default=UNSET)
    publish: bool = strawberry.field(description="Whether drafts among them become public.", default=False)


@strawberry.type(description="This occurrence and those that follow are as you want them.")
class UpdateThisAndFollowingEventsSuccess:
    event: Event = strawberry.field(description="The occurrence; `series` is what it belongs to from now on.")


CreateEventSeriesResult = Annotated[CreateEventSeriesSuccess | Refusal, result_union(CreateEventSeriesSuccess)]
UpdateThisAndFollowingEventsResult = Annotated[
    UpdateThisAndFollowingEventsSuccess | Refusal, result_union(UpdateThisAndFollowingEventsSuccess)
]


def schedule_from(input: CreateEventSeriesInput | UpdateThisAndFollowingEventsInput) -> dict[str, Any]:
    """What the input says of when it recurs, by the names of the domain."""
    given: dict[str, Any] = {
        "rule": input.rule,
        "starts_at_local": input.starts_at_local,
        "duration_minutes": input.duration_minutes,
        "time_zone": input.time_zone,
        "exdates": input.exdates,
    }
    missing = [name for name, value in given.items() if value is None]
    if missing:
        names = {"starts_at_local": "startsAtLocal", "duration_minutes": "durationMinutes", "time_zone": "timeZone"}
        raise EventInvalid(path=(names.get(missing[0], missing[0]),), detail="it cannot be null")
    given["opens_minutes_before"] = input.registration_opens_minutes_before
    given["closes_minutes_before"] = input.registration_closes_minutes_before
    given["priority_minutes_before"] = input.priority_minutes_before
    found = {name: value for name, value in given.items() if value is not UNSET}
    if "starts_at_local" in found:
        found["starts_at_local"] = wall_from(found["starts_at_local"])
    return found


def wall_from(text: str) -> datetime:
    return read_wall_time(text, "startsAtLocal")


def template_from(input: EventFields, names: Sequence[str] = (*TITLES, *FIELD_NAMES)) -> dict[str, Any]:
    return given_fields(input, names)


@strawberry.type
class EventSeriesMutations:
    @strawberry.mutation(description="Make a series of events of a community that you manage.")
    @refusals
    async def create_event_series(self, info: Info, input: CreateEventSeriesInput) -> CreateEventSeriesResult:
        context = info.context
        community_id = local_id("Community", input.community_id, "input", "communityId")
        manager_id = await context.customer_id()
        template = template_from(input)
        await check_named(info, template)
        series = describe_series(template=template, now=context.now, **schedule_from(input))
        series_id = await create_event_series(
            context.graph,
            series,
            community_id=community_id,
            manager_id=manager_id,
            publish=input.publish,
            now=context.now,
        )
        await context.changed(f"community:{community_id}", kind="series.created", series_id=series_id)
        made = await load_series(info, series_id)
        if made is None:
            raise NotFound(path=("communityId",))
        return CreateEventSeriesSuccess(series=made)

    @strawberry.mutation(description="Change an occurrence of a series and all that follow; at the first one: all.")
    @refusals
    async def update_this_and_following_events(
        self, info: Info, input: UpdateThisAndFollowingEventsInput
    ) -> UpdateThisAndFollowingEventsResult:
        context = info.context
        event_id = local_id("Event", input.event_id, "input", "eventId")
        manager_id = await context.customer_id()
        template = template_from(input)
        await check_named(info, template)
        change = SeriesChange(template=template, schedule=schedule_from(input), publish=input.publish)
        await update_this_and_following(
            context.graph, event_id=event_id, change=change, manager_id=manager_id, now=context.now
        )
        event = await changed_event(info, event_id, "series.updated")
        return UpdateThisAndFollowingEventsSuccess(event=event)
