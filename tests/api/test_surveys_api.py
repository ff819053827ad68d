"""Surveys over HTTP: customers answer what they were sent, staff see what all of it comes to, of no single person."""

from datetime import timedelta

import pytest

from api.relay import global_id
from core.clock import iso, utc_now
from core.facts import NewFact, record_facts
from core.ids import new_id
from tests.api.conftest import Caller, System
from tests.api.test_alerts import nodes
from tests.api.test_denials import state
from tests.api.test_round_trips import cost
from tests.api.test_way_through import local_of, make_program
from tests.service.promised import DAY, put_survey

pytestmark = pytest.mark.anyio

SURVEYS = """
query($answered: Boolean! = false) {
  surveys(answered: $answered, first: 20) { edges { node { id kind occasion question score } } }
}
"""
SUBMIT = """
mutation($id: ID!, $score: Int!, $comment: String) {
  submitSurvey(input: {surveyId: $id, score: $score, comment: $comment}) {
    __typename
    ... on SubmitSurveySuccess { survey { score comment answeredAt } }
    ... on Refusal { code path }
  }
}
"""
NODE = "query($id: ID!) { node(id: $id) { __typename ... on Survey { score comment } } }"
RESULTS = """
query($kind: SurveyKind!, $since: DateTime!, $until: DateTime!, $by: SurveyResultGroup! = ALL, $o: SurveyOccasion) {
  surveyResults(kind: $kind, since: $since, until: $until, by: $by, occasion: $o) {
    hiddenAnswers
    groups {
      key answers
      nps { score promoters passives detractors interval { low high } }
      csat { mean satisfiedPercent interval { low high } }
    }
  }
}
"""
KPIS = """
query($since: DateTime!, $until: DateTime!) {
  programKpis(since: $since, until: $until) {
    serviceBreaks { rule { name } found open recovered expired recoveredInTime inTimePercent medianHoursToRecovery }
    satisfaction { kind repair result { answers nps { score } csat { mean } } }
    surveys { invited answered responsePercent }
    complaints { filed closed firstResponseLate }
    followUps { done missed donePercent }
  }
}
"""
POLICIES = "{ surveyPolicies(first: 100) { edges { node { id number status definition } } } }"
CREATE = """
mutation($definition: JSON!) {
  createSurveyPolicy(input: {definition: $definition}) {
    ... on CreateSurveyPolicySuccess { policy { id status definition } } ... on Refusal { code }
  }
}
"""
ACTIVATE = """
mutation($id: ID!) {
  activateSurveyPolicy(input: {policyId: $id}) {
    ... on ActivateSurveyPolicySuccess { policy { status activatedBy } } ... on Refusal { code }
  }
}
"""
COSTS = {
    "surveys": (0, 2),
    "submitSurvey": (0, 15),
    "surveyResults": (0, 2),
    "programKpis": (0, 4),
    "surveyPolicies": (0, 1),
    "createSurveyPolicy": (0, 4),
    "activateSurveyPolicy": (0, 7),
}


async def sent(system: System, customer_id: str, kind: str = "NPS") -> str:
    return global_id("Survey", await put_survey(system.edge.database, customer_id, utc_now(), kind=kind))


async def test_a_customer_answers_what_follows_from_an_event(system: System, unique: str) -> None:
    """Given an event attended, then the customer is asked in their language, answers once, and is asked no more."""
    lin, me = await system.customer(f"lin-{unique}"), local_of(f"lin-{unique}")
    fact = NewFact("test", new_id(), "EVENT_ATTENDED", me, utc_now(), {"event_id": new_id()})
    async with system.edge.database.write() as session:
        await record_facts(session, [fact], now=utc_now())
    await system.work()
    (asked,) = nodes(await lin.ask(SURVEYS), "surveys")
    assert (asked["kind"], asked["occasion"], asked["score"]) == ("NPS", "EVENT", None)
    assert asked["question"].startswith("How likely are you to recommend us")
    chinese = system.caller(f"lin-{unique}", "customer", language="zh")
    assert nodes(await chinese.ask(SURVEYS), "surveys")[0]["question"].startswith("您有多大可能")
    for _ in range(2):
        answer = (await lin.ask(SUBMIT, id=asked["id"], score=9, comment="Lovely"))["submitSurvey"]
        assert (answer["survey"]["score"], answer["survey"]["comment"]) == (9, "Lovely")
    other = (await lin.ask(SUBMIT, id=asked["id"], score=8, comment="Lovely"))["submitSurvey"]
    assert (other["code"], other["path"]) == ("SURVEY_ANSWERED", ["input", "surveyId"])
    assert nodes(await lin.ask(SURVEYS), "surveys") == []
    assert [one["score"] for one in nodes(await lin.ask(SURVEYS, answered=True), "surveys")] == [9]
    assert (await lin.ask(NODE, id=asked["id"]))["node"] == {"__typename": "Survey", "score": 9, "comment": "Lovely"}


