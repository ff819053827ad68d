"""One world in which everybody stands to one customer and one community in a way of their own.

Lin is a customer and a member of Chen's private community; Zhou looks after her. Wu, Sun and Qian are the same to
others.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from api.relay import global_id
from community.access import MemberRole
from community.event_series import create_event_series
from community.reports import ReportReason, create_report, reportable
from community.search_documents import index_nodes
from core.clock import utc_now
from core.db import Database
from core.ids import new_id
from core.principal import Scope
from service.care_kinds import CareKind
from tests.access.documents import ROOTS, made_of
from tests.api.conftest import Caller, System, running, settings_for
from tests.api.test_action_plans import WELCOME
from tests.api.test_alerts import SERVE, raised
from tests.api.test_fraud import held_rewards, refer
from tests.api.test_needs import suspected
from tests.api.test_service_breaks import happened
from tests.api.test_service_breaks import make_rule as make_break_rule
from tests.api.test_service_messages import dead_letter
from tests.api.test_way_through import local_of
from tests.community.happenings import put_registrations, recur
from tests.community.places import add_member, make_community, make_customers, make_event
from tests.community.writings import write_comment, write_post
from tests.conftest import Addresses
from tests.customers.people import import_person, import_rows, row_of
from tests.databases import migrated_database
from tests.loyalty.accounts import give
from tests.loyalty.redeeming import reserve_one
from tests.referrals.programs import claim, code_of, make_program
from tests.service.caring import allow, put_dates, solar
from tests.service.complaining import filed
from tests.service.promised import own_kind, put_survey
from tests.service.suiting import assess_one, rate

# Who asks, in the order of the columns of docs/access.md.
ROLES = (
    "nobody",
    "no profile",
    "customer, own",
    "customer, another's",
    "manager of the place",
    "manager of another",
    "customer's RM",
    "another's RM",
    "complaints officer",
    "service client",
    "administrator",
)


# Customers who are named by what they are here.
PEOPLE = {"Mei", "Applicant", "Reviewed", "Likewise"}
INVITE = """
mutation($id: ID!) {
  createInvitationLink(input: {communityId: $id}) { ... on CreateInvitationLinkSuccess { code } }
}
"""


@dataclass
class World:
    """The callers by their role, and the global ids of what is Lin's or in Chen's community, by kind."""

    system: System
    unique: str
    callers: dict[str, Caller]
    ids: dict[str, str]
    # Words that name things without being ids, such as codes.
    words: dict[str, Any]

    @property
    def database(self) -> Database:
        return self.system.edge.database

    def local(self, name: str) -> str:
        """The local id of a customer."""
        return local_of(f"{name}-{self.unique}")

    @property
    def administrator(self) -> Caller:
        return self.callers["administrator"]

    async def made(self, role: str, operation: str, **given: Any) -> str:
        """The global id of what somebody makes by a mutation."""
        answer = (await self.callers[role].ask(made_of(operation), input=given))[operation]
        ((_, made),) = ((name, value) for name, value in answer.items() if name != "__typename")
        assert isinstance(made, dict), (operation, answer)
        return made["id"]

    async def active(self, listed: str) -> Any:
        """The definition of the version of a policy that is at work: the oldest one of a fresh database."""
        document = f"{{ {listed}(first: 100) {{ edges {{ node {{ definition }} }} }} }}"
        edges = (await self.administrator.ask(document))[listed]["edges"]
        return edges[-1]["node"]["definition"]


@asynccontextmanager
async def founded(stores: Addresses, redis_url: str, folder: Path) -> AsyncGenerator[World, None]:
    """The world, on a database of its own: what administrators may do changes the rules for everybody."""
    url = await migrated_database(stores, folder)
    settings = settings_for(replace(stores, database_url=url), redis_url, folder)
    async with running(settings) as system:
        unique = new_id()
        world = World(system, unique, {}, {}, {})
        await people(world)
        for furnish in (places, points, promises, cares, rules, trials):
            await furnish(world)
        yield world


async def people(world: World) -> None:
    """Everybody who asks, and whom they look after."""
    system, unique = world.system, world.unique
    names = {
        "customer, own": "lin",
        "customer, another's": "wu",
        "manager of the place": "chen",
        "manager of another": "sun",
    }
    customers = {role: await system.customer(f"{name}-{unique}") for role, name in names.items()}
    await system.customer(f"mei-{unique}")
    for name, manager in (("lin", "zhou"), ("wu", "qian")):
        await system.edge.graph.write(SERVE, id=world.local(name), rm=f"{manager}-{unique}")
    world.callers = {
        "nobody": system.caller(None),
        "no profile": system.caller(f"new-{unique}", "customer"),
        **customers,
        "customer's RM": system.caller(f"zhou-{unique}", "relationship_manager"),
        "another's RM": system.caller(f"qian-{unique}", "relationship_manager"),
        "complaints officer": system.caller(f"tang-{unique}", "complaints_officer"),
        "service client": system.caller(f"core-{unique}", "service", scope=" ".join(Scope)),
        "administrator": system.caller(f"he-{unique}", "administrator"),
    }
    assert tuple(world.callers) == ROLES
    world.ids |= {
        kind: global_id("Customer", world.local(name)) for kind, name in (("Customer", "lin"), ("Mei", "mei"))
    }
    await allow(world.database, world.local("lin"))


async def places(world: World) -> None:
    """Chen's private community with what is Lin's in it, and Sun's, with which nobody else has to do."""
    graph, lin = world.system.edge.graph, world.local("lin")
    community = await make_community(graph, owner_id=world.local("chen"), visibility="PRIVATE")
    await make_community(graph, owner_id=world.local("sun"), visibility="PRIVATE")
    for name in ("lin", "mei"):
        await add_member(graph, community, world.local(name), MemberRole.MEMBER)
    event = await make_event(graph, community)
    await put_registrations(graph, event, [lin])
    post = await write_post(graph, community, lin)
    comment = await write_comment(graph, post, lin)
    found = {"Community": community, "Event": event, "Post": post, "Comment": comment}
    world.ids |= {kind: global_id(kind, local) for kind, local in found.items()}
    (applicant,) = await make_customers(graph, 1)
    await add_member(graph, community, applicant, MemberRole.PENDING)
    world.ids["Applicant"] = global_id("Customer", applicant)
    world.words |= {"community": community, "post": post, "series": await weekly(world, community)}
    async with world.database.write() as session:
        for label, local in (("Community", community), ("Event", event), ("Post", post)):
            await index_nodes(graph, session, label, [local], now=utc_now())
        place = await reportable(graph, "Post", post, reporter_id=world.local("mei"))
        mei, now = world.local("mei"), utc_now()
        await create_report(session, place, "Post", reporter_id=mei, reason=ReportReason.SPAM, text="", now=now)
    made = await world.callers["manager of the place"].ask(INVITE, id=world.ids["Community"])
    world.words["invitation"] = made["createInvitationLink"]["code"]


