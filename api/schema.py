"""The whole schema; `python -m api.schema` prints it, and schema.graphql is what it printed last."""

import sys
from datetime import date, datetime
from functools import cache

import strawberry
from strawberry.scalars import JSON
from strawberry.schema.config import StrawberryConfig

from api.community.admissions import AdmissionMutations
from api.community.bans import BanMutations
from api.community.calendar import CalendarMutations
from api.community.charters import CharterMutations
from api.community.checkin import CheckInMutations
from api.community.comments import CommentMutations
from api.community.communities import CommunityQueries
from api.community.discovery import DiscoveryQueries
from api.community.dismissals import DismissalMutations
from api.community.event_series import EventSeriesMutations
from api.community.events import EventMutations, EventQueries
from api.community.feedback import FeedbackMutations
from api.community.invitation_links import InvitationLinkMutations, InvitationLinkQueries
from api.community.memberships import MembershipMutations
from api.community.messages import MessageMutations
from api.community.posts import PostMutations
from api.community.reactions import ReactionMutations
from api.community.recommendation_policies import RecommendationPolicyMutations, RecommendationPolicyQueries
from api.community.recommendation_statistics import RecommendationStatisticsQueries
from api.community.recommendations import (
    AcquaintancesReason,
    CoMembersReason,
    MutualAcquaintancesReason,
    NearbyReason,
    OwnCommunityReason,
    PopularReason,
    ReferralTiesReason,
    SharedCommunitiesReason,
    SharedTagsReason,
)
from api.community.recommended_people import DiscoverabilityMutations
from api.community.registrations import RegistrationMutations
from api.community.reports import ReportMutations, ReportQueries
from api.community.roles import RoleMutations
from api.community.statistics import StatisticsQueries
from api.customers.access import AccessMutations, AccessQueries
from api.customers.alerts import AlertMutations, AlertQueries
from api.customers.consents import ConsentMutations, ConsentQueries
from api.customers.customer360 import Customer360Queries
from api.customers.erasure import PersonalDataMutations, PersonalDataQueries
from api.customers.imports import ImportMutations, ImportQueries
from api.customers.insight_policies import InsightPolicyMutations, InsightPolicyQueries
from api.customers.merging import MergeMutations, MergeQueries
from api.customers.needs import NeedMutations, NeedQueries
from api.customers.profiles import CustomerMutations, CustomerQueries
from api.customers.reviews import IdentityReviewMutations, IdentityReviewQueries
from api.customers.segments import SegmentMutations, SegmentQueries
from api.customers.tags import TagMutations
from api.customers.tier_overrides import TierOverrideMutations, TierOverrideQueries
from api.customers.tier_policies import TierPolicyMutations, TierPolicyQueries
from api.customers.tiers import TierQueries
from api.descriptions import describe
from api.documents import Prepared
from api.execution import Schema
from api.loyalty.adjustments import AdjustmentMutations, AdjustmentQueries
from api.loyalty.catalogue import CatalogueQueries
from api.loyalty.catalogue_changes import CatalogueMutations
from api.loyalty.day_close import DayCloseMutations, DayCloseQueries
from api.loyalty.earning import EarningMutations, EarningQueries
from api.loyalty.earning_simulation import EarningSimulationMutations
from api.loyalty.ledger import LedgerQueries
from api.loyalty.provenance import ProvenanceQueries
from api.loyalty.redemption import RedemptionMutations, RedemptionQueries
from api.loyalty.statements import StatementMutations
from api.loyalty.stock import StockMutations
from api.loyalty.transfers import TransferMutations
from api.loyalty.vouchers import VoucherMutations
from api.nodes import NodeQueries
from api.referrals.analytics import ReferralAnalyticsQueries
from api.referrals.attribution import ReferralMutations, ReferralQueries
from api.referrals.clawback import ClawbackMutations
from api.referrals.codes import ReferralCodeMutations, ReferralCodeQueries
from api.referrals.facts import FactMutations
from api.referrals.fraud import FraudMutations, FraudQueries
from api.referrals.households import HouseholdMutations
from api.referrals.leaderboard import ReferralLeaderboardMutations, ReferralLeaderboardQueries
from api.referrals.programs import ReferralProgramMutations, ReferralProgramQueries
from api.referrals.simulation import SimulationMutations
from api.referrals.tree import ReferralTreeQueries
from api.scalars import DAY, INSTANT, JSON_VALUE, SAFE_INT, SafeInt
from api.service.action_plans import ActionPlanMutations, ActionPlanQueries
from api.service.advice import AdviceMutations, AdviceQueries
from api.service.advice_notes import AdviceNoteMutations, AdviceNoteQueries
from api.service.break_rules import ServiceBreakRuleMutations, ServiceBreakRuleQueries
from api.service.breaks import ServiceBreakMutations, ServiceBreakQueries
from api.service.business_calendars import BusinessCalendarMutations, BusinessCalendarQueries
from api.service.care import CareMutations, CareQueries
from api.service.care_mutes import CareMuteMutations, CareMuteQueries
from api.service.care_policies import CarePolicyMutations, CarePolicyQueries
from api.service.complaint_acts import ComplaintMutations
from api.service.complaint_causes import ComplaintCauseQueries
from api.service.complaint_policies import ComplaintPolicyMutations, ComplaintPolicyQueries
from api.service.complaints import ComplaintQueries
from api.service.content import ContentMutations, ContentQueries
from api.service.entitlements import EntitlementQueries
from api.service.interactions import InteractionMutations, InteractionQueries
from api.service.kpis import KpiQueries
from api.service.message_policies import MessagePolicyMutations, MessagePolicyQueries
from api.service.message_preferences import MessagePreferenceMutations, MessagePreferenceQueries
from api.service.messages import ServiceMessageMutations, ServiceMessageQueries
from api.service.notifications import NotificationMutations
from api.service.products import ProductMutations, ProductQueries
from api.service.recommended_products import RecommendedProductQueries
from api.service.risk_assessments import RiskAssessmentMutations, RiskAssessmentQueries
from api.service.service_policies import ServicePolicyMutations, ServicePolicyQueries
from api.service.suitability import SuitabilityQueries
from api.service.survey_policies import SurveyPolicyMutations, SurveyPolicyQueries
from api.service.survey_results import SurveyResultQueries
from api.service.surveys import SurveyMutations, SurveyQueries
from api.service.tasks import TaskMutations, TaskQueries
from api.service.webhook_endpoints import WebhookEndpointMutations, WebhookEndpointQueries
from api.subscriptions import Subscription
from api.viewer import ViewerQueries

