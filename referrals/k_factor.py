"""The K-factor: how many new customers each member of a programme brings, by cohort and by generation.

K = invitations per member x conversions per invitation, so conversions per member. A member is whoever got a code of
the programme, from that moment on; a cohort are the members of one month of UTC. Counted of each member is what came
within `window_days` times 24 hours of that moment. An invitation is an opening of one of their links by a person, or
a claim by their code that followed no link; openings by robots are none. A conversion is a claim made in that time
that is qualified by now. A generation is the distance from a root of the forest of referrals: 0 for whoever was
brought by nobody.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Index, Integer, and_, func, literal
from sqlalchemy.orm import aliased
from sqlmodel import col, exists, select

from core.db import Session, table_of
from core.errors import BadUserInput
from referrals.analytics import check_window, known_program
from referrals.attribution import Referral, ReferralStatus
from referrals.codes import ReferralCode
from referrals.links import ReferralClick
from referrals.periods import DaysLater, Month

LONGEST_DAYS = 366
# Whoever stands further from a root is counted in this generation.
LAST_GENERATION = 10

CODES = table_of(ReferralCode)
Index("ix_referral_code_created", CODES.c.program_id, CODES.c.created_at)
Index("ix_referral_code_member", CODES.c.program_id, CODES.c.customer_id, CODES.c.created_at)
Index("ix_referral_click_code", table_of(ReferralClick).c.code_id, table_of(ReferralClick).c.clicked_at)


class WindowDaysInvalid(BadUserInput):
    code = "WINDOW_DAYS_INVALID"
    en = "The number of days asked for is not valid."
    zh = "天数无效。"


@dataclass(frozen=True, slots=True)
class Spread:
    """What members of one cohort and generation brought; of a sum over several, both are None."""

    cohort: str | None
    generation: int | None
    members: int
    clicks: int
    typed_claims: int
    conversions: int

    @property
    def invitations(self) -> int:
        return self.clicks + self.typed_claims

    @property
    def invitations_per_member(self) -> float | None:
        return self.invitations / self.members if self.members else None

    @property
    def conversion_rate(self) -> float | None:
        return self.conversions / self.invitations if self.invitations else None

    @property
    def k(self) -> float | None:
        return self.conversions / self.members if self.members else None


async def k_factor(
    session: Session,
    *,
    program_id: str,
    start: datetime,
    end: datetime,
    window_days: int,
    generation: int | None,
) -> list[Spread]:
    """The spreads of members from `start` (inclusive) to `end` (exclusive) by cohort and generation.

    Raises WindowInvalid, WindowDaysInvalid, NotFound.
    """
    check_window(start, end)
    if not 1 <= window_days <= LONGEST_DAYS:
        raise WindowDaysInvalid(path=("windowDays",), detail=f"1 to {LONGEST_DAYS}")
    await known_program(session, program_id)
    rows = (await session.exec(spreads(program_id, start, end, window_days))).all()
    found = [Spread(*row) for row in rows]
    return [one for one in found if generation is None or one.generation == min(generation, LAST_GENERATION)]


def sum_of(spreads: Iterable[Spread]) -> Spread:
    parts = [(one.members, one.clicks, one.typed_claims, one.conversions) for one in spreads]
    members, clicks, typed, conversions = (sum(column) for column in zip(*parts, strict=True)) if parts else (0,) * 4
    return Spread(None, None, members, clicks, typed, conversions)


def spreads(program_id: str, start: datetime, end: datetime, days: int) -> Any:
    members = members_of(program_id, start, end)
    generations = generations_of(members, program_id)
    until = DaysLater(members.c.since, days)
    clicks = (
        select(func.count())
        .select_from(CODES)
        .join(table_of(ReferralClick), col(ReferralClick.code_id) == CODES.c.id)
        .where(CODES.c.program_id == program_id, CODES.c.customer_id == members.c.customer_id)
        .where(
            col(ReferralClick.is_robot).is_(False),
            col(ReferralClick.clicked_at) >= members.c.since,
            col(ReferralClick.clicked_at) < until,
        )
    )
    claims = (
        select(func.count())
        .select_from(table_of(Referral))
        .where(col(Referral.program_id) == program_id, col(Referral.referrer_id) == members.c.customer_id)
        .where(col(Referral.claimed_at) >= members.c.since, col(Referral.claimed_at) < until)
    )
    columns: tuple[Any, ...] = (
        Month(members.c.since).label("cohort"),
        generations.c.generation,
        clicks.scalar_subquery().label("clicks"),
        claims.where(col(Referral.click_id).is_(None)).scalar_subquery().label("typed"),
        claims.where(col(Referral.status) == ReferralStatus.QUALIFIED).scalar_subquery().label("conversions"),
    )
    joined = members.join(generations, generations.c.customer_id == members.c.customer_id)
    each = select(*columns).select_from(joined).subquery()
    sums = [func.sum(column).cast(Integer) for column in (each.c.clicks, each.c.typed, each.c.conversions)]
    grouped = select(each.c.cohort, each.c.generation, func.count(), *sums).group_by(each.c.cohort, each.c.generation)
    return grouped.order_by(each.c.cohort, each.c.generation)


def members_of(program_id: str, start: datetime, end: datetime) -> Any:
    """Whose first code of the programme was made in this span, and when."""
    older = aliased(ReferralCode)
    is_older = (col(older.created_at) < ReferralCode.created_at) | and_(
        col(older.created_at) == ReferralCode.created_at, col(older.id) < ReferralCode.id
    )
    has_older = exists().where(
        col(older.program_id) == program_id, col(older.customer_id) == ReferralCode.customer_id, is_older
    )
    statement = select(col(ReferralCode.customer_id), col(ReferralCode.created_at).label("since"))
    return statement.where(
        ReferralCode.program_id == program_id,
        ReferralCode.created_at >= start,
        ReferralCode.created_at < end,
        ~has_older,
    ).cte("members")


def generations_of(members: Any, program_id: str) -> Any:
    """How far each member stands from the root of their tree; the climb ends at the last generation."""
    up = select(members.c.customer_id, members.c.customer_id.label("above_id"), literal(0).label("height")).cte(
        "up", recursive=True
    )
    higher = (
        select(up.c.customer_id, col(Referral.referrer_id), up.c.height + 1)
        .join(table_of(Referral), col(Referral.referee_id) == up.c.above_id)
        .where(col(Referral.program_id) == program_id, up.c.height < LAST_GENERATION)
    )
    up = up.union_all(higher)
    return select(up.c.customer_id, func.max(up.c.height).label("generation")).group_by(up.c.customer_id).subquery()
