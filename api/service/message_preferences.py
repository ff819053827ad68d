"""What you wish of messages: by category and channel, quiet hours, time zone and language."""

from typing import Annotated

import strawberry

from api.context import Info
from api.refusals import Refusal, refusals, result_union
from core.db import Session, zone_of
from core.errors import BadUserInput
from core.messages import MessageCategory
from customers.channel_preferences import liked_channels
from service.message_policies import active_message_policy
from service.message_policy import WALL_TIME, MessageChannel, QuietHours, wall_time_of
from service.message_preferences import ALWAYS_ON, NewWishes, set_wishes, wanted, wishes_of
from service.message_reasons import CATEGORIES, CHANNELS

DEFAULT_LANGUAGE = "zh"


class QuietHoursInvalid(BadUserInput):
    code = "QUIET_HOURS_INVALID"
    en = "Quiet hours are two times of day, such as 22:00 and 07:30."
    zh = "免打扰时段须为两个时间，例如22:00和07:30。"


@strawberry.type(description="Whether you get messages of a category by a channel.")
class MessagePreference:
    category: MessageCategory = strawberry.field(description="The category.")
    category_name: str = strawberry.field(description="Its name in the language of the request.")
    channel: MessageChannel = strawberry.field(description="The channel.")
    channel_name: str = strawberry.field(description="Its name in the language of the request.")
    enabled: bool = strawberry.field(description="Whether you want them so; consent is asked for besides.")
    switchable: bool = strawberry.field(description="Whether it can be switched off.")
    is_own: bool = strawberry.field(description="Whether you have set it; else the bank has.")


@strawberry.type(description="Hours of your day in which nothing comes that can wait.")
class MessageQuietHours:
    start: str = strawberry.field(description="When they begin, such as 22:00.")
    end: str = strawberry.field(description="When they end, over midnight where that is earlier; the same: none.")
    is_own: bool = strawberry.field(description="Whether you have set them; else the bank has.")


@strawberry.type(description="How you are written to.")
class MessagePreferences:
    channels: list[MessagePreference] = strawberry.field(description="Each category by each of its channels.")
    quiet_hours: MessageQuietHours = strawberry.field(description="By the clock of your time zone.")
    time_zone: str = strawberry.field(description="Your time zone, by whose days messages are counted.")
    language: str = strawberry.field(description="zh or en; in the app the language of the app counts.")


async def preferences_now(info: Info, session: Session, customer_id: str) -> MessagePreferences:
    language = info.context.language
    index = 0 if language == "zh" else 1
    policy = (await active_message_policy(session)).parsed()
    wishes = await wishes_of(session, customer_id)
    liked = await liked_channels(session, customer_id)
    start, end = wishes.quiet or policy.quiet_hours.minutes
    return MessagePreferences(
        channels=[
            MessagePreference(
                category=category,
                category_name=CATEGORIES[category][index],
                channel=channel,
                channel_name=CHANNELS[channel][index],
                enabled=wanted(category, policy, wishes, liked)[channel],
                switchable=(category, channel) != ALWAYS_ON,
                is_own=(category, channel) in wishes.enabled,
            )
            for category in MessageCategory
            for channel in policy.categories[category].channels
        ],
        quiet_hours=MessageQuietHours(
            start=wall_time_of(start), end=wall_time_of(end), is_own=wishes.quiet is not None
        ),
        time_zone=wishes.time_zone or zone_of(session),
        language=wishes.language or DEFAULT_LANGUAGE,
    )


@strawberry.input(description="Whether you want messages of a category by a channel.")
class MessagePreferenceInput:
    category: MessageCategory = strawberry.field(description="The category.")
    channel: MessageChannel = strawberry.field(description="The channel.")
    enabled: bool = strawberry.field(description="Whether you want them so.")


@strawberry.input(description="Hours of your day in which nothing comes that can wait.")
class MessageQuietHoursInput:
    start: str = strawberry.field(description="When they begin, such as 22:00.")
    end: str = strawberry.field(description="When they end, over midnight where that is earlier; the same: none.")


@strawberry.input(description="What you wish; what is left out stays as it is.")
class SetMessagePreferencesInput:
    channels: list[MessagePreferenceInput] = strawberry.field(
        description="Categories and channels to switch; of two for the same the last counts.",
        default_factory=list[MessagePreferenceInput],
    )
    quiet_hours: MessageQuietHoursInput | None = strawberry.field(description="Your quiet hours.", default=None)
    time_zone: str | None = strawberry.field(description="Such as Asia/Shanghai.", default=None)
    language: str | None = strawberry.field(description="zh or en, for e-mail and the like.", default=None)


@strawberry.type(description="It is as you wish.")
class SetMessagePreferencesSuccess:
    preferences: MessagePreferences = strawberry.field(description="What holds now.")


SetMessagePreferencesResult = Annotated[
    SetMessagePreferencesSuccess | Refusal, result_union(SetMessagePreferencesSuccess)
]


def quiet_of(given: MessageQuietHoursInput | None) -> QuietHours | None:
    """The hours; raises QuietHoursInvalid."""
    if given is None:
        return None
    for name in ("start", "end"):
        if WALL_TIME.fullmatch(getattr(given, name)) is None:
            raise QuietHoursInvalid(path=("quietHours", name))
    return QuietHours(start=given.start, end=given.end)


@strawberry.type
class MessagePreferenceQueries:
    @strawberry.field(description="How you are written to, with what the bank has set where you have not.")
    async def message_preferences(self, info: Info) -> MessagePreferences:
        customer_id = await info.context.customer_id()
        async with info.context.database.read() as session:
            return await preferences_now(info, session, customer_id)


@strawberry.type
class MessagePreferenceMutations:
    @strawberry.mutation(description="Say by which channels and when you are written to, and in which language.")
    @refusals
    async def set_message_preferences(
        self, info: Info, input: SetMessagePreferencesInput
    ) -> SetMessagePreferencesResult:
        context = info.context
        customer_id = await context.customer_id()
        enabled = {(one.category, one.channel): one.enabled for one in input.channels}
        new = NewWishes(enabled, input.time_zone, input.language, quiet_of(input.quiet_hours))
        async with context.database.write() as session:
            await set_wishes(session, customer_id, new, now=context.now)
            found = await preferences_now(info, session, customer_id)
        return SetMessagePreferencesSuccess(preferences=found)
