"""Fraud cases: they hold the rewards of their members until a reviewer decides; nothing else ever lets them go."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, func, text, update
from sqlmodel import Field, col, select

from core.db import Record, Session, changed_rows, insert_once, instant, json_column
from core.ids import new_id
from core.paging import Page, Place, cut, oldest_first, page_size
from referrals.fraud_signals import Assessment, Signal
from referrals.rewards import DENIED, FRAUD, ReferralReward, RewardStatus

# A case that grows beyond this is too large for one decision: whoever comes later is in another one.
MOST_MEMBERS = 200
MOST_SIGNALS = 200


class CaseKind(StrEnum):
    """Whether a case began with one referral or with a whole group."""

    PAIR = "PAIR"
    RING = "RING"


class CaseStatus(StrEnum):
    """A case is open until a reviewer has decided all that it holds."""

    OPEN = "OPEN"
    CLEARED = "CLEARED"
    CONFIRMED = "CONFIRMED"


class FraudCase(Record, table=True):
    """A suspicion with its evidence as it was found, in `evidence["signals"]`; the score is the highest so far."""

    __table_args__ = (
        Index("ix_fraud_case_status", "status", "opened_at", "id"),
        Index("ix_fraud_case_opened", "opened_at", "id"),
    )

    id: str = Field(primary_key=True)
    kind: str
    status: str
    score: float
    evidence: dict[str, Any] = json_column()
    opened_at: datetime = instant()
    decided_by: str | None = None
    decided_at: datetime | None = instant(optional=True)
    reason: str | None = None

    @property
    def signals(self) -> list[Signal]:
        return [Signal.read(data) for data in self.evidence["signals"]]


class FraudCaseMember(Record, table=True):
    """A customer of a case; the index keeps a customer from being in two open ones."""

    __table_args__ = (
        Index("ix_fraud_case_member_customer", "customer_id"),
        Index(
            "ux_fraud_case_member_open",
            "customer_id",
            unique=True,
            sqlite_where=text("closed_at IS NULL"),
            postgresql_where=text("closed_at IS NULL"),
        ),
    )

    case_id: str = Field(primary_key=True, foreign_key="fraud_case.id")
    customer_id: str = Field(primary_key=True)
    closed_at: datetime | None = instant(optional=True)


async def suspect(
    session: Session,
    kind: CaseKind,
    members: Collection[str],
    assessment: Assessment,
    *,
    first: Sequence[str] = (),
    now: datetime,
) -> FraudCase:
    """The open case of these customers, made or joined, and locked; `first` are those whose case is joined first.

    Two at once make one case: who comes second waits for the first, finds its members taken, and joins.
    """
    while True:
        case = await open_case_of(session, [*first, *sorted(set(members) - set(first))])
        if case is None:
            case = await open_new_case(session, kind, members, assessment, now=now)
            if case is None:
                continue
        elif case.status == CaseStatus.OPEN:
            await join_case(session, case, kind, members, assessment)
        else:
            continue
        return case


async def open_case_of(session: Session, customer_ids: Sequence[str]) -> FraudCase | None:
    """The first of these customers' open cases, locked and read anew."""
    statement = select(FraudCaseMember.customer_id, FraudCaseMember.case_id).where(
        col(FraudCaseMember.customer_id).in_(customer_ids), col(FraudCaseMember.closed_at).is_(None)
    )
    cases = dict((await session.exec(statement)).all())
    chosen = next((cases[customer_id] for customer_id in customer_ids if customer_id in cases), None)
    return await lock_case(session, chosen) if chosen else None


async def lock_case(session: Session, case_id: str) -> FraudCase | None:
    statement = select(FraudCase).where(FraudCase.id == case_id).with_for_update()
    return (await session.exec(statement.execution_options(populate_existing=True))).first()


async def open_new_case(
    session: Session, kind: CaseKind, members: Collection[str], assessment: Assessment, *, now: datetime
) -> FraudCase | None:
    """A case of these; None when somebody has put one of them into a case meanwhile."""
    nested = await session.begin_nested()
    case = FraudCase(
        id=new_id(),
        kind=kind,
        status=CaseStatus.OPEN,
        score=assessment.score,
        evidence={"signals": [signal.stored() for signal in assessment.signals[:MOST_SIGNALS]]},
        opened_at=now,
    )
    session.add(case)
    await session.flush()
    chosen = sorted(members)[:MOST_MEMBERS]
    taken = await add_members(session, case.id, chosen) < len(chosen)
    await (nested.rollback() if taken else nested.commit())
    return None if taken else case


async def join_case(
    session: Session, case: FraudCase, kind: CaseKind, members: Collection[str], assessment: Assessment
) -> None:
    """Add who is in no open case yet, and what was not known yet."""
    room = MOST_MEMBERS - len(await members_of_cases(session, [case.id]))
    await add_members(session, case.id, sorted(members)[: max(room, 0)])
    known = {identity(signal) for signal in case.signals}
    fresh = [signal.stored() for signal in assessment.signals if identity(signal) not in known]
    if fresh:
        # A new object: what changes inside a JSON value is not noticed.
        case.evidence = {"signals": [*case.evidence["signals"], *fresh][:MOST_SIGNALS]}
    case.score = max(case.score, assessment.score)
    if kind == CaseKind.RING:
        case.kind = kind
    await session.flush()


