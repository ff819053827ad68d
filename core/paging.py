"""Pages with opaque cursors: a cursor is the sort key of the row it stands on, so inserts do not shift it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Generic, TypeVar, cast, overload

import orjson

from core.errors import BadUserInput
from core.ids import opaque, raw_of
from core.storable import is_storable

DEFAULT_PAGE = 20
LARGEST_PAGE = 100
# No id and no key sorts behind this.
LAST_TEXT = "\uffff"

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


class Cursor:
    """The cursor of a row, made of its sort key when it is shown: few documents ask for the cursor of each row."""

    __slots__ = ("_key", "_row")

    def __init__(self, row: Any, key: Callable[[Any], Key]) -> None:
        self._row, self._key = row, key

    def __str__(self) -> str:
        return encode_cursor(self._key(self._row))


class Cursors(Sequence[str]):
    """The cursors of a page's rows, each made when it is taken out, or left to be made by `marks`."""

    def __init__(self, rows: Sequence[T], key: Callable[[T], Key]) -> None:
        self._rows, self._key = rows, key

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> "Cursors": ...
    def __getitem__(self, place: int | slice) -> "str | Cursors":
        if isinstance(place, slice):
            return Cursors(self._rows[place], self._key)
        return str(self.mark(place))

    __hash__ = None  # pyright: ignore[reportAssignmentType] - as a list has none

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(cast("Sequence[Any]", other))

    def mark(self, place: int) -> Cursor:
        return Cursor(self._rows[place], self._key)

    def marks(self) -> Sequence[Cursor]:
        key = self._key
        return [Cursor(row, key) for row in self._rows]


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some rows with the cursor of each, and whether more follow and, where that was read, whether some go before.

    It has no slots: a frozen class with them cannot be made by its subscripted name, `Page[Row](…)`.
    """

    rows: list[T]
    cursors: Sequence[str]
    has_next: bool
    has_previous: bool | None = None

    def mark(self, place: int) -> Cursor | str | None:
        """The cursor at a place, made when it is shown; None on an empty page."""
        if not self.rows:
            return None
        return self.cursors.mark(place) if isinstance(self.cursors, Cursors) else self.cursors[place]

    def marks(self) -> Sequence[Cursor | str]:
        """The cursors of all rows likewise."""
        return self.cursors.marks() if isinstance(self.cursors, Cursors) else self.cursors


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
        return Page(kept, Cursors(kept, key), len(rows) > size)
    kept.reverse()
    return Page(kept, Cursors(kept, key), place.cursor is not None, len(rows) > size)


def cut_each(
    parents: Sequence[str],
    rows: Sequence[dict[str, Any]],
    parent: str,
    size: int,
    key: Callable[[dict[str, Any]], Key],
    place: Place = None,
) -> dict[str, Page[dict[str, Any]]]:
    """A page for each parent, from rows that name their parent in the column `parent`, in the order of reading."""
    groups: dict[str, list[dict[str, Any]]] = {name: [] for name in parents}
    for row in rows:
        groups[row[parent]].append(row)
    return {name: cut(group, size, key, place) for name, group in groups.items()}


def encode_cursor(key: Key) -> str:
    return opaque(orjson.dumps(list(key)))


def decode_cursor(cursor: str | None, *types: type, argument: str = "after") -> tuple[str | int | float, ...] | None:
    """The sort key in a cursor, with values of exactly these types; raises PageInvalid on any other text."""
    if cursor is None:
        return None
    try:
        key = orjson.loads(raw_of(cursor))
    except ValueError as error:
        raise PageInvalid(path=(argument,), detail="not a cursor of this list") from error
    if not isinstance(key, list) or [type(part) for part in key] != list(types) or not all(map(is_storable, key)):
        raise PageInvalid(path=(argument,), detail="not a cursor of this list")
    return tuple(key)


def position_at(place: Place, *types: type) -> tuple[str | int | float, ...] | None:
    """The sort key that a place stands on, whichever way the page is read; raises PageInvalid at its argument."""
    if isinstance(place, Before):
        return decode_cursor(place.cursor, *types, argument="before")
    return decode_cursor(place, *types)


def goes_back(place: Place) -> bool:
    """Whether a page is read from its end."""
    return isinstance(place, Before)


def argument_of(place: Place) -> str:
    """The argument that gave a place."""
    return "before" if goes_back(place) else "after"


@dataclass(frozen=True, slots=True)
class Falling:
    """A column by which a list goes from the largest value down."""

    column: Any


def in_order(
    statement: StatementT, *columns: Any, size: int, place: Place, position: Sequence[Any] | None
) -> StatementT:
    """The rows beyond the position in the order of these columns, one more than the page.

    A list that is read backwards is the same list with each of its columns turned round: so both ways walk one index.
    """
    turned = goes_back(place)
    order = [(one.column, not turned) if isinstance(one, Falling) else (one, turned) for one in columns]
    if position is not None:
        statement = statement.where(beyond(order, position))
    return statement.order_by(*(column.desc() if falls else column for column, falls in order)).limit(size + 1)


def beyond(order: Sequence[tuple[Any, bool]], position: Sequence[Any]) -> Any:
    """Whether a row comes after the position, in the order of columns that rise or fall."""
    (column, falls), value = order[0], position[0]
    further = column < value if falls else column > value
    if len(order) == 1:
        return further
    return further | ((column == value) & beyond(order[1:], position[1:]))


def text_at(place: Place) -> str:
    """The text that a place stands on in a list of texts; at its beginning the first text, at its end the last one."""
    position = position_at(place, str)
    if position is None:
        return LAST_TEXT if goes_back(place) else ""
    return str(position[0])


def by_text(statement: StatementT, text: Any, *, size: int, after: Place) -> StatementT:
    """The rows beyond the place in the order of one column of texts that tell them apart, such as their ids."""
    return in_order(statement, text, size=size, place=after, position=position_at(after, str))


def newest_first(statement: StatementT, at: Any, id: Any, *, size: int, after: Place) -> StatementT:
    """The rows beyond the place from the latest instant back, one more than the page; equal instants go by id."""
    return in_order(statement, Falling(at), Falling(id), size=size, place=after, position=instant_at(after))


def oldest_first(statement: StatementT, at: Any, id: Any, *, size: int, after: Place) -> StatementT:
    """Likewise from the earliest instant on."""
    return in_order(statement, at, id, size=size, place=after, position=instant_at(after))


def instant_at(place: Place) -> tuple[datetime, str] | None:
    """The instant and the id that a place stands on; raises PageInvalid."""
    position = position_at(place, str, str)
    return None if position is None else (instant_in_cursor(position[0], argument_of(place)), str(position[1]))


def instant_in_cursor(text: str | float, argument: str = "after") -> datetime:
    """The instant that a cursor names; raises PageInvalid."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise PageInvalid(path=(argument,), detail="not a cursor of this list")
    return found


def day_in_cursor(text: str | float, argument: str = "after") -> date:
    """The day that a cursor names; raises PageInvalid."""
    try:
        return date.fromisoformat(str(text))
    except ValueError as error:
        raise PageInvalid(path=(argument,), detail="not a cursor of this list") from error


def held_in(bits: int, number: str | float) -> int:
    """What is nearest to a number among those that a column of so many bits can hold and be compared with."""
    return max(-(2 ** (bits - 1)), min(int(number), 2 ** (bits - 1) - 1))
