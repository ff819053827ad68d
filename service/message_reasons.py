"""Why a message was sent, put off or not sent, in words for a person; and what categories and channels are called."""

from core.messages import MessageCategory
from service.message_decision import Reason
from service.message_policy import MessageChannel

REASONS: dict[Reason, tuple[str, str]] = {
    Reason.SENT: ("已发送。", "It was sent."),
    Reason.ON_ITS_WAY: ("正在投递。", "Its channels are delivering it."),
    Reason.TOO_LATE: ("已过有效期。", "Its time was over."),
    Reason.WAITED_TOO_LONG: ("等待时间过长，未再发送。", "It had waited too long."),
    Reason.BEREAVEMENT: ("此时不宜打扰。", "This is no time to disturb."),
    Reason.OPEN_COMPLAINT: ("客户有未结投诉，暂不打扰。", "A complaint of the customer is open."),
    Reason.SWITCHED_OFF: (
        "客户已关闭此类消息或渠道。",
        "The customer does not want such messages, or not so.",
    ),
    Reason.NO_CONSENT: ("未获客户同意。", "The customer has not consented."),
    Reason.UNREACHABLE: ("没有可用的联系方式或渠道。", "There is no way to reach the customer so."),
    Reason.QUIET_HOURS: ("处于免打扰时段，稍后再发。", "It was in quiet hours and waits for their end."),
    Reason.FREQUENCY_CAP: ("已达到此类消息的频次上限。", "The customer has had as many of them as the cap allows."),
    Reason.FULL_DAY: ("当天消息已满，顺延至次日。", "The day was full, so it waits for the next."),
    Reason.GIVES_WAY: (
        "优先发送更重要的消息，顺延至次日。",
        "More important ones go first; it waits for the next day.",
    ),
    Reason.UNKNOWN_TEMPLATE: ("消息模板不存在。", "There are no words for it."),
    Reason.NOT_DELIVERED: ("所有渠道均投递失败。", "No channel could deliver it."),
}
CATEGORIES: dict[MessageCategory, tuple[str, str]] = {
    MessageCategory.SERVICE: ("服务通知", "Service"),
    MessageCategory.CARE: ("关怀祝福", "Greetings"),
    MessageCategory.MARKETING: ("产品与资讯推荐", "Offers and articles"),
    MessageCategory.SURVEY: ("满意度调查", "Surveys"),
}
CHANNELS: dict[MessageChannel, tuple[str, str]] = {
    MessageChannel.APP: ("应用内", "In the app"),
    MessageChannel.EMAIL: ("电子邮件", "E-mail"),
    MessageChannel.SMS: ("短信", "SMS"),
    MessageChannel.WECHAT: ("微信", "WeChat"),
}


def reason_words(reason: Reason, language: str) -> str:
    return REASONS[reason][0 if language == "zh" else 1]
