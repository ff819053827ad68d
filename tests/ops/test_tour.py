"""The tour: every document runs as it stands, in its order, as its persona; and what is shown of it is what runs."""

import json
import shutil
import subprocess
from collections.abc import AsyncGenerator, Generator
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from api.app import create_app
from api.auth import TokenVerifier
from api.context import Edge
from api.issuer.personas import PERSONA_BY_KEY, SERVICE_CLIENT_ID
from api.tour import AS, FOLDER, part_of, resolved, tour_documents
from core.clock import parse_instant, utc_now
from core.processes import REPOSITORY, stop
from core.settings import Settings
from ops.demonstration.load import load_demonstration
from ops.tour import Visitor, walk
from tests.conftest import Addresses, Server, migrate, start_embedded
from worker.sweeps import sweep_graph, sweep_outbox
from worker.work import Stores

pytestmark = pytest.mark.anyio


@pytest.fixture
def empty_stores(tmp_path: Path) -> Generator[Addresses, None, None]:
    """Stores of its own: the bank of the tour is the only one in them."""
    servers: list[Server] = []
    try:
        yield start_embedded(tmp_path, servers)
    finally:
        for server in servers:
            stop(server, patience=3)


class Bank:
    """The application over a small demonstration bank, with the embedded issuer, and its worker's sweeps."""

    def __init__(self, edge: Edge, http: httpx.AsyncClient) -> None:
        self.edge = edge
        self.http = http
        self.visitor = Visitor(http)
        self.shown: list[str] = []

    async def load(self, settings: Settings) -> None:
        console = Console(file=StringIO())
        database, graph = self.edge.database, self.edge.graph
        await load_demonstration(settings, database, graph, customers=120, now=utc_now(), console=console)

    async def work(self) -> None:
        stores = Stores(self.edge.database, self.edge.graph)
        await sweep_graph(stores)
        await sweep_outbox(stores)

    def show(self, step: dict[str, Any], answer: Any) -> None:
        assert "errors" not in answer, (step["name"], answer["errors"])
        self.shown.append(step["name"])


@pytest.fixture
async def bank(empty_stores: Addresses, redis_url: str, tmp_path: Path) -> AsyncGenerator[Bank, None]:
    await migrate(empty_stores)
    settings = Settings(
        _env_file=None,  # pyright: ignore[reportCallIssue] - pydantic-settings takes it at run time
        environment="test",
        public_url="http://kinship.test",
        neo4j_uri=empty_stores.neo4j_uri,
        neo4j_user=empty_stores.neo4j_user,
        neo4j_password=empty_stores.neo4j_password,  # pyright: ignore[reportArgumentType] - it is made a secret
        neo4j_database=empty_stores.neo4j_database,
        database_url=empty_stores.database_url,
        redis_url=redis_url,
        data_dir=tmp_path,
        operation_timeout_seconds=30,
    )
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url=settings.base_url, timeout=60) as http:
            app.state.verifier = TokenVerifier(settings, http)
            found = Bank(app.state.edge, http)
            await found.load(settings)
            yield found


async def test_the_whole_tour_runs_in_its_order(bank: Bank) -> None:
    """Given a fresh bank; when every document is sent as its persona; then nothing is refused and points are traced."""
    assert (await bank.http.get("/tour.json")).json() == tour_documents(), "what the explorer offers"
    answers = await walk(bank.visitor, work=bank.work, show=bank.show)

    assert bank.shown == list(answers) == [step["name"] for step in tour_documents()]
    assert refused(answers) == {}
    check_communities(answers)
    check_bank_system(answers)
    check_points(answers)
    check_event(answers)
    check_statement(answers)
    check_messages(answers)
    check_advice(answers)
    check_recommendations(answers)
    check_complaint(answers)
    check_promises(answers)
    await check_second_walk(bank, answers)


async def check_second_walk(bank: Bank, answers: dict[str, Any]) -> None:
    """Walked again, it says what has been done already instead of doing it twice: no point of hers comes or goes."""
    after = part_of(answers, "17-redeem-a-reward.redeemReward.points")
    again = await walk(bank.visitor, work=bank.work, show=bank.show)
    assert {part["code"] for part in refused(again).values()} == {"ALREADY_SIGNED_UP"}
    assert part_of(again, "17-redeem-a-reward.redeemReward.points") == after
    for name in ("08-claim-a-referral.claimReferral.referral.id", "17-redeem-a-reward.redeemReward.redemption"):
        assert part_of(again, name) == part_of(answers, name)


