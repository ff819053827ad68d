"""Links over HTTP: the click first, then our own page and no other; hostile addresses, robots, and guessing."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from redis.asyncio import Redis
from sqlmodel import col, select

from api.referrals.guesses import LINK_GUESSES
from api.relay import split_id
from core.codes import new_code
from core.ids import new_id
from core.processes import free_port
from core.rate import Guesses
from referrals.attribution import Referral
from referrals.links import ReferralClick
from tests.api.conftest import Caller, System
from tests.api.test_denials import state
from tests.api.test_way_through import CLAIM, CODE, make_program

pytestmark = pytest.mark.anyio

PERSON = {"User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 16_5 like Mac OS X) MicroMessenger/8.0.37 Language/zh_CN"}
REVOKE = """
mutation($id: ID!) {
  revokeReferralCode(input: {codeId: $id, reason: "seen on a forum"}) { __typename ... on Refusal { code path } }
}
"""


@asynccontextmanager
async def visitor(system: System, address: str | None = None) -> AsyncGenerator[httpx.AsyncClient, None]:
    """A browser at an address that no other test has."""
    host = address or f"visitor-{new_id()}"
    transport = httpx.ASGITransport(app=system.app, raise_app_exceptions=False, client=(host, 40_000))
    async with httpx.AsyncClient(transport=transport, base_url="http://kinship.test", headers=PERSON) as http:
        yield http


async def shared(system: System, unique: str) -> tuple[Caller, dict[str, Any]]:
    """A customer and their code."""
    program = await make_program(system)
    lin = await system.customer(f"lin-{unique}")
    return lin, (await lin.ask(CODE, p=program))["viewer"]["referralCode"]


async def clicks(system: System) -> list[ReferralClick]:
    async with system.edge.database.read() as session:
        return list((await session.exec(select(ReferralClick).order_by(col(ReferralClick.id)))).all())


def unknown_code() -> str:
    """One that could be ours by its check character."""
    return new_code(12)


async def test_the_click_is_there_before_the_visitor_is_sent_on(system: System, unique: str) -> None:
    """Given a link, when it is opened, then one click is kept, and the redirect names it, kept by no cache."""
    _, code = await shared(system, unique)
    before = len(await clicks(system))
    async with visitor(system) as http:
        for path in (f"/r/{code['code']}", f"/r/{code['code'].lower()}/", f"/r/{code['code'][:4]}-{code['code'][4:]}"):
            answer = await http.get(path, params={"channel": "WeChat"})
            click = (await clicks(system))[-1]
            assert answer.status_code == 302
            assert answer.headers["cache-control"] == "no-store"
            target = urlsplit(answer.headers["location"])
            assert f"{target.scheme}://{target.netloc}{target.path}" == f"{system.settings.base_url}/sign-in"
            assert parse_qs(target.query) == {"code": [code["code"]], "click": [click.id]}
            assert (click.channel, click.is_robot) == ("wechat", False)
    assert len(await clicks(system)) == before + 3


HOSTILE = [
    "/r//evil.example",
    "/r/https://evil.example",
    "/r/https%3A%2F%2Fevil.example",
    "/r/%2F%2Fevil.example",
    "/r/%5Cevil.example",
    "/r/..%2F..%2Fsign-in",
    "/r/../sign-in/x",
    "/r/{code}%0d%0aLocation:%20https://evil.example",
    "/r/{code}%0aSet-Cookie:%20a=b",
    "/r/{code}%00",
    "/r/{code}%2Fevil.example",
    "/r/{code}/evil.example",
    "/r/{code}/qr.svg/",
    "/r/{code}@evil.example",
    "/r/{code}.evil.example",
    "/r/{code}%3Fnext=https://evil.example",
    "/r/%ff%fe",
    "/r/%F0%9F%A4%96",
    "/r/%E2%80%AE{code}",
    "/r/" + "A" * 20_000,
    "/r/' OR 1=1 --",
    "/r/",
    "/r/ ",
    "/r",
]


@pytest.mark.parametrize("path", HOSTILE, ids=[path[:40] for path in HOSTILE])
async def test_a_link_cannot_be_bent(system: System, unique: str, path: str) -> None:
    """Given addresses that want to lead elsewhere, then none redirects, none fails, and nothing is kept."""
    _, code = await shared(system, unique)
    before = await state(system)
    async with visitor(system) as http:
        for headers in ({}, {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}):
            answer = await http.get(path.format(code=code["code"]), headers=headers)
            assert answer.status_code == 404
            assert "location" not in answer.headers
            assert "set-cookie" not in answer.headers
    assert await state(system) == before


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:80@kinship.test"},
        {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "gopher"},
        {"Forwarded": "host=evil.example;proto=https"},
        {"X-Original-URL": "https://evil.example", "X-Rewrite-URL": "//evil.example"},
        {"Referer": "https://evil.example", "Origin": "https://evil.example"},
    ],
    ids=lambda headers: next(iter(headers)),
)
async def test_headers_do_not_move_the_target(system: System, unique: str, headers: dict[str, str]) -> None:
    _, code = await shared(system, unique)
    async with visitor(system) as http:
        for path in ("", "/", "?next=https://evil.example&code=EVIL&click=1", "?url=//evil.example"):
            answer = await http.get(f"/r/{code['code']}{path}", headers=headers)
            assert answer.status_code == 302
            assert answer.headers["location"].startswith(f"{system.settings.base_url}/sign-in?code={code['code']}&")
            assert "evil" not in answer.headers["location"].lower()
        picture = await http.get(f"/r/{code['code']}/qr.svg", headers=headers)
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/svg+xml")
    assert b"<svg" in picture.content


@pytest.mark.parametrize(
    ("query", "channel"),
    [
        ("", "direct"),
        ("channel=", "direct"),
        ("channel=qr", "qr"),
        ("channel=" + "x" * 30_000, "other"),
        ("channel=%00", "other"),
        ("channel=a%0d%0aLocation:%20https://evil.example", "other"),
        ("channel=https://evil.example", "other"),
        ("channel=%ff%fe", "other"),
        ("channel=%F0%9F%A4%96", "other"),
        ("channel=line&channel=wechat", "wechat"),
        ("Channel=line", "direct"),
        ("&&&===%%%", "direct"),
    ],
)
async def test_whatever_stands_as_channel_the_click_is_kept(
    system: System, unique: str, query: str, channel: str
) -> None:
    _, code = await shared(system, unique)
    async with visitor(system) as http:
        answer = await http.get(f"/r/{code['code']}?{query}")
    assert answer.status_code == 302
    assert len(answer.headers["location"]) < 200
    click = (await clicks(system))[-1]
    assert (click.id, click.channel) == (answer.headers["location"].split("click=")[1], channel)


@pytest.mark.parametrize(
    ("method", "headers", "is_robot"),
    [
        ("GET", {}, False),
        ("HEAD", {}, True),
        ("GET", {"User-Agent": "WhatsApp/2.23.20.0 A"}, True),
        ("GET", {"User-Agent": ""}, True),
        ("GET", {"User-Agent": "x" * 30_000}, False),
        ("GET", {"Purpose": "prefetch"}, True),
        ("GET", {"Sec-Purpose": "prefetch;prerender"}, True),
        ("GET", {"Sec-Purpose": "PREFETCH"}, True),
        ("GET", {"X-Moz": "prefetch"}, True),
        ("GET", {"X-Purpose": "preview"}, True),
        ("GET", {"Purpose": "something"}, False),
    ],
)
async def test_robots_are_marked_and_attribute_nothing(
    system: System, unique: str, method: str, headers: dict[str, str], is_robot: bool
) -> None:
    """Given openings by people and by programs, then both are kept and sent on, and only a person's is a touch."""
    _, code = await shared(system, unique)
    async with visitor(system) as http:
        answer = await http.request(method, f"/r/{code['code']}?channel=wechat", headers=headers)
    assert answer.status_code == 302
    click = (await clicks(system))[-1]
    assert (click.id, click.is_robot) == (answer.headers["location"].split("click=")[1], is_robot)
    wu = await system.customer(f"wu-{unique}")
    claimed = (await wu.ask(CLAIM, code=code["code"], clicks=[click.id]))["claimReferral"]
    async with system.edge.database.read() as session:
        referral = await session.get_one(Referral, split_id(claimed["referral"]["id"])[1])
    assert (referral.click_id, referral.channel) == ((None, None) if is_robot else (click.id, "wechat"))


