"""The rows of what sources say of customers: which traits there are, and their values.

Money is decimal text in the bank's currency, whose minor unit is a hundredth. Days are kept as the first of their
month, because a day of birth would name a person.
"""

import re
from datetime import date
from typing import Annotated, Any, ClassVar

from pydantic import AwareDatetime
from pydantic import Field as Setting
from sqlmodel import col, select

from core.db import Session, insert_into, insert_rows, table_of
from core.importing import Batch, ImportKind, ImportRow, Numbered, Rejection
from customers.money import minor_units
from customers.record_rows import Key, write_newest
from customers.tier_inputs import RISK
from customers.tier_risk import owe_risks
from segments.traits import CustomerTrait, TraitDefinition, TraitKind

TraitName = Annotated[str, Setting(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
LONGEST_WORD = 60
WHOLE = re.compile(r"-?[0-9]{1,15}")


class TraitDefinitionRow(ImportRow):
    """A trait that customers can have; what kind of value it has never changes."""

    is_personal: ClassVar[bool] = False

    name: TraitName
    trait_kind: TraitKind
    name_zh: Annotated[str, Setting(min_length=1, max_length=200)]
    name_en: Annotated[str, Setting(min_length=1, max_length=200)]
    stale_after_days: Annotated[int, Setting(ge=1, le=36_500)] | None = None


class TraitRow(ImportRow):
    """A value of a trait; `item` tells several of one customer apart, such as children."""

    customer_fields: ClassVar[tuple[str, ...]] = ("customer",)

    customer: Key
    name: TraitName
    item: Annotated[str, Setting(max_length=60)] = ""
    value: str | bool | int
    observed_at: AwareDatetime


async def definitions_of(session: Session, names: set[str]) -> dict[str, TraitDefinition]:
    statement = select(TraitDefinition).where(col(TraitDefinition.name).in_(names))
    return {one.name: one for one in (await session.exec(statement)).all()}


async def write_definitions(batch: Batch[TraitDefinitionRow]) -> list[Rejection]:
    """Write what is new or said otherwise; a kind that differs from the first is rejected."""
    known = await definitions_of(batch.session, {item.row.name for item in batch.rows})
    kinds = {name: one.kind for name, one in known.items()}
    rejected: list[Rejection] = []
    rows: dict[str, dict[str, Any]] = {}
    for item in batch.rows:
        if kinds.setdefault(item.row.name, item.row.trait_kind) != item.row.trait_kind:
            rejected.append(Rejection(item.line, "trait_kind", f"this trait is of kind {kinds[item.row.name]}"))
        else:
            said = item.row.model_dump(exclude={"trait_kind", "legal_basis"})
            rows[item.row.name] = {**said, "kind": item.row.trait_kind, "created_at": batch.now}
    changed = [row for name, row in rows.items() if name not in known or differs(known[name], row)]
    batch.tally["unchanged"] += len(batch.rows) - len(rejected) - len(changed)
    statement = insert_into(batch.session, TraitDefinition)
    upsert = statement.on_conflict_do_update(
        index_elements=["name"],
        set_={name: statement.excluded[name] for name in ("name_zh", "name_en", "stale_after_days")},
    )
    ordered = sorted(changed, key=lambda row: row["name"])
    await insert_rows(batch.session, upsert.returning(table_of(TraitDefinition).c.name), ordered)
    return rejected


def differs(known: TraitDefinition, row: dict[str, Any]) -> bool:
    return any(getattr(known, name) != row[name] for name in ("name_zh", "name_en", "stale_after_days"))


async def write_traits(batch: Batch[TraitRow]) -> list[Rejection]:
    known = await definitions_of(batch.session, {item.row.name for item in batch.rows})
    values: dict[int, dict[str, Any]] = {}
    rejected = [one for item in batch.rows if (one := read_value(item, known, values))]
    lines = {id(item.row): values.get(item.line) for item in batch.rows}

    def make(_: Batch[TraitRow], row: TraitRow) -> dict[str, Any]:
        value = lines[id(row)] or {}
        return {"name": row.name, "item": row.item, "observed_at": row.observed_at, **value}

    risky = [batch.customers[item.row.customer] for item in batch.rows if item.row.name == RISK]
    await owe_risks(batch.session, risky, now=batch.now)
    return await write_newest(batch, CustomerTrait, make, "customer_id", "name", "item", rejected=rejected)


def read_value(
    item: Numbered[TraitRow], known: dict[str, TraitDefinition], values: dict[int, dict[str, Any]]
) -> Rejection | None:
    """Put the columns of a row's value among the values, or say why it has none."""
    definition = known.get(item.row.name)
    if definition is None:
        return Rejection(item.line, "name", "unknown trait")
    try:
        values[item.line] = columns_of(TraitKind(definition.kind), item.row.value)
    except ValueError as error:
        return Rejection(item.line, "value", str(error))
    return None


def columns_of(kind: TraitKind, value: str | bool | int) -> dict[str, Any]:
    """The columns of a value; raises ValueError where it is none of the kind."""
    columns: dict[str, Any] = {"number": None, "word": None, "day": None}
    if kind == TraitKind.TEXT:
        return {**columns, "word": word_of(value)}
    if kind == TraitKind.DATE:
        return {**columns, "day": day_of(value)}
    if kind == TraitKind.MONEY:
        if not isinstance(value, str):
            raise ValueError('an amount as text, such as "1234.50"')
        return {**columns, "number": minor_units(value)}
    return {**columns, "number": truth_of(value) if kind == TraitKind.BOOLEAN else number_of(value)}


def word_of(value: str | bool | int) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST_WORD:
        raise ValueError(f"a word of 1 to {LONGEST_WORD} characters")
    return value


def day_of(value: str | bool | int) -> date:
    """The first of the month of a day, or of a month that is written alone."""
    try:
        text = str(value)
        return date.fromisoformat(f"{text}-01" if len(text) == len("2026-10") else text).replace(day=1)
    except ValueError:
        raise ValueError("a day such as 2026-10-31, or a month such as 2026-10") from None


def number_of(value: str | bool | int) -> int:
    if isinstance(value, bool) or not WHOLE.fullmatch(str(value)):
        raise ValueError("a whole number of 15 digits at most")
    return int(value)


def truth_of(value: str | bool | int) -> int:
    """1 or 0; a file without types writes words."""
    found = {"true": 1, "yes": 1, "1": 1, "false": 0, "no": 0, "0": 0}.get(str(value).lower())
    if found is None:
        raise ValueError("true or false")
    return found


KINDS = (
    ImportKind("trait_definition", TraitDefinitionRow, write_definitions),
    ImportKind("trait", TraitRow, write_traits),
)
