"""Complaints: who may do what, what the log keeps, and that stored deadlines are those of the log."""

import asyncio
import contextlib
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from sqlalchemy.exc import DBAPIError
from sqlmodel import col, select, update

from core.db import Database, changed_rows
from core.errors import NotFound, Refusal
from core.facts import Fact
from core.ids import new_id
from core.messages import MESSAGE_OWED
from core.outbox import Outbox
from core.principal import Role
from service.complaint_access import AccusedCannotHandle, ComplaintNotYours, Hand, Seat, hand_of, seat_of
from service.complaint_extensions import (
    ExtensionAsked,
    ExtensionByAsker,
    ExtensionNotAsked,
    ExtensionNotPossible,
    ExtensionReason,
    decide_extension,
    extend_complaint,
)
from service.complaint_hand_offs import HandOffPending, accept_hand_off, decline_hand_off, hand_off
from service.complaint_keys import open_words
from service.complaint_records import (
    ComplaintCause,
    ComplaintChannel,
    ComplaintEntry,
    ComplaintStatus,
    ComplaintTopic,
    entries_of,
)
from service.complaint_state import open_complaints_of
from service.complaints import (
    ComplaintClosed,
    ComplaintInvalid,
    ComplaintNotClosed,
    ComplaintNotWaiting,
    ComplaintTaken,
    ComplaintWaiting,
    NewComplaint,
    answer_complaint,
    assign_complaint,
    close_complaint,
    file_complaint,
    name_accused,
    reopen_complaint,
    resume_complaint,
)
from tests.customers.insight import put_tier
from tests.service.complaining import (
    DAY,
    HOUR,
    MINUTE,
    MONDAY,
    OWNER,
    act,
    answered,
    closed,
    customer,
    day_in_march,
    employee,
    filed,
    fresh,
    kinds_of,
    paused,
    recomputed,
    stored,
    taken,
)

pytestmark = pytest.mark.anyio


async def facts_about(database: Database, customer_id: str) -> list[str]:
    async with database.read() as session:
        statement = select(Fact.kind).where(Fact.customer_id == customer_id)
        return list((await session.exec(statement.order_by(col(Fact.occurred_at)))).all())


async def messages_to(database: Database, customer_id: str) -> list[dict[str, Any]]:
    async with database.read() as session:
        rows = (await session.exec(select(Outbox).where(Outbox.topic == MESSAGE_OWED))).all()
    return [row.payload for row in rows if row.payload.get("customer_id") == customer_id]


async def test_a_complaint_from_filing_to_closing(database: Database) -> None:
    """Given a VIP who complains, then it goes by the green channel, and each step moves the clocks as it should."""
    person = new_id()
    await put_tier(database, person, "VIP")
    complaint = await filed(database, customer_id=person)
    assert (complaint.level, complaint.priority, complaint.owner) == ("vip", 1, None)
    # An hour, and five days of eight hours, of which one is half over a lunch break; the law gives 15 days.
    assert complaint.first_response_due == MONDAY + HOUR
    assert complaint.solution_due == MONDAY + 4 * DAY + 9 * HOUR
    assert complaint.statutory_due == MONDAY.replace(hour=16) + 15 * DAY
    assert complaint.next_check_at == MONDAY + 48 * MINUTE

    await taken(database, complaint.id, by=employee("sun"), now=MONDAY + 10 * MINUTE)
    complaint = await answered(database, complaint.id, now=MONDAY + 30 * MINUTE)
    assert complaint.first_response_at == MONDAY + 30 * MINUTE
    # Eight hours of work: the rest of this day and half an hour of the next.
    assert complaint.update_due == MONDAY + DAY + 30 * MINUTE

    complaint = await paused(database, complaint.id, now=MONDAY + HOUR)
    assert (complaint.status, complaint.update_due, complaint.solution_due) == (ComplaintStatus.WAITING, None, None)
    assert complaint.statutory_due == MONDAY.replace(hour=16) + 15 * DAY
    said = await act(
        database, complaint.id, answer_complaint, "On Friday.", by=customer(person), now=MONDAY + DAY, is_internal=False
    )
    assert said.status == ComplaintStatus.OPEN
    # From Monday 10:00 to Tuesday 9:00 seven open hours went by.
    assert said.solution_due == MONDAY + 7 * DAY + 8 * HOUR

    over = await closed(database, complaint.id, now=MONDAY + 2 * DAY)
    assert (over.status, over.solution_due, over.statutory_due) == (ComplaintStatus.CLOSED, None, None)
    assert (over.cause, over.told_on, over.solution_minutes) == ("PROCESS", day_in_march(11), 960)
    assert over.closed_month == day_in_march(1) and over.next_check_at is None
    assert await kinds_of(database, complaint.id) == ["FILED", "TAKEN", "ANSWERED", "WAITING", "REPLIED", "CLOSED"]
    assert await facts_about(database, person) == ["COMPLAINT_FILED", "COMPLAINT_CLOSED"]
    told = await messages_to(database, person)
    assert sorted(one["template"] for one in told) == ["complaint-answered", "complaint-closed", "complaint-waiting"]
    assert {one["values"]["reference"] for one in told} == {complaint.reference}

    again = await act(
        database, complaint.id, reopen_complaint, "It came again.", by=customer(person), now=MONDAY + 3 * DAY
    )
    assert (again.owner, again.cause, again.told_on, again.closed_at) == ("sun", None, None, None)
    assert again.statutory_due == MONDAY.replace(hour=16) + 18 * DAY
    assert again.first_response_at == MONDAY + 30 * MINUTE
    assert await facts_about(database, person) == ["COMPLAINT_FILED", "COMPLAINT_CLOSED", "COMPLAINT_REOPENED"]


