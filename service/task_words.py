"""What tasks are called, in both languages, and the codes for why one is not done."""

from enum import StrEnum
from typing import Literal

from core.tasks import TaskKind


class CancelReason(StrEnum):
    """Why a task or plan is not carried out; a code, so that nothing is written about a person here."""

    NOT_NEEDED = "NOT_NEEDED"
    CUSTOMER_DECLINED = "CUSTOMER_DECLINED"
    DUPLICATE = "DUPLICATE"
    WRONG_DATA = "WRONG_DATA"
    OTHER = "OTHER"


WORDS: dict[TaskKind, tuple[str, str]] = {
    TaskKind.ALERT: ("处理异常预警", "Look into an alert"),
    TaskKind.TIER_REVIEW: ("复核因风险受限的客户等级", "Review a tier that a risk caps"),
    TaskKind.FOLLOW_UP: ("定期回访客户", "Get in touch with the customer"),
    TaskKind.PLAN_STEP: ("执行行动计划步骤", "Do a step of an action plan"),
    TaskKind.COMPLAINT: ("投诉时限将至或已超", "Look after the deadline of a complaint"),
    TaskKind.CARE: ("客户的重要日子将至", "Prepare for a day of the customer's own"),
    TaskKind.SUITABILITY_REVIEW: ("复核不再适合的持仓", "Review a holding that does not fit any more"),
    TaskKind.ADVICE: ("答复客户的咨询", "Answer what the customer asks"),
    TaskKind.RECOVERY: ("修复服务断点", "Repair what went wrong for the customer"),
}


def title_of(kind: TaskKind, language: Literal["zh", "en"]) -> str:
    return WORDS[kind][0 if language == "zh" else 1]
