"""Where what is promised, said and done for customers names them."""

from core.traces import Trace, WhenErased, WhenMerged
from service.action_plan_records import ActionPlan, ActionPlanStep
from service.advice import AdviceQuestion, AdviceThread
from service.advice_notes import AdviceNote
from service.assessments import AssessmentGuard, RiskAssessment
from service.breaks import ServiceBreak
from service.calendar_feeds import CalendarFeed
from service.care_dates import CareDate
from service.care_mutes import CareMute
from service.care_occasions import CareGreeting, CareOccasion
from service.complaint_keys import ComplaintKey
from service.complaint_records import Complaint, ComplaintEntry
from service.follow_ups import FollowUp
from service.interaction_records import Interaction
from service.message_deliveries import MessageDelivery
from service.message_preferences import MessagePreference, MessageSetting
from service.messages import Message, MessageGuard
from service.notifications import Notification, NotificationPreference
from service.service_standings import ServiceStanding
from service.suitability_findings import SuitabilityFinding
from service.survey_rows import Survey
from service.tasks import Task

OF_CARE = "a person's own days; what was planned or sent for them goes with them"
# Words of advice go with their thread and its key; an export shows them opened, and no drafts (service/advice_notes).
ADVICE = "what a person asked and was advised, sealed by a key that goes with it"