async def test_nobody_answers_for_others_nor_too_late_nor_what_is_not_on_the_scale(system: System, unique: str) -> None:
    lin = await system.customer(f"lin-{unique}")
    mine, theirs = await sent(system, local_of(f"lin-{unique}")), await sent(system, new_id())
    late = await put_survey(system.edge.database, local_of(f"lin-{unique}"), utc_now() - 14 * DAY)
    before = await state(system)
    for which in (theirs, global_id("Survey", new_id())):
        answer = (await lin.ask(SUBMIT, id=which, score=1, comment="Not mine"))["submitSurvey"]
        assert answer == {"__typename": "Refusal", "code": "NOT_FOUND", "path": ["input", "surveyId"]}
        assert await lin.ask(NODE, id=which) == {"node": None}
    expired = (await lin.ask(SUBMIT, id=global_id("Survey", late), score=1))["submitSurvey"]
    assert expired["code"] == "SURVEY_EXPIRED"
    for score in (-1, 11):
        error = await lin.fail(SUBMIT, id=mine, score=score)
        assert error["extensions"]["reason"] == "SURVEY_ANSWER_INVALID"
    staff = system.caller("he", "administrator")
    assert (await staff.ask(SUBMIT, id=mine, score=9))["submitSurvey"]["code"] == "NOT_SIGNED_UP"
    assert nodes(await staff.ask(SURVEYS), "surveys") == []
    assert await state(system) == before


async def test_results_and_figures_are_for_staff(system: System, unique: str) -> None:
    """Given five answers of a customer's own community, then staff see what they come to, and customers nothing."""
    # Next to a group of another test that is hidden ours would be hidden too, so that the period is this test's alone.
    community, since = new_id(), utc_now()
    for score in (10, 9, 9, 7, 2):
        name = f"c{score}-{new_id()}"
        caller = await system.customer(name)
        survey = await put_survey(system.edge.database, local_of(name), utc_now(), community_id=community)
        answer = await caller.ask(SUBMIT, id=global_id("Survey", survey), score=score)
        assert answer["submitSurvey"]["__typename"] == "SubmitSurveySuccess"
    await system.work()
    period = {"since": iso(since), "until": iso(utc_now() + timedelta(seconds=1))}
    manager = system.caller(f"rm-{unique}", "relationship_manager")
    results = (await manager.ask(RESULTS, kind="NPS", by="COMMUNITY", **period))["surveyResults"]
    (group,) = [one for one in results["groups"] if one["key"] == global_id("Community", community)]
    assert (group["answers"], group["nps"]["score"], group["csat"]) == (5, 40, None)
    assert (group["nps"]["promoters"], group["nps"]["passives"], group["nps"]["detractors"]) == (3, 1, 1)
    assert group["nps"]["interval"]["low"] < 40 < group["nps"]["interval"]["high"]
    figures = (await manager.ask(KPIS, **period))["programKpis"]
    assert figures["surveys"]["answered"] >= 5
    assert any(one["repair"] == "NONE" and one["kind"] == "NPS" for one in figures["satisfaction"])
    stranger = system.caller(f"s-{unique}", "customer")
    for document, variables in ((RESULTS, {"kind": "NPS", **period}), (KPIS, period), (POLICIES, {})):
        assert (await stranger.fail(document, **variables))["extensions"]["code"] == "FORBIDDEN"
    wrong = await manager.fail(KPIS, since=period["until"], until=period["since"])
    assert wrong["extensions"]["reason"] == "SURVEY_PERIOD_INVALID"


