"""Points over GraphQL: what one has, the ledger by pages, giving, adjusting, closing days, and statements to keep."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from api.loyalty import statements as statement_routes
from api.relay import global_id
from core.audit import AuditEntry
from core.clock import iso, utc_now
from core.days import day_of
from core.ids import new_id
from loyalty.catalogue import NewReward, create_reward
from loyalty.redemption import redeem
from loyalty.statement_links import LIFETIME, StatementFormat, StatementOrder, read_order, sign_order
from tests.api.conftest import Caller, System
from tests.api.test_denials import state
from tests.api.test_round_trips import cost
from tests.api.test_way_through import local_of
from tests.loyalty.accounts import demand, give, spend, standing, take_back

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
ZONE = "Asia/Shanghai"
POINTS = """
query($days: Int!) { viewer { points {
  available pending pendingUntil debt expiringSoon soon: expiringSoon(days: $days) lifetimeEarned
} } }
"""
LEDGER = """
query($account: AccountKind, $kinds: [PostingKind!], $from: DateTime, $to: DateTime, $first: Int, $after: String) {
  viewer { ledger(account: $account, kinds: $kinds, from: $from, to: $to, first: $first, after: $after) {
    edges { node { points account position balanceAfter posting { kind } } }
    pageInfo { hasNextPage endCursor }
  } }
}
"""
TRANSFER = """
mutation($input: TransferPointsInput!) {
  transferPoints(input: $input) {
    __typename
    ... on TransferPointsSuccess {
      points { available }
      transfer { id points note postingId sender { id } receiver { id displayName } }
    }
    ... on Refusal { code path }
  }
}
"""
SHOWN = "adjustment { id points status reason requestedBy decidedBy decisionReason postingId customer { id } }"
ADJUST = f"""
mutation($input: AdjustPointsInput!) {{
  adjustPoints(input: $input) {{
    __typename ... on AdjustPointsSuccess {{ {SHOWN} }} ... on Refusal {{ code path }}
  }}
}}
"""
APPROVE = f"""
mutation($input: DecideAdjustmentInput!) {{
  approveAdjustment(input: $input) {{
    __typename ... on ApproveAdjustmentSuccess {{ {SHOWN} }} ... on Refusal {{ code path }}
  }}
}}
"""
REJECT = APPROVE.replace("approve", "reject").replace("Approve", "Reject")
ADJUSTMENTS = """
query($status: AdjustmentStatus) {
  adjustments(status: $status, first: 100) { edges { node { id status points } } }
}
"""
CLOSE = """
mutation($day: Date!) {
  closeDay(input: {day: $day}) {
    __typename ... on CloseDaySuccess { dayClose { day timeZone phase closedAt holds } } ... on Refusal { code path }
  }
}
"""
CLOSES = "{ dayCloses(first: 5) { edges { node { day phase holds expiredPoints findings } } } }"
LIABILITY = """
query($asOf: DateTime, $day: Date, $since: Date) {
  liabilityReport(asOf: $asOf, day: $day, since: $since) {
    opening closing available pending owed writtenOff amount currency
    movements { kind pointsIn pointsOut } months { month available pending }
  }
}
"""
EXPORT = """
mutation($input: ExportStatementInput!) {
  exportStatement(input: $input) {
    __typename ... on ExportStatementSuccess { url expiresAt } ... on Refusal { code path }
  }
}
"""
WHY = """
query($id: ID!) { postingProvenance(postingId: $id) {
  cause {
    __typename ... on TransferCause { transfer { points note } } ... on AdjustmentCause { adjustedAt reason }
  }
  lots { points origin { posting { kind } cause { __typename } } }
} }
"""
# Round trips to the graph and statements to SQL; each customer has three lots.
COSTS = {
    "viewer.points": (0, 5),
    "viewer.ledger": (0, 2),
    "transferPoints": (1, 19),
    "adjustPoints": (1, 17),
    "approveAdjustment": (1, 12),
    "rejectAdjustment": (1, 3),
    "exportStatement": (0, 1),
}


def customer(name: str) -> str:
    return global_id("Customer", local_of(name))


def administrator(system: System, name: str = "zhao") -> Caller:
    return system.caller(f"admin-{name}", "administrator")


async def test_what_one_has(system: System, unique: str) -> None:
    """Given points that expired, expire in 5 and 90 days, and pending ones, and a reward that was taken back."""
    name, database, now = f"lin-{unique}", system.edge.database, utc_now()
    lin, me = await system.customer(name), local_of(name)
    empty = {"available": 0, "pending": 0, "pendingUntil": None, "debt": 0, "expiringSoon": 0, "soon": 0}
    assert (await lin.ask(POINTS, days=7))["viewer"]["points"] == {**empty, "lifetimeEarned": 0}
    stranger = system.caller(f"new-{unique}", "customer")
    assert (await stranger.ask(POINTS, days=7))["viewer"]["points"] == {**empty, "lifetimeEarned": 0}
    await give(database, me, 9, expires_in=DAY, now=now - 2 * DAY)
    for points, days in ((20, 5), (300, 90)):
        await give(database, me, points, key=f"{me}:{days}", expires_in=days * DAY, now=now)
    await give(database, me, 4_000, available_in=DAY, now=now)
    await spend(database, me, 25)
    await take_back(database, demand(me, f"{me}:5", 20))
    assert (await lin.ask(POINTS, days=120))["viewer"]["points"] == {
        "available": 275,
        "pending": 4_000,
        "pendingUntil": iso(now + DAY),
        "debt": 0,
        "expiringSoon": 0,
        "soon": 275,
        "lifetimeEarned": 9 + 300 + 4_000,
    }
    for days in (0, 367):
        assert (await lin.fail(POINTS, days=days))["extensions"]["reason"] == "DAYS_INVALID"


async def test_more_points_than_an_int_holds(system: System, unique: str) -> None:
    """Given two earnings of two thousand million points, then their sum is shown wherever it stands."""
    name, database, now = f"lin-{unique}", system.edge.database, utc_now()
    lin, me = await system.customer(name), local_of(name)
    for _ in range(2):
        await give(database, me, 2_000_000_000, expires_in=5 * DAY, now=now)
    points = (await lin.ask(POINTS, days=7))["viewer"]["points"]
    assert [points[one] for one in ("available", "expiringSoon", "lifetimeEarned")] == [4_000_000_000] * 3
    ledger = (await lin.ask(LEDGER, first=2))["viewer"]["ledger"]
    assert [edge["node"]["balanceAfter"] for edge in ledger["edges"]] == [4_000_000_000, 2_000_000_000]


async def test_the_ledger_by_pages_and_filters(system: System, unique: str) -> None:
    name, database, now = f"lin-{unique}", system.edge.database, utc_now()
    lin, me = await system.customer(name), local_of(name)
    for number in range(5):
        await give(database, me, 10 + number, now=now - (5 - number) * DAY)
    await give(database, me, 7, available_in=DAY, now=now)
    seen: list[tuple[int, int, int]] = []
    after = None
    while True:
        page = (await lin.ask(LEDGER, account="AVAILABLE", first=2, after=after))["viewer"]["ledger"]
        nodes = [edge["node"] for edge in page["edges"]]
        seen += [(node["points"], node["position"], node["balanceAfter"]) for node in nodes]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert seen == [(14, 5, 60), (13, 4, 46), (12, 3, 33), (11, 2, 21), (10, 1, 10)]
    some = await lin.ask(LEDGER, **{"from": iso(now - 4 * DAY), "to": iso(now - 2 * DAY)})
    assert [edge["node"]["balanceAfter"] for edge in some["viewer"]["ledger"]["edges"]] == [33, 21]
    kinds = await lin.ask(LEDGER, kinds=["REDEEM"])
    assert kinds["viewer"]["ledger"]["edges"] == []
    for wrong in ({"account": "EXPIRY"}, {"from": iso(now), "to": iso(now - DAY)}):
        assert (await lin.fail(LEDGER, **wrong))["extensions"]["reason"] == "LEDGER_RANGE_INVALID"


async def test_giving_points_to_somebody(system: System, unique: str) -> None:
    lin, sun = await system.customer(f"lin-{unique}"), await system.customer(f"sun-{unique}")
    database = system.edge.database
    await give(database, local_of(f"lin-{unique}"), 100)
    wish = {"customerId": customer(f"sun-{unique}"), "points": 40, "idempotencyKey": unique, "note": "For tea"}
    done = (await lin.ask(TRANSFER, input=wish))["transferPoints"]
    assert done["points"] == {"available": 60}
    given = done["transfer"]
    assert (given["points"], given["note"]) == (40, "For tea")
    assert given["receiver"]["displayName"] == f"sun-{unique}"[-20:]
    assert (await lin.ask(TRANSFER, input=wish))["transferPoints"] == done
    for caller in (lin, sun):
        shown = (await caller.ask(LEDGER, kinds=["TRANSFER"]))["viewer"]["ledger"]["edges"]
        assert [edge["node"]["posting"]["kind"] for edge in shown] == ["TRANSFER"]
        # Where the sender had them from is not told.
        why = (await caller.ask(WHY, id=given["postingId"]))["postingProvenance"]
        transfer = {"points": 40, "note": "For tea"}
        assert why == {"cause": {"__typename": "TransferCause", "transfer": transfer}, "lots": []}
    answers = [
        (await lin.ask(TRANSFER, input={**wish, "idempotencyKey": new_id(), **other}))["transferPoints"]
        for other in (
            {"customerId": global_id("Customer", new_id())},
            {"customerId": customer(f"lin-{unique}")},
            {"points": 61},
            {"points": 9},
        )
    ]
    assert [(one["code"], one["path"]) for one in answers] == [
        ("RECIPIENT_NOT_FOUND", ["input", "customerId"]),
        ("TRANSFER_TO_ONESELF", ["input", "customerId"]),
        ("INSUFFICIENT_POINTS", []),
        ("TRANSFER_TOO_SMALL", ["input", "points"]),
    ]
    assert (await sun.ask(TRANSFER, input={**wish, "customerId": customer(f"lin-{unique}"), "points": 41}))[
        "transferPoints"
    ]["code"] == "INSUFFICIENT_POINTS"


async def test_adjusting_alone_and_in_pairs(system: System, unique: str) -> None:
    await system.customer(f"lin-{unique}")
    zhao, qian = administrator(system), administrator(system, "qian")
    wish = {"customerId": customer(f"lin-{unique}"), "points": 1_000, "reason": "Goodwill", "idempotencyKey": new_id()}
    booked = (await zhao.ask(ADJUST, input=wish))["adjustPoints"]["adjustment"]
    assert (booked["status"], booked["requestedBy"], booked["decidedBy"]) == ("BOOKED", "admin-zhao", None)
    lin = system.caller(f"lin-{unique}", "customer")
    for caller, reason in ((zhao, "Goodwill"), (lin, None)):
        why = (await caller.ask(WHY, id=booked["postingId"]))["postingProvenance"]
        assert (why["cause"]["__typename"], why["cause"]["reason"]) == ("AdjustmentCause", reason)
    large = {**wish, "points": 1_001, "idempotencyKey": new_id()}
    asked = (await zhao.ask(ADJUST, input=large))["adjustPoints"]["adjustment"]
    assert (asked["status"], asked["postingId"]) == ("PENDING", None)
    waiting = (await qian.ask(ADJUSTMENTS, status="PENDING"))["adjustments"]["edges"]
    assert asked["id"] in [edge["node"]["id"] for edge in waiting]
    decision = {"adjustmentId": asked["id"], "reason": "Seen"}
    assert (await zhao.ask(APPROVE, input=decision))["approveAdjustment"]["code"] == "ADJUSTMENT_NEEDS_ANOTHER"
    done = (await qian.ask(APPROVE, input=decision))["approveAdjustment"]["adjustment"]
    assert (done["status"], done["decidedBy"], done["decisionReason"]) == ("BOOKED", "admin-qian", "Seen")
    assert (await qian.ask(REJECT, input=decision))["rejectAdjustment"]["code"] == "ADJUSTMENT_DECIDED"
    taken = {**wish, "points": -3_000, "idempotencyKey": new_id()}
    asked = (await zhao.ask(ADJUST, input=taken))["adjustPoints"]["adjustment"]
    decision = {"adjustmentId": asked["id"], "reason": "Seen"}
    assert (await qian.ask(APPROVE, input=decision))["approveAdjustment"]["code"] == "INSUFFICIENT_POINTS"
    assert (await qian.ask(REJECT, input=decision))["rejectAdjustment"]["adjustment"]["status"] == "REJECTED"
    absent = {**wish, "customerId": global_id("Customer", new_id())}
    assert (await zhao.ask(ADJUST, input=absent))["adjustPoints"]["code"] == "NOT_FOUND"
    bad = await zhao.fail(ADJUST, input={**wish, "reason": " "})
    assert bad["extensions"]["reason"] == "ADJUSTMENT_INVALID"
    assert await standing(system.edge.database, local_of(f"lin-{unique}")) == (2_001, 0, 0)


async def test_a_day_is_begun_once_and_shown(system: System, unique: str) -> None:
    """Given yesterday, then it is begun, once; today and tomorrow are refused. The books are looked at as of now."""
    zhao, today = administrator(system), day_of(utc_now(), ZONE)
    yesterday = str(today - DAY)
    done = (await zhao.ask(CLOSE, day=yesterday))["closeDay"]
    assert (done["dayClose"]["day"], done["dayClose"]["timeZone"]) == (yesterday, ZONE)
    assert (await zhao.ask(CLOSE, day=yesterday))["closeDay"] == done
    for day in (str(today), str(today + DAY)):
        assert (await zhao.ask(CLOSE, day=day))["closeDay"] == {
            "__typename": "Refusal",
            "code": "DAY_NOT_OVER",
            "path": ["input", "day"],
        }
    shown = (await zhao.ask(CLOSES))["dayCloses"]["edges"]
    assert shown[0]["node"]["day"] == yesterday
    report = (await zhao.ask(LIABILITY, asOf=iso(utc_now())))["liabilityReport"]
    moved = sum(move["pointsIn"] - move["pointsOut"] for move in report["movements"])
    assert report["opening"] + moved == report["closing"] == report["available"] + report["pending"]
    assert (report["amount"], report["currency"]) == (None, None)
    wrong = await zhao.fail(LIABILITY, day=str(today))
    assert wrong["extensions"]["reason"] == "LIABILITY_PERIOD_INVALID"


async def test_none_of_this_is_for_customers_or_nobody(system: System, unique: str) -> None:
    lin, nobody = await system.customer(f"lin-{unique}"), system.caller(None)
    before = await state(system)
    for document, variables in (
        (ADJUSTMENTS, {}),
        (CLOSES, {}),
        (LIABILITY, {}),
        (CLOSE, {"day": "2020-01-01"}),
        (ADJUST, {"input": {"customerId": customer("x"), "points": 1, "reason": "x", "idempotencyKey": new_id()}}),
        (APPROVE, {"input": {"adjustmentId": global_id("Adjustment", new_id()), "reason": "x"}}),
        (REJECT, {"input": {"adjustmentId": global_id("Adjustment", new_id()), "reason": "x"}}),
        (EXPORT, {"input": {"format": "CSV", "customerId": customer(f"lin-{unique}"), "reason": "x"}}),
    ):
        assert (await lin.fail(document, **variables))["extensions"]["code"] == "FORBIDDEN"
        assert (await nobody.fail(document, **variables))["extensions"]["code"] == "UNAUTHENTICATED"
    assert await state(system) == before


async def fetch(system: System, caller: Caller, **wish: Any) -> Any:
    """The answer of the address that an export gives."""
    answer = (await caller.ask(EXPORT, input=wish))["exportStatement"]
    assert answer["url"].startswith(f"{system.settings.base_url}/statements/")
    return await system.http.get("/statements/" + answer["url"].rpartition("/")[2])


async def history(system: System, name: str) -> str:
    """Earned, spent on a reward whose name would be a formula and a tag, and pending."""
    database, me, now = system.edge.database, local_of(name), utc_now()
    await give(database, me, 100, now=now - 2 * DAY)
    async with database.write() as session:
        new = NewReward(name_zh="<b>券</b>", name_en='=HYPERLINK("http://evil.test","<i>Tea</i>")', price=30)
        reward = await create_reward(session, new, now=now - DAY)
        await redeem(session, customer_id=me, reward_id=reward, idempotency_key=new_id(), now=now - DAY)
    await give(database, me, 7, available_in=DAY, now=now)
    return me


async def test_a_statement_for_a_spreadsheet(system: System, unique: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given pages of two lines, then the sheet has all of them in order, its balances run, and it holds no formula."""
    monkeypatch.setattr(statement_routes, "PAGE", 2)
    lin = await system.customer(f"lin-{unique}")
    me = await history(system, f"lin-{unique}")
    answer = await fetch(system, lin, format="CSV")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    assert answer.headers["content-disposition"] == 'attachment; filename="points.csv"'
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert rows[0] == ["Booked at", "Account", "Type", "Description", "Points", "Balance"]
    assert [row[1:] for row in rows[4:-3]] == [
        ["Available", "Earned", "", "100", "100"],
        ["Available", "Redeemed", '\'=HYPERLINK("http://evil.test","<i>Tea</i>")', "-30", "70"],
        ["Pending", "Earned", "", "7", "7"],
    ]
    assert [row[1:] for row in rows[-3:]] == [
        ["Available", "Closing balance", "", "", "70"],
        ["Pending", "Closing balance", "", "", "7"],
        ["Owed", "Closing balance", "", "", "0"],
    ]
    assert me not in answer.text
    part = await fetch(system, lin, format="CSV", **{"from": iso(utc_now() - timedelta(hours=36))})
    rows = list(csv.reader(io.StringIO(part.content.decode("utf-8-sig"))))
    assert rows[1][1:] == ["Available", "Opening balance", "", "", "100"]
    assert [row[4:] for row in rows[4:-3]] == [["-30", "70"], ["7", "7"]]
    # What is booked for an instant after the end may be there before what is booked for one before it.
    late = utc_now()
    for points, hours in ((11, 0), (5, 12)):
        await give(system.edge.database, me, points, now=late - timedelta(hours=hours))
    early = await fetch(system, lin, format="CSV", to=iso(late - timedelta(hours=6)))
    rows = list(csv.reader(io.StringIO(early.content.decode("utf-8-sig"))))
    assert [row[4:] for row in rows[4:-3]] == [["100", "100"], ["-30", "70"], ["5", "75"]]
    assert [row[5] for row in rows[-3:]] == ["75", "0", "0"]