async def test_what_is_sent_twice_is_filed_once(database: Database) -> None:
    """Given eight tries with one key at once, then there is one complaint with one beginning."""
    person = new_id()

    async def file() -> str:
        new = NewComplaint(person, ComplaintTopic.FEES, ComplaintChannel.APP, "Twice!", key="a-key")
        async with database.write() as session:
            return (await file_complaint(session, new, employee=None, now=MONDAY)).id

    ids = await asyncio.gather(*(file() for _ in range(8)))
    assert len(set(ids)) == 1
    assert await kinds_of(database, ids[0]) == ["FILED"]
    assert await facts_about(database, person) == ["COMPLAINT_FILED"]


async def test_of_eight_who_take_it_at_once_one_does(pools: list[Database]) -> None:
    complaint = await filed(pools[0])

    async def take(number: int) -> bool:
        try:
            await taken(pools[number % 4], complaint.id, by=employee(f"e-{number}"), now=MONDAY)
        except ComplaintTaken:
            return False
        return True

    assert sum(await asyncio.gather(*(take(number) for number in range(8)))) == 1
    assert await kinds_of(pools[0], complaint.id) == ["FILED", "TAKEN"]


async def test_whoever_takes_it_owns_it_until_another_accepts(database: Database) -> None:
    complaint = await filed(database, employee="sun")
    assert complaint.owner == "sun"
    other, wrong = employee("wei"), employee("zhao")
    with pytest.raises(ComplaintTaken):
        await taken(database, complaint.id, by=other, now=MONDAY)
    with pytest.raises(ComplaintNotYours):
        await act(database, complaint.id, hand_off, "wei", None, by=other, now=MONDAY)
    asked = await act(database, complaint.id, hand_off, "wei", "Yours, I think.", by=employee("sun"), now=MONDAY)
    assert (asked.owner, asked.hand_off_to) == ("sun", "wei")
    with pytest.raises(HandOffPending):
        await act(database, complaint.id, hand_off, "zhao", None, by=employee("sun"), now=MONDAY)
    for action, more in ((accept_hand_off, ()), (decline_hand_off, (None,))):
        with pytest.raises(ComplaintNotYours):
            await act(database, complaint.id, action, *more, by=wrong, now=MONDAY)
    # It is still the first one's to answer, and not the other's.
    with pytest.raises(ComplaintNotYours):
        await act(database, complaint.id, answer_complaint, "Hello", by=other, now=MONDAY, is_internal=False)
    declined = await act(database, complaint.id, decline_hand_off, "Not mine.", by=other, now=MONDAY)
    assert (declined.owner, declined.hand_off_to) == ("sun", None)
    await act(database, complaint.id, hand_off, "wei", None, by=employee("sun"), now=MONDAY)
    accepted = await act(database, complaint.id, accept_hand_off, by=other, now=MONDAY)
    assert (accepted.owner, accepted.hand_off_to) == ("wei", None)
    with pytest.raises(ComplaintNotYours):
        await act(database, complaint.id, answer_complaint, "Hello", by=employee("sun"), now=MONDAY, is_internal=False)
    assert await facts_about(database, complaint.customer_id) == ["COMPLAINT_FILED", "HAND_OFF_DECLINED"]
    # Only an administrator takes it from its owner.
    chief = employee("he", Role.ADMINISTRATOR)
    moved = await act(database, complaint.id, assign_complaint, "zhao", by=chief, now=MONDAY)
    assert moved.owner == "zhao"


