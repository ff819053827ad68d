"""The demonstration bank: the same for the same seed, valid, plausible in its shapes, and loaded to its end."""

import json
from collections import Counter
from collections.abc import Generator
from datetime import date, datetime
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pytest
from rich.console import Console

import ops.demonstration.load as load
from core.clock import utc_now
from core.db import Database
from core.importing import ImportRow, RawRow, validate
from core.processes import stop
from core.settings import Settings
from customers.importer import all_kinds
from customers.profiles import SIGN_IN, customer_id_of
from graph.client import GraphClient
from loyalty.ledger import AccountKind, balances
from loyalty.trial_balance import trial_balance
from ops.demonstration.bank import Bank
from ops.demonstration.forest import DEEPEST
from tests.conftest import Addresses, Server, migrate, start_embedded

pytestmark = pytest.mark.anyio

TODAY = date(2026, 11, 24)
Row = dict[str, Any]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return list(Bank(1_500, TODAY).rows())


def of_kind(rows: list[Row], kind: str) -> list[Row]:
    return [row for row in rows if row["kind"] == kind]


def referrers(rows: list[Row]) -> dict[str, str]:
    return {row["referee"]: row["referrer"] for row in of_kind(rows, "referral")}


def line_above(customer: str, above: dict[str, str]) -> list[str]:
    """The customer, the referrer, the referrer's, and so on."""
    line = [customer]
    while line[-1] in above:
        line.append(above[line[-1]])
        assert len(line) <= len(above) + 1, "a cycle"
    return line


def test_one_seed_gives_the_same_bytes_and_another_gives_others() -> None:
    """Given a seed and a day; when a bank is made twice; then byte for byte the same, and not for another seed."""
    first, again, other = (b"".join(map(orjson.dumps, Bank(60, TODAY, seed).rows())) for seed in (7, 7, 8))

    assert first == again
    assert first != other


def test_rows_stream_so_that_a_large_bank_begins_at_once() -> None:
    """Given a bank of two hundred thousand; when its first rows are asked for; then it makes no more than those."""
    bank = Bank(200_000, TODAY)

    assert [row["kind"] for row in islice(bank.rows(), 3)] == ["tag"] * 3


def test_every_row_is_valid_for_the_import(rows: list[Row]) -> None:
    """Given all rows; when validated as the import does; then none is rejected."""
    kinds = all_kinds()
    for number, row in enumerate(rows, start=1):
        found = validate(kinds, RawRow(number, row["kind"], {name: row[name] for name in row if name != "kind"}))
        assert isinstance(found, ImportRow), (found, row)


def test_rows_come_after_the_rows_that_they_name(rows: list[Row]) -> None:
    """Given all rows in their order; then whatever a row names was told before."""
    told: dict[str, set[str]] = {"tag": set(), "customer": set(), "community": set(), "event": set()}
    names = {"referrer": "customer", "referee": "customer", "other": "customer"}
    for row in rows:
        for field in ("customer", "referrer", "referee", "other", "community", "event", "tag"):
            if field in row:
                assert row[field] in told[names.get(field, field)], row
        if row["kind"] in told:
            told[row["kind"]].add(row["key"])


