"""What a decision about a tier says to a person, in Chinese and English."""

from customers.tier_records import TierCause
from customers.tier_rules import InputMark, TierRule
from graph.eligibility import Tier
from segments.condition_words import TIER_NAMES

RULES: dict[TierRule, tuple[str, str]] = {
    TierRule.FIRST: (
        "首次分层：按本月达到的最高层级定为{tier}。",
        "First decision: the best tier that this month reaches is {tier}.",
    ),
    TierRule.RISE: (
        "本月达到更高层级的条件，升为{tier}。",
        "This month reaches a better tier, so the customer rises to {tier}.",
    ),
    TierRule.HOLD: ("本月仍达到条件，保持{tier}。", "This month reaches the entry, so the customer stays {tier}."),
    TierRule.KEEP: (
        "本月未达进入条件，但不低于其{percent}%，保持{tier}，观察计数归零。",
        "This month is under the entry but not under {percent} % of it, so {tier} stays; misses begin anew.",
    ),
    TierRule.WATCH: (
        "本月低于进入条件的{percent}%，已连续{misses}个月；保持{tier}并列入观察。",
        "This month is under {percent} % of the entry, for {misses} months in a row: still {tier}, on watch.",
    ),
    TierRule.FALL: (
        "已连续{limit}个月低于进入条件的{percent}%，降为观察期内达到的最高层级：{tier}。",
        "{limit} months in a row were under {percent} % of the entry: a fall to the best tier of that time, {tier}.",
    ),
}
CAPPED = (
    "风险等级为{risk}，最高只能为{cap}，须人工复核。",
    "The risk is {risk}, which allows {cap} at most and asks for a review.",
)
OVERRIDDEN = ("现按人工定级显示为{tier}，至{until}。", "By an override {tier} is shown until {until}.")
CAP_SINCE = (
    "风险限制与该月已不同，现显示为{tier}。",
    "The cap of the risk is another one by now: {tier} is shown.",
)
MARKS: dict[InputMark, tuple[str, str]] = {
    InputMark.ASSETS_BY_TRAIT: ("资产取自其他来源的标签值。", "The assets are another source's value."),
    InputMark.CONTRIBUTION_BY_TRAIT: ("贡献取自其他来源的标签值。", "The contribution is another source's value."),
    InputMark.CONTRIBUTION_OLD: ("本月尚无贡献数据，按已有月份合计。", "No contribution of the month itself was told."),
    InputMark.POTENTIAL_STALE: ("潜力评分已过期，不计入。", "The potential is stale and does not count."),
    InputMark.RISK_STALE: ("风险等级较旧，仍按其处理。", "The risk level is stale and counts all the same."),
    InputMark.SOURCE_MISSING: (
        "近月有来源尚未提供本月余额，其资金未计入。",
        "A source that told of one of the last months has not told of this one; its money does not count.",
    ),
    InputMark.OTHER_CURRENCY: ("其他币种的余额未计入。", "Balances in other currencies do not count."),
}
CARRIED = (
    "本月无余额数据，沿用{months}个月前的数值。",
    "No balance of the month was told: that of {months} months before.",
)
CAUSES: dict[TierCause, tuple[str, str]] = {
    TierCause.FIRST: ("首次分层", "First decision"),
    TierCause.RISE: ("升级", "Rise"),
    TierCause.FALL: ("降级", "Fall"),
    TierCause.RISK_CAP: ("风险限制", "Capped by risk"),
    TierCause.RISK_LIFTED: ("风险限制解除", "Risk cap lifted"),
    TierCause.OVERRIDE: ("人工定级", "Override"),
    TierCause.OVERRIDE_ENDED: ("人工定级结束", "Override ended"),
}


def said(words: tuple[str, str], language: str, **values: object) -> str:
    return words[language != "zh"].format(**values)


def named(tier: Tier | str, language: str) -> str:
    return said(TIER_NAMES[Tier(tier)], language)