async def test_a_statement_to_print_in_both_languages(system: System, unique: str) -> None:
    lin = await system.customer(f"lin-{unique}")
    await history(system, f"lin-{unique}")
    english = await fetch(system, lin, format="HTML")
    chinese = await fetch(system, system.caller(f"lin-{unique}", "customer", language="zh"), format="HTML")
    assert "default-src 'none'" in english.headers["content-security-policy"]
    assert english.headers["cache-control"] == "private, no-store"
    for answer, words in ((english, ("Points statement", "Redeemed")), (chinese, ("积分对账单", "兑换"))):
        assert answer.status_code == 200
        assert all(word in answer.text for word in words)
        assert "<b>" not in answer.text
        assert "<i>" not in answer.text
        assert "<script" not in answer.text
        assert answer.text.endswith("</html>\n")
    assert "&lt;b&gt;券&lt;/b&gt;" in chinese.text


async def test_somebody_elses_statement_is_for_administrators_with_a_reason(system: System, unique: str) -> None:
    await system.customer(f"lin-{unique}")
    me = await history(system, f"lin-{unique}")
    zhao, whose = administrator(system), customer(f"lin-{unique}")
    bad = await zhao.fail(EXPORT, input={"format": "CSV", "customerId": whose})
    assert bad["extensions"]["reason"] == "STATEMENT_INVALID"
    answer = await fetch(system, zhao, format="CSV", customerId=whose, reason="Asked by phone")
    assert "Redeemed" in answer.text
    async with system.edge.database.read() as session:
        statement = select(AuditEntry).where(AuditEntry.subject == f"customer:{me}")
        (entry,) = (await session.exec(statement.order_by(col(AuditEntry.at)))).all()
    assert (entry.action, entry.actor, entry.reason) == ("STATEMENT_EXPORTED", "admin-zhao", "Asked by phone")


