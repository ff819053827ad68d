"""Messages by GraphQL: what was told and what was not and why, wishes, policies, gateways, dead letters."""

from typing import Any

import pytest
from sqlmodel import col, select

from api.relay import global_id
from core.clock import utc_now
from core.ids import new_id
from core.messages import MessageCategory
from service.message_deliveries import delivery_id_of
from service.message_outlets import Outlets
from service.message_policies import active_message_policy
from service.message_policy import STANDARD, MessageChannel
from service.webhook_endpoints import WebhookEndpoint
from tests.api.conftest import Caller, System
from tests.api.test_denials import state
from tests.api.test_round_trips import cost
from tests.api.test_way_through import local_of
from tests.service.gateways import gateway
from tests.worker.messages import LOCAL, NOON, allow, decide_one, disable_endpoints, put_endpoint, sleep_never
from worker.delivering import deliver
from worker.work import Stores

pytestmark = pytest.mark.anyio

MESSAGES = """
query($customer: ID) { messages(customerId: $customer, first: 20) { edges { node {
  id category template subject body status reason why nextAt
  channels { channel reason why } deliveries { channel status failure message { id } } } } } }
"""
PREFERENCES = """
{ messagePreferences {
  channels { category categoryName channel channelName enabled switchable isOwn }
  quietHours { start end isOwn } timeZone language } }
"""
SET = """
mutation($input: SetMessagePreferencesInput!) { setMessagePreferences(input: $input) {
  ... on SetMessagePreferencesSuccess { preferences {
    channels { category channel enabled isOwn } quietHours { start end isOwn } timeZone language } }
  ... on Refusal { code path } } }
"""
POLICIES = "{ messagePolicies(first: 100) { edges { node { id version status definition } } } }"
CREATE_POLICY = """
mutation($definition: JSON!) { createMessagePolicy(input: {definition: $definition}) {
  ... on CreateMessagePolicySuccess { policy { id version status createdBy } } ... on Refusal { code path } } }
"""
ACTIVATE_POLICY = """
mutation($policyId: ID!) { activateMessagePolicy(input: {policyId: $policyId}) {
  ... on ActivateMessagePolicySuccess { policy { version status activatedBy } } ... on Refusal { code path } } }
"""
ENDPOINTS = """
{ webhookEndpoints(first: 100) { edges { node { id channel url createdBy formerSecretUntil disabledAt } } } }
"""
CREATE_ENDPOINT = """
mutation($channel: MessageChannel!, $url: String!) { createWebhookEndpoint(input: {channel: $channel, url: $url}) {
  ... on CreateWebhookEndpointSuccess { secret endpoint { id channel url } } ... on Refusal { code path } } }
"""
ROTATE = """
mutation($id: ID!) { rotateWebhookSecret(input: {endpointId: $id}) {
  ... on RotateWebhookSecretSuccess { secret endpoint { formerSecretUntil } } ... on Refusal { code path } } }
"""
DISABLE = """
mutation($id: ID!) { disableWebhookEndpoint(input: {endpointId: $id}) {
  ... on DisableWebhookEndpointSuccess { endpoint { disabledBy disabledAt } } ... on Refusal { code path } } }
"""
DEAD = """
{ deadLetters(first: 100) { edges { node { id channel status failure attempts replays message { subject } } } } }
"""
REPLAY = """
mutation($id: ID!) { replayDeadLetter(input: {deliveryId: $id}) {
  ... on ReplayDeadLetterSuccess { delivery { status replays } } ... on Refusal { code path } } }
"""
NODE = "query($id: ID!) { node(id: $id) { id ... on Message { subject } } }"
NOTICES = """
{ viewer { notifications(first: 5) { edges { node { kind title body subject { id __typename } } } } } }
"""
SERVE = "MATCH (c:Customer {id: $id}) MERGE (e:Employee {id: $rm}) MERGE (c)-[:SERVED_BY]->(e)"

COSTS = {
    "messages": (1, 5),
    "messagePreferences": (0, 5),
    "setMessagePreferences": (0, 7),
    "messagePolicies": (0, 1),
    "createMessagePolicy": (0, 4),
    "activateMessagePolicy": (0, 5),
    "webhookEndpoints": (0, 1),
    "createWebhookEndpoint": (0, 4),
    "rotateWebhookSecret": (0, 3),
    "disableWebhookEndpoint": (0, 3),
    "deadLetters": (0, 2),
    "replayDeadLetter": (0, 4),
}


async def nodes(caller: Caller, document: str, name: str, **variables: Any) -> list[dict[str, Any]]:
    return [edge["node"] for edge in (await caller.ask(document, **variables))[name]["edges"]]