async def test_whom_it_is_about_neither_owns_nor_handles_it(database: Database) -> None:
    """Given an accused employee, then they cannot take it, be given it or asked for it, whatever their roles."""
    mine = await filed(database, employee="wu", accused="wu")
    assert mine.owner is None
    for roles in ((Role.COMPLAINTS_OFFICER,), (Role.ADMINISTRATOR,), (Role.RELATIONSHIP_MANAGER,)):
        accused = employee("wu", *roles)
        assert seat_of(mine, {"wu"}, accused, in_care=True) == Seat.ACCUSED
        with pytest.raises(ComplaintNotYours):
            await act(database, mine.id, assign_complaint, None, by=accused, now=MONDAY)
        with pytest.raises(ComplaintNotYours):
            await act(database, mine.id, answer_complaint, "No!", by=accused, now=MONDAY, is_internal=True)
        with pytest.raises(ComplaintNotYours):
            await act(database, mine.id, name_accused, "sun", by=accused, now=MONDAY)
    with pytest.raises(AccusedCannotHandle):
        await act(database, mine.id, assign_complaint, "wu", by=employee("sun"), now=MONDAY)
    await taken(database, mine.id, by=employee("sun"), now=MONDAY)
    with pytest.raises(AccusedCannotHandle):
        await act(database, mine.id, hand_off, "wu", None, by=employee("sun"), now=MONDAY)
    # Who is named later loses it, and the hand-off to them is over.
    await act(database, mine.id, hand_off, "wei", None, by=employee("sun"), now=MONDAY)
    named = await act(database, mine.id, name_accused, "wei", by=employee("zhao"), now=MONDAY)
    assert (named.owner, named.hand_off_to) == ("sun", None)
    named = await act(database, mine.id, name_accused, "sun", by=employee("zhao"), now=MONDAY)
    assert named.owner is None
    again = await act(database, mine.id, name_accused, "sun", by=employee("zhao"), now=MONDAY)
    assert again.last_number == named.last_number


async def test_who_sees_what(database: Database) -> None:
    complaint = await filed(database, employee="sun")
    person = complaint.customer_id
    assert seat_of(complaint, (), customer(person), in_care=False) == Seat.COMPLAINANT
    assert seat_of(complaint, (), customer(new_id()), in_care=False) is None
    assert seat_of(complaint, (), employee("x", Role.SERVICE), in_care=True) is None
    manager = employee("rm", Role.RELATIONSHIP_MANAGER)
    assert seat_of(complaint, (), manager, in_care=True) == Seat.MANAGER
    assert seat_of(complaint, (), manager, in_care=False) is None
    with pytest.raises(NotFound):
        hand_of(complaint, (), manager, in_care=False)
    with pytest.raises(NotFound):
        await act(database, new_id(), resume_complaint, by=OWNER, now=MONDAY)


@pytest.mark.parametrize("seat", [one for one in Seat if one != Seat.OWNER])
async def test_only_the_owner_speaks_for_the_bank(database: Database, seat: Seat) -> None:
    """Given anybody else, then nothing of what the owner does is done, and the log is as it was."""
    complaint = await filed(database, employee="sun")
    by = Hand(seat, "other", is_officer=True)
    acts: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = [
        (resume_complaint, (), {}),
        (extend_complaint, ("More time",), {"reason": ExtensionReason.COMPLEX}),
        (hand_off, ("wei", None), {}),
        (close_complaint, ("Done",), {"cause": ComplaintCause.OTHER, "told_on": day_in_march(9)}),
    ]
    for action, given_, more in acts:
        with pytest.raises(ComplaintNotYours):
            await act(database, complaint.id, action, *given_, by=by, now=MONDAY, **more)
    with pytest.raises(ComplaintNotYours):
        await paused(database, complaint.id, by=by, now=MONDAY)
    if seat != Seat.COMPLAINANT:
        with pytest.raises(ComplaintNotYours):
            await answered(database, complaint.id, by=by, now=MONDAY)
    assert await kinds_of(database, complaint.id) == ["FILED", "TAKEN"]