async def test_an_address_that_is_not_ours_or_over_is_nothing(system: System, unique: str) -> None:
    key, now = system.settings.statement_key.get_secret_value(), utc_now()
    order = StatementOrder(new_id(), None, now, StatementFormat.CSV, "en")
    token, expires_at = sign_order(key, order, now=now)
    assert read_order(key, token, now=now) == order
    assert expires_at - now <= LIFETIME
    assert read_order(key, token, now=now + LIFETIME + timedelta(seconds=1)) is None
    late, _ = sign_order(key, order, now=now - LIFETIME - timedelta(seconds=1))
    forged, _ = sign_order("another key", order, now=now)
    flipped = token[:10] + ("A" if token[10] != "A" else "B") + token[11:]
    for wrong in (late, forged, flipped, token[:-4], "nonsense", "积分", "x" * 500):
        answer = await system.http.get(f"/statements/{wrong}")
        assert (answer.status_code, answer.text) == (404, "Not found\n")
    assert (await system.http.get(f"/statements/{token}")).status_code == 200


async def test_the_cost_of_each(system: System, unique: str) -> None:
    lin, _ = await system.customer(f"lin-{unique}"), await system.customer(f"sun-{unique}")
    for name in ("lin", "sun"):
        for _ in range(3):
            await give(system.edge.database, local_of(f"{name}-{unique}"), 10)
    zhao, qian, sun = administrator(system), administrator(system, "qian"), customer(f"sun-{unique}")
    wish = {"customerId": sun, "points": 25, "idempotencyKey": new_id()}
    given = {"customerId": sun, "points": 25, "reason": "x", "idempotencyKey": new_id()}
    asked = [
        (await zhao.ask(ADJUST, input={**given, "points": 5_000, "idempotencyKey": new_id()}))["adjustPoints"]
        for _ in range(2)
    ]
    decisions = [{"adjustmentId": one["adjustment"]["id"], "reason": "x"} for one in asked]
    assert {
        "viewer.points": await cost(system, lin, POINTS, days=7),
        "viewer.ledger": await cost(system, lin, LEDGER),
        "transferPoints": await cost(system, lin, TRANSFER, input=wish),
        "adjustPoints": await cost(system, zhao, ADJUST, input=given),
        "approveAdjustment": await cost(system, qian, APPROVE, input=decisions[0]),
        "rejectAdjustment": await cost(system, qian, REJECT, input=decisions[1]),
        "exportStatement": await cost(system, lin, EXPORT, input={"format": "CSV"}),
    } == COSTS
