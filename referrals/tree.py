"""The tree below a referrer as of any date, one page of each level, from the conversions in SQL (see ADR 14).

Each level holds referees of those who are shown on the level above, in the order of their referrers, and of those
by when they were claimed; where a page is full, one goes on from any node of the level above.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import groupby
from operator import attrgetter
from typing import Any, cast

from sqlalchemy import ColumnElement, Integer, bindparam, func, literal, null, true, union_all
from sqlalchemy import cast as cast_to
from sqlalchemy import select as sql_select
from sqlalchemy.orm import aliased
from sqlmodel import col

from core.db import Database, Instant, among
from core.errors import BadUserInput
from core.paging import decode_cursor, encode_cursor, instant_in_cursor, page_size
from referrals.attribution import Referral, ReferralStatus

DEEPEST = 10
USUAL_DEPTH = 3
# A qualified referral counts 1 for whoever made it, and half as much for each who stands one level higher.
DECAY = 0.5
# One more than a page.
MOST = bindparam("most", type_=Integer)
# Makes a column `name` of a column of customers' ids.
Naming = Callable[[Any], Any]
# What is read of a conversion, and what of it says no more than who stands there and since when.
SHOWN = ("id", "referrer_id", "referee_id", "claimed_at", "qualified_at", "rejected_at")
BRIEF = ("referee_id", "claimed_at")


class DepthInvalid(BadUserInput):
    code = "DEPTH_INVALID"
    en = "The depth asked for is not valid."
    zh = "层级深度无效。"


@dataclass(slots=True)
class TreeNode:
    """What is told of a referee as of a date, by the row of `TreeLevel.rows` that they stand in."""

    row: Any
    depth: int
    as_of: datetime

    @property
    def customer_id(self) -> str:
        return self.row.referee_id

    @property
    def parent_id(self) -> str:
        return self.row.referrer_id

    @property
    def referred_at(self) -> datetime:
        return self.row.claimed_at

    @property
    def status(self) -> ReferralStatus:
        return status_at(self.row, self.as_of)

    @property
    def referees(self) -> int | None:
        """Those that they brought by then, counted up to one more than a page; None where nobody asked for them."""
        return self.row.referees

    @property
    def name(self) -> str | None:
        """Theirs of today; None where nobody has it."""
        return self.row.name

    @property
    def cursor(self) -> str:
        """Behind it the page goes on."""
        return encode_cursor((self.referred_at.isoformat(), self.row.id))

    @property
    def credit(self) -> float:
        """DECAY^(depth - 1) for a qualified referral, else 0; it is shown and never paid."""
        return DECAY ** (self.depth - 1) if self.status == ReferralStatus.QUALIFIED else 0.0


@dataclass(frozen=True, slots=True)
class TreeLevel:
    """One page of a level, in rows as they were read, since a tree has up to a thousand of them; `has_more` says that
    those shown above have more referees than are here."""

    depth: int
    rows: Sequence[Any]
    as_of: datetime
    has_more: bool

    @property
    def nodes(self) -> list[TreeNode]:
        return [TreeNode(row, self.depth, self.as_of) for row in self.rows]


def checked_depth(depth: int | None) -> int:
    """The depth asked for, or the usual one; raises DepthInvalid outside 1 to 10."""
    if depth is None:
        return USUAL_DEPTH
    if not 1 <= depth <= DEEPEST:
        raise DepthInvalid(path=("maxDepth",), detail=f"1 to {DEEPEST}")
    return depth


async def referral_tree(
    database: Database,
    *,
    naming: Naming,
    program_id: str,
    customer_id: str,
    as_of: datetime,
    max_depth: int | None,
    first: int | None,
    after: str | None,
    counts_last: bool = True,
    is_brief: bool = False,
) -> list[TreeLevel]:
    """The levels below a customer down to `max_depth` or the last that has anybody; `after` is of the first level.

    `naming` says how they are named, which this room does not know; `counts_last` whether the referees of the deepest
    level are counted, which is most of the work and nothing that the levels need. Where it `is_brief`, a node need only
    say who stands there and since when, which spares reading all else of up to a thousand of them.
    """
    deepest, size = checked_depth(max_depth), page_size(first)
    reader = Reader(database, naming, program_id, as_of, size)
    if not database.is_sqlite:
        return await reader.levels(customer_id, deepest, after, counts_last=counts_last, is_brief=is_brief)
    rows = await reader.referees([Wish(customer_id, size + 1, after)], counts=counts_last or deepest > 1)
    levels = [reader.level_of(rows, 1)]
    for depth in range(2, deepest + 1):
        wishes = share(levels[-1].rows, size + 1)
        if not wishes:
            break
        rows = await reader.referees(wishes, counts=counts_last or depth < deepest)
        levels.append(reader.level_of(rows, depth))
    return [level for level in levels if level.rows]


@dataclass(frozen=True, slots=True)
class Wish:
    """How many referees of one referrer are wanted, behind a cursor."""

    referrer_id: str
    count: int
    after: str | None = None


def share(parents: Sequence[Any], room: int) -> list[Wish]:
    """Share a page among the parents in their order; the one who finds no room for all of theirs gets the rest."""
    wishes: list[Wish] = []
    for parent in parents:
        count = min(parent.referees or 0, room)
        if count:
            wishes.append(Wish(parent.referee_id, count))
            room -= count
    return wishes


class Reader:
    """Reads referees as of a date: no more of them than were wished for."""

    def __init__(self, database: Database, naming: Naming, program_id: str, as_of: datetime, size: int) -> None:
        self._database = database
        self._naming = naming
        self._program_id = program_id
        self._as_of = as_of
        self._size = size

    async def levels(
        self, customer_id: str, deepest: int, after: str | None, *, counts_last: bool, is_brief: bool
    ) -> list[TreeLevel]:
        """The levels below a customer by one statement, which SQLite cannot be asked for: it knows no LATERAL."""
        given = self._given(after)
        shown = BRIEF if is_brief else (*SHOWN, "referees")
        statement = levels_statement(self._naming, deepest, shown, goes_on="at" in given, counts_last=counts_last)
        rows = await self._database.glance(statement, **given, root=customer_id, size=self._size)
        # They come level by level.
        return [self.level_of(list(level), depth) for depth, level in groupby(rows, attrgetter("depth"))]

    def level_of(self, rows: Sequence[Any], depth: int) -> TreeLevel:
        """The page of a level, of which one more than that was asked for."""
        return TreeLevel(depth, rows[: self._size], self._as_of, len(rows) > self._size)

    def _given(self, after: str | None) -> dict[str, Any]:
        """What every statement of ours takes, and the place behind which it goes on."""
        position = decode_cursor(after, str, str)
        given: dict[str, Any] = {"program": self._program_id, "as_of": self._as_of, "most": self._size + 1}
        if position:
            given |= {"at": instant_in_cursor(position[0]), "behind": str(position[1])}
        return given

    async def referees(self, wishes: Sequence[Wish], *, counts: bool) -> Sequence[Any]:
        """The referees of these referrers in order; all but the last wish are for all whom the referrer has."""
        *whole, last = wishes
        given = self._given(last.after) | {"last": last.referrer_id, "wanted": last.count}
        if whole:
            given["whole"] = [wish.referrer_id for wish in whole]
        statement = referees_statement(self._naming, has_whole=bool(whole), goes_on="at" in given, counts=counts)
        rows = await self._database.glance(statement, **given)
        places = {wish.referrer_id: place for place, wish in enumerate(wishes)}
        return sorted(rows, key=lambda row: (places[row.referrer_id], row.claimed_at, row.id))


@cache
def levels_statement(naming: Naming, deepest: int, shown: tuple[str, ...], *, goes_on: bool, counts_last: bool) -> Any:
    """All levels of a tree with what is `shown` of each; built once, because building costs more than running.

    `program`, `as_of`, `root`: whose tree; `at` and `behind`: go on from there; `size`: how many of a level have their
    referees on the next; `most`: one more, and of a level no more than that are read.
    """
    first = some_of(Referral, col(Referral.referrer_id) == bindparam("root"), most=MOST, goes_on=goes_on).subquery()
    counts = counts_last or deepest > 1
    levels = [placed(first, first.c.claimed_at, first.c.id, counts=counts).cte("level_1")]
    for depth in range(2, deepest + 1):
        above, below = parents(levels[-1]), aliased(Referral)
        own = some_of(below, col(below.referrer_id) == above.c.referee_id, most=MOST - above.c.before).lateral()
        pairs = sql_select(*own.c, above.c.place.label("above")).select_from(above).join(own, true()).subquery()
        counts = counts_last or depth < deepest
        level = placed(pairs, pairs.c.above, pairs.c.claimed_at, pairs.c.id, counts=counts)
        levels.append(level.cte(f"level_{depth}"))
    whole = union_all(
        *(
            sql_select(literal(depth, Integer).label("depth"), *(level.c[name] for name in (*shown, "place")))
            for depth, level in enumerate(levels, 1)
        )
    ).subquery()
    told = sql_select(whole.c.depth, *(whole.c[name] for name in shown), naming(whole.c.referee_id))
    return told.order_by(whole.c.depth, whole.c.place)


def placed(level: Any, *order: Any, counts: bool) -> Any:
    """A level with the number of each one's referees and the place of each, in this order."""
    counted = with_referees(level, counts=counts).add_columns(func.row_number().over(order_by=order).label("place"))
    return counted.order_by(*order).limit(MOST)


