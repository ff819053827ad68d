"""Velocity: more referrals in a short time than people make, by one referrer or onto one identifier.

The limits are of bursts around one instant, so that a farm is seen whose devices are too many or too shared to weigh.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from referrals.fraud_signals import (
    LONGEST_PATH,
    FraudPolicy,
    Neighbourhood,
    PathStep,
    Signal,
    SignalName,
    Tie,
    is_one_household,
    path_through,
)


def excess(base: float, limit: int, count: int) -> float:
    """A weight that rises from 0 at the limit towards `base`: half of it at twice the limit."""
    return base * (1 - limit / count) if count > limit else 0.0


def referrer_velocity(referrer_id: str, ties: Sequence[Tie], *, at: datetime, policy: FraudPolicy) -> Signal | None:
    """Whether the referrer brought more people within an hour or a day of `at` than people usually do."""
    hourly, daily = (within(ties, at, span) for span in (timedelta(hours=1), timedelta(days=1)))
    base = policy.referrer_velocity
    weight = max(excess(base, policy.hourly_referrals, len(hourly)), excess(base, policy.daily_referrals, len(daily)))
    if not weight:
        return None
    shown = (PathStep("REFERRED", customer_id=tie.referee_id) for tie in daily[:LONGEST_PATH])
    return Signal(SignalName.REFERRER_VELOCITY, weight, path=(PathStep(customer_id=referrer_id), *shown))


def within(ties: Sequence[Tie], at: datetime, span: timedelta) -> list[Tie]:
    return [tie for tie in ties if tie.at is not None and abs(tie.at - at) < span]


def identifier_velocity(
    around: Neighbourhood, referee_id: str, *, at: datetime, households: Mapping[str, str], policy: FraudPolicy
) -> list[Signal]:
    """Whether more people than usual came within a day of `at` with an identifier that the referee uses.

    The referee's own household counts as one person.
    """
    recent = {tie.referee_id for tie in within(around.ties, at, timedelta(days=1))}
    signals: list[Signal] = []
    for key in sorted(around.uses.get(referee_id, ())):
        identifier = around.identifiers[key]
        kind = policy.kinds[identifier.kind]
        if identifier.degree > kind.most:
            continue
        arrived = sorted(
            one
            for one in recent
            if key in around.uses.get(one, ()) and not is_one_household(one, referee_id, households)
        )
        count = len({*arrived, referee_id})
        if weight := excess(kind.velocity, kind.daily, count):
            users = [referee_id, *(one for one in arrived if one != referee_id)]
            signals.append(Signal(f"{identifier.kind}_VELOCITY", weight, path=path_through(identifier, users)))
    return signals
