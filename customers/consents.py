"""Consent: what a customer allows by purpose and channel; each word has its date and source, and none is changed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import AwareDatetime
from pydantic import Field as Setting
from sqlalchemy import Index
from sqlmodel import Field, col, select

from core.audit import record_change
from core.clock import iso
from core.db import Record, Session, insert_once, instant
from core.errors import BadUserInput
from core.ids import derived_id, new_id
from core.importing import Batch, ImportKind, ImportRow, Rejection

EVIDENCE = r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}$"


class ConsentPurpose(StrEnum):
    """What data or a channel is used for."""

    MARKETING = "MARKETING"
    PROFILING = "PROFILING"
    RECOMMENDATION = "RECOMMENDATION"
    DATA_SHARING = "DATA_SHARING"
    CARE = "CARE"
    RESEARCH = "RESEARCH"


class ConsentChannel(StrEnum):
    """By which a customer is reached; ALL is whatever channel."""

    ALL = "ALL"
    APP = "APP"
    SMS = "SMS"
    EMAIL = "EMAIL"
    PHONE = "PHONE"
    WECHAT = "WECHAT"
    POST = "POST"


class ConsentStatus(StrEnum):
    """DENIED was never granted, REVOKED was."""

    GRANTED = "GRANTED"
    DENIED = "DENIED"
    REVOKED = "REVOKED"


class EvidenceInvalid(BadUserInput):
    code = "CONSENT_EVIDENCE_INVALID"
    en = "Name the document that proves it: up to 100 letters, digits and . _ : / -"
    zh = "请填写证明材料编号：至多100个字母、数字及 . _ : / -"


class Consent(Record, table=True):
    """One word of a customer on one purpose and channel; the latest counts, and none is changed."""

    __table_args__ = (Index("ix_consent_customer", "customer_id", "purpose", "channel", "given_at", "id"),)

    id: str = Field(primary_key=True)
    customer_id: str
    purpose: str
    channel: str
    status: str
    source: str
    evidence: str | None = None
    given_by: str
    given_at: datetime = instant()
    recorded_at: datetime = instant()


@dataclass(frozen=True, slots=True)
class Word:
    """What is said: by whom, and by what it is proved where not by the customer's own hand."""

    purpose: ConsentPurpose
    channel: ConsentChannel
    given_by: str
    source: str
    evidence: str | None = None


def checked_evidence(text: str | None, *, needed: bool) -> str | None:
    """The name of a document, in a form that has no room for words about a person; raises EvidenceInvalid."""
    if text is None and not needed:
        return None
    if text is None or re.fullmatch(EVIDENCE, text) is None:
        raise EvidenceInvalid(path=("evidence",))
    return text


async def grant_consent(session: Session, customer_id: str, word: Word, *, now: datetime) -> Consent:
    """Note that a customer allows it."""
    return await put_consent(session, customer_id, word, ConsentStatus.GRANTED, now=now)


async def revoke_consent(session: Session, customer_id: str, word: Word, *, now: datetime) -> Consent:
    """Note that a customer allows it no more, or never did."""
    had = await has_consent(session, customer_id, word.purpose, word.channel, now=now)
    status = ConsentStatus.REVOKED if had else ConsentStatus.DENIED
    return await put_consent(session, customer_id, word, status, now=now)


async def put_consent(
    session: Session, customer_id: str, word: Word, status: ConsentStatus, *, now: datetime
) -> Consent:
    row = Consent(
        id=new_id(),
        customer_id=customer_id,
        purpose=word.purpose,
        channel=word.channel,
        status=status,
        source=word.source,
        evidence=word.evidence,
        given_by=word.given_by,
        given_at=now,
        recorded_at=now,
    )
    session.add(row)
    said = {"purpose": word.purpose.value, "channel": word.channel.value, "status": status.value}
    await record_change(session, "customer", customer_id, "consent_noted", actor=word.given_by, now=now, **said)
    await session.flush()
    return row


async def consents_of(session: Session, customer_id: str, *, at: datetime) -> Sequence[Consent]:
    """The word that counted at an instant for each purpose and channel of which there was one."""
    statement = select(Consent).where(Consent.customer_id == customer_id, Consent.given_at <= at)
    ordered = statement.order_by(col(Consent.purpose), col(Consent.channel), col(Consent.given_at), col(Consent.id))
    latest = {(row.purpose, row.channel): row for row in (await session.exec(ordered)).all()}
    return list(latest.values())


async def history_of(session: Session, customer_id: str) -> Sequence[Consent]:
    """Every word, the latest first."""
    statement = select(Consent).where(Consent.customer_id == customer_id)
    return (await session.exec(statement.order_by(col(Consent.given_at).desc(), col(Consent.id).desc()))).all()


async def has_consent(
    session: Session, customer_id: str, purpose: ConsentPurpose, channel: ConsentChannel, *, now: datetime
) -> bool:
    """Whether a customer allows it; without a word they do not.

    What is said of a channel is lifted by a later refusal of all channels, and not by a later general grant.
    """
    words = {row.channel: row for row in await consents_of(session, customer_id, at=now) if row.purpose == purpose}
    return counts(words.get(channel), words.get(ConsentChannel.ALL))


def counts(own: Consent | None, general: Consent | None) -> bool:
    """Whether the word on a channel and the one on all of them allow it together."""
    if own is None:
        return general is not None and general.status == ConsentStatus.GRANTED
    if own.status != ConsentStatus.GRANTED:
        return False
    refused = general is not None and general.status != ConsentStatus.GRANTED
    return not (refused and general is not None and general.given_at > own.given_at)


class ConsentRow(ImportRow):
    """What a customer has said to the bank before; `evidence` names a document and says nothing of a person."""

    customer_fields: ClassVar[tuple[str, ...]] = ("customer",)

    customer: Annotated[str, Setting(min_length=1, max_length=200)]
    purpose: ConsentPurpose
    channel: ConsentChannel
    status: ConsentStatus
    given_at: AwareDatetime
    evidence: Annotated[str, Setting(pattern=EVIDENCE)] | None = None


async def write_consents(batch: Batch[ConsentRow]) -> list[Rejection]:
    """Each word once for its customer, purpose, channel and instant."""
    rejected = [
        Rejection(item.line, "given_at", "it lies in the future")
        for item in batch.rows
        if item.row.given_at > batch.now
    ]
    lines = {one.line for one in rejected}
    rows = [consent_values(batch, item.row) for item in batch.rows if item.line not in lines]
    await insert_once(batch.session, Consent, sorted(rows, key=lambda row: str(row["id"])), "id")
    return rejected


def consent_values(batch: Batch[ConsentRow], row: ConsentRow) -> dict[str, str | datetime | None]:
    customer_id = batch.customers[row.customer]
    said = (row.purpose.value, row.channel.value)
    return {
        "id": derived_id("consent", batch.source, customer_id, *said, iso(row.given_at)),
        "customer_id": customer_id,
        "purpose": said[0],
        "channel": said[1],
        "status": row.status.value,
        "source": batch.source,
        "evidence": row.evidence,
        "given_by": batch.source,
        "given_at": row.given_at,
        "recorded_at": batch.now,
    }


KINDS = (ImportKind("consent", ConsentRow, write_consents),)
