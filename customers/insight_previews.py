"""What a policy would raise today: counted over a sample of customers, by the same looks as the daily ones."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func
from sqlmodel import col, select

from core.days import day_of
from core.db import Session
from customers.alert_looks import AlertPolicy, look_at
from customers.alert_reads import Who, span_of
from customers.alert_rules import ConditionMet, subject_of
from customers.alerts import AlertGuard, Finding
from customers.need_looks import NeedPolicy, suspect
from customers.profiles import Customer, is_present

# Ids are spread evenly, so that the customers behind four places among them are as good as any.
PLACES = ("", "4", "8", "c")
AT_EACH_PLACE = 500


@dataclass(frozen=True, slots=True)
class Preview:
    """How much would be raised, by cause or need, for so many of all customers."""

    counts: dict[str, int]
    looked_at: int
    customers: int


async def preview_alerts(session: Session, policy: AlertPolicy, *, now: datetime) -> Preview:
    """The alerts of a daily look of now, less those that earlier alerts keep off."""
    zone = policy.definition.time_zone
    span = span_of(day_of(now, zone), zone=zone, now=now)

    async def find(who: Who) -> Iterable[str]:
        found = await look_at(session, who, policy, span)
        return [name_of(one) for one in await not_kept_off(session, found, policy.terms.repeat_days, now=now)]

    return await sampled(session, find)


def name_of(found: Finding) -> str:
    """The cause, with the key of a condition of the bank's own."""
    seen = found.seen
    return f"{seen.cause}:{seen.key}" if isinstance(seen, ConditionMet) else seen.cause.value


async def not_kept_off(
    session: Session, found: Sequence[Finding], repeat_days: int, *, now: datetime
) -> Iterable[Finding]:
    keys = {one.key: one for one in found}
    if not keys:
        return []
    statement = select(AlertGuard).where(col(AlertGuard.customer_id).in_({customer_id for customer_id, _ in keys}))
    guards = {(row.customer_id, row.cause): row for row in (await session.exec(statement)).all()}
    until = now - timedelta(days=repeat_days)
    return [
        one
        for key, one in keys.items()
        if (guard := guards.get(key)) is None or (guard.raised_at <= until and guard.subject != subject_of(one.seen))
    ]


async def preview_needs(session: Session, policy: NeedPolicy, *, now: datetime) -> Preview:
    """The needs of a daily look of now; of several rules for one need the first counts."""

    async def find(who: Who) -> Iterable[str]:
        found = await suspect(session, who, policy, now=now)
        return [need for _, need in {(one.customer_id, one.rule.need) for one in found}]

    return await sampled(session, find)


async def sampled(session: Session, find: Callable[[Who], Awaitable[Iterable[str]]]) -> Preview:
    """Count over the customers behind each place; where they are few, these are all."""
    counts, looked_at = Counter[str](), 0
    for place, following in zip(PLACES, (*PLACES[1:], "g"), strict=True):
        statement = select(Customer.id).where(Customer.id >= place, Customer.id < following, is_present())
        ids = (await session.exec(statement.order_by(col(Customer.id)).limit(AT_EACH_PLACE))).all()
        if ids:
            counts.update(await find(lambda column, ids=ids: (column >= ids[0]) & (column <= ids[-1])))
            looked_at += len(ids)
    total = (await session.exec(select(func.count()).select_from(Customer).where(is_present()))).one()
    return Preview(dict(sorted(counts.items())), looked_at, total)
