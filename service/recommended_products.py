"""Products to recommend: what fits a customer and is about what they are tagged with or need, the best fit first."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlmodel import col, func, select

from core.db import Session
from segments.tagging import Tag
from service.assessments import RiskAssessment
from service.products import Product, ProductTag, tags_of_products
from service.suitability import CLASSES, LIQUIDITIES, RISKS, Liquidity, RiskClass, Suitability, check_suitability

# So many fitting products are compared; a bank has some hundreds, of which a customer's tags choose a few.
MOST_COMPARED = 2_000
# A need that a product meets counts for so many tags of the same certainty.
NEED_WEIGHT = 2


class Withheld(StrEnum):
    """Why nothing is recommended: it is not allowed, or something is not known."""

    NO_CONSENT = "NO_CONSENT"
    ASSESSMENT_MISSING = "ASSESSMENT_MISSING"
    ASSESSMENT_EXPIRED = "ASSESSMENT_EXPIRED"


class FitKind(StrEnum):
    """By what a product fits."""

    NEED = "NEED"
    TAG = "TAG"


@dataclass(frozen=True, slots=True)
class Fit:
    """One tag or need by which a product fits; `key` is the tag's or the kind's of the need."""

    kind: FitKind
    key: str
    confidence_percent: int

    @property
    def weight(self) -> int:
        return self.confidence_percent * (NEED_WEIGHT if self.kind is FitKind.NEED else 1)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is known of a customer: how sure each tag is, and each open need by the tag that says so, in per cent."""

    tags: Mapping[str, int]
    needs: Mapping[str, tuple[str, int]]

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(self.tags) | frozenset(self.needs)


@dataclass(frozen=True, slots=True)
class RecommendedProduct:
    """A product that fits, why, and the check that says so."""

    product: Product
    fits: tuple[Fit, ...]
    check: Suitability

    @property
    def score(self) -> int:
        return sum(one.weight for one in self.fits)


def withheld_by(assessment: RiskAssessment | None, *, has_consent: bool, now: datetime) -> Withheld | None:
    """Why nothing is recommended to a customer; None where nothing stands against it."""
    if not has_consent:
        return Withheld.NO_CONSENT
    if assessment is None:
        return Withheld.ASSESSMENT_MISSING
    return Withheld.ASSESSMENT_EXPIRED if now >= assessment.expires_at else None


def fits_of(tags: list[str], wishes: Wishes) -> tuple[Fit, ...]:
    """By what a product with these tags fits, what counts most first; a need counts once and not as its tag, too."""
    found: list[Fit] = []
    for key in tags:
        if key in wishes.needs:
            kind, confidence = wishes.needs[key]
            found.append(Fit(FitKind.NEED, kind, confidence))
        elif key in wishes.tags:
            found.append(Fit(FitKind.TAG, key, wishes.tags[key]))
    return tuple(sorted(found, key=lambda one: (-one.weight, one.kind, one.key)))


async def recommended_products(
    session: Session, assessment: RiskAssessment, wishes: Wishes, *, limit: int, now: datetime
) -> list[RecommendedProduct]:
    """The products that fit, the best first: by needs and tags, then the less risky one, then by code."""
    rows = await fitting_products(session, assessment, wishes)
    tags = await tags_of_products(session, [row.id for row in rows])
    assessed = assessment.assessed()
    found = [
        RecommendedProduct(
            row, fits_of(tags[row.id], wishes), check_suitability(row.code, row.offer(), assessed, now=now)
        )
        for row in rows
    ]
    # The database has chosen by the same rule; what the rule itself refuses is never shown.
    good = [one for one in found if one.check.is_suitable and one.fits]
    return sorted(good, key=lambda one: (-one.score, str(one.product.risk), one.product.code))[:limit]


async def fitting_products(session: Session, assessment: RiskAssessment, wishes: Wishes) -> list[Product]:
    """Products on offer within the class, the horizon and the liquidity of a customer, about what they may want."""
    if not wishes.keys:
        return []
    meant = func.coalesce(Tag.merged_into, Tag.key)
    about = (
        select(ProductTag.product_id)
        .join(Tag, col(Tag.key) == col(ProductTag.tag_key))
        .where(meant.in_(sorted(wishes.keys)))
    )
    risks = RISKS[: CLASSES.index(RiskClass(assessment.risk_class)) + 1]
    back = LIQUIDITIES[: LIQUIDITIES.index(Liquidity(assessment.liquidity_need)) + 1]
    statement = select(Product).where(
        col(Product.is_active).is_(True),
        col(Product.risk).in_(risks),
        col(Product.horizon_months) <= assessment.horizon_months,
        col(Product.liquidity).in_(back),
        col(Product.id).in_(about),
    )
    return list((await session.exec(statement.order_by(col(Product.code)).limit(MOST_COMPARED))).all())
