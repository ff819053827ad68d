"""Coupon codes that a partner hands over: a pool for each reward, from which every code is assigned once.

A code is secret. Nobody reads one here but to give it to who redeemed it, and neither answers nor errors repeat it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, Column, Index, func, text, update
from sqlmodel import Field, col, select

from core.db import Record, Session, insert_new, insert_once, instant
from core.errors import BadUserInput, NotFound, Refusal
from core.ids import derived_id, new_id
from loyalty.catalogue import OutOfStock, Reward, RewardKind
from loyalty.idempotency import check_key, check_same, fingerprint
from loyalty.vouchers import codes_given

MOST_CODES = 1_000
# Pools are large, and whoever looks at a reward only asks whether there will be one.
MOST_COUNTED = 1_000
# Printable ASCII without spaces: what every scanner and every keyboard can give back.
CODE = re.compile(r"[!-~]{4,100}")


class CouponBatchInvalid(BadUserInput):
    code = "COUPON_BATCH_INVALID"
    en = f"A batch has 1 to {MOST_CODES} codes."
    zh = f"每批需包含1至{MOST_CODES}个券码。"


class RewardHasNoCodes(Refusal):
    code = "REWARD_HAS_NO_CODES"
    en = "Codes are added only to rewards of the kind COUPON that are not retired."
    zh = "只能向未下架的优惠券类礼品添加券码。"


class CodeOutcome(StrEnum):
    """What became of one code of a batch; DUPLICATE: it stands earlier in the batch, or it is in use already."""

    ADDED = "ADDED"
    DUPLICATE = "DUPLICATE"
    INVALID = "INVALID"


class CouponBatch(Record, table=True):
    """What was answered to a batch; its codes are not in it, only a hash of them all."""

    id: str = Field(primary_key=True)
    reward_id: str = Field(foreign_key="reward.id")
    idempotency_key: str = Field(unique=True)
    fingerprint: str
    outcomes: list[str] = Field(sa_column=Column(JSON, nullable=False))
    added_by: str
    added_at: datetime = instant()


class CouponCode(Record, table=True):
    """A code of a pool; without `redemption_id` it is still to be had."""

    __table_args__ = (
        Index(
            "ix_coupon_code_free",
            "reward_id",
            "id",
            postgresql_where=text("redemption_id IS NULL"),
            sqlite_where=text("redemption_id IS NULL"),
        ),
    )

    id: str = Field(primary_key=True)
    reward_id: str = Field(foreign_key="reward.id")
    batch_id: str = Field(foreign_key="coupon_batch.id")
    code: str = Field(unique=True, repr=False)
    redemption_id: str | None = Field(default=None, foreign_key="redemption.id", unique=True)
    assigned_at: datetime | None = instant(optional=True)


@dataclass(frozen=True, slots=True, repr=False)
class NewCodes:
    """A batch as it arrives; its codes are not to be seen in what is logged of it."""

    reward_id: str
    codes: Sequence[str]
    idempotency_key: str


async def add_codes(session: Session, batch: NewCodes, *, actor: str, now: datetime) -> CouponBatch:
    """Put codes into a reward's pool; the same batch again gives the first answer.

    Raises IdempotencyKeyInvalid, IdempotencyKeyReused, CouponBatchInvalid, NotFound, RewardHasNoCodes.
    """
    check_key(batch.idempotency_key)
    if not 1 <= len(batch.codes) <= MOST_CODES:
        raise CouponBatchInvalid(path=("codes",))
    reward = await session.get(Reward, batch.reward_id)
    if reward is None:
        raise NotFound(path=("rewardId",))
    seal = fingerprint(batch.reward_id, list(batch.codes))
    row: dict[str, Any] = {
        "id": derived_id("coupon_batch", batch.idempotency_key),
        "reward_id": batch.reward_id,
        "idempotency_key": batch.idempotency_key,
        "fingerprint": seal,
        "outcomes": [],
        "added_by": actor,
        "added_at": now,
    }
    is_new = await insert_once(session, CouponBatch, row)
    known = await session.get_one(CouponBatch, row["id"], populate_existing=True)
    check_same([known.fingerprint], [seal])
    if not is_new:
        return known
    if reward.kind != RewardKind.COUPON or reward.retired_at is not None:
        raise RewardHasNoCodes(path=("rewardId",))
    known.outcomes = await put_codes(session, known, [code.strip() for code in batch.codes])
    session.add(known)
    await session.flush()
    return known


async def put_codes(session: Session, batch: CouponBatch, codes: Sequence[str]) -> list[str]:
    """Write those that can be and are new; what became of each, in their order."""
    places: dict[str, int] = {}
    for place, code in enumerate(codes):
        if CODE.fullmatch(code):
            places.setdefault(code, place)
    taken = await codes_given(session, list(places))
    # The ids follow the order of the batch, in which the codes are handed out.
    rows: list[dict[str, Any]] = [
        {"id": new_id(), "reward_id": batch.reward_id, "batch_id": batch.id, "code": code}
        for code in places
        if code not in taken
    ]
    added = set(await insert_new(session, CouponCode, rows, by="code"))
    new = {places[row["code"]] for row in rows if row["id"] in added}
    return [
        CodeOutcome.ADDED if place in new else CodeOutcome.DUPLICATE if code in places else CodeOutcome.INVALID
        for place, code in enumerate(codes)
    ]


async def assign_code(session: Session, reward_id: str, redemption_id: str, *, now: datetime) -> str:
    """Take the next code of the pool for a redemption, and return it; raises OutOfStock.

    Writers pass over codes that others are about to take, so that they do not wait for each other. Only where all
    that is left is being taken do they wait: one of the others may yet be refused, and its code is free again.
    """
    while True:
        code = await take_code(session, reward_id, redemption_id, skip_locked=True, now=now)
        if code is None:
            code = await take_code(session, reward_id, redemption_id, skip_locked=False, now=now)
        if code is not None:
            return code
        if not (await coupon_stocks(session, [reward_id], most=1))[reward_id]:
            raise OutOfStock(path=("rewardId",))


async def take_code(
    session: Session, reward_id: str, redemption_id: str, *, skip_locked: bool, now: datetime
) -> str | None:
    free = select(CouponCode.id).where(CouponCode.reward_id == reward_id, col(CouponCode.redemption_id).is_(None))
    first = free.order_by(col(CouponCode.id)).limit(1).with_for_update(skip_locked=skip_locked)
    code_id = (await session.exec(first)).first()
    if code_id is None:
        return None
    taken = update(CouponCode).where(col(CouponCode.id) == code_id, col(CouponCode.redemption_id).is_(None))
    assigned = taken.values(redemption_id=redemption_id, assigned_at=now).returning(col(CouponCode.code))
    connection = await session.connection()
    return (await connection.execute(assigned)).scalar()


async def coupon_stocks(session: Session, reward_ids: Sequence[str], *, most: int = MOST_COUNTED) -> dict[str, int]:
    """How many codes are left in the pool of each reward; of a large pool, that there are `most` at least."""
    reward = col(Reward.id)
    free = select(CouponCode.id).where(col(CouponCode.reward_id) == reward, col(CouponCode.redemption_id).is_(None))
    some = free.limit(most).correlate(Reward).subquery()
    count = select(func.count()).select_from(some).correlate(Reward).scalar_subquery()
    counted = select(reward, count).where(reward.in_(list(reward_ids)))
    return {**dict.fromkeys(reward_ids, 0), **dict((await session.exec(counted)).all())}
