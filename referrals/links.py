"""Referral links: a click is recorded on the server before the redirect."""

import re
from datetime import datetime

from sqlmodel import Field

from core.db import Record, Session, instant
from core.ids import new_id
from referrals.codes import ReferralCode

CHANNEL = re.compile(r"[a-z0-9-]{1,32}")
# Programs that fetch a link to draw its preview; their clicks are kept, marked, and attribute nothing.
PREVIEWS = re.compile(r"bot|crawl|spider|preview|facebookexternalhit|slurp|curl|wget|python-|go-http", re.IGNORECASE)


class ReferralClick(Record, table=True):
    """One opening of a link, by which channel it was shared, and whether a robot did it."""

    id: str = Field(primary_key=True)
    code_id: str = Field(foreign_key="referral_code.id", index=True)
    channel: str
    is_robot: bool
    clicked_at: datetime = instant()


async def record_click(
    session: Session, code: ReferralCode, *, channel: str | None, user_agent: str, is_head: bool, now: datetime
) -> ReferralClick:
    """Keep the click; a channel that is not a plain word counts as `other`."""
    plain = channel.lower() if channel else "direct"
    click = ReferralClick(
        id=new_id(),
        code_id=code.id,
        channel=plain if CHANNEL.fullmatch(plain) else "other",
        is_robot=is_head or not user_agent or bool(PREVIEWS.search(user_agent)),
        clicked_at=now,
    )
    session.add(click)
    await session.flush()
    return click
