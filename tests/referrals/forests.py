"""Forests of referrals for tests of figures: drawn by hand, with what a plain model needs to know of them."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import select

from core.clock import utc_now
from core.db import Database, insert_once
from core.ids import new_id
from referrals.attribution import Referral, ReferralStatus, Standing, change_status, referral_id, take_referral
from referrals.codes import CodeStatus, ReferralCode


@dataclass
class Forest:
    """Who was referred by whom, in one programme; `edges` maps referees to their referrers."""

    program: str
    people: list[str]
    edges: dict[str, str] = field(default_factory=dict[str, str])
    claimed_at: dict[str, datetime] = field(default_factory=dict[str, datetime])


def random_forest(program: str, size: int, dice: random.Random, *, roots: int = 3, begin: datetime) -> Forest:
    """A forest in which each person but the roots was referred by somebody before them, at instants that may tie."""
    forest = Forest(program, [new_id() for _ in range(size)])
    for number in range(roots, size):
        referee = forest.people[number]
        forest.edges[referee] = dice.choice(forest.people[:number])
        forest.claimed_at[referee] = begin + timedelta(hours=dice.randrange(200))
    return forest


async def put_referrals(
    database: Database,
    forest: Forest,
    *,
    click_ids: Mapping[str, str] | None = None,
    codes: Mapping[str, str] | None = None,
    made_at: datetime | None = None,
) -> None:
    """Write the forest's conversions; with `codes` by customer, these are made at `made_at` or are there already."""
    of = codes or {referrer: new_id() for referrer in set(forest.edges.values())}
    rows: list[dict[str, Any]] = [
        {
            "id": referral_id(forest.program, referee),
            "program_id": forest.program,
            "version": 1,
            "referrer_id": referrer,
            "referee_id": referee,
            "code_id": of[referrer],
            "click_id": (click_ids or {}).get(referee),
            "status": ReferralStatus.OPEN,
            "attributed_from": forest.claimed_at[referee],
            "claimed_at": forest.claimed_at[referee],
        }
        for referee, referrer in forest.edges.items()
    ]
    async with database.write() as session:
        if codes is None or made_at is not None:
            for referrer, code in of.items():
                session.add(a_code(forest.program, referrer, code, made_at or utc_now()))
        await session.flush()
        for start in range(0, len(rows), 200):
            await insert_once(session, Referral, rows[start : start + 200])


def a_code(program: str, customer: str, code_id: str, at: datetime) -> ReferralCode:
    return ReferralCode(
        id=code_id, program_id=program, customer_id=customer, code=new_id(), status=CodeStatus.ACTIVE, created_at=at
    )


async def turn(
    database: Database, program: str, referee: str, status: ReferralStatus, *, at: datetime, now: datetime | None = None
) -> None:
    """Change where a referral stands, as settlement does; `at` is since when it is qualified, if it is."""
    async with database.write() as session:
        referral = await take_referral(session, referral_id(program, referee))
        assert referral is not None
        qualified_at = at if status == ReferralStatus.QUALIFIED else None
        reason = "FRAUD" if status == ReferralStatus.REJECTED else None
        await change_status(session, referral, Standing(status, reason, qualified_at), now=now or at)


async def referrals_of(database: Database, program: str) -> Sequence[Referral]:
    async with database.read() as session:
        return (await session.exec(select(Referral).where(Referral.program_id == program))).all()
