"""Days of follow-ups against a plain model that reads the whole story of a customer anew for each day."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from core.ids import new_id
from service.follow_up_definition import Cadence, InteractionKind, Means
from service.follow_up_rules import Cycle, Owed, begun, contacted, ended, looked, retiered

FIRST = date(2026, 1, 1)
TASK_DAYS = 3
RETRY_DAYS = 7
ENDS = ("done", "not-reached")


@dataclass(frozen=True)
class Act:
    """What happens on a day, before its look: a contact so many days back, an end of the task, another tier."""

    day: int
    what: Literal["contact", "done", "not-reached", "tier"]
    back: int = 0
    every: int = 30


ACTS = st.lists(
    st.builds(
        Act,
        day=st.integers(0, 150),
        what=st.sampled_from(("contact", "done", "not-reached", "tier")),
        back=st.integers(0, 60),
        every=st.sampled_from((5, 30, 90)),
    ),
    max_size=12,
)


def cadence(days: int) -> Cadence:
    return Cadence(days=days, counts=(InteractionKind.PHONE,), retry_days=RETRY_DAYS)


def told_by_rules(acts: list[Act], days: int, looks: set[int]) -> dict[int, list[str]]:
    """What the rules say day by day."""
    every = 30
    cycle = begun("VIP", cadence(every), None, customer_id=new_id(), today=FIRST)
    found: dict[int, list[str]] = {}
    for number in range(days):
        today = FIRST + timedelta(days=number)
        for act in (one for one in acts if one.day == number):
            what = None
            if act.what == "contact":
                cycle, what = contacted(cycle, today - timedelta(days=act.back), today=today)
            elif act.what == "tier":
                every = act.every
                cycle, what = retiered(cycle, "POTENTIAL", cadence(every), today=today)
            elif cycle.is_open:
                cycle = ended(cycle, cadence(every), reached=act.what == "done", today=today)
            if what is not None:
                found.setdefault(number, []).append(what)
        if number in looks:
            cycle, what = looked(cycle, cadence(every), task_days=TASK_DAYS, today=today)
            if what is not None:
                found.setdefault(number, []).append(what)
    return found


def told_by_model(acts: list[Act], days: int, looks: set[int]) -> dict[int, list[str]]:
    """The same from what has happened so far: the latest of all contacts and ends says from when it counts.

    Days are numbers from the first one, on which nobody knew anything.
    """
    marks: list[int] = []
    pause, every = -1_000, 30
    open_since: int | None = None
    missed = False
    found: dict[int, list[str]] = {}

    def due() -> int:
        return max(max(marks, default=0) + every, pause)

    for number in range(days):
        for act in (one for one in acts if one.day == number):
            if act.what == "contact":
                before = max(marks, default=0)
                marks.append(number - act.back)
                pause = pause if max(marks) == before else -1_000
            elif act.what == "tier":
                every = act.every
            elif act.what == "done" and open_since is not None:
                marks.append(number)
                pause, open_since, missed = -1_000, None, False
            elif act.what == "not-reached" and open_since is not None:
                pause, open_since, missed = number + RETRY_DAYS, None, False
            if act.what in ("contact", "tier") and open_since is not None and due() > number:
                open_since, missed = None, False
                found.setdefault(number, []).append("TASK_OVER")
        if number not in looks:
            continue
        if open_since is None and due() <= number:
            open_since = number
            found.setdefault(number, []).append("TASK")
        elif open_since is not None and not missed and number - open_since > TASK_DAYS:
            missed = True
            found.setdefault(number, []).append("MISSED")
    return found


@given(ACTS, st.sets(st.integers(0, 160)))
def test_the_rules_say_what_the_plain_model_says(acts: list[Act], missing: set[int]) -> None:
    """Given any story, with days on which nobody looked, then tasks, ends and misses come on the same days."""
    looks = set(range(165)) - missing
    assert told_by_rules(acts, 165, looks) == told_by_model(acts, 165, looks)


@given(ACTS)
def test_between_two_tasks_the_first_has_ended(acts: list[Act]) -> None:
    """Given any story, then between two days with a task lies an end of the first: by itself or by hand."""
    is_open = False
    told = told_by_rules(acts, 165, set(range(165)))
    for number in range(165):
        if "TASK_OVER" in told.get(number, []) or any(one.day == number and one.what in ENDS for one in acts):
            is_open = False
        if "TASK" in told.get(number, []):
            assert not is_open
            is_open = True


@given(st.uuids(), st.integers(1, 400))
def test_spread_over_the_span_nobody_is_due_at_once_or_too_late(customer: object, days: int) -> None:
    spread = Cadence(days=days, counts=(InteractionKind.DIGITAL,), means=Means.MESSAGE, spread=True)
    cycle = begun("MASS", spread, None, customer_id=str(customer), today=FIRST)
    assert FIRST < cycle.next_on <= FIRST + timedelta(days=days)


def test_a_message_is_the_contact_of_its_cycle() -> None:
    every = Cadence(days=10, counts=(InteractionKind.DIGITAL,), means=Means.MESSAGE)
    cycle = Cycle("MASS", 10, FIRST)
    sent = []
    for number in range(31):
        cycle, what = looked(cycle, every, task_days=3, today=FIRST + timedelta(days=number))
        if what is not None:
            sent.append((number, what))
    assert sent == [(10, Owed.MESSAGE), (20, Owed.MESSAGE), (30, Owed.MESSAGE)]
