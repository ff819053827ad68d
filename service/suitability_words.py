"""Why a product does not fit, in words and with the numbers, in Chinese and English."""

from zoneinfo import ZoneInfo

from service.suitability import Liquidity, Suitability, Unsuitable

BACK: dict[Liquidity, tuple[str, str]] = {
    Liquidity.DAILY: ("每日可取", "any day"),
    Liquidity.WEEKLY: ("每周可取", "once a week"),
    Liquidity.MONTHLY: ("每月可取", "once a month"),
    Liquidity.QUARTERLY: ("每季可取", "once a quarter"),
    Liquidity.AT_MATURITY: ("到期方可取", "at maturity only"),
}


def back(liquidity: Liquidity | None, language: str) -> str:
    if liquidity is None:
        return "未知" if language == "zh" else "unknown"
    return BACK[liquidity][0 if language == "zh" else 1]


def reason_words(reason: Unsuitable, check: Suitability, language: str, zone: str) -> str:
    """One reason as a sentence; the day of an expiry is one of the bank's time zone."""
    return words_zh(reason, check, zone) if language == "zh" else words_en(reason, check, zone)


def expiry(check: Suitability, zone: str) -> str:
    at = check.assessment_expires_at
    return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}" if at is not None else ""


def words_en(reason: Unsuitable, check: Suitability, zone: str) -> str:
    match reason:
        case Unsuitable.PRODUCT_UNKNOWN:
            return "The bank knows no such product."
        case Unsuitable.PRODUCT_NOT_OFFERED:
            return "The product is not offered any more."
        case Unsuitable.RATING_UNKNOWN:
            return "The product is not fully rated: risk, horizon and liquidity must be known."
        case Unsuitable.ASSESSMENT_MISSING:
            return "There is no risk assessment yet."
        case Unsuitable.ASSESSMENT_EXPIRED:
            return f"The risk assessment expired on {expiry(check, zone)}."
        case Unsuitable.RISK_TOO_HIGH:
            return f"The product's risk is {check.product_risk}, the customer's class {check.risk_class}."
        case Unsuitable.HORIZON_UNKNOWN:
            return "It is not known for how long the money can stay."
        case Unsuitable.HORIZON:
            return (
                f"The product needs {check.product_horizon_months} months at least, the money can stay for "
                f"{check.horizon_months}."
            )
        case Unsuitable.LIQUIDITY_UNKNOWN:
            return "It is not known how soon the money may be needed."
        case Unsuitable.LIQUIDITY:
            return (
                f"Money comes back {back(check.product_liquidity, 'en')}; it may be needed "
                f"{back(check.liquidity_need, 'en')}."
            )


def words_zh(reason: Unsuitable, check: Suitability, zone: str) -> str:
    match reason:
        case Unsuitable.PRODUCT_UNKNOWN:
            return "本行没有该产品。"
        case Unsuitable.PRODUCT_NOT_OFFERED:
            return "该产品已停止销售。"
        case Unsuitable.RATING_UNKNOWN:
            return "该产品评级不完整：风险等级、最短持有期和流动性均须明确。"
        case Unsuitable.ASSESSMENT_MISSING:
            return "尚未进行风险承受能力评估。"
        case Unsuitable.ASSESSMENT_EXPIRED:
            return f"风险承受能力评估已于{expiry(check, zone)}过期。"
        case Unsuitable.RISK_TOO_HIGH:
            return f"产品风险等级为{check.product_risk}，高于客户风险承受能力{check.risk_class}。"
        case Unsuitable.HORIZON_UNKNOWN:
            return "资金可投资期限不明确。"
        case Unsuitable.HORIZON:
            return f"产品至少须持有{check.product_horizon_months}个月，资金可投资期限为{check.horizon_months}个月。"
        case Unsuitable.LIQUIDITY_UNKNOWN:
            return "资金流动性需求不明确。"
        case Unsuitable.LIQUIDITY:
            return (
                f"产品流动性为{back(check.product_liquidity, 'zh')}，不能满足{back(check.liquidity_need, 'zh')}的需求。"
            )
