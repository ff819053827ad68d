"""What is read of complaints in both languages; messages say that there is something, and not what was said."""

from service.complaint_clocks import EntryKind
from service.complaint_records import ComplaintCause, ComplaintTopic
from service.message_template import Words

WORDS: dict[str, Words] = {
    "complaint-answered": Words(
        ("您的投诉{reference}有新回复", "We have answered your complaint {reference}"),
        ("请在应用中查看我们的回复。", "Please read our answer in the app."),
    ),
    "complaint-waiting": Words(
        ("您的投诉{reference}需要您补充信息", "We have a question about your complaint {reference}"),
        ("请在应用中查看并回复，以便我们继续处理。", "Please answer it in the app, so that we can go on."),
    ),
    "complaint-extended": Words(
        ("您的投诉{reference}处理期限已延长", "Your complaint {reference} takes more time"),
        ("我们将在{until}前给您答复，敬请谅解。", "You will have our decision by {until}. We are sorry for the delay."),
    ),
    "complaint-closed": Words(
        ("您的投诉{reference}已办结", "Your complaint {reference} is closed"),
        (
            "请在应用中查看处理结果；如不满意，可申请重新受理。",
            "Please read the outcome in the app; if it does not satisfy you, you can have it opened again.",
        ),
    ),
}

TOPICS: dict[ComplaintTopic, tuple[str, str]] = {
    ComplaintTopic.FEES: ("费用", "Fees"),
    ComplaintTopic.SERVICE: ("服务", "Service"),
    ComplaintTopic.PRODUCT: ("产品", "Product"),
    ComplaintTopic.SALES: ("销售", "Sales"),
    ComplaintTopic.SYSTEM: ("系统", "Systems"),
    ComplaintTopic.PRIVACY: ("个人信息", "Privacy"),
    ComplaintTopic.COMMUNITY: ("社群", "Communities"),
    ComplaintTopic.REWARDS: ("积分与奖品", "Points and rewards"),
    ComplaintTopic.OTHER: ("其他", "Something else"),
}
CAUSES: dict[ComplaintCause, tuple[str, str]] = {
    ComplaintCause.PRODUCT_DESIGN: ("产品设计", "Design of the product"),
    ComplaintCause.FEES_UNCLEAR: ("收费不透明", "Fees not made clear"),
    ComplaintCause.PROCESS: ("流程问题", "Process"),
    ComplaintCause.DELAY: ("处理延误", "Delay"),
    ComplaintCause.STAFF_CONDUCT: ("员工行为", "Conduct of staff"),
    ComplaintCause.MISSELLING: ("不当销售", "Misselling"),
    ComplaintCause.SYSTEM_FAULT: ("系统故障", "Fault of a system"),
    ComplaintCause.DATA_ERROR: ("数据错误", "Wrong data"),
    ComplaintCause.PARTNER: ("合作机构", "A partner"),
    ComplaintCause.MISUNDERSTANDING: ("误解", "Misunderstanding"),
    ComplaintCause.UNFOUNDED: ("不成立", "Unfounded"),
    ComplaintCause.OTHER: ("其他", "Something else"),
}
ENTRIES: dict[EntryKind, tuple[str, str]] = {
    EntryKind.FILED: ("提交投诉", "Filed"),
    EntryKind.TAKEN: ("受理", "Taken by somebody"),
    EntryKind.ANSWERED: ("银行回复", "Answered"),
    EntryKind.NOTED: ("内部备注", "Noted internally"),
    EntryKind.WAITING: ("等待客户补充", "A question to the customer"),
    EntryKind.REPLIED: ("客户回复", "The customer replied"),
    EntryKind.RESUMED: ("恢复处理", "Went on"),
    EntryKind.EXTENSION_ASKED: ("申请延期", "More time asked for"),
    EntryKind.EXTENDED: ("延长处理期限", "More time granted"),
    EntryKind.EXTENSION_REFUSED: ("延期未获批准", "More time refused"),
    EntryKind.HAND_OFF_ASKED: ("申请转交", "A hand-off asked for"),
    EntryKind.HANDED_OFF: ("已转交", "Handed off"),
    EntryKind.HAND_OFF_DECLINED: ("转交被拒", "The hand-off was declined"),
    EntryKind.ACCUSED: ("指明被投诉人", "Said whom it is about"),
    EntryKind.CLOSED: ("办结", "Closed"),
    EntryKind.REOPENED: ("重新受理", "Opened again"),
}
# What the customer reads of the log.
TOLD_TO_CUSTOMER = frozenset(
    {
        EntryKind.FILED,
        EntryKind.ANSWERED,
        EntryKind.WAITING,
        EntryKind.REPLIED,
        EntryKind.EXTENDED,
        EntryKind.CLOSED,
        EntryKind.REOPENED,
    }
)


def worded(words: tuple[str, str], language: str) -> str:
    return words[0] if language == "zh" else words[1]