def parents(level: Any) -> Any:
    """Those of a level who have referees to show on the next, and how many stand there `before` theirs."""
    before = func.sum(level.c.referees).over(order_by=level.c.place) - level.c.referees
    some = sql_select(level.c.referee_id, level.c.place, level.c.referees, cast_to(before, Integer).label("before"))
    some = some.where(level.c.place <= bindparam("size", type_=Integer)).subquery()
    return sql_select(*some.c).where(some.c.referees > 0, some.c.before < MOST).subquery()


def with_referees(shown: Any, *, counts: bool) -> Any:
    """Conversions with how many each referee has brought by then, counted up to `most`; null where nobody counts."""
    if not counts:
        return sql_select(*shown.c, cast_to(null(), Integer).label("referees"))
    below = aliased(Referral)
    page = some_of(below, col(below.referrer_id) == shown.c.referee_id, most=MOST).correlate(shown).subquery()
    counted = sql_select(func.count()).select_from(page).scalar_subquery().label("referees")
    return sql_select(*shown.c, counted)


@cache
def referees_statement(naming: Naming, *, has_whole: bool, goes_on: bool, counts: bool) -> Any:
    """The referees of referrers; `last` and `wanted`: of this one, so many; `whole`: all of these.

    SQLite alone is asked for one level after the other."""
    chosen = some_of(
        Referral,
        col(Referral.referrer_id) == bindparam("last"),
        most=bindparam("wanted", type_=Integer),
        goes_on=goes_on,
    )
    if has_whole:
        ids = among(col(Referral.referrer_id), "whole", is_sqlite=True)
        all_of_these = sql_select(*shown_of(Referral)).where(*within(Referral), ids)
        chosen = union_all(*(sql_select(*part.c) for part in (chosen.subquery(), all_of_these.subquery())))
    shown = chosen.subquery()
    return with_referees(shown, counts=counts).add_columns(naming(shown.c.referee_id))