# What is shown by an interface only is named here.
REASONS = [
    SharedTagsReason,
    CoMembersReason,
    AcquaintancesReason,
    ReferralTiesReason,
    PopularReason,
    OwnCommunityReason,
    NearbyReason,
    SharedCommunitiesReason,
    MutualAcquaintancesReason,
]


@strawberry.type(description="Everything that can be asked.")
class Query(
    ViewerQueries,
    NodeQueries,
    CustomerQueries,
    Customer360Queries,
    AccessQueries,
    ConsentQueries,
    SegmentQueries,
    ImportQueries,
    IdentityReviewQueries,
    PersonalDataQueries,
    MergeQueries,
    TierQueries,
    TierPolicyQueries,
    TierOverrideQueries,
    AlertQueries,
    NeedQueries,
    InsightPolicyQueries,
    TaskQueries,
    ComplaintQueries,
    ComplaintCauseQueries,
    ComplaintPolicyQueries,
    BusinessCalendarQueries,
    InteractionQueries,
    ActionPlanQueries,
    EntitlementQueries,
    ServicePolicyQueries,
    ServiceMessageQueries,
    MessagePreferenceQueries,
    MessagePolicyQueries,
    WebhookEndpointQueries,
    ContentQueries,
    CareQueries,
    CareMuteQueries,
    CarePolicyQueries,
    ProductQueries,
    RiskAssessmentQueries,
    SuitabilityQueries,
    RecommendedProductQueries,
    AdviceQueries,
    AdviceNoteQueries,
    ServiceBreakQueries,
    ServiceBreakRuleQueries,
    SurveyQueries,
    SurveyPolicyQueries,
    SurveyResultQueries,
    KpiQueries,
    CommunityQueries,
    InvitationLinkQueries,
    EventQueries,
    ReportQueries,
    DiscoveryQueries,
    StatisticsQueries,
    RecommendationStatisticsQueries,
    RecommendationPolicyQueries,
    ReferralProgramQueries,
    FraudQueries,
    ReferralQueries,
    ReferralCodeQueries,
    ReferralTreeQueries,
    ReferralAnalyticsQueries,
    ReferralLeaderboardQueries,
    CatalogueQueries,
    RedemptionQueries,
    LedgerQueries,
    AdjustmentQueries,
    DayCloseQueries,
    EarningQueries,
    ProvenanceQueries,
):
    pass


