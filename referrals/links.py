"""Referral links: a click is recorded on the server before the redirect, and counted by its channel."""

import re
from datetime import datetime
from typing import Any

from sqlalchemy import update
from sqlmodel import Field, col, select

from core.db import Record, Session, changed_rows, insert_once, instant
from core.ids import new_id
from referrals.codes import ReferralCode

CHANNEL = re.compile(r"[a-z0-9-]{1,32}")
DIRECT, OTHER = "direct", "other"
# Of an owner in a programme, `other` among them; whoever opens a link may write what they like as its channel.
MOST_CHANNELS = 50

# Programs that fetch a link for its preview, an index or a check; their clicks are kept, marked, and attribute nothing.
# They are not the browsers inside of apps, by which people read: MicroMessenger, Line, baiduboxapp, DingTalk, Lark.
ROBOTS = re.compile(
    r"""(?<!cu)bot | crawl | spider | slurp | preview | scrap(?:e|y) | headless | lighthouse | pingdom | linkcheck
    | facebookexternalhit | facebookcatalog | meta-external | whatsapp | line-poker | slack-imgproxy | larkurl
    | wechatshareextension | snap\ url | vkshare | embedly | iframely | unfurl | tumblr/ | mastodon/ | feedfetcher
    | google-(?:inspectiontool|read-aloud|safety|site-verification) | googleother | apis-google | mediapartners-google
    | curl/ | libcurl | wget | python[-/] | ^python | go-http | okhttp | java/ | axios/ | aiohttp | guzzle | libwww
    | http-?client | http\.rb | ^ruby | php/ | node-fetch | ^node | undici | phantomjs | puppeteer | playwright
    | selenium""",
    re.IGNORECASE | re.VERBOSE,
)


class ReferralClick(Record, table=True):
    """One opening of a link, by which channel it was shared, and whether a robot did it."""

    id: str = Field(primary_key=True)
    code_id: str = Field(foreign_key="referral_code.id", index=True)
    channel: str
    is_robot: bool
    clicked_at: datetime = instant()


class ReferralChannel(Record, table=True):
    """How often an owner's links in a programme were opened by way of a channel, whichever codes they carried."""

    program_id: str = Field(primary_key=True, foreign_key="referral_program.id")
    customer_id: str = Field(primary_key=True)
    channel: str = Field(primary_key=True)
    clicks: int = 0
    robots: int = 0


def is_robot(user_agent: str, *, is_head: bool = False, is_prefetch: bool = False) -> bool:
    """Whether no person opened the link: by its method, its purpose, or the name that the program gives itself."""
    return is_head or is_prefetch or not user_agent.strip() or bool(ROBOTS.search(user_agent))


def plain_channel(channel: str | None) -> str:
    """The channel as a plain word: `direct` where none is said, `other` for what is no such word."""
    plain = channel.lower() if channel else DIRECT
    return plain if CHANNEL.fullmatch(plain) else OTHER


async def record_click(
    session: Session,
    code: ReferralCode,
    *,
    channel: str | None,
    user_agent: str,
    is_head: bool,
    now: datetime,
    is_prefetch: bool = False,
) -> ReferralClick:
    """Keep the click and count it by its channel; channels beyond the most that an owner has count as `other`."""
    click = ReferralClick(
        id=new_id(),
        code_id=code.id,
        channel=await open_channel(session, code, plain_channel(channel)),
        is_robot=is_robot(user_agent, is_head=is_head, is_prefetch=is_prefetch),
        clicked_at=now,
    )
    session.add(click)
    await session.flush()
    # The last statement, because the others who count on this row wait for it until the commit.
    counted = col(ReferralChannel.robots if click.is_robot else ReferralChannel.clicks)
    row = update(ReferralChannel).where(
        col(ReferralChannel.program_id) == code.program_id,
        col(ReferralChannel.customer_id) == code.customer_id,
        col(ReferralChannel.channel) == click.channel,
    )
    await changed_rows(session, row.values({counted: counted + 1}))
    return click


async def open_channel(session: Session, code: ReferralCode, channel: str) -> str:
    """The channel under which a click counts: this one if the owner has it or has room for it, else `other`."""
    known = await known_channels(session, code)
    if channel in known:
        return channel
    if len(known) >= MOST_CHANNELS:
        return OTHER
    # Rare. Who opens a channel holds the row of `other`, so that the next one counts it too.
    await insert_once(session, ReferralChannel, row_of(code, OTHER))
    await session.exec(of_owner(code).where(ReferralChannel.channel == OTHER).with_for_update())
    if len(await known_channels(session, code)) >= MOST_CHANNELS:
        return OTHER
    await insert_once(session, ReferralChannel, row_of(code, channel))
    return channel


async def known_channels(session: Session, code: ReferralCode) -> set[str]:
    """The owner's channels in the programme, at most MOST_CHANNELS."""
    return set((await session.exec(of_owner(code))).all())


def of_owner(code: ReferralCode) -> Any:
    return select(ReferralChannel.channel).where(
        ReferralChannel.program_id == code.program_id, ReferralChannel.customer_id == code.customer_id
    )


def row_of(code: ReferralCode, channel: str) -> dict[str, Any]:
    owner = {"program_id": code.program_id, "customer_id": code.customer_id}
    return {**owner, "channel": channel, "clicks": 0, "robots": 0}