def test_referrals_are_a_forest_of_limited_depth_and_skewed_fan_out(rows: list[Row]) -> None:
    """Given the referrals; then one referrer each, no cycle, depth up to six, and few who refer many."""
    above = referrers(rows)
    depths = Counter(len(line_above(customer, above)) - 1 for customer in above)
    fans = sorted(Counter(above.values()).values(), reverse=True)

    assert len(above) == len(of_kind(rows, "referral"))
    assert 4 <= max(depths) <= DEEPEST
    assert sum(fans[: len(fans) // 5]) > sum(fans) * 0.4
    assert fans[0] >= 8
    assert fans[-1] == 1


def test_nobody_refers_before_being_a_customer(rows: list[Row]) -> None:
    """Given the referrals; then the referrer was a customer by then, and the referee became one no earlier."""
    since = {row["key"]: datetime.fromisoformat(row["customer_since"]) for row in of_kind(rows, "customer")}
    for row in of_kind(rows, "referral"):
        at = datetime.fromisoformat(row["occurred_at"])
        assert since[row["referrer"]].date() <= at.date()
        assert at <= since[row["referee"]]


def test_memberships_are_five_to_six_a_customer_and_skewed(rows: list[Row]) -> None:
    """Given the memberships; then five to six each, no pair twice, and the most popular have many times the least."""
    pairs = [(row["customer"], row["community"]) for row in of_kind(rows, "membership")]
    sizes = sorted(Counter(community for _, community in pairs).values(), reverse=True)

    assert 5 <= len(pairs) / 1_500 <= 6
    assert len(set(pairs)) == len(pairs)
    assert sizes[0] > 8 * sizes[-1]
    assert len(of_kind(rows, "community")) == 120


def test_events_keep_places_and_past_ones_were_attended(rows: list[Row]) -> None:
    """Given events and registrations; then none is overbooked and attendance is of the past only."""
    events = {row["key"]: row for row in of_kind(rows, "event")}
    held: Counter[str] = Counter()
    for row in of_kind(rows, "registration"):
        held[row["event"]] += row["status"] != "CANCELLED"
        is_past = events[row["event"]]["status"] == "COMPLETED"
        assert is_past or row["status"] in ("REGISTERED", "CANCELLED")
        assert datetime.fromisoformat(row["registered_at"]).date() < TODAY

    assert all(count < events[key]["capacity"] for key, count in held.items())
    assert {row["time_zone"] for row in events.values()} == {"Asia/Shanghai"}
    assert {row["status"] for row in events.values()} == {"COMPLETED", "PUBLISHED"}


def test_telephone_numbers_are_of_a_range_that_is_not_given_out(rows: list[Row]) -> None:
    """Given the customers; then few have a number, and none of a mobile range (13 to 19) or an area."""
    phones = [row["phone"] for row in of_kind(rows, "customer") if "phone" in row]

    assert 0 < len(phones) < 150
    assert all(phone.startswith("+86120") and len(phone) == 14 for phone in phones)


def test_one_referrer_shares_a_device_with_referees_and_no_persona_does(rows: list[Row]) -> None:
    """Given the sightings; then one device, of a referrer and four referees, none of them somebody who signs in."""
    sightings = of_kind(rows, "identifier")
    people = [row["customer"] for row in sightings]

    assert len(people) == len(set(people)) == 5
    assert len({row["value"] for row in sightings}) == 1
    assert {referrers(rows)[referee] for referee in people[1:]} == {people[0]}
    assert not set(people) & {"c-000000", "c-000001"}


@pytest.fixture
def empty_stores(tmp_path: Path) -> Generator[Addresses, None, None]:
    """Stores of its own: the load is for a system in which nothing else happens."""
    servers: list[Server] = []
    try:
        yield start_embedded(tmp_path, servers)
    finally:
        for server in servers:
            stop(server, patience=3)


async def test_an_interrupted_load_is_completed_and_its_people_are_known(
    empty_stores: Addresses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a load cut off after its rows; when loaded again; then it is complete, and the same as loaded once."""
    pytest.importorskip("community.recommendations")
    await migrate(empty_stores)
    database = empty_stores.database()
    async with empty_stores.graph() as graph:
        with monkeypatch.context() as cut:
            cut.setattr(load, "sweep_outbox", interrupted)
            with pytest.raises(KeyboardInterrupt):
                await load_small(database, graph)
        assert not await load.is_loaded(database)

        await load_small(database, graph)
        counted = await census(graph)
        await load_small(database, graph)

        assert await load.is_loaded(database)
        assert await census(graph) == counted
        await check_people(database, graph)
    await database.close()


async def interrupted(_: object) -> int:
    raise KeyboardInterrupt


async def load_small(database: Database, graph: GraphClient) -> None:
    console = Console(file=StringIO())
    await load.load_demonstration(Settings(), database, graph, customers=120, now=utc_now(), console=console)


async def census(graph: GraphClient) -> str:
    rows = await graph.read("MATCH (n)-[r]->() RETURN labels(n)[0] AS n, type(r) AS r, count(*) AS count ORDER BY n, r")
    return json.dumps(rows)


SERVED = "MATCH (c:Customer {id: $id})-[:SERVED_BY]->(e:Employee) RETURN e.id AS id"
OWNED = (
    "MATCH (:Customer {id: $id})-[:MEMBER_OF {role: 'OWNER'}]->(c:Community)-[:HOSTS]->(e:Event) RETURN e.status AS s"
)


async def check_people(database: Database, graph: GraphClient) -> None:
    async with database.read() as session:
        known = {key: await customer_id_of(session, SIGN_IN, key) for key in ("lin-yue", "chen-hao", "wu-xin")}
        points = await balances(session, known["lin-yue"] or "")
        assert (await trial_balance(session)).holds
    assert known["wu-xin"] is None
    assert points[AccountKind.AVAILABLE] >= 650
    assert await graph.read(SERVED, id=known["lin-yue"]) == [{"id": "zhou-min"}]
    assert {"s": "PUBLISHED"} in await graph.read(OWNED, id=known["chen-hao"])
