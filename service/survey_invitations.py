"""Who is invited to a survey: after a fact of theirs, once for what it is about, and not again for a while.

That while is kept by one statement on the row of each customer, which says itself whether enough time has passed.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import col, select

from core.db import Session, insert_new
from core.facts import Fact
from core.ids import derived_id
from core.messages import MESSAGE_OWED, MessageCategory, message
from core.outbox import owe_all
from service.service_standings import pass_invitations
from service.survey_policies import AskedAfter, SurveyDefinition, active_survey_policy
from service.survey_rows import OCCASIONS, Survey
from service.survey_words import TEMPLATES


@dataclass(frozen=True, slots=True)
class Occasion:
    """A fact after which somebody is asked, what they are asked, and what it is about."""

    fact: Fact
    asked: AskedAfter
    subject: str

    @property
    def id(self) -> str:
        return derived_id("survey", self.fact.customer_id, self.asked.occasion, self.subject)


async def invite(session: Session, facts: Sequence[Fact], *, now: datetime) -> list[str]:
    """Invite after these facts whoever may be; returns the ids of the new surveys, whose messages are owed."""
    if not any(fact.kind in OCCASIONS for fact in facts):
        return []
    policy = await active_survey_policy(session)
    definition = policy.parsed()
    found = await unasked(session, occasions_of(definition, facts, now))
    quiet = timedelta(days=definition.quiet_days)
    passed = await pass_invitations(session, list(found), quiet=quiet, now=now)
    expires_at = now + timedelta(days=definition.expires_days)
    rows = [row_of(one, policy.id, now, expires_at) for customer, one in found.items() if customer in passed]
    new = set(await insert_new(session, Survey, rows))
    payloads = {
        f"survey:{one.id}": message(
            MessageCategory.SURVEY,
            customer_id=one.fact.customer_id,
            template=TEMPLATES[one.asked.occasion],
            subject=one.id,
            expires_at=expires_at,
        )
        for one in found.values()
        if one.id in new
    }
    await owe_all(session, topic=MESSAGE_OWED, payloads=payloads, now=now, hint=True)
    return sorted(new)


def occasions_of(definition: SurveyDefinition, facts: Sequence[Fact], now: datetime) -> list[Occasion]:
    """What is asked after these facts, in the order in which they happened; what is too old is not asked about."""
    found: list[Occasion] = []
    for fact in sorted(facts, key=lambda fact: (fact.occurred_at, fact.id)):
        if fact.kind not in OCCASIONS or now - fact.occurred_at > timedelta(days=definition.latest_days):
            continue
        occasion, field = OCCASIONS[fact.kind]
        asked, subject = definition.after(occasion), fact.payload.get(field)
        if asked is not None and isinstance(subject, str) and 0 < len(subject) <= 200:
            one = Occasion(fact, asked, subject)
            found += [one] if is_sampled(one.id, asked.percent) else []
    return found


def is_sampled(survey_id: str, percent: int) -> bool:
    """Whether this survey is among so many of a hundred; the same one always is or never."""
    return int.from_bytes(hashlib.sha256(survey_id.encode()).digest()[:4]) % 100 < percent


async def unasked(session: Session, occasions: Sequence[Occasion]) -> Mapping[str, Occasion]:
    """The first occasion of each customer about which they were not asked yet."""
    ids = sorted({one.id for one in occasions})
    known = set((await session.exec(select(Survey.id).where(col(Survey.id).in_(ids)))).all()) if ids else set[str]()
    found: dict[str, Occasion] = {}
    for one in occasions:
        if one.id not in known:
            found.setdefault(one.fact.customer_id, one)
    return found


def row_of(one: Occasion, policy_id: str, now: datetime, expires_at: datetime) -> dict[str, Any]:
    community = one.fact.payload.get("community_id")
    return {
        "id": one.id,
        "customer_id": one.fact.customer_id,
        "occasion": one.asked.occasion,
        "subject": one.subject,
        "kind": one.asked.kind,
        "policy_id": policy_id,
        "community_id": community if isinstance(community, str) else None,
        "invited_at": now,
        "expires_at": expires_at,
    }