async def test_only_reading_methods_follow_a_link(system: System, unique: str) -> None:
    _, code = await shared(system, unique)
    before = await state(system)
    async with visitor(system) as http:
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            assert (await http.request(method, f"/r/{code['code']}")).status_code == 405
    assert await state(system) == before


@pytest.mark.parametrize(
    "path", ["/sign-in/", "/graphql/", "/healthz/", "/static", "/issuer/authorize/", "/calendar/x/"]
)
async def test_a_slash_too_many_leads_to_no_other_host(system: System, path: str) -> None:
    answer = await system.http.get(path, headers={"Host": "evil.example"})
    assert "evil" not in answer.headers.get("location", "")
    assert answer.status_code in (404, 405)


async def test_a_revoked_code_answers_with_its_reason_in_both_languages(system: System, unique: str) -> None:
    """Given a code, when its owner revokes it, then link and picture say so, and nothing is kept."""
    lin, code = await shared(system, unique)
    assert (await lin.ask(REVOKE, id=code["id"]))["revokeReferralCode"]["__typename"] == "RevokeReferralCodeSuccess"
    before = await state(system)
    async with visitor(system) as http:
        for path in ("", "/", "/qr.svg"):
            for language, words in (("en", "This referral code is no longer valid."), ("zh", "该推荐码已失效。")):
                answer = await http.get(f"/r/{code['code']}{path}", headers={"Accept-Language": language})
                assert (answer.status_code, answer.text) == (410, words)
                assert answer.headers["cache-control"] == "no-store"
    assert await state(system) == before


