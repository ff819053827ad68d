"""Steps told as facts of the referrer, which earning rules may reward: reached, and taken back when a step is undone.

A step that is reached again after it was undone is another fact. The number in its key counts what was undone of the
referral before, so that it is computed from what happened and never chosen.
"""

from datetime import datetime

from core.facts import OWN_SOURCE, NewFact
from core.lawful import STEP_REACHED, STEP_UNDONE
from core.reversals import REVERSES
from referrals.attribution import Referral


def step_key(referral: Referral, step: str, attempt: int) -> str:
    return f"referral-step:{referral.id}:{step}:{attempt}"


def step_reached(referral: Referral, step: str, attempt: int, *, position: int, reached_at: datetime) -> NewFact:
    """That one whom the customer brought has come so far; `position` counts the steps of the programme from 0."""
    return NewFact(
        source=OWN_SOURCE,
        key=step_key(referral, step, attempt),
        kind=STEP_REACHED,
        customer_id=referral.referrer_id,
        occurred_at=reached_at,
        payload={
            "referral_id": referral.id,
            "program_id": referral.program_id,
            "step": step,
            "position": position,
        },
    )


def step_undone(referral: Referral, step: str, attempt: int, *, reached_at: datetime, now: datetime) -> NewFact:
    key = step_key(referral, step, attempt)
    return NewFact(
        source=OWN_SOURCE,
        key=f"{key}:undone",
        kind=STEP_UNDONE,
        customer_id=referral.referrer_id,
        occurred_at=max(now, reached_at),
        payload={REVERSES: key, "referral_id": referral.id, "program_id": referral.program_id, "step": step},
    )
