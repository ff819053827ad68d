"""The words of greetings: in both languages, for every occasion, and with nothing in them that the bank sells."""

import re

from service.care_calendar import Festival
from service.care_kinds import CareKind
from service.care_words import OCCASIONS, WORDS

# What advertisements are made of: products, prices, invitations to act, and whatever leads somewhere.
MARKETING = (
    *("理财", "贷款", "信用卡", "基金", "存款", "保险", "利率", "收益", "产品", "优惠", "活动", "积分", "礼品", "领取"),
    *("点击", "立即", "办理", "咨询", "详询", "网点", "额度", "账户", "投资", "购买", "推荐", "下载", "扫码", "链接"),
    *("product", "loan", "credit", "card", "fund", "deposit", "insur", "rate", "offer", "discount", "point", "gift"),
    *("click", "apply", "invest", "buy", "sale", "account", "voucher", "reward", "visit", "app", "call us", "link"),
    *("http", "www", ".com", ".cn", "@", "%", "￥", "¥", "$"),
)


def test_every_occasion_has_its_words() -> None:
    assert set(OCCASIONS) == {*CareKind, *Festival}
    assert WORDS["care.birthday"] is OCCASIONS[CareKind.BIRTHDAY]
    for words in WORDS.values():
        for chinese, english in (words.subject, words.body):
            assert re.search(r"[\u4e00-\u9fff]", chinese) and not re.search(r"[\u4e00-\u9fff]", english)
            assert chinese.strip() == chinese and english.strip() == english


def test_nothing_is_put_in_and_nothing_is_sold() -> None:
    for name, words in WORDS.items():
        for text in (*words.subject, *words.body):
            folded = text.casefold().replace("happy", "").replace("happiness", "")
            assert [word for word in MARKETING if word in folded] == [], name
            assert not re.search(r"[0-9{}]", text), name


def test_there_are_no_words_for_qingming() -> None:
    assert not any("清明" in text or "qingming" in text.casefold() for one in WORDS.values() for text in one.body)
