"""Advice over HTTP: asked, drafted unseen, refused where the product does not fit, published, told and read."""

import asyncio
from typing import Any

import pytest
from sqlmodel import col, select

from api.relay import global_id
from core.db import Database
from core.ids import new_id
from core.outbox import Outbox
from service.advice import MOST_OPEN, MOST_WAITING, AdviceQuestion, AdviceThread
from service.advice_notes import AdviceNote
from service.messages import Message, message_id_of
from service.suitability import ProductRisk, RiskClass
from tests.api.conftest import Caller, System
from tests.api.test_alerts import manager_of, nodes
from tests.api.test_denials import state
from tests.api.test_needs import own_customer
from tests.api.test_round_trips import cost
from tests.service.suiting import assess_one, rate

pytestmark = pytest.mark.anyio

ASK = """
mutation($text: String!, $thread: ID, $product: String) {
  askAdvisor(input: {text: $text, threadId: $thread, productCode: $product}) {
    __typename
    ... on AskAdvisorSuccess {
      thread { id productCode waitingSince questions { id text answeredAt } customer { displayName } }
    }
    ... on Refusal { code path }
  }
}
"""
THREADS = """
query($customerId: ID, $waitingOnly: Boolean! = false) {
  adviceThreads(customerId: $customerId, waitingOnly: $waitingOnly) {
    edges { node { id waitingSince questions { text answeredAt } product { name } } }
  }
}
"""
THREAD = "query($id: ID!) { adviceThread(id: $id) { questions { text } } }"
NOTE = """
fragment Note on AdviceNote {
  id status threadId productCode rationale draftedBy draftedAt publishedBy publishedAt
  suitability { suitable riskClass productRisk ratingVersion reasons { code } }
}
"""
DRAFT = (
    """
mutation($thread: ID, $customer: ID, $note: ID, $product: String!, $rationale: String!) {
  draftAdviceNote(input: {
    threadId: $thread, customerId: $customer, noteId: $note, productCode: $product, rationale: $rationale
  }) {
    __typename ... on DraftAdviceNoteSuccess { note { ...Note } } ... on Refusal { code path }
  }
}
"""
    + NOTE
)
PUBLISH = (
    """
mutation($id: ID!) {
  publishAdviceNote(input: {noteId: $id}) {
    __typename ... on PublishAdviceNoteSuccess { note { ...Note } } ... on Refusal { code path message }
  }
}
"""
    + NOTE
)
NOTES = (
    """
query($customerId: ID, $threadId: ID) {
  adviceNotes(customerId: $customerId, threadId: $threadId) { edges { node { ...Note } } }
}
"""
    + NOTE
)
NODE = "query($id: ID!) { node(id: $id) { __typename ... on AdviceNote { rationale } } }"
BREAK = """
mutation($id: ID!) { breakGlass(input: {customerId: $id, reason: "Colleague is ill"}) { __typename } }
"""
EXPORT = "query($id: ID!) { exportCustomer(customerId: $id) }"
TASKS = "query($status: TaskStatus! = OPEN) { tasks(status: $status) { edges { node { kind } } } }"
COSTS = {
    "askAdvisor": (1, 12),
    "askAdvisor again": (1, 11),
    "draftAdviceNote": (1, 11),
    "publishAdviceNote": (1, 19),
    "adviceThreads": (0, 4),
    "adviceNotes": (0, 3),
    "adviceNotes of staff": (1, 4),
}


async def asked(lin: Caller, text: str = "Shall I buy it?", **given: Any) -> str:
    return (await lin.ask(ASK, text=text, **given))["askAdvisor"]["thread"]["id"]


async def drafted(manager: Caller, product: str, **about: Any) -> str:
    answer = await manager.ask(DRAFT, product=product, rationale="It fits your plans.", **about)
    return answer["draftAdviceNote"]["note"]["id"]


async def tasks_of(manager: Caller, status: str = "OPEN") -> list[str]:
    return [one["kind"] for one in nodes(await manager.ask(TASKS, status=status), "tasks") if one["kind"] == "ADVICE"]


async def messages_about(database: Database, note: AdviceNote) -> list[Message]:
    async with database.read() as session:
        found = await session.get(Message, message_id_of(f"advice:{note.id}"))
        return [] if found is None else [found]