async def test_a_bad_score_silences_the_request_to_refer(system: System, unique: str) -> None:
    """Given a 3 in our own survey of who would recommend us, then the customer is not asked to refer."""
    program = await make_program(system)
    lin, me = await system.customer(f"lin-{unique}"), local_of(f"lin-{unique}")
    prompt = "query($p: ID!) { viewer { referralPrompt(programId: $p) { reason } } }"
    assert (await lin.ask(prompt, p=program))["viewer"]["referralPrompt"] == {"reason": None}
    await lin.ask(SUBMIT, id=await sent(system, me, "CSAT"), score=1)
    assert (await lin.ask(prompt, p=program))["viewer"]["referralPrompt"] == {"reason": None}
    await lin.ask(SUBMIT, id=await sent(system, me), score=3)
    assert (await lin.ask(prompt, p=program))["viewer"]["referralPrompt"] == {"reason": "BAD_SURVEY"}


async def make_policy(administrator: Caller) -> str:
    asked = [
        {"occasion": "EVENT", "kind": "NPS"},
        {"occasion": "CASE", "kind": "CSAT"},
        {"occasion": "REDEMPTION", "kind": "CSAT"},
    ]
    answer = (await administrator.ask(CREATE, definition={"asked": asked}))["createSurveyPolicy"]["policy"]
    assert answer["status"] == "DRAFT"
    assert answer["definition"] == {
        "quiet_days": 14,
        "expires_days": 14,
        "latest_days": 7,
        "asked": [{**one, "percent": 100} for one in asked],
    }
    return answer["id"]


async def test_a_policy_is_activated_once(system: System, unique: str) -> None:
    """Given a draft that says what the active policy says, then it is activated once, and one is active."""
    administrator = system.caller("he", "administrator")
    policy = await make_policy(administrator)
    manager = system.caller(f"rm-{unique}", "relationship_manager")
    for document, variables in ((CREATE, {"definition": {}}), (ACTIVATE, {"id": policy}), (POLICIES, {})):
        assert (await manager.fail(document, **variables))["extensions"]["code"] == "FORBIDDEN"
    active = (await administrator.ask(ACTIVATE, id=policy))["activateSurveyPolicy"]["policy"]
    assert active == {"status": "ACTIVE", "activatedBy": "he"}
    again = (await administrator.ask(ACTIVATE, id=policy))["activateSurveyPolicy"]
    assert again == {"code": "SURVEY_POLICY_NOT_DRAFT"}
    statuses = [one["status"] for one in nodes(await administrator.ask(POLICIES), "surveyPolicies")]
    assert statuses.count("ACTIVE") == 1
    for wrong in ({"quiet_days": -1}, {"asked": [{"occasion": "EVENT", "kind": "NPS"}] * 2}, {"x": 1}):
        error = await administrator.fail(CREATE, definition=wrong)
        assert error["extensions"]["reason"] == "SURVEY_POLICY_INVALID"


async def test_what_it_costs(system: System, unique: str) -> None:
    lin, me = await system.customer(f"lin-{unique}"), local_of(f"lin-{unique}")
    mine = [await sent(system, me) for _ in range(10)]
    administrator = system.caller("he", "administrator")
    policy = await make_policy(administrator)
    period = {"since": iso(utc_now() + 900_000 * DAY), "until": iso(utc_now() + 900_001 * DAY)}
    assert {
        "surveys": await cost(system, lin, SURVEYS),
        "submitSurvey": await cost(system, lin, SUBMIT, id=mine[0], score=9, comment="Lovely"),
        "surveyResults": await cost(system, administrator, RESULTS, kind="NPS", **period),
        "programKpis": await cost(system, administrator, KPIS, **period),
        "surveyPolicies": await cost(system, administrator, POLICIES),
        "createSurveyPolicy": await cost(system, administrator, CREATE, definition={}),
        "activateSurveyPolicy": await cost(system, administrator, ACTIVATE, id=policy),
    } == COSTS
