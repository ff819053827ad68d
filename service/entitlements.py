"""Entitlements: what each tier is served with, by the active version of a table that administrators write."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, field_validator
from pydantic import Field as Setting

from core.db import Session
from core.definitions import read_definition
from core.errors import BadUserInput
from graph.eligibility import TIERS, Tier
from segments.tiering import tiers_of
from service.policies import ServicePolicy, ServicePolicyKind, active_policy


class EntitlementPolicyInvalid(BadUserInput):
    code = "ENTITLEMENT_POLICY_INVALID"
    en = "The table of entitlements is not valid."
    zh = "权益配置无效。"


class ContentLevel(StrEnum):
    """Which content is shown; each level has that of the ones before it."""

    BASIC = "BASIC"
    EXTENDED = "EXTENDED"
    EXCLUSIVE = "EXCLUSIVE"


class TierEntitlements(BaseModel):
    """What one tier has; of queues the higher `priority` comes first, and any above 0 is the green channel.

    A question to an advisor is answered within `answer_hours`, and a holding that does not fit any more is reviewed
    within `review_days`, both by the clock and not in business time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    own_manager: bool = False
    priority: Annotated[int, Setting(ge=0, le=9)] = 0
    early_hours: Annotated[int, Setting(ge=0, le=720)] = 0
    content: ContentLevel = ContentLevel.BASIC
    answer_hours: Annotated[int, Setting(ge=1, le=720)] = 48
    review_days: Annotated[int, Setting(ge=1, le=90)] = 5

    @property
    def green_channel(self) -> bool:
        return self.priority > 0


class EntitlementDefinition(BaseModel):
    """What each tier has; all of them are named, so that none is served by an oversight."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tiers: dict[Tier, TierEntitlements]

    @field_validator("tiers")
    @classmethod
    def all_named(cls, tiers: dict[Tier, TierEntitlements]) -> dict[Tier, TierEntitlements]:
        if set(tiers) != set(TIERS):
            raise ValueError(f"each of {', '.join(TIERS)}")
        return tiers


STANDARD_ENTITLEMENTS = EntitlementDefinition(
    tiers={
        Tier.MASS: TierEntitlements(),
        Tier.POTENTIAL: TierEntitlements(own_manager=True, priority=1, early_hours=24, content=ContentLevel.EXTENDED),
        Tier.VIP: TierEntitlements(own_manager=True, priority=2, early_hours=48, content=ContentLevel.EXCLUSIVE),
    }
)


def parse_entitlements(data: Any) -> EntitlementDefinition:
    """Read a definition; raises EntitlementPolicyInvalid with a path."""
    return read_definition(EntitlementDefinition, data, EntitlementPolicyInvalid)


@dataclass(frozen=True, slots=True)
class Entitled:
    """What one customer has now, and by which version."""

    tier: Tier
    policy: ServicePolicy
    has: TierEntitlements

    @property
    def early(self) -> timedelta:
        """By how much sooner the customer may register for a scarce event."""
        return timedelta(hours=self.has.early_hours)

    @property
    def answered_within(self) -> timedelta:
        """Until when a question to an advisor is to be answered."""
        return timedelta(hours=self.has.answer_hours)

    @property
    def reviewed_within(self) -> timedelta:
        """Until when somebody is to speak with the customer about a holding that does not fit any more."""
        return timedelta(days=self.has.review_days)


async def entitlements_of(session: Session, customer_ids: Collection[str], *, now: datetime) -> dict[str, Entitled]:
    """What each of these customers has now, in two statements for all of them."""
    policy = await active_policy(session, ServicePolicyKind.ENTITLEMENTS)
    table = EntitlementDefinition.model_validate(policy.definition).tiers
    tiers = await tiers_of(session, customer_ids, now=now)
    return {customer_id: Entitled(tier, policy, table[tier]) for customer_id, tier in tiers.items()}
