"""Traces: every column that names a customer, and what becomes of its row when they are erased or merged, or ask.

Each room lists its own. A test holds the lists against all tables, so that none can be forgotten.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, update
from sqlalchemy import select as sql_select
from sqlmodel import SQLModel, select

from core.db import Session, changed_rows, table_of
from core.sealing import seal, unseal

ROOMS = (
    "core.own_traces",
    "segments.traces",
    "customers.traces",
    "community.traces",
    "referrals.traces",
    "loyalty.traces",
    "service.traces",
)


class WhenErased(StrEnum):
    """DELETED: the row goes. BLANKED: words and links go, the rest stays under the id that is nobody's. KEPT: so stays
    all of it. OWN: the room does it by a function of its own.
    """

    DELETED = "DELETED"
    BLANKED = "BLANKED"
    KEPT = "KEPT"
    OWN = "OWN"


class WhenMerged(StrEnum):
    """MOVED: to the survivor; what the survivor has of its own stands. KEPT: under the old id. OWN: by a function."""

    MOVED = "MOVED"
    KEPT = "KEPT"
    OWN = "OWN"


@dataclass(frozen=True, slots=True)
class Trace:
    """One column that names customers; `form` is how it names them, where that is more than the id.

    `blank` is what is written instead of words. `clash` are the columns of which there is one row for each customer;
    what clashes in a merge is deleted, or kept where `keeps_clash`. `hidden` are columns that no export shows.
    `sealed` are those that the customer's own data key opens; each is sealed for its place, or where `sealed_by_row`
    for its row.
    """

    model: type[SQLModel]
    column: str
    erased: WhenErased
    merged: WhenMerged
    why: str
    blank: Mapping[str, Any] = field(default_factory=dict[str, Any])
    form: str = "{id}"
    clash: tuple[str, ...] | None = None
    keeps_clash: bool = False
    is_exported: bool = True
    hidden: tuple[str, ...] = ()
    sealed: tuple[str, ...] = ()
    sealed_by_row: bool = False

    @property
    def place(self) -> str:
        return f"{table_of(self.model).name}.{self.column}"

    def names(self, customer_id: str) -> ColumnElement[bool]:
        return table_of(self.model).c[self.column] == self.form.format(id=customer_id)


def all_traces() -> Iterator[Trace]:
    """The traces of every room; they are collected by name, because siblings do not import each other."""
    for room in ROOMS:
        yield from import_module(room).TRACES


async def erase_traces(session: Session, traces: Sequence[Trace], customer_id: str) -> dict[str, int]:
    """Delete and blank what names a customer; returns to how many rows, by place. Again it finds the blanked ones."""
    done: dict[str, int] = {}
    for trace in traces:
        table = table_of(trace.model)
        if trace.erased == WhenErased.DELETED:
            done[trace.place] = await changed_rows(session, delete(table).where(trace.names(customer_id)))
        elif trace.erased == WhenErased.BLANKED:
            blanked = update(table).where(trace.names(customer_id)).values(**trace.blank)
            done[trace.place] = await changed_rows(session, blanked)
    return done


async def move_traces(session: Session, traces: Sequence[Trace], merged_id: str, survivor_id: str) -> dict[str, int]:
    """Move what names one customer to another; returns how many rows, by place. Again it moves what came since.

    Where there is one row for each customer the survivor's stands; the other one is deleted, or kept under the old id.
    """
    done: dict[str, int] = {}
    for trace in traces:
        if trace.merged != WhenMerged.MOVED:
            continue
        table = table_of(trace.model)
        moving = trace.names(merged_id)
        if trace.clash is not None:
            clash = moving & clashing(trace, survivor_id)
            if trace.keeps_clash:
                moving &= ~clashing(trace, survivor_id)
            else:
                done[f"{trace.place}, the survivor's stands"] = await changed_rows(session, delete(table).where(clash))
        moved = update(table).where(moving).values(**{trace.column: trace.form.format(id=survivor_id)})
        done[trace.place] = await changed_rows(session, moved)
    return done


async def has_sealed(session: Session, traces: Sequence[Trace], customer_id: str) -> bool:
    """Whether anything beside the profile is sealed by the customer's data key."""
    for trace in traces:
        for name in trace.sealed:
            column = table_of(trace.model).c[name]
            if (
                await session.exec(select(column).where(trace.names(customer_id), column.is_not(None)).limit(1))
            ).first():
                return True
    return False


async def reseal_traces(
    session: Session, traces: Sequence[Trace], merged: tuple[str, bytes], survivor: tuple[str, bytes]
) -> int:
    """Seal for the survivor of a merge what is sealed for the other profile, before its key goes; returns how much.

    Both are ids with their data keys. The rows move by `move_traces`, later: until then nobody reads them. What
    stays under the old id, because it clashes, opens as the survivor's too.
    """
    (merged_id, old), (survivor_id, new) = merged, survivor
    count = 0
    for trace in traces:
        table = table_of(trace.model)
        for name in trace.sealed:
            rows = sql_select(*table.primary_key, table.c[name]).where(
                trace.names(merged_id), table.c[name].is_not(None)
            )
            for row in (await (await session.connection()).execute(rows)).all():
                *key, sealed = row
                place = ":".join([f"{table.name}.{name}", *(key if trace.sealed_by_row else ())])
                words = seal(new, unseal(old, sealed, owner=merged_id, column=place), owner=survivor_id, column=place)
                same = [column == value for column, value in zip(table.primary_key, key, strict=True)]
                count += await changed_rows(session, update(table).where(*same).values({name: words}))
    return count


def clashing(trace: Trace, survivor_id: str) -> ColumnElement[bool]:
    """That the survivor has a row with the same values; where one of them is null that is a value, too."""
    table = table_of(trace.model)
    own = table.alias("own")
    same = [own.c[name].is_not_distinct_from(table.c[name]) for name in trace.clash or ()]
    return exists().where(own.c[trace.column] == survivor_id, *same).correlate(table)


# Of a place so many rows are given at most, so that one answer stays within memory.
MOST_ROWS = 20_000


Rows = list[dict[str, Any]]


def within(rows: Rows, place: str, truncated: list[str], most: int = MOST_ROWS) -> Rows:
    """No more of these rows than are given; where there are more, `truncated` gets the place, so that it is said."""
    if len(rows) > most:
        truncated.append(place)
    return rows[:most]


async def rows_naming(
    session: Session, traces: Sequence[Trace], customer_id: str, truncated: list[str], *, most: int = MOST_ROWS
) -> dict[str, Rows]:
    """Everything that names a customer, by place, as it stands in the tables; keys and what is sealed are left out."""
    found: dict[str, Rows] = {}
    connection = await session.connection()
    for trace in traces:
        if trace.is_exported:
            table = table_of(trace.model)
            shown = [column for column in table.c if column.name not in trace.hidden]
            statement = sql_select(*shown).where(trace.names(customer_id)).order_by(*table.primary_key)
            rows = [dict(row) for row in (await connection.execute(statement.limit(most + 1))).mappings()]
            if rows:
                rows = within(rows, trace.place, truncated, most)
                found[trace.place] = [*found.get(trace.place, []), *rows]
    return found
