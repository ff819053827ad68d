"""The words of each kind of notice in both languages: one table, with names as placeholders.

A name that the reader may not see (any more) is replaced by what it is, so a notice never tells what has gone
from view. Kinds that this table does not know are shown with general words.
"""

from dataclasses import dataclass

from core.notices import NoticeKind


@dataclass(frozen=True, slots=True)
class Words:
    """A kind's own name, and the title and body of its notices; each as Chinese and English."""

    label: tuple[str, str]
    title: tuple[str, str]
    body: tuple[str, str]


WORDS: dict[NoticeKind, Words] = {
    NoticeKind.MEMBERSHIP_REQUESTED: Words(
        ("入群申请", "Requests to join"),
        ("有人申请加入“{community}”", "Somebody asks to join {community}"),
        ("{actor}申请加入，请您审核。", "{actor} asks to join. Please approve or reject the request."),
    ),
    NoticeKind.MEMBERSHIP_APPROVED: Words(
        ("入群申请通过", "Request approved"),
        ("您已加入“{community}”", "You are a member of {community}"),
        ("您的入群申请已通过，欢迎！", "Your request was approved. Welcome!"),
    ),
    NoticeKind.MEMBERSHIP_REJECTED: Words(
        ("入群申请未通过", "Request rejected"),
        ("未能加入“{community}”", "You could not join {community}"),
        ("您的入群申请未获通过。", "Your request was not approved."),
    ),
    NoticeKind.INVITED: Words(
        ("社群邀请", "Invitations"),
        ("邀请您加入“{community}”", "You are invited to {community}"),
        ("{actor}邀请您加入。", "{actor} invites you to join."),
    ),
    NoticeKind.REMOVED: Words(
        ("被移出社群", "Removed from a community"),
        ("您已被移出“{community}”", "You were removed from {community}"),
        ("您不再是该社群的成员。", "You are no member of it any more."),
    ),
    NoticeKind.BANNED: Words(
        ("被社群封禁", "Banned from a community"),
        ("您已被“{community}”封禁", "You were banned from {community}"),
        (
            "您不能再加入该社群，也不能在其中发言或报名；已有的报名已取消。",
            "You can no longer join it, post in it or register there. Your registrations there are cancelled.",
        ),
    ),
    NoticeKind.ROLE_CHANGED: Words(
        ("角色变更", "Role changed"),
        ("您在“{community}”的角色已变更", "Your role in {community} has changed"),
        ("请查看您的新角色。", "Please see your new role."),
    ),
    NoticeKind.MENTIONED: Words(
        ("提到我", "Mentions"),
        ("{actor}提到了您", "{actor} mentioned you"),
        ("在“{community}”中提到了您。", "You were mentioned in {community}."),
    ),
    NoticeKind.COMMENTED: Words(
        ("评论我的帖子", "Comments on my posts"),
        ("{actor}评论了您的帖子", "{actor} commented on your post"),
        ("您在“{community}”的帖子有新评论。", "There is a new comment on your post in {community}."),
    ),
    NoticeKind.REPLIED: Words(
        ("回复我的评论", "Replies to my comments"),
        ("{actor}回复了您的评论", "{actor} replied to your comment"),
        ("您在“{community}”的评论有新回复。", "There is a new reply to your comment in {community}."),
    ),
    NoticeKind.ANSWER_ACCEPTED: Words(
        ("回答被采纳", "Answer accepted"),
        ("您的回答已被采纳", "Your answer was accepted"),
        ("您在“{community}”的回答已被提问者采纳。", "Your answer in {community} was accepted."),
    ),
    NoticeKind.REPORT_RESOLVED: Words(
        ("举报处理结果", "Outcome of my reports"),
        ("您的举报已处理", "Your report was dealt with"),
        ("感谢您帮助维护“{community}”。", "Thank you for looking after {community}."),
    ),
    NoticeKind.CONTENT_REMOVED: Words(
        ("内容被移除", "Content removed"),
        ("您的内容已被移除", "Something you wrote was removed"),
        ("您在“{community}”发布的内容违反社群规则。", "It broke the rules of {community}."),
    ),
    NoticeKind.EVENT_CHANGED: Words(
        ("活动变更", "Event changes"),
        ("“{event}”有变更", "{event} has changed"),
        ("请查看最新的时间和地点。", "Please see its present time and place."),
    ),
    NoticeKind.EVENT_CANCELLED: Words(
        ("活动取消", "Cancelled events"),
        ("“{event}”已取消", "{event} is cancelled"),
        ("很抱歉，活动已取消。{reason}", "We are sorry: the event will not take place. {reason}"),
    ),
    NoticeKind.SERIES_CANCELLED: Words(
        ("系列活动取消", "Cancelled series"),
        ("“{event}”系列活动已取消", "The series {event} is cancelled"),
        (
            "很抱歉，{start}及之后的各场均已取消。{reason}",
            "We are sorry: none of it will take place from {start} on. {reason}",
        ),
    ),
    NoticeKind.EVENT_MESSAGE: Words(
        ("活动消息", "Messages about events"),
        ("“{event}”的消息", "A message about {event}"),
        ("{text}", "{text}"),
    ),
    NoticeKind.EVENT_REMINDER: Words(
        ("活动提醒", "Reminders"),
        ("“{event}”即将开始", "{event} starts soon"),
        ("开始时间：{start}", "It starts at {start}."),
    ),
    NoticeKind.FEEDBACK_ASKED: Words(
        ("活动评价", "Requests for feedback"),
        ("“{event}”怎么样？", "How was {event}?"),
        ("请为活动评分并留下意见。", "Please rate the event and tell us what you think."),
    ),
    NoticeKind.PLACE_OFFERED: Words(
        ("候补名额", "Places offered"),
        ("“{event}”有名额了", "A place at {event} is free for you"),
        ("请在{deadline}前确认，过期将让给下一位。", "Please confirm by {deadline}, or it goes to the next in line."),
    ),
    NoticeKind.PLACE_GIVEN: Words(
        ("候补成功", "Places given"),
        ("您已报名“{event}”", "You have a place at {event}"),
        ("您已从候补名单转为正式报名。", "You moved up from the waiting list."),
    ),
    NoticeKind.OFFER_EXPIRED: Words(
        ("候补名额过期", "Offers expired"),
        ("“{event}”的名额已过期", "The place at {event} has gone"),
        ("您未在规定时间内确认。", "It was not confirmed in time."),
    ),
    NoticeKind.PAYMENT_FAILED: Words(
        ("积分不足", "Points missing"),
        ("“{event}”的名额未能保留", "Your place at {event} could not be kept"),
        (
            "您的积分不足，名额已释放。",
            "You do not have the points it costs, so the place was given back.",
        ),
    ),
    NoticeKind.REGISTRATION_CANCELLED: Words(
        ("报名被取消", "Registrations cancelled for me"),
        ("您在“{event}”的报名已被取消", "Your registration for {event} was cancelled"),
        (
            "已付积分将退还。{reason}",
            "Points that it cost come back. {reason}",
        ),
    ),
    NoticeKind.REDEMPTION_FULFILLED: Words(
        ("兑换完成", "Redemptions fulfilled"),
        ("您兑换的“{reward}”已完成", "{reward} is yours"),
        ("合作方已完成您的兑换。", "Our partner has fulfilled what you redeemed."),
    ),
    NoticeKind.REDEMPTION_FAILED: Words(
        ("兑换失败", "Redemptions failed"),
        ("您兑换的“{reward}”未能完成", "{reward} could not be fulfilled"),
        ("很抱歉，所用积分已退回。", "We are sorry. The points that it cost have come back."),
    ),
    NoticeKind.REDEMPTION_CANCELLED: Words(
        ("兑换被取消", "Redemptions cancelled for me"),
        ("您兑换的“{reward}”已被取消", "Your redemption of {reward} was cancelled"),
        ("所用积分已退回。", "The points that it cost have come back."),
    ),
    NoticeKind.REDEMPTION_EXPIRED: Words(
        ("兑换超时", "Redemptions not fulfilled in time"),
        ("您兑换的“{reward}”未能按时完成", "{reward} was not fulfilled in time"),
        ("很抱歉，所用积分已退回。", "We are sorry. The points that it cost have come back."),
    ),
    NoticeKind.DIGEST: Words(
        ("每周摘要", "Weekly digest"),
        ("您的社群一周动态", "A week in your communities"),
        ("上周新帖{posts}条，新活动{events}场。", "Last week: {posts} new posts and {events} new events."),
    ),
    NoticeKind.MESSAGE: Words(
        ("消息", "Messages"),
        ("{subject}", "{subject}"),
        ("{body}", "{body}"),
    ),
    NoticeKind.OTHER: Words(
        ("其他", "Other"),
        ("您有一条新消息", "There is news for you"),
        ("请打开查看。", "Please have a look."),
    ),
}

# What stands in for a name that the reader may not see.
STAND_INS = {
    "community": ("社群", "a community"),
    "event": ("活动", "an event"),
    "actor": ("有人", "Somebody"),
    "reward": ("礼品", "A reward"),
    "start": ("见活动页面", "the time on its page"),
    "deadline": ("期限", "the deadline on its page"),
    "posts": ("若干", "some"),
    "events": ("若干", "some"),
    "reason": ("", ""),
    "subject": ("您有一条新消息", "There is news for you"),
    "body": ("请打开查看。", "Please have a look."),
    "text": ("请查看活动页面。", "Please see the event's page."),
}


def written(template: tuple[str, str], names: dict[str, str | None], language: str) -> str:
    """The text in a language, with the names that may be shown."""
    index = 0 if language == "zh" else 1
    values = {key: names.get(key) or pair[index] for key, pair in STAND_INS.items()}
    return template[index].format_map(values).strip()
