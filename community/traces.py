"""Where the tables of communities name customers; the graph's relationships are in community/erasure.py."""

from community.feedback import EventFeedback
from community.recommendation_exposures import RecommendationExposure
from community.reports import ModerationCase, Report
from core.traces import Trace, WhenErased, WhenMerged

TRACES = (
    Trace(
        EventFeedback,
        "customer_id",
        WhenErased.BLANKED,
        WhenMerged.MOVED,
        "stars are counted, words are theirs",
        blank={"comment": None},
        clash=("event_id",),
        keeps_clash=True,
    ),
    Trace(
        RecommendationExposure,
        "customer_id",
        WhenErased.DELETED,
        WhenMerged.MOVED,
        "what a person was shown; the counts that came of it name nobody",
        clash=("community_id",),
    ),
    Trace(
        Report,
        "reporter_id",
        WhenErased.BLANKED,
        WhenMerged.MOVED,
        "that it was reported is moderation's, the words are theirs",
        blank={"text": ""},
    ),
    Trace(
        ModerationCase,
        "author_id",
        WhenErased.BLANKED,
        WhenMerged.MOVED,
        "a case is moderation's; a note may speak of the person",
        blank={"note": None},
    ),
    Trace(ModerationCase, "resolved_by", WhenErased.KEPT, WhenMerged.KEPT, "who decided"),
)
