"""Instants in SQL, which each database reckons with in its own way."""

from typing import Any

from sqlalchemy import ColumnElement, DateTime, String
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import literal


class Month(ColumnElement[str]):
    """The month of UTC in which an instant lies, such as 2026-11."""

    type = String()
    inherit_cache = False

    def __init__(self, at: ColumnElement[Any]) -> None:
        self.at = at


class DaysLater(ColumnElement[Any]):
    """An instant so many times 24 hours later."""

    type = DateTime(timezone=True)
    inherit_cache = False

    def __init__(self, at: ColumnElement[Any], days: int) -> None:
        self.at = at
        self.days = days


@compiles(Month, "postgresql")
def month_postgresql(element: Month, compiler: SQLCompiler, **options: Any) -> str:
    return f"to_char({compiler.process(element.at, **options)} AT TIME ZONE 'UTC', 'YYYY-MM')"


@compiles(Month, "sqlite")
def month_sqlite(element: Month, compiler: SQLCompiler, **options: Any) -> str:
    return f"substr({compiler.process(element.at, **options)}, 1, 7)"


@compiles(DaysLater, "postgresql")
def later_postgresql(element: DaysLater, compiler: SQLCompiler, **options: Any) -> str:
    hours = compiler.process(literal(element.days * 24, literal_execute=True), **options)
    return f"({compiler.process(element.at, **options)} + make_interval(hours => {hours}))"


@compiles(DaysLater, "sqlite")
def later_sqlite(element: DaysLater, compiler: SQLCompiler, **options: Any) -> str:
    # Instants are kept as text of UTC there; the time of day stays as it is, to the microsecond.
    at = compiler.process(element.at, **options)
    days = compiler.process(literal(f"+{element.days} days", literal_execute=True), **options)
    return f"(date(substr({at}, 1, 10), {days}) || substr({at}, 11))"