async def note_rows(database: Database, customer_id: str) -> list[AdviceNote]:
    async with database.read() as session:
        mine = select(AdviceNote).where(AdviceNote.customer_id == customer_id)
        return list((await session.exec(mine.order_by(col(AdviceNote.drafted_at)))).all())


async def test_from_the_question_to_the_note(system: System, unique: str) -> None:
    lin, me = await own_customer(system, unique)
    manager, database = manager_of(system, unique), system.edge.database
    safe, risky = f"S-{unique}", f"R-{unique}"
    await rate(database, safe, ProductRisk.R2)
    await rate(database, risky, ProductRisk.R5)
    await assess_one(database, me, RiskClass.C3)
    thread = await asked(lin, "My daughter Anna begins to study in 2028. What fits?", product=safe)
    await system.work()
    assert await tasks_of(manager) == ["ADVICE"]
    (seen,) = nodes(await manager.ask(THREADS, waitingOnly=True), "adviceThreads")
    assert (seen["id"], seen["questions"][0]["text"][:17], seen["product"]) == (
        thread,
        "My daughter Anna ",
        {"name": "Fund"},
    )

    # Words about a person are sealed, and stand in no other table.
    async with database.read() as session:
        (row,) = (await session.exec(select(AdviceQuestion).where(AdviceQuestion.customer_id == me))).all()
        owed = (await session.exec(select(Outbox).where(col(Outbox.key).contains(row.id)))).all()
    assert "Anna" not in row.sealed_text and "Anna" not in str([one.payload for one in owed])

    draft = await manager.ask(DRAFT, product=risky, rationale="It may gain a lot.", thread=thread)
    note = draft["draftAdviceNote"]["note"]
    assert (note["status"], note["draftedBy"], note["publishedAt"]) == ("DRAFT", f"rm-{unique}", None)
    assert note["suitability"] == {
        "suitable": False,
        "riskClass": "C3",
        "productRisk": "R5",
        "ratingVersion": 1,
        "reasons": [{"code": "RISK_TOO_HIGH"}],
    }
    # A draft is invisible to the customer, by whatever way.
    assert (
        nodes(await lin.ask(NOTES), "adviceNotes") == nodes(await lin.ask(NOTES, threadId=thread), "adviceNotes") == []
    )
    assert (await lin.ask(NODE, id=note["id"]))["node"] is None
    export = (await lin.ask(EXPORT, id=global_id("Customer", me)))["exportCustomer"]
    assert export["advice"][0]["notes"] == [] and "Anna" in export["advice"][0]["questions"][0]["text"]
    assert "It may gain a lot" not in str(export) and note["id"] not in str(export)

    refused = (await manager.ask(PUBLISH, id=note["id"]))["publishAdviceNote"]
    assert (refused["code"], refused["path"]) == ("PRODUCT_UNSUITABLE", ["input", "noteId"])
    assert "RISK_TOO_HIGH" in refused["message"]
    (kept,) = await note_rows(database, me)
    assert (kept.status, kept.snapshot, await messages_about(database, kept)) == ("DRAFT", None, [])
    assert await tasks_of(manager) == ["ADVICE"]

    again = await manager.ask(DRAFT, product=safe, rationale="Steady, and back in a month.", note=note["id"])
    assert again["draftAdviceNote"]["note"]["suitability"]["suitable"] is True
    published = (await manager.ask(PUBLISH, id=note["id"]))["publishAdviceNote"]["note"]
    assert (published["status"], published["publishedBy"]) == ("PUBLISHED", f"rm-{unique}")
    await system.work()
    assert (await tasks_of(manager), await tasks_of(manager, "DONE")) == ([], ["ADVICE"])
    (kept,) = await note_rows(database, me)
    (message,) = await messages_about(database, kept)
    assert (message.category, message.template, message.customer_id) == ("SERVICE", "advice_published", me)
    assert (message.status, message.words) == ("SENT", {})

    # The check stays as it was when it was published, whatever becomes of the product.
    await rate(database, safe, ProductRisk.R5)
    (read,) = nodes(await lin.ask(NOTES), "adviceNotes")
    assert (read["rationale"], read["draftedBy"], read["draftedAt"]) == ("Steady, and back in a month.", None, None)
    assert (read["suitability"]["suitable"], read["suitability"]["productRisk"]) == (True, "R2")
    assert (await lin.ask(NODE, id=note["id"]))["node"]["rationale"] == read["rationale"]
    (answered,) = nodes(await lin.ask(THREADS), "adviceThreads")
    assert answered["waitingSince"] is None and answered["questions"][0]["answeredAt"] is not None
    for document, given in (
        (PUBLISH, {"id": note["id"]}),
        (DRAFT, {"note": note["id"], "product": safe, "rationale": "x"}),
    ):
        ((_, answer),) = (await manager.ask(document, **given)).items()
        assert answer["code"] == "ADVICE_NOTE_PUBLISHED"
    export = (await lin.ask(EXPORT, id=global_id("Customer", me)))["exportCustomer"]
    assert export["advice"][0]["notes"][0]["rationale"] == read["rationale"]


