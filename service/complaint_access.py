"""Who is what to a complaint: its owner acts, officers see to it, who is accused sees almost nothing of it."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from core.errors import NotFound, Refusal
from core.principal import Principal, Role
from service.complaint_records import Complaint

STAFF = (Role.RELATIONSHIP_MANAGER, Role.COMPLAINTS_OFFICER, Role.ADMINISTRATOR)


class ComplaintNotYours(Refusal):
    code = "COMPLAINT_NOT_YOURS"
    en = "Somebody else is to do this."
    zh = "此操作应由其他人员完成。"


class AccusedCannotHandle(Refusal):
    code = "ACCUSED_CANNOT_HANDLE"
    en = "Whom a complaint is about cannot handle it."
    zh = "被投诉人不得处理该投诉。"


class Seat(StrEnum):
    """As what somebody sees a complaint; who is ACCUSED is told what about, and neither by whom nor in which words."""

    COMPLAINANT = "COMPLAINANT"
    OWNER = "OWNER"
    CANDIDATE = "CANDIDATE"
    OFFICER = "OFFICER"
    MANAGER = "MANAGER"
    ACCUSED = "ACCUSED"


@dataclass(frozen=True, slots=True)
class Hand:
    """Who acts: as what, and under which name; customers act under none."""

    seat: Seat
    employee: str | None = None
    is_officer: bool = False
    is_administrator: bool = False

    def needs(self, *seats: Seat) -> None:
        """Raise ComplaintNotYours unless it is one of these."""
        if self.seat not in seats:
            raise ComplaintNotYours(path=("complaintId",))


def seat_of(complaint: Complaint, accused: Collection[str], principal: Principal, *, in_care: bool) -> Seat | None:
    """As what somebody sees a complaint; `in_care`: they look after its customer. None for who does not see it at all.

    Who is accused is so before anything else: neither role nor care gives them more.
    """
    if principal.customer_id == complaint.customer_id:
        return Seat.COMPLAINANT
    if not principal.has(*STAFF):
        return None
    if principal.subject in accused:
        return Seat.ACCUSED
    if principal.subject == complaint.owner:
        return Seat.OWNER
    if principal.subject == complaint.hand_off_to:
        return Seat.CANDIDATE
    if principal.has(Role.COMPLAINTS_OFFICER, Role.ADMINISTRATOR):
        return Seat.OFFICER
    return Seat.MANAGER if in_care else None


def hand_of(complaint: Complaint, accused: Collection[str], principal: Principal, *, in_care: bool) -> Hand:
    """Who acts on a complaint; raises NotFound for who does not see it."""
    seat = seat_of(complaint, accused, principal, in_care=in_care)
    if seat is None:
        raise NotFound(path=("complaintId",))
    if seat == Seat.COMPLAINANT:
        return Hand(seat)
    is_officer = principal.has(Role.COMPLAINTS_OFFICER, Role.ADMINISTRATOR)
    return Hand(seat, principal.subject, is_officer, principal.is_administrator)
