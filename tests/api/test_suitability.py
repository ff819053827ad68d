"""Suitability over HTTP: a customer is assessed, and sees what fits and why the rest does not; so do their staff."""

from typing import Any

import pytest

from api.relay import global_id
from core.clock import iso, utc_now
from core.ids import new_id
from customers.consents import ConsentChannel, ConsentPurpose, Word, grant_consent, revoke_consent
from customers.records import Holding
from customers.tagging import NewTag, tag_customers
from segments.tagging import Tag, TagFamily
from service.suitability import ProductRisk, RiskClass
from tests.api.conftest import Caller, System
from tests.api.test_alerts import manager_of, nodes
from tests.api.test_denials import state
from tests.api.test_needs import DECLARE, own_customer
from tests.api.test_round_trips import cost
from tests.customers.insight import put
from tests.service.suiting import ANSWERS, assess_one, assessments_of, holding_of, rate

pytestmark = pytest.mark.anyio

QUESTIONNAIRE = """
{
  riskQuestionnaire {
    id version status validMonths mostADay mostInPeriod periodMonths definition
    questions { key text answers { key text } }
  }
}
"""
ASSESS = """
mutation(
  $id: ID!, $answers: [RiskAnswerInput!]!, $months: Int! = 36, $need: Liquidity! = AT_MATURITY, $customerId: ID,
  $how: InteractionType
) {
  assessSuitability(input: {
    questionnaireId: $id, answers: $answers, horizonMonths: $months, liquidityNeed: $need, customerId: $customerId,
    interactionType: $how
  }) {
    __typename
    ... on AssessSuitabilitySuccess {
      assessment { id riskClass score horizonMonths liquidityNeed interactionType enteredBy expired takenAt expiresAt }
    }
    ... on Refusal { code path message }
  }
}
"""
CHECK = """
query($product: String!, $customerId: ID, $months: Int, $need: Liquidity) {
  suitability(product: $product, customerId: $customerId, horizonMonths: $months, liquidityNeed: $need) {
    suitable productCode productRisk productHorizonMonths productLiquidity ratingVersion riskClass horizonMonths
    liquidityNeed reasons { code text } product { code name }
  }
}
"""
MINE = """
query($customerId: ID) {
  riskAssessments(customerId: $customerId) { edges { node { id riskClass expired customer { id } } } }
}
"""
RECOMMENDED = """
query($customerId: ID, $first: Int! = 10) {
  recommendedProducts(customerId: $customerId, first: $first) {
    withheld
    products { score product { code tags } fits { kind key name confidence } suitability { suitable } }
  }
}
"""
HOLDINGS = """
query($customerId: ID) {
  unsuitableHoldings(customerId: $customerId) {
    edges { node { id customer { id } suitability { productCode reasons { code } product { name } } } }
  }
}
"""
CREATE = """
mutation($code: String!, $zh: String! = "基金", $en: String! = "Fund", $risk: ProductRisk, $tags: [String!]! = []) {
  createProduct(input: {
    code: $code, nameZh: $zh, nameEn: $en, risk: $risk, horizonMonths: 6, liquidity: MONTHLY, tags: $tags
  }) {
    __typename
    ... on CreateProductSuccess { product { id code risk ratingVersion active } }
    ... on Refusal { code path }
  }
}
"""
UPDATE = """
mutation($id: ID!, $risk: ProductRisk, $reason: String! = "Losses") {
  updateProduct(input: {productId: $id, risk: $risk, reason: $reason}) {
    __typename ... on UpdateProductSuccess { product { risk ratingVersion } } ... on Refusal { code path }
  }
}
"""
PRODUCT = """
query($code: String!) {
  product(code: $code) { id name risk ratingVersion ratings { edges { node { version risk setBy } } } }
}
"""
PRODUCTS = "query($all: Boolean!) { products(activeOnly: $all, first: 3) { edges { node { code name tags } } } }"
DRAFT = """
mutation($definition: JSON!) {
  createRiskQuestionnaire(input: {definition: $definition}) {
    __typename ... on CreateRiskQuestionnaireSuccess { questionnaire { id status version } }
  }
}
"""
ACTIVATE = """
mutation($id: ID!) {
  activateRiskQuestionnaire(input: {questionnaireId: $id}) {
    __typename ... on ActivateRiskQuestionnaireSuccess { questionnaire { status } } ... on Refusal { code path }
  }
}
"""
IMPORT = """
mutation($content: String!) {
  importBatch(input: {source: "products", content: $content}) {
    ... on ImportBatchSuccess {
      report { accepted rejected kinds { kind accepted unchanged } rejections { edges { node { line field reason } } } }
    }
  }
}
"""
COSTS = {
    "riskQuestionnaire": (0, 1),
    "assessSuitability": (0, 7),
    "suitability": (0, 4),
    "riskAssessments of own": (1, 2),
    "riskAssessments of customer": (2, 3),
    "recommendedProducts": (0, 9),
    "unsuitableHoldings": (2, 3),
    "createProduct": (0, 5),
    "updateProduct": (0, 11),
    "products": (0, 2),
    "createRiskQuestionnaire": (0, 4),
    "activateRiskQuestionnaire": (0, 5),
}