async def test_of_two_who_publish_at_once_one_does(system: System, unique: str) -> None:
    lin, me = await own_customer(system, unique)
    await rate(system.edge.database, f"S-{unique}", ProductRisk.R1)
    await assess_one(system.edge.database, me, RiskClass.C3)
    note = await drafted(manager_of(system, unique), f"S-{unique}", thread=await asked(lin))
    callers = [manager_of(system, unique) for _ in range(6)]
    answers = await asyncio.gather(*(one.ask(PUBLISH, id=note) for one in callers))
    codes = sorted(one["publishAdviceNote"].get("code", "DONE") for one in answers)
    assert codes == ["ADVICE_NOTE_PUBLISHED"] * 5 + ["DONE"]


async def test_others_see_and_do_nothing(system: System, unique: str) -> None:
    """Given a thread with a draft and a note, then for others they are as if absent, and nothing has changed."""
    lin, me = await own_customer(system, unique)
    manager, database = manager_of(system, unique), system.edge.database
    await rate(database, f"S-{unique}", ProductRisk.R1)
    await assess_one(database, me, RiskClass.C3)
    thread = await asked(lin)
    published, draft = [await drafted(manager, f"S-{unique}", thread=thread) for _ in range(2)]
    await manager.ask(PUBLISH, id=published)
    other, stranger = system.caller(f"o-{unique}", "relationship_manager"), await system.customer(f"s-{unique}")
    absent, customer = global_id("AdviceNote", new_id()), global_id("Customer", me)
    before, rows = await state(system), await note_rows(database, me)
    good = {"product": f"S-{unique}", "rationale": "x"}
    for which in (draft, published, absent):
        for document, given in ((PUBLISH, {"id": which}), (DRAFT, {"note": which} | good)):
            ((_, answer),) = (await other.ask(document, **given)).items()
            assert answer["code"] == "NOT_FOUND" and answer["path"] == ["input", "noteId"]
            assert (await stranger.fail(document, **given))["extensions"]["code"] == "FORBIDDEN"
            assert (await lin.fail(document, **given))["extensions"]["code"] == "FORBIDDEN"
        for caller in (other, stranger):
            assert (await caller.ask(NODE, id=which))["node"] is None
    for which in (thread, global_id("AdviceThread", new_id())):
        answer = (await other.ask(DRAFT, thread=which, **good))["draftAdviceNote"]
        assert (answer["code"], answer["path"]) == ("NOT_FOUND", ["input", "threadId"])
        answer = (await stranger.ask(ASK, text="And I?", thread=which))["askAdvisor"]
        assert (answer["code"], answer["path"]) == ("NOT_FOUND", ["input", "threadId"])
        for caller in (other, stranger):
            assert (await caller.ask(THREAD, id=which))["adviceThread"] is None
            assert (await caller.ask(NODE, id=which))["node"] is None
    for who in (customer, global_id("Customer", new_id())):
        answer = (await other.ask(DRAFT, customer=who, **good))["draftAdviceNote"]
        assert (answer["code"], answer["path"]) == ("NOT_FOUND", ["input", "customerId"])
        for document in (THREADS, NOTES):
            for caller in (other, stranger):
                assert (await caller.fail(document, customerId=who))["extensions"]["code"] == "NOT_FOUND"
    for caller in (other, stranger):
        assert nodes(await caller.ask(THREADS), "adviceThreads") == nodes(await caller.ask(NOTES), "adviceNotes") == []
        assert nodes(await caller.ask(NOTES, threadId=thread), "adviceNotes") == []
    assert (await state(system), await note_rows(database, me)) == (before, rows)

    # Whoever breaks the glass has access for a time.
    await other.ask(BREAK, id=customer)
    assert len(nodes(await other.ask(NOTES, customerId=customer), "adviceNotes")) == 2
    assert (await other.ask(THREAD, id=thread))["adviceThread"]["questions"] == [{"text": "Shall I buy it?"}]


