"""Addresses of exported statements: short-lived, signed by the server, bound to one customer and one range.

A token is what the statement shall hold, its last second, and an HMAC-SHA256 over both. Nothing of it is stored.
"""

import hashlib
import hmac
import struct
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Literal

from core.ids import opaque, raw_of

LIFETIME = timedelta(minutes=10)
# Version, customer, first and last instant in microseconds since 1970 (the least number: none), format, language,
# and the last second in which the address is good.
FORM = struct.Struct(">B16sqqBBQ")
VERSION = 1
DOMAIN = b"kinship statement\x00"
LONGEST = 200
NO_INSTANT = -(2**63)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, Language] = ("zh", "en")


class StatementFormat(StrEnum):
    """How a statement is written."""

    CSV = "CSV"
    HTML = "HTML"


FORMATS = tuple(StatementFormat)


@dataclass(frozen=True, slots=True)
class StatementOrder:
    """What a statement shall hold: a customer's entries booked from an instant on (none: all) and before another."""

    customer_id: str
    booked_from: datetime | None
    booked_before: datetime
    format: StatementFormat
    language: Language


def sign_order(key: str, order: StatementOrder, *, now: datetime) -> tuple[str, datetime]:
    """The token of an order, and until when it is good."""
    expires_at = (now + LIFETIME).replace(microsecond=0)
    body = FORM.pack(
        VERSION,
        uuid.UUID(order.customer_id).bytes,
        NO_INSTANT if order.booked_from is None else (order.booked_from - EPOCH) // MICROSECOND,
        (order.booked_before - EPOCH) // MICROSECOND,
        FORMATS.index(order.format),
        LANGUAGES.index(order.language),
        int(expires_at.timestamp()),
    )
    return opaque(body + mac_of(key, body)), expires_at


def read_order(key: str, token: str, *, now: datetime) -> StatementOrder | None:
    """The order of a token that is ours and still good; None for any other text."""
    if len(token) > LONGEST:
        return None
    try:
        raw = raw_of(token)
    except ValueError:
        return None
    body, signature = raw[: FORM.size], raw[FORM.size :]
    if len(body) != FORM.size or not hmac.compare_digest(signature, mac_of(key, body)):
        return None
    version, customer, begin, end, format, language, last_second = FORM.unpack(body)
    if version != VERSION or now.timestamp() > last_second:
        return None
    return StatementOrder(
        str(uuid.UUID(bytes=customer)),
        None if begin == NO_INSTANT else EPOCH + begin * MICROSECOND,
        EPOCH + end * MICROSECOND,
        FORMATS[format],
        LANGUAGES[language],
    )


def mac_of(key: str, body: bytes) -> bytes:
    return hmac.new(key.encode(), DOMAIN + body, hashlib.sha256).digest()