def refused(answers: dict[str, Any]) -> dict[str, Any]:
    """The refusals among the answers, which all documents ask for by these two fields."""
    return {
        f"{name}.{field}": part
        for name, data in answers.items()
        for field, part in data.items()
        if isinstance(part, dict) and {"code", "message"} <= part.keys()
    }


def check_messages(answers: dict[str, Any]) -> None:
    found = answers["48-messages-and-articles"]
    told = [edge["node"] for edge in found["messages"]["edges"]]
    (message,) = [one for one in told if one["category"] == "MARKETING"]
    assert (message["status"], message["reason"]) == ("SUPPRESSED", "NO_CONSENT")
    assert message["why"] == "The customer has not consented."
    articles = [edge["node"] for edge in found["contentFeed"]["edges"]]
    assert [bool(one["because"]) for one in articles] == [True, True, False]
    assert message["subject"].removeprefix("For you: ") in {one["content"]["title"] for one in articles}


def check_communities(answers: dict[str, Any]) -> None:
    recommended = answers["02-recommendations"]["viewer"]
    assert all(edge["reasons"] for edge in recommended["best"]["edges"])
    assert len(recommended["best"]["edges"]) == 3
    assert {edge["node"]["tags"][0]["key"] for edge in recommended["aboutTag"]["edges"]} == {"hiking"}
    assert all(edge["reasons"][0]["text"] for edge in recommended["best"]["edges"])
    assert part_of(answers, "03-join-a-community.joinCommunity.community.viewerRole") == "MEMBER"
    assert part_of(answers, "04-register-for-an-event.registerForEvent.registration.status") == "REGISTERED"
    found = answers["05-what-there-is"]
    assert all(len(found[name]["edges"]) for name in ("communities", "referralPrograms", "rewards"))
    assert part_of(answers, "12-my-community.viewer.communities.edges.0.node.viewerRole") == "OWNER"
    assert part_of(answers, "15-check-in.checkIn.registration.status") == "ATTENDED"


def check_bank_system(answers: dict[str, Any]) -> None:
    report = answers["10-import-report"]["importReport"]
    assert (report["accepted"], report["rejected"]) == (1, 1)
    assert [edge["node"]["field"] for edge in report["rejections"]["edges"]] == ["phone"]
    assert answers["11-record-facts"]["recordFacts"] == {"recorded": 2, "duplicates": 0}


def check_points(answers: dict[str, Any]) -> None:
    """The newcomer's verification and first event have brought 200 and 100 points, and each says why."""
    before = part_of(answers, "01-viewer.viewer.points.available")
    after = answers["16-points"]["viewer"]
    referral = after["referrals"]["edges"][0]["node"]
    assert (referral["status"], referral["referee"]["displayName"]) == ("QUALIFIED", "吴昕")
    assert {(reward["step"], reward["points"], reward["status"]) for reward in referral["rewards"]} == {
        ("verified", 200, "ISSUED"),
        ("first-event", 100, "ISSUED"),
    }
    assert after["points"] == {"available": before + 300, "pending": 0, "pendingUntil": None}

    redeemed = answers["17-redeem-a-reward"]["redeemReward"]
    assert len(redeemed["redemption"]["voucherCode"]) == 12
    assert redeemed["points"]["available"] == before + 300 - redeemed["redemption"]["points"]

    why = answers["18-where-points-come-from"]
    assert why["earned"]["cause"]["referral"]["referee"]["displayName"] == "吴昕"
    assert why["earned"]["cause"]["fact"]["kind"] == "EVENT_ATTENDED"
    assert why["spent"]["cause"]["redemption"]["reward"]["name"]
    assert sum(lot["points"] for lot in why["spent"]["lots"]) == redeemed["redemption"]["points"]
    books = answers["19-trial-balance"]["trialBalance"]
    assert (books["holds"], books["total"], books["unbalancedPostings"], books["driftedAccounts"]) == (True, 0, [], [])


def check_complaint(answers: dict[str, Any]) -> None:
    """The customer reads what was said to and by her, and of who handled it nothing."""
    read = answers["43-what-became-of-it"]["complaint"]
    assert (read["viewerIs"], read["status"], read["owner"]) == ("COMPLAINANT", "CLOSED", None)
    assert [one["title"] for one in read["entries"]] == ["Filed", "Answered", "A question to the customer", "Closed"]
    log = part_of(answers, "42-handle-a-complaint.closeComplaint.complaint.entries")
    assert [one["kind"] for one in log] == ["FILED", "TAKEN", "ANSWERED", "WAITING", "RESUMED", "CLOSED"]


