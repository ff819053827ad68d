"""An event's figures, for its managers."""

from datetime import date
from typing import Annotated

import strawberry

from api.context import Info
from api.relay import local_id
from community.feedback import ratings_of
from community.seats import Channel
from community.seats import RegistrationStatus as Status
from community.statistics import ChannelFigures, EventFigures, event_statistics
from core.errors import NotFound


@strawberry.type(description="Registrations by what has become of them; views are not counted.")
class EventFunnel:
    total: int = strawberry.field(description="All registrations ever made.")
    registered: int = strawberry.field(description="Those that have a place and were not checked in.")
    waiting: int = strawberry.field(description="Those that wait.")
    offered: int = strawberry.field(description="Those that are offered a place.")
    offer_expired: int = strawberry.field(description="Those that did not take their offer in time.")
    cancelled: int = strawberry.field(description="Those that were cancelled.")
    attended: int = strawberry.field(description="Those that were checked in.")
    no_show: int = strawberry.field(description="Those that had a place and did not come.")


@strawberry.type(description="One way of taking part in an event.")
class EventChannelStatistics:
    channel: Channel = strawberry.field(description="Which.")
    funnel: EventFunnel = strawberry.field(description="Its registrations.")
    seats: int = strawberry.field(description="Seats held, guests included.")
    capacity: int | None = strawberry.field(description="Seats there are; null: without limit.")


@strawberry.type(description="How many registered on a day.")
class RegistrationDay:
    day: date = strawberry.field(description="The day in the event's zone.")
    registrations: int = strawberry.field(description="Registrations made on it, cancelled ones included.")


@strawberry.type(description="An event in figures.")
class EventStatistics:
    funnel: EventFunnel = strawberry.field(description="Registrations over both channels.")
    channels: list[EventChannelStatistics] = strawberry.field(description="The same by channel.")
    seats: int = strawberry.field(description="Seats held over both channels, guests included.")
    attendance_rate: float | None = strawberry.field(
        description="Part of the places whose holders came; null before the start."
    )
    no_show_rate: float | None = strawberry.field(
        description="Part of the places whose holders did not come; null until the event is completed."
    )
    rating_average: float | None = strawberry.field(description="Mean of the stars; null while there are none.")
    rating_count: int = strawberry.field(description="How many rated it.")
    rating_distribution: list[int] = strawberry.field(description="How many gave 1, 2, 3, 4 and 5 stars.")
    registrations_per_day: list[RegistrationDay] = strawberry.field(description="Days on which anybody registered.")


def funnel_of(figures: ChannelFigures | EventFigures) -> EventFunnel:
    counts = figures.statuses
    return EventFunnel(
        total=counts.total(),
        registered=counts[Status.REGISTERED],
        waiting=counts[Status.WAITING],
        offered=counts[Status.OFFERED],
        offer_expired=counts[Status.OFFER_EXPIRED],
        cancelled=counts[Status.CANCELLED],
        attended=counts[Status.ATTENDED],
        no_show=counts[Status.NO_SHOW],
    )


def channel_of(figures: ChannelFigures) -> EventChannelStatistics:
    return EventChannelStatistics(
        channel=figures.channel,
        funnel=funnel_of(figures),
        seats=figures.seats,
        capacity=figures.capacity,
    )


@strawberry.type
class StatisticsQueries:
    @strawberry.field(description="An event in figures; null for anybody but its managers.")
    async def event_statistics(
        self,
        info: Info,
        event_id: Annotated[strawberry.ID, strawberry.argument(description="Global id of an event that you manage.")],
    ) -> EventStatistics | None:
        context = info.context
        context.signed_in()
        local = local_id("Event", event_id, "eventId")
        manager_id = await context.viewer_id() or ""
        try:
            figures = await event_statistics(context.graph, event_id=local, manager_id=manager_id, now=context.now)
        except NotFound:
            return None
        async with context.database.read() as session:
            rating = (await ratings_of(session, [local])).get(local)
        return EventStatistics(
            funnel=funnel_of(figures),
            channels=[channel_of(channel) for channel in figures.channels],
            seats=sum(channel.seats for channel in figures.channels),
            attendance_rate=figures.attendance_rate,
            no_show_rate=figures.no_show_rate,
            rating_average=rating.average if rating else None,
            rating_count=rating.count if rating else 0,
            rating_distribution=rating.distribution if rating else [0] * 5,
            registrations_per_day=[RegistrationDay(day=day, registrations=count) for day, count in figures.days],
        )
