"""Recommended products: only what fits, the best first, against a plain reading of the same bank."""

from datetime import timedelta
from typing import Any

import pytest

from core.clock import utc_now
from core.db import Database
from core.ids import new_id
from segments.tagging import Tag
from service.assessments import RiskAssessment
from service.products import put_products
from service.recommended_products import (
    Fit,
    FitKind,
    Wishes,
    Withheld,
    fits_of,
    recommended_products,
    withheld_by,
)
from service.suitability import Liquidity, ProductRisk, RiskClass
from tests.customers.insight import put
from tests.service.suiting import assessed, words

pytestmark = pytest.mark.anyio

NOW = utc_now()


def test_a_need_counts_twice_and_not_as_its_tag_too() -> None:
    wishes = Wishes({"pension": 90, "retiree": 80, "wine": 100}, {"pension": ("PENSION", 70)})
    assert fits_of(["pension", "retiree", "sport"], wishes) == (
        Fit(FitKind.NEED, "PENSION", 70),
        Fit(FitKind.TAG, "retiree", 80),
    )


def test_nothing_without_consent_or_a_valid_assessment() -> None:
    row = RiskAssessment.model_construct(expires_at=NOW)
    moment = timedelta(microseconds=1)
    assert withheld_by(row, has_consent=False, now=NOW - moment) == Withheld.NO_CONSENT
    assert withheld_by(None, has_consent=True, now=NOW) == Withheld.ASSESSMENT_MISSING
    assert withheld_by(row, has_consent=True, now=NOW) == Withheld.ASSESSMENT_EXPIRED
    assert withheld_by(row, has_consent=True, now=NOW - moment) is None


async def test_only_what_fits_the_best_first(database: Database, unique: str) -> None:
    """Given a C3 for 12 months and monthly liquidity; then each thing that is off by one is left out."""
    pension, retiree, wine = (f"{name}-{unique}" for name in ("pension", "retiree", "wine"))
    row: dict[str, Any] = {
        "name_zh": "标签",
        "name_en": "Tag",
        "family": "NEED",
        "created_at": NOW,
        "merged_into": None,
    }
    await put(database, Tag, *(row | {"key": key} for key in (pension, retiree, wine)))

    def product(name: str, risk: ProductRisk | None, *tags: str, **changed: Any) -> Any:
        changed = {"horizon_months": 12, "liquidity": Liquidity.MONTHLY} | changed
        return words(f"{name}-{unique}", risk, at=NOW, tags=frozenset(tags), **changed)

    said = [
        product("by-need", ProductRisk.R3, pension),
        product("by-both", ProductRisk.R3, pension, retiree),
        product("by-tag", ProductRisk.R3, retiree),
        product("by-tag-safer", ProductRisk.R1, retiree),
        product("about-wine", ProductRisk.R1, wine),
        product("about-nothing", ProductRisk.R1),
        product("too-risky", ProductRisk.R4, pension),
        product("too-long", ProductRisk.R1, pension, horizon_months=13),
        product("too-late", ProductRisk.R1, pension, liquidity=Liquidity.QUARTERLY),
        product("not-offered", ProductRisk.R1, pension, is_active=False),
        product("no-risk", None, pension),
        product("no-horizon", ProductRisk.R1, pension, horizon_months=None),
        product("no-liquidity", ProductRisk.R1, pension, liquidity=None),
    ]
    wishes = Wishes({retiree: 60}, {pension: ("PENSION", 70)})
    async with database.write() as session:
        await put_products(session, said, source="core", set_by="import:core", now=NOW)
        known = await assessed(
            session, new_id(), RiskClass.C3, horizon_months=12, liquidity_need=Liquidity.MONTHLY, now=NOW
        )
        found = await recommended_products(session, known, wishes, limit=10, now=NOW)
        first = await recommended_products(session, known, wishes, limit=1, now=NOW)
        none = await recommended_products(session, known, Wishes({}, {}), limit=10, now=NOW)
        late = await recommended_products(session, known, wishes, limit=10, now=known.expires_at)
    names = [one.product.code.removesuffix(f"-{unique}") for one in found]
    assert names == ["by-both", "by-need", "by-tag-safer", "by-tag"]
    assert [one.score for one in found] == [200, 140, 60, 60]
    assert found[0].fits == (Fit(FitKind.NEED, "PENSION", 70), Fit(FitKind.TAG, retiree, 60))
    assert [one.product.code for one in first] == [found[0].product.code]
    assert (none, late) == ([], [])