async def weekly(world: World, community: str) -> str:
    """The global id of a series of Chen's that ends after three weeks."""
    now = utc_now()
    start = (now + timedelta(days=1)).replace(microsecond=0, tzinfo=None)
    details = recur("FREQ=WEEKLY;COUNT=3", start, now=now)
    chen, graph = world.local("chen"), world.system.edge.graph
    made = await create_event_series(graph, details, community_id=community, manager_id=chen, publish=True, now=now)
    return global_id("EventSeries", made)


async def points(world: World) -> None:
    """Lin's points, what she redeemed, and what she had for bringing others."""
    database, graph, lin = world.database, world.system.edge.graph, world.local("lin")
    reward, redemption = await reserve_one(database, lin)
    posting = await give(database, lin, 5000)
    program = await make_program(database)
    code = await code_of(database, program, lin)
    referral = await claim(database, graph, code, world.local("mei"))
    found = {"Reward": reward, "Redemption": redemption, "ReferralProgram": program, "ReferralCode": code.id}
    found |= {"Referral": referral, "Posting": str(posting)}
    world.ids |= {kind: global_id(kind, local) for kind, local in found.items()}
    world.words["code"] = code.code
    adjust = {"customerId": world.ids["Customer"], "reason": "Goodwill", "idempotencyKey": world.unique}
    second = world.system.caller(f"second-{world.unique}", "administrator")
    world.callers["second administrator"] = second
    world.ids["Adjustment"] = await world.made("second administrator", "adjustPoints", points=1_000_000, **adjust)
    world.ids["Household"] = await world.made(
        "administrator",
        "declareHousehold",
        customerIds=[world.ids["Customer"], global_id("Customer", world.local("chen"))],
        reason="Sisters",
    )


