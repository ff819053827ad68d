"""Links: who is a robot, and clicks counted by channel, exactly and within bounds whatever is opened."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import select

from core.clock import utc_now
from core.db import Database
from core.ids import new_id
from graph.client import GraphClient
from referrals.attribution import Referral
from referrals.channels import Sharing, claims, sharing_of
from referrals.codes import ReferralCode, rotate_code
from referrals.links import MOST_CHANNELS, ReferralChannel, ReferralClick, is_robot, plain_channel, record_click
from tests.conftest import Addresses
from tests.loyalty.accounts import by_hand
from tests.referrals.programs import claim, code_of, make_people, make_program

pytestmark = pytest.mark.anyio

IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 16_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
ANDROID = "Mozilla/5.0 (Linux; Android 13; M2102K1C Build/TKQ1.220829.002; wv) AppleWebKit/537.36 (KHTML, like Gecko)"
PEOPLE = {
    "WeChat on Android": f"{ANDROID} Version/4.0 Chrome/107 MMWEBID/1 MicroMessenger/8.0.27.2220 WeChat/arm64 Weixin",
    "WeChat on iPhone": f"{IPHONE} Mobile/15E148 MicroMessenger/8.0.37 NetType/WIFI Language/zh_CN",
    "WeCom": f"{IPHONE} wxwork/4.1.3 MicroMessenger/7.0.1 Language/zh",
    "Safari": f"{IPHONE} Version/16.5 Mobile/15E148 Safari/604.1",
    "Chrome": f"{ANDROID} Chrome/114.0.0.0 Mobile Safari/537.36",
    "Line": f"{IPHONE} Mobile/15E148 Safari Line/13.8.0",
    "Telegram": f"{ANDROID} Chrome/114.0.0.0 Mobile Safari/537.36 Telegram-Android/10.0",
    "Facebook": f"{IPHONE} Mobile/15E148 [FBAN/FBIOS;FBAV/414.0.0;FBBV/477]",
    "Instagram": f"{IPHONE} Mobile/15E148 Instagram 289.0.0.18.109",
    "LinkedIn": f"{IPHONE} Mobile/15E148 [LinkedInApp]/9.27",
    "Baidu": f"{ANDROID} Chrome/97 Mobile Safari/537.36 T7/13.30 SP-engine/2.68 baiduboxapp/13.30.0.11",
    "Sogou": f"{ANDROID} Chrome/68 Mobile Safari/537.36 SogouMSE,SogouMobileBrowser/5.23",
    "Google": f"{IPHONE} GSA/270.0.0 Mobile/15E148 Safari/604.1",
    "DingTalk": f"{IPHONE} Mobile/20F66 AliApp(DingTalk/7.0.30) com.laiwang.DingTalk",
    "Lark": f"{IPHONE} Mobile/15E148 Safari/604.1 Lark/6.4.2 LarkLocale/zh_CN",
    "a telephone whose make is Cubot": "Mozilla/5.0 (Linux; Android 9; CUBOT_X18_Plus) Chrome/114 Mobile Safari/537.36",
    "something unknown": "Hongmeng/9",
}
PROGRAMS = {
    "WeChat": "WeChatShareExtensionNew/8.0.37.33 CFNetwork/1408.0.4 Darwin/22.5.0",
    "WhatsApp": "WhatsApp/2.23.20.0 A",
    "Telegram": "TelegramBot (like TwitterBot)",
    "Slack": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "Slack's pictures": "Slack-ImgProxy (+https://api.slack.com/robots)",
    "Twitter": "Twitterbot/1.0",
    "LinkedIn": "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)",
    "Discord": "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
    "Skype": "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5 skype-url-preview@microsoft.com",
    "Line": "facebookexternalhit/1.1;line-poker/1.0",
    "Facebook": "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "Google": f"{ANDROID} Chrome/114 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Google's inspection": "Mozilla/5.0 (compatible; Google-InspectionTool/1.0;)",
    "Bing": "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0) Chrome/112",
    "Bing's preview": f"{IPHONE} Mobile/10A5376e Safari/8536.25 BingPreview/1.0b",
    "Baidu": "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
    "Sogou": "Sogou web spider/4.0(+http://www.sogou.com/docs/help/webmasters.htm#07)",
    "360": "Mozilla/5.0 (compatible; 360Spider; +http://webscan.360.cn)",
    "ByteDance": "Mozilla/5.0 (Linux; Android 5.0) Mobile Safari/537.36 (compatible; Bytespider)",
    "Yisou": "YisouSpider",
    "Huawei": "Mozilla/5.0 (compatible;PetalBot;+https://webmaster.petalsearch.com/site/petalbot)",
    "Yandex": "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
    "Yahoo": "Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)",
    "Apple": "Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) (Applebot/0.1)",
    "DingTalk": "Mozilla/5.0 DingTalkBot-LinkService/1.0 (+https://open.dingtalk.com)",
    "Lark": "LarkUrl2Text/1.0",
    "Snapchat": "Mozilla/5.0 (compatible) Snap URL Preview Service; bot; snapchat",
    "curl": "curl/8.1.2",
    "Python": "python-requests/2.31.0",
    "Go": "Go-http-client/2.0",
    "Java": "Java/17.0.7",
    "a browser without a person": "Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/114.0",
    "nobody": "",
    "spaces": "  ",
}


@pytest.mark.parametrize("agent", PEOPLE.values(), ids=PEOPLE)
def test_browsers_inside_of_apps_are_people(agent: str) -> None:
    assert not is_robot(agent)
    assert is_robot(agent, is_head=True)
    assert is_robot(agent, is_prefetch=True)


@pytest.mark.parametrize("agent", PROGRAMS.values(), ids=PROGRAMS)
def test_programs_that_draw_previews_or_search_are_robots(agent: str) -> None:
    assert is_robot(agent)
    assert is_robot(agent.upper())


@pytest.mark.parametrize(
    ("given", "counted"),
    [
        (None, "direct"),
        ("", "direct"),
        ("WeChat", "wechat"),
        ("qr", "qr"),
        ("x" * 32, "x" * 32),
        ("x" * 33, "other"),
        ("x" * 100_000, "other"),
        ("we chat", "other"),
        ("wechat\r\nSet-Cookie: a=b", "other"),
        ("wechat\n", "other"),
        ("\0", "other"),
        ("微信", "other"),
        ("<b>", "other"),
        ("//evil.example", "other"),
    ],
)
def test_a_channel_is_a_plain_word(given: str | None, counted: str) -> None:
    assert plain_channel(given) == counted


async def open_link(database: Database, code: ReferralCode, channel: str | None, **more: Any) -> ReferralClick:
    given = {"user_agent": "Phone", "is_head": False, "now": utc_now(), **more}
    async with database.write() as session:
        return await record_click(session, code, channel=channel, **given)


async def sharing(database: Database, program: str, customer: str) -> list[Sharing]:
    async with database.read() as session:
        return (await sharing_of(session, [(program, customer)]))[program, customer]


async def test_clicks_at_once_are_counted_exactly(stores: Addresses, graph: GraphClient, database: Database) -> None:
    """Given 63 openings at once on four pools, a third of them by robots, then the counters say so."""
    program = await make_program(database)
    (lin,) = await make_people(graph, 1)
    code = await code_of(database, program, lin)
    pools = [stores.database() for _ in range(4)]
    try:
        await asyncio.gather(
            *(
                open_link(pools[n % 4], code, ("wechat", "qr", None)[n % 3], user_agent="" if n % 9 < 3 else "Phone")
                for n in range(63)
            )
        )
    finally:
        for pool in pools:
            await pool.close()
    assert await sharing(database, program, lin) == [
        Sharing("direct", 14, 7),
        Sharing("qr", 14, 7),
        Sharing("wechat", 14, 7),
    ]
    async with database.read() as session:
        clicks = (await session.exec(select(ReferralClick).where(ReferralClick.code_id == code.id))).all()
    assert Counter(click.channel for click in clicks) == {"direct": 21, "qr": 21, "wechat": 21}


async def test_an_owner_has_so_many_channels_and_no_more_however_many_are_opened_at_once(
    stores: Addresses, graph: GraphClient, database: Database
) -> None:
    """Given somebody who opens two codes of one owner by 200 channels at once, then 49 are kept, the rest are one."""
    program = await make_program(database)
    (lin,) = await make_people(graph, 1)
    codes = [await code_of(database, program, lin)]
    async with database.write() as session:
        codes.append(await rotate_code(session, program_id=program, customer_id=lin, now=utc_now()))
    pools = [stores.database() for _ in range(4)]
    try:
        await asyncio.gather(*(open_link(pools[n % 4], codes[n % 2], f"made-up-{n}") for n in range(200)))
    finally:
        for pool in pools:
            await pool.close()
    found = await sharing(database, program, lin)
    assert len(found) == MOST_CHANNELS
    assert found[0] == Sharing("other", 200 - (MOST_CHANNELS - 1))
    assert {(one.clicks, one.robots) for one in found[1:]} == {(1, 0)}
    assert (await open_link(database, codes[0], "one-more")).channel == "other"
    assert (await open_link(database, codes[0], found[1].channel)).channel == found[1].channel


async def test_channels_are_those_of_all_codes_of_one_owner_in_one_programme(
    graph: GraphClient, database: Database
) -> None:
    """Given claims by an old and a new code, by a link and typed, then the owner's numbers hold them all."""
    program, other = await make_program(database), await make_program(database)
    lin, sun, *referees = await make_people(graph, 6)
    old = await code_of(database, program, lin)
    first = await open_link(database, old, "wechat", now=utc_now() - timedelta(hours=1))
    await claim(database, graph, old, referees[0], click_ids=[first.id])
    async with database.write() as session:
        new = await rotate_code(session, program_id=program, customer_id=lin, now=utc_now())
    second = await open_link(database, new, "wechat")
    claimed = await claim(database, graph, new, referees[1], click_ids=[second.id])
    await claim(database, graph, new, referees[2])
    await open_link(database, await code_of(database, other, lin), "qr")
    await open_link(database, await code_of(database, program, sun), "line")
    await open_link(database, new, "line", user_agent="")
    await by_hand(database, "UPDATE referral SET status = 'QUALIFIED' WHERE id = :id", id=claimed)
    async with database.read() as session:
        found = await sharing_of(session, [(program, lin), (other, lin), (program, sun), (other, sun)])
    assert found == {
        (program, lin): [Sharing("wechat", 2, 0, 2, 1), Sharing(None, 0, 0, 1, 0), Sharing("line", 0, 1)],
        (other, lin): [Sharing("qr", 1)],
        (program, sun): [Sharing("line", 1)],
        (other, sun): [],
    }


