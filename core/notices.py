"""What a customer can be told of: any room owes a notice, and the service room stores it."""

from enum import StrEnum

# The topic of a notice that is owed; its payload names the customer, the kind and what it is about.
NOTICE_OWED = "notice.owed"


class NoticeKind(StrEnum):
    """What a customer can be told of."""

    MEMBERSHIP_REQUESTED = "MEMBERSHIP_REQUESTED"
    MEMBERSHIP_APPROVED = "MEMBERSHIP_APPROVED"
    MEMBERSHIP_REJECTED = "MEMBERSHIP_REJECTED"
    INVITED = "INVITED"
    REMOVED = "REMOVED"
    BANNED = "BANNED"
    ROLE_CHANGED = "ROLE_CHANGED"
    MENTIONED = "MENTIONED"
    COMMENTED = "COMMENTED"
    REPLIED = "REPLIED"
    ANSWER_ACCEPTED = "ANSWER_ACCEPTED"
    REPORT_RESOLVED = "REPORT_RESOLVED"
    CONTENT_REMOVED = "CONTENT_REMOVED"
    EVENT_CHANGED = "EVENT_CHANGED"
    EVENT_CANCELLED = "EVENT_CANCELLED"
    SERIES_CANCELLED = "SERIES_CANCELLED"
    EVENT_MESSAGE = "EVENT_MESSAGE"
    EVENT_REMINDER = "EVENT_REMINDER"
    FEEDBACK_ASKED = "FEEDBACK_ASKED"
    PLACE_OFFERED = "PLACE_OFFERED"
    PLACE_GIVEN = "PLACE_GIVEN"
    OFFER_EXPIRED = "OFFER_EXPIRED"
    PAYMENT_FAILED = "PAYMENT_FAILED"
    REGISTRATION_CANCELLED = "REGISTRATION_CANCELLED"
    REDEMPTION_FULFILLED = "REDEMPTION_FULFILLED"
    REDEMPTION_FAILED = "REDEMPTION_FAILED"
    REDEMPTION_CANCELLED = "REDEMPTION_CANCELLED"
    REDEMPTION_EXPIRED = "REDEMPTION_EXPIRED"
    DIGEST = "DIGEST"
    MESSAGE = "MESSAGE"
    OTHER = "OTHER"


# What a customer has to know to keep a promise or a place, or has lost: nobody switches it off.
ALWAYS_TOLD = frozenset(
    {
        NoticeKind.EVENT_CANCELLED,
        NoticeKind.SERIES_CANCELLED,
        NoticeKind.REGISTRATION_CANCELLED,
        NoticeKind.PLACE_OFFERED,
        NoticeKind.PAYMENT_FAILED,
        NoticeKind.REDEMPTION_FAILED,
        NoticeKind.REDEMPTION_CANCELLED,
        NoticeKind.REDEMPTION_EXPIRED,
        NoticeKind.REMOVED,
        NoticeKind.BANNED,
        # Whether a message is wanted was decided before it became a notice.
        NoticeKind.MESSAGE,
    }
)


def notice_kind(name: str) -> NoticeKind:
    """The kind of this name; OTHER for a name that is not known (yet)."""
    return NoticeKind(name) if name in NoticeKind.__members__ else NoticeKind.OTHER