async def test_a_manager_advises_who_has_not_asked(system: System, unique: str) -> None:
    lin, me = await own_customer(system, unique)
    manager, customer = manager_of(system, unique), global_id("Customer", me)
    await rate(system.edge.database, f"S-{unique}", ProductRisk.R1)
    note = await drafted(manager, f"S-{unique}", customer=customer)
    # Nothing is known of the customer: it does not fit.
    assert (await manager.ask(PUBLISH, id=note))["publishAdviceNote"]["code"] == "PRODUCT_UNSUITABLE"
    await assess_one(system.edge.database, me, RiskClass.C1)
    assert (await manager.ask(PUBLISH, id=note))["publishAdviceNote"]["note"]["status"] == "PUBLISHED"
    (read,) = nodes(await lin.ask(NOTES), "adviceNotes")
    follow_up = await lin.ask(ASK, text="And the costs?", thread=read["threadId"])
    assert follow_up["askAdvisor"]["thread"]["questions"][0]["text"] == "And the costs?"
    good = {"product": f"S-{unique}", "rationale": "x"}
    for about in ({}, {"customer": customer, "note": note}):
        error = await manager.fail(DRAFT, **about, **good)
        assert error["extensions"]["reason"] == "ADVICE_DRAFT_INVALID"


async def test_limits_of_texts_and_of_what_waits(system: System, unique: str) -> None:
    lin, me = await own_customer(system, unique)
    manager, database = manager_of(system, unique), system.edge.database
    for text in ("", "  ", "x" * 2_001):
        answer = (await lin.ask(ASK, text=text))["askAdvisor"]
        assert (answer["code"], answer["path"]) == ("QUESTION_INVALID", ["input", "text"])
    thread = await asked(lin, "x" * 2_000)
    for text in ("", "x" * 5_001):
        answer = await manager.ask(DRAFT, product="P", rationale=text, thread=thread)
        assert answer["draftAdviceNote"]["code"] == "RATIONALE_INVALID"
    for _ in range(MOST_WAITING - 1):
        await asked(lin, thread=thread)
    assert (await lin.ask(ASK, text="And?", thread=thread))["askAdvisor"]["code"] == "QUESTIONS_WAITING"
    for _ in range(MOST_OPEN - 1):
        await asked(lin)
    assert (await lin.ask(ASK, text="And?"))["askAdvisor"]["code"] == "QUESTIONS_WAITING"
    async with database.read() as session:
        mine = select(AdviceThread.id).where(AdviceThread.customer_id == me)
        assert len((await session.exec(mine)).all()) == MOST_OPEN


async def test_what_it_costs(system: System, unique: str) -> None:
    """Given three threads with notes, then a list costs what it costs for one."""
    lin, me = await own_customer(system, unique)
    manager = manager_of(system, unique)
    await rate(system.edge.database, f"S-{unique}", ProductRisk.R1)
    await assess_one(system.edge.database, me, RiskClass.C3)
    measured: dict[str, tuple[int, int]] = {}
    for _ in range(3):
        measured["askAdvisor"] = await cost(system, lin, ASK, text="Shall I?", product=f"S-{unique}")
    for thread in nodes(await lin.ask(THREADS), "adviceThreads"):
        about = {"thread": thread["id"], "product": f"S-{unique}"}
        measured["draftAdviceNote"] = await cost(system, manager, DRAFT, rationale="It fits.", **about)
        note = nodes(await manager.ask(NOTES, threadId=thread["id"]), "adviceNotes")[0]["id"]
        measured["publishAdviceNote"] = await cost(system, manager, PUBLISH, id=note)
        measured["askAdvisor again"] = await cost(system, lin, ASK, text="Sure?", thread=thread["id"])
        await drafted(manager, **about)
    measured["adviceThreads"] = await cost(system, lin, THREADS)
    measured["adviceNotes"] = await cost(system, lin, NOTES)
    measured["adviceNotes of staff"] = await cost(system, manager, NOTES)
    assert len(nodes(await manager.ask(NOTES), "adviceNotes")) == 6
    assert measured == COSTS
