"""How many complaints of one customer may be open: exact, however many are filed at once."""

import asyncio
from collections import Counter

import pytest

from core.db import Database
from core.ids import new_id
from service.complaint_records import ComplaintChannel, ComplaintStatus, ComplaintTopic
from service.complaints import (
    NewComplaint,
    TooManyOpenComplaints,
    complaints_filed,
    file_complaint,
    reopen_complaint,
)
from tests.service.complaining import HOUR, MONDAY, act, closed, customer, filed
from tests.service.test_complaints import facts_about

pytestmark = pytest.mark.anyio


async def test_of_twelve_filed_at_once_as_many_are_as_may_be_open(pools: list[Database]) -> None:
    """Given a complaint and a limit of five, when a customer files twelve at once, then four more are filed and eight
    leave nothing behind; what is closed makes room for one, staff file beyond it, and others are not concerned."""
    person, other = new_id(), new_id()
    first = await filed(pools[0], customer_id=person, employee="sun")

    async def file(number: int) -> str:
        new = NewComplaint(person, ComplaintTopic.FEES, ComplaintChannel.APP, "Twice!", key=f"k-{number}")
        try:
            async with pools[number % len(pools)].write() as session:
                await file_complaint(session, new, employee=None, now=MONDAY)
        except TooManyOpenComplaints:
            return "REFUSED"
        return f"k-{number}"

    told = await asyncio.gather(*(file(number) for number in range(12)))
    assert Counter(one == "REFUSED" for one in told) == {False: 4, True: 8}
    assert await number_open(pools[0], person) == 5
    assert await facts_about(pools[0], person) == ["COMPLAINT_FILED"] * 5
    again = next(number for number, one in enumerate(told) if one != "REFUSED")
    assert await file(again) == f"k-{again}"
    by_phone = await filed(pools[0], customer_id=person, employee="sun")
    assert await number_open(pools[0], person) == 6
    theirs = await filed(pools[0], customer_id=other)
    for complaint in (first, theirs):
        await closed(pools[0], complaint.id, now=MONDAY + HOUR)
    assert await file(12) == "REFUSED"
    await closed(pools[0], by_phone.id, now=MONDAY + HOUR)
    assert (await file(12), await file(13)) == ("k-12", "REFUSED")
    # Opening one again is never refused: it is the same matter.
    await act(pools[0], first.id, reopen_complaint, "Again", by=customer(person), now=MONDAY + 2 * HOUR)
    assert await number_open(pools[0], person) == 6


async def number_open(database: Database, customer_id: str) -> int:
    async with database.read() as session:
        return sum(one.status != ComplaintStatus.CLOSED for one in await complaints_filed(session, customer_id))