async def customer_of(system: System, unique: str) -> tuple[Caller, str]:
    caller = await system.customer(f"lin-{unique}")
    local = local_of(f"lin-{unique}")
    await allow(system.edge.database, local)
    return caller, local


async def test_a_customer_reads_what_they_were_told_and_why_not(system: System, unique: str) -> None:
    """Given three marketing messages in a week; then two are in the app, and the third says in words why it is not."""
    lin, local = await customer_of(system, unique)
    database = system.edge.database
    await disable_endpoints(database)
    for _ in range(3):
        await decide_one(database, local)
    found = await nodes(lin, MESSAGES, "messages")
    assert sorted(one["status"] for one in found) == ["SENT", "SENT", "SUPPRESSED"]
    (capped,) = [one for one in found if one["status"] == "SUPPRESSED"]
    assert (capped["why"], capped["deliveries"]) == ("The customer has had as many of them as the cap allows.", [])
    sent = next(one for one in found if one["status"] == "SENT")
    assert (sent["category"], sent["subject"]) == ("MARKETING", "For you: On pensions")
    name = f"lin-{unique}"[-20:]
    assert sent["body"].startswith(f"Dear {name}, our new article “On pensions”")
    assert {"channel": "APP", "reason": "SENT", "why": "It was sent."} in sent["channels"]
    assert sent["deliveries"] == [{"channel": "APP", "status": "SENT", "failure": None, "message": {"id": sent["id"]}}]
    zh = system.caller(f"lin-{unique}", "customer", language="zh")
    (notice, _) = [edge["node"] for edge in (await zh.ask(NOTICES))["viewer"]["notifications"]["edges"]]
    assert (notice["kind"], notice["title"]) == ("MESSAGE", "为您推荐：养老新知")
    assert notice["body"].startswith(f"{name}，您好！新文章《养老新知》")
    assert notice["subject"]["__typename"] == "Message"


async def test_messages_are_shown_to_the_customer_and_who_looks_after_them(system: System, unique: str) -> None:
    """Given a message; then the own manager and administrators see it, another's and other customers do not."""
    lin, local = await customer_of(system, unique)
    await decide_one(system.edge.database, local)
    await system.edge.graph.write(SERVE, id=local, rm=f"rm-{unique}")
    customer = global_id("Customer", local)
    (own,) = await nodes(lin, MESSAGES, "messages")
    for caller in (
        lin,
        system.caller(f"rm-{unique}", "relationship_manager"),
        system.caller("he", "administrator"),
    ):
        (found,) = await nodes(caller, MESSAGES, "messages", customer=customer)
        assert (found["id"], found["why"]) == (own["id"], "It was sent.")
        assert (await caller.ask(NODE, id=own["id"]))["node"] == {"id": own["id"], "subject": "For you: On pensions"}
    other = await system.customer(f"other-{unique}")
    for caller in (other, system.caller("another", "relationship_manager"), system.caller("sun", "service")):
        error = await caller.fail(MESSAGES, customer=customer)
        assert error["extensions"]["code"] == "FORBIDDEN"
        assert (await caller.ask(NODE, id=own["id"]))["node"] is None
    assert await nodes(system.caller(f"nobody-{unique}", "customer"), MESSAGES, "messages") == []


async def test_a_customer_says_how_they_are_written_to(system: System, unique: str) -> None:
    lin, local = await customer_of(system, unique)
    found = (await lin.ask(PREFERENCES))["messagePreferences"]
    assert found["quietHours"] == {"start": "21:00", "end": "09:00", "isOwn": False}
    assert (found["timeZone"], found["language"]) == ("Asia/Shanghai", "zh")
    rows = {(one["category"], one["channel"]): one for one in found["channels"]}
    assert rows["SERVICE", "APP"] == {
        "category": "SERVICE",
        "categoryName": "Service",
        "channel": "APP",
        "channelName": "In the app",
        "enabled": True,
        "switchable": False,
        "isOwn": False,
    }
    off = {"category": "MARKETING", "channel": "APP", "enabled": False}
    wish = {
        "channels": [off],
        "quietHours": {"start": "12:00", "end": "12:00"},
        "timeZone": "Europe/Vienna",
        "language": "en",
    }
    for _ in range(2):
        said = (await lin.ask(SET, input=wish))["setMessagePreferences"]["preferences"]
        assert {**off, "isOwn": True} in said["channels"]
        assert said["quietHours"] == {"start": "12:00", "end": "12:00", "isOwn": True}
        assert (said["timeZone"], said["language"]) == ("Europe/Vienna", "en")
    assert (await lin.ask(SET, input={"language": "zh"}))["setMessagePreferences"]["preferences"]["timeZone"] == (
        "Europe/Vienna"
    )
    before = await state(system)
    fixed = {"channels": [{"category": "SERVICE", "channel": "APP", "enabled": False}]}
    assert (await lin.ask(SET, input=fixed))["setMessagePreferences"] == {
        "code": "PREFERENCE_FIXED",
        "path": ["input", "channels"],
    }
    for wrong, reason, path in (
        ({"timeZone": "Mars/Olympus"}, "MESSAGE_PREFERENCE_INVALID", ["timeZone"]),
        ({"language": "fr"}, "MESSAGE_PREFERENCE_INVALID", ["language"]),
        ({"quietHours": {"start": "25:00", "end": "09:00"}}, "QUIET_HOURS_INVALID", ["quietHours", "start"]),
    ):
        error = (await lin.fail(SET, input=wrong))["extensions"]
        assert (error["reason"], error["inputPath"]) == (reason, path)
    assert await state(system) == before
    assert (await decide_one(system.edge.database, local)).by_channel["APP"] == "SWITCHED_OFF"


