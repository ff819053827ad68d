"""`node(id:)`: anything by its global id, under the same rules as by its own field."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import strawberry

from api.community.comments import load_comment
from api.community.communities import load_community
from api.community.event_series import load_series
from api.community.events import load_event
from api.community.posts import load_post
from api.community.registrations import load_registration
from api.context import Info
from api.customers.profiles import load_customer, may_see
from api.customers.segments import load_segment
from api.loyalty.catalogue import load_reward
from api.loyalty.earning import load_rule
from api.loyalty.redemption import load_redemption
from api.loyalty.vouchers import load_voucher
from api.referrals.attribution import load_referral
from api.referrals.codes import load_code
from api.referrals.fraud import load_case
from api.referrals.programs import load_program
from api.relay import Node, split_id
from api.service.action_plans import load_plan, load_template
from api.service.advice import load_thread
from api.service.advice_notes import load_note
from api.service.break_rules import load_break_rule
from api.service.breaks import load_break
from api.service.care import load_care_date, load_greeting
from api.service.complaints import load_complaint
from api.service.content import load_content
from api.service.messages import load_message
from api.service.products import load_product
from api.service.risk_assessments import load_assessment
from api.service.service_policies import load_entitlement_policy, load_follow_up_policy
from api.service.surveys import load_survey
from api.service.tasks import load_task
from core.ids import is_id


@strawberry.type
class NodeQueries:
    @strawberry.field(description="Anything that you may see, by its global id.")
    async def node(
        self,
        info: Info,
        id: Annotated[
            strawberry.ID,
            strawberry.argument(description="Global id of anything that is a Node; of another kind or unknown: null."),
        ],
    ) -> Node | None:
        info.context.signed_in()
        kind, local = split_id(id, "id")
        loader = LOADERS.get(kind)
        return await loader(info, local) if loader else None


async def load_seen_customer(info: Info, local: str) -> Node | None:
    return await load_customer(info, local) if await may_see(info, local) else None


async def load_own_notification(info: Info, local: str) -> Node | None:
    # Notices name nodes as their subjects, so that module needs this one.
    from api.service.notifications import load_notification

    return await load_notification(info, local)


LOADERS: dict[str, Callable[[Info, str], Awaitable[Node | None]]] = {
    "Customer": load_seen_customer,
    "Community": load_community,
    "Event": load_event,
    "Post": load_post,
    "Comment": load_comment,
    "EventSeries": load_series,
    "Registration": load_registration,
    "Reward": load_reward,
    "Redemption": load_redemption,
    "Voucher": load_voucher,
    "EarningRule": load_rule,
    "ReferralProgram": load_program,
    "Referral": load_referral,
    "ReferralCode": load_code,
    "Notification": load_own_notification,
    "Message": load_message,
    "ContentArticle": load_content,
    "FraudCase": load_case,
    "Segment": load_segment,
    "Complaint": load_complaint,
    "Task": load_task,
    "ActionPlan": load_plan,
    "ActionPlanTemplate": load_template,
    "FollowUpPolicy": load_follow_up_policy,
    "EntitlementPolicy": load_entitlement_policy,
    "CareDate": load_care_date,
    "CareGreeting": load_greeting,
    "Product": load_product,
    "RiskAssessment": load_assessment,
    "AdviceThread": load_thread,
    "AdviceNote": load_note,
    "ServiceBreak": load_break,
    "ServiceBreakRule": load_break_rule,
    "Survey": load_survey,
}


async def load_node(info: Info, kind: str, local: str) -> Node | None:
    """The node of this kind under the viewer's rights; None for a kind that has none, and for what is no id."""
    loader = LOADERS.get(kind)
    return await loader(info, local) if loader and is_id(local) else None
