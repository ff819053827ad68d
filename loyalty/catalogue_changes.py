"""What becomes of a reward after it was made: other words, prices and limits, more stock or less, and its end."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import delete, update
from sqlmodel import Field, col, select

from core.audit import LONGEST_REASON, checked_reason, record_change
from core.db import Record, Session, changed_rows, insert_once, instant
from core.errors import BadUserInput, NotFound, Refusal, camel
from core.ids import derived_id
from loyalty.catalogue import (
    COLUMNS,
    NEVER_NULL,
    NewReward,
    Reward,
    RewardInvalid,
    RewardKind,
    RewardPrice,
    RewardTag,
    check_reward,
    note_price,
    put_tags,
    stored,
    tags_of_rewards,
)
from loyalty.idempotency import check_key, check_same
from loyalty.lots import ExpiredPolicy
from segments.membership import check_segment

LARGEST_STOCK = 1_000_000_000
# What a reward is for good: other stock comes by restocking, another kind is another reward.
FIXED = frozenset({"kind", "stock"})


class RewardReasonInvalid(BadUserInput):
    code = "REWARD_REASON_INVALID"
    en = f"This needs a reason of 1 to {LONGEST_REASON} characters."
    zh = f"需填写1至{LONGEST_REASON}个字符的原因。"


class RewardRetired(Refusal):
    code = "REWARD_RETIRED"
    en = "This reward is retired."
    zh = "该礼品已下架。"


class StockNotCounted(Refusal):
    code = "STOCK_NOT_COUNTED"
    en = "The stock of this reward is not counted, or its codes are its stock."
    zh = "该礼品不限库存，或以券码数量为库存。"


class StockTooLow(Refusal):
    code = "STOCK_TOO_LOW"
    en = "There are not so many left to take away."
    zh = "库存不足，无法减少这么多。"


class RewardRestock(Record, table=True):
    """Pieces added to a stock or taken from it, once by the key, and what there was afterwards."""

    id: str = Field(primary_key=True)
    reward_id: str = Field(foreign_key="reward.id", index=True)
    idempotency_key: str = Field(unique=True)
    change: int
    reason: str
    stock_after: int
    made_by: str
    made_at: datetime = instant()


async def lock_reward(session: Session, reward_id: str) -> Reward:
    """The reward, locked until the transaction ends; raises NotFound.

    Its key stays free, so that redemptions, which refer to it, wait for staff only where they take from its stock.
    """
    statement = select(Reward).where(Reward.id == reward_id).with_for_update(key_share=True)
    reward = (await session.exec(statement.execution_options(populate_existing=True))).first()
    if reward is None:
        raise NotFound(path=("rewardId",))
    return reward


async def update_reward(
    session: Session,
    reward_id: str,
    changes: Mapping[str, Any],
    *,
    price_from: datetime | None = None,
    actor: str,
    now: datetime,
) -> Reward:
    """Change what is given, by the names of NewReward's fields; a new price holds from now or from `price_from` on.

    A new price takes the place of one that was planned. Raises NotFound, RewardRetired, RewardInvalid, SegmentUnknown.
    """
    reward = await lock_reward(session, reward_id)
    if reward.retired_at is not None:
        raise RewardRetired(path=("rewardId",))
    if fixed := FIXED & changes.keys():
        raise RewardInvalid(path=(camel(min(fixed)),), detail="it stays as it was made")
    if nothing := [name for name in changes if changes[name] is None and name in NEVER_NULL]:
        raise RewardInvalid(path=(camel(min(nothing)),), detail="it cannot be null")
    if price_from is not None and ("price" not in changes or price_from <= now):
        raise RewardInvalid(path=("priceFrom",), detail="in the future, with a price")
    tags = (await tags_of_rewards(session, [reward_id]))[reward_id]
    wanted = replace(description_of(reward, tags, now), **changes)
    check_reward(wanted)
    await check_segment(session, changes.get("segment_id"))
    for name in changes.keys() - {"price", "required_tags"}:
        setattr(reward, name, stored(getattr(wanted, name)))
    if "required_tags" in changes:
        await changed_rows(session, delete(RewardTag).where(col(RewardTag.reward_id) == reward_id))
        await put_tags(session, reward_id, wanted.required_tags)
    if "price" in changes:
        await set_price(session, reward, wanted.price, price_from=price_from, actor=actor, now=now)
    session.add(reward)
    await session.flush()
    names = sorted([*changes, *(["price_from"] if price_from else [])])
    await record_change(session, "reward", reward_id, "UPDATED", actor=actor, now=now, fields=names)
    return reward


async def replace_tag_of_rewards(session: Session, key: str, into: str) -> None:
    """Let the rewards that ask for one tag ask for the other, which took its place; safe to repeat."""
    asked = select(RewardTag.reward_id).where(RewardTag.tag == key)
    rows = [{"reward_id": reward_id, "tag": into} for reward_id in (await session.exec(asked)).all()]
    if rows:
        await insert_once(session, RewardTag, rows, "reward_id", "tag")
        await changed_rows(session, delete(RewardTag).where(col(RewardTag.tag) == key))


def description_of(reward: Reward, tags: set[str], now: datetime) -> NewReward:
    """The reward as an administrator would describe it now."""
    known: dict[str, Any] = {name: getattr(reward, name) for name in COLUMNS}
    known |= {"kind": RewardKind(reward.kind), "expired_policy": ExpiredPolicy(reward.expired_policy)}
    known |= {"price": reward.price_at(now), "required_tags": tuple(sorted(tags))}
    return NewReward(**known)


async def set_price(
    session: Session, reward: Reward, price: int, *, price_from: datetime | None, actor: str, now: datetime
) -> None:
    """Let a price hold from now or from later on; a planned one that never held leaves the history."""
    planned = delete(RewardPrice).where(col(RewardPrice.reward_id) == reward.id, col(RewardPrice.valid_from) > now)
    await changed_rows(session, planned)
    in_force = reward.price_at(now)
    if price_from is None:
        reward.price, reward.next_price, reward.next_price_from = price, None, None
    else:
        reward.price, reward.next_price, reward.next_price_from = in_force, price, price_from
    if price != in_force or price_from is not None:
        await note_price(session, reward.id, price, valid_from=price_from or now, now=now, actor=actor)


async def retire_reward(session: Session, reward_id: str, *, reason: str, actor: str, now: datetime) -> Reward:
    """Offer a reward no longer; what is reserved is still fulfilled. Asked again, the first answer. Raises NotFound."""
    words = checked_reason(reason, RewardReasonInvalid)
    reward = await lock_reward(session, reward_id)
    if reward.retired_at is None:
        reward.retired_at = now
        session.add(reward)
        await session.flush()
        await record_change(session, "reward", reward_id, "RETIRED", actor=actor, now=now, reason=words)
    return reward


async def restock_reward(
    session: Session,
    reward_id: str,
    *,
    change: int,
    reason: str,
    idempotency_key: str,
    actor: str,
    now: datetime,
) -> RewardRestock:
    """Add pieces to a counted stock, or take some away; the same key again gives the first answer.

    Raises NotFound, RewardReasonInvalid, RewardInvalid, IdempotencyKeyInvalid, IdempotencyKeyReused, StockNotCounted,
    StockTooLow.
    """
    check_key(idempotency_key)
    words = checked_reason(reason, RewardReasonInvalid)
    if change == 0 or abs(change) > LARGEST_STOCK:
        raise RewardInvalid(path=("change",), detail=f"-{LARGEST_STOCK} to {LARGEST_STOCK} and not zero")
    if await session.get(Reward, reward_id) is None:
        raise NotFound(path=("rewardId",))
    row: dict[str, Any] = {
        "id": derived_id("reward_restock", idempotency_key),
        "reward_id": reward_id,
        "idempotency_key": idempotency_key,
        "change": change,
        "reason": words,
        "stock_after": 0,
        "made_by": actor,
        "made_at": now,
    }
    is_new = await insert_once(session, RewardRestock, row)
    known = await session.get_one(RewardRestock, row["id"], populate_existing=True)
    check_same([known.reward_id, known.change, known.reason], [reward_id, change, words])
    if is_new:
        known.stock_after = await move_stock(session, reward_id, change)
        session.add(known)
        await session.flush()
        entry = {"change": change, "stock_after": known.stock_after}
        await record_change(session, "reward", reward_id, "RESTOCKED", actor=actor, now=now, reason=words, **entry)
    return known


async def move_stock(session: Session, reward_id: str, change: int) -> int:
    """Change a counted stock under the guard of its row; returns what is left."""
    after = col(Reward.stock) + change
    guarded = update(Reward).where(col(Reward.id) == reward_id, after >= 0, after <= LARGEST_STOCK)
    moved = await changed_rows(session, guarded.values(stock=after))
    reward = await session.get_one(Reward, reward_id, populate_existing=True)
    if reward.stock is None:
        raise StockNotCounted(path=("rewardId",))
    if not moved:
        if change > 0:
            raise RewardInvalid(path=("change",), detail=f"a stock is at most {LARGEST_STOCK}")
        raise StockTooLow(path=("change",), detail=f"{reward.stock} left")
    return reward.stock


async def price_history(session: Session, reward_ids: Sequence[str]) -> Sequence[RewardPrice]:
    """The prices of these rewards, the latest first, with those that are planned."""
    statement = select(RewardPrice).where(col(RewardPrice.reward_id).in_(list(reward_ids)))
    ordered = statement.order_by(col(RewardPrice.valid_from).desc(), col(RewardPrice.id).desc())
    return (await session.exec(ordered)).all()