async def test_an_administrator_writes_and_activates_a_policy(system: System) -> None:
    he = system.caller("he", "administrator")
    async with system.edge.database.read() as session:
        former = global_id("MessagePolicy", (await active_message_policy(session)).id)
    definition = STANDARD.model_dump(mode="json")
    draft = (await he.ask(CREATE_POLICY, definition=definition))["createMessagePolicy"]["policy"]
    assert (draft["status"], draft["createdBy"]) == ("DRAFT", "he")
    for _ in range(2):
        done = (await he.ask(ACTIVATE_POLICY, policyId=draft["id"]))["activateMessagePolicy"]["policy"]
        assert (done["status"], done["activatedBy"], done["version"]) == ("ACTIVE", "he", draft["version"])
    found = await nodes(he, POLICIES, "messagePolicies")
    assert [one["status"] for one in found].count("ACTIVE") == 1
    assert found[0]["definition"] == definition
    refused = (await he.ask(ACTIVATE_POLICY, policyId=former))["activateMessagePolicy"]
    assert refused == {"code": "MESSAGE_POLICY_RETIRED", "path": ["input", "policyId"]}
    error = (await he.fail(CREATE_POLICY, definition={**definition, "total": {"count": -1, "days": 1}}))["extensions"]
    assert (error["reason"], error["inputPath"]) == ("MESSAGE_POLICY_INVALID", ["definition", "total", "count"])


async def disable_all(system: System, he: Caller) -> None:
    for one in await nodes(he, ENDPOINTS, "webhookEndpoints"):
        if one["disabledAt"] is None:
            await he.ask(DISABLE, id=one["id"])


async def test_an_administrator_sets_up_a_gateway_whose_secret_is_shown_once(system: System) -> None:
    he = system.caller("he", "administrator")
    await disable_all(system, he)
    url = f"https://{new_id()}.example/in"
    made = (await he.ask(CREATE_ENDPOINT, channel="SMS", url=url))["createWebhookEndpoint"]
    assert made["secret"].startswith("whsec_")
    again = (await he.ask(CREATE_ENDPOINT, channel="SMS", url=url))["createWebhookEndpoint"]
    assert again == {"code": "WEBHOOK_ENDPOINT_EXISTS", "path": ["input", "channel"]}
    rotated = (await he.ask(ROTATE, id=made["endpoint"]["id"]))["rotateWebhookSecret"]
    assert rotated["secret"] != made["secret"]
    assert rotated["endpoint"]["formerSecretUntil"] is not None
    off = (await he.ask(DISABLE, id=made["endpoint"]["id"]))["disableWebhookEndpoint"]["endpoint"]
    assert off["disabledBy"] == "he"
    assert (await he.ask(ROTATE, id=made["endpoint"]["id"]))["rotateWebhookSecret"]["code"] == (
        "WEBHOOK_ENDPOINT_DISABLED"
    )
    for given, reason in (
        ({"channel": "EMAIL", "url": url}, "WEBHOOK_CHANNEL_INVALID"),
        ({"channel": "SMS", "url": "https://10.0.0.1/"}, "WEBHOOK_URL_INVALID"),
        ({"channel": "SMS", "url": "http://gateway.example/"}, "WEBHOOK_URL_INVALID"),
    ):
        assert (await he.fail(CREATE_ENDPOINT, **given))["extensions"]["reason"] == reason
    # Neither secret stands anywhere as it is.
    async with system.edge.database.read() as session:
        row = (await session.exec(select(WebhookEndpoint).where(col(WebhookEndpoint.url) == url))).one()
    for secret in (made["secret"], rotated["secret"]):
        assert secret.removeprefix("whsec_") not in str(row)