async def chosen(caller: Caller, risk_class: RiskClass = RiskClass.C3) -> dict[str, Any]:
    """The variables of an assessment that gives this class."""
    asked = (await caller.ask(QUESTIONNAIRE))["riskQuestionnaire"]
    answers = [
        {"question": one["key"], "answer": key}
        for one, key in zip(asked["questions"], ANSWERS[risk_class], strict=True)
    ]
    return {"id": asked["id"], "answers": answers}


async def test_a_customer_answers_and_sees_what_fits_and_why_the_rest_does_not(system: System, unique: str) -> None:
    lin, _ = await own_customer(system, unique)
    safe, risky = f"S-{unique}", f"R-{unique}"
    await rate(system.edge.database, safe, ProductRisk.R2)
    await rate(system.edge.database, risky, ProductRisk.R5)
    before = (await lin.ask(CHECK, product=safe))["suitability"]
    assert (before["suitable"], before["riskClass"]) == (False, None)
    assert [one["code"] for one in before["reasons"]] == ["ASSESSMENT_MISSING", "HORIZON_UNKNOWN", "LIQUIDITY_UNKNOWN"]

    asked = (await lin.ask(QUESTIONNAIRE))["riskQuestionnaire"]
    assert (asked["mostADay"], asked["mostInPeriod"], asked["periodMonths"], asked["validMonths"]) == (2, 8, 12, 12)
    # Scores are for the bank's people.
    assert asked["definition"] is None
    assert asked["questions"][0]["text"] == "How old are you?"
    found = (await lin.ask(ASSESS, **await chosen(lin)))["assessSuitability"]["assessment"]
    assert (found["riskClass"], found["interactionType"], found["enteredBy"]) == ("C3", None, None)
    assert found["expired"] is False and found["expiresAt"][:4] == str(int(found["takenAt"][:4]) + 1)

    assert (await lin.ask(CHECK, product=safe))["suitability"]["suitable"] is True
    refused = (await lin.ask(CHECK, product=risky, months=3, need="DAILY"))["suitability"]
    assert [one["code"] for one in refused["reasons"]] == ["RISK_TOO_HIGH", "HORIZON", "LIQUIDITY"]
    assert refused["reasons"][0]["text"] == "The product's risk is R5, the customer's class C3."
    assert (refused["productRisk"], refused["riskClass"], refused["horizonMonths"]) == ("R5", "C3", 3)
    chinese = await system.caller(f"lin-{unique}", "customer", language="zh").ask(CHECK, product=risky)
    assert chinese["suitability"]["reasons"][0]["text"] == "产品风险等级为R5，高于客户风险承受能力C3。"
    unknown = (await lin.ask(CHECK, product="none of ours"))["suitability"]
    assert ([one["code"] for one in unknown["reasons"]], unknown["product"]) == (["PRODUCT_UNKNOWN"], None)

    assert (await lin.ask(ASSESS, **await chosen(lin)))["assessSuitability"]["__typename"] == "AssessSuitabilitySuccess"
    third = (await lin.ask(ASSESS, **await chosen(lin)))["assessSuitability"]
    assert (third["code"], third["path"]) == ("ASSESSMENTS_OF_DAY_USED", [])
    assert len(nodes(await lin.ask(MINE), "riskAssessments")) == 2


