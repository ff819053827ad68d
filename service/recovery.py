"""How a service break ends: repaired, or given up; exactly one of them however many say so at once."""

from collections.abc import Collection, Mapping
from datetime import datetime
from enum import StrEnum

from sqlalchemy import update
from sqlmodel import col

from core.audit import record_change
from core.clock import as_utc
from core.db import Session, changed_rows
from core.errors import BadUserInput, Refusal
from core.fact_kinds import SERVICE_BREAK_RECOVERED
from core.facts import record_facts
from core.outbox import owe
from core.sealing import seal, unseal_what_opens
from core.tasks import TASK_OVER, TaskKind, task, task_key
from service.breaks import BreakStatus, ServiceBreak, break_fact, find_break

LONGEST_NOTE = 2_000


class RecoveryInvalid(BadUserInput):
    code = "RECOVERY_INVALID"
    en = "What was done to repair the break is not valid."
    zh = "断点修复内容无效。"


class ServiceBreakEnded(Refusal):
    code = "SERVICE_BREAK_ENDED"
    en = "This break was repaired in another way, or given up."
    zh = "该断点已按其他方式修复或已过期。"


class RecoveryAction(StrEnum):
    """What was done; points as goodwill are a matter of the ledger's own adjustments."""

    APOLOGISED = "APOLOGISED"
    EXPLAINED = "EXPLAINED"
    CORRECTED = "CORRECTED"
    DONE_ANEW = "DONE_ANEW"
    PLACE_GIVEN = "PLACE_GIVEN"
    ESCALATED = "ESCALATED"
    OTHER = "OTHER"


def check_note(note: str | None) -> str | None:
    """The note without space around it, None for none; raises RecoveryInvalid."""
    text = (note or "").strip()
    if len(text) > LONGEST_NOTE or "\0" in text:
        raise RecoveryInvalid(path=("note",), detail=f"at most {LONGEST_NOTE} characters, none of them NUL")
    return text or None


async def record_recovery(
    session: Session,
    break_id: str,
    *,
    actions: Collection[RecoveryAction],
    note: str | None,
    data_key: bytes | None,
    actor: str,
    now: datetime,
) -> ServiceBreak:
    """Say that a break is repaired; said again with the same, the first answer. A note needs the customer's data key.

    Raises NotFound, RecoveryInvalid, ServiceBreakEnded.
    """
    codes = sorted({action.value for action in actions})
    if not codes:
        raise RecoveryInvalid(path=("actions",), detail="at least one")
    text = check_note(note)
    found = await find_break(session, break_id)
    if text is not None and data_key is None:
        raise RuntimeError("a note is sealed by the customer's data key")
    sealed = seal(data_key, text, owner=found.customer_id, column=column_of(break_id)) if text and data_key else None
    values = {
        "status": BreakStatus.RECOVERED,
        "ended_at": now,
        "recovered_by": actor,
        "actions": {"codes": codes},
        "note": sealed,
        "repair_seconds": int((now - as_utc(found.opened_at)).total_seconds()),
    }
    if not await end(session, break_id, values):
        found = await find_break(session, break_id)
        if not is_same(found, codes, text, data_key):
            raise ServiceBreakEnded(path=("breakId",))
        return found
    found = await find_break(session, break_id)
    await close_task(session, found, now=now)
    await record_facts(session, [break_fact(SERVICE_BREAK_RECOVERED, "recovered", found, now)], now=now)
    await record_change(session, "service-break", break_id, "recovered", actor=actor, now=now, actions=codes)
    return found


def column_of(break_id: str) -> str:
    """Names the place of a note, so that it opens nowhere else."""
    return f"service_break.note:{break_id}"


def note_of(row: ServiceBreak, data_key: bytes, *, owner: str | None = None) -> str | None:
    """The note, opened; None for none, and for one that does not open. `owner` is whose key it is, if not theirs."""
    return unseal_what_opens(data_key, row.note, owner=owner or row.customer_id, column=column_of(row.id))


def is_same(row: ServiceBreak, codes: list[str], text: str | None, data_key: bytes | None) -> bool:
    if row.status != BreakStatus.RECOVERED or row.actions.get("codes") != codes:
        return False
    if row.note is None or data_key is None:
        return row.note is None and text is None
    return note_of(row, data_key) == text


async def expire_break(session: Session, break_id: str, *, now: datetime) -> bool:
    """Give up a break whose time is over, and its task with it; False where it has ended, or has time left."""
    found = await find_break(session, break_id)
    if as_utc(found.expires_at) > now:
        return False
    if not await end(session, break_id, {"status": BreakStatus.EXPIRED, "ended_at": now}):
        return False
    await close_task(session, found, now=now)
    return True


async def end(session: Session, break_id: str, values: Mapping[str, object]) -> bool:
    is_open = (col(ServiceBreak.id) == break_id) & (col(ServiceBreak.status) == BreakStatus.OPEN)
    return bool(await changed_rows(session, update(ServiceBreak).where(is_open).values(**values)))


async def close_task(session: Session, row: ServiceBreak, *, now: datetime) -> None:
    payload = task(TaskKind.RECOVERY, customer_id=row.customer_id, subject=row.id, due_at=row.due_at)
    await owe(session, topic=TASK_OVER, key=task_key(TaskKind.RECOVERY, row.id), payload=payload, now=now)