async def dead_letter(system: System, local: str) -> str:
    """The global id of a delivery that was given up."""
    await sleep_never(system.edge.database, local)
    async with gateway(410) as there:
        await put_endpoint(system.edge.database, MessageChannel.WECHAT, there.url)
        found = await decide_one(system.edge.database, local, MessageCategory.CARE)
        id = delivery_id_of(found.id, MessageChannel.WECHAT)
        assert not await deliver(Stores(system.edge.database, system.edge.graph, outlets=LOCAL), id, now=utc_now())
    return global_id("MessageDelivery", id)


async def test_an_administrator_replays_what_was_given_up(system: System, unique: str) -> None:
    _, local = await customer_of(system, unique)
    he, id = system.caller("he", "administrator"), await dead_letter(system, local)
    (found,) = [one for one in await nodes(he, DEAD, "deadLetters") if one["id"] == id]
    assert (found["channel"], found["status"], found["failure"], found["attempts"]) == ("WECHAT", "DEAD", "HTTP_410", 1)
    assert found["message"] == {"subject": "For you: On pensions"}
    done = (await he.ask(REPLAY, id=id))["replayDeadLetter"]["delivery"]
    assert done == {"status": "DUE", "replays": 1}
    assert (await he.ask(REPLAY, id=id))["replayDeadLetter"]["code"] == "NO_DEAD_LETTER"
    missing = global_id("MessageDelivery", new_id())
    assert (await he.ask(REPLAY, id=missing))["replayDeadLetter"]["code"] == "NOT_FOUND"
    assert not any(one["id"] == id for one in await nodes(he, DEAD, "deadLetters"))


async def test_what_is_for_administrators_is_for_nobody_else(system: System, unique: str) -> None:
    """Given managers, officers and customers, then none of them reads or changes what is set up."""
    lin, local = await customer_of(system, unique)
    id = await dead_letter(system, local)
    endpoint = global_id("WebhookEndpoint", new_id())
    before = await state(system)
    for caller in (lin, system.caller("rm", "relationship_manager"), system.caller("co", "complaints_officer")):
        for document, variables in (
            (POLICIES, {}),
            (CREATE_POLICY, {"definition": STANDARD.model_dump(mode="json")}),
            (ACTIVATE_POLICY, {"policyId": global_id("MessagePolicy", new_id())}),
            (ENDPOINTS, {}),
            (CREATE_ENDPOINT, {"channel": "SMS", "url": "https://gateway.example/"}),
            (ROTATE, {"id": endpoint}),
            (DISABLE, {"id": endpoint}),
            (DEAD, {}),
            (REPLAY, {"id": id}),
        ):
            assert (await caller.fail(document, **variables))["extensions"]["code"] == "FORBIDDEN", document
    assert await state(system) == before


async def test_the_cost_of_each(system: System, unique: str) -> None:
    """Given five messages or one, then it costs the same; so does the rest."""
    lin, local = await customer_of(system, unique)
    he = system.caller("he", "administrator")
    await disable_all(system, he)
    await decide_one(system.edge.database, local)
    one = await cost(system, lin, MESSAGES)
    for _ in range(4):
        await decide_one(system.edge.database, local, MessageCategory.SERVICE, outlets=Outlets(), now=NOON)
    found = {"messages": await cost(system, lin, MESSAGES)}
    assert one == found["messages"]
    found["messagePreferences"] = await cost(system, lin, PREFERENCES)
    wish = {"channels": [{"category": "CARE", "channel": "APP", "enabled": True}], "language": "en"}
    found["setMessagePreferences"] = await cost(system, lin, SET, input=wish)
    found["messagePolicies"] = await cost(system, he, POLICIES)
    definition = STANDARD.model_dump(mode="json")
    found["createMessagePolicy"] = await cost(system, he, CREATE_POLICY, definition=definition)
    draft = (await nodes(he, POLICIES, "messagePolicies"))[0]["id"]
    found["activateMessagePolicy"] = await cost(system, he, ACTIVATE_POLICY, policyId=draft)
    found["webhookEndpoints"] = await cost(system, he, ENDPOINTS)
    url = "https://gateway.example/"
    found["createWebhookEndpoint"] = await cost(system, he, CREATE_ENDPOINT, channel="SMS", url=url)
    made = next(one for one in await nodes(he, ENDPOINTS, "webhookEndpoints") if one["disabledAt"] is None)
    found["rotateWebhookSecret"] = await cost(system, he, ROTATE, id=made["id"])
    found["disableWebhookEndpoint"] = await cost(system, he, DISABLE, id=made["id"])
    await system.customer(f"other-{unique}")
    id = await dead_letter(system, local_of(f"other-{unique}"))
    dead = "{ deadLetters(first: 5) { edges { node { id message { status } } } } }"
    found["deadLetters"] = await cost(system, he, dead)
    found["replayDeadLetter"] = await cost(system, he, REPLAY, id=id)
    assert found == COSTS
