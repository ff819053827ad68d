"""Pages with opaque cursors: a cursor is the sort key of the row it stands on, so inserts do not shift it."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

import orjson

from core.errors import BadUserInput

DEFAULT_PAGE = 20
LARGEST_PAGE = 100

T = TypeVar("T")
# A SELECT of whatever rows.
StatementT = TypeVar("StatementT", bound=Any)
Key = Sequence[str | int | float]


class PageInvalid(BadUserInput):
    code = "PAGE_INVALID"
    en = "The page asked for is not valid."
    zh = "分页参数无效。"


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some rows with the cursor of each, and whether more follow.

    It has no slots: a frozen class with them cannot be made by its subscripted name, `Page[Row](…)`.
    """

    rows: list[T]
    cursors: list[str]
    has_next: bool


def page_size(first: int | None) -> int:
    """The size asked for, or the default; raises PageInvalid outside 1 to 100."""
    if first is None:
        return DEFAULT_PAGE
    if not 1 <= first <= LARGEST_PAGE:
        raise PageInvalid(path=("first",), detail=f"1 to {LARGEST_PAGE}")
    return first


def cut(rows: Sequence[T], size: int, key: Callable[[T], Key]) -> Page[T]:
    """Make a page of up to `size + 1` rows that were read; the extra one only tells that more follow."""
    kept = list(rows[:size])
    return Page(kept, [encode_cursor(key(row)) for row in kept], len(rows) > size)


def cut_each(
    parents: Sequence[str],
    rows: Sequence[dict[str, Any]],
    parent: str,
    size: int,
    key: Callable[[dict[str, Any]], Key],
) -> dict[str, Page[dict[str, Any]]]:
    """A page for each parent, from rows in order that name their parent in the column `parent`."""
    groups: dict[str, list[dict[str, Any]]] = {name: [] for name in parents}
    for row in rows:
        groups[row[parent]].append(row)
    return {name: cut(group, size, key) for name, group in groups.items()}


def encode_cursor(key: Key) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(list(key))).decode().rstrip("=")


def decode_cursor(cursor: str | None, *types: type) -> tuple[str | int | float, ...] | None:
    """The sort key in a cursor, with values of exactly these types; raises PageInvalid on any other text."""
    if cursor is None:
        return None
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        key = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error) as error:
        raise PageInvalid(path=("after",), detail="not a cursor of this list") from error
    if not isinstance(key, list) or [type(part) for part in key] != list(types) or not all(map(is_storable, key)):
        raise PageInvalid(path=("after",), detail="not a cursor of this list")
    return tuple(key)


def is_storable(part: str | int | float) -> bool:
    """Whether the stores take this as a parameter: no text with NUL, no number beyond 64 bits."""
    return "\0" not in part if isinstance(part, str) else -(2**63) <= part < 2**63


def newest_first(statement: StatementT, at: Any, id: Any, *, size: int, after: str | None) -> StatementT:
    """The rows after the cursor from the latest instant back, one more than the page; equal instants go by id."""
    return (
        rows_beyond(statement, after, lambda moment, last: (at < moment) | ((at == moment) & (id < last)))
        .order_by(at.desc(), id.desc())
        .limit(size + 1)
    )


def oldest_first(statement: StatementT, at: Any, id: Any, *, size: int, after: str | None) -> StatementT:
    """Likewise from the earliest instant on."""
    return (
        rows_beyond(statement, after, lambda moment, last: (at > moment) | ((at == moment) & (id > last)))
        .order_by(at, id)
        .limit(size + 1)
    )


def rows_beyond(statement: Any, after: str | None, beyond: Callable[[datetime, str], Any]) -> Any:
    position = decode_cursor(after, str, str)
    if position is None:
        return statement
    return statement.where(beyond(instant_in_cursor(position[0]), str(position[1])))


def instant_in_cursor(text: str | float) -> datetime:
    """The instant that a cursor names; raises PageInvalid."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise PageInvalid(path=("after",), detail="not a cursor of this list")
    return found