async def test_an_extension_takes_two_people(database: Database) -> None:
    """Given 15 days, then a second person makes 30 of them and 60, and nobody more."""
    complaint = await filed(database, employee="sun")
    first = complaint.statutory_due
    assert first is not None
    for number, days in ((1, 30), (2, 60)):
        now = MONDAY + number * DAY
        with pytest.raises(ExtensionNotAsked):
            await act(database, complaint.id, decide_extension, by=employee("wei"), now=now, is_granted=True)
        asked = await act(
            database, complaint.id, extend_complaint, "An expert.", by=OWNER, now=now, reason=ExtensionReason.COMPLEX
        )
        assert asked.extension_asked_by == "sun"
        with pytest.raises(ExtensionAsked):
            await act(
                database, complaint.id, extend_complaint, "Now!", by=OWNER, now=now, reason=ExtensionReason.COMPLEX
            )
        with pytest.raises(ExtensionByAsker):
            await act(database, complaint.id, decide_extension, by=OWNER, now=now, is_granted=True)
        refused = await act(database, complaint.id, decide_extension, by=employee("wei"), now=now, is_granted=False)
        assert refused.statutory_due == asked.statutory_due and refused.extension_asked_by is None
        await act(database, complaint.id, extend_complaint, "Please.", by=OWNER, now=now, reason=ExtensionReason.LEGAL)
        granted = await act(database, complaint.id, decide_extension, by=employee("wei"), now=now, is_granted=True)
        assert granted.statutory_due == first + (days - 15) * DAY
    with pytest.raises(ExtensionNotPossible):
        await act(
            database, complaint.id, extend_complaint, "More.", by=OWNER, now=MONDAY + 3 * DAY,
            reason=ExtensionReason.OTHER,
        )  # fmt: skip
    told = await messages_to(database, complaint.customer_id)
    assert sorted(one["values"]["until"] for one in told) == ["2026-04-08", "2026-05-08"]
    late = await filed(database, employee="sun")
    with pytest.raises(ExtensionNotPossible):
        await act(
            database, late.id, extend_complaint, "Late.", by=OWNER, now=MONDAY + 16 * DAY, reason=ExtensionReason.OTHER
        )


async def test_what_cannot_be_said_or_done_now_is_refused(database: Database) -> None:
    complaint = await filed(database, employee="sun")
    with pytest.raises(ComplaintNotWaiting):
        await act(database, complaint.id, resume_complaint, by=OWNER, now=MONDAY)
    with pytest.raises(ComplaintNotClosed):
        await act(database, complaint.id, reopen_complaint, "Again", by=OWNER, now=MONDAY)
    await paused(database, complaint.id, now=MONDAY)
    with pytest.raises(ComplaintWaiting):
        await paused(database, complaint.id, now=MONDAY)
    for words in ("", " ", "\0", "x" * 4_001):
        with pytest.raises(ComplaintInvalid):
            await act(database, complaint.id, answer_complaint, words, by=OWNER, now=MONDAY, is_internal=False)
    for day in (8, 10):
        with pytest.raises(ComplaintInvalid):
            await act(
                database, complaint.id, close_complaint, "Done", by=OWNER, now=MONDAY,
                cause=ComplaintCause.OTHER, told_on=day_in_march(day),
            )  # fmt: skip
    await closed(database, complaint.id, now=MONDAY)
    with pytest.raises(ComplaintClosed):
        await answered(database, complaint.id, now=MONDAY)
    with pytest.raises(ComplaintClosed):
        await act(database, complaint.id, hand_off, "wei", None, by=OWNER, now=MONDAY)
    with pytest.raises(ComplaintClosed):
        await act(database, complaint.id, answer_complaint, "x", by=customer(complaint.customer_id), now=MONDAY,
                  is_internal=False)  # fmt: skip


async def test_what_outlives_the_customer_has_no_words(database: Database) -> None:
    """Given words where a product's code or an employee's id belongs, then nothing is filed; codes and ids are."""
    person, said = new_id(), "Mrs Lin of 5 West Street"
    for words in (said, "林女士", "", "x" * 101):
        with pytest.raises(ComplaintInvalid) as of_product:
            await filed(database, customer_id=person, product=words)
        with pytest.raises(ComplaintInvalid) as of_accused:
            await filed(database, customer_id=person, accused=words)
        assert (of_product.value.path, of_accused.value.path) == (("product",), ("accusedEmployeeId",))
    assert await facts_about(database, person) == []
    taken = await filed(database, customer_id=person, product=" FUND.A_1:b-2 ", accused="auth0|wei@bank.example")
    assert taken.product == "FUND.A_1:b-2"


