"""What the operations of the matrix are asked with beside what the schema tells, and what each is done to only once."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

from api.relay import global_id
from community.access import MemberRole
from core.clock import iso, utc_now
from core.ids import new_id
from service.care_kinds import CareKind
from tests.access.documents import document_of
from tests.access.world import World, complain
from tests.api.test_action_plans import WELCOME
from tests.community.places import add_member, make_customers
from tests.community.writings import write_comment, write_post
from tests.loyalty.accounts import by_hand
from tests.service.caring import put_dates, solar
from tests.service.promised import own_kind, twice_in

Given = Mapping[str, Any]

STAFF = {"customer's RM", "another's RM", "complaints officer", "service client", "administrator"}


def period(begin: str, end: str) -> Given:
    """The thirty days until now."""
    return {begin: iso(utc_now() - timedelta(days=30)), end: iso(utc_now())}


def definition_of(operation: str) -> Callable[[World, str], Given]:
    return lambda world, _: {"definition": world.words[operation]}


def member_of(kind: str) -> Callable[[World, str], Given]:
    return lambda world, _: {"customerId": world.ids[kind]}


def consent_of(_: World, role: str) -> Given:
    """Staff say by which document they know."""
    return {"evidence": "letter-1"} if role in STAFF else {}


def complaint_of(world: World, role: str) -> Given:
    """Customers complain for themselves."""
    return {"idempotencyKey": new_id()} | ({} if role in STAFF else {"customerId": None})


def assessment_of(world: World, role: str) -> Given:
    questions = world.words["createRiskQuestionnaire"]["questions"]
    answers = [{"question": one["key"], "answer": one["answers"][0]["key"]} for one in questions]
    given = {"questionnaireId": world.words["questionnaire"], "answers": answers}
    return given | ({"interactionType": "PHONE"} if role in STAFF else {})


def statement_of(_: World, role: str) -> Given:
    """Lin asks for her own; everybody else for hers."""
    return {"customerId": None, "reason": None} if role == "customer, own" else {}


def erased_of(world: World, role: str) -> Given:
    """The administrator erases somebody else than Lin, who erases herself."""
    return {"customerId": world.ids["Mei"]} if role == "administrator" else {}


GIVEN: Mapping[str, Callable[[World, str], Given]] = {
    "product": lambda world, _: {"code": world.words["product"]},
    "suitability": lambda world, _: {"product": world.words["product"]},
    "invitation": lambda world, _: {"code": world.words["invitation"]},
    "referralCode": lambda world, _: {"code": world.words["code"]},
    "claimReferral": lambda world, _: {"code": world.words["code"], "clickIds": []},
    "surveyResults": lambda _, __: period("since", "until"),
    "programKpis": lambda _, __: period("since", "until"),
    "referralFunnel": lambda _, __: period("from", "to"),
    "referralKFactor": lambda _, __: period("cohortFrom", "cohortTo"),
    "referralTree": lambda world, _: {"programId": world.ids["ReferralProgram"]},
    "simulateReferralProgram": lambda _, __: period("from", "to"),
    "simulateEarningRule": lambda _, __: period("from", "to"),
    "previewSegment": lambda world, _: {"condition": world.words["condition"]},
    "createSegment": lambda world, _: {"condition": world.words["condition"]},
    "previewTierPolicy": lambda world, _: {"policyId": world.ids["TierPolicy"]},
    "createReferralProgram": lambda _, __: {"definition": {"steps": [{"name": "a", "fact_kind": "SOME_KIND"}]}},
    "previewClawback": lambda world, _: {"rewardId": world.ids["ReferralReward"]},
    "clawBackReward": lambda world, _: {"rewardId": world.ids["ReferralReward"]},
    "createEarningRule": lambda world, _: {"definition": world.words["earning"]},
    "createServiceBreakRule": lambda _, __: {"definition": {"condition": twice_in(30, own_kind())}},
    "previewServiceBreakRule": lambda _, __: {"definition": {"condition": twice_in(30, own_kind())}},
    "createActionPlanTemplate": lambda _, __: {"definition": WELCOME},
    "createTag": lambda _, __: {"key": f"t-{new_id()}"},
    "mergeTags": lambda world, _: {"from": world.words["tags"][1], "into": world.words["tags"][2]},
    "tagCustomer": lambda world, _: {"tag": world.words["tags"][0]},
    "untagCustomer": lambda world, _: {"tag": world.words["tags"][0]},
    "decideIdentityReview": lambda world, _: {"decision": "KEPT_APART", "customerId": world.ids["Reviewed"]},
    "mergeCustomers": lambda world, _: {"survivorId": world.ids["Reviewed"], "mergedId": world.ids["Likewise"]},
    "declareNeed": lambda _, __: {"kind": "PENSION"},
    "putNeedKind": lambda _, __: {"key": "NEW_KIND"},
    "assessSuitability": assessment_of,
    "draftAdviceNote": lambda world, _: {"productCode": world.words["product"]},
    "logInteraction": lambda _, __: {"occurredAt": iso(utc_now()), "channel": "PHONE"},
    "exportStatement": statement_of,
    "events": lambda world, _: {"communityId": world.ids["Community"]},
    "createPost": lambda world, _: {"kind": "QUESTION"},
    "grantConsent": consent_of,
    "revokeConsent": consent_of,
    "fileComplaint": complaint_of,
    "declareHousehold": lambda world, _: {"customerIds": [world.ids["Reviewed"], world.ids["Likewise"]]},
    "transferPoints": lambda _, __: {"points": 100, "idempotencyKey": new_id()},
    "redeemReward": lambda _, __: {"idempotencyKey": new_id()},
    "adjustPoints": lambda _, __: {"idempotencyKey": new_id()},
    "markNotificationsRead": lambda _, __: {"until": iso(utc_now())},
    "createWebhookEndpoint": lambda _, __: {"channel": "SMS", "url": "https://gateway.example/sms"},
    "approveMember": member_of("Applicant"),
    "rejectMember": member_of("Applicant"),
    "inviteMember": member_of("Applicant"),
    "unbanMember": member_of("Applicant"),
    "banMember": member_of("Applicant"),
    "removeMember": member_of("Applicant"),
    "updateMembershipRole": lambda world, _: {"customerId": world.ids["Applicant"], "role": "MODERATOR"},
    "eraseCustomer": erased_of,
    **{
        f"create{kind}": definition_of(f"create{kind}")
        for kind in (
            "TierPolicy",
            "AlertPolicy",
            "NeedPolicy",
            "CarePolicy",
            "ComplaintPolicy",
            "FollowUpPolicy",
            "EntitlementPolicy",
            "MessagePolicy",
            "SurveyPolicy",
            "RecommendationPolicy",
            "RiskQuestionnaire",
        )
    },
}


def given_of(world: World, operation: str, role: str) -> Given:
    made = GIVEN.get(operation)
    return made(world, role) if made else {}


def person(role: MemberRole | None) -> Callable[[World], Awaitable[Given]]:
    """Somebody who stands to the community in this way."""

    async def made(world: World) -> Given:
        graph = world.system.edge.graph
        (one,) = await make_customers(graph, 1)
        if role is not None:
            await add_member(graph, world.words["community"], one, role)
        return {"customerId": global_id("Customer", one)}

    return made


async def post(world: World) -> Given:
    made = await write_post(world.system.edge.graph, world.words["community"], world.local("lin"))
    return {"postId": global_id("Post", made)}


async def comment(world: World) -> Given:
    graph, post = world.system.edge.graph, world.words["post"]
    return {"commentId": global_id("Comment", await write_comment(graph, post, world.local("lin")))}


async def care_date(world: World) -> Given:
    # There is one of a kind.
    await by_hand(world.database, "DELETE FROM care_date WHERE customer_id = :id", id=world.local("lin"))
    (made,) = await put_dates(world.database, (world.local("lin"), CareKind.BIRTHDAY, solar(5, 1)))
    return {"careDateId": global_id("CareDate", made)}


async def tagged(world: World) -> Given:
    document, variables = document_of("tagCustomer", world.ids, given_of(world, "tagCustomer", ""))
    await world.administrator.ask(document, **variables)
    return {}


async def complaint(world: World) -> Given:
    return {"complaintId": await complain(world)}


# What is gone once it is done is made anew for everybody who may do it.
FRESH: Mapping[str, Callable[[World], Awaitable[Given]]] = {
    "approveMember": person(MemberRole.PENDING),
    "rejectMember": person(MemberRole.PENDING),
    "inviteMember": person(None),
    "unbanMember": person(MemberRole.BANNED),
    "banMember": person(MemberRole.MEMBER),
    "removeMember": person(MemberRole.MEMBER),
    "updateMembershipRole": person(MemberRole.MEMBER),
    "deletePost": post,
    "deleteComment": comment,
    "removeCareDate": care_date,
    "untagCustomer": tagged,
    **{
        name: complaint
        for name in (
            "assignComplaint",
            "answerComplaint",
            "pauseComplaint",
            "resumeComplaint",
            "handOff",
            "acceptHandOff",
            "declineHandOff",
            "extendComplaint",
            "decideComplaintExtension",
            "closeComplaint",
            "reopenComplaint",
            "nameAccusedEmployee",
        )
    },
}

# What changes who stands how to whom, or ends what others are done to, comes last and in this order.
LAST = (
    "leaveReferralLeaderboard",
    "mergeTags",
    "untagCustomer",
    "meetNeed",
    "completeTask",
    "cancelTask",
    "retireReward",
    "endReferralProgram",
    "retireEarningRule",
    "retireServiceBreakRule",
    "retireActionPlanTemplate",
    "archiveSegment",
    "cancelRegistration",
    "completeEvent",
    "cancelEvent",
    "archiveCommunity",
    "leaveCommunity",
    "mergeCustomers",
    "breakGlass",
    "signUp",
    "eraseCustomer",
)
