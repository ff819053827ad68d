"""A message to registrants is told page by page, to each of them once, whatever breaks."""

from datetime import timedelta
from typing import Any

import pytest

from community.messages import EVENT_MESSAGE, message_registrants
from community.seats import RegistrationStatus
from core.clock import utc_now
from core.db import Database
from graph.client import GraphClient
from tests.community.happenings import make_managed, put_registrations
from tests.community.places import make_customers, make_event
from tests.worker.test_event_changes import breaking, notices_of, rows_about, settle_all
from worker import handlers
from worker.work import Stores

pytestmark = pytest.mark.anyio


async def test_registrants_are_told_once_of_each_message_although_it_dies(
    graph: GraphClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given 16 registrants, pages of 5 and deaths before the commit; then each has a notice of every message."""
    monkeypatch.setattr(handlers, "PAGE", 5)
    community, manager, _ = await make_managed(graph)
    event = await make_event(graph, community)
    people = await make_customers(graph, 16)
    kinds = ["REGISTERED"] * 8 + ["OFFERED"] * 2 + ["WAITING"] * 3 + ["CANCELLED"] * 3
    for status in dict.fromkeys(kinds):
        chosen = [person for person, kind in zip(people, kinds, strict=True) if kind == status]
        await put_registrations(graph, event, chosen, status=status)
    left = breaking(EVENT_MESSAGE, 3, monkeypatch)
    names: dict[str, Any] = {
        "event_id": event,
        "text_zh": "请带伞",
        "text_en": "Bring an umbrella",
        "sender_id": manager,
    }
    now = utc_now()
    await message_registrants(graph, **names, now=now - timedelta(seconds=1))
    await message_registrants(graph, **names, statuses=[RegistrationStatus.CANCELLED], now=now)
    await settle_all(Stores(database, graph))
    assert left == [0]
    assert await notices_of(database, people) == {(person, "EVENT_MESSAGE"): 1 for person in people}
    rows = await rows_about(database, EVENT_MESSAGE, event)
    assert len(rows) == 4
    assert all(row.settled_at for row in rows)