async def test_staff_note_answers_only_in_a_conversation_and_only_of_their_own(system: System, unique: str) -> None:
    """Given a manager, then without a conversation it is refused; for another's customers it is FORBIDDEN."""
    lin, me = await own_customer(system, unique)
    manager, customer = manager_of(system, unique), global_id("Customer", me)
    given = await chosen(lin)
    before = await state(system)
    refused = (await manager.ask(ASSESS, **given, customerId=customer))["assessSuitability"]
    assert (refused["code"], refused["path"]) == ("INTERACTION_NEEDED", ["input", "interactionType"])
    other, stranger = system.caller(f"o-{unique}", "relationship_manager"), await system.customer(f"s-{unique}")
    before = await state(system)
    for who in (customer, global_id("Customer", new_id())):
        for document in (CHECK, MINE, RECOMMENDED):
            extra = {"product": "X"} if document is CHECK else {}
            for caller in (other, stranger):
                error = await caller.fail(document, customerId=who, **extra)
                assert error["extensions"]["code"] == "FORBIDDEN"
        error = await other.fail(ASSESS, **given, customerId=who, how="PHONE")
        assert error["extensions"]["code"] == "FORBIDDEN"
        answer = (await stranger.ask(ASSESS, **given, customerId=who, how="PHONE"))["assessSuitability"]
        assert (answer["code"], answer["path"]) == ("NOT_FOUND", ["input", "customerId"])
        assert (await other.fail(HOLDINGS, customerId=who))["extensions"]["code"] == "NOT_FOUND"
    assert (await stranger.fail(HOLDINGS))["extensions"]["code"] == "FORBIDDEN"
    assert await state(system) == before
    noted = (await manager.ask(ASSESS, **given, customerId=customer, how="BRANCH"))["assessSuitability"]["assessment"]
    assert (noted["interactionType"], noted["enteredBy"]) == ("BRANCH", f"rm-{unique}")
    (seen,) = nodes(await manager.ask(MINE, customerId=customer), "riskAssessments")
    assert seen == {"id": noted["id"], "riskClass": "C3", "expired": False, "customer": {"id": customer}}
    node = "query($id: ID!) { node(id: $id) { __typename } }"
    assert (await lin.ask(node, id=noted["id"]))["node"] == {"__typename": "RiskAssessment"}
    for caller in (other, stranger):
        assert (await caller.ask(node, id=noted["id"]))["node"] is None


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"answers": []}, "ASSESSMENT_ANSWERS_INVALID"),
        ({"months": 601}, "HORIZON_INVALID"),
        ({"id": global_id("RiskQuestionnaire", new_id())}, "RISK_QUESTIONNAIRE_RETIRED"),
    ],
)
async def test_what_is_no_answer_is_refused(system: System, unique: str, changed: dict[str, Any], code: str) -> None:
    lin, me = await own_customer(system, unique)
    given = await chosen(lin)
    twice = {"answers": [*given["answers"], given["answers"][0]]} if "answers" in changed else {}
    for wrong in (changed, changed | twice):
        assert (await lin.ask(ASSESS, **given | wrong))["assessSuitability"]["code"] == code
    assert await assessments_of(system.edge.database, me) == []


async def wish(system: System, customer_id: str, unique: str) -> str:
    """A tag of an interest, which the customer carries."""
    key, now = f"wish-{unique}", utc_now()
    row = {"key": key, "name_zh": "红酒", "name_en": "Wine", "family": "INTEREST", "merged_into": None}
    await put(system.edge.database, Tag, row | {"created_at": now})
    async with system.edge.database.write() as session:
        tag = NewTag(
            customer_id=customer_id,
            key=key,
            family=TagFamily.INTEREST,
            source="test",
            confidence=0.8,
            since=None,
            until=None,
        )
        await tag_customers(session, [tag], set_by="test", now=now)
    return key


async def allow_marketing(system: System, customer_id: str, *, allowed: bool = True) -> None:
    word = Word(ConsentPurpose.MARKETING, ConsentChannel.APP, customer_id, "oidc")
    async with system.edge.database.write() as session:
        put_word = grant_consent if allowed else revoke_consent
        await put_word(session, customer_id, word, now=utc_now())


