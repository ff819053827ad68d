"""Codes over GraphQL: new ones, revoked ones, what came of sharing, and how often one may guess."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import text

from api.referrals.guesses import CLAIM_GUESSES
from api.relay import global_id, split_id
from core.codes import new_code
from core.ids import new_id
from referrals.codes import MOST_NEW_CODES
from tests.api.conftest import Caller, System
from tests.api.test_denials import state
from tests.api.test_referral_links import visitor
from tests.api.test_way_through import CLAIM, CODE, make_program

pytestmark = pytest.mark.anyio

SHOWN = "id code status createdAt channels { channel clicks robots claims qualified }"
ROTATE = f"""
mutation($program: ID!) {{
  rotateReferralCode(input: {{programId: $program}}) {{
    __typename
    ... on RotateReferralCodeSuccess {{ referralCode {{ {SHOWN} }} }}
    ... on Refusal {{ code path message }}
  }}
}}
"""
REVOKE = f"""
mutation($id: ID!, $reason: String!) {{
  revokeReferralCode(input: {{codeId: $id, reason: $reason}}) {{
    __typename
    ... on RevokeReferralCodeSuccess {{ referralCode {{ {SHOWN} }} }}
    ... on Refusal {{ code path message }}
  }}
}}
"""
CODES = f"""
query($p: ID!, $after: String) {{
  viewer {{ referralCodes(programId: $p, first: 2, after: $after) {{
    edges {{ cursor node {{ {SHOWN} }} }} pageInfo {{ hasNextPage endCursor }}
  }} }}
}}
"""
BY_TEXT = f"query($code: String!) {{ referralCode(code: $code) {{ {SHOWN} }} }}"
NODE = f"query($id: ID!) {{ node(id: $id) {{ __typename ... on ReferralCode {{ {SHOWN} }} }} }}"
AUDITED = "SELECT actor, action, subject, reason FROM audit_entry WHERE area = :area AND action LIKE 'CODE%'"


async def shared(system: System, unique: str) -> tuple[Caller, str, dict[str, Any]]:
    """A customer, a programme and the customer's code in it."""
    program = await make_program(system)
    lin = await system.customer(f"lin-{unique}")
    return lin, program, (await lin.ask(CODE, p=program))["viewer"]["referralCode"]


async def claim(caller: Caller, code: str, *clicks: str) -> str:
    answer = (await caller.ask(CLAIM, code=code, clicks=list(clicks)))["claimReferral"]
    return answer.get("code") or answer["__typename"]


async def test_an_owner_takes_a_new_code_and_the_old_one_still_counts(system: System, unique: str) -> None:
    """Given a code that was opened and claimed, when it is rotated, then old and new count, and the numbers are one."""
    lin, program, old = await shared(system, unique)
    async with visitor(system) as http:
        followed = await http.get(f"/r/{old['code']}?channel=wechat")
        wu = await system.customer(f"wu-{unique}")
        click = followed.headers["location"].split("click=")[1]
        assert await claim(wu, old["code"], click) == "ClaimReferralSuccess"
        rotated = (await lin.ask(ROTATE, program=program))["rotateReferralCode"]["referralCode"]
        assert rotated["status"] == "ACTIVE"
        assert rotated["code"] != old["code"]
        assert (await lin.ask(CODE, p=program))["viewer"]["referralCode"]["id"] == rotated["id"]
        assert (await http.get(f"/r/{old['code']}?channel=qr")).status_code == 302
        await http.head(f"/r/{rotated['code']}?channel=qr")
    sun = await system.customer(f"sun-{unique}")
    assert await claim(sun, old["code"]) == "ClaimReferralSuccess"
    numbers = [
        {"channel": None, "clicks": 0, "robots": 0, "claims": 1, "qualified": 0},
        {"channel": "wechat", "clicks": 1, "robots": 0, "claims": 1, "qualified": 0},
        {"channel": "qr", "clicks": 1, "robots": 1, "claims": 0, "qualified": 0},
    ]
    listed = (await lin.ask(CODES, p=program))["viewer"]["referralCodes"]["edges"]
    assert [(edge["node"]["id"], edge["node"]["status"]) for edge in listed] == [
        (rotated["id"], "ACTIVE"),
        (old["id"], "RETIRED"),
    ]
    for edge in listed:
        assert sorted(edge["node"]["channels"], key=str) == sorted(numbers, key=str)


