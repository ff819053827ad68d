"""The import engine: streams rows of mixed kinds in batches, in bounded memory, and reports each rejection.

Rooms contribute their kinds of rows; the engine knows files, validation, references and batches.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, BinaryIO, ClassVar, Generic, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from core.db import Session

LONGEST_LINE = 262_144
# What the kinds of rows look like.
KIND = re.compile(r"[a-z_]{1,40}")


class LegalBasis(StrEnum):
    """Why data of a person may be kept, where it came from outside (GDPR, article 6; PIPL, article 13)."""

    CONSENT = "CONSENT"
    CONTRACT = "CONTRACT"
    LEGAL_OBLIGATION = "LEGAL_OBLIGATION"
    LEGITIMATE_INTEREST = "LEGITIMATE_INTEREST"
    PUBLIC_INTEREST = "PUBLIC_INTEREST"


class ImportRow(BaseModel):
    """Base of all rows: unknown fields are refused, and text that no store can hold."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    # Fields that name a customer by the source's key; the engine resolves them before the row is written.
    customer_fields: ClassVar[tuple[str, ...]] = ()
    # Whether the row tells of a person, so that an external source has to say by what right; words for all do not.
    is_personal: ClassVar[bool] = True

    legal_basis: LegalBasis | None = None

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


@dataclass(frozen=True, slots=True)
class Hold(Rejection):
    """A row that waits for a person to decide; it is counted apart from those that are wrong."""


RowT = TypeVar("RowT", bound=ImportRow)


@dataclass(frozen=True, slots=True)
class Numbered(Generic[RowT]):
    """A valid row with its line."""

    line: int
    row: RowT


@dataclass(frozen=True, slots=True)
class Batch(Generic[RowT]):
    """Rows of one kind with what writing them needs; `customers` maps the source's keys to our ids.

    A kind that can tell counts in `tally["unchanged"]` the rows that were known already, or older than what is known.
    """

    session: Session
    graph: Any
    source: str
    rows: Sequence[Numbered[RowT]]
    customers: Mapping[str, str]
    now: datetime
    hash_key: str
    tally: Counter[str] = field(default_factory=Counter[str])


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


NO_BASIS = "data of an external source needs its legal basis: " + ", ".join(LegalBasis)


def validate(kinds: Mapping[str, ImportKind], raw: RawRow, *, external: bool = False) -> ImportRow | Rejection:
    """The row in its kind's form, or why it is not; of an external source each says by what right it is kept."""
    if raw.problem is not None:
        return Rejection(raw.line, "", raw.problem)
    kind = kinds.get(raw.kind)
    if kind is None:
        return Rejection(raw.line, "kind", unknown_kind(raw.kind))
    try:
        row = kind.row.model_validate(raw.data)
    except ValidationError as error:
        return rejection_of(raw.line, error, kinds)
    if external and row.is_personal and row.legal_basis is None:
        return Rejection(raw.line, "legal_basis", NO_BASIS)
    return row


def unknown_kind(kind: str) -> str:
    """What is wrong with a kind; it is quoted only where it looks like one, because a shifted cell may hold a name."""
    if not kind:
        return "no kind is given"
    return f"unknown kind {kind!r}" if KIND.fullmatch(kind) else "unknown kind"


def rejection_of(line: int, error: ValidationError, kinds: Mapping[str, ImportKind]) -> Rejection:
    """The first thing that is wrong with a row; a field of no kind is not named, because it may be a shifted cell."""
    first = error.errors(include_url=False, include_input=False)[0]
    names = [str(part) for part in first["loc"]]
    if first["type"] != "extra_forbidden":
        return Rejection(line, ".".join(names), first["msg"].removeprefix("Value error, "))
    known = {name for kind in kinds.values() for name in kind.row.model_fields}
    return Rejection(line, ".".join(names) if set(names) <= known else "", "unknown field")


def unresolved(row: Numbered[Any], customers: Mapping[str, str]) -> Rejection | None:
    """The rejection of a row that names a customer whom the source has not told us of."""
    for name in row.row.customer_fields:
        if getattr(row.row, name) not in customers:
            return Rejection(row.line, name, "unknown customer")
    return None
