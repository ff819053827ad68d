"""What the demonstration bank offers: a handful of products, of which one is not rated yet and fits nobody."""

from datetime import UTC, datetime

from core.db import Database
from service.products import ProductWords, known_tags, put_products
from service.suitability import Liquidity, ProductRisk, Rating

SOURCE = "demonstration"
# As of then they were told; told again, they are not new.
TOLD_AT = datetime(2026, 1, 1, tzinfo=UTC)

PRODUCTS: tuple[tuple[str, str, str, Rating, tuple[str, ...]], ...] = (
    (
        "DEPOSIT-3Y",
        "三年期大额存单",
        "Three-year certificate of deposit",
        Rating(ProductRisk.R1, 36, Liquidity.AT_MATURITY),
        ("pension", "prudent-investor"),
    ),
    (
        "STEADY-90D",
        "稳健理财90天",
        "Steady 90 days",
        Rating(ProductRisk.R2, 3, Liquidity.QUARTERLY),
        ("education-fund", "prudent-investor"),
    ),
    (
        "BOND-FUND",
        "纯债基金",
        "Bond fund",
        Rating(ProductRisk.R2, 6, Liquidity.DAILY),
        ("study-abroad", "monthly-saver"),
    ),
    (
        "BALANCED-FUND",
        "平衡混合基金",
        "Balanced fund",
        Rating(ProductRisk.R3, 12, Liquidity.DAILY),
        ("study-abroad", "education-fund", "wealth-succession"),
    ),
    (
        "STRUCTURED-1Y",
        "一年期结构性产品",
        "One-year structured note",
        Rating(ProductRisk.R4, 12, Liquidity.AT_MATURITY),
        ("investing",),
    ),
    (
        "TECH-FUND",
        "科技股票基金",
        "Technology equity fund",
        Rating(ProductRisk.R5, 36, Liquidity.DAILY),
        ("investing", "frequent-trader"),
    ),
    ("NEW-FUND", "新发基金", "Fund that is not rated yet", Rating(None, None, None), ("investing",)),
)


async def offer_products(database: Database, *, now: datetime) -> None:
    """Put the products; done again, it changes nothing, and what staff have changed stays."""
    async with database.write() as session:
        meant = await known_tags(session, {tag for *_, tags in PRODUCTS for tag in tags})
        said = [
            ProductWords(
                code=code,
                name_zh=name_zh,
                name_en=name_en,
                rating=rating,
                tags=frozenset(meant[tag] for tag in tags if tag in meant),
                is_active=True,
                observed_at=TOLD_AT,
            )
            for code, name_zh, name_en, rating, tags in PRODUCTS
        ]
        await put_products(session, said, source=SOURCE, set_by=f"import:{SOURCE}", now=now)