async def test_codes_are_seen_by_their_owner_and_administrators(system: System, unique: str) -> None:
    """Given a code, when it is looked for by its letters and its id, then for others it is as if it were not there."""
    lin, _, code = await shared(system, unique)
    typed = f" {code['code'][:4].lower()}-{code['code'][4:].lower()}"
    for caller in (lin, system.caller(f"ad-{unique}", "administrator")):
        assert (await caller.ask(BY_TEXT, code=typed))["referralCode"]["id"] == code["id"]
        assert (await caller.ask(NODE, id=code["id"]))["node"]["channels"] == []
    for caller in (
        await system.customer(f"x-{unique}"),
        system.caller(f"new-{unique}", "customer"),
        system.caller(f"rm-{unique}", "relationship_manager"),
        system.caller(f"co-{unique}", "complaints_officer"),
    ):
        assert await caller.ask(BY_TEXT, code=typed) == {"referralCode": None}
        assert await caller.ask(BY_TEXT, code=new_code(8)) == {"referralCode": None}
        assert await caller.ask(NODE, id=code["id"]) == {"node": None}
        assert await caller.ask(NODE, id=global_id("ReferralCode", new_id())) == {"node": None}


@pytest.mark.parametrize("typed", ["", " ", "x" * 100_000, "\u2028", "ABC", "'; --", "<script>"])
async def test_letters_that_are_no_code_are_nothing(system: System, unique: str, typed: str) -> None:
    administrator = system.caller(f"ad-{unique}", "administrator")
    assert await administrator.ask(BY_TEXT, code=typed) == {"referralCode": None}
    wu = await system.customer(f"wu-{unique}")
    assert await claim(wu, typed) == "CODE_UNKNOWN"


