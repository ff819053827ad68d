"""Suitability: whether a product fits a customer, by their words alone; whatever is not known speaks against it.

The rule of the bank and of its regulator: risk R of a product is at most class C of the customer, the money stays for
as long as the product needs, and comes back as soon as the customer needs it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from core.clock import iso, parse_instant


class RiskClass(StrEnum):
    """How much risk a customer can take, from the least to the most."""

    C1 = "C1"
    C2 = "C2"
    C3 = "C3"
    C4 = "C4"
    C5 = "C5"


class ProductRisk(StrEnum):
    """How risky a product is, from the least to the most."""

    R1 = "R1"
    R2 = "R2"
    R3 = "R3"
    R4 = "R4"
    R5 = "R5"


class Liquidity(StrEnum):
    """How soon money comes back, from the soonest to the latest; of a customer: how late it may come at most."""

    DAILY = "DAILY"
    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"
    QUARTERLY = "QUARTERLY"
    AT_MATURITY = "AT_MATURITY"


class Unsuitable(StrEnum):
    """Why a product does not fit; each is found by itself, so that all of them are told at once."""

    PRODUCT_UNKNOWN = "PRODUCT_UNKNOWN"
    PRODUCT_NOT_OFFERED = "PRODUCT_NOT_OFFERED"
    RATING_UNKNOWN = "RATING_UNKNOWN"
    ASSESSMENT_MISSING = "ASSESSMENT_MISSING"
    ASSESSMENT_EXPIRED = "ASSESSMENT_EXPIRED"
    RISK_TOO_HIGH = "RISK_TOO_HIGH"
    HORIZON_UNKNOWN = "HORIZON_UNKNOWN"
    HORIZON = "HORIZON"
    LIQUIDITY_UNKNOWN = "LIQUIDITY_UNKNOWN"
    LIQUIDITY = "LIQUIDITY"


CLASSES, RISKS, LIQUIDITIES = tuple(RiskClass), tuple(ProductRisk), tuple(Liquidity)


@dataclass(frozen=True, slots=True)
class Rating:
    """What a product asks of who buys it; None is what nobody has said."""

    risk: ProductRisk | None
    horizon_months: int | None
    liquidity: Liquidity | None

    @property
    def is_complete(self) -> bool:
        return None not in (self.risk, self.horizon_months, self.liquidity)


@dataclass(frozen=True, slots=True)
class Offer:
    """A product as it is rated now; `version` numbers its ratings."""

    code: str
    rating: Rating
    version: int
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class Assessed:
    """What an assessment says of a customer; at `expires_at` it says nothing any more."""

    id: str
    risk_class: RiskClass
    expires_at: datetime
    horizon_months: int
    liquidity_need: Liquidity


@dataclass(frozen=True, slots=True)
class Suitability:
    """What was found, with every number by which it was; `reasons` are empty where the product fits."""

    product: str
    product_risk: ProductRisk | None
    product_horizon_months: int | None
    product_liquidity: Liquidity | None
    rating_version: int | None
    assessment_id: str | None
    risk_class: RiskClass | None
    assessment_expires_at: datetime | None
    horizon_months: int | None
    liquidity_need: Liquidity | None
    checked_at: datetime
    reasons: tuple[Unsuitable, ...] = field(default=())

    @property
    def is_suitable(self) -> bool:
        return not self.reasons

    @property
    def against_holding(self) -> tuple[Unsuitable, ...]:
        """What speaks against keeping what is held already: that it is not sold any more does not."""
        return tuple(one for one in self.reasons if one is not Unsuitable.PRODUCT_NOT_OFFERED)

    def as_snapshot(self) -> dict[str, Any]:
        """The same as JSON, to be kept as it was."""
        said = asdict(self)
        said["reasons"] = list(self.reasons)
        for name in ("assessment_expires_at", "checked_at"):
            said[name] = iso(said[name]) if said[name] else None
        return said


def suitability_of_snapshot(said: Mapping[str, Any]) -> Suitability:
    """What a snapshot says."""
    expires_at = said["assessment_expires_at"]
    return Suitability(
        product=said["product"],
        product_risk=ProductRisk(said["product_risk"]) if said["product_risk"] else None,
        product_horizon_months=said["product_horizon_months"],
        product_liquidity=Liquidity(said["product_liquidity"]) if said["product_liquidity"] else None,
        rating_version=said["rating_version"],
        assessment_id=said["assessment_id"],
        risk_class=RiskClass(said["risk_class"]) if said["risk_class"] else None,
        assessment_expires_at=parse_instant(expires_at) if expires_at else None,
        horizon_months=said["horizon_months"],
        liquidity_need=Liquidity(said["liquidity_need"]) if said["liquidity_need"] else None,
        checked_at=parse_instant(said["checked_at"]),
        reasons=tuple(Unsuitable(one) for one in said["reasons"]),
    )


def check_suitability(
    code: str,
    offer: Offer | None,
    assessed: Assessed | None,
    *,
    horizon_months: int | None = None,
    liquidity_need: Liquidity | None = None,
    now: datetime,
) -> Suitability:
    """Whether the product of this code fits; for how long money stays and how late it may come back is what is said
    here, and where nothing is, what the assessment says, be it expired or not.
    """
    rating = offer.rating if offer is not None else Rating(None, None, None)
    if assessed is not None:
        horizon_months = assessed.horizon_months if horizon_months is None else horizon_months
        liquidity_need = assessed.liquidity_need if liquidity_need is None else liquidity_need
    reasons = (
        *of_product(offer),
        *of_assessment(assessed, rating.risk, now=now),
        *of_horizon(rating.horizon_months, horizon_months),
        *of_liquidity(rating.liquidity, liquidity_need),
    )
    return Suitability(
        product=code,
        product_risk=rating.risk,
        product_horizon_months=rating.horizon_months,
        product_liquidity=rating.liquidity,
        rating_version=offer.version if offer is not None else None,
        assessment_id=assessed.id if assessed is not None else None,
        risk_class=assessed.risk_class if assessed is not None else None,
        assessment_expires_at=assessed.expires_at if assessed is not None else None,
        horizon_months=horizon_months,
        liquidity_need=liquidity_need,
        checked_at=now,
        reasons=reasons,
    )


def of_product(offer: Offer | None) -> list[Unsuitable]:
    if offer is None:
        return [Unsuitable.PRODUCT_UNKNOWN]
    found = [] if offer.is_active else [Unsuitable.PRODUCT_NOT_OFFERED]
    return found if offer.rating.is_complete else [*found, Unsuitable.RATING_UNKNOWN]


def of_assessment(assessed: Assessed | None, risk: ProductRisk | None, *, now: datetime) -> list[Unsuitable]:
    if assessed is None:
        return [Unsuitable.ASSESSMENT_MISSING]
    if now >= assessed.expires_at:
        return [Unsuitable.ASSESSMENT_EXPIRED]
    if risk is not None and RISKS.index(risk) > CLASSES.index(assessed.risk_class):
        return [Unsuitable.RISK_TOO_HIGH]
    return []


def of_horizon(needed: int | None, given: int | None) -> list[Unsuitable]:
    if given is None:
        return [Unsuitable.HORIZON_UNKNOWN]
    return [Unsuitable.HORIZON] if needed is not None and given < needed else []


def of_liquidity(offered: Liquidity | None, needed: Liquidity | None) -> list[Unsuitable]:
    if needed is None:
        return [Unsuitable.LIQUIDITY_UNKNOWN]
    is_late = offered is not None and LIQUIDITIES.index(offered) > LIQUIDITIES.index(needed)
    return [Unsuitable.LIQUIDITY] if is_late else []
