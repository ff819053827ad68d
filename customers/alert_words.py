"""What an alert says to a person, in Chinese and English: why the system thinks so, with its numbers."""

from customers.alert_definition import AlertDefinition
from customers.alert_rules import (
    ActivityDrop,
    Anomaly,
    BalanceDrop,
    Complaints,
    ConditionMet,
    Dormant,
    Evidence,
    LargeOutflow,
    Maturity,
)
from segments.condition_words import money_words, words_of
from segments.conditions import ConditionInvalid, Vocabulary, parse_condition


def amount_words(minor: int, currency: str) -> str:
    return f"{money_words(minor)} {currency}"


def why(seen: Evidence, currency: str, language: str) -> str:
    """The evidence as a sentence in `zh` or `en`; a condition of the bank's own is told by `condition_why`."""
    return words_zh(seen, currency) if language == "zh" else words_en(seen, currency)


def words_en(seen: Evidence, currency: str) -> str:
    match seen:
        case BalanceDrop():
            return (
                f"The average of {seen.month:%Y-%m}, {amount_words(seen.average, currency)}, is at most "
                f"{seen.at_most_percent} % of {amount_words(seen.best, currency)} in {seen.best_month:%Y-%m}, the best "
                f"month before it, and lower by at least {amount_words(seen.least_drop, currency)}."
            )
        case LargeOutflow():
            beside = (
                f"{seen.percent_of_balance} % of the balance of 30 days, {amount_words(seen.balance or 0, currency)}"
            )
            return (
                f"On {seen.day} {amount_words(seen.outflow, currency)} more left than came: at least "
                f"{amount_words(seen.least, currency)}" + (f" and {beside}." if seen.balance is not None else ".")
            )
        case ActivityDrop():
            return (
                f"{seen.recent} transactions in the {seen.days} days before {seen.day}, and {seen.before} in the "
                f"{seen.days} days before those: at least {seen.percent} % fewer."
            )
        case Dormant():
            return f"No transaction since {seen.last_day}, for {seen.days} days; {seen.at_least_days} speak."
        case Maturity():
            when = f"matures in {-seen.stage} days" if seen.stage < 0 else f"matured {seen.stage} days ago"
            return f"{seen.product} over {amount_words(seen.amount, currency)} {when}, on {seen.matures_on}."
        case Complaints():
            return f"{seen.count} complaints in {seen.days} days, the latest on {seen.latest_day}."
        case Anomaly():
            middle = "mean" if seen.flat else "median"
            return (
                f"The average of {seen.month:%Y-%m}, {amount_words(seen.average, currency)}, is unlike the median "
                f"{amount_words(seen.median, currency)} of {seen.points} months: a score of {seen.score} from a "
                f"{middle} absolute deviation of {amount_words(seen.deviation, currency)}; {seen.least_score} speaks."
            )
        case ConditionMet():
            return f"The condition “{seen.key}” held on {seen.day}."


def words_zh(seen: Evidence, currency: str) -> str:
    match seen:
        case BalanceDrop():
            return (
                f"{seen.month:%Y年%m月}月均{amount_words(seen.average, currency)}，不高于前几个月最高值"
                f"（{seen.best_month:%Y年%m月}，{amount_words(seen.best, currency)}）的{seen.at_most_percent}%，"
                f"且降幅不少于{amount_words(seen.least_drop, currency)}。"
            )
        case LargeOutflow():
            beside = f"且不少于30天余额{amount_words(seen.balance or 0, currency)}的{seen.percent_of_balance}%"
            return (
                f"{seen.day}净流出{amount_words(seen.outflow, currency)}，不少于{amount_words(seen.least, currency)}"
                + (f"，{beside}。" if seen.balance is not None else "。")
            )
        case ActivityDrop():
            return (
                f"{seen.day}之前{seen.days}天内交易{seen.recent}笔，再之前{seen.days}天为{seen.before}笔，"
                f"降幅不少于{seen.percent}%。"
            )
        case Dormant():
            return f"自{seen.last_day}起已{seen.days}天无交易（满{seen.at_least_days}天预警）。"
        case Maturity():
            when = f"将于{-seen.stage}天后到期" if seen.stage < 0 else f"已到期{seen.stage}天"
            return f"{seen.product}（{amount_words(seen.amount, currency)}）{when}，到期日{seen.matures_on}。"
        case Complaints():
            return f"{seen.days}天内投诉{seen.count}次，最近一次为{seen.latest_day}。"
        case Anomaly():
            middle = "平均绝对离差" if seen.flat else "中位数绝对离差"
            return (
                f"{seen.month:%Y年%m月}月均{amount_words(seen.average, currency)}，与{seen.points}个月的中位数"
                f"{amount_words(seen.median, currency)}差异异常：{middle}{amount_words(seen.deviation, currency)}，"
                f"得分{seen.score}（{seen.least_score}起预警）。"
            )
        case ConditionMet():
            return f"{seen.day}符合条件“{seen.key}”。"


def condition_why(seen: ConditionMet, definition: AlertDefinition, known: Vocabulary, language: str) -> str:
    """Name and words of the condition that held, as the policy of then has it."""
    rule = next((one for one in definition.conditions if one.key == seen.key), None)
    if rule is None:
        return why(seen, definition.currency, language)
    name = rule.name_zh if language == "zh" else rule.name_en
    try:
        words = words_of(parse_condition(rule.condition, known), known, language)
    except ConditionInvalid:
        # A tag or trait that the condition names is not known any more: its name has to do.
        return name
    return f"{name}：{words}" if language == "zh" else f"{name}: {words}"