@strawberry.type(description="Everything that can be done.")
class Mutation(
    CustomerMutations,
    AccessMutations,
    ConsentMutations,
    TagMutations,
    SegmentMutations,
    ImportMutations,
    IdentityReviewMutations,
    PersonalDataMutations,
    MergeMutations,
    TierPolicyMutations,
    TierOverrideMutations,
    AlertMutations,
    NeedMutations,
    InsightPolicyMutations,
    CareMutations,
    CareMuteMutations,
    CarePolicyMutations,
    ProductMutations,
    RiskAssessmentMutations,
    AdviceMutations,
    AdviceNoteMutations,
    CharterMutations,
    MembershipMutations,
    InvitationLinkMutations,
    AdmissionMutations,
    RoleMutations,
    BanMutations,
    EventMutations,
    EventSeriesMutations,
    FeedbackMutations,
    RegistrationMutations,
    MessageMutations,
    PostMutations,
    CommentMutations,
    ReactionMutations,
    ReportMutations,
    CheckInMutations,
    DismissalMutations,
    DiscoverabilityMutations,
    RecommendationPolicyMutations,
    ReferralMutations,
    ReferralProgramMutations,
    SimulationMutations,
    ReferralCodeMutations,
    ReferralLeaderboardMutations,
    FactMutations,
    HouseholdMutations,
    FraudMutations,
    ClawbackMutations,
    CatalogueMutations,
    StockMutations,
    RedemptionMutations,
    TransferMutations,
    AdjustmentMutations,
    DayCloseMutations,
    StatementMutations,
    VoucherMutations,
    EarningMutations,
    EarningSimulationMutations,
    NotificationMutations,
    TaskMutations,
    InteractionMutations,
    ActionPlanMutations,
    ServicePolicyMutations,
    ServiceMessageMutations,
    MessagePreferenceMutations,
    MessagePolicyMutations,
    WebhookEndpointMutations,
    ContentMutations,
    ServiceBreakMutations,
    ServiceBreakRuleMutations,
    SurveyMutations,
    SurveyPolicyMutations,
    CalendarMutations,
    ComplaintMutations,
    ComplaintPolicyMutations,
    BusinessCalendarMutations,
):
    pass


@cache
def build_schema() -> Schema:
    """The executable schema, built once for a process since it holds nothing of an application.

    Documents are made ready for it by `api.documents`, and so are their limits.
    """
    schema = Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=REASONS,
        extensions=[Prepared],
        config=StrawberryConfig(scalar_map={datetime: INSTANT, date: DAY, SafeInt: SAFE_INT, JSON: JSON_VALUE}),
    )
    describe(schema.core)
    return schema


if __name__ == "__main__":
    sys.stdout.write(build_schema().as_str() + "\n")
