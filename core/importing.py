"""The import engine: streams rows of mixed kinds in batches, in bounded memory, and reports each rejection.

Rooms contribute their kinds of rows; the engine knows files, validation, references and batches.
"""

import csv
import io
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO, ClassVar, Generic, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from core.db import Session

LONGEST_LINE = 262_144


class ImportRow(BaseModel):
    """Base of all rows: unknown fields are refused, and text that no store can hold."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    # Fields that name a customer by the source's key; the engine resolves them before the row is written.
    customer_fields: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def drop_empty(cls, data: Any) -> Any:
        """Read an empty cell of a CSV file as absent."""
        if isinstance(data, dict):
            return {name: value for name, value in data.items() if value not in ("", None)}
        return data


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row that did not go in: the line that it ends on, the field where one is to blame, and why."""

    line: int
    field: str
    reason: str


RowT = TypeVar("RowT", bound=ImportRow)


@dataclass(frozen=True, slots=True)
class Numbered(Generic[RowT]):
    """A valid row with its line."""

    line: int
    row: RowT


@dataclass(frozen=True, slots=True)
class Batch(Generic[RowT]):
    """Rows of one kind with what writing them needs; `customers` maps the source's keys to our ids."""

    session: Session
    graph: Any
    source: str
    rows: Sequence[Numbered[RowT]]
    customers: Mapping[str, str]
    now: datetime
    hash_key: str


Write = Callable[[Batch[Any]], Awaitable[list[Rejection]]]


@dataclass(frozen=True, slots=True)
class ImportKind:
    """A kind of row and the function that writes a batch of it and returns what it had to reject.

    What `then` names follows after the commit, each in a transaction of its own: for what another
    store may only refer to once it is there for good.
    """

    name: str
    row: type[ImportRow]
    write: Write
    then: tuple[Write, ...] = ()


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as it stands in the file; `problem` says why it cannot be read at all."""

    line: int
    kind: str
    data: dict[str, Any]
    problem: str | None = None


def read_json_lines(file: BinaryIO, default_kind: str | None) -> Iterator[RawRow]:
    """Read one JSON object a line; its `kind` may be left out where the file has one kind."""
    for number, line in enumerate(lines_of(file), start=1):
        if line is None:
            yield RawRow(number, "", {}, f"the line is longer than {LONGEST_LINE} bytes")
        elif line.strip():
            yield parse_line(number, line, default_kind)


def lines_of(file: BinaryIO) -> Iterator[bytes | None]:
    """Lines in bounded memory; None stands for one that is too long."""
    while line := file.readline(LONGEST_LINE):
        if len(line) < LONGEST_LINE or line.endswith(b"\n"):
            yield line
            continue
        while (rest := file.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
            pass
        yield None


def parse_line(number: int, line: bytes, default_kind: str | None) -> RawRow:
    try:
        data = orjson.loads(line.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError:
        return RawRow(number, "", {}, "not JSON")
    if not isinstance(data, dict):
        return RawRow(number, "", {}, "not a JSON object")
    if b"\\u0000" in line:
        return RawRow(number, "", {}, "text contains the character NUL")
    return RawRow(number, str(data.pop("kind", default_kind) or ""), data)


def read_csv(file: BinaryIO, default_kind: str | None) -> Iterator[RawRow]:
    """Read comma separated values with a header line; a column `kind` may name the kind of each row."""
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline="")
    reader = csv.DictReader(text, restkey="", restval=None)
    while True:
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield RawRow(reader.line_num, "", {}, str(error))
            continue
        yield parse_record(reader.line_num, dict(record), default_kind)


def parse_record(number: int, record: dict[str, Any], default_kind: str | None) -> RawRow:
    if "" in record:
        return RawRow(number, "", {}, "more cells than the header has columns")
    if any("\ufffd" in value or "\x00" in value for value in record.values() if value):
        return RawRow(number, "", {}, "not UTF-8 text")
    return RawRow(number, str(record.pop("kind", None) or default_kind or ""), record)


def validate(kinds: Mapping[str, ImportKind], raw: RawRow) -> ImportRow | Rejection:
    """The row in its kind's form, or why it is not."""
    if raw.problem is not None:
        return Rejection(raw.line, "", raw.problem)
    kind = kinds.get(raw.kind)
    if kind is None:
        return Rejection(raw.line, "kind", f"unknown kind {raw.kind[:40]!r}" if raw.kind else "no kind is given")
    try:
        return kind.row.model_validate(raw.data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return Rejection(
            raw.line, ".".join(str(part) for part in first["loc"]), first["msg"].removeprefix("Value error, ")
        )


def unresolved(row: Numbered[Any], customers: Mapping[str, str]) -> Rejection | None:
    """The rejection of a row that names a customer whom the source has not told us of."""
    for name in row.row.customer_fields:
        if getattr(row.row, name) not in customers:
            return Rejection(row.line, name, "unknown customer")
    return None
