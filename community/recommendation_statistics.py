"""What a community's managers learn of how it is recommended: how many people, why, by which policy, and no names.

Numbers of fewer than five people are not told, and neither is what would let them be computed from the others.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TypeVar

from sqlalchemy import select as sql_select

from community.access import MANAGERS
from community.recommendation_exposures import RecommendationCount, day_of
from core.db import Session, table_of
from core.errors import BadUserInput, NotFound
from graph.client import GraphClient

SMALLEST_COUNT = 5
LONGEST_SPAN = timedelta(days=366)
USUAL_SPAN = timedelta(days=29)
FIGURES = ("shown", "opened", "joined")


class StatisticsSpanInvalid(BadUserInput):
    code = "RECOMMENDATION_SPAN_INVALID"
    en = "The days end after they begin, and are no more than 366."
    zh = "起止日期无效：结束日期不得早于开始日期，且最长366天。"


@dataclass(frozen=True, slots=True)
class Figures:
    """How many people, each once a day; None: too few to be told."""

    shown: int | None
    opened: int | None
    joined: int | None


@dataclass(frozen=True, slots=True)
class RecommendationFigures:
    """A community's figures over some days, both ends included, in all and in parts."""

    since: date
    until: date
    total: Figures
    days: Mapping[date, Figures]
    variants: Mapping[str, Figures]
    reasons: Mapping[str, Figures]


MANAGED = """
MATCH (c:Community {id: $community_id})
OPTIONAL MATCH (me:Customer {id: $manager_id})
OPTIONAL MATCH (me)-[m:MEMBER_OF]->(c)
RETURN coalesce(m.role, '') IN $managers AS manages
"""


async def check_manages(graph: GraphClient, community_id: str, manager_id: str, *, is_administrator: bool) -> None:
    """Raise NotFound unless there is such a community, and the customer manages it or administrates all."""
    rows = await graph.read(MANAGED, community_id=community_id, manager_id=manager_id, managers=list(MANAGERS))
    if not rows or not (is_administrator or rows[0]["manages"]):
        raise NotFound(path=("communityId",))


def span_of(since: date | None, until: date | None, *, now: datetime) -> tuple[date, date]:
    """The first and last day asked for, the last 30 by default; raises StatisticsSpanInvalid."""
    last = until or day_of(now)
    first = since or last - min(USUAL_SPAN, last - date.min)
    if first > last or last - first > LONGEST_SPAN:
        raise StatisticsSpanInvalid(path=("until",))
    return first, last


async def recommendation_statistics(
    session: Session, community_id: str, *, since: date, until: date
) -> RecommendationFigures:
    """The figures of a community on these days; who may see them is asked before."""
    table = table_of(RecommendationCount).c
    counted = sql_select(*table).where(table.community_id == community_id, table.day >= since, table.day <= until)
    rows = (await (await session.connection()).execute(counted)).all()
    numbers = [tuple(int(getattr(row, name)) for name in FIGURES) for row in rows]
    sums = [sum(part) for part in zip(*numbers, strict=True)] if numbers else [0, 0, 0]
    return RecommendationFigures(
        since=since,
        until=until,
        total=Figures(*(told[0] for told in (veiled([one]) for one in sums))),
        days=parts([row.day for row in rows], numbers),
        variants=parts([row.variant for row in rows], numbers),
        reasons=parts([row.reason for row in rows], numbers),
    )


NameT = TypeVar("NameT", str, date)


def parts(names: Sequence[NameT], numbers: Sequence[tuple[int, ...]]) -> dict[NameT, Figures]:
    """The figures by a name of the rows, in the order of the names, as far as they are told."""
    sums: dict[NameT, list[int]] = defaultdict(lambda: [0] * len(FIGURES))
    for name, row in zip(names, numbers, strict=True):
        sums[name] = [one + other for one, other in zip(sums[name], row, strict=True)]
    order = sorted(sums)
    columns = [veiled([sums[name][place] for name in order]) for place in range(len(FIGURES))]
    return {name: Figures(*(column[number] for column in columns)) for number, name in enumerate(order)}


def veiled(counts: Sequence[int]) -> list[int | None]:
    """The counts without those from 1 to 4, and without so many more that what is hidden is at least five people in two
    of them: else the total would tell it. Nobody is a number like others.
    """
    hidden = {place for place, count in enumerate(counts) if 0 < count < SMALLEST_COUNT}
    others = sorted((count, place) for place, count in enumerate(counts) if count >= SMALLEST_COUNT)
    while hidden and others and (len(hidden) < 2 or sum(counts[place] for place in hidden) < SMALLEST_COUNT):
        hidden.add(others.pop(0)[1])
    return [None if place in hidden else count for place, count in enumerate(counts)]
