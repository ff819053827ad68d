"""What staff are to do: any room owes a task to whoever looks after a customer, and the service room keeps it."""

from datetime import datetime
from enum import StrEnum
from typing import Any

# The topics of a task that is owed, and of one for which there is no reason any more; the key of both is the task's.
TASK_OWED = "task.owed"
TASK_OVER = "task.over"


class TaskKind(StrEnum):
    """What a task is about: what is to be looked at, said, done or answered."""

    ALERT = "ALERT"
    TIER_REVIEW = "TIER_REVIEW"
    COMPLAINT = "COMPLAINT"
    FOLLOW_UP = "FOLLOW_UP"
    PLAN_STEP = "PLAN_STEP"
    CARE = "CARE"
    SUITABILITY_REVIEW = "SUITABILITY_REVIEW"
    ADVICE = "ADVICE"
    RECOVERY = "RECOVERY"


# Tasks that end with what they are about and in no other way: who completed only the task would leave that open.
BOUND = frozenset({TaskKind.ALERT, TaskKind.COMPLAINT, TaskKind.ADVICE, TaskKind.RECOVERY})


def task(
    kind: TaskKind, *, customer_id: str, subject: str, due_at: datetime, role: str | None = None
) -> dict[str, Any]:
    """The payload of either topic; `subject` is the id of what the task is about.

    With a role it waits for whoever has it, else it is for who looks after the customer.
    """
    found = {"kind": kind, "customer_id": customer_id, "subject": subject, "due_at": due_at.isoformat()}
    return found if role is None else {**found, "role": role}


def task_key(kind: TaskKind, subject: str) -> str:
    return f"{kind.lower()}:{subject}"
