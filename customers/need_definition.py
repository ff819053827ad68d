"""What a policy of needs says: which conditions speak for which need, how surely, and for how long."""

from typing import Annotated, Any

from pydantic import Field as Setting
from pydantic import field_validator

from core.definitions import read_definition
from core.errors import BadUserInput
from customers.alert_definition import Days, Name, Rule, TimeZone
from segments.conditions import Condition, Vocabulary, parse_condition

MOST_RULES = 50

NEED_KEY = r"[A-Z][A-Z0-9_]{1,59}"
NeedKey = Annotated[str, Setting(pattern=f"^{NEED_KEY}$")]


class NeedPolicyInvalid(BadUserInput):
    code = "NEED_POLICY_INVALID"
    en = "The policy of needs is not valid."
    zh = "需求挖掘策略无效。"


class NeedRule(Rule):
    """Customers who meet the condition are thought to have the need; several rules may speak for one."""

    key: Annotated[str, Setting(pattern=r"^[a-z][a-z0-9-]{0,59}$")]
    need: NeedKey
    name_zh: Name
    name_en: Name
    condition: dict[str, Any]
    confidence_percent: Annotated[int, Setting(ge=1, le=100)] = 60
    expires_days: Days = 180


class NeedDefinition(Rule):
    """All rules; the first of them that holds for a customer raises the need.

    What was dismissed is not raised again for `dismissed_days`; what was met, for `met_days`. What somebody says
    themself holds for `declared_days`.
    """

    time_zone: TimeZone = "Asia/Shanghai"
    dismissed_days: Days = 180
    met_days: Days = 365
    declared_days: Days = 365
    rules: Annotated[tuple[NeedRule, ...], Setting(max_length=MOST_RULES)] = ()

    @field_validator("rules")
    @classmethod
    def keys_differ(cls, rules: tuple[NeedRule, ...]) -> tuple[NeedRule, ...]:
        if len({rule.key for rule in rules}) != len(rules):
            raise ValueError("two rules have one key")
        return rules


def trait(name: str, **asked: Any) -> dict[str, Any]:
    return {"trait": {"name": name, **asked}}


STANDARD_NEEDS = NeedDefinition(
    rules=(
        NeedRule(
            key="child-born",
            need="EDUCATION_FUND",
            name_zh="家中新添子女",
            name_en="A child was born",
            condition=trait("child_born", age_at_most=1),
            confidence_percent=70,
            expires_days=365,
        ),
        NeedRule(
            key="child-15-to-18",
            need="STUDY_ABROAD",
            name_zh="子女15至18岁",
            name_en="A child of 15 to 18",
            condition=trait("child_born", age_at_least=15, age_at_most=18),
            confidence_percent=60,
            expires_days=365,
        ),
        NeedRule(
            key="young-firm",
            need="STARTUP_LOAN",
            name_zh="企业成立不满24个月",
            name_en="A firm of less than 24 months",
            condition=trait("firm_founded", age_at_most=1),
            confidence_percent=65,
            expires_days=180,
        ),
        NeedRule(
            key="fifty-and-over",
            need="PENSION",
            name_zh="年满50岁",
            name_en="50 and over",
            condition=trait("born", age_at_least=50),
            confidence_percent=70,
            expires_days=365,
        ),
        NeedRule(
            key="no-home-at-25-to-40",
            need="HOME",
            name_zh="25至40岁且无自有住房",
            name_en="25 to 40 without a home of their own",
            condition={"all": [trait("born", age_at_least=25, age_at_most=40), trait("owns_home", eq=False)]},
            confidence_percent=50,
            expires_days=365,
        ),
        NeedRule(
            key="large-assets-few-products",
            need="WEALTH",
            name_zh="资产50万元以上且持有产品不足3种",
            name_en="Assets from 500,000 and fewer than three products",
            condition={"all": [trait("assets", gte=50_000_000), trait("products_held", lt=3)]},
            confidence_percent=55,
            expires_days=180,
        ),
    )
)


def parse_need_definition(data: Any, known: Vocabulary) -> NeedDefinition:
    """Read a definition with its conditions; raises NeedPolicyInvalid, ConditionInvalid, both with a path."""
    found = read_definition(NeedDefinition, data, NeedPolicyInvalid)
    need_conditions(found, known)
    return found


def need_conditions(definition: NeedDefinition, known: Vocabulary) -> dict[str, Condition]:
    """The conditions of a definition by the keys of their rules; raises ConditionInvalid."""
    return {
        rule.key: parse_condition(rule.condition, known, path=("definition", "rules", str(place), "condition"))
        for place, rule in enumerate(definition.rules)
    }
