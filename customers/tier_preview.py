"""What a policy would have made of a month that has been run: who would move from which tier to which.

It decides from the inputs that the month's decisions were made from and from where customers stood before, and writes
nothing. Of a large bank it takes a sample of a stated size, because a request may not run for minutes. The sample is
those whose id ends in a small number; ids end in chance, so it is as good as drawn, and the same each time.
"""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import and_, func
from sqlalchemy import select as sql_select
from sqlmodel import col, select

from core.days import months_before
from core.db import Session, table_of
from core.errors import Refusal
from customers.profiles import Customer
from customers.tier_policies import TierPolicy
from customers.tier_policy import TierDefinition
from customers.tier_records import TierDecision, TierRun
from customers.tier_rules import State, decide, inputs_of_row
from graph.eligibility import TIERS, Tier

LARGEST_SAMPLE = 20_000
DIGITS = 4
PLACES = 16**DIGITS
PAGE = 2_000


class TierMonthNotRun(Refusal):
    code = "TIER_MONTH_NOT_RUN"
    en = "Tiers have not been decided for this month."
    zh = "该月尚未完成分层。"


class TierPreviewImpossible(Refusal):
    code = "TIER_PREVIEW_IMPOSSIBLE"
    en = "What was kept of the month was summed by another currency or other months: this cannot be tried on it."
    zh = "该月保存的数据按其他币种或沿用月数汇总，无法据此试算。"


@dataclass(frozen=True, slots=True)
class Preview:
    """The moves, by tier as it was decided and as it would be; watches of both; and how many of how many were asked."""

    month: date
    customers: int
    sampled: int
    moves: dict[tuple[Tier, Tier], int]
    on_watch_before: int
    on_watch_after: int
    capped: int


async def preview_policy(
    session: Session, definition: TierDefinition, month: date | None = None, *, largest: int = LARGEST_SAMPLE
) -> Preview:
    """Try a policy on a month, the last one run by default; raises TierMonthNotRun, TierPreviewImpossible."""
    run = await finished_run(session, month)
    decided_by = (await session.get_one(TierPolicy, run.policy_id)).parsed()
    for name in ("currency", "carry_months"):
        # The inputs that are tried were summed by these; anything else of a policy only weighs them.
        if getattr(definition, name) != getattr(decided_by, name):
            raise TierPreviewImpossible(path=("definition", name))
    cut = PLACES if run.decided <= largest else max(1, PLACES * largest // run.decided)
    moves: Counter[tuple[Tier, Tier]] = Counter()
    watched = [0, 0]
    capped = 0
    async for row in sampled(session, run.month, cut):
        found = decide(definition, state_before(row), inputs_of_row(row))
        moves[TIERS[row.tier], found.tier] += 1
        watched[0] += row.misses > 0 and row.tier == row.standing
        watched[1] += found.on_watch
        capped += found.cap is not None
    return Preview(run.month, run.decided, moves.total(), dict(moves), watched[0], watched[1], capped)


async def finished_run(session: Session, month: date | None) -> TierRun:
    """The run of the month, or the last one that is done."""
    statement = select(TierRun).where(col(TierRun.closed_at).is_not(None)).order_by(col(TierRun.month).desc())
    if month is not None:
        statement = statement.where(TierRun.month == month.replace(day=1))
    found = (await session.exec(statement.limit(1))).first()
    if found is None:
        raise TierMonthNotRun(path=("month",))
    return found


async def sampled(session: Session, month: date, cut: int) -> AsyncIterator[Any]:
    """The month's decisions of the sample, each with what the month before left, page by page."""
    now, before = table_of(TierDecision).alias("now"), table_of(TierDecision).alias("before")
    names = ("standing", "misses", "best")
    earlier = and_(before.c.customer_id == now.c.customer_id, before.c.month == months_before(month, 1))
    columns = (*now.c, *(before.c[name].label(f"{name}_before") for name in names))
    customer = table_of(Customer).c.id
    after = ""
    while True:
        chosen = sql_select(customer).where(customer > after, is_chosen(customer, cut)).order_by(customer).limit(PAGE)
        connection = await session.connection()
        ids = [str(row.id) for row in (await connection.execute(chosen)).all()]
        if not ids:
            return
        rows = sql_select(*columns).select_from(now.outerjoin(before, earlier))
        mine = rows.where(now.c.customer_id.in_(ids), now.c.month == month)
        for row in (await connection.execute(mine)).all():
            yield row
        after = ids[-1]


def is_chosen(customer: Any, cut: int) -> Any:
    """Whether the last hexadecimal digits of an id are below the cut, compared as text."""
    if cut >= PLACES:
        return customer.is_not(None)
    return func.substr(customer, func.length(customer) - DIGITS + 1) < f"{cut:0{DIGITS}x}"


def state_before(row: Any) -> State | None:
    if row.standing_before is None:
        return None
    return State(TIERS[row.standing_before], row.misses_before, TIERS[row.best_before])
