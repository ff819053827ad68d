"""Where the room of customers names them."""

from core.traces import Trace, WhenErased, WhenMerged
from customers.access import BreakGlass
from customers.alerts import Alert, AlertGuard
from customers.consents import Consent
from customers.erasure import CustomerErasure
from customers.merging import CustomerMerge
from customers.needs import Need, NeedGuard
from customers.personal import COLUMNS, PersonalKey
from customers.profiles import Customer, CustomerAlias
from customers.records import (
    Account,
    AccountTransaction,
    ChannelPreference,
    Holding,
    MonthlyBalance,
    ServiceRecord,
)
from customers.reviews import IdentityReview, IdentityReviewCustomer
from customers.tier_records import TierChange, TierDecision, TierOverride

RECORD = "what the bank's systems tell of a person; they keep the original"
THOUGHT = "what the system thinks of a person; the survivor's own stands"
REPORT = "the report itself, which names nobody any more"

TRACES = (
    Trace(
        Customer,
        "id",
        WhenErased.OWN,
        WhenMerged.OWN,
        "the row stays as the pseudonym, without anything personal",
        hidden=(*COLUMNS, "phone_hash", "email_hash", "identity_hash"),
    ),
    Trace(Customer, "merged_into", WhenErased.KEPT, WhenMerged.OWN, "an old id leads on", is_exported=False),
    Trace(CustomerAlias, "customer_id", WhenErased.OWN, WhenMerged.OWN, "its keyed hash stays, so that it stays away"),
    Trace(
        PersonalKey,
        "customer_id",
        WhenErased.OWN,
        WhenMerged.OWN,
        "without it no copy opens; it is destroyed first",
        is_exported=False,
    ),
    Trace(IdentityReview, "customer_id", WhenErased.OWN, WhenMerged.KEPT, "a decision of its time"),
    Trace(IdentityReviewCustomer, "customer_id", WhenErased.KEPT, WhenMerged.KEPT, "a decision of its time"),
    Trace(
        Consent,
        "customer_id",
        WhenErased.BLANKED,
        WhenMerged.MOVED,
        "what was allowed when is proof, under the id that is nobody's",
        blank={"evidence": None},
    ),
    Trace(Consent, "given_by", WhenErased.KEPT, WhenMerged.KEPT, "who noted it, as it was then", is_exported=False),
    Trace(
        BreakGlass,
        "customer_id",
        WhenErased.BLANKED,
        WhenMerged.MOVED,
        "who looked is proof against them",
        blank={"reason": ""},
    ),
    Trace(CustomerErasure, "customer_id", WhenErased.KEPT, WhenMerged.KEPT, REPORT),
    Trace(CustomerMerge, "survivor_id", WhenErased.BLANKED, WhenMerged.KEPT, REPORT, blank={"reason": ""}),
    Trace(CustomerMerge, "merged_id", WhenErased.BLANKED, WhenMerged.KEPT, REPORT, blank={"reason": ""}),
    *(
        Trace(model, "customer_id", WhenErased.DELETED, WhenMerged.MOVED, RECORD)
        for model in (Account, Holding, AccountTransaction, ServiceRecord)
    ),
    Trace(
        MonthlyBalance,
        "customer_id",
        WhenErased.DELETED,
        WhenMerged.MOVED,
        RECORD,
        clash=("month", "source", "customer_key"),
    ),
    Trace(
        ChannelPreference,
        "customer_id",
        WhenErased.DELETED,
        WhenMerged.MOVED,
        RECORD,
        clash=("channel", "source", "customer_key"),
    ),
    Trace(
        TierDecision,
        "customer_id",
        WhenErased.DELETED,
        WhenMerged.MOVED,
        "each month was decided from the one before of the same profile; where both have some, one keeps its id",
        clash=(),
        keeps_clash=True,
    ),
    Trace(TierChange, "customer_id", WhenErased.DELETED, WhenMerged.MOVED, THOUGHT),
    Trace(
        TierOverride,
        "customer_id",
        WhenErased.DELETED,
        WhenMerged.MOVED,
        "what staff set for a person; the survivor's of the same status stands, the other ends under the old id",
        clash=("status",),
        keeps_clash=True,
    ),
    Trace(Alert, "customer_id", WhenErased.DELETED, WhenMerged.MOVED, THOUGHT),
    Trace(AlertGuard, "customer_id", WhenErased.DELETED, WhenMerged.MOVED, THOUGHT, clash=("cause",)),
    Trace(Need, "customer_id", WhenErased.DELETED, WhenMerged.MOVED, THOUGHT),
    Trace(NeedGuard, "customer_id", WhenErased.DELETED, WhenMerged.MOVED, THOUGHT, clash=("kind",)),
)
