"""Sealing: AES-256-GCM under a data key of each owner, which is wrapped by a key ring from the environment.

Whoever destroys an owner's data key has destroyed what was sealed by it, in every copy of the data. What has to be
found again without being opened has a keyed hash beside it.
"""

import base64
import binascii
import hashlib
import hmac
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.errors import Unavailable

KEY_BYTES = 32
NONCE_BYTES = 12


class PersonalDataLocked(Unavailable):
    code = "PERSONAL_DATA_LOCKED"
    en = "Personal data cannot be opened at the moment."
    zh = "个人信息暂时无法读取。"


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys that wrap data keys, by their numbers; `newest` wraps, all of them unwrap."""

    newest: int
    keys: Mapping[int, bytes] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `number:base64,…`, the newest first; raises ValueError, which quotes nothing of a key."""
        keys: dict[int, bytes] = {}
        for part in text.split(","):
            number, colon, encoded = part.strip().partition(":")
            try:
                key = base64.b64decode(encoded, validate=True)
            except binascii.Error:
                key = b""
            if not colon or not number.isdecimal() or len(key) != KEY_BYTES or int(number) in keys:
                raise ValueError("keys are written number:base64, each of 32 bytes with a number of its own")
            keys[int(number)] = key
        return cls(next(iter(keys)), keys)

    def wrap(self, data_key: bytes, owner: str) -> str:
        """A data key under the newest key; its owner is needed again to unwrap it."""
        return encrypt(self.keys[self.newest], data_key, f"key:{owner}")

    def unwrap(self, key_id: int, wrapped: str, owner: str) -> bytes:
        """The data key; raises PersonalDataLocked where the ring has not the key that wrapped it."""
        if key_id not in self.keys:
            raise PersonalDataLocked(detail=f"PERSONAL_DATA_KEYS has no key {key_id}")
        return decrypt(self.keys[key_id], wrapped, f"key:{owner}")


def new_data_key() -> bytes:
    return os.urandom(KEY_BYTES)


def seal(data_key: bytes, text: str, *, owner: str, column: str) -> str:
    """The text, sealed for this owner and column alone: copied to another place it does not open."""
    return encrypt(data_key, text.encode(), f"{owner}:{column}")


def unseal(data_key: bytes, sealed: str, *, owner: str, column: str) -> str:
    """What was sealed for this owner and column; raises PersonalDataLocked for anything else."""
    return decrypt(data_key, sealed, f"{owner}:{column}").decode()


def unseal_what_opens(data_key: bytes | None, sealed: str | None, *, owner: str, column: str) -> str | None:
    """Likewise; None for what is not there, without a key, and for what does not open by it.

    What was sealed for a profile that is being merged opens when its rows have moved.
    """
    if sealed is None or data_key is None:
        return None
    try:
        return unseal(data_key, sealed, owner=owner, column=column)
    except PersonalDataLocked:
        return None


def encrypt(key: bytes, plain: bytes, context: str) -> str:
    nonce = os.urandom(NONCE_BYTES)
    return base64.b64encode(nonce + AESGCM(key).encrypt(nonce, plain, context.encode())).decode()


def decrypt(key: bytes, text: str, context: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
        return AESGCM(key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], context.encode())
    except (InvalidTag, ValueError) as error:
        raise PersonalDataLocked(detail="sealed data does not open by its key") from error


def blind_hash(hash_key: str, use: str, value: str) -> str:
    """A keyed hash by which equal values are found; each use has a key of its own, so that none betrays another."""
    own = hmac.new(hash_key.encode(), f"kinship/{use}".encode(), hashlib.sha256).digest()
    return hmac.new(own, value.encode(), hashlib.sha256).hexdigest()


def keyed_id(hash_key: str, *parts: str) -> str:
    """The one id that these parts give to whoever has the key: a UUID of version 8, which nobody else can recompute."""
    number = int(blind_hash(hash_key, "id", "\x1f".join(parts))[:32], 16)
    number = number & ~(0xF << 76) | 0x8 << 76
    return str(uuid.UUID(int=number & ~(0x3 << 62) | 0x2 << 62))