async def test_a_conversion_written_by_the_sweep_knows_its_channel(graph: GraphClient, database: Database) -> None:
    program = await make_program(database)
    lin, wu = await make_people(graph, 2)
    code = await code_of(database, program, lin)
    click = await open_link(database, code, "wechat")
    claimed = await claim(database, graph, code, wu, click_ids=[click.id])
    async with database.read() as session:
        assert (await session.get_one(Referral, claimed)).channel == "wechat"


async def test_the_numbers_are_read_from_counters_and_an_index(graph: GraphClient, database: Database) -> None:
    """Given a code with many clicks, then its numbers are one row a channel, and claims are counted in their index."""
    program = await make_program(database)
    (lin,) = await make_people(graph, 1)
    code = await code_of(database, program, lin)
    for _ in range(30):
        await open_link(database, code, "wechat")
    async with database.read() as session:
        rows = (await session.exec(select(ReferralChannel).where(ReferralChannel.customer_id == lin))).all()
        assert {row.channel: row.clicks for row in rows} == {"wechat": 30, "other": 0}
        before = database.statements
        await sharing_of(session, [(program, lin), (program, new_id()), (new_id(), lin)])
        assert database.statements - before == 2
        connection = await session.connection()
        if not database.is_sqlite:
            await connection.execute(text("SET LOCAL enable_seqscan = off"))
        statement = claims((program, lin)).compile(connection.sync_engine, compile_kwargs={"literal_binds": True})
        explain = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
        steps = str((await connection.execute(text(f"{explain} {statement}"))).all())
    assert "ix_referral_channel" in steps