def check_statement(answers: dict[str, Any]) -> None:
    """The balance after the last entry is what can be spent, the voucher is shown, and the report adds up."""
    viewer = answers["29-statement-of-points"]["viewer"]
    last = viewer["ledger"]["edges"][0]["node"]
    assert (last["posting"]["kind"], last["balanceAfter"]) == ("REDEEM", viewer["points"]["available"])
    code = part_of(answers, "17-redeem-a-reward.redeemReward.redemption.voucherCode")
    assert viewer["vouchers"]["edges"][0]["node"]["code"] == code
    trial = answers["31-try-an-earning-rule"]["simulateEarningRule"]
    assert trial["simulated"]["facts"] >= trial["simulated"]["customers"] > 0
    assert trial["simulated"]["points"] > 0
    assert not trial["cut"]
    report = answers["32-what-the-house-owes"]["liabilityReport"]
    moved = sum(one["pointsIn"] - one["pointsOut"] for one in report["movements"])
    assert report["opening"] + moved == report["closing"] == report["available"] + report["pending"] > 0
    assert sum(month["available"] + month["pending"] for month in report["months"]) == report["closing"]


def check_advice(answers: dict[str, Any]) -> None:
    """Nothing fits before the assessment; then R5 does not fit C3, the fund of R3 does, and the note says so."""
    before = answers["50-risk-questionnaire"]["suitability"]
    assert not before["suitable"] and before["reasons"][0]["code"] == "ASSESSMENT_MISSING"
    assessment = answers["51-ask-an-advisor"]["assessSuitability"]["assessment"]
    assert (assessment["riskClass"], assessment["suitability"]["productRisk"]) == ("C3", "R5")
    assert [one["code"] for one in assessment["suitability"]["reasons"]] == ["RISK_TOO_HIGH", "HORIZON"]
    assert answers["52-draft-advice"]["draftAdviceNote"]["note"]["status"] == "DRAFT"
    read = answers["54-read-the-advice"]
    (note,) = [edge["node"] for edge in read["adviceNotes"]["edges"]]
    assert note["suitability"]["suitable"] and note["publishedAt"] is not None
    assert part_of(read, "adviceThreads.edges.0.node.questions.0.answeredAt") is not None
    assert read["recommendedProducts"] == {"withheld": "NO_CONSENT", "products": []}


def check_recommendations(answers: dict[str, Any]) -> None:
    """What was dismissed is named; of few people nothing is told; and a draft was on trial beside the active policy."""
    third = part_of(answers, "02-recommendations.viewer.best.edges.2.node.id")
    dismissed = answers["60-not-this-one"]["dismissRecommendation"]
    assert dismissed["recommendedId"] == third
    total = part_of(answers, "61-how-it-is-recommended.recommendationStatistics.total")
    assert all(count in (None, 0) for count in total.values())
    draft = part_of(answers, "62-another-policy.createRecommendationPolicy.policy")
    assert (draft["status"], draft["definition"]["weights"]) == ("DRAFT", {"nearby": 0.3})
    trial = part_of(answers, "63-try-it-on-some.startRecommendationExperiment.experiment")
    assert (trial["percent"], trial["treatment"]["number"]) == (20, draft["number"])
    assert trial["control"]["number"] < draft["number"]
    ended = part_of(answers, "63-try-it-on-some.endRecommendationExperiment.experiment")
    assert ended["startedAt"] <= ended["endedAt"]


def check_promises(answers: dict[str, Any]) -> None:
    """The newcomer answers what follows from her event, and a late answer to a complaint is a break repaired."""
    assert part_of(answers, "56-answer-a-survey.submitSurvey.survey.score") == 9
    broken = part_of(answers, "57-what-went-wrong.serviceBreaks.edges.0.node")
    assert [fact["kind"] for fact in broken["evidence"]] == ["COMPLAINT_FIRST_RESPONSE_LATE"]
    assert part_of(answers, "58-repair-it.recordRecovery.serviceBreak.status") == "RECOVERED"
    kpis = part_of(answers, "59-kept-promises.programKpis")
    assert (kpis["serviceBreaks"][0]["recoveredInTime"], kpis["complaints"]["firstResponseLate"]) == (1, 1)
    assert kpis["surveys"]["answered"] == 1


