"""What a person is recognised by besides a name: devices, cards, addresses, known to us as keyed hashes only.

The plain value is hashed where it comes in, before anything is stored; neither store can be read backwards.
"""

import hashlib
import hmac
import unicodedata
from enum import StrEnum

LONGEST_VALUE = 500


class IdentifierKind(StrEnum):
    """What several customers can have in common."""

    DEVICE = "DEVICE"
    CARD = "CARD"
    ADDRESS = "ADDRESS"


# Facts that tell of one; their payload is {"value": …}, of which {"identifier": key} is kept.
IDENTIFYING_FACTS = {
    "DEVICE_SEEN": IdentifierKind.DEVICE,
    "CARD_LINKED": IdentifierKind.CARD,
    "ADDRESS_CHANGED": IdentifierKind.ADDRESS,
}


def normal_identifier(value: str) -> str:
    """Letters and digits alone, in one width and case, so that spaces and hyphens make no second identifier."""
    plain = unicodedata.normalize("NFKC", value).casefold()
    return "".join(char for char in plain if char.isalnum())


def identifier_key(hash_key: str, kind: IdentifierKind, value: str) -> str:
    """The first 128 bits of HMAC-SHA-256 over kind and value, in hexadecimal; raises ValueError for an empty value."""
    plain = normal_identifier(value)
    if not plain or len(value) > LONGEST_VALUE:
        raise ValueError(f"1 to {LONGEST_VALUE} characters with a letter or digit")
    message = f"identifier:{kind}:{plain}"
    return hmac.new(hash_key.encode(), message.encode(), hashlib.sha256).hexdigest()[:32]