def some_of(referral: type[Referral], whose: Any, *, most: Any, goes_on: bool = False) -> Any:
    """So many conversions of a referrer, in the order of the index."""
    id, claimed_at = col(referral.id), col(referral.claimed_at)
    # Columns and not whole records, which cost SQLAlchemy several times as much.
    statement = sql_select(*shown_of(referral)).where(*within(referral), whose)
    if goes_on:
        at, behind = bindparam("at", type_=cast(Any, Instant)), bindparam("behind")
        # The first of these two bounds is what an index takes.
        statement = statement.where(claimed_at >= at, (claimed_at > at) | ((claimed_at == at) & (id > behind)))
    # A LIMIT without an order tempts PostgreSQL to read the table until it has found enough.
    return statement.order_by(claimed_at, id).limit(most)


def shown_of(referral: type[Referral]) -> list[Any]:
    return [getattr(referral, name) for name in SHOWN]


def within(referral: type[Referral]) -> tuple[ColumnElement[bool], ...]:
    """In the programme, and there by the date."""
    return (
        col(referral.program_id) == bindparam("program"),
        col(referral.claimed_at) <= bindparam("as_of", type_=cast(Any, Instant)),
    )


def status_at(referral: Any, as_of: datetime) -> ReferralStatus:
    """Where a conversion stood at a date, by what is known of it today: what was undone since never was."""
    if referral.rejected_at is not None and referral.rejected_at <= as_of:
        return ReferralStatus.REJECTED
    if referral.qualified_at is not None and referral.qualified_at <= as_of:
        return ReferralStatus.QUALIFIED
    return ReferralStatus.OPEN
