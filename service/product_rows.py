"""The rows of products, as the bank's product system tells of them; they say nothing of a person."""

from typing import Annotated, Any, ClassVar

from pydantic import AwareDatetime, BeforeValidator
from pydantic import Field as Setting

from core.facts import LONGEST_LEAD
from core.importing import Batch, ImportKind, ImportRow, Numbered, Rejection
from service.products import CODE, LONGEST_HORIZON, LONGEST_NAME, MOST_TAGS, ProductWords, known_tags, put_products
from service.suitability import Liquidity, ProductRisk, Rating

Name = Annotated[str, Setting(min_length=1, max_length=LONGEST_NAME)]


def listed(value: Any) -> Any:
    """A list as a cell of a CSV file writes it: keys with semicolons between them."""
    return [part.strip() for part in value.split(";") if part.strip()] if isinstance(value, str) else value


class ProductRow(ImportRow):
    """A product; what is not said of its rating is unknown, and then it fits nobody."""

    is_personal: ClassVar[bool] = False

    code: Annotated[str, Setting(pattern=CODE)]
    name_zh: Name
    name_en: Name
    risk: ProductRisk | None = None
    horizon_months: Annotated[int, Setting(ge=0, le=LONGEST_HORIZON)] | None = None
    liquidity: Liquidity | None = None
    tags: Annotated[list[str], BeforeValidator(listed), Setting(max_length=MOST_TAGS)] = Setting(default_factory=list)
    active: bool = True
    observed_at: AwareDatetime


async def write_products(batch: Batch[ProductRow]) -> list[Rejection]:
    """Write those that are newer than what is known; a row with an unknown tag does not go in."""
    meant = await known_tags(batch.session, {tag for item in batch.rows for tag in item.row.tags})
    rejected = [found for item in batch.rows if (found := unfit(item, meant, batch))]
    lines = {one.line for one in rejected}
    said = [words_of(item.row, meant) for item in batch.rows if item.line not in lines]
    told = await put_products(batch.session, said, source=batch.source, set_by=f"import:{batch.source}", now=batch.now)
    batch.tally["unchanged"] += len(said) - told
    return rejected


def unfit(item: Numbered[ProductRow], meant: dict[str, str], batch: Batch[ProductRow]) -> Rejection | None:
    if item.row.observed_at > batch.now + LONGEST_LEAD:
        return Rejection(item.line, "observed_at", "it lies in the future")
    if any(tag not in meant for tag in item.row.tags):
        return Rejection(item.line, "tags", "unknown tag")
    return None


def words_of(row: ProductRow, meant: dict[str, str]) -> ProductWords:
    return ProductWords(
        code=row.code,
        name_zh=row.name_zh,
        name_en=row.name_en,
        rating=Rating(row.risk, row.horizon_months, row.liquidity),
        tags=frozenset(meant[tag] for tag in row.tags),
        is_active=row.active,
        observed_at=row.observed_at,
    )


KINDS = (ImportKind("product", ProductRow, write_products),)