def check_event(answers: dict[str, Any]) -> None:
    """The place goes to the first, then to the second, who waited; and what was made is told, found and counted."""
    event = answers["20-make-an-event"]["createEvent"]["event"]
    assert (event["status"], event["calendarUrl"]) == ("PUBLISHED", f"http://kinship.test/events/{event['id']}.ics")
    assert part_of(answers, "21-take-the-last-place.registerForEvent.registration.status") == "REGISTERED"
    waiting = part_of(answers, "22-wait-in-line.registerForEvent.registration")
    assert waiting == {"status": "WAITING", "position": 1}
    assert part_of(answers, "23-give-the-place-back.cancelRegistration.registration.status") == "CANCELLED"
    taken = part_of(answers, "24-take-the-offer.confirmRegistration.registration")
    assert taken["status"] == "REGISTERED" and taken["checkInCode"]["code"]
    new = answers["26-what-is-new"]["viewer"]
    assert [edge["node"]["__typename"] for edge in new["feed"]["edges"]][:2] == ["Post", "Event"]
    found = answers["27-search"]
    assert event["id"] in [edge["node"]["id"] for edge in found["byWords"]["edges"]]
    assert "Night photos on the Bund" in [edge["node"]["title"] for edge in found["nearby"]["edges"]]
    figures = answers["28-event-in-figures"]["eventStatistics"]
    assert (figures["seats"], figures["funnel"]["registered"], figures["funnel"]["cancelled"]) == (1, 1, 1)


def test_every_document_says_for_whom_it_is_and_what_it_shows() -> None:
    """Given the files; then each begins with a persona and two lines of words, and belongs to the tour."""
    steps = tour_documents()
    known = {*PERSONA_BY_KEY, SERVICE_CLIENT_ID}
    numbers = [step["name"].partition("-")[0] for step in steps]
    assert numbers == sorted(set(numbers))
    for step in steps:
        first, english, chinese, fourth = step["document"].splitlines()[:4]
        assert step["name"][:2].isdecimal()
        assert first == AS + step["persona"]
        assert step["persona"] in known
        assert english.startswith("# ") and english.isascii()
        assert chinese.startswith("# ") and not chinese.isascii()
        assert fourth.startswith(("query ", "mutation "))
    names = {step["name"] for step in steps}
    assert {path.stem for path in FOLDER.iterdir() if path.suffix in (".graphql", ".json")} == names


def test_variables_point_at_earlier_answers() -> None:
    """Given variables with pointers inside lists and objects; when resolved; then each is what the answer has there."""
    answers = {"01-a": {"list": [{"id": "x"}, {"id": "y"}]}}
    now = parse_instant("2026-11-24T23:30:00Z")
    pointer = {"$from": "01-a", "path": "list.1.id"}

    assert resolved({"a": pointer, "b": [{"c": pointer}, 1], "d": None}, answers, now=now) == {
        "a": "y",
        "b": [{"c": "y"}, 1],
        "d": None,
    }
    for wrong in ({"$from": "02-b", "path": "x"}, {**pointer, "path": "list.2.id"}, {**pointer, "path": "list.1.id.z"}):
        with pytest.raises(LookupError):
            resolved(wrong, answers, now=now)
    assert resolved([{"$now": "+PT1H"}, {"$now": "+PT45M"}], answers, now=now) == [
        "2026-11-25T00:30:00.000000Z",
        "2026-11-25T00:15:00.000000Z",
    ]
    for wrong in AMISS:
        with pytest.raises(ValueError, match="ahead"):
            resolved({"$now": wrong}, answers, now=now)


AMISS = ("1H", "PT1H", "+P1D", "+PT1H30M", "+PTH", "+PT1H ")
SCRIPT = """
import { resolved } from "./tour.js";
const before = Date.now();
const found = resolved({ a: [{ $now: "+PT1H" }], b: { c: { $now: "+PT45M" } }, d: null, e: "+PT1H" });
const late = Date.now() - before;
const amiss = AMISS.filter((text) => { try { resolved({ $now: text }); return true; } catch { return false; } });
const off = [found.a[0], found.b.c].map((text) => new Date(text) - before);
console.log(JSON.stringify({ off, late, amiss, rest: [found.d, found.e] }));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="nothing here runs the explorer's scripts")
def test_the_explorer_resolves_instants_alike(tmp_path: Path) -> None:
    """Given the explorer's script; when it resolves durations; then each is an instant so far ahead, or refused."""
    (tmp_path / "tour.js").write_text((REPOSITORY / "api" / "static" / "tour.js").read_text())
    (tmp_path / "texts.js").write_text("export const text = (key) => key;")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "main.js").write_text(f"const AMISS = {json.dumps(AMISS)};{SCRIPT}")
    run = subprocess.run(["node", "main.js"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    found = json.loads(run.stdout)
    assert (found["amiss"], found["rest"]) == ([], [None, "+PT1H"])
    for off, minutes in zip(found["off"], (60, 45), strict=True):
        assert 0 <= off - minutes * 60_000 <= found["late"]
