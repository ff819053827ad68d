"""Imported records and traits: each once, the newest stays whatever the order, money exact, and each with its right."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import SQLModel, col, select

from core.clock import utc_now
from core.days import months_before
from core.db import table_of
from core.facts import Fact
from core.ids import new_id
from customers.alert_definition import STANDARD_ALERTS
from customers.alert_reads import Span, months_of
from customers.import_counts import counts_of
from customers.importer import ImportBatch
from customers.merging import request_merge
from customers.money import minor_of, minor_units
from customers.money_records import balances_of_customer, preferences_of
from customers.records import (
    Account,
    AccountTransaction,
    ChannelPreference,
    DataSource,
    Holding,
    MonthlyBalance,
    ServiceRecord,
)
from referrals.prompting import bad_experience
from segments.traits import CustomerTrait, TraitDefinition
from tests.customers.test_imports import HASH_KEY, Imports, Row, customer, lines
from tests.customers.test_imports import imports as imports
from worker.sweeps import sweep_outbox
from worker.work import Stores

pytestmark = pytest.mark.anyio

MODELS: tuple[type[SQLModel], ...] = (
    Account,
    Holding,
    MonthlyBalance,
    AccountTransaction,
    ServiceRecord,
    ChannelPreference,
    CustomerTrait,
)
DAY = "2026-10-{:02}T08:00:00Z"


def of(kind: str, who: str = "a", day: int = 1, **more: Any) -> Row:
    return {"kind": kind, "customer": who, "observed_at": DAY.format(day), **more}


def account(key: str, **more: Any) -> Row:
    return of("account", key=key, account_kind="SAVINGS", currency="CNY", **more)


def holding(key: str, amount: str, **more: Any) -> Row:
    return of("holding", key=key, product="FUND-7", product_kind="FUND", amount=amount, currency="CNY", **more)


def balance(month: str, average: str, **more: Any) -> Row:
    return of("monthly_balance", month=month, average=average, currency="CNY", **more)


def transaction(key: str, amount: str, **more: Any) -> Row:
    row = of("transaction", key=key, amount=amount, currency="CNY", transaction_kind="TRANSFER", **more)
    return {**row, "occurred_at": DAY.format(1)}


def contact(key: str, **more: Any) -> Row:
    words = {"service_kind": "CALL", "channel": "phone", "topic": "mortgage", "occurred_at": DAY.format(1)}
    return {"kind": "service_record", "customer": "a", "key": key, **words, **more}


def complaint(key: str, **more: Any) -> Row:
    words = {"channel": "branch", "topic": "queue", "occurred_at": DAY.format(1)}
    return {"kind": "complaint", "customer": "a", "key": key, **words, **more}


def trait(name: str, value: Any, **more: Any) -> Row:
    return of("trait", name=name, value=value, **more)


def every_kind(trait_name: str) -> list[Row]:
    return [
        customer("a"),
        {"kind": "trait_definition", "name": trait_name, "trait_kind": "NUMBER", "name_zh": "车", "name_en": "Cars"},
        trait(trait_name, 2),
        trait("assets", "12.5"),
        account("acc", opened_on="2020-01-02"),
        holding("h", "100"),
        balance("2026-09", "50000.01", contribution="12.34"),
        transaction("t", "-0.01", account="acc"),
        contact("s", closed_at=DAY.format(3)),
        complaint("c", closed_at=DAY.format(4)),
        of("channel_preference", channel="wechat", preferred=True),
    ]


async def held(imports: Imports) -> dict[str, list[dict[str, Any]]]:
    """All rows of the source, without the time at which we wrote them."""
    found: dict[str, list[dict[str, Any]]] = {}
    async with imports.database.read() as session:
        connection = await session.connection()
        for model in MODELS:
            table = table_of(model)
            rows = (await connection.execute(table.select().where(table.c.source == imports.source))).mappings()
            plain = [{name: value for name, value in row.items() if name != "recorded_at"} for row in rows]
            found[table.name] = sorted(plain, key=repr)
    return found


async def kinds_of(imports: Imports, report: ImportBatch) -> dict[str, tuple[int, int, int | None]]:
    async with imports.database.read() as session:
        rows = await counts_of(session, report.id)
    return {row.kind: (row.accepted, row.rejected, row.unchanged) for row in rows}


async def test_every_kind_goes_in_once_and_the_report_counts_by_kind(imports: Imports) -> None:
    """Given a row of every kind; when the file is imported twice; then nothing changes, and the report says so."""
    name = f"cars_{imports.source[-12:]}"
    content = lines(*every_kind(name), holding("bad", "1.234"), {"kind": "pet"}, b"{")
    first = await imports.run(content)
    before = await held(imports)
    again = await imports.run(content)

    assert (first.accepted, first.rejected) == (again.accepted, again.rejected) == (11, 3)
    assert await held(imports) == before
    assert [len(rows) for rows in before.values()] == [1, 1, 1, 1, 2, 1, 2]
    known = {
        "account": (1, 0, 0),
        "channel_preference": (1, 0, 0),
        "complaint": (1, 0, 0),
        "customer": (1, 0, None),
        "holding": (1, 1, 0),
        "monthly_balance": (1, 0, 0),
        "service_record": (1, 0, 0),
        "trait": (2, 0, 0),
        "trait_definition": (1, 0, 0),
        "transaction": (1, 0, 0),
        "": (0, 2, None),
    }
    assert await kinds_of(imports, first) == known
    assert await kinds_of(imports, again) == {
        kind: (accepted, rejected, None if unchanged is None else accepted)
        for kind, (accepted, rejected, unchanged) in known.items()
    }
    month = before["monthly_balance"][0]
    assert (month["average"], month["contribution"], str(month["month"])) == (5_000_001, 1_234, "2026-09-01")
    assert (before["account_transaction"][0]["amount"], before["holding"][0]["amount"]) == (-1, 10_000)
    assert before["account_transaction"][0]["account_id"] == before["account"][0]["id"]


async def test_the_newest_stays_in_whatever_order_rows_come(imports: Imports) -> None:
    """Given five tellings of each thing, shuffled over files and within one; then the newest is what is kept."""
    tellings: list[Row] = []
    for day in range(1, 6):
        tellings += [
            account("acc", day=day) | {"account_kind": f"K{day}"},
            holding("h", str(day), day=day),
            balance("2026-09", str(day), day=day),
            transaction("t", str(day), day=day),
            trait("city", f"C{day}", day=day),
            of("channel_preference", channel="mail", preferred=day % 2 == 1, day=day),
            contact("s") | {"topic": f"t{day}", "observed_at": DAY.format(day)},
        ]
    chance = random.Random(7)
    await imports.run(lines(customer("a")))
    wanted: dict[str, list[dict[str, Any]]] = {}
    for _ in range(3):
        chance.shuffle(tellings)
        half = len(tellings) // 2
        await imports.run(lines(*tellings[:half]))
        await imports.run(lines(*tellings[half:]))
        found = await held(imports)
        wanted = wanted or found
        assert found == wanted
    assert wanted["holding"][0]["amount"] == wanted["monthly_balance"][0]["average"] == 500
    assert (wanted["account"][0]["kind"], wanted["service_record"][0]["topic"]) == ("K5", "t5")
    assert (wanted["customer_trait"][0]["word"], wanted["channel_preference"][0]["is_preferred"]) == ("C5", True)


async def test_what_is_wrong_is_named_by_its_field(imports: Imports) -> None:
    """Given rows that cannot be; then each is named by its field, and nothing of it goes in."""
    wrong: list[tuple[Row, str]] = [
        (holding("h", "1") | {"amount": 1}, "amount"),
        (holding("h", "1") | {"amount": 1.5}, "amount"),
        (holding("h", "1.234"), ""),
        (holding("h", "100.5") | {"currency": "JPY"}, ""),
        (holding("h", "1") | {"currency": "yuan"}, "currency"),
        (holding("h", "1") | {"product": "a fund for Mr Wang"}, "product"),
        (balance("2026-13", "1"), "month"),
        (balance("2999-01", "1"), "month"),
        (transaction("t", "0.00"), "amount"),
        (transaction("t", "1", account="nowhere"), "account"),
        (account("x") | {"observed_at": "2999-01-01T00:00:00Z"}, "observed_at"),
        (contact("s") | {"closed_at": "2026-09-01T00:00:00Z"}, ""),
        (complaint("c") | {"occurred_at": "2999-01-01T00:00:00Z"}, "occurred_at"),
        (trait("nonsense", 1), "name"),
        (trait("assets", 5), "value"),
        (trait("potential", "high"), "value"),
        (trait("owns_home", "perhaps"), "value"),
        (trait("born", "yesterday"), "value"),
        (trait("city", "x" * 61), "value"),
        (
            {"kind": "trait_definition", "name": "assets", "trait_kind": "TEXT", "name_zh": "x", "name_en": "x"},
            "trait_kind",
        ),
        (account("x") | {"customer": "stranger"}, "customer"),
        (account("x") | {"legal_basis": "BECAUSE"}, "legal_basis"),
    ]
    report = await imports.run(lines(customer("a"), *(row for row, _ in wrong)))
    rejections = await imports.rejections(report)
    assert [(line, field) for line, field, _ in rejections] == [
        (number, field) for number, (_, field) in enumerate(wrong, start=2)
    ]
    assert sum(len(rows) for rows in (await held(imports)).values()) == 0
    assert "text" in rejections[0][2] and "JPY" not in rejections[3][2]


async def test_values_are_read_by_the_kind_of_their_trait(imports: Imports) -> None:
    """Given values of all kinds, in JSON and as CSV has them; then both are kept alike, days as months."""
    typed = [trait("potential", 70), trait("owns_home", True), trait("born", "1990-05-17"), trait("assets", "5000000")]
    await imports.run(lines(customer("a"), *typed, trait("child_born", "2015-09", item="1")))
    before = await held(imports)
    found = {row["name"]: (row["number"], row["word"], str(row["day"])) for row in before["customer_trait"]}
    assert found == {
        "potential": (70, None, "None"),
        "owns_home": (1, None, "None"),
        "born": (None, None, "1990-05-01"),
        "assets": (500_000_000, None, "None"),
        "child_born": (None, None, "2015-09-01"),
    }
    other = f"{imports.source}-csv"
    text = "kind,key,display_name,customer,name,value,observed_at,item\ncustomer,a,A,,,,,\n"
    text += "".join(f"trait,,,a,{row['name']},{str(row['value']).lower()},{DAY.format(2)},\n" for row in typed)
    report = await imports.run(text.encode(), form="csv", source=other)
    assert report.rejected == 0
    csv = await held(Imports(imports.database, imports.graph, other))
    assert {row["name"]: row["number"] for row in csv["customer_trait"]} == {
        "potential": 70,
        "owns_home": 1,
        "born": None,
        "assets": 500_000_000,
    }


async def test_a_complaint_is_open_until_it_is_told_as_closed(imports: Imports) -> None:
    """Given a complaint told three times; then one contact, one fact of each kind, and it silences until the second."""
    for more in ({}, {"closed_at": DAY.format(5)}, {}):
        await imports.run(lines(customer("a"), complaint("c", **more)))
        async with imports.database.read() as session:
            statement = select(Fact).where(Fact.source == imports.source).order_by(col(Fact.occurred_at))
            facts = (await session.exec(statement)).all()
        closed = len(facts) == 2
        assert (bad_experience(facts) is None) == closed
    assert [(fact.kind, fact.payload) for fact in facts] == [
        ("COMPLAINT_FILED", {"complaint": "c"}),
        ("COMPLAINT_CLOSED", {"complaint": "c"}),
    ]
    contacts = (await held(imports))["service_record"]
    assert [(row["kind"], str(row["closed_at"])[:10]) for row in contacts] == [("COMPLAINT", "2026-10-05")]


async def test_an_external_source_says_by_what_right_and_stays_external(imports: Imports) -> None:
    """Given a source once called external; then later files need a legal basis too, of people, not of words for all."""
    name = f"pets_{imports.source[-12:]}"
    words = {"kind": "trait_definition", "name": name, "trait_kind": "NUMBER", "name_zh": "宠物", "name_en": "Pets"}
    rows = [customer("a"), account("acc"), words]
    told = [customer("a", legal_basis="CONTRACT"), account("acc") | {"legal_basis": "CONSENT"}]
    outside = await imports.run(lines(*rows), external=True)
    again = await imports.run(lines(*rows))
    good = await imports.run(lines(*told))

    for report in (outside, again):
        assert report.is_external
        assert [(line, field) for line, field, _ in await imports.rejections(report)] == [
            (1, "legal_basis"),
            (2, "legal_basis"),
        ]
    assert (good.accepted, good.rejected) == (2, 0)
    assert [row["legal_basis"] for row in (await held(imports))["account"]] == ["CONSENT"]
    async with imports.database.read() as session:
        assert (await session.get_one(DataSource, imports.source)).is_external
        assert (await session.get_one(TraitDefinition, name)).name_en == "Pets"
    inside = Imports(imports.database, imports.graph, new_id())
    assert (await inside.run(lines(*rows))).rejected == 0


async def test_two_names_of_one_source_have_balances_of_their_own(imports: Imports) -> None:
    """Given two names of one person, then a third profile merged into it; when all are told; then they add up."""
    document = {"document": f"D{imports.source}"}
    month = months_before(utc_now().date()).isoformat()[:7]
    told = [balance(month, f"{100 * place}.00", who=key) for place, key in enumerate("abc", start=1)]
    likes = [of("channel_preference", who=key, channel="app", preferred=key == "b", day=ord(key) % 9) for key in "ba"]
    people = [customer("a", **document), customer("b", **document), customer("c")]
    await imports.run(lines(*people, *told, *likes))
    ids = await imports.ids()
    assert ids["a"] == ids["b"] != ids["c"]
    await adds_up(imports, ids["a"], 300_00)
    async with imports.database.write() as session:
        await request_merge(session, ids["a"], ids["c"], actor="he", reason="one", hash_key=HASH_KEY, now=utc_now())
    await sweep_outbox(Stores(imports.database, imports.graph))
    await adds_up(imports, ids["a"], 600_00)
    # The same again tells nothing new, and a correction changes its own.
    await imports.run(lines(*told, balance(month, "250.00", who="b", day=2)))
    await adds_up(imports, ids["a"], 650_00)
    async with imports.database.read() as session:
        (like,) = await preferences_of(session, ids["a"])
        first = await balances_of_customer(session, ids["a"], first=2, after=None)
        rest = await balances_of_customer(session, ids["a"], first=2, after=first.cursors[-1])
    assert like.is_preferred
    assert [row.average for row in (*first.rows, *rest.rows)] == [100_00, 250_00, 300_00]


async def adds_up(imports: Imports, customer_id: str, average: int) -> None:
    """Assert that what rules see of the last month is this, at one source."""
    today = utc_now().date()
    span = Span(today, today, (), "UTC", utc_now())
    async with imports.database.read() as session:
        months = await months_of(session, lambda column: column == customer_id, STANDARD_ALERTS, span)
    assert list(months[customer_id].values()) == [{imports.source: average}]


async def test_a_thousand_rows_take_a_handful_of_statements(imports: Imports) -> None:
    """Given a batch of one kind; then the statements do not grow with its rows."""
    await imports.run(lines(customer("a")))
    counts: list[int] = []
    for rows in (1, 900):
        before = imports.database.statements
        await imports.run(lines(*(transaction(f"{rows}-{number}", "1") for number in range(rows))))
        counts.append(imports.database.statements - before)
    # SQLAlchemy cuts what is too long for one statement into a few.
    assert counts[1] - counts[0] <= 5 and counts[0] < 20


amounts = st.decimals(min_value=-(10**12), max_value=10**12, places=2, allow_nan=False, allow_infinity=False)


@given(amounts)
def test_money_is_exact(amount: Any) -> None:
    assert minor_units(f"{amount:.2f}") == int(amount * 100)
    assert minor_of(f"{amount:.0f}", "JPY") == int(f"{amount:.0f}")


@pytest.mark.parametrize("text", ["", ".5", "1.", "1e3", "1,000", "+1", " 1", "1.2345", "١"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="amount"):
        minor_units(text)
