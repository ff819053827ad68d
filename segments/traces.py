"""Where what is known of customers names them."""

from core.traces import Trace, WhenErased, WhenMerged
from segments.tagging import CustomerTag
from segments.tiering import CustomerTier
from segments.traits import CustomerTrait

TRACES = (
    Trace(
        CustomerTag,
        "customer_id",
        WhenErased.DELETED,
        WhenMerged.MOVED,
        "a tag is about a person; of two that are open for one word the survivor's stands",
        clash=("tag_key", "ended_at"),
    ),
    Trace(
        CustomerTrait,
        "customer_id",
        WhenErased.DELETED,
        WhenMerged.MOVED,
        "a trait is about a person; the survivor's own stands",
        clash=("name", "item"),
    ),
    Trace(
        CustomerTier,
        "customer_id",
        WhenErased.DELETED,
        WhenMerged.MOVED,
        "a tier is computed anew from what has moved",
        clash=(),
    ),
)
