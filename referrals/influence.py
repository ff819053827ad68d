"""Influence: who stands behind how many qualified referrals, directly or through others, by a job of the worker.

influence(c) = sum over c's descendants d whose referral is qualified of DECAY^(depth of d below c - 1), to a depth of
20. The sums are counts of whole descendants by depth, so that order of adding and machine change nothing.
"""

from array import array
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from sqlalchemy import Float, delete, insert
from sqlmodel import Field, col, select

from core.db import Database, Record, Session, instant, table_of
from core.paging import Page, Place, cut, held_in, in_order, page_size, position_at
from referrals.attribution import Referral, ReferralStatus
from referrals.programs import ProgramStatus, ReferralProgram
from referrals.tree import DECAY

DEEPEST = 20
# So many are kept of each ranking, and so many conversions are read at once.
MOST_RANKED = 1_000
PAGE = 10_000


class ReferralInfluence(Record, table=True):
    """A place in a programme's ranking, as of when it was computed."""

    program_id: str = Field(primary_key=True, foreign_key="referral_program.id")
    rank: int = Field(primary_key=True)
    customer_id: str
    influence: float = Field(sa_type=Float)
    descendants: int
    computed_at: datetime = instant()


@dataclass(frozen=True, slots=True)
class Influence:
    """Somebody's influence, and the number of qualified descendants that it is made of."""

    customer_id: str
    influence: float
    descendants: int


async def rank_influence(database: Database, *, now: datetime) -> int:
    """Compute the ranking of every programme that was ever active; returns how many there were."""
    async with database.read() as session:
        statement = select(ReferralProgram.id).where(ReferralProgram.status != ProgramStatus.DRAFT)
        programs = (await session.exec(statement.order_by(col(ReferralProgram.id)))).all()
    for program_id in programs:
        edges = Edges()
        async with database.read() as session:
            async for page in conversions(session, program_id):
                edges.add(page)
        async with database.write() as session:
            await keep_ranking(session, program_id, edges.ranking(MOST_RANKED), now=now)
    return len(programs)


async def conversions(session: Session, program_id: str) -> AsyncGenerator[Sequence[tuple[str, str, str]], None]:
    """All conversions of a programme in pages: referrer, referee, status."""
    last = ""
    while True:
        statement = select(Referral.referrer_id, Referral.referee_id, Referral.status).where(
            Referral.program_id == program_id, Referral.referee_id > last
        )
        rows = (await session.exec(statement.order_by(col(Referral.referee_id)).limit(PAGE))).all()
        if rows:
            yield rows
            last = rows[-1][1]
        if len(rows) < PAGE:
            return


class Edges:
    """Conversions as they are read, nine bytes each, beside the people's ids."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._referrers = array("i")
        self._referees = array("i")
        self._qualified = array("b")

    def add(self, rows: Sequence[tuple[str, str, str]]) -> None:
        for referrer, referee, status in rows:
            self._referrers.append(self._numbers.setdefault(referrer, len(self._numbers)))
            self._referees.append(self._numbers.setdefault(referee, len(self._numbers)))
            self._qualified.append(status == ReferralStatus.QUALIFIED)

    def ranking(self, limit: int) -> list[Influence]:
        """The most influential, ties by id; nobody without a qualified descendant."""
        if not self._numbers:
            return []
        size = len(self._numbers)
        referrers, referees = (np.frombuffer(one, dtype=np.int32) for one in (self._referrers, self._referees))
        below = csr_array(coo_array((np.ones(len(referrers), dtype=np.int64), (referrers, referees)), (size, size)))
        at_depth: NDArray[np.int64] = np.zeros(size, dtype=np.int64)
        at_depth[referees] = np.frombuffer(self._qualified, dtype=np.int8)
        influence, descendants = np.zeros(size), np.zeros(size, dtype=np.int64)
        for depth in range(1, DEEPEST + 1):
            at_depth = below @ at_depth
            if not at_depth.any():
                break
            influence += at_depth * DECAY ** (depth - 1)
            descendants += at_depth
        ids = list(self._numbers)
        ordered = sorted(np.flatnonzero(descendants), key=lambda number: (-influence[number], ids[number]))
        return [Influence(ids[n], float(influence[n]), int(descendants[n])) for n in ordered[:limit]]


async def keep_ranking(session: Session, program_id: str, ranking: Sequence[Influence], *, now: datetime) -> None:
    """Put a ranking in the place of the one before."""
    await session.exec(delete(ReferralInfluence).where(col(ReferralInfluence.program_id) == program_id))
    rows: list[dict[str, Any]] = [
        {
            "program_id": program_id,
            "rank": rank,
            "customer_id": one.customer_id,
            "influence": one.influence,
            "descendants": one.descendants,
            "computed_at": now,
        }
        for rank, one in enumerate(ranking, 1)
    ]
    if rows:
        await session.exec(insert(table_of(ReferralInfluence)), params=rows)


async def influence_page(
    session: Session, program_id: str, *, first: int | None, after: Place
) -> Page[ReferralInfluence]:
    """One page of the ranking that was computed last."""
    size, position = page_size(first), position_at(after, int)
    mark = None if position is None else [held_in(32, position[0])]
    statement = select(ReferralInfluence).where(ReferralInfluence.program_id == program_id)
    page = in_order(statement, col(ReferralInfluence.rank), size=size, place=after, position=mark)
    return cut((await session.exec(page)).all(), size, lambda row: (row.rank,), after)
