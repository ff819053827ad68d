"""Ids are UUIDv7: they sort by creation, so that an index on them pages in order of time."""

import base64
import binascii
import re
import uuid

import uuid_utils

# Names a key space of our own; version 5 ids computed in it are the same on every machine.
NAMESPACE = uuid.UUID("6e1c2d0e-8f3a-5b7c-9d4e-2f1a3b5c7d9e")
# To make a `uuid.UUID` of each takes several times as long, and every argument that is an id is looked at.
USUAL_FORM = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
URL_SAFE = bytes.maketrans(b"+/", b"-_")


def new_id() -> str:
    """A fresh UUIDv7 as its 36 characters."""
    return str(uuid_utils.uuid7())


def derived_id(*parts: str) -> str:
    """The one id that these parts always give, for effects that must be the same when done twice."""
    return str(uuid.uuid5(NAMESPACE, "\x1f".join(parts)))


def is_id(value: str) -> bool:
    """Whether this is a UUID in its usual form, in small letters or large ones."""
    return USUAL_FORM.fullmatch(value) is not None


def opaque(raw: bytes) -> str:
    """Base64 as addresses take it, without its padding (RFC 4648, section 5); the library's own way takes four times as
    long, and there are hundreds in an answer."""
    return binascii.b2a_base64(raw, newline=False).translate(URL_SAFE, b"=").decode()


def raw_of(text: str) -> bytes:
    """What `opaque` made a text of; raises ValueError for any other text."""
    return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
