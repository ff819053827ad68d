"""The funnel of a programme: from clicks over claims and steps to rewards, by the channel of the link.

It follows a cohort: the claims that were made in the window, and what has become of them by now, so that nothing
converts above 100 %. Clicks are those made in the window itself.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, func
from sqlmodel import col, exists, select

from core.db import Session, table_of
from referrals.analytics import check_window, known_program
from referrals.attribution import Referral, ReferralStatus
from referrals.codes import ReferralCode
from referrals.links import ReferralClick
from referrals.programs import definition_of
from referrals.rewards import ReferralReward, RewardStatus
from referrals.settlement import ReferralStep

# Anybody can write any word into a link, so only so many channels are shown by themselves.
MOST_CHANNELS = 20

# Clicks are of codes, and a programme may have a hundred thousand of these.
Index("ix_referral_click_clicked", table_of(ReferralClick).c.clicked_at, table_of(ReferralClick).c.code_id)


class StageKind(StrEnum):
    """What a stage of the funnel counts; CLICKED are openings of links by people, all others referrals."""

    CLICKED = "CLICKED"
    CLAIMED = "CLAIMED"
    STEP = "STEP"
    QUALIFIED = "QUALIFIED"
    REWARDED = "REWARDED"


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage with the part of the stage before that reached it; None where there was nobody before.

    Of claims only those that came by a link are compared with clicks.
    """

    kind: StageKind
    step: str | None
    count: int
    conversion: float | None


@dataclass(slots=True)
class Tally:
    """What was counted of one channel, or of all."""

    clicks: int = 0
    robots: int = 0
    claims: int = 0
    by_link: int = 0
    rejected: int = 0
    qualified: int = 0
    rewarded: int = 0
    steps: Counter[str] = field(default_factory=Counter[str])

    def stages(self, steps: list[str]) -> list[Stage]:
        found = [
            Stage(StageKind.CLICKED, None, self.clicks, None),
            Stage(StageKind.CLAIMED, None, self.claims, part(self.by_link, self.clicks)),
        ]
        counts = [(StageKind.STEP, step, self.steps[step]) for step in steps]
        for kind, step, count in (
            *counts,
            (StageKind.QUALIFIED, None, self.qualified),
            (StageKind.REWARDED, None, self.rewarded),
        ):
            found.append(Stage(kind, step, count, part(count, found[-1].count)))
        return found


def part(count: int, of: int) -> float | None:
    return count / of if of else None


@dataclass(frozen=True, slots=True)
class Funnel:
    """A programme's funnel; a channel None are claims by a typed code, or imported ones.

    Channels are the 20 with the most claims, then clicks; `total` is of all.
    """

    steps: list[str]
    total: Tally
    channels: list[tuple[str | None, Tally]]


async def referral_funnel(
    session: Session, *, program_id: str, start: datetime, end: datetime, channel: str | None
) -> Funnel:
    """Count a window, start inclusive and end exclusive; raises WindowInvalid, NotFound. `channel`: only that one."""
    check_window(start, end)
    program = await known_program(session, program_id)
    definition = await definition_of(session, program_id, program.active_version or 1)
    tallies: dict[str | None, Tally] = defaultdict(Tally)
    await count_clicks(session, tallies, program_id, start, end)
    await count_claims(session, tallies, program_id, start, end)
    found = await count_steps(session, tallies, program_id, start, end)
    if channel is not None:
        tallies = {key: tally for key, tally in tallies.items() if key == channel}
    declared = [step.name for step in definition.steps]
    # Steps of earlier versions that the present one does not know come behind.
    older = [name for name in sorted(found, key=lambda name: (found[name], name)) if name not in declared]
    ranked = sorted(tallies.items(), key=lambda item: (-item[1].claims, -item[1].clicks, item[0] or ""))
    return Funnel(declared + older, total_of(tallies), ranked[:MOST_CHANNELS])


def total_of(tallies: Mapping[str | None, Tally]) -> Tally:
    total = Tally()
    for tally in tallies.values():
        for name in ("clicks", "robots", "claims", "by_link", "rejected", "qualified", "rewarded"):
            setattr(total, name, getattr(total, name) + getattr(tally, name))
        total.steps += tally.steps
    return total


async def count_clicks(
    session: Session, tallies: dict[str | None, Tally], program_id: str, start: datetime, end: datetime
) -> None:
    statement = (
        select(ReferralClick.channel, ReferralClick.is_robot, func.count())
        .join(ReferralCode, col(ReferralCode.id) == ReferralClick.code_id)
        .where(ReferralClick.clicked_at >= start, ReferralClick.clicked_at < end, ReferralCode.program_id == program_id)
        .group_by(col(ReferralClick.channel), col(ReferralClick.is_robot))
    )
    for channel, is_robot, count in (await session.exec(statement)).all():
        if is_robot:
            tallies[channel].robots += count
        else:
            tallies[channel].clicks += count


def cohort(program_id: str, start: datetime, end: datetime, *columns: Any) -> Any:
    """Claims of the window with the channel of their click."""
    return (
        select(ReferralClick.channel, *columns)
        .select_from(Referral)
        .join(ReferralClick, col(ReferralClick.id) == Referral.click_id, isouter=True)
        .where(Referral.program_id == program_id, Referral.claimed_at >= start, Referral.claimed_at < end)
    )


async def count_claims(
    session: Session, tallies: dict[str | None, Tally], program_id: str, start: datetime, end: datetime
) -> None:
    is_rewarded = exists().where(
        col(ReferralReward.referral_id) == Referral.id, col(ReferralReward.status) == RewardStatus.ISSUED
    )
    rewarded = is_rewarded.label("rewarded")
    inner = cohort(program_id, start, end, col(Referral.status), rewarded).subquery()
    columns = (inner.c.channel, inner.c.status, inner.c.rewarded)
    for channel, status, has_reward, count in (
        await session.exec(select(*columns, func.count()).group_by(*columns))
    ).all():
        tally = tallies[channel]
        tally.claims += count
        if channel is not None:
            tally.by_link += count
        if status == ReferralStatus.REJECTED:
            tally.rejected += count
        elif status == ReferralStatus.QUALIFIED:
            tally.qualified += count
            tally.rewarded += count if has_reward else 0


async def count_steps(
    session: Session, tallies: dict[str | None, Tally], program_id: str, start: datetime, end: datetime
) -> dict[str, int]:
    """Count the steps reached by referrals that are not rejected; returns the place of each step."""
    statement = (
        cohort(program_id, start, end, col(ReferralStep.step), func.min(ReferralStep.position), func.count())
        .join(ReferralStep, col(ReferralStep.referral_id) == Referral.id)
        .where(Referral.status != ReferralStatus.REJECTED)
        .group_by(col(ReferralClick.channel), col(ReferralStep.step))
    )
    places: dict[str, int] = {}
    rows: Sequence[tuple[str | None, str, int, int]] = (await session.exec(statement)).all()
    for channel, step, position, count in rows:
        tallies[channel].steps[step] += count
        places[step] = min(places.get(step, position), position)
    return places
