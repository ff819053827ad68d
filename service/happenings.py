"""What happened to customers as the service sees it: facts after which it looks for breaks, or asks how it was."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from core.db import Session
from core.fact_kinds import SURVEY_SUBMITTED
from core.facts import Fact
from core.outbox import owe_all
from service.break_looks import NEWS, find_breaks
from service.break_rules import watched_kinds
from service.survey_invitations import invite
from service.survey_policies import LATEST_DAYS
from service.survey_rows import OCCASIONS

# A fact at which the service is to look; it has a transaction of its own, so that points never wait for surveys.
SERVICE_LOOK = "service.look"


async def owe_service_looks(session: Session, facts: Sequence[Fact], *, now: datetime) -> None:
    """Owe a look at those of these facts of which something may follow, once for each; history owes nothing."""
    news = [fact for fact in facts if now - fact.occurred_at < NEWS]
    watched = await watched_kinds(session) if news else set[str]()
    payloads: dict[str, dict[str, Any]] = {
        fact.id: {"fact_id": fact.id, "customer_id": fact.customer_id}
        for fact in news
        if fact.kind in watched or fact.kind == SURVEY_SUBMITTED or is_occasion(fact, now)
    }
    await owe_all(session, topic=SERVICE_LOOK, payloads=payloads, now=now, hint=True)


def is_occasion(fact: Fact, now: datetime) -> bool:
    """Whether some policy may ask after a fact."""
    return fact.kind in OCCASIONS and now - fact.occurred_at <= timedelta(days=LATEST_DAYS)


async def look_at(session: Session, facts: Sequence[Fact], *, now: datetime) -> None:
    """Find the breaks that these facts make, and invite to surveys after them; done again, it does nothing."""
    await find_breaks(session, facts, now=now)
    await invite(session, facts, now=now)
