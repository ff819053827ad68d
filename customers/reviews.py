"""Rows of imports that name several customers, for a person to decide; and who was erased and is not to come back."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, update
from sqlmodel import Field, col, select

from core.audit import checked_reason, record_change
from core.db import Record, Session, changed_rows, insert_once, instant, json_column
from core.errors import BadUserInput, Conflict, NotFound
from core.ids import derived_id
from core.paging import Page, Place, cut, newest_first, page_size
from core.sealing import blind_hash
from customers.profiles import customer_id_of


class ReviewReasonInvalid(BadUserInput):
    code = "REVIEW_REASON_INVALID"
    en = "A reason has 1 to 500 characters."
    zh = "理由需为1至500个字符。"


class ReviewChoiceInvalid(BadUserInput):
    code = "REVIEW_CHOICE_INVALID"
    en = "Choose one of the customers whom the review names."
    zh = "请选择该复核所涉及的客户之一。"


class Cause(StrEnum):
    """By what a row names a customer; OTHER_DOCUMENT speaks against the customer who was found otherwise."""

    ALIAS = "ALIAS"
    SUBJECT = "SUBJECT"
    DOCUMENT = "DOCUMENT"
    PHONE = "PHONE"
    EMAIL = "EMAIL"
    OTHER_DOCUMENT = "OTHER_DOCUMENT"


class ReviewStatus(StrEnum):
    """OPEN waits for a person; MERGED: the customers are one; KEPT_APART: they are not."""

    OPEN = "OPEN"
    MERGED = "MERGED"
    KEPT_APART = "KEPT_APART"


@dataclass(frozen=True, slots=True)
class Found:
    """A customer whom a row names, and by what."""

    cause: Cause
    customer_id: str


class IdentityReview(Record, table=True):
    """A row that was not applied because it names several customers; it holds no personal data.

    `causes` is a list of {"cause", "customer_id"}; `customer_id` is whose the row is, by the decision.
    """

    __table_args__ = (
        Index("ix_identity_review_row", "source", "key"),
        Index("ix_identity_review_status", "status", "found_at", "id"),
    )

    id: str = Field(primary_key=True)
    source: str
    key: str
    line: int
    causes: dict[str, Any] = json_column()
    status: str
    found_at: datetime = instant()
    customer_id: str | None = None
    decided_by: str | None = None
    decided_at: datetime | None = instant(optional=True)
    reason: str | None = None

    @property
    def found(self) -> list[Found]:
        return [Found(Cause(one["cause"]), one["customer_id"]) for one in self.causes["found"]]


class IdentityReviewCustomer(Record, table=True):
    """A customer whom a review concerns."""

    review_id: str = Field(primary_key=True, foreign_key="identity_review.id")
    customer_id: str = Field(primary_key=True, index=True)


class ErasedAlias(Record, table=True):
    """The keyed hash of a name that a source had for an erased customer, so that its row does not come back."""

    hash: str = Field(primary_key=True)
    erased_at: datetime = instant()


@dataclass(frozen=True, slots=True)
class Decision:
    """That these customers are not one, and whose a row is; None: whoever the source means by its key."""

    customers: frozenset[str]
    customer_id: str | None


def alias_hash(hash_key: str, source: str, key: str) -> str:
    return blind_hash(hash_key, "erased-alias", f"{source}\x1f{key}")


async def erased_aliases(session: Session, source: str, keys: Sequence[str], *, hash_key: str) -> set[str]:
    """The hashes of those of these names that belong to erased customers."""
    hashes = [alias_hash(hash_key, source, key) for key in keys]
    return set((await session.exec(select(ErasedAlias.hash).where(col(ErasedAlias.hash).in_(hashes)))).all())


async def put_review(
    session: Session, source: str, key: str, line: int, found: Sequence[Found], *, now: datetime
) -> None:
    """Let a row wait for a person, once for its key and the customers that it names."""
    customers = sorted({one.customer_id for one in found})
    review_id = derived_id("identity_review", source, key, *customers)
    row: dict[str, Any] = {
        "id": review_id,
        "source": source,
        "key": key,
        "line": line,
        "causes": {"found": [{"cause": one.cause.value, "customer_id": one.customer_id} for one in found]},
        "status": ReviewStatus.OPEN.value,
        "found_at": now,
    }
    if await insert_once(session, IdentityReview, row, "id"):
        rows = [{"review_id": review_id, "customer_id": customer} for customer in customers]
        await insert_once(session, IdentityReviewCustomer, rows, "review_id", "customer_id")


async def decisions_about(session: Session, source: str, keys: Sequence[str]) -> Mapping[str, Sequence[Decision]]:
    """What was decided of rows with these keys, the latest first."""
    statement = select(IdentityReview).where(
        IdentityReview.source == source,
        col(IdentityReview.key).in_(list(keys)),
        IdentityReview.status == ReviewStatus.KEPT_APART,
    )
    decided: dict[str, list[Decision]] = defaultdict(list)
    for row in (await session.exec(statement.order_by(col(IdentityReview.decided_at).desc()))).all():
        decided[row.key].append(Decision(frozenset(one.customer_id for one in row.found), row.customer_id))
    return decided


async def list_reviews(
    session: Session, status: ReviewStatus | None, *, first: int | None, after: Place
) -> Page[IdentityReview]:
    """Reviews, the latest first."""
    size = page_size(first)
    statement = select(IdentityReview)
    if status is not None:
        statement = statement.where(IdentityReview.status == status)
    page = newest_first(statement, col(IdentityReview.found_at), col(IdentityReview.id), size=size, after=after)
    rows = (await session.exec(page)).all()
    return cut(rows, size, lambda row: (row.found_at.isoformat(), row.id), after)


async def check_choice(
    session: Session, review: IdentityReview, status: ReviewStatus, customer_id: str | None, named: set[str]
) -> None:
    """Raise ReviewChoiceInvalid for a decision by which the row could never go in, or would leave its name behind.

    One customer alone can be merged with nobody. What its source calls a customer of ours is not given to another:
    their records go by that name, so that they are merged, or it is kept.
    """
    if status == ReviewStatus.OPEN or (status == ReviewStatus.MERGED and len(named) < 2):
        raise ReviewChoiceInvalid(path=("decision",))
    if customer_id not in named and (customer_id is not None or status == ReviewStatus.MERGED):
        raise ReviewChoiceInvalid(path=("customerId",))
    owner = await customer_id_of(session, review.source, review.key)
    if status == ReviewStatus.KEPT_APART and customer_id is not None and owner not in (None, customer_id):
        raise ReviewChoiceInvalid(path=("customerId",), detail="the source's key is another customer's")


async def decide_review(
    session: Session,
    review_id: str,
    status: ReviewStatus,
    *,
    customer_id: str | None,
    actor: str,
    reason: str,
    now: datetime,
) -> IdentityReview:
    """Decide a review once; raises NotFound, Conflict where somebody has, ReviewChoiceInvalid, ReviewReasonInvalid.

    The row itself goes in when its source sends it again. To merge, `customer_id` is the one who stays. The reason
    stands in the review alone, which speaks of several, and goes when one of them is erased.
    """
    words = checked_reason(reason, ReviewReasonInvalid)
    review = await session.get(IdentityReview, review_id)
    if review is None:
        raise NotFound(path=("reviewId",))
    named = {one.customer_id for one in review.found}
    await check_choice(session, review, status, customer_id, named)
    decided = update(IdentityReview).where(
        col(IdentityReview.id) == review_id, col(IdentityReview.status) == ReviewStatus.OPEN
    )
    values = {"status": status, "customer_id": customer_id, "decided_by": actor, "decided_at": now, "reason": words}
    if not await changed_rows(session, decided.values(**values)):
        raise Conflict
    for one in sorted(named):
        await record_change(
            session,
            "customer",
            one,
            "identity_decided",
            actor=actor,
            now=now,
            review=review_id,
            to=status,
        )
    await session.refresh(review)
    return review
