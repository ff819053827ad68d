"""Who on a waiting list gets a freed place: a decision that knows numbers only, and no store.

The rule. One list per event and channel, strictly first come, first served: whoever is first and fits is next. A
party that needs more seats than are free stays at its place, and smaller ones behind it may take what is free; but
nobody is overtaken more than three times. After that, freed seats are kept for the party until it fits, so it is
never starved. Only as many as LOOK_AHEAD parties that do not fit are looked past. A party larger than the whole
capacity (which was lowered since it came) can never fit: it keeps its place and holds up nobody.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

# How often smaller parties may overtake one that does not fit.
MOST_OVERTAKES = 3
# How many parties that do not fit are looked past for one that does.
LOOK_AHEAD = 100


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody on the list: the seats they need and how often they were overtaken so far."""

    customer_id: str
    seats: int
    overtaken: int = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """Who is promoted, in order, and how many of them overtook those who were passed over."""

    promoted: list[Party] = field(default_factory=list[Party])
    overtaken: dict[str, int] = field(default_factory=dict[str, int])


def choose_promotions(
    free: int | None, capacity: int | None, queue: Sequence[Party], *, most: int | None = None
) -> Choice:
    """Apply the rule to the parties in their order, and stop after `most` promotions.

    `free` and `capacity` count seats; None means no limit.
    """
    choice = Choice()
    left = free
    passed: list[Party] = []
    for party in queue:
        if left is None or party.seats <= left:
            choice.promoted.append(party)
            left = None if left is None else left - party.seats
            for other in passed:
                choice.overtaken[other.customer_id] = choice.overtaken.get(other.customer_id, 0) + 1
        elif capacity is None or party.seats <= capacity:
            passed.append(party)
        if is_over(left, passed, choice) or len(choice.promoted) == most:
            break
    return choice


def is_over(left: int | None, passed: Sequence[Party], choice: Choice) -> bool:
    """Whether nobody behind may have anything: no seat is left, or what is left is kept for somebody passed over."""
    if (left is not None and left <= 0) or len(passed) >= LOOK_AHEAD:
        return True
    return any(one.overtaken + choice.overtaken.get(one.customer_id, 0) >= MOST_OVERTAKES for one in passed)
