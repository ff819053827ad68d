"""Logging contacts: each is kept once, tells a fact, and moves the day of the next follow-up, but for a broadcast."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import col, select

from core.audit import record_change
from core.days import day_of
from core.db import Session, insert_once
from core.errors import BadUserInput
from core.fact_kinds import INTERACTION_LOGGED
from core.facts import LONGEST_LEAD, OWN_SOURCE, NewFact, record_facts
from core.ids import derived_id, new_id
from core.paging import Place, newest_first
from service.follow_up_definition import InteractionKind
from service.follow_ups import Told, contact, nothing_told, policy_in_use
from service.interaction_records import Direction, Interaction

LONGEST_SUMMARY = 2_000
CHANNEL = re.compile(r"[A-Z][A-Z0-9_]{1,39}")
# What is older than this is a mistake of the year, and no contact that anybody remembers.
LONGEST_BACK = timedelta(days=366)
# The summary of an interaction is sealed for this place.
SUMMARY = "interaction.summary"


class InteractionInvalid(BadUserInput):
    code = "INTERACTION_INVALID"
    en = "This interaction cannot be logged."
    zh = "互动记录无效。"


@dataclass(frozen=True, slots=True)
class NewInteraction:
    """A contact as somebody logs it; the key is theirs, by which the same one sent again is the same."""

    customer_id: str
    kind: InteractionKind
    channel: str
    direction: Direction
    occurred_at: datetime
    key: str | None = None


def check_interaction(new: NewInteraction, summary: str | None, *, now: datetime) -> None:
    """Raise InteractionInvalid with the path of the first field that cannot be."""
    if not CHANNEL.fullmatch(new.channel):
        raise InteractionInvalid(path=("channel",), detail="capital letters, digits and _, 2 to 40 characters")
    if not now - LONGEST_BACK <= new.occurred_at <= now + LONGEST_LEAD:
        raise InteractionInvalid(path=("occurredAt",), detail="within the last year, and not in the future")
    if new.kind == InteractionKind.BROADCAST and new.direction == Direction.INBOUND:
        raise InteractionInvalid(path=("direction",), detail="a broadcast is sent by the bank")
    if new.key is not None and not 1 <= len(new.key) <= 200:
        raise InteractionInvalid(path=("idempotencyKey",), detail="1 to 200 characters")
    if summary is not None and (not 1 <= len(summary.strip()) <= LONGEST_SUMMARY or "\0" in summary):
        raise InteractionInvalid(path=("summary",), detail=f"1 to {LONGEST_SUMMARY} characters, or none")


async def log_interaction(
    session: Session,
    new: NewInteraction,
    *,
    sealed_summary: str | None,
    actor: str,
    now: datetime,
    told: Told = nothing_told,
) -> Interaction:
    """Keep a contact that was checked before, and what follows from it; again by its key it returns the first.

    The customer's follow-ups are held before it is written, so that the look of the day either sees it or waits.
    """
    id = new_id() if new.key is None else derived_id("interaction", actor, new.customer_id, new.key)
    if (found := await session.get(Interaction, id)) is not None:
        return found
    policy = await policy_in_use(session, now=now)
    day = min(day_of(new.occurred_at, policy.definition.time_zone), policy.today)
    await contact(session, new.customer_id, new.kind, day, policy, told=told, actor=actor, now=now)
    row = {
        "id": id,
        "customer_id": new.customer_id,
        "kind": new.kind,
        "channel": new.channel,
        "direction": new.direction,
        "summary": sealed_summary,
        "employee_id": actor,
        "occurred_at": new.occurred_at,
        "logged_at": now,
    }
    if await insert_once(session, Interaction, row, "id"):
        await record_facts(session, [logged_fact(id, new, now)], now=now)
        await record_change(
            session, "customer", new.customer_id, "interaction_logged", actor=actor, now=now, interaction_id=id
        )
    return await session.get_one(Interaction, id, populate_existing=True)


def logged_fact(id: str, new: NewInteraction, now: datetime) -> NewFact:
    return NewFact(
        source=OWN_SOURCE,
        key=f"interaction:{id}",
        kind=INTERACTION_LOGGED,
        customer_id=new.customer_id,
        occurred_at=min(new.occurred_at, now),
        payload={"kind": new.kind, "channel": new.channel, "direction": new.direction},
    )


async def logged_interactions(session: Session, customer_id: str, *, size: int, after: Place) -> Sequence[Interaction]:
    """What was logged of a customer, the latest first, one more than the page, for whoever lays them beside others."""
    statement = select(Interaction).where(Interaction.customer_id == customer_id)
    page = newest_first(statement, col(Interaction.occurred_at), col(Interaction.id), size=size, after=after)
    return (await session.exec(page)).all()
