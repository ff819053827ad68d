"""Where the core names customers."""

from core.audit import AuditEntry
from core.facts import Fact
from core.traces import Trace, WhenErased, WhenMerged

NO_WORDS: dict[str, None] = {"reason": None}
PAST = "what was done to whom is not rewritten; old ids are erased with who they lead to"

TRACES = (
    Trace(
        Fact,
        "customer_id",
        WhenErased.BLANKED,
        WhenMerged.MOVED,
        "a fact explains points, what its source said besides goes",
        blank={"payload": {}},
    ),
    Trace(AuditEntry, "concerns", WhenErased.BLANKED, WhenMerged.KEPT, PAST, blank=NO_WORDS),
    Trace(AuditEntry, "area", WhenErased.KEPT, WhenMerged.KEPT, "`concerns` says it of all acts", is_exported=False),
    Trace(AuditEntry, "subject", WhenErased.KEPT, WhenMerged.KEPT, "`concerns` says it of all acts", is_exported=False),
    Trace(AuditEntry, "actor", WhenErased.KEPT, WhenMerged.KEPT, "who acted is proof for others"),
)