async def test_what_fits_is_recommended_with_consent_alone(system: System, unique: str) -> None:
    lin, me = await own_customer(system, unique)
    manager, customer = manager_of(system, unique), global_id("Customer", me)
    tag, administrator = await wish(system, me, unique), system.caller("he", "administrator")
    for name, risk in (("A", "R3"), ("B", "R1"), ("C", "R4")):
        answer = await administrator.ask(CREATE, code=f"{name}-{unique}", risk=risk, tags=[tag])
        assert answer["createProduct"]["__typename"] == "CreateProductSuccess"
    asked = (await lin.ask(RECOMMENDED))["recommendedProducts"]
    assert asked == {"withheld": "NO_CONSENT", "products": []}
    await allow_marketing(system, me)
    assert (await lin.ask(RECOMMENDED))["recommendedProducts"]["withheld"] == "ASSESSMENT_MISSING"
    await assess_one(system.edge.database, me, RiskClass.C3)
    for caller, who in ((lin, None), (manager, customer)):
        found = (await caller.ask(RECOMMENDED, customerId=who))["recommendedProducts"]
        assert found["withheld"] is None
        assert [one["product"]["code"] for one in found["products"]] == [f"B-{unique}", f"A-{unique}"]
        fit = {"kind": "TAG", "key": tag, "name": "Wine", "confidence": 0.8}
        assert found["products"][0]["fits"] == [fit]
        assert (found["products"][0]["product"]["tags"], found["products"][0]["score"]) == ([tag], 80)
    await allow_marketing(system, me, allowed=False)
    assert (await manager.ask(RECOMMENDED, customerId=customer))["recommendedProducts"] == asked
    assert (await lin.fail(RECOMMENDED, first=51))["extensions"]["reason"] == "RECOMMENDED_PRODUCTS_INVALID"


async def test_a_manager_sees_what_does_not_fit_any_more(system: System, unique: str) -> None:
    lin, me = await own_customer(system, unique)
    code, now = f"F-{unique}", utc_now()
    administrator, manager = system.caller("he", "administrator"), manager_of(system, unique)
    created = (await administrator.ask(CREATE, code=code, risk="R2"))["createProduct"]["product"]
    assert (await administrator.ask(CREATE, code=code, risk="R2"))["createProduct"]["code"] == "PRODUCT_EXISTS"
    await put(system.edge.database, Holding, holding_of(me, code, now=now))
    await assess_one(system.edge.database, me, RiskClass.C3)
    await system.work()
    assert nodes(await manager.ask(HOLDINGS), "unsuitableHoldings") == []
    changed = (await administrator.ask(UPDATE, id=created["id"], risk="R5"))["updateProduct"]["product"]
    assert changed == {"risk": "R5", "ratingVersion": 2}
    await system.work()
    (found,) = nodes(await manager.ask(HOLDINGS), "unsuitableHoldings")
    assert found["customer"]["id"] == global_id("Customer", me)
    assert found["suitability"] == {
        "productCode": code,
        "reasons": [{"code": "RISK_TOO_HIGH"}],
        "product": {"name": "Fund"},
    }
    other = system.caller(f"o-{unique}", "relationship_manager")
    assert nodes(await other.ask(HOLDINGS), "unsuitableHoldings") == []
    tasks = nodes(await manager.ask("{ tasks { edges { node { kind customer { id } } } } }"), "tasks")
    assert tasks == [{"kind": "SUITABILITY_REVIEW", "customer": {"id": global_id("Customer", me)}}]
    seen = (await manager.ask(PRODUCT, code=code))["product"]
    assert [edge["node"] for edge in seen["ratings"]["edges"]] == [
        {"version": 2, "risk": "R5", "setBy": "he"},
        {"version": 1, "risk": "R2", "setBy": "he"},
    ]
    assert (await lin.ask(PRODUCT, code=code))["product"]["ratings"] is None


async def test_products_are_imported_and_bad_rows_are_not(system: System, unique: str) -> None:
    administrator = system.caller("he", "administrator")
    good = (
        f'{{"kind": "product", "code": "G-{unique}", "name_zh": "基金", "name_en": "Fund", "risk": "R2", '
        f'"horizon_months": 6, "liquidity": "DAILY", "observed_at": "{iso(utc_now())}"}}'
    )
    rows = [
        good,
        good.replace('"R2"', '"R6"'),
        good.replace('"DAILY"', '"SOON"'),
        good.replace('"risk"', '"tags": "none-of-ours", "risk"'),
        good.replace(iso(utc_now())[:4], "2999"),
        good.replace(f"G-{unique}", "a b"),
    ]
    report = (await administrator.ask(IMPORT, content="\n".join(rows)))["importBatch"]["report"]
    assert (report["accepted"], report["rejected"]) == (1, 5)
    fields = {edge["node"]["line"]: edge["node"]["field"] for edge in report["rejections"]["edges"]}
    assert fields == {2: "risk", 3: "liquidity", 4: "tags", 5: "observed_at", 6: "code"}
    again = (await administrator.ask(IMPORT, content=good))["importBatch"]["report"]
    assert again["kinds"] == [{"kind": "product", "accepted": 1, "unchanged": 1}]


