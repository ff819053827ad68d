"""Who a person is: normalised contact data and a keyed hash of the identity document."""

import hashlib
import hmac

import phonenumbers

# Numbers without a country prefix are read as Chinese ones.
HOME_REGION = "CN"


def identity_hash(key: str, document: str) -> str:
    """HMAC-SHA-256 of the document number, spaces and case ignored; the number itself is never stored."""
    plain = "".join(document.split()).upper()
    return hmac.new(key.encode(), plain.encode(), hashlib.sha256).hexdigest()


def normal_phone(text: str | None) -> str | None:
    """The number in E.164; None when there is none; raises ValueError when it cannot be a number."""
    if not text:
        return None
    try:
        number = phonenumbers.parse(text, HOME_REGION)
    except phonenumbers.NumberParseException as error:
        raise ValueError("not a telephone number") from error
    if not phonenumbers.is_possible_number(number):
        raise ValueError("not a telephone number")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def normal_email(text: str | None) -> str | None:
    """Lower case, without a `+tag`, and for Gmail without dots, so that one mailbox is one address."""
    if not text:
        return None
    local, at, domain = text.strip().lower().rpartition("@")
    if not at or not local or "." not in domain or any(char.isspace() for char in local + domain):
        raise ValueError("not an e-mail address")
    local = local.split("+", 1)[0]
    if domain in ("gmail.com", "googlemail.com"):
        local, domain = local.replace(".", ""), "gmail.com"
    if not local:
        raise ValueError("not an e-mail address")
    return f"{local}@{domain}"
