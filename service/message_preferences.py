"""What a customer wishes of messages: by category and channel, their quiet hours, time zone and language."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Field, col, select

from core.days import time_zones
from core.db import Record, Session, insert_into, instant
from core.errors import BadUserInput
from core.messages import MessageCategory
from service.care_occasions import move_planned
from service.message_policy import CategoryRule, MessageChannel, MessageDefinition, QuietHours
from service.notifications import PreferenceFixed

LANGUAGES = ("zh", "en")
# Whoever switches off everything still finds in the app what a promise of the bank's takes.
ALWAYS_ON = (MessageCategory.SERVICE, MessageChannel.APP)


class MessagePreferenceInvalid(BadUserInput):
    code = "MESSAGE_PREFERENCE_INVALID"
    en = "This cannot be set for messages."
    zh = "消息设置无效。"


class MessagePreference(Record, table=True):
    """Whether a customer wants messages of a category by a channel; without a row the bank's list or policy says."""

    customer_id: str = Field(primary_key=True)
    category: str = Field(primary_key=True)
    channel: str = Field(primary_key=True)
    is_enabled: bool
    changed_at: datetime = instant()


class MessageSetting(Record, table=True):
    """How a customer is written to; quiet hours are minutes of their day, and null what the customer has not set."""

    customer_id: str = Field(primary_key=True)
    time_zone: str | None = None
    language: str | None = None
    quiet_start: int | None = None
    quiet_end: int | None = None
    changed_at: datetime = instant()


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a customer has set, and nothing where they have not."""

    enabled: Mapping[tuple[MessageCategory, MessageChannel], bool]
    time_zone: str | None = None
    language: str | None = None
    quiet: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class NewWishes:
    """What a customer sets now; what is None stays as it was."""

    enabled: Mapping[tuple[MessageCategory, MessageChannel], bool]
    time_zone: str | None = None
    language: str | None = None
    quiet: QuietHours | None = None


async def wishes_of(session: Session, customer_id: str) -> Wishes:
    chosen = select(MessagePreference).where(MessagePreference.customer_id == customer_id)
    enabled = {
        (MessageCategory(row.category), MessageChannel(row.channel)): row.is_enabled
        for row in (await session.exec(chosen)).all()
    }
    setting = (await session.exec(select(MessageSetting).where(MessageSetting.customer_id == customer_id))).first()
    if setting is None:
        return Wishes(enabled)
    quiet = None
    if setting.quiet_start is not None and setting.quiet_end is not None:
        quiet = (setting.quiet_start, setting.quiet_end)
    return Wishes(enabled, setting.time_zone, setting.language, quiet)


async def languages_of(session: Session, customer_ids: list[str]) -> dict[str, str]:
    """The languages that these customers have set, by their ids."""
    statement = select(MessageSetting.customer_id, MessageSetting.language).where(
        col(MessageSetting.customer_id).in_(customer_ids), col(MessageSetting.language).is_not(None)
    )
    return {customer_id: str(language) for customer_id, language in (await session.exec(statement)).all()}


def wanted(
    category: MessageCategory,
    policy: MessageDefinition,
    wishes: Wishes,
    liked: Mapping[str, bool],
) -> dict[MessageChannel, bool]:
    """Whether each channel is wanted: as the customer has set it, else as the bank knows it, else as the policy says.

    `liked` is what the bank knows, by the names of channels; it adds none to those of the policy.
    """
    rule: CategoryRule = policy.categories[category]
    return {
        channel: (category, channel) == ALWAYS_ON
        or wishes.enabled.get((category, channel), channel in rule.channels and liked.get(channel.value, True))
        for channel in MessageChannel
    }


async def set_wishes(session: Session, customer_id: str, new: NewWishes, *, now: datetime) -> None:
    """Set what is given; raises PreferenceFixed for what is always told in the app, MessagePreferenceInvalid.

    Greetings that are planned go by the new zone from now on.
    """
    if new.enabled.get(ALWAYS_ON) is False:
        raise PreferenceFixed(path=("channels",))
    if new.time_zone is not None and new.time_zone not in time_zones():
        raise MessagePreferenceInvalid(path=("timeZone",), detail="a name such as Asia/Shanghai")
    if new.language is not None and new.language not in LANGUAGES:
        raise MessagePreferenceInvalid(path=("language",), detail="zh or en")
    for (category, channel), enabled in sorted(new.enabled.items()):
        row = {
            "customer_id": customer_id,
            "category": category.value,
            "channel": channel.value,
            "is_enabled": enabled,
            "changed_at": now,
        }
        put = insert_into(session, MessagePreference).values(row)
        await session.exec(
            put.on_conflict_do_update(
                index_elements=["customer_id", "category", "channel"],
                set_={"is_enabled": enabled, "changed_at": now},
            )
        )
    await put_setting(session, customer_id, new, now=now)
    if new.time_zone is not None:
        await move_planned(session, customer_id, zone=new.time_zone)


async def put_setting(session: Session, customer_id: str, new: NewWishes, *, now: datetime) -> None:
    """Keep what is given of zone, language and quiet hours, and leave the rest as it was."""
    said: dict[str, str | int] = {}
    if new.time_zone is not None:
        said["time_zone"] = new.time_zone
    if new.language is not None:
        said["language"] = new.language
    if new.quiet is not None:
        said["quiet_start"], said["quiet_end"] = new.quiet.minutes
    if said:
        put = insert_into(session, MessageSetting).values({"customer_id": customer_id, "changed_at": now, **said})
        await session.exec(put.on_conflict_do_update(index_elements=["customer_id"], set_={"changed_at": now, **said}))