async def test_the_sixth_code_of_a_day_is_refused_in_both_languages(system: System, unique: str) -> None:
    lin, program, _ = await shared(system, unique)
    answers = await asyncio.gather(*(lin.ask(ROTATE, program=program) for _ in range(10)))
    told = Counter(answer["rotateReferralCode"]["__typename"] for answer in answers)
    assert told == {"RotateReferralCodeSuccess": MOST_NEW_CODES - 1, "Refusal": 10 - (MOST_NEW_CODES - 1)}
    refused = (await lin.ask(ROTATE, program=program))["rotateReferralCode"]
    assert refused == {
        "__typename": "Refusal",
        "code": "TOO_MANY_CODES",
        "path": [],
        "message": "You have had too many new codes today. Please try again tomorrow.",
    }
    chinese = system.caller(f"lin-{unique}", "customer", language="zh")
    assert (await chinese.ask(ROTATE, program=program))["rotateReferralCode"]["message"] == (
        "今日更换推荐码次数过多，请明天再试。"
    )
    seen: list[str] = []
    after = None
    while True:
        page = (await lin.ask(CODES, p=program, after=after))["viewer"]["referralCodes"]
        seen += [edge["node"]["status"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert Counter(seen) == {"ACTIVE": 1, "RETIRED": MOST_NEW_CODES - 1}


async def test_a_revoked_code_is_refused_and_its_owner_gets_another(system: System, unique: str) -> None:
    """Given a claimed code, when its owner revokes it twice at once, then one act is audited and the claim stays."""
    lin, program, code = await shared(system, unique)
    wu, sun = await system.customer(f"wu-{unique}"), await system.customer(f"sun-{unique}")
    assert await claim(wu, code["code"]) == "ClaimReferralSuccess"
    answers = await asyncio.gather(*(lin.ask(REVOKE, id=code["id"], reason=f"leaked {n}") for n in range(2)))
    assert [answer["revokeReferralCode"]["referralCode"]["status"] for answer in answers] == ["REVOKED", "REVOKED"]
    before = await state(system)
    assert await claim(sun, code["code"]) == "CODE_REVOKED"
    assert await state(system) == before
    again = (await lin.ask(REVOKE, id=code["id"], reason="more"))["revokeReferralCode"]["referralCode"]
    assert [(one["channel"], one["claims"]) for one in again["channels"]] == [(None, 1)]
    fresh = (await lin.ask(CODE, p=program))["viewer"]["referralCode"]
    assert fresh["code"] != code["code"]
    assert await claim(sun, fresh["code"]) == "ClaimReferralSuccess"
    async with system.edge.database.read() as session:
        connection = await session.connection()
        area = f"referral-program:{split_id(program)[1]}"
        (entry,) = (await connection.execute(text(AUDITED), {"area": area})).mappings()
    assert entry["action"] == "CODE_REVOKED"
    assert entry["reason"] in ("leaked 0", "leaked 1")


async def test_an_administrator_without_a_profile_revokes(system: System, unique: str) -> None:
    _, _, code = await shared(system, unique)
    administrator = system.caller(f"ad-{unique}", "administrator")
    answer = await administrator.ask(REVOKE, id=code["id"], reason="complaint 17")
    assert answer["revokeReferralCode"]["referralCode"]["status"] == "REVOKED"


async def test_others_cannot_revoke_and_learn_nothing(system: System, unique: str) -> None:
    """Given somebody else's code and none, then each of those who may not gets the same answer, and nothing changes."""
    _, _, code = await shared(system, unique)
    other = await system.customer(f"x-{unique}")
    before = await state(system)
    absent = global_id("ReferralCode", new_id())
    for reason in ("mine now", ""):
        answers = [await other.ask(REVOKE, id=target, reason=reason) for target in (code["id"], absent)]
        assert answers[0] == answers[1]
        assert answers[0]["revokeReferralCode"]["code"] == "NOT_FOUND"
        assert answers[0]["revokeReferralCode"]["path"] == ["input", "codeId"]
    stranger = system.caller(f"new-{unique}", "relationship_manager")
    assert (await stranger.ask(REVOKE, id=code["id"], reason="x"))["revokeReferralCode"]["code"] == "NOT_SIGNED_UP"
    error = await system.caller(None).fail(REVOKE, id=code["id"], reason="x")
    assert error["extensions"]["code"] == "UNAUTHENTICATED"
    assert await state(system) == before


@pytest.mark.parametrize("reason", ["", "  \n ", "x" * 501, "x" * 200_000])
async def test_a_reason_that_is_none_is_bad_input(system: System, unique: str, reason: str) -> None:
    lin, _, code = await shared(system, unique)
    before = await state(system)
    error = await lin.fail(REVOKE, id=code["id"], reason=reason)
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "reason": "REVOCATION_INVALID", "inputPath": ["reason"]}
    assert await state(system) == before


async def test_ids_of_another_kind_are_bad_input(system: System, unique: str) -> None:
    lin, program, code = await shared(system, unique)
    for document, given in ((REVOKE, {"id": program, "reason": "x"}), (ROTATE, {"program": code["id"]})):
        error = await lin.fail(document, **given)
        assert error["extensions"]["reason"] == "ID_INVALID"


async def test_a_customer_names_so_many_wrong_codes_and_no_more(system: System, unique: str) -> None:
    """Given three times as many wrong claims at once as may be, then exactly the limit is told, and a right one waits.

    The limit holds for aliases of one document too; another customer is not concerned."""
    _, _, code = await shared(system, unique)
    wu, sun = await system.customer(f"wu-{unique}"), await system.customer(f"sun-{unique}")
    most = CLAIM_GUESSES.most
    before = await state(system)
    told = list(await asyncio.gather(*(claim(wu, new_code(10)) for _ in range(most - 3))))
    aliases = " ".join(f'a{n}: claimReferral(input: {{code: "{new_code(10)}"}}) {{ ...R }}' for n in range(most))
    document = f"mutation {{ {aliases} }} fragment R on Refusal {{ code }}"
    told += [answer["code"] for answer in (await wu.ask(document)).values()]
    told += await asyncio.gather(*(claim(wu, new_code(10)) for _ in range(most)))
    assert Counter(told) == {"CODE_UNKNOWN": most, "TOO_MANY_GUESSES": 2 * most - 3}
    refused = (await wu.ask(CLAIM, code=code["code"], clicks=[]))["claimReferral"]
    assert (refused["code"], refused["path"]) == ("TOO_MANY_GUESSES", ["input", "code"])
    assert refused["message"] == "Too many wrong codes. Please try again later."
    chinese = system.caller(f"wu-{unique}", "customer", language="zh")
    refused = (await chinese.ask(CLAIM, code=code["code"], clicks=[]))["claimReferral"]
    assert refused["message"] == "错误次数过多，请稍后再试。"
    assert await state(system) == before
    assert await claim(sun, code["code"]) == "ClaimReferralSuccess"


async def test_below_the_limit_a_right_code_is_always_taken(system: System, unique: str) -> None:
    _, _, code = await shared(system, unique)
    wu = await system.customer(f"wu-{unique}")
    for _ in range(CLAIM_GUESSES.most - 1):
        assert await claim(wu, "no code") == "CODE_UNKNOWN"
    for _ in range(3):
        assert await claim(wu, code["code"]) == "ClaimReferralSuccess"
    assert await claim(wu, "no code") == "CODE_UNKNOWN"
    assert await claim(wu, code["code"]) == "TOO_MANY_GUESSES"
