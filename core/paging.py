"""Pages with opaque cursors: a cursor is the sort key of the row it stands on, so inserts do not shift it."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

import orjson

from core.errors import BadUserInput
from core.storable import is_storable

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


@dataclass(frozen=True, slots=True)
class Before:
    """Where a page ends that is read backwards: before this cursor, or with the list where there is none."""

    cursor: str | None = None


# Where a page stands: after a cursor, before one, or (None) at the beginning.
Place = str | Before | None


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some rows with the cursor of each, and whether more follow and, where that was read, whether some go before.

    It has no slots: a frozen class with them cannot be made by its subscripted name, `Page[Row](…)`.
    """

    rows: list[T]
    cursors: list[str]
    has_next: bool
    has_previous: bool | None = None


def window(first: int | None, after: str | None, last: int | None, before: str | None) -> tuple[int | None, Place]:
    """How many rows of which place these arguments ask for; raises PageInvalid for those of both directions."""
    if last is None and before is None:
        return first, after
    if first is not None or after is not None:
        raise PageInvalid(
            path=("last" if last is not None else "before",), detail="either first and after, or last and before"
        )
    if last is not None and not 1 <= last <= LARGEST_PAGE:
        raise PageInvalid(path=("last",), detail=f"1 to {LARGEST_PAGE}")
    return last, Before(before)


def page_size(first: int | None) -> int:
    """The size asked for, or the default; raises PageInvalid outside 1 to 100."""
    if first is None:
        return DEFAULT_PAGE
    if not 1 <= first <= LARGEST_PAGE:
        raise PageInvalid(path=("first",), detail=f"1 to {LARGEST_PAGE}")
    return first


def cut(rows: Sequence[T], size: int, key: Callable[[T], Key], place: Place = None) -> Page[T]:
    """Make a page of up to `size + 1` rows that were read; the extra one only tells that more follow.

    Rows of a page that was read backwards come from its end on, and the extra one tells that some go before. Whether
    more follow is then not read: they do where there is a cursor to come back from, as Relay has it for the other side.
    """
    kept = list(rows[:size])
    if not isinstance(place, Before):
        return Page(kept, [encode_cursor(key(row)) for row in kept], len(rows) > size)
    kept.reverse()
    return Page(kept, [encode_cursor(key(row)) for row in kept], place.cursor is not None, len(rows) > size)


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


def decode_cursor(cursor: str | None, *types: type, argument: str = "after") -> tuple[str | int | float, ...] | None:
    """The sort key in a cursor, with values of exactly these types; raises PageInvalid on any other text."""
    if cursor is None:
        return None
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        key = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error) as error:
        raise PageInvalid(path=(argument,), detail="not a cursor of this list") from error
    if not isinstance(key, list) or [type(part) for part in key] != list(types) or not all(map(is_storable, key)):
        raise PageInvalid(path=(argument,), detail="not a cursor of this list")
    return tuple(key)


def newest_first(statement: StatementT, at: Any, id: Any, *, size: int, after: Place) -> StatementT:
    """The rows beyond the place from the latest instant back, one more than the page; equal instants go by id."""
    if isinstance(after, Before):
        return rising(statement, at, id, size, after.cursor, "before")
    return falling(statement, at, id, size, after, "after")


def oldest_first(statement: StatementT, at: Any, id: Any, *, size: int, after: Place) -> StatementT:
    """Likewise from the earliest instant on."""
    if isinstance(after, Before):
        return falling(statement, at, id, size, after.cursor, "before")
    return rising(statement, at, id, size, after, "after")


def falling(statement: Any, at: Any, id: Any, size: int, cursor: str | None, argument: str) -> Any:
    """From the cursor back in time, whichever way the list goes."""
    key = instant_key(cursor, argument)
    if key is not None:
        statement = statement.where((at < key[0]) | ((at == key[0]) & (id < key[1])))
    return statement.order_by(at.desc(), id.desc()).limit(size + 1)


def rising(statement: Any, at: Any, id: Any, size: int, cursor: str | None, argument: str) -> Any:
    """From the cursor on in time."""
    key = instant_key(cursor, argument)
    if key is not None:
        statement = statement.where((at > key[0]) | ((at == key[0]) & (id > key[1])))
    return statement.order_by(at, id).limit(size + 1)


def instant_key(cursor: str | None, argument: str) -> tuple[datetime, str] | None:
    """The instant and the id in a cursor; raises PageInvalid at this argument."""
    position = decode_cursor(cursor, str, str, argument=argument)
    return None if position is None else (instant_in_cursor(position[0], argument), str(position[1]))


def instant_in_cursor(text: str | float, argument: str = "after") -> datetime:
    """The instant that a cursor names; raises PageInvalid."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise PageInvalid(path=(argument,), detail="not a cursor of this list")
    return found
