"""Acts in the government of a community, as the audit trail keeps them for its owners."""

from datetime import datetime
from typing import Any

from core.audit import ACT_AUDITED, act
from core.clock import iso
from graph.owed import Effect

# Who acted where no person did, such as when the time of a ban is over.
SYSTEM = "system"


def area_of(community_id: str) -> str:
    """Under which name the trail keeps what happened in a community."""
    return f"community:{community_id}"


def audited(
    community_id: str,
    action: str,
    *,
    actor: str,
    subject: str,
    now: datetime,
    reason: str | None = None,
    **details: Any,
) -> Effect:
    """The entry that an act owes; `subject` names its kind too, such as `Customer:{id}`.

    One act on one subject at one instant is one entry, however often its transaction begins again.
    """
    payload = act(
        area=area_of(community_id),
        actor=actor,
        action=action,
        subject=subject,
        at=now,
        reason=reason,
        **details,
    )
    return Effect(ACT_AUDITED, f"{community_id}:{action}:{subject}:{iso(now)}", payload)