async def test_wrong_codes_are_limited_exactly_however_many_come_at_once(system: System, unique: str) -> None:
    """Given one address, when it tries twice as many unknown codes at once as it may, then exactly the limit is told.

    After that a right code tells it nothing either; another address is not concerned."""
    _, code = await shared(system, unique)
    most = LINK_GUESSES.most
    before = await state(system)
    async with visitor(system) as http:
        pictures = [http.get(f"/r/{unknown_code()}/qr.svg") for _ in range(most)]
        answers = await asyncio.gather(*(http.get(f"/r/{unknown_code()}") for _ in range(most)), *pictures)
        assert Counter(answer.status_code for answer in answers) == {404: most, 429: most}
        for path in ("", "/qr.svg"):
            answer = await http.get(f"/r/{code['code']}{path}", headers={"Accept-Language": "en"})
            assert answer.status_code == 429
            assert 1 <= int(answer.headers["retry-after"]) <= LINK_GUESSES.seconds
            assert answer.text == "Too many wrong codes. Please try again later."
        spoofed = {"X-Forwarded-For": "203.0.113.7", "Forwarded": "for=203.0.113.7", "X-Real-IP": "203.0.113.7"}
        assert (await http.get(f"/r/{code['code']}", headers=spoofed)).status_code == 429
    assert await state(system) == before
    async with visitor(system) as other:
        assert (await other.get(f"/r/{code['code']}")).status_code == 302


async def test_right_and_revoked_codes_are_no_guesses(system: System, unique: str) -> None:
    lin, code = await shared(system, unique)
    async with visitor(system) as http:
        for _ in range(LINK_GUESSES.most - 1):
            assert (await http.get(f"/r/{unknown_code()}")).status_code == 404
        answers = await asyncio.gather(*(http.get(f"/r/{code['code']}") for _ in range(LINK_GUESSES.most)))
        assert {answer.status_code for answer in answers} == {302}
        await lin.ask(REVOKE, id=code["id"])
        assert {(await http.get(f"/r/{code['code']}")).status_code for _ in range(5)} == {410}
        assert (await http.get(f"/r/{unknown_code()}")).status_code == 404
        assert (await http.get(f"/r/{unknown_code()}")).status_code == 429


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:{a}:{b}::1", "2001:db8:{a}:{b}:ffff:ffff:ffff:ffff", True),
        ("2001:db8:{a}:{b}::1", "2001:db8:{b}:{a}::1", False),
        ("::ffff:10.{c}.{d}.1", "10.{c}.{d}.1", True),
        ("10.{c}.{d}.2", "10.{c}.{d}.3", False),
    ],
)
async def test_an_address_is_a_host_or_the_network_of_one(
    system: System, unique: str, one: str, other: str, same: bool
) -> None:
    tail = unique.replace("-", "")[-8:]
    parts = {"a": f"1{tail[:3]}", "b": f"2{tail[3:6]}", "c": int(tail[4:6], 16), "d": int(tail[6:], 16)}
    _, code = await shared(system, unique)
    async with visitor(system, one.format(**parts)) as http:
        for _ in range(LINK_GUESSES.most):
            assert (await http.get(f"/r/{unknown_code()}")).status_code == 404
    async with visitor(system, other.format(**parts)) as http:
        assert (await http.get(f"/r/{code['code']}")).status_code == (429 if same else 302)


async def test_without_redis_links_are_followed_all_the_same(system: System, unique: str) -> None:
    """Given a Redis that does not answer, then right codes redirect, wrong ones are told, and nobody is kept out."""
    _, code = await shared(system, unique)
    away: Redis = Redis.from_url(f"redis://127.0.0.1:{free_port()}")
    system.app.state.edge = replace(system.edge, guesses=Guesses(away))
    async with visitor(system) as http:
        for _ in range(LINK_GUESSES.most + 5):
            assert (await http.get(f"/r/{unknown_code()}")).status_code == 404
        assert (await http.get(f"/r/{code['code']}")).status_code == 302
    await away.aclose()
