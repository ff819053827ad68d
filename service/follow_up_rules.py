"""When a customer is to be seen next: one cycle after the other, by pure functions over days.

A cycle begins with a contact or with the end of the task of the one before. It is due `days` after that, has one task
at most, and is missed at most once.
"""

import uuid
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum

from service.follow_up_definition import Cadence, Means


@dataclass(frozen=True, slots=True)
class Cycle:
    """Where one obligation to one customer stands; `number` tells its cycles apart.

    It counts from the last contact (`last_on`) or from the end of the last task (`closed_on`), whichever is later, and
    from `begun_on` for as long as neither is known. After a try that reached nobody the next is `not_before` a day.
    """

    tier: str
    days: int
    begun_on: date
    last_on: date | None = None
    closed_on: date | None = None
    not_before: date | None = None
    number: int = 1
    opened_on: date | None = None
    missed_on: date | None = None

    @property
    def base_on(self) -> date:
        return max((day for day in (self.last_on, self.closed_on) if day is not None), default=self.begun_on)

    @property
    def next_on(self) -> date:
        """The day from which the next contact is due."""
        due = self.base_on + timedelta(days=self.days)
        return due if self.not_before is None else max(due, self.not_before)

    @property
    def is_open(self) -> bool:
        return self.opened_on is not None

    def renewed(self) -> "Cycle":
        """The next cycle from the same day."""
        return replace(self, number=self.number + 1, opened_on=None, missed_on=None)


class Owed(StrEnum):
    """What follows from a look or an act."""

    TASK = "TASK"
    MESSAGE = "MESSAGE"
    MISSED = "MISSED"
    TASK_OVER = "TASK_OVER"


def begun(tier: str, cadence: Cadence, last_on: date | None, *, customer_id: str, today: date) -> Cycle:
    """The first cycle: from the last contact that counts, else from today, or spread by the customer's id."""
    back = uuid.UUID(customer_id).int % cadence.days if cadence.spread else 0
    return Cycle(tier, cadence.days, today - timedelta(days=back), last_on)


def contacted(cycle: Cycle, day: date, *, today: date) -> tuple[Cycle, Owed | None]:
    """After a contact that counts, told in whatever order; one of before what it counts from moves nothing.

    An open task is over, unless the contact was so long ago that the next one is due already.
    """
    after = replace(cycle, last_on=day if cycle.last_on is None else max(cycle.last_on, day))
    if after.base_on == cycle.base_on:
        return after, None
    return settled(replace(after, not_before=None), today)


def settled(moved: Cycle, today: date) -> tuple[Cycle, Owed | None]:
    """A cycle whose day has moved, with its task over where it is not due any more."""
    if moved.is_open and moved.next_on > today:
        return moved.renewed(), Owed.TASK_OVER
    return moved, None


def ended(cycle: Cycle, cadence: Cadence | None, *, reached: bool, today: date) -> Cycle:
    """After the task was ended by hand: the next cycle, or after a try that reached nobody another one soon."""
    if reached or cadence is None:
        return replace(cycle, closed_on=today, not_before=None).renewed()
    return replace(cycle, not_before=today + timedelta(days=cadence.retry_days)).renewed()


def retiered(cycle: Cycle, tier: str, cadence: Cadence, *, today: date) -> tuple[Cycle, Owed | None]:
    """Under another tier or policy, from the same day."""
    return settled(replace(cycle, tier=tier, days=cadence.days), today)


def looked(cycle: Cycle, cadence: Cadence, *, task_days: int, today: date) -> tuple[Cycle, Owed | None]:
    """What the look of a day makes of it: a task or message where it is due, and once that the task was missed."""
    if cycle.opened_on is None:
        if cycle.next_on > today:
            return cycle, None
        if cadence.means == Means.MESSAGE:
            return replace(cycle, closed_on=today, not_before=None).renewed(), Owed.MESSAGE
        return replace(cycle, opened_on=today), Owed.TASK
    if cycle.missed_on is None and today > cycle.opened_on + timedelta(days=task_days):
        return replace(cycle, missed_on=today), Owed.MISSED
    return cycle, None
