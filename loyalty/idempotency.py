"""Keys by which a caller asks for the same thing twice and has it done once."""

import hashlib
from collections.abc import Sequence

import orjson

from core.errors import BadUserInput, Refusal

SHORTEST_KEY = 8
LONGEST_KEY = 100


class IdempotencyKeyInvalid(BadUserInput):
    code = "IDEMPOTENCY_KEY_INVALID"
    en = f"An idempotency key has {SHORTEST_KEY} to {LONGEST_KEY} characters."
    zh = f"幂等键需为{SHORTEST_KEY}至{LONGEST_KEY}个字符。"


class IdempotencyKeyReused(Refusal):
    code = "IDEMPOTENCY_KEY_REUSED"
    en = "This key was already used for something else."
    zh = "该幂等键已用于其他请求。"


def check_key(key: str) -> None:
    """Raise IdempotencyKeyInvalid for a key of another length, or with NUL, which no SQL engine takes."""
    if not SHORTEST_KEY <= len(key) <= LONGEST_KEY or "\0" in key:
        raise IdempotencyKeyInvalid(path=("idempotencyKey",))


def check_same(known: Sequence[object], asked: Sequence[object]) -> None:
    """Raise IdempotencyKeyReused unless the key is used again with all the arguments of its first use."""
    if tuple(known) != tuple(asked):
        raise IdempotencyKeyReused(path=("idempotencyKey",))


def fingerprint(*arguments: object) -> str:
    """SHA-256 over arguments that are too many to be kept, or that are secret."""
    return hashlib.sha256(orjson.dumps(arguments)).hexdigest()