async def test_compliance_writes_and_activates_a_questionnaire(system: System, unique: str) -> None:
    administrator, lin = system.caller("he", "administrator"), await system.customer(f"lin-{unique}")
    definition = (await administrator.ask(QUESTIONNAIRE))["riskQuestionnaire"]["definition"]
    assert definition["questions"][0]["answers"][0]["score"] == 14
    before = await state(system)
    error = await administrator.fail(DRAFT, definition=definition | {"least_scores": {"C2": 1}})
    assert error["extensions"]["reason"] == "RISK_QUESTIONNAIRE_INVALID"
    for document, variables in ((DRAFT, {"definition": definition}), (ACTIVATE, {"id": "x"}), (UPDATE, {"id": "x"})):
        for caller in (lin, manager_of(system, unique)):
            assert (await caller.fail(document, **variables))["extensions"]["code"] == "FORBIDDEN"
    assert await state(system) == before
    draft = (await administrator.ask(DRAFT, definition=definition))["createRiskQuestionnaire"]["questionnaire"]
    assert draft["status"] == "DRAFT"
    active = (await administrator.ask(ACTIVATE, id=draft["id"]))["activateRiskQuestionnaire"]
    assert active["questionnaire"] == {"status": "ACTIVE"}
    assert (await lin.ask(QUESTIONNAIRE))["riskQuestionnaire"]["id"] == draft["id"]


async def test_what_it_costs(system: System, unique: str) -> None:
    """Given three products, holdings and assessments, then a list costs what it costs for one."""
    lin, me = await own_customer(system, unique)
    manager, administrator = manager_of(system, unique), system.caller("he", "administrator")
    customer, now = global_id("Customer", me), utc_now()
    await allow_marketing(system, me)
    tag = await wish(system, me, unique)
    await lin.ask(DECLARE, kind="HOME")
    codes = [f"{number}-{unique}" for number in range(3)]
    made = [(await administrator.ask(CREATE, code=code, risk="R2", tags=[tag]))["createProduct"] for code in codes]
    await put(system.edge.database, Holding, *(holding_of(me, code, now=now) for code in codes))
    given = await chosen(lin)
    measured = {"assessSuitability": await cost(system, lin, ASSESS, **given)}
    measured["recommendedProducts"] = await cost(system, lin, RECOMMENDED)
    for one in made[1:]:
        await administrator.ask(UPDATE, id=one["product"]["id"], risk="R5")
    measured["updateProduct"] = await cost(system, administrator, UPDATE, id=made[0]["product"]["id"], risk="R5")
    await system.work()
    definition = (await administrator.ask(QUESTIONNAIRE))["riskQuestionnaire"]["definition"]
    draft = await administrator.ask(DRAFT, definition=definition)
    drafted = draft["createRiskQuestionnaire"]["questionnaire"]["id"]
    assert len(nodes(await manager.ask(HOLDINGS), "unsuitableHoldings")) == 3
    assert {
        "riskQuestionnaire": await cost(system, lin, QUESTIONNAIRE),
        "suitability": await cost(system, lin, CHECK, product=codes[0]),
        "riskAssessments of own": await cost(system, lin, MINE),
        "riskAssessments of customer": await cost(system, manager, MINE, customerId=customer),
        "unsuitableHoldings": await cost(system, manager, HOLDINGS),
        "createProduct": await cost(system, administrator, CREATE, code=f"N-{unique}", risk="R1"),
        "products": await cost(system, lin, PRODUCTS, all=False),
        "createRiskQuestionnaire": await cost(system, administrator, DRAFT, definition=definition),
        "activateRiskQuestionnaire": await cost(system, administrator, ACTIVATE, id=drafted),
    } | measured == COSTS
