"""Who was shown, has opened and has joined which recommended community: kept per person, counted per community.

Reading recommendations writes nothing. What is shown is put into the buffer of the process, which is flushed by the
second: what is buffered when a process is killed is not counted (docs/adr/0026). Each person counts once a day for each
community, however often they look and wherever: the row of the pair says so, and only what is new of it is counted.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Index, delete, or_, tuple_, update
from sqlalchemy import select as sql_select
from sqlmodel import Field, col

from community.recommendation_policies import Variant
from core.db import Database, Record, Session, insert_into, insert_rows, table_of
from core.errors import Unavailable

log = structlog.get_logger(__name__)

# A buffer beyond this takes nothing more until it is flushed: what is not counted is less bad than what fills memory.
MOST_BUFFERED = 20_000
# Whoever joins so long after it was last shown or opened has come for it.
JOINED_WITHIN = timedelta(days=30)
# After that, and the time in which it may be opened, the row of the pair has served.
KEPT_FOR = timedelta(days=90)
FORGOTTEN_AT_ONCE = 1_000


class RecommendationExposure(Record, table=True):
    """One customer and one community that they were recommended: when last, in which variant, and why most of all."""

    __table_args__ = (Index("ix_recommendation_exposure_shown", "shown_on"),)

    customer_id: str = Field(primary_key=True)
    community_id: str = Field(primary_key=True)
    variant: str
    reason: str
    shown_on: date
    opened_on: date | None = None
    joined_on: date | None = None


class RecommendationCount(Record, table=True):
    """How many people were shown, opened and joined a community on a day (of UTC), by variant and strongest reason."""

    community_id: str = Field(primary_key=True)
    day: date = Field(primary_key=True)
    variant: str = Field(primary_key=True)
    reason: str = Field(primary_key=True)
    shown: int = 0
    opened: int = 0
    joined: int = 0


@dataclass(frozen=True, slots=True)
class Shown:
    """What was shown to somebody: a community with the variant of their list and its strongest reason."""

    community_id: str
    variant: str
    reason: str


Pair = tuple[str, str]
# What is counted under: community, day, variant, reason.
Cell = tuple[str, date, str, str]


@dataclass
class Exposures:
    """The buffer of one process; safe to share between tasks, because nothing of it waits between look and change."""

    database: Database
    shown: dict[tuple[str, str, date], Shown] = field(default_factory=dict[tuple[str, str, date], Shown])
    opened: dict[Pair, date] = field(default_factory=dict[Pair, date])
    joined: dict[Pair, date] = field(default_factory=dict[Pair, date])
    dropped: int = 0

    def show(self, customer_id: str, found: Iterable[Shown], *, now: datetime) -> None:
        """Note that a customer was shown these; what the same day shows again is noted once."""
        for one in found:
            key = (customer_id, one.community_id, day_of(now))
            if key in self.shown or self._has_room():
                self.shown.setdefault(key, one)

    def open(self, customer_id: str, community_id: str, *, now: datetime) -> None:
        """Note that a customer looked at it nearer."""
        if self._has_room():
            self.opened.setdefault((customer_id, community_id), day_of(now))

    def join(self, customer_id: str, community_id: str, *, now: datetime) -> None:
        """Note that a customer became a member; whether a recommendation came before is found at the flush."""
        if self._has_room():
            self.joined.setdefault((customer_id, community_id), day_of(now))

    def _has_room(self) -> bool:
        if len(self.shown) + len(self.opened) + len(self.joined) < MOST_BUFFERED:
            return True
        self.dropped += 1
        return False

    async def flush(self) -> None:
        """Write what was noted; what cannot be written now is tried again with the next, as far as there is room."""
        shown, opened, joined = self.shown, self.opened, self.joined
        if not shown and not opened and not joined:
            return
        self.shown, self.opened, self.joined = {}, {}, {}
        try:
            async with self.database.write() as session:
                await write_exposures(session, shown, opened, joined)
        except Unavailable as error:
            log.warning("exposures_not_written", error=str(error), shown=len(shown))
            self.shown, self.opened, self.joined = shown | self.shown, opened | self.opened, joined | self.joined
        if self.dropped:
            log.warning("exposures_dropped", dropped=self.dropped)
            self.dropped = 0


def day_of(now: datetime) -> date:
    return now.astimezone(UTC).date()


async def write_exposures(
    session: Session,
    shown: Mapping[tuple[str, str, date], Shown],
    opened: Mapping[Pair, date],
    joined: Mapping[Pair, date],
) -> None:
    """Write what was noted, in this order, so that what is shown and opened within a second counts as both."""
    cells = {"shown": await put_shown(session, shown)}
    cells["opened"] = await put_opened(session, opened)
    cells["joined"] = await put_joined(session, joined)
    await add_counts(session, cells)
    days = [*(key[2] for key in shown), *opened.values(), *joined.values()]
    await forget_old(session, max(days) - KEPT_FOR)


async def put_shown(session: Session, shown: Mapping[tuple[str, str, date], Shown]) -> Counter[Cell]:
    """Write the pairs; returns those that were not shown that day before, by what they are counted under."""
    # The rows go in one order, so that two flushes wait for each other and never in a circle. Of two days in one flush,
    # at midnight, each is a statement of its own, because one cannot write a row twice.
    new: Counter[Cell] = Counter()
    for day in sorted({key[2] for key in shown}):
        rows = [
            {
                "customer_id": customer_id,
                "community_id": community_id,
                "variant": one.variant,
                "reason": one.reason,
                "shown_on": day,
            }
            for (customer_id, community_id, on), one in sorted(shown.items(), key=lambda item: item[0])
            if on == day
        ]
        put = insert_into(session, RecommendationExposure)
        names = ("variant", "reason", "shown_on")
        put = put.on_conflict_do_update(
            index_elements=["customer_id", "community_id"],
            set_={name: put.excluded[name] for name in names},
            where=table_of(RecommendationExposure).c.shown_on < put.excluded.shown_on,
        )
        columns = table_of(RecommendationExposure).c
        returned = put.returning(columns.community_id, columns.variant, columns.reason)
        for row in await insert_rows(session, returned, rows):
            new[(row.community_id, day, row.variant, row.reason)] += 1
    return new


async def put_opened(session: Session, opened: Mapping[Pair, date]) -> Counter[Cell]:
    """Note that these were opened, once a day each, where they were shown within 30 days."""
    columns = table_of(RecommendationExposure).c
    new: Counter[Cell] = Counter()
    for (customer_id, community_id), day in sorted(opened.items()):
        statement = (
            update(RecommendationExposure)
            .where(columns.customer_id == customer_id, columns.community_id == community_id)
            .where(columns.shown_on >= day - JOINED_WITHIN)
            .where(or_(columns.opened_on.is_(None), columns.opened_on < day))
            .values(opened_on=day)
        )
        new.update(await changed_cells(session, statement, community_id, day))
    return new


async def put_joined(session: Session, joined: Mapping[Pair, date]) -> Counter[Cell]:
    """Note that these were joined, once each, where they were shown or opened within 30 days."""
    columns = table_of(RecommendationExposure).c
    new: Counter[Cell] = Counter()
    for (customer_id, community_id), day in sorted(joined.items()):
        since = day - JOINED_WITHIN
        statement = (
            update(RecommendationExposure)
            .where(columns.customer_id == customer_id, columns.community_id == community_id)
            .where(or_(columns.shown_on >= since, columns.opened_on >= since))
            .where(columns.joined_on.is_(None))
            .values(joined_on=day)
        )
        new.update(await changed_cells(session, statement, community_id, day))
    return new


async def changed_cells(session: Session, statement: Any, community_id: str, day: date) -> Sequence[Cell]:
    columns = table_of(RecommendationExposure).c
    connection = await session.connection()
    rows = (await connection.execute(statement.returning(columns.variant, columns.reason))).all()
    return [(community_id, day, row.variant, row.reason) for row in rows]


async def add_counts(session: Session, found: Mapping[str, Counter[Cell]]) -> None:
    """Add to the counts, in one statement for all of them."""
    cells = sorted({cell for counts in found.values() for cell in counts})
    put = insert_into(session, RecommendationCount)
    columns = table_of(RecommendationCount).c
    put = put.on_conflict_do_update(
        index_elements=["community_id", "day", "variant", "reason"],
        set_={name: columns[name] + put.excluded[name] for name in found},
    )
    rows = [
        dict(zip(("community_id", "day", "variant", "reason"), cell, strict=True))
        | {name: counts[cell] for name, counts in found.items()}
        for cell in cells
    ]
    await insert_rows(session, put.returning(columns.community_id), rows)


async def forget_old(session: Session, before: date) -> None:
    """Delete pairs that have served, some at a time: the counts stay."""
    columns = table_of(RecommendationExposure).c
    pair = (columns.customer_id, columns.community_id)
    old = sql_select(*pair).where(columns.shown_on < before).order_by(columns.shown_on).limit(FORGOTTEN_AT_ONCE)
    rows = (await (await session.connection()).execute(old)).all()
    if rows:
        gone = delete(RecommendationExposure).where(tuple_(*pair).in_([tuple(row) for row in rows]))
        await session.exec(gone.where(col(RecommendationExposure.shown_on) < before))


def strongest(reasons: Sequence[Mapping[str, Any]]) -> str:
    """The kind of the first reason, under which it is counted."""
    return str(reasons[0]["kind"]) if reasons else "POPULAR"


def variant_shown(stored: str | None) -> str:
    """The variant of a stored list; of one that does not say it, or of none, the control's."""
    return Variant.TREATMENT if stored == Variant.TREATMENT else Variant.CONTROL
