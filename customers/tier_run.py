"""The monthly run of tiers: month after month, each by ranges of customers, each range in one transaction.

The row of a month says how far its run has come, and is changed with each range. So a run that is killed goes on where
it stopped, two at once take turns, and one that is done again finds nothing to do. What a range owes the graph is owed
with it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, cast, func, insert, literal
from sqlalchemy import select as sql_select
from sqlmodel import col, select

from core import outbox
from core.clock import as_utc
from core.days import day_of, months_before, next_month, start_of_day, start_of_month
from core.db import Instant, Session, insert_into, insert_once, table_of
from core.errors import Refusal
from core.facts import OWN_SOURCE
from core.ids import derived_id
from customers.records import MonthlyBalance
from customers.tier_inputs import (
    ASSETS,
    CONTRIBUTION,
    MONTHS,
    Range,
    customers_after,
    inputs_of,
    question_of,
    stale_after_days,
)
from customers.tier_policies import TierPolicy, active_policy
from customers.tier_policy import TierDefinition
from customers.tier_records import TierCause, TierDecision, TierRun
from customers.tier_reviews import CapChange, follow_caps
from customers.tier_rules import RANK, Decision, Inputs, TierRule, decide, state_of
from customers.tier_standing import (
    TIER_PROJECTED,
    Cause,
    Standing,
    lock_standings,
    put_standings,
    record_changes,
    rises,
    settle_ended_override,
    settle_shown,
)
from graph.eligibility import Tier
from segments.tiering import CustomerTier
from segments.traits import CustomerTrait

# So many customers are decided in one transaction.
BATCH = 2_000
# So many months that were missed are begun by one request.
MOST_MISSED = 60
# For so long after a range a run counts as being at work.
LONGEST_BATCH = timedelta(minutes=2)
# The row of a decision, as far as the next month goes by it.
Before = Any


class TierMonthNotOver(Refusal):
    code = "TIER_MONTH_NOT_OVER"
    en = "This month is not over yet."
    zh = "该月尚未结束。"


class TierMonthBeforeFirst(Refusal):
    code = "TIER_MONTH_BEFORE_FIRST"
    en = "Tiers were first decided for a later month."
    zh = "首次分层的月份晚于该月。"


async def open_months(session: Session, *, until: date, zone: str, now: datetime) -> TierRun:
    """Begin the run of a month and of those before it that were missed; the row of the month as it is by now.

    All of them decide by the policy that is active now. The first month ever run has none before it. Raises
    TierMonthNotOver, TierMonthBeforeFirst.
    """
    until = start_of_month(until)
    if end_of_month(until, zone) > now:
        raise TierMonthNotOver(path=("month",))
    first, last = await first_and_last(session)
    if first is not None and until < first:
        raise TierMonthBeforeFirst(path=("month",))
    month = until if last is None else min(until, next_month(last))
    rows: list[dict[str, Any]] = []
    policy = await active_policy(session)
    while month <= until and len(rows) < MOST_MISSED:
        rows.append(new_run(month, policy, zone, now=now))
        month = next_month(month)
    await insert_once(session, TierRun, rows, "month")
    return await session.get_one(TierRun, rows[-1]["month"], populate_existing=True)


def end_of_month(month: date, zone: str) -> datetime:
    """The instant at which a month is over, exclusive."""
    return start_of_day(next_month(month), zone)


def new_run(month: date, policy: TierPolicy, zone: str, *, now: datetime) -> dict[str, Any]:
    counts = dict.fromkeys(("batches", "customers", "decided", "rises", "falls", "on_watch", "capped"), 0)
    ends_at = end_of_month(month, zone)
    return {"month": month, "policy_id": policy.id, "ends_at": ends_at, "cursor": "", "opened_at": now, **counts}


async def first_and_last(session: Session) -> tuple[date | None, date | None]:
    """The first and the last month that was ever begun."""
    statement: Any = select(func.min(TierRun.month), func.max(TierRun.month))
    first, last = (await session.exec(statement)).one()
    return first, last


async def due_month(session: Session, *, zone: str, now: datetime) -> date | None:
    """The last month that is over for so many days as the policy waits for balances, where it has not been begun."""
    policy = (await active_policy(session)).parsed()
    month = months_before(start_of_month(day_of(now - timedelta(days=policy.run_after_days), zone)), 1)
    _, last = await first_and_last(session)
    return None if last is not None and last >= month else month


async def earliest_open(session: Session) -> TierRun | None:
    statement = select(TierRun).where(col(TierRun.closed_at).is_(None)).order_by(col(TierRun.month))
    return (await session.exec(statement.limit(1))).first()


async def has_work(session: Session, *, zone: str, now: datetime) -> bool:
    """Whether there is a month to run that nobody is at."""
    found = await earliest_open(session)
    if found is not None:
        return found.busy_until is None or as_utc(found.busy_until) <= now
    return await due_month(session, zone=zone, now=now) is not None


@dataclass(frozen=True, slots=True)
class Step:
    """What one transaction of a run did: how many customers it saw, if they were the last, what the graph is owed."""

    month: date
    customers: int
    is_closed: bool
    effect: str | None = None


async def run_some(session: Session, *, zone: str, now: datetime, batch: int = BATCH) -> Step | None:
    """Decide the next range of the earliest month that is open; None where none is.

    The row of the month is locked first, so that others wait for the range and take the next one.
    """
    found = await earliest_open(session)
    if found is None:
        return None
    statement = select(TierRun).where(TierRun.month == found.month).with_for_update()
    run = (await session.exec(statement.execution_options(populate_existing=True))).one()
    if run.closed_at is not None:
        return Step(run.month, 0, is_closed=False)
    customers = await customers_after(session, run.cursor, limit=batch)
    effect = None
    if customers:
        range = Range(run.cursor, customers[-1][0])
        effect = await decide_range(session, run, customers, range, zone=zone, now=now)
        run.cursor = range.last
    run.batches += 1
    run.customers += len(customers)
    run.busy_until = now + LONGEST_BATCH
    if len(customers) < batch:
        run.closed_at, run.busy_until = now, None
    await session.flush()
    return Step(run.month, len(customers), run.closed_at is not None, effect)


async def decide_range(
    session: Session,
    run: TierRun,
    customers: Sequence[tuple[str, datetime | None]],
    range: Range,
    *,
    zone: str,
    now: datetime,
) -> str | None:
    """Decide a range and write what follows; returns the key of the effect that the graph is owed."""
    policy = (await session.get_one(TierPolicy, run.policy_id)).parsed()
    question = question_of(policy, run.month, run.ends_at, zone, await stale_after_days(session))
    inputs = await inputs_of(session, question, customers, range)
    before = await decisions_of(session, months_before(run.month, 1), range)
    decisions = {id: decide(policy, state_of(before.get(id)), found) for id, found in inputs.items()}
    kept = {id: one for id, one in decisions.items() if id in before or is_worth_keeping(one, inputs[id])}
    await insert_decisions(session, run.month, inputs, kept)
    await put_traits(session, policy, run, range, now=now)
    count(run, before, kept)
    # Those of whom nothing is known have no decision, and may have had a tier in a month that was told wrongly.
    changed = await change_standings(session, run, policy, before, inputs, decisions, range, now=now)
    if not changed:
        return None
    key = f"{run.month.isoformat()[:7]}:{range.last}"
    await outbox.owe_all(session, topic=TIER_PROJECTED, payloads={key: {"customer_ids": changed}}, now=now)
    return derived_id("outbox", TIER_PROJECTED, key)


def is_worth_keeping(decision: Decision, inputs: Inputs) -> bool:
    return not inputs.says_nothing or decision.standing != Tier.MASS


async def decisions_of(session: Session, month: date, range: Range) -> dict[str, Any]:
    """What a month decided of the customers of a range, as far as the next one goes by it."""
    table = table_of(TierDecision).c
    statement = sql_select(table.customer_id, table.standing, table.misses, table.best).where(
        range.has(table.customer_id), table.month == month
    )
    connection = await session.connection()
    return {row.customer_id: row for row in (await connection.execute(statement)).all()}


def row_of(customer_id: str, month: date, inputs: Inputs, decision: Decision) -> dict[str, Any]:
    return {
        "customer_id": customer_id,
        "month": month,
        "assets": inputs.assets,
        "contribution": inputs.contribution,
        "potential": inputs.potential,
        "tenure": inputs.tenure,
        "risk": inputs.risk,
        "carried": inputs.carried,
        "marks": int(inputs.marks),
        "score": decision.score,
        "earned": RANK[decision.earned],
        "standing": RANK[decision.standing],
        "tier": RANK[decision.tier],
        "misses": decision.misses,
        "best": RANK[decision.best],
        "rule": decision.rule,
    }


async def insert_decisions(
    session: Session, month: date, inputs: Mapping[str, Inputs], decisions: Mapping[str, Decision]
) -> None:
    if decisions:
        rows = [row_of(id, month, inputs[id], decision) for id, decision in decisions.items()]
        connection = await session.connection()
        await connection.execute(insert(table_of(TierDecision)), rows)


def count(run: TierRun, before: Mapping[str, Before], decisions: Mapping[str, Decision]) -> None:
    """Add a range to the figures of its month."""
    rules = Counter(one.rule for one in decisions.values())
    run.decided += len(decisions)
    run.rises += rules[TierRule.RISE]
    run.falls += rules[TierRule.FALL]
    run.on_watch += sum(one.on_watch for one in decisions.values())
    run.capped += sum(one.cap is not None for one in decisions.values())


async def put_traits(session: Session, policy: TierDefinition, run: TierRun, range: Range, *, now: datetime) -> None:
    """Write the assets and the contribution of those who have a balance of the month, where nothing newer is known."""
    table = table_of(MonthlyBalance).c
    mine = range.has(table.customer_id), table.currency == policy.currency, table.month <= run.month
    of_month = sql_select(table.customer_id).where(*mine, table.month == run.month)
    for name, since in ((ASSETS, run.month), (CONTRIBUTION, months_before(run.month, MONTHS - 1))):
        column = table.average if name == ASSETS else table.contribution
        found = sql_select(
            table.customer_id,
            literal(name),
            literal(""),
            cast(func.sum(column), BigInteger),
            literal(OWN_SOURCE),
            literal(as_utc(run.ends_at), Instant()),
            literal(now, Instant()),
        ).where(*mine, table.month >= since, table.customer_id.in_(of_month))
        await insert_traits(session, found.group_by(table.customer_id))


async def insert_traits(session: Session, found: Any) -> None:
    columns = ["customer_id", "name", "item", "number", "source", "observed_at", "recorded_at"]
    statement = insert_into(session, CustomerTrait).from_select(columns, found)
    trait = table_of(CustomerTrait).c
    newer = statement.on_conflict_do_update(
        index_elements=["customer_id", "name", "item"],
        set_={name: statement.excluded[name] for name in columns[3:]} | {"legal_basis": None},
        where=statement.excluded.observed_at > trait.observed_at,
    )
    connection = await session.connection()
    await connection.execute(newer)


async def change_standings(
    session: Session,
    run: TierRun,
    policy: TierDefinition,
    before: Mapping[str, Before],
    inputs: Mapping[str, Inputs],
    decisions: Mapping[str, Decision],
    range: Range,
    *,
    now: datetime,
) -> list[str]:
    """Bring the shown tiers up to date where they differ, and follow the caps; returns whose tiers did."""
    table = table_of(CustomerTier).c
    statement = sql_select(table.customer_id, table.computed_tier, table.computed_watch, table.cap)
    connection = await session.connection()
    rows = (await connection.execute(statement.where(range.has(table.customer_id)))).all()
    known = {row.customer_id: (row.computed_tier, bool(row.computed_watch), row.cap) for row in rows}
    nothing = (Tier.MASS, False, None)
    differing = [id for id, one in decisions.items() if known.get(id, nothing) != (one.tier, one.on_watch, one.cap)]
    if not differing:
        return []
    standings = await lock_standings(session, differing, now=now)
    changes: list[dict[str, Any]] = []
    for id, row in standings.items():
        changes += settle_decision(row, before.get(id), decisions[id], run, now, policy.overrides_beat_risk)
    await put_standings(session, standings.values())
    await record_changes(session, changes, now=now)
    caps = [CapChange(id, known.get(id, nothing)[2], decisions[id].cap, inputs[id].risk) for id in standings]
    key = f"month:{run.month.isoformat()[:7]}"
    await follow_caps(session, caps, key, month=run.month, days=policy.review_days, now=now)
    return sorted({change["customer_id"] for change in changes})


def settle_decision(
    row: Standing, before: Before | None, decision: Decision, run: TierRun, now: datetime, beats_risk: bool
) -> list[dict[str, Any]]:
    """Put a decision on a customer's standing; the changes of the tier that is shown."""
    ended = settle_ended_override(row, now, beats_risk=beats_risk)
    row.computed_tier, row.computed_watch = decision.tier, decision.on_watch
    row.cap, row.month, row.policy_id = decision.cap, run.month, run.policy_id
    is_rise, is_overridden = rises(row, now, beats_risk=beats_risk), row.is_overridden(now)
    cause = cause_of(before, decision, is_rise=is_rise, is_overridden=is_overridden)
    why = Cause(f"month:{run.month.isoformat()[:7]}", cause, run.month)
    change = settle_shown(row, why, now, beats_risk=beats_risk)
    return [one for one in (ended, change) if one]


def cause_of(before: Before | None, decision: Decision, *, is_rise: bool, is_overridden: bool) -> TierCause:
    """Why a month changes the tier that is shown: the cap where that decides, and else where the customer stands.

    Beneath an override only the cap can show.
    """
    if is_overridden:
        return TierCause.RISK_LIFTED if is_rise else TierCause.RISK_CAP
    if not is_rise:
        return TierCause.FALL if decision.tier == decision.standing else TierCause.RISK_CAP
    if before is None:
        return TierCause.FIRST
    return TierCause.RISE if RANK[decision.standing] > before.standing else TierCause.RISK_LIFTED
