"""Policies of recommendations and trials of them over HTTP: for administrators, and one trial at a time."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.relay import global_id
from community.recommendation_learning import ScoringPolicy
from community.recommendation_policies import (
    RunPlan,
    Variant,
    parse_recommendation_definition,
    plan_now,
)
from core.ids import new_id
from tests.api.conftest import Caller, System
from tests.api.test_denials import state
from tests.api.test_insight_policies import mutation
from tests.api.test_round_trips import cost

pytestmark = pytest.mark.anyio

POLICY = "policy { id number status definition createdBy activatedBy }"
EXPERIMENT = "experiment { id percent startedBy endedBy endedAt control { id number } treatment { id number status } }"
CREATE = mutation("createRecommendationPolicy", "$definition: JSON!", POLICY)
ACTIVATE = mutation("activateRecommendationPolicy", "$policyId: ID!", POLICY)
START = mutation("startRecommendationExperiment", "$policyId: ID!, $percent: Int!", EXPERIMENT)
END = f"""
mutation {{ endRecommendationExperiment {{
  __typename ... on EndRecommendationExperimentSuccess {{ {EXPERIMENT} }} ... on Refusal {{ code path }}
}} }}
"""
LISTS = """
{
  recommendationPolicies(first: 100) { edges { node { id number status definition } } }
  recommendationExperiments(first: 100) { edges { node { id percent control { number } treatment { number } } } }
}
"""
# Statements to SQL; each but the lists writes the audit.
COSTS = {
    "createRecommendationPolicy": (0, 4),
    "activateRecommendationPolicy": (0, 7),
    "startRecommendationExperiment": (0, 6),
    "endRecommendationExperiment": (0, 6),
    "recommendationPolicies": (0, 3),
}


@pytest.fixture
async def administrator(system: System) -> Caller:
    """With no trial running, whatever tests before have left."""
    found = system.caller("he", "administrator")
    await found.ask(END)
    return found


async def draft(administrator: Caller, **definition: Any) -> dict[str, Any]:
    return (await administrator.ask(CREATE, definition=definition))["createRecommendationPolicy"]["policy"]


async def test_a_draft_is_tried_and_then_activated(system: System, administrator: Caller) -> None:
    """Given a draft on trial, when it is activated, then it decides for everybody and the trial is over."""
    one = await draft(administrator, weights={"tags": 2.5}, tag_cap=3)
    assert (one["status"], one["createdBy"], one["activatedBy"]) == ("DRAFT", "he", None)
    answer = (await administrator.ask(START, policyId=one["id"], percent=30))["startRecommendationExperiment"]
    trial = answer["experiment"]
    assert (trial["percent"], trial["startedBy"], trial["endedBy"]) == (30, "he", None)
    assert (trial["treatment"]["id"], trial["treatment"]["status"]) == (one["id"], "DRAFT")
    async with system.edge.database.read() as session:
        plan = await plan_now(session)
    assert plan.definition(Variant.TREATMENT).over(ScoringPolicy()).weights.tags == 2.5
    assert plan.definition(Variant.TREATMENT).order().tag_cap == 3
    shares = Counter(plan.variant(new_id()) for _ in range(2_000))
    assert 450 < shares[Variant.TREATMENT] < 750

    answer = (await administrator.ask(ACTIVATE, policyId=one["id"]))["activateRecommendationPolicy"]
    assert (answer["policy"]["status"], answer["policy"]["activatedBy"]) == ("ACTIVE", "he")
    async with system.edge.database.read() as session:
        plan = await plan_now(session)
    assert (plan.trial_id, plan.treatment) == (None, None)
    variant = plan.variant(new_id())
    assert (variant, plan.definition(variant)) == (
        Variant.CONTROL,
        parse_recommendation_definition(one["definition"]),
    )
    found = await administrator.ask(LISTS)
    policies = [edge["node"] for edge in found["recommendationPolicies"]["edges"]]
    assert policies[0]["id"] == one["id"]
    assert [row["status"] for row in policies].count("ACTIVE") == 1
    trials = [edge["node"] for edge in found["recommendationExperiments"]["edges"]]
    assert (trials[0]["id"], trials[0]["treatment"]["number"]) == (trial["id"], one["number"])
    assert trials[0]["control"]["number"] == trial["control"]["number"]
    for document in (ACTIVATE, START):
        ((_, answer),) = (await administrator.ask(document, policyId=one["id"], **percent_of(document))).items()
        assert (answer["code"], answer["path"]) == ("RECOMMENDATION_POLICY_NOT_DRAFT", ["input", "policyId"])


def percent_of(document: str) -> dict[str, int]:
    return {"percent": 10} if document == START else {}


async def test_one_trial_runs_at_a_time(system: System, administrator: Caller) -> None:
    """Given six starts at once, then one trial runs; when it is ended twice, then the second finds none."""
    drafts = [await draft(administrator) for _ in range(2)]
    answers = await asyncio.gather(
        *(administrator.ask(START, policyId=drafts[n % 2]["id"], percent=50) for n in range(6))
    )
    codes = Counter(one["startRecommendationExperiment"].get("code") for one in answers)
    assert codes == {None: 1, "RECOMMENDATION_EXPERIMENT_RUNNING": 5}
    ends = await asyncio.gather(*(administrator.ask(END) for _ in range(3)))
    codes = Counter(one["endRecommendationExperiment"].get("code") for one in ends)
    assert codes == {None: 1, "NO_RECOMMENDATION_EXPERIMENT": 2}
    async with system.edge.database.read() as session:
        assert (await plan_now(session)).trial_id is None
    # The draft may be tried again.
    again = (await administrator.ask(START, policyId=drafts[0]["id"], percent=1))["startRecommendationExperiment"]
    assert again["__typename"] == "StartRecommendationExperimentSuccess"
    await administrator.ask(END)


async def test_activated_at_once_one_stays_active(system: System, administrator: Caller) -> None:
    drafts = [await draft(administrator) for _ in range(4)]
    await asyncio.gather(*(administrator.ask(ACTIVATE, policyId=one["id"]) for one in drafts))
    found = (await administrator.ask(LISTS))["recommendationPolicies"]["edges"]
    assert [edge["node"]["status"] for edge in found].count("ACTIVE") == 1
    numbers = [edge["node"]["number"] for edge in found]
    assert numbers == sorted(set(numbers), reverse=True)


async def test_what_cannot_be_is_refused_with_its_place(system: System, administrator: Caller) -> None:
    one = await draft(administrator)
    before = await state(system)
    for definition, path in (
        ({"weights": {"tagz": 1}}, ["weights"]),
        ({"weights": {"tags": -1}}, ["weights", "tags"]),
        ({"tag_cap": 0}, ["tagCap"]),
        ({"explored": 4}, ["explored"]),
        ({"anything": 1}, ["anything"]),
        ([], []),
    ):
        error = (await administrator.fail(CREATE, definition=definition))["extensions"]
        assert (error["reason"], error["inputPath"]) == ("RECOMMENDATION_POLICY_INVALID", ["definition", *path])
    for percent in (0, 100, -1):
        error = (await administrator.fail(START, policyId=one["id"], percent=percent))["extensions"]
        assert (error["reason"], error["inputPath"]) == ("RECOMMENDATION_EXPERIMENT_SHARE_INVALID", ["percent"])
    for document in (ACTIVATE, START):
        absent = global_id("RecommendationPolicy", new_id())
        ((_, answer),) = (await administrator.ask(document, policyId=absent, **percent_of(document))).items()
        assert (answer["code"], answer["path"]) == ("NOT_FOUND", ["input", "policyId"])
        wrong = global_id("TierPolicy", new_id())
        error = (await administrator.fail(document, policyId=wrong, **percent_of(document)))["extensions"]
        assert (error["reason"], error["inputPath"]) == ("ID_INVALID", ["input", "policyId"])
    assert await state(system) == before


async def test_they_are_for_administrators(system: System, administrator: Caller, unique: str) -> None:
    one = await draft(administrator)
    customer = await system.customer(f"lin-{unique}")
    before = await state(system)
    for caller in (customer, system.caller("zhou", "relationship_manager"), system.caller("sun", "complaints_officer")):
        for document, variables in (
            (CREATE, {"definition": {}}),
            (ACTIVATE, {"policyId": one["id"]}),
            (START, {"policyId": one["id"], "percent": 10}),
            (END, {}),
            (LISTS, {}),
        ):
            assert (await caller.fail(document, **variables))["extensions"]["code"] == "FORBIDDEN"
    assert await state(system) == before


async def test_costs(system: System, administrator: Caller) -> None:
    one = await draft(administrator)
    assert {
        "createRecommendationPolicy": await cost(system, administrator, CREATE, definition={}),
        "startRecommendationExperiment": await cost(system, administrator, START, policyId=one["id"], percent=5),
        "endRecommendationExperiment": await cost(system, administrator, END),
        "activateRecommendationPolicy": await cost(system, administrator, ACTIVATE, policyId=one["id"]),
        "recommendationPolicies": await cost(system, administrator, LISTS),
    } == COSTS


def trial(id: str, percent: int) -> RunPlan:
    return RunPlan({}, {}, id, percent)


@given(customer=st.uuids(), experiment=st.uuids(), percent=st.integers(1, 98))
def test_whoever_is_in_a_trial_stays_in_it_when_it_grows(customer: Any, experiment: Any, percent: int) -> None:
    small, large = (trial(str(experiment), one) for one in (percent, percent + 1))
    assert small.variant(str(customer)) == small.variant(str(customer))
    if small.variant(str(customer)) == Variant.TREATMENT:
        assert large.variant(str(customer)) == Variant.TREATMENT
    assert RunPlan().variant(str(customer)) == Variant.CONTROL


def test_shares_are_true_and_two_trials_are_independent() -> None:
    customers = [f"customer-{number}" for number in range(10_000)]
    drawn = [[trial(id, 20).variant(one) == Variant.TREATMENT for one in customers] for id in ("first", "second")]
    assert all(1_850 < sum(one) < 2_150 for one in drawn)
    assert 320 < sum(a and b for a, b in zip(*drawn, strict=True)) < 480


def test_a_draw_is_the_same_on_every_machine() -> None:
    drawn = [trial("of 2026", 50).variant(f"customer-{number}").value[0] for number in range(24)]
    assert "".join(drawn) == "TTTTTCTTCCCCTTTCTTCCTTTC"