async def test_what_was_said_is_sealed_and_what_happened_stays(database: Database) -> None:
    """Given words of a person, then no table shows them, they open by the complaint's key, and the log stands fast."""
    complaint = await filed(database, words="My name is Lin and you charged me twice.")
    async with database.read() as session:
        (entry,) = (await entries_of(session, [complaint.id]))[complaint.id]
        assert entry.words is not None and "Lin" not in entry.words
        assert await open_words(session, [entry]) == {(complaint.id, 1): "My name is Lin and you charged me twice."}
    mine = update(ComplaintEntry).where(col(ComplaintEntry.complaint_id) == complaint.id)
    for values in ({"kind": "NOTED"}, {"at": MONDAY}, {"number": 7}):
        with pytest.raises(DBAPIError, match="append-only"):
            async with database.write() as session:
                await changed_rows(session, mine.values(**values))
    async with database.write() as session:
        await changed_rows(session, mine.values(words=None))


ACTS = ["answer", "note", "pause", "resume", "reply", "close", "reopen", "extend", "grant", "take"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    some.lists(some.tuples(some.sampled_from(ACTS), some.integers(0, 6_000)), max_size=10),
    some.integers(0, 20_000),
)
async def test_stored_deadlines_are_those_of_the_log(
    database: Database, acts: list[tuple[str, int]], start: int
) -> None:
    """Given whatever acts, some of them refused, then what is stored is what the log gives."""
    now = MONDAY + start * MINUTE
    complaint = await filed(database, employee="sun", now=now)
    person = customer(complaint.customer_id)
    for name, minutes in acts:
        now += minutes * MINUTE
        is_done = False
        with contextlib.suppress(Refusal):
            await one_act(database, complaint.id, name, person, now)
            is_done = True
        after = await fresh(database, complaint.id)
        async with database.read() as session:
            assert [stored(after)] == await recomputed(session, [after])
        assert not is_done or after.next_check_at is None or after.next_check_at > now


async def one_act(database: Database, complaint_id: str, name: str, person: Any, now: datetime) -> None:
    match name:
        case "answer":
            await answered(database, complaint_id, now=now)
        case "note":
            await act(database, complaint_id, answer_complaint, "Hm.", by=OWNER, now=now, is_internal=True)
        case "pause":
            await paused(database, complaint_id, now=now)
        case "resume":
            await act(database, complaint_id, resume_complaint, by=OWNER, now=now)
        case "reply":
            await act(database, complaint_id, answer_complaint, "So.", by=person, now=now, is_internal=False)
        case "close":
            await closed(database, complaint_id, now=now)
        case "reopen":
            await act(database, complaint_id, reopen_complaint, "Again.", by=person, now=now)
        case "extend":
            await act(
                database, complaint_id, extend_complaint, "Why.", by=OWNER, now=now, reason=ExtensionReason.COMPLEX
            )
        case "grant":
            await act(database, complaint_id, decide_extension, by=employee("wei"), now=now, is_granted=True)
        case _:
            await act(database, complaint_id, assign_complaint, None, by=employee("sun"), now=now)


async def test_who_has_an_open_complaint(database: Database) -> None:
    """Given complaints of ours and imported ones, then those count that were filed or opened again and not closed."""
    mine, over, again, imported, done, nobody = (new_id() for _ in range(6))
    await filed(database, customer_id=mine, employee="sun")
    for person in (over, again):
        complaint = await filed(database, customer_id=person, employee="sun")
        await closed(database, complaint.id, now=MONDAY + HOUR)
    await act(database, complaint.id, reopen_complaint, "Again", by=customer(again), now=MONDAY + HOUR)
    for person, kinds in ((imported, ["COMPLAINT_FILED"]), (done, ["COMPLAINT_FILED", "COMPLAINT_CLOSED"])):
        for kind in kinds:
            async with database.write() as session:
                session.add(
                    Fact(
                        id=new_id(),
                        source="crm",
                        key=new_id(),
                        kind=kind,
                        customer_id=person,
                        occurred_at=MONDAY,
                        recorded_at=MONDAY,
                        payload={"complaint": "c-1"},
                    )
                )
    async with database.read() as session:
        found = await open_complaints_of(session, [mine, over, again, imported, done, nobody])
        assert await open_complaints_of(session, []) == set()
    assert found == {mine, again, imported}
