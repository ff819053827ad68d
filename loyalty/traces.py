"""Where the books name customers; loyalty/erasure.py closes them and takes the words out."""

from core.traces import Trace, WhenErased, WhenMerged
from loyalty.adjustments import Adjustment
from loyalty.charges import EventCharge
from loyalty.earning import Earning
from loyalty.ledger import LedgerAccount
from loyalty.lots import LedgerLot
from loyalty.redemption_records import Redemption
from loyalty.transfers import PointsTransfer

BOOKS = "the books stay, under the id that is nobody's"
PAST = "points that are left move by postings; what was booked before stays where it was"

TRACES = (
    Trace(LedgerAccount, "customer_id", WhenErased.OWN, WhenMerged.OWN, BOOKS),
    Trace(LedgerLot, "customer_id", WhenErased.OWN, WhenMerged.OWN, BOOKS),
    Trace(Adjustment, "customer_id", WhenErased.OWN, WhenMerged.KEPT, PAST),
    Trace(Redemption, "customer_id", WhenErased.OWN, WhenMerged.KEPT, PAST),
    Trace(PointsTransfer, "sender_id", WhenErased.OWN, WhenMerged.KEPT, PAST),
    Trace(PointsTransfer, "receiver_id", WhenErased.OWN, WhenMerged.KEPT, PAST),
    Trace(EventCharge, "customer_id", WhenErased.KEPT, WhenMerged.KEPT, PAST),
    Trace(Earning, "customer_id", WhenErased.KEPT, WhenMerged.KEPT, PAST),
)
