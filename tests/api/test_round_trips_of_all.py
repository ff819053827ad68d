"""Every operation of communities, events and notices stands in a table of costs, and each table is asserted."""

import pytest

from api.relay import global_id
from community.access import MemberRole
from core.ids import new_id
from tests.api import (
    test_action_plans,
    test_advice,
    test_alerts,
    test_care,
    test_clawback,
    test_content,
    test_customer_tags,
    test_insight_policies,
    test_interactions,
    test_needs,
    test_points,
    test_recommendations_api,
    test_recommendations_api_people,
    test_recommendations_api_policies,
    test_recommendations_api_statistics,
    test_referral_analytics,
    test_round_trips_catalogue,
    test_round_trips_complaints,
    test_round_trips_events,
    test_round_trips_fraud,
    test_round_trips_members,
    test_round_trips_posts,
    test_round_trips_registrations,
    test_service_breaks,
    test_service_messages,
    test_service_policies,
    test_suitability,
    test_surveys_api,
    test_tasks,
    test_tiers,
)
from tests.api.conftest import Caller, System
from tests.api.test_every_action import MUTATIONS
from tests.api.test_notifications import MARK, SET
from tests.api.test_referral_codes import BY_TEXT, CODES, REVOKE, ROTATE
from tests.api.test_round_trips import cost
from tests.api.test_way_through import CODE, local_of, make_program
from tests.community.places import add_member, make_community, make_event
from tests.community.writings import write_post

pytestmark = pytest.mark.anyio

COMMUNITY = "query($id: ID!) { community(id: $id) { name viewerRole memberCount texts { nameZh } } }"
EVENT = "query($id: ID!) { event(id: $id) { title startsAt registeredCount link texts { titleZh } } }"
NODE = "query($id: ID!) { node(id: $id) { __typename } }"
NOTICES = "{ viewer { unreadCount notifications(first: 20) { edges { node { kind title } } } } }"
FEED_URL = "mutation { createCalendarFeed { ... on CreateCalendarFeedSuccess { url } } }"
NO_FEED = "mutation { revokeCalendarFeed { ... on RevokeCalendarFeedSuccess { revoked } } }"
TAGS = "{ tags(first: 20) { edges { node { name } } } }"
INVITATION = "query($code: String!) { invitation(code: $code) { name } }"
FEED = "{ viewer { feed(first: 20) { edges { node { __typename ... on Post { text } ... on Event { title } } } } } }"

# Round trips to the graph and statements to SQL of each.
COSTS = {
    "community": (1, 1),
    "event": (1, 1),
    "node": (1, 1),
    "viewer.feed": (1, 1),
    "viewer.notifications": (0, 3),
    "tags": (1, 0),
    "invitation": (0, 0),
    "markNotificationsRead": (0, 3),
    "setNotificationPreference": (0, 2),
    "createCalendarFeed": (0, 2),
    "revokeCalendarFeed": (0, 2),
    "viewer.referralCode": (0, 4),
    "viewer.referralCodes": (0, 4),
    "referralCode": (0, 4),
    "rotateReferralCode": (0, 10),
    "revokeReferralCode": (0, 6),
}
# What belongs to referrals, loyalty and imports has tables of its own, or is for the bank's staff.
ELSEWHERE = {
    "signUp",
    "importBatch",
    "decideIdentityReview",
    "breakGlass",
    "grantConsent",
    "revokeConsent",
    "eraseCustomer",
    "mergeCustomers",
    "claimReferral",
    "redeemReward",
    "createReferralProgram",
    "updateReferralProgram",
    "activateReferralProgram",
    "pauseReferralProgram",
    "endReferralProgram",
    "simulateReferralProgram",
    "recordFacts",
    "createReward",
    "closeDay",
    "createEarningRule",
    "updateEarningRule",
    "activateEarningRule",
    "pauseEarningRule",
    "retireEarningRule",
    "simulateEarningRule",
    "createTag",
    "mergeTags",
    "createSegment",
    "updateSegment",
    "archiveSegment",
    "createTierPolicy",
    "activateTierPolicy",
}


async def test_the_cost_of_what_anybody_asks(system: System, unique: str) -> None:
    lin, me = await system.customer(f"lin-{unique}"), local_of(f"lin-{unique}")
    graph = system.edge.graph
    community = await make_community(graph, owner_id=me)
    event, post = await make_event(graph, community), await write_post(graph, community, me)
    for _ in range(3):
        await add_member(graph, await make_community(graph), me, MemberRole.MEMBER)
    assert {
        "community": await cost(system, lin, COMMUNITY, id=global_id("Community", community)),
        "event": await cost(system, lin, EVENT, id=global_id("Event", event)),
        "node": await cost(system, lin, NODE, id=global_id("Post", post)),
        "viewer.feed": await cost(system, lin, FEED),
        "viewer.notifications": await cost(system, lin, NOTICES),
        "tags": await cost(system, lin, TAGS),
        "invitation": await cost(system, lin, INVITATION, code="none of ours"),
        "markNotificationsRead": await cost(system, lin, MARK, ids=[global_id("Notification", new_id())]),
        "setNotificationPreference": await cost(system, lin, SET, kind="DIGEST", enabled=True),
        "createCalendarFeed": await cost(system, lin, FEED_URL),
        "revokeCalendarFeed": await cost(system, lin, NO_FEED),
        **await costs_of_codes(system, lin),
    } == COSTS


async def costs_of_codes(system: System, lin: Caller) -> dict[str, tuple[int, int]]:
    """With three codes and three channels; the first code of all is made before it is measured."""
    program = await make_program(system)
    for channel in ("wechat", "qr", "line"):
        code = (await lin.ask(ROTATE, program=program))["rotateReferralCode"]["referralCode"]
        await system.http.get(f"/r/{code['code']}?channel={channel}")
    return {
        "viewer.referralCode": await cost(system, lin, CODE, p=program),
        "viewer.referralCodes": await cost(system, lin, CODES, p=program),
        "referralCode": await cost(system, lin, BY_TEXT, code=code["code"]),
        "rotateReferralCode": await cost(system, lin, ROTATE, program=program),
        "revokeReferralCode": await cost(system, lin, REVOKE, id=code["id"], reason="leaked"),
    }


def test_no_mutation_is_without_its_cost() -> None:
    """Given all tables, which their tests hold against what is measured, then every mutation stands in one."""
    tables = (
        COSTS,
        test_advice.COSTS,
        test_alerts.COSTS,
        test_care.COSTS,
        test_suitability.COSTS,
        test_needs.COSTS,
        test_insight_policies.COSTS,
        test_clawback.COSTS,
        test_content.COSTS,
        test_round_trips_complaints.COSTS,
        test_customer_tags.COSTS,
        test_points.COSTS,
        test_recommendations_api.COSTS,
        test_recommendations_api_people.COSTS,
        test_recommendations_api_policies.COSTS,
        test_recommendations_api_statistics.COSTS,
        test_round_trips_catalogue.COSTS,
        test_round_trips_events.COSTS,
        test_round_trips_fraud.COSTS,
        test_round_trips_members.COSTS,
        test_round_trips_posts.COSTS,
        test_round_trips_registrations.COSTS,
        test_referral_analytics.COSTS,
        test_service_messages.COSTS,
        test_service_breaks.COSTS,
        test_surveys_api.COSTS,
        test_tiers.COSTS,
        test_tasks.COSTS,
        test_interactions.COSTS,
        test_action_plans.COSTS,
        test_service_policies.COSTS,
    )
    measured = {name.split(" ")[0] for table in tables for name in table}
    assert MUTATIONS.keys() - ELSEWHERE - measured == set()
