"""Check-in codes: short-lived, signed by the server, bound to one event and one registration.

A code is the event's and the customer's id, which name the registration, its last second, and an HMAC-SHA256 over
all of them, as one word that a QR code carries. Nothing of it is stored: who scans it late or offline hands in the
time of the scan, and the code is judged at that time.
"""

import hashlib
import hmac
import struct
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from core.errors import Refusal
from core.ids import opaque, raw_of

LIFETIME = timedelta(minutes=5)
# Clocks of phones may be ahead of ours or behind by this much.
LEEWAY = timedelta(minutes=1)

# A version, so that codes of another form are never taken for one of these; two ids; seconds since 1970.
FORM = struct.Struct(">B16s16sQ")
VERSION = 1
DOMAIN = b"kinship check-in code\x00"
LONGEST = 200


class CodeInvalid(Refusal):
    code = "CODE_INVALID"
    en = "This is not a check-in code of ours for this event."
    zh = "签到码无效。"


class CodeExpired(Refusal):
    code = "CODE_EXPIRED"
    en = "This check-in code has expired. Please refresh it."
    zh = "签到码已过期，请刷新。"


@dataclass(frozen=True, slots=True)
class CheckInCode:
    """A code and until when it can be scanned."""

    text: str
    expires_at: datetime


def make_code(key: str, *, event_id: str, customer_id: str, now: datetime) -> CheckInCode:
    """A fresh code of a registration; ask again when it has expired."""
    expires_at = (now + LIFETIME).replace(microsecond=0)
    body = FORM.pack(VERSION, uuid.UUID(event_id).bytes, uuid.UUID(customer_id).bytes, int(expires_at.timestamp()))
    return CheckInCode(opaque(body + sign(key, body)), expires_at)


def read_code(key: str, text: str, *, scanned_at: datetime) -> tuple[str, str]:
    """Event and customer of a code that was good when it was scanned; raises CodeInvalid, CodeExpired."""
    if len(text) > LONGEST:
        raise CodeInvalid(path=("code",))
    try:
        raw = raw_of(text)
    except ValueError as error:
        raise CodeInvalid(path=("code",)) from error
    body, signature = raw[: FORM.size], raw[FORM.size :]
    if len(body) != FORM.size or not hmac.compare_digest(signature, sign(key, body)):
        raise CodeInvalid(path=("code",))
    version, event, customer, last_second = FORM.unpack(body)
    if version != VERSION:
        raise CodeInvalid(path=("code",))
    expires_at = datetime.fromtimestamp(last_second, UTC)
    if not expires_at - LIFETIME - LEEWAY <= scanned_at <= expires_at + LEEWAY:
        raise CodeExpired(path=("code",))
    return str(uuid.UUID(bytes=event)), str(uuid.UUID(bytes=customer))


def sign(key: str, body: bytes) -> bytes:
    return hmac.new(key.encode(), DOMAIN + body, hashlib.sha256).digest()
