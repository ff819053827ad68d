"""Messages to registrants: by those who run the event, five a day under any number of writers, and audited."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest

from community.access import MemberRole
from community.messages import EVENT_MESSAGE, MessageInvalid, TooManyMessages, message_registrants
from community.seats import RegistrationStatus
from core.clock import utc_now
from core.errors import KinshipError, NotFound
from core.ids import new_id
from graph.client import GraphClient
from tests.community.happenings import make, make_managed, name_host, owed_about, stored_event
from tests.community.places import add_member, make_customers
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio


async def send(graph: GraphClient, event: str, sender: str, *, now: datetime | None = None, **more: Any) -> None:
    texts: dict[str, Any] = {"text_zh": " 请带伞 ", "text_en": "Bring an umbrella", **more}
    await message_registrants(graph, event_id=event, sender_id=sender, now=now or utc_now(), **texts)


async def test_managers_and_hosts_send_and_the_words_are_audited(graph: GraphClient) -> None:
    community, manager, host = await make_managed(graph)
    event = await make(graph, community, manager, host_ids=[host])
    await send(graph, event, manager)
    await send(graph, event, host, statuses=[RegistrationStatus.WAITING, RegistrationStatus.WAITING])
    owed = [(row["topic"], orjson.loads(row["payload"])) for row in await owed_about(graph, event)]
    messages = [payload for topic, payload in owed if topic == EVENT_MESSAGE]
    texts = {"text_zh": "请带伞", "text_en": "Bring an umbrella"}
    assert sorted(len(one["statuses"]) for one in messages) == [1, 3]
    assert all(one["data"] == {"event_id": event, "community_id": community, **texts} for one in messages)
    acts = [payload for _, payload in owed if payload.get("action") == "REGISTRANTS_MESSAGED"]
    assert {one["actor"] for one in acts} == {manager, host}
    assert all(one["subject"] == f"Event:{event}" and one["details"].items() >= texts.items() for one in acts)


async def test_refusals_owe_nothing(graph: GraphClient) -> None:
    community, manager, member = await make_managed(graph)
    gone, moderator = await make_customers(graph, 2)
    await add_member(graph, community, moderator, MemberRole.MODERATOR)
    event, draft = await make(graph, community, manager), await make(graph, community, manager, publish=False)
    await name_host(graph, event, gone)
    before = len(await owed_about(graph, event)), len(await owed_about(graph, draft))

    async def refused(kind: type[KinshipError], path: str, at: str = event, by: str = manager, **more: Any) -> None:
        with pytest.raises(kind) as caught:
            await send(graph, at, by, **more)
        assert caught.value.path == (path,)

    for intruder in (member, moderator, gone):
        await refused(NotFound, "eventId", by=intruder)
    await refused(NotFound, "eventId", at=new_id())
    await refused(NotFound, "eventId", at=draft)
    for name, path in (("text_zh", "textZh"), ("text_en", "textEn")):
        for text in ("  ", "x" * 1001, "a\0b"):
            await refused(MessageInvalid, path, **{name: text})
    await refused(MessageInvalid, "statuses", statuses=[])
    assert (len(await owed_about(graph, event)), len(await owed_about(graph, draft))) == before
    assert "messages" not in await stored_event(graph, event)


async def test_of_twelve_writers_five_are_heard_within_a_day(stores: Addresses) -> None:
    """Given twelve messages at once; then five are sent; and the next when the first is a day old."""
    async with stores.graph() as one, stores.graph() as other:
        community, manager, _ = await make_managed(one)
        event = await make(one, community, manager)
        start = utc_now()
        clients = (one, other)
        outcomes = await asyncio.gather(
            *(send(clients[index % 2], event, manager, now=start) for index in range(12)), return_exceptions=True
        )
        assert Counter(type(found).__name__ for found in outcomes) == {"NoneType": 5, "TooManyMessages": 7}
        with pytest.raises(TooManyMessages):
            await send(one, event, manager, now=start + timedelta(hours=23, minutes=59))
        await send(one, event, manager, now=start + timedelta(hours=24))
        topics = Counter(row["topic"] for row in await owed_about(one, event))
        assert topics[EVENT_MESSAGE] == 6
        assert len((await stored_event(one, event))["messages"]) == 1
