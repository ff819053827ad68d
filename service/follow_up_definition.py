"""What a policy of follow-ups says: how long a customer of each tier may go without which kind of contact."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, field_validator
from pydantic import Field as Setting

from core.days import time_zones
from core.definitions import read_definition
from core.errors import BadUserInput
from graph.eligibility import Tier

Days = Annotated[int, Setting(ge=1, le=3_650)]


class FollowUpPolicyInvalid(BadUserInput):
    code = "FOLLOW_UP_POLICY_INVALID"
    en = "The policy of follow-ups is not valid."
    zh = "定期回访策略无效。"


class InteractionKind(StrEnum):
    """How a customer and the bank were in contact; a BROADCAST went to many and is a contact with nobody."""

    FACE_TO_FACE = "FACE_TO_FACE"
    PHONE = "PHONE"
    DIGITAL = "DIGITAL"
    BROADCAST = "BROADCAST"


class Obligation(StrEnum):
    """What a tier is owed: any contact, or one face to face."""

    CONTACT = "CONTACT"
    FACE_TO_FACE = "FACE_TO_FACE"


class Means(StrEnum):
    """How a contact that is due comes about: somebody has the task, or the customer is sent a message."""

    TASK = "TASK"
    MESSAGE = "MESSAGE"


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Cadence(Part):
    """A contact of one of the kinds that count, at least every so many days.

    Where nothing is known of a customer the first time is `days` from now; with `spread` it is any day until then, by
    the customer's id, so that not all of them are due on one day.
    """

    days: Days
    counts: Annotated[tuple[InteractionKind, ...], Setting(min_length=1, max_length=3)]
    means: Means = Means.TASK
    retry_days: Annotated[int, Setting(ge=1, le=365)] = 7
    spread: bool = False

    @field_validator("counts")
    @classmethod
    def no_broadcast(cls, kinds: tuple[InteractionKind, ...]) -> tuple[InteractionKind, ...]:
        if InteractionKind.BROADCAST in kinds:
            raise ValueError("a broadcast is a contact with nobody")
        if len(set(kinds)) != len(kinds):
            raise ValueError("each kind once")
        return kinds


def known_zone(zone: str) -> str:
    if zone not in time_zones():
        raise ValueError("not a time zone of the IANA database")
    return zone


class FollowUpDefinition(Part):
    """What each tier is owed; a tier that is not named is owed nothing. Days are those of `time_zone`.

    A task is to be done within `task_days` from when it is opened, else the follow-up counts as missed. `told` says
    which kind of contact it is that the bank's systems tell of by their own words.
    """

    time_zone: Annotated[str, AfterValidator(known_zone)] = "Asia/Shanghai"
    task_days: Annotated[int, Setting(ge=0, le=365)] = 3
    tiers: dict[Tier, dict[Obligation, Cadence]]
    told: Annotated[dict[str, InteractionKind], Setting(max_length=50)] = {}

    def cadence(self, tier: str, obligation: str) -> Cadence | None:
        return self.tiers.get(Tier(tier), {}).get(Obligation(obligation))


ANY = (InteractionKind.FACE_TO_FACE, InteractionKind.PHONE, InteractionKind.DIGITAL)
STANDARD_FOLLOW_UPS = FollowUpDefinition(
    tiers={
        Tier.VIP: {
            Obligation.CONTACT: Cadence(days=30, counts=ANY),
            Obligation.FACE_TO_FACE: Cadence(days=90, counts=(InteractionKind.FACE_TO_FACE,)),
        },
        Tier.POTENTIAL: {Obligation.CONTACT: Cadence(days=90, counts=ANY)},
        Tier.MASS: {Obligation.CONTACT: Cadence(days=180, counts=ANY, means=Means.MESSAGE, spread=True)},
    },
    told={
        "VISIT": InteractionKind.FACE_TO_FACE,
        "BRANCH": InteractionKind.FACE_TO_FACE,
        "CALL": InteractionKind.PHONE,
        "CHAT": InteractionKind.DIGITAL,
    },
)


def parse_follow_ups(data: Any) -> FollowUpDefinition:
    """Read a definition; raises FollowUpPolicyInvalid with a path."""
    return read_definition(FollowUpDefinition, data, FollowUpPolicyInvalid)