async def promises(world: World) -> None:
    """Lin's complaint, task, alert, need, plan, advice, break, survey and message."""
    system, database, lin, me = world.system, world.database, world.local("lin"), world.ids["Customer"]
    # Nobody is greeted whose complaint is open.
    world.ids["MessageDelivery"] = await dead_letter(system, lin)
    # More complaints of Lin's are made than a customer may have open.
    roomy = {**await world.active("complaintPolicies"), "most_open": 1_000}
    policy = await world.made("administrator", "createComplaintPolicy", definition=roomy)
    await world.made("administrator", "activateComplaintPolicy", policyId=policy)
    world.ids["Complaint"] = await complain(world)
    world.ids["Alert"] = await raised(system, lin)
    world.ids["Need"] = await suspected(system, lin)
    world.ids["Survey"] = global_id("Survey", await put_survey(database, lin, utc_now()))
    kind = own_kind()
    world.ids["ServiceBreakRule"] = await make_break_rule(system, kind)
    await happened(system, kind, lin)
    world.ids["ServiceBreak"] = await first(world, "serviceBreaks")
    world.ids["ActionPlanTemplate"] = await world.made("administrator", "createActionPlanTemplate", definition=WELCOME)
    world.ids["ActionPlan"] = await world.made(
        "customer's RM", "startActionPlan", customerId=me, templateId=world.ids["ActionPlanTemplate"]
    )
    await system.work()
    world.ids["Task"] = await first(world, "tasks")


async def complain(world: World) -> str:
    """A complaint of Lin's that is Zhou's to handle, whom it was asked of whether an officer takes it."""
    complaint = global_id("Complaint", (await filed(world.database, customer_id=world.local("lin"), now=utc_now())).id)
    zhou, officer = world.callers["customer's RM"], f"tang-{world.unique}"
    for act, given in (("assignComplaint", ""), ("handOff", f', employeeId: "{officer}"')):
        document = f"mutation($id: ID!) {{ {act}(input: {{complaintId: $id{given}}}) {{ __typename }} }}"
        done = (await zhou.ask(document, id=complaint))[act]
        assert done["__typename"] != "Refusal", act
    return complaint


async def first(world: World, listed: str) -> str:
    """The first of a list about Lin, as Zhou sees it."""
    document = f"query($id: ID!) {{ {listed}(customerId: $id) {{ edges {{ node {{ id }} }} }} }}"
    found = await world.callers["customer's RM"].ask(document, id=world.ids["Customer"])
    return found[listed]["edges"][0]["node"]["id"]


async def cares(world: World) -> None:
    """Lin's days, her assessment, what she asked, and what was advised."""
    database, lin, product = world.database, world.local("lin"), f"P-{world.unique}"
    mute = "mutation { muteCare(input: {reason: WISH}) { __typename } }"
    assert (await world.callers["customer, own"].ask(mute))["muteCare"]["__typename"] == "MuteCareSuccess"
    (care,) = await put_dates(database, (lin, CareKind.BIRTHDAY, solar(5, 1)))
    world.ids["CareDate"] = global_id("CareDate", care)
    await rate(database, product)
    assessed = await assess_one(database, lin)
    world.words |= {"product": product, "questionnaire": global_id("RiskQuestionnaire", assessed.questionnaire_id)}
    world.ids["AdviceThread"] = await world.made("customer, own", "askAdvisor", text="What now?", productCode=product)
    world.ids["AdviceNote"] = await world.made(
        "customer's RM", "draftAdviceNote", productCode=product, rationale="Fits.", threadId=world.ids["AdviceThread"]
    )
    listed = await world.administrator.ask("{ products(first: 1) { edges { node { id } } } }")
    world.ids["Product"] = listed["products"]["edges"][0]["node"]["id"]


