"""What a message policy says: for each category its channels, consent, cap and mutes, and the bank's quiet hours."""

import re
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from core.definitions import read_definition
from core.errors import BadUserInput
from core.messages import MessageCategory

# The purposes of consents, which the room of customers keeps (customers/consents.py); a test holds the two together.
Purpose = Literal["MARKETING", "PROFILING", "RECOMMENDATION", "DATA_SHARING", "CARE", "RESEARCH"]
WALL_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


class MessagePolicyInvalid(BadUserInput):
    code = "MESSAGE_POLICY_INVALID"
    en = "The message policy is not valid."
    zh = "消息策略无效。"


class MessageChannel(StrEnum):
    """By which a message reaches a customer: the app's own inbox, e-mail, and what the bank's gateways carry."""

    APP = "APP"
    EMAIL = "EMAIL"
    SMS = "SMS"
    WECHAT = "WECHAT"


class ConsentNeed(StrEnum):
    """Whether a category takes a consent, is stopped by a refusal only, or goes without being asked about."""

    GRANTED = "GRANTED"
    NOT_REFUSED = "NOT_REFUSED"
    NONE = "NONE"


class Mute(StrEnum):
    """Why a customer is left in peace."""

    BEREAVEMENT = "BEREAVEMENT"
    OPEN_COMPLAINT = "OPEN_COMPLAINT"


class Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Cap(Form):
    """At most `count` messages in any `days` days of the customer's calendar that follow each other."""

    count: Annotated[int, Field(ge=0, le=1_000)]
    days: Annotated[int, Field(ge=1, le=366)]


class QuietHours(Form):
    """From `start` until `end` of the customer's wall clock, over midnight where it ends before it starts.

    Where both are the same there are none.
    """

    start: str
    end: str

    @field_validator("start", "end")
    @classmethod
    def wall_time(cls, text: str) -> str:
        if WALL_TIME.fullmatch(text) is None:
            raise ValueError("a time of day such as 21:00")
        return text

    @property
    def minutes(self) -> tuple[int, int]:
        """Both as minutes since midnight."""
        return minutes_of(self.start), minutes_of(self.end)


class CategoryRule(Form):
    """How messages of one category are decided; of two that wait the one of higher priority goes first."""

    channels: Annotated[tuple[MessageChannel, ...], Field(min_length=1)]
    consent: ConsentNeed
    purpose: Purpose | None = None
    cap: Cap | None = None
    waits_for_morning: bool = True
    mutes: tuple[Mute, ...] = ()
    priority: Annotated[int, Field(ge=0, le=100)] = 0

    @field_validator("channels")
    @classmethod
    def each_once(cls, channels: tuple[MessageChannel, ...]) -> tuple[MessageChannel, ...]:
        if len(set(channels)) < len(channels):
            raise ValueError("each channel once")
        return channels

    @model_validator(mode="after")
    def names_its_purpose(self) -> "CategoryRule":
        if (self.consent == ConsentNeed.NONE) != (self.purpose is None):
            raise ValueError("a purpose where consent is asked for, and only there")
        return self


class MessageDefinition(Form):
    """All categories; `total` caps all of them together that have a cap of their own."""

    quiet_hours: QuietHours
    total: Cap
    longest_wait_days: Annotated[int, Field(ge=1, le=60)]
    categories: dict[MessageCategory, CategoryRule]

    @field_validator("categories")
    @classmethod
    def every_category(cls, rules: dict[MessageCategory, CategoryRule]) -> dict[MessageCategory, CategoryRule]:
        if missing := [category for category in MessageCategory if category not in rules]:
            raise ValueError(f"a rule for {missing[0]}")
        service = rules[MessageCategory.SERVICE]
        if service.cap or service.mutes or service.consent != ConsentNeed.NONE:
            raise ValueError("service messages pass caps, mutes and consents")
        return rules


STANDARD = MessageDefinition(
    quiet_hours=QuietHours(start="21:00", end="09:00"),
    total=Cap(count=3, days=1),
    longest_wait_days=7,
    categories={
        MessageCategory.SERVICE: CategoryRule(
            channels=(MessageChannel.APP, MessageChannel.EMAIL, MessageChannel.SMS),
            consent=ConsentNeed.NONE,
            waits_for_morning=False,
            priority=100,
        ),
        MessageCategory.CARE: CategoryRule(
            channels=(MessageChannel.APP, MessageChannel.WECHAT),
            consent=ConsentNeed.NOT_REFUSED,
            purpose="CARE",
            cap=Cap(count=5, days=7),
            mutes=(Mute.BEREAVEMENT, Mute.OPEN_COMPLAINT),
            priority=80,
        ),
        MessageCategory.SURVEY: CategoryRule(
            channels=(MessageChannel.APP, MessageChannel.EMAIL),
            consent=ConsentNeed.NOT_REFUSED,
            purpose="RESEARCH",
            cap=Cap(count=3, days=7),
            mutes=(Mute.BEREAVEMENT,),
            priority=50,
        ),
        MessageCategory.MARKETING: CategoryRule(
            channels=(MessageChannel.APP, MessageChannel.EMAIL, MessageChannel.WECHAT),
            consent=ConsentNeed.GRANTED,
            purpose="MARKETING",
            cap=Cap(count=2, days=7),
            mutes=(Mute.BEREAVEMENT, Mute.OPEN_COMPLAINT),
            priority=10,
        ),
    },
)


def minutes_of(text: str) -> int:
    """A time of day as minutes since midnight."""
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def wall_time_of(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def parse_message_definition(definition: Any) -> MessageDefinition:
    """Read what an administrator wrote; raises MessagePolicyInvalid with the path of the first field that is wrong."""
    return read_definition(MessageDefinition, definition, MessagePolicyInvalid)
