"""What a day of a customer is about, what becomes of the greeting that it brings, and why none was sent."""

from enum import StrEnum

from service.care_calendar import Festival


class CareKind(StrEnum):
    """Of each a customer has one at most; the order is that in which one stands before another on the same day."""

    BIRTHDAY = "BIRTHDAY"
    WEDDING = "WEDDING"
    WITH_BANK = "WITH_BANK"


class CareSource(StrEnum):
    """Who told of a day: the customer, who looks after them, or the profile that the bank's systems keep."""

    CUSTOMER = "CUSTOMER"
    STAFF = "STAFF"
    PROFILE = "PROFILE"


class CareStatus(StrEnum):
    """Only PLANNED changes. OWED: the message is owed, and whoever sends messages does the rest."""

    PLANNED = "PLANNED"
    OWED = "OWED"
    SUPPRESSED = "SUPPRESSED"
    MISSED = "MISSED"


class CareSilence(StrEnum):
    """Why a greeting was not sent."""

    DAY_IS_OVER = "DAY_IS_OVER"
    GONE = "GONE"
    DATE_REMOVED = "DATE_REMOVED"
    QINGMING = "QINGMING"
    MUTED = "MUTED"
    OPEN_COMPLAINT = "OPEN_COMPLAINT"
    NO_CONSENT = "NO_CONSENT"
    CONSENT_REVOKED = "CONSENT_REVOKED"
    OTHER_GREETING = "OTHER_GREETING"


FESTIVAL = "FESTIVAL"
KINDS = list(CareKind)
FESTIVALS = list(Festival)


def rank_of(occasion: CareKind | Festival) -> int:
    """Which of two occasions of one day is greeted: the lower one. A person's own day stands before all festivals."""
    return KINDS.index(occasion) if isinstance(occasion, CareKind) else len(KINDS) + FESTIVALS.index(occasion)