async def rules(world: World) -> None:
    """What administrators make: versions of policies, segments, articles, gateways."""
    for name, listed in (
        ("TierPolicy", "tierPolicies"),
        ("AlertPolicy", "alertPolicies"),
        ("NeedPolicy", "needPolicies"),
        ("CarePolicy", "carePolicies"),
        ("ComplaintPolicy", "complaintPolicies"),
        ("FollowUpPolicy", "followUpPolicies"),
        ("EntitlementPolicy", "entitlementPolicies"),
        ("MessagePolicy", "messagePolicies"),
        ("SurveyPolicy", "surveyPolicies"),
        ("RecommendationPolicy", "recommendationPolicies"),
    ):
        definition = world.words[f"create{name}"] = await world.active(listed)
        world.ids[name] = await world.made("administrator", f"create{name}", definition=definition)
    questions = world.words["createRiskQuestionnaire"] = await world.active("riskQuestionnaires")
    world.ids["RiskQuestionnaire"] = await world.made("administrator", "createRiskQuestionnaire", definition=questions)
    calendars = await world.administrator.ask("{ businessCalendars(first: 1) { edges { node { id } } } }")
    world.ids["BusinessCalendar"] = calendars["businessCalendars"]["edges"][0]["node"]["id"]
    named = {"nameZh": "名", "nameEn": "Name"}
    world.words["tags"] = [f"{letter}-{world.unique}" for letter in "abc"]
    for key in world.words["tags"]:
        make = ROOTS["mutation"]["createTag"].args["input"].type
        document = f"mutation($input: {make}) {{ createTag(input: $input) {{ __typename }} }}"
        made = await world.administrator.ask(document, input={"key": key, "family": "INTEREST", **named})
        assert made["createTag"]["__typename"] == "CreateTagSuccess"
    condition = world.words["condition"] = {"tier": {"at_least": "POTENTIAL"}}
    earning = world.words["earning"] = {"fact_kind": "EVENT_ATTENDED", "points": 5}
    world.ids["Segment"] = await world.made("administrator", "createSegment", condition=condition, **named)
    world.ids["EarningRule"] = await world.made("administrator", "createEarningRule", definition=earning, **named)
    article = {"titleZh": "题", "titleEn": "Title", "bodyZh": "文", "bodyEn": "Text"}
    world.ids["ContentArticle"] = await world.made("customer's RM", "createContent", **article)
    world.ids["WebhookEndpoint"] = await world.made(
        "administrator", "createWebhookEndpoint", channel="SMS", url="https://gateway.example/sms"
    )
    until = (utc_now() + timedelta(days=30)).isoformat()
    world.ids["TierOverride"] = await world.made(
        "customer's RM", "overrideTier", customerId=world.ids["Customer"], tier="VIP", reason="Loyal", expiresAt=until
    )


async def trials(world: World) -> None:
    """What waits for an administrator: a suspicious pair, and a row about two."""
    system, unique, graph = world.system, world.unique, world.system.edge.graph
    lin, wu = await refer(system, f"card-{unique}")
    for _ in range(3):
        await system.work()
    held = await held_rewards(system, lin, wu)
    world.ids["FraudCase"] = held[0]["case"]["id"]
    world.ids["ReferralReward"] = held[0]["reward"]["id"]
    one = await import_person(world.database, graph, unique, "1")
    other = await import_person(world.database, graph, unique, "2", document=None)
    row = row_of(unique, "3", document=one.document, phone=other.phone)
    wrong = [{"kind": "customer", "key": key} for key in "45"]
    report = await import_rows(world.database, graph, unique, row, *wrong)
    assert (report.reviewed, report.rejected) == (1, 2)
    world.ids["ImportReport"] = global_id("ImportReport", report.id)
    listed = await world.administrator.ask("{ identityReviews { edges { node { id } } } }")
    world.ids |= {
        "Reviewed": global_id("Customer", one.customer_id),
        "Likewise": global_id("Customer", other.customer_id),
    }
    world.ids["IdentityReview"] = listed["identityReviews"]["edges"][0]["node"]["id"]


def absent_of(ids: Mapping[str, str]) -> dict[str, str]:
    """Ids of the same kinds of which nothing is there."""
    return {kind: global_id("Customer" if kind in PEOPLE else kind, new_id()) for kind in ids}