async def add_members(session: Session, case_id: str, customer_ids: Sequence[str]) -> int:
    """Add customers in order, so that two who add wait and never in a circle; returns how many were free."""
    rows: list[dict[str, Any]] = [{"case_id": case_id, "customer_id": customer_id} for customer_id in customer_ids]
    return await insert_once(session, FraudCaseMember, rows) if rows else 0


def identity(signal: Signal) -> tuple[str, ...]:
    """By what two signals are the same: their name and the identifier, or the people where there is none."""
    references = tuple(step.reference for step in signal.path if step.reference)
    return (signal.name, *(references or sorted(step.customer_id or "" for step in signal.path)))


async def is_decided(
    session: Session, members: Collection[str], signals: Iterable[Signal], *statuses: CaseStatus
) -> bool:
    """Whether a reviewer has decided so about these very customers and these very signals."""
    cases = await decided_with_all(session, members)
    known = {identity(signal) for case in cases if case.status in statuses for signal in case.signals}
    return all(identity(signal) in known for signal in signals if not signal.exempted)


async def decided_with_all(session: Session, members: Collection[str]) -> list[FraudCase]:
    """The decided cases in which all of these customers were."""
    together = (
        select(FraudCaseMember.case_id)
        .where(col(FraudCaseMember.customer_id).in_(set(members)), col(FraudCaseMember.closed_at).is_not(None))
        .group_by(col(FraudCaseMember.case_id))
        .having(func.count() == len(set(members)))
    )
    statement = select(FraudCase).where(col(FraudCase.id).in_(together)).order_by(col(FraudCase.id))
    return list((await session.exec(statement)).all())


async def close_if_decided(session: Session, case: FraudCase, *, actor: str, reason: str, now: datetime) -> None:
    """Close a locked case of which nothing is held any more: confirmed if any reward of it was refused."""
    statuses = select(ReferralReward.status, ReferralReward.reason).where(ReferralReward.case_id == case.id)
    rewards = (await session.exec(statuses)).all()
    if any(status == RewardStatus.PENDING for status, _ in rewards):
        return
    refused = any(why in (DENIED, FRAUD) for _, why in rewards)
    await close_case(session, case, confirmed=refused, actor=actor, reason=reason, now=now)


async def close_case(
    session: Session, case: FraudCase, *, confirmed: bool, actor: str, reason: str, now: datetime
) -> None:
    """Close a locked case; its members may be in another one from now on."""
    case.status = CaseStatus.CONFIRMED if confirmed else CaseStatus.CLEARED
    case.decided_by, case.decided_at, case.reason = actor, now, reason
    await session.flush()
    members = update(FraudCaseMember).where(
        col(FraudCaseMember.case_id) == case.id, col(FraudCaseMember.closed_at).is_(None)
    )
    await changed_rows(session, members.values(closed_at=now))


async def members_of_cases(session: Session, case_ids: Sequence[str]) -> list[FraudCaseMember]:
    """The members of several cases, in order of their ids."""
    statement = select(FraudCaseMember).where(col(FraudCaseMember.case_id).in_(list(case_ids)))
    return list((await session.exec(statement.order_by(col(FraudCaseMember.customer_id)))).all())


async def rewards_of_cases(session: Session, case_ids: Sequence[str]) -> list[ReferralReward]:
    """What several cases hold or held, in order of their keys."""
    statement = select(ReferralReward).where(col(ReferralReward.case_id).in_(list(case_ids)))
    return list((await session.exec(statement.order_by(col(ReferralReward.key)))).all())


async def fraud_cases(
    session: Session, status: CaseStatus | None, *, first: int | None, after: Place
) -> Page[FraudCase]:
    """Cases, the oldest first."""
    size = page_size(first)
    statement = select(FraudCase)
    if status is not None:
        statement = statement.where(FraudCase.status == status)
    page = oldest_first(statement, col(FraudCase.opened_at), col(FraudCase.id), size=size, after=after)
    return cut((await session.exec(page)).all(), size, lambda row: (row.opened_at.isoformat(), row.id), after)


async def review_queue(session: Session, *, first: int | None, after: Place) -> Page[ReferralReward]:
    """The rewards that wait for a reviewer, the oldest first."""
    size = page_size(first)
    statement = select(ReferralReward).where(
        ReferralReward.status == RewardStatus.PENDING, col(ReferralReward.case_id).is_not(None)
    )
    page = oldest_first(statement, col(ReferralReward.created_at), col(ReferralReward.id), size=size, after=after)
    return cut((await session.exec(page)).all(), size, lambda row: (row.created_at.isoformat(), row.id), after)
