"""Greetings of people who move: they go by the clock of where a person is by then, whichever way they went."""

from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from core.db import Database
from service.care_kinds import CareKind
from service.care_occasions import CareOccasion
from service.message_preferences import NewWishes, set_wishes
from tests.conftest import Addresses
from tests.customers.insight import make_people
from tests.databases import own_database
from tests.service.caring import DAY, ZONE, allow, care, nine, occasions, put_dates, solar

pytestmark = pytest.mark.anyio

# A Thursday without festivals around it.
BORN = date(2026, 6, 11)
BEFORE = nine(BORN) - 3 * DAY
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)


@pytest.mark.parametrize(
    ("home", "new"),
    [
        (None, "Pacific/Auckland"),
        ("America/Los_Angeles", ZONE),
        (ZONE, "Pacific/Auckland"),
        ("Pacific/Pago_Pago", "Pacific/Kiritimati"),
        (ZONE, "America/New_York"),
    ],
)
async def test_who_moves_while_a_day_is_planned_is_greeted_at_nine_there(
    stores: Addresses, tmp_path: Path, home: str | None, new: str
) -> None:
    """Given a birthday that is planned, when a zone is set for the first time or anew, then it is greeted at its nine.

    What was decided before stays, and nobody else's hour is another.
    """
    async with own_database(stores, tmp_path) as database:
        one, other = await make_people(database, 2)
        await allow(database, one, other)
        await live_in(database, one, home)
        await put_dates(database, *((who, CareKind.BIRTHDAY, solar(6, 11)) for who in (one, other)))
        await put_dates(database, (one, CareKind.WITH_BANK, solar(6, 8)))
        await care(database, BEFORE + 12 * HOUR)
        decided = [row for row in await occasions(database) if row.status != "PLANNED"]
        await live_in(database, one, new)
        found: dict[str, datetime] = {}
        for at in sorted({nine(BORN), nine(BORN, home or ZONE), nine(BORN, new), nine(BORN, new) - SECOND}):
            await care(database, at)
            found |= {row.customer_id: at for row in await owed_for(database, BORN) if row.customer_id not in found}
        assert found == {one: nine(BORN, new), other: nine(BORN)}
        rows = {row.id: row for row in await occasions(database)}
        assert [(rows[one.id].status, rows[one.id].due_at) for one in decided] == [
            (one.status, one.due_at) for one in decided
        ]


async def live_in(database: Database, customer_id: str, zone: str | None) -> None:
    if zone is not None:
        async with database.write() as session:
            await set_wishes(session, customer_id, NewWishes({}, time_zone=zone), now=BEFORE)


async def owed_for(database: Database, day: date) -> list[CareOccasion]:
    return [row for row in await occasions(database) if (row.on_day, row.status) == (day, "OWED")]
