"""What a file changes is in single lists within the minute, as far as there is room: the rest is the next run's."""

from collections import Counter
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import community.recommendation_due as recommendation_due
from community.participation import MembershipRow, community_id
from community.recommendation_due import COMMUNITY_CHARTED, RECOMMENDATION_DUE
from core.clock import utc_now
from core.db import Database
from customers.profiles import customer_ids_of
from graph.client import GraphClient
from tests.community.ties import add_tag
from tests.conftest import RING, Addresses
from tests.customers.people import import_rows
from tests.worker.recommended import Town, made_town
from tests.worker.test_recommending import computed, ids_in_list, owed_of, pass_time, twice
from worker.recommendations import run_recommendations

__all__ = ["computed"]

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]


@pytest.fixture
async def town(
    stores: Addresses, graph: GraphClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Town, None]:
    """A town whose lists have just been computed, on a machine whose data folder is its own."""
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    async with made_town(stores, graph, tmp_path) as made:
        await run_recommendations(made.stores, made.folder)
        yield made


async def put(town: Town, source: str, *rows: dict[str, Any]) -> None:
    """Import rows, by a process that has the keys of what is personal."""
    database = Database(town.stores.database.url, timeout=60.0, keys=RING)
    report = await import_rows(database, town.stores.graph, source, *rows)
    await database.close()
    assert report.rejected == 0


async def people(town: Town, source: str, count: int) -> list[str]:
    """So many customers of a source, whose keys are their numbers; their ids."""
    keys = [str(number) for number in range(count)]
    await put(town, source, *({"kind": "customer", "key": key, "display_name": "客"} for key in keys))
    async with town.stores.database.read() as session:
        found = await customer_ids_of(session, source, keys)
    return [found[key] for key in keys]


def membership(who: int, **more: Any) -> dict[str, Any]:
    return {"kind": "membership", "customer": str(who), "community": "tea", **more}


TEA = {"kind": "community", "key": "tea", "name_zh": "茶社", "name_en": "Tea"}


async def test_whom_a_file_makes_members_have_new_lists(
    town: Town, monkeypatch: pytest.MonkeyPatch, unique: str, computed: Counter[str]
) -> None:
    """Given memberships of a file; then each customer has one list, and none for the same file once more."""
    customers = await people(town, unique, 3)
    rows = [TEA, *(membership(who) for who in range(3)), membership(0, weight=2.0)]
    await put(town, unique, *rows)
    await pass_time(town, monkeypatch)
    assert computed == dict.fromkeys(customers, 1)
    await put(town, unique, *rows[:3])
    await pass_time(town, monkeypatch)
    assert computed == dict.fromkeys(customers, 1)


async def test_a_file_lets_no_more_lists_wait_than_there_is_room_for(
    town: Town, monkeypatch: pytest.MonkeyPatch, unique: str, computed: Counter[str]
) -> None:
    """Given room for four lists and batches of three; then of seven customers four, and once they are done, more."""
    monkeypatch.setattr(recommendation_due, "MOST_WAITING", 4)
    monkeypatch.setattr("customers.importer.BATCH_ROWS", 3)
    await people(town, unique, 9)
    await put(town, unique, TEA)
    await put(town, unique, *(membership(who) for who in range(7)))
    assert len(await owed_of(town, RECOMMENDATION_DUE)) == 4
    await pass_time(town, monkeypatch)
    assert computed.total() == 4
    await put(town, unique, membership(7), membership(8))
    await pass_time(town, monkeypatch)
    assert computed.total() == 6


async def test_a_new_community_of_a_file_is_offered_to_whom_it_fits(
    town: Town, monkeypatch: pytest.MonkeyPatch, unique: str, computed: Counter[str]
) -> None:
    """Given a file that was begun before the last run; then its community is in the list of whom it fits, once."""
    await add_tag(town.stores.graph, town.viewer, unique)
    monkeypatch.setattr("tests.customers.people.utc_now", lambda: utc_now() - timedelta(minutes=10))
    await put(town, unique, {**TEA, "tags": [unique]})
    await twice(town, monkeypatch)
    assert community_id(unique, "tea") in (await ids_in_list(town, town.viewer))[:10]
    assert computed == {town.viewer: 1}
    await put(town, unique, {**TEA, "tags": [unique], "name_en": "Tea club"})
    await twice(town, monkeypatch)
    assert computed == {town.viewer: 1}
    assert len(await owed_of(town, COMMUNITY_CHARTED)) == 1


async def test_new_communities_of_a_file_are_offered_as_far_as_there_is_room(
    town: Town, monkeypatch: pytest.MonkeyPatch, unique: str, computed: Counter[str]
) -> None:
    """Given room for five lists, and three new communities that each fit four customers; then five lists at most."""
    monkeypatch.setattr(recommendation_due, "MOST_WAITING", 5)
    for place, customer in enumerate(town.customers):
        for letter in "abc":
            if (place + ord(letter)) % 2:
                await add_tag(town.stores.graph, customer, f"{unique}-{letter}")
    await put(town, unique, *({**TEA, "key": letter, "tags": [f"{unique}-{letter}"]} for letter in "abc"))
    await pass_time(town, monkeypatch)
    assert len(await owed_of(town, RECOMMENDATION_DUE)) == 5


@pytest.mark.parametrize("weight", ["inf", "nan", "1e400"])
def test_no_weight_is_without_end(weight: str) -> None:
    """Given a weight in a file that is no number to add; then its row is not valid."""
    with pytest.raises(ValidationError):
        MembershipRow.model_validate({"customer": "1", "community": "tea", "weight": weight})