TRACES = (
    Trace(Notification, "customer_id", WhenErased.DELETED, WhenMerged.MOVED, "what a person was told"),
    Trace(
        NotificationPreference,
        "customer_id",
        WhenErased.DELETED,
        WhenMerged.MOVED,
        "a person's wish; the survivor's own stands",
        clash=("kind",),
    ),
    Trace(
        CalendarFeed,
        "customer_id",
        WhenErased.DELETED,
        WhenMerged.MOVED,
        "an address that a person has; the survivor's own stands",
        clash=(),
        hidden=("token_hash",),
    ),
    Trace(Task, "customer_id", WhenErased.DELETED, WhenMerged.MOVED, "what is to be done for a person"),
    Trace(
        Complaint,
        "customer_id",
        WhenErased.KEPT,
        WhenMerged.MOVED,
        "what was complained of and how it ended is counted, by codes and under the id that is nobody's",
        hidden=("owner", "hand_off_to", "filed_by", "extension_asked_by"),
    ),
    Trace(
        ComplaintEntry,
        "customer_id",
        WhenErased.BLANKED,
        WhenMerged.MOVED,
        "what was said goes, that something was said and when stays",
        blank={"words": None},
        is_exported=False,
    ),
    Trace(
        ComplaintKey,
        "customer_id",
        WhenErased.DELETED,
        WhenMerged.MOVED,
        "without it no copy of what was said opens",
        is_exported=False,
    ),
    Trace(
        Interaction,
        "customer_id",
        WhenErased.DELETED,
        WhenMerged.MOVED,
        "what was spoken with a person; the summary opens by their own key, and by the survivor's after a merge",
        hidden=("summary",),
        sealed=("summary",),
    ),
    Trace(
        FollowUp,
        "customer_id",
        WhenErased.DELETED,
        WhenMerged.MOVED,
        "when a person is to be seen next; the survivor's own stands, or it begins anew, with the contacts of both",
        clash=("obligation",),
    ),
    # Steps name their plans, which go after them.
    Trace(ActionPlanStep, "customer_id", WhenErased.DELETED, WhenMerged.MOVED, "what is planned for a person"),
    Trace(
        ActionPlan,
        "customer_id",
        WhenErased.DELETED,
        WhenMerged.MOVED,
        "what is planned for a person; of two that are active from one template the survivor's goes on",
    ),
    Trace(Message, "customer_id", WhenErased.DELETED, WhenMerged.MOVED, "what a person was to be told"),
    Trace(MessageDelivery, "customer_id", WhenErased.DELETED, WhenMerged.MOVED, "how a person was reached"),
    Trace(
        MessagePreference,
        "customer_id",
        WhenErased.DELETED,
        WhenMerged.MOVED,
        "a person's wish; the survivor's own stands",
        clash=("category", "channel"),
    ),
    Trace(
        MessageSetting,
        "customer_id",
        WhenErased.DELETED,
        WhenMerged.MOVED,
        "a person's wish; the survivor's own stands",
        clash=(),
    ),
    Trace(
        MessageGuard,
        "customer_id",
        WhenErased.DELETED,
        WhenMerged.MOVED,
        "by which workers take turns; it says nothing",
        clash=(),
        is_exported=False,
    ),
    Trace(
        CareDate,
        "customer_id",
        WhenErased.DELETED,
        WhenMerged.MOVED,
        f"{OF_CARE}; of each kind the survivor's own stands",
        clash=("kind",),
        hidden=("day_code",),
    ),
    Trace(CareDate, "added_by", WhenErased.KEPT, WhenMerged.KEPT, "who noted it; the row goes", is_exported=False),
    Trace(CareOccasion, "customer_id", WhenErased.DELETED, WhenMerged.MOVED, OF_CARE),
    Trace(
        CareGreeting,
        "customer_id",
        WhenErased.DELETED,
        WhenMerged.MOVED,
        "who was greeted on a day is not greeted again",
        clash=("on_day",),
    ),
    Trace(CareMute, "customer_id", WhenErased.DELETED, WhenMerged.MOVED, "that a person is left in peace"),
    Trace(CareMute, "muted_by", WhenErased.KEPT, WhenMerged.KEPT, "who noted it; the row goes", is_exported=False),
    Trace(CareMute, "ended_by", WhenErased.KEPT, WhenMerged.KEPT, "who ended it; the row goes", is_exported=False),
    Trace(
        RiskAssessment,
        "customer_id",
        WhenErased.BLANKED,
        WhenMerged.MOVED,
        "that a class was given when is proof, under the id that is nobody's; the latest of both profiles counts",
        blank={"answers": {}},
    ),
    Trace(
        AssessmentGuard,
        "customer_id",
        WhenErased.DELETED,
        WhenMerged.MOVED,
        "holds one writer after the other, and says nothing",
        clash=(),
        is_exported=False,
    ),
    Trace(
        SuitabilityFinding,
        "customer_id",
        WhenErased.DELETED,
        WhenMerged.MOVED,
        "what the system thinks of a holding; of two open ones that of the survivor stands",
        clash=("product", "ended_at"),
    ),
    Trace(AdviceNote, "customer_id", WhenErased.DELETED, WhenMerged.MOVED, ADVICE, is_exported=False),
    Trace(AdviceQuestion, "customer_id", WhenErased.DELETED, WhenMerged.MOVED, ADVICE, is_exported=False),
    Trace(AdviceThread, "customer_id", WhenErased.DELETED, WhenMerged.MOVED, ADVICE, is_exported=False),
    Trace(
        ServiceBreak,
        "customer_id",
        WhenErased.BLANKED,
        WhenMerged.MOVED,
        "what went wrong is counted, under the id that is nobody's; of one cause the survivor's stands for both",
        blank={"note": None},
        clash=("rule_id", "subject"),
        keeps_clash=True,
        hidden=("note",),
        sealed=("note",),
        sealed_by_row=True,
    ),
    Trace(
        Survey,
        "customer_id",
        WhenErased.BLANKED,
        WhenMerged.MOVED,
        "a score is counted, under the id that is nobody's; its words go",
        blank={"comment": None},
        clash=("occasion", "subject"),
        keeps_clash=True,
        hidden=("comment",),
        sealed=("comment",),
        sealed_by_row=True,
    ),
    Trace(
        ServiceStanding,
        "customer_id",
        WhenErased.DELETED,
        WhenMerged.MOVED,
        "when somebody was last asked; of two profiles the later stands",
        clash=(),
    ),
)
