"""What a customer is to be sent: any room owes it, and the service room decides whether, when and by which channel."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

# The topic of a message that is owed; its key is the message's own, so that nothing is sent twice.
MESSAGE_OWED = "message.owed"


class MessageCategory(StrEnum):
    """What a message is for, by which it is decided: consents, caps, quiet hours and mutes differ."""

    SERVICE = "SERVICE"
    CARE = "CARE"
    MARKETING = "MARKETING"
    SURVEY = "SURVEY"


def message(
    category: MessageCategory,
    *,
    customer_id: str,
    template: str,
    subject: str,
    values: Mapping[str, str] | None = None,
    expires_at: datetime | None = None,
) -> dict[str, Any]:
    """The payload of a message that is owed.

    `template` names its words in both languages, `values` what stands in them (nothing personal: names are put in
    when it is sent), `subject` the id of what it is about. After `expires_at` it is not sent any more.
    """
    return {
        "category": category,
        "customer_id": customer_id,
        "template": template,
        "subject": subject,
        "values": dict(values or {}),
        "expires_at": expires_at.isoformat() if expires_at else None,
    }
